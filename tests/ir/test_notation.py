"""How names and literals are spelt."""

import math

import pytest

from jitorch import dtypes
from jitorch.ir import notation


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (5, dtypes.int64, "5"),
        (-5, dtypes.int64, "-5"),
        (5, dtypes.uint8, "u8(5)"),
        (True, dtypes.bool_, "true"),
        (2.0, dtypes.float32, "2.0"),
        (0.10000000149011612, dtypes.float32, "0.1"),
        (0.1, dtypes.float32, "0x1.999999999999ap-4"),  # no float32
        (1e300, dtypes.float32, "0x1.7e43c8800759cp+996"),
        (0.1, dtypes.float64, "f64(0.1)"),
        (-math.inf, dtypes.float32, "-inf"),
        (math.nan, dtypes.float16, "f16(nan)"),
        (-math.nan, dtypes.float32, "nan_bits(18444492273895866368)"),
        (complex(1, -0.0), dtypes.complex64, "c64(1.0, -0.0)"),
    ],
)
def test_literal(value: complex, dtype: dtypes.DType, text: str) -> None:
    assert notation.literal(value, dtype) == text


@pytest.mark.parametrize(("name", "text"), [("x_1", "x_1"), ("x.1", '"x.1"'), ("let", '"let"'), ("1x", '"1x"')])
def test_name(name: str, text: str) -> None:
    assert notation.name(name) == text


def test_block_indents_what_is_nested() -> None:
    assert notation.block(["a", notation.block(["b"])]) == "{\n  a\n  {\n    b\n  }\n}"
    assert notation.block([]) == "{\n}"
