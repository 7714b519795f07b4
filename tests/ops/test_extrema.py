from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.errors import DTypeError, ShapeError, TensorIndexError
from tests.ops.oracle import agree, array

X = array(3, 4, 5)
TIES = np.array([[1.0, 3, 3], [2, 2, 2], [np.nan, 1, np.nan]])


@pytest.mark.parametrize("values", [X, TIES, TIES.astype("float32"), X.round().astype("int32"), np.array(2.5)])
def test_agrees_with_pytorch(values):
    last = values.ndim - 1 if values.ndim else 0
    for name in ("max", "min", "amax", "amin", "argmax", "argmin", "aminmax"):

        def call(lib, x, name=name):
            function = getattr(lib, name)
            return [function(x), function(x, dim=last), function(x, dim=-1, keepdim=True)]

        agree(call, values)


def test_bool():
    agree(lambda lib, x: [x.max(), x.min(), x.max(1), x.amax(0)], X[0] > 0)


def test_several_axes():
    agree(lambda lib, x: [x.amax((0, 2)), x.amin((0, 1), keepdim=True), x.amax(())], X)


def test_max_of_two_tensors():
    agree(lambda lib, x, y: [lib.max(x, y), x.min(y), x.max(other=y)], X, X[::-1].copy())


def test_named_results():
    out = jitorch.from_numpy(TIES.copy()).max(1)
    assert out._fields == ("values", "indices") and out.indices is out[1]
    assert type(out).__name__ == "max" and repr(out).startswith("jitorch.return_types.max(\nvalues=tensor(")


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin"])
def test_gradients_at_ties(name):
    def gradients(lib, x):
        found = []
        for args in ((), (1,)):
            leaf = x.clone().requires_grad_()
            out = getattr(leaf, name)(*args)
            (out if isinstance(out, lib.Tensor) else out[0]).sum().backward()
            found.append(leaf.grad)
        return found

    agree(gradients, TIES[:2])


def test_errors():
    x = jitorch.from_numpy(X.copy())
    for name in ("max", "amax", "argmax"):
        with pytest.raises(TensorIndexError, match="no"):
            getattr(x[:0], name)()
        with pytest.raises(TensorIndexError, match="no elements"):
            getattr(x[:0], name)(0)
        with pytest.raises(TensorIndexError, match="axis"):
            getattr(x, name)(3)
    assert x[:0].amax(1).shape == (0, 5)
    with pytest.raises(DTypeError, match="bool"):
        (x > 0).argmax()
    with pytest.raises(ShapeError, match="broadcast"):
        x.max(jitorch.ones(7))
