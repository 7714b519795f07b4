"""Element types: the promotion table is PyTorch's, conversions find the one object of each dtype."""

from __future__ import annotations

import copy
import itertools
import pickle

import ml_dtypes
import numpy as np
import pytest
import torch

from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.errors import ArgumentError, DTypeError

PAIRS = list(itertools.product(dtypes.ALL, repeat=2))
UNSIGNED = {dtypes.uint16, dtypes.uint32, dtypes.uint64}


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=lambda d: d.name)
def test_promotion_is_that_of_pytorch(a, b):
    names = [getattr(torch, d.name) for d in (a, b)]
    try:
        expected = str(torch.promote_types(*names)).removeprefix("torch.")
    except RuntimeError:
        assert {a, b} & UNSIGNED
        return  # see the next test
    assert dtypes.promote_types(a, b).name == expected


@pytest.mark.parametrize(("a", "b"), [p for p in PAIRS if p[0] in UNSIGNED], ids=lambda d: d.name)
def test_the_wide_unsigned_promote_where_all_values_fit(a, b):
    """PyTorch promotes them only to floats; here also where the result is exact, as NumPy has it."""
    exact = np.promote_types(a.numpy, b.numpy) if b.category <= Category.INT else None
    if exact is None:
        assert dtypes.promote_types(a, b) is b
    elif exact in (a.numpy, b.numpy):
        assert dtypes.promote_types(a, b).numpy == exact
    else:
        with pytest.raises(DTypeError, match="have no common dtype"):
            dtypes.promote_types(a, b)


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=lambda d: d.name)
def test_promotion_knows_no_order(a, b):
    if a is not b and a.category is b.category is Category.INT and {a, b} & UNSIGNED:
        return  # those that have no common dtype are seen above
    assert dtypes.promote_types(a, b) is dtypes.promote_types(b, a)


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
def test_there_is_one_object_for_each(dtype):
    for same in (
        dtypes.by_name(dtype.name), dtypes.by_short(dtype.short), dtypes.from_numpy(dtype.numpy),
        dtypes.as_dtype(dtype.name), copy.deepcopy(dtype), pickle.loads(pickle.dumps(dtype)),
    ):  # fmt: skip
        assert same is dtype
    assert dtype.bits == 8 * dtype.itemsize == 8 * np.empty(0, dtype.numpy).itemsize


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
def test_properties_are_those_of_pytorch(dtype):
    same = getattr(torch, dtype.name)
    assert dtype.itemsize == same.itemsize
    assert dtype.is_floating_point == same.is_floating_point
    assert dtype.is_complex == same.is_complex
    assert dtype.is_signed == same.is_signed


def test_python_types_and_byte_orders():
    for given, dtype in {bool: "bool", int: "int64", float: "float64", complex: "complex128"}.items():
        assert dtypes.as_dtype(given).name == dtype
    assert dtypes.from_numpy(np.dtype(">f4")) is dtypes.float32
    assert dtypes.as_dtype(ml_dtypes.bfloat16) is dtypes.bfloat16
    assert [dtypes.python_type(d) for d in (dtypes.bool_, dtypes.int8, dtypes.float16)] == [bool, int, float]


def test_a_dtype_that_tensors_do_not_have():
    with pytest.raises(DTypeError, match="NumPy dtype <U3 has no tensor dtype"):
        dtypes.from_numpy("<U3")


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=lambda d: d.name)
def test_what_in_place_results_may_be_stored_in(a, b):
    assert dtypes.can_cast(a, b) == torch.can_cast(getattr(torch, a.name), getattr(torch, b.name))


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_limits_of_floats(name):
    mine, theirs = dtypes.finfo(dtypes.by_name(name)), torch.finfo(getattr(torch, name))
    for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "dtype"):
        assert getattr(mine, field) == getattr(theirs, field)
    assert mine == dtypes.finfo(name) and hash(mine) == hash(dtypes.finfo(name))


@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"])
def test_limits_of_integers(name):
    mine, theirs = dtypes.iinfo(name), torch.iinfo(getattr(torch, name))
    assert (mine.bits, mine.min, mine.max) == (theirs.bits, theirs.min, theirs.max)


def test_limits_of_the_wrong_kind():
    with pytest.raises(ArgumentError, match="expected a floating point dtype"):
        dtypes.finfo("int8")
    with pytest.raises(ArgumentError, match="expected an integer dtype"):
        dtypes.iinfo("float32")


def test_the_default_dtype_is_a_float():
    with pytest.raises(DTypeError, match="must be a floating point"):
        dtypes.set_default(dtypes.int32)
    assert dtypes.get_default() is dtypes.float32
