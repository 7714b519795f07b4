"""Public names of complex numbers: parts, conjugates, polar form, pairs of real numbers.

The parts and the pairs are copies, not views as in PyTorch: to write into a complex tensor, write complex numbers.
"""

from __future__ import annotations

import math
from typing import Any

from jitorch import dtypes
from jitorch.dims import equal
from jitorch.errors import DTypeError, ShapeError
from jitorch.ops.complex_parts import complex_from, imag_part, real_part
from jitorch.ops.complex_parts import conj as conjugated
from jitorch.ops.helpers import float_dtype, narrow_to, require_float
from jitorch.ops.math import atan2, cos, sin, where
from jitorch.ops.normalize import broadcast_shapes
from jitorch.ops.padding import part
from jitorch.ops.registry import Sample, function
from jitorch.ops.structure import broadcast_to, concatenate, copy, reshape_to

Tensor = Any


def _both(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 3)))


@function(places=("torch", "property"))
def real(input: Tensor) -> Tensor:
    """The real parts; a real tensor is its own."""
    return real_part(input) if input.dtype.is_complex else input


@function(places=("torch", "property"))
def imag(input: Tensor) -> Tensor:
    """The imaginary parts of a complex tensor."""
    return imag_part(input)


@function(places=("torch", "method"))
def conj(input: Tensor) -> Tensor:
    """The conjugate; a real tensor is its own."""
    return conjugated(input)


@function(places=("torch", "method"), inplace=True)
def conj_physical(input: Tensor) -> Tensor:
    """The conjugate, in memory of its own."""
    return conjugated(input) if input.dtype.is_complex else copy(input)


@function(places=("torch", "method"))
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugates are computed at once here."""
    return input


@function(places=("torch", "method"))
def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: negatives are computed at once here."""
    return input


@function(places=("torch", "method"))
def angle(input: Tensor) -> Tensor:
    """The angle of complex numbers, in radians; of real ones 0, or pi where negative."""
    if input.dtype.is_complex:
        return atan2(imag_part(input), real_part(input))
    x = narrow_to(input, float_dtype(input))
    # A result of the tensor, whose gradient is 0.
    return where(x != x, x, where(x < 0, math.pi, where(x == x, 0.0, x)))


@imag.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)))


for _entry in (real, conj, conj_physical, resolve_conj, resolve_neg, angle):
    _entry.samples(_both)


def _pair(name: str, a: Tensor, b: Tensor) -> list[Tensor]:
    """Two real operands of one dtype, broadcast."""
    if a.dtype is not b.dtype or a.dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError(f"{name}: needs float32 or float64, alike", expected=a.type, actual=b.type)
    shape = broadcast_shapes(name, [tuple(a.shape), tuple(b.shape)])
    return [x if tuple(x.shape) == shape else broadcast_to(x, shape=shape) for x in (a, b)]


@function(places=("torch",))
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """``real + 1j * imag``."""
    return complex_from(*_pair("complex", real, imag))


@function(places=("torch",))
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers of a size and an angle in radians."""
    size, turn = _pair("polar", abs, angle)
    return complex_from(size * cos(turn), size * sin(turn))


for _entry in (complex, polar):

    @_entry.samples
    def _(rng):
        yield Sample(rng.uniform(size=(2, 3)), rng.normal(size=(2, 3)))
        yield Sample(rng.uniform(size=(3,)), rng.normal(size=(2, 1)))


@function(places=("torch",))
def view_as_real(input: Tensor) -> Tensor:
    """``[*, 2]``: the real and imaginary parts along a new last axis."""
    pair = [reshape_to(x, shape=(*input.shape, 1)) for x in (real_part(input), imag_part(input))]
    return concatenate(pair, axis=input.ndim)


@function(places=("torch",))
def view_as_complex(input: Tensor) -> Tensor:
    """``[*, 2]`` as complex numbers ``[*]``."""
    require_float("view_as_complex", input)
    if input.ndim == 0 or not equal(input.shape[-1], 2):
        raise ShapeError("view_as_complex: the last axis holds two parts", expected="[*, 2]", actual=input.type)
    last = input.ndim - 1
    parts = [reshape_to(part(input, last, i, i + 1), shape=tuple(input.shape[:-1])) for i in range(2)]
    return complex_from(*parts)


@view_as_real.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)))


@view_as_complex.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 2)))
