from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from jitorch import dtypes
from jitorch.ir.literal import Literal
from jitorch.ir.types import TensorType
from tests.ir.random_graphs import literals
from tests.ir.toys import f32


def test_equality_is_of_dtype_shape_and_bytes() -> None:
    zeros = Literal(np.zeros(4, np.float32))
    assert zeros == Literal(np.zeros(4, np.float32))
    assert hash(zeros) == hash(Literal(np.zeros(4, np.float32)))
    assert zeros != Literal(np.zeros((2, 2), np.float32))
    assert zeros != Literal(np.zeros(4, np.int32))
    assert zeros != Literal(np.array([0, 0, 0, -0.0], np.float32))
    assert zeros != "zeros"


def test_nan_equals_itself() -> None:
    assert Literal(np.array(np.nan)) == Literal(np.array(np.nan))


def test_type_and_layout() -> None:
    literal = Literal(np.arange(6, dtype=np.int16).reshape(2, 3).T)
    assert literal.type == TensorType(dtypes.int16, (3, 2))
    assert literal.array.flags.c_contiguous
    assert literal.items() == [0, 3, 1, 4, 2, 5]
    assert Literal(np.array(1.0)).type == TensorType(dtypes.float64, ())
    assert repr(literal) == "<literal i16[3, 2]>"


def test_it_cannot_be_written() -> None:
    array = np.zeros(3)
    literal = Literal(array)
    with pytest.raises(ValueError, match="read-only"):
        literal.array[0] = 1
    assert array.flags.writeable


def test_byte_order_does_not_matter() -> None:
    assert Literal(np.array([1, 2], ">i4")) == Literal(np.array([1, 2], "<i4"))


def test_of_items() -> None:
    assert Literal.of(f32(2, 1), [1, 2.5]) == Literal(np.array([[1], [2.5]], np.float32))
    assert Literal.of(TensorType(dtypes.bool_, ()), [True]) == Literal(np.array(True))
    assert Literal.of(TensorType(dtypes.float16, (1,)), [1e10]) == Literal(np.array([np.inf], np.float16))


@pytest.mark.parametrize(
    ("dtype", "item", "error"),
    [
        (dtypes.int8, 1.0, TypeError),
        (dtypes.int8, True, TypeError),
        (dtypes.int8, 200, OverflowError),
        (dtypes.bool_, 1, TypeError),
        (dtypes.float32, 1j, TypeError),
    ],
)
def test_items_of_another_kind(dtype: dtypes.DType, item: complex, error: type[Exception]) -> None:
    with pytest.raises(error):
        Literal.of(TensorType(dtype, (1,)), [item])


@given(literals())
def test_items_give_the_array_back(literal: Literal) -> None:
    again = Literal.of(literal.type, literal.items())
    assert again.type == literal.type
    with np.errstate(invalid="ignore"):
        number = ~np.isnan(literal.array)
    assert np.array_equal(number, ~np.isnan(again.array))
    assert again.array[number].tobytes() == literal.array[number].tobytes()
