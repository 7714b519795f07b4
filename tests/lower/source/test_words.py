"""Helper functions and reserved words of the C-like targets."""

import pytest

from jitorch import dtypes
from jitorch.lower.source import words


@pytest.mark.parametrize("name", ["int", "exp", "expf", "add_i64", "cast_f32_i8", "memcpy", "NAN", "arena"])
def test_reserved(name: str) -> None:
    assert words.is_reserved(name)


@pytest.mark.parametrize("name", ["x", "add", "add_x", "cast_i8", "in0", "out_f32", "tile0"])
def test_free(name: str) -> None:
    assert not words.is_reserved(name)


def test_helpers_are_for_what_has_no_operator() -> None:
    assert words.helper("floordiv", dtypes.int32) != words.helper("floordiv", dtypes.uint32)
    assert words.helper("maximum", dtypes.float32) is not None
    assert words.helper("exp", dtypes.float32) is None
    assert words.helper("floordiv", dtypes.bool_) is None
