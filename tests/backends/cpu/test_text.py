from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.backends.cpu.text import Function, Module, literal, memory_type, register_type, suffix, symbol
from jitorch.errors import UnsupportedError


@pytest.mark.parametrize(
    ("dtype", "lanes", "memory", "register"),
    [
        (dtypes.bool_, 1, "i8", "i1"),
        (dtypes.uint16, 1, "i16", "i16"),
        (dtypes.int64, 4, "<4 x i64>", "<4 x i64>"),
        (dtypes.float16, 8, "<8 x half>", "<8 x float>"),
        (dtypes.bfloat16, 1, "i16", "float"),
        (dtypes.float64, 2, "<2 x double>", "<2 x double>"),
    ],
)
def test_types(dtype: dtypes.DType, lanes: int, memory: str, register: str) -> None:
    assert memory_type(dtype, lanes) == memory
    assert register_type(dtype, lanes) == register


def test_complex_has_no_type() -> None:
    with pytest.raises(UnsupportedError, match="complex64"):
        memory_type(dtypes.complex64)
    with pytest.raises(UnsupportedError, match="complex128"):
        literal(1j, dtypes.complex128)


@given(st.floats(allow_nan=False))
def test_float_literals_are_their_bits(value: float) -> None:
    for dtype in (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64):
        text = literal(value, dtype)
        with np.errstate(over="ignore"):
            rounded = float(dtype.numpy.type(value))
        assert len(text) == 18
        assert text == "0x" + struct.pack(">d", rounded).hex().upper()


def test_the_literal_of_nan_is_a_nan() -> None:
    assert literal(float("nan"), dtypes.float32) == "0x7FF8000000000000"


def test_integer_and_bool_literals() -> None:
    assert literal(True, dtypes.bool_) == "true"
    assert literal(-128, dtypes.int8) == "-128"
    assert literal(2**64 - 1, dtypes.uint64) == str(2**64 - 1)


def test_symbols_are_quoted_where_they_must_be() -> None:
    assert symbol("kernel.add_1") == "@kernel.add_1"
    assert symbol("<lambda>") == '@"<lambda>"'
    assert symbol('a"b\\ü') == '@"a\\22b\\5C\\C3\\BC"'


def test_intrinsic_suffixes() -> None:
    assert suffix("float") == "f32"
    assert suffix("double", 4) == "v4f64"
    assert suffix("i16", 8) == "v8i16"


def test_a_helper_is_built_once_and_declarations_are_not_repeated() -> None:
    module, built = Module(), []

    def build(module: Module, name: str) -> str:
        built.append(name)
        return f"define void {name}() {{\n  ret void\n}}\n"

    assert module.helper("h", build) == module.helper("h", build) == "@h"
    module.declare("expf", "float", "float", " #1")
    module.declare("expf", "float", "float", " #1")
    assert built == ["@h"]
    assert module.text().count("declare float @expf(float) #1") == 1


def test_stack_memory_stands_at_the_entry() -> None:
    function = Function(Module())
    function.jump("next")
    function.start("next")
    pointer = function.alloca("float", 4)
    function.do("ret void")
    lines = function.text("void @f()").splitlines()
    assert lines[2].strip() == f"{pointer} = alloca float, align 4"
