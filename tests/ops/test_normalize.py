"""Python numbers that meet tensors."""

from __future__ import annotations

import pytest

import jitorch
from jitorch.errors import DTypeError, ValueRangeError
from jitorch.ops.normalize import number_as


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("int32", 2**31), ("int32", -(2**31) - 1), ("int64", 2**63), ("int8", 300), ("uint8", 256), ("float32", 2**2000)],
)
def test_an_int_that_does_not_fit_is_refused(dtype: str, value: int) -> None:
    x = jitorch.ones(3, dtype=getattr(jitorch, dtype))
    for operation in (lambda: x + value, lambda: x == value, lambda: jitorch.where(x > 0, x, value)):
        with pytest.raises(ValueRangeError, match=dtype):
            operation()


def test_what_fits_is_converted() -> None:
    assert number_as(2**31 - 1, jitorch.int32) == 2**31 - 1
    assert number_as(-1, jitorch.uint8) == 255
    assert number_as(2, jitorch.float32) == 2.0
    assert number_as(2, jitorch.bool) is True
    assert number_as(1.5, jitorch.complex64) == 1.5 + 0j
    with pytest.raises(DTypeError):
        number_as(1j, jitorch.int32)
