from __future__ import annotations

import numpy as np
import pytest
import torch

import jitorch
from jitorch import dtypes
from jitorch.errors import ArgumentError, DeviceError, DTypeError, ValueRangeError

COMMON = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64"]


@pytest.mark.parametrize("a", COMMON)
@pytest.mark.parametrize("b", COMMON)
def test_promotion_is_pytorchs(a, b):
    ours = jitorch.promote_types(dtypes.by_name(a), dtypes.by_name(b))
    assert ours.name == str(torch.promote_types(getattr(torch, a), getattr(torch, b))).removeprefix("torch.")
    if {a, b} & {"float16", "bfloat16"} and "complex64" in (a, b):
        return  # PyTorch answers complex32, which has no NumPy dtype
    for lib in (jitorch, torch):
        x, y = lib.zeros(2, dtype=getattr(lib, a)), lib.zeros((), dtype=getattr(lib, b))
        results = [lib.result_type(x, y), lib.result_type(y, x), lib.result_type(x, 1), lib.result_type(y, 1.5)]
        names = [str(r).split(".")[1] for r in results]
        if lib is jitorch:
            expected = names
    assert names == expected


def test_can_cast():
    for a in COMMON:
        for b in COMMON:
            want = torch.can_cast(getattr(torch, a), getattr(torch, b))
            assert jitorch.can_cast(dtypes.by_name(a), dtypes.by_name(b)) == want, (a, b)


def test_questions():
    x = jitorch.ones(2, 3)
    assert jitorch.is_tensor(x) and not jitorch.is_tensor(1) and not jitorch.is_tensor(np.ones(1))
    assert jitorch.is_floating_point(x) and not jitorch.is_complex(x) and jitorch.numel(x) == 6
    assert jitorch.is_nonzero(jitorch.tensor(2)) and not jitorch.is_nonzero(jitorch.tensor(0.0))
    with pytest.raises(ArgumentError, match="tensor"):
        jitorch.is_floating_point(1)


def test_settings():
    assert jitorch.get_default_dtype() is jitorch.float32
    with pytest.raises(DTypeError, match="floating point"):
        jitorch.set_default_dtype(jitorch.int64)
    jitorch.set_default_device("cpu")
    assert jitorch.get_default_device() == jitorch.device("cpu")
    with pytest.raises(DeviceError, match="cuda"):
        jitorch.set_default_device("cuda")
    threads = jitorch.get_num_threads()
    jitorch.set_num_threads(3)
    assert jitorch.get_num_threads() == 3
    jitorch.set_num_threads(threads)
    with pytest.raises(ValueRangeError, match="positive"):
        jitorch.set_num_threads(0)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_finfo(name):
    ours, theirs = jitorch.finfo(dtypes.by_name(name)), torch.finfo(getattr(torch, name))
    for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert repr(ours) == repr(theirs)
    assert ours == jitorch.finfo(dtypes.by_name(name)) and hash(ours) == hash(dtypes.by_name(name))


@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64"])
def test_iinfo(name):
    ours, theirs = jitorch.iinfo(dtypes.by_name(name)), torch.iinfo(getattr(torch, name))
    for field in ("bits", "max", "min", "dtype"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert repr(ours) == f"iinfo(min={ours.min}, max={ours.max}, dtype={name})"


def test_limits_of_the_wrong_kind():
    assert jitorch.finfo() == jitorch.finfo(jitorch.float32)
    with pytest.raises(ArgumentError, match="floating"):
        jitorch.finfo(jitorch.int8)
    with pytest.raises(ArgumentError, match="integer"):
        jitorch.iinfo(jitorch.float32)
