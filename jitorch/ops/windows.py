"""Window functions for spectra: vectors of ``window_length`` weights.

A periodic window is one of a size greater by one without its last element.
"""

from __future__ import annotations

import math
from typing import Any

from jitorch import dtypes
from jitorch.errors import DTypeError, ValueRangeError
from jitorch.ops.bessel import i0
from jitorch.ops.helpers import filled, narrow_to, ramp
from jitorch.ops.math import abs, cos, sqrt, where
from jitorch.ops.registry import Sample, function

Tensor = Any


def _turn(name: str, length: int, periodic: bool, dtype: Any) -> tuple[Tensor | None, dtypes.DType]:
    """Positions 0 .. 1 within the window, in double precision, or None where there is only a trivial window."""
    dtype = dtypes.get_default() if dtype is None else dtypes.as_dtype(dtype)
    if not dtype.is_floating_point:
        raise DTypeError(f"{name}: the dtype must be floating point", actual=dtype)
    if length < 0:
        raise ValueRangeError(f"{name}: the length must not be negative", expected="at least 0", actual=length)
    if length < 2:
        return None, dtype
    return ramp(length, 0, 1, dtypes.float64) / (length if periodic else length - 1), dtype


def _finished(window: Tensor | None, length: int, dtype: dtypes.DType, requires_grad: bool) -> Tensor:
    result = filled(1, dtype, (length,)) + 0 if window is None else narrow_to(window, dtype)
    return result.requires_grad_() if requires_grad else result


@function(places=("torch",))
def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``0.5 - 0.5 * cos(2 * pi * t)``."""
    t, dtype = _turn("hann_window", window_length, periodic, dtype)
    window = None if t is None else 0.5 - 0.5 * cos(2.0 * math.pi * t)
    return _finished(window, window_length, dtype, requires_grad)


@function(places=("torch",))
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``alpha - beta * cos(2 * pi * t)``."""
    t, dtype = _turn("hamming_window", window_length, periodic, dtype)
    window = None if t is None else alpha - beta * cos(2.0 * math.pi * t)
    return _finished(window, window_length, dtype, requires_grad)


@function(places=("torch",))
def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``0.42 - 0.5 * cos(2 * pi * t) + 0.08 * cos(4 * pi * t)``."""
    t, dtype = _turn("blackman_window", window_length, periodic, dtype)
    window = None if t is None else 0.42 - 0.5 * cos(2.0 * math.pi * t) + 0.08 * cos(4.0 * math.pi * t)
    return _finished(window, window_length, dtype, requires_grad)


@function(places=("torch",))
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The triangle ``1 - |2 * t - 1|``."""
    t, dtype = _turn("bartlett_window", window_length, periodic, dtype)
    window = None if t is None else 1.0 - abs(2.0 * t - 1.0)
    return _finished(window, window_length, dtype, requires_grad)


@function(places=("torch",))
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``i0(beta * sqrt(1 - (2 * t - 1)**2)) / i0(beta)``."""
    t, dtype = _turn("kaiser_window", window_length, periodic, dtype)
    if t is None:
        return _finished(None, window_length, dtype, requires_grad)
    inside = 1.0 - (2.0 * t - 1.0) * (2.0 * t - 1.0)
    window = i0(sqrt(where(inside < 0.0, 0.0, inside)) * beta) / i0(filled(1, dtypes.float64, ()) * beta)
    return _finished(window, window_length, dtype, requires_grad)


for _entry in (hann_window, hamming_window, blackman_window, bartlett_window, kaiser_window):

    @_entry.samples
    def _(rng):
        for length in (0, 1, 5, 8):
            yield Sample(length)
            yield Sample(length, False, dtype=dtypes.float64)
