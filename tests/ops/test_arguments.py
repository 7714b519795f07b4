from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import dims
from jitorch.errors import ArgumentError, ShapeError, TensorIndexError, ValueRangeError
from jitorch.ops import arguments as a


def test_axes():
    assert a.axis_of("f", -1, 3) == 2 and a.axis_of("f", 0, 0) == 0 and a.axis_of("f", np.int64(1), 2) == 1
    assert a.axis_of("f", jitorch.tensor(1), 2) == 1
    assert a.axes_of("f", None, 3) == a.axes_of("f", (), 3) == (0, 1, 2)
    assert a.axes_of("f", (), 3, empty_is_all=False) == ()
    assert a.axes_of("f", (2, -3), 3) == (0, 2) and a.axes_of("f", 0, 0) == ()
    for wrong, kind in ((3, TensorIndexError), (-4, TensorIndexError), (True, ArgumentError), ("x", ArgumentError)):
        with pytest.raises(kind, match="f: "):
            a.axis_of("f", wrong, 3)
    with pytest.raises(ShapeError, match="more than once"):
        a.axes_of("f", (0, -3), 3)


def test_sizes():
    batch = dims.symbol("B")
    assert a.sizes_of("f", (2, 3)) == a.sizes_of("f", ((2, 3),)) == a.sizes_of("f", (), [2, 3]) == (2, 3)
    assert a.sizes_of("f", (batch, jitorch.tensor(2), np.int32(1))) == (batch, 2, 1)
    assert a.shape_of("f", ()) == ()
    with pytest.raises(ShapeError, match="negative"):
        a.shape_of("f", (2, -1))
    with pytest.raises(ArgumentError, match="ints"):
        a.ints_of("f", (batch,))
    with pytest.raises(ArgumentError, match="twice"):
        a.sizes_of("f", (2,), 3)
    for wrong in (2.0, True, "2", None):
        with pytest.raises(ArgumentError, match="size is an int"):
            a.one_size("f", wrong)


def test_infer_shape():
    batch = dims.symbol("B", low=1)
    assert a.infer_shape("f", 12, (3, -1)) == (3, 4)
    assert a.infer_shape("f", batch * 12, (-1, 4)) == (batch * 3, 4)
    assert a.infer_shape("f", batch * 12, (batch, -1)) == (batch, 12)
    assert a.infer_shape("f", 0, (0, 3)) == (0, 3)


def test_numbers():
    assert a.number_of("f", np.float32(2)) == 2 and a.number_of("f", True) is True
    x = jitorch.tensor(2.0)
    assert a.number_of("f", x) is x
    with pytest.raises(ValueRangeError, match="number"):
        a.number_of("f", jitorch.ones(1))
    for wrong in ("2", None, dims.symbol("B")):
        with pytest.raises(ArgumentError, match="number"):
            a.number_of("f", wrong)
