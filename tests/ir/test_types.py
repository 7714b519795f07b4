from __future__ import annotations

import pytest
from hypothesis import given

from jitorch import dtypes
from jitorch.dims import Symbol
from jitorch.ir import types
from jitorch.ir.types import TensorType, Type, like, sizes
from tests.ir.random_graphs import all_types
from tests.ir.toys import f32

B = Symbol("B", 1).dim


def test_tensor_type() -> None:
    type = f32(B, 4, 3)
    assert (type.rank, type.size) == (3, 12 * B)
    assert str(type) == "f32[B, 4, 3]"
    assert type.with_shape([2]) == f32(2)
    assert type.with_dtype(dtypes.int8) == TensorType(dtypes.int8, (B, 4, 3))
    assert f32().size == 1


@pytest.mark.parametrize(
    ("type", "dtype"), [(types.INT, dtypes.int64), (types.FLOAT, dtypes.float64), (types.BOOL, dtypes.bool_)]
)
def test_number_behaves_as_a_tensor_without_axes(type: types.ScalarType, dtype: dtypes.DType) -> None:
    assert type.dtype is dtype
    assert (type.shape, type.rank, type.size) == ((), 0, 1)
    assert like(f32(2), dtype) == TensorType(dtype, (2,))
    assert like(types.INT, dtype) is type


def test_types_of_python_values() -> None:
    names = {python: str(type) for python, type in types.PYTHON_TYPES.items()}
    assert names == {int: "int", float: "float", bool: "bool", str: "str", type(None): "none"}


def test_text_of_containers() -> None:
    point = types.RecordType("m.Point", (("x", types.FLOAT), ("tags", types.ListType(types.STR))))
    assert str(point) == "record m.Point{x: float, tags: list[str]}"
    assert str(types.DictType(types.INT, types.OptionalType(f32(2)))) == "dict[int, optional[f32[2]]]"
    assert str(types.TupleType((types.NONE, types.EFFECT))) == "tuple[none, effect]"
    assert str(types.TupleType(())) == "tuple[]"


def test_odd_names_are_quoted() -> None:
    assert str(types.RecordType("f.<locals>.P", (("a b", types.INT),))) == 'record "f.<locals>.P"{"a b": int}'


def test_sizes_are_found_at_any_depth() -> None:
    point = types.RecordType("P", (("x", f32(5)), ("y", types.INT)))
    type = types.TupleType((f32(B, 2), types.DictType(types.STR, types.ListType(f32(3))), types.OptionalType(point)))
    assert list(sizes(type)) == [B, 2, 3, 5]
    assert list(sizes(types.EFFECT)) == []


@given(all_types(), all_types())
def test_types_are_equal_just_where_their_texts_are(a: Type, b: Type) -> None:
    assert (a == b) == (str(a) == str(b))
    assert a != b or hash(a) == hash(b)
