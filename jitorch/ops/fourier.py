"""Discrete Fourier transforms: one primitive over any axes, two for real tensors, and ``torch.fft`` made of them.

A real tensor's transform is known by its first half, along one axis; the other half mirrors it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from jitorch.ops.batching import register, shifting
from jitorch.ops.complex_parts import complex_of, real_of, real_part
from jitorch.ops.create import size_number
from jitorch.ops.helpers import axes_of, number_of, ramp
from jitorch.ops.index import axis_of
from jitorch.ops.padding import pad_constant, part
from jitorch.ops.registry import Sample, function, primitive
from jitorch.ops.structure import cast, concatenate

Tensor = Any

FFT = ("fft",)


@primitive(lowering="extern")
def fourier(x: Tensor, *, axes: tuple[int, ...], inverse: bool) -> Tensor:
    """``sum over n of x[n] * exp(-2 * pi * i * k * n / N)`` along ``axes``, the exponent positive if ``inverse``."""


@fourier.type_rule
def _(x, *, axes, inverse):
    if not x.dtype.is_complex:
        raise DTypeError("fft: needs complex numbers", actual=x)
    return x


@fourier.numpy
def _(x, *, axes, inverse):
    if not axes:
        return x.copy()
    if not inverse:
        return np.fft.fftn(x, axes=axes).astype(x.dtype)
    return np.fft.ifftn(x, axes=axes, norm="forward").astype(x.dtype)


@fourier.vjp
def _(g, out, x, *, axes, inverse):
    return (fourier(g, axes=axes, inverse=not inverse),)


@fourier.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4)), axes=(1,), inverse=False)
    yield Sample(rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4)), axes=(0, 1), inverse=True)


@primitive(lowering="extern")
def half_fourier(x: Tensor, *, axis: int, inverse: bool) -> Tensor:
    """The first ``N // 2 + 1`` elements, along ``axis``, of the `fourier` of a real tensor."""


@half_fourier.type_rule
def _(x, *, axis, inverse):
    if not x.dtype.is_floating_point:
        raise DTypeError("fft: needs real numbers", actual=x)
    half = dims.floordiv(x.shape[axis], 2) + 1
    shape = tuple(half if i == axis else d for i, d in enumerate(x.shape))
    return x.with_shape(shape).with_dtype(complex_of(x.dtype))


@half_fourier.numpy
def _(x, *, axis, inverse):
    half = np.fft.rfft(x, axis=axis)
    return (np.conj(half) if inverse else half).astype(complex_of(dtypes.from_numpy(x.dtype)).numpy, copy=False)


@half_fourier.vjp
def _(g, out, x, *, axis, inverse):
    missing = x.shape[axis] - g.shape[axis]
    high = tuple(missing if i == axis else 0 for i in range(g.ndim))
    whole = pad_constant(g, 0, low=(0,) * g.ndim, high=high)
    return (real_part(fourier(whole, axes=(axis,), inverse=not inverse)),)


@half_fourier.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), axis=1, inverse=False)
    yield Sample(rng.normal(size=(5, 3)), axis=0, inverse=True)


@primitive(lowering="extern")
def whole_fourier(x: Tensor, *, axis: int, size: Dim, inverse: bool) -> Tensor:
    """The `fourier`, which is real, of ``size`` elements along ``axis``: ``x`` is half of them, the others mirror it.

    ``x`` has ``size // 2 + 1``; those that mirror themselves count as real.
    """


@whole_fourier.type_rule
def _(x, *, axis, size, inverse):
    if not x.dtype.is_complex:
        raise DTypeError("fft: needs complex numbers", actual=x)
    if not dims.equal(x.shape[axis], dims.floordiv(size, 2) + 1):
        raise ShapeError("fft: half of the elements", expected=dims.floordiv(size, 2) + 1, actual=x)
    return x.with_shape(size if i == axis else d for i, d in enumerate(x.shape)).with_dtype(real_of(x.dtype))


@whole_fourier.numpy
def _(x, *, axis, size, inverse):
    whole = np.fft.irfft(x if inverse else np.conj(x), size, axis, norm="forward")
    return whole.astype(real_of(dtypes.from_numpy(x.dtype)).numpy, copy=False)


@whole_fourier.vjp
def _(g, out, x, *, axis, size, inverse):
    # An element that is mirrored counts twice.
    place = ramp(x.shape[axis], axis, x.ndim)
    is_own_mirror = (place == 0) | (place * 2 == size_number(size))
    weight = 2.0 - cast(is_own_mirror, dtype=g.dtype)
    return (half_fourier(g, axis=axis, inverse=not inverse) * weight,)


@whole_fourier.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)), axis=1, size=4, inverse=True)
    yield Sample(rng.normal(size=(3, 2)) + 1j * rng.normal(size=(3, 2)), axis=0, size=5, inverse=False)


# ---- arguments ---------------------------------------------------------------------------------------------
def _as_float(name: str, x: Tensor) -> Tensor:
    """``x`` as real or complex numbers."""
    if x.dtype in (dtypes.float16, dtypes.bfloat16):
        raise DTypeError(f"fft.{name}: does not take {x.dtype.name}", expected="float32 or more", actual=x.type)
    if x.dtype.is_complex or x.dtype.is_floating_point:
        return x
    return cast(x, dtype=dtypes.get_default())


def _as_complex(name: str, x: Tensor) -> Tensor:
    x = _as_float(name, x)
    return x if x.dtype.is_complex else cast(x, dtype=complex_of(x.dtype))


def _as_real(name: str, x: Tensor) -> Tensor:
    if x.dtype.is_complex:
        raise DTypeError(f"fft.{name}: needs a real tensor", actual=x.type)
    return x


def _fit(name: str, x: Tensor, axis: int, size: int | None) -> Tensor:
    """Cut or fill with zeros to ``size``."""
    if size is None or size == -1:
        if dims.less(x.shape[axis], 1):
            raise ShapeError(f"fft.{name}: an axis is empty", expected="at least 1", actual=x.type)
        return x
    if size < 1:
        raise ValueRangeError(f"fft.{name}: a size must be positive", expected="at least 1", actual=size)
    change = size - x.shape[axis]
    if isinstance(change, int) and change == 0:
        return x
    high = tuple(change if i == axis else 0 for i in range(x.ndim))
    return pad_constant(x, 0, low=(0,) * x.ndim, high=high)


def _sizes_and_axes(name: str, x: Tensor, s: Sequence[int] | None, dim: Any) -> tuple[list[int | None], list[int]]:
    if dim is None:
        count = x.ndim if s is None else len(s)
        if count > x.ndim:
            raise ShapeError(f"fft.{name}: more sizes than axes", expected=f"at most {x.ndim}", actual=tuple(s or ()))
        axes = list(range(x.ndim - count, x.ndim))
    else:
        axes = [axis_of(f"fft.{name}", d, x.ndim) for d in ((dim,) if isinstance(dim, int) else dim)]
        axes_of(f"fft.{name}", tuple(axes), x.ndim)
    if s is not None and len(s) != len(axes):
        raise ArgumentError(f"fft.{name}: one size for each axis", expected=len(axes), actual=len(s))
    return list(s) if s is not None else [None] * len(axes), axes


def _scale(name: str, norm: str | None, count: Dim, inverse: bool) -> Any:
    """The factor of a direction: all of ``1 / count`` falls to one of them, or its root to both."""
    norm = "backward" if norm is None else norm
    if norm not in ("forward", "backward", "ortho"):
        raise ValueRangeError(f"fft.{name}: unknown norm", expected="'forward', 'backward' or 'ortho'", actual=norm)
    if norm == "ortho":
        return number_of(count) ** -0.5
    return 1.0 / number_of(count) if (norm == "forward") != inverse else 1.0


def _scaled(x: Tensor, factor: Any) -> Tensor:
    return x if isinstance(factor, float) and factor == 1.0 else x * factor


# ---- the transforms ------------------------------------------------------------------------------------------
def _complex_transform(
    name: str, x: Tensor, s: Sequence[int] | None, dim: Any, norm: str | None, inverse: bool
) -> Tensor:
    x = _as_complex(name, x)
    sizes, axes = _sizes_and_axes(name, x, s, dim)
    for axis, size in zip(axes, sizes):
        x = _fit(name, x, axis, size)
    count = dims.prod([x.shape[a] for a in axes])
    return _scaled(fourier(x, axes=tuple(axes), inverse=inverse), _scale(name, norm, count, inverse))


def _half_transform(
    name: str, x: Tensor, s: Sequence[int] | None, dim: Any, norm: str | None, inverse: bool = False
) -> Tensor:
    """The first half, along the last of the axes, of a real tensor's transform."""
    x = _as_real(name, x)
    sizes, axes = _sizes_and_axes(name, x, s, dim)
    if not axes:
        raise ArgumentError(f"fft.{name}: needs at least one axis")
    x = _as_float(name, x)
    for axis, size in zip(axes, sizes):
        x = _fit(name, x, axis, size)
    count = dims.prod([x.shape[a] for a in axes])
    out = half_fourier(x, axis=axes[-1], inverse=inverse)
    if others := tuple(axes[:-1]):
        out = fourier(out, axes=others, inverse=inverse)
    return _scaled(out, _scale(name, norm, count, inverse))


def _real_transform(
    name: str, x: Tensor, s: Sequence[int] | None, dim: Any, norm: str | None, inverse: bool = True
) -> Tensor:
    """The real tensor whose half spectrum along the last of the axes is ``x``."""
    x = _as_complex(name, x)
    sizes, axes = _sizes_and_axes(name, x, s, dim)
    if not axes:
        raise ArgumentError(f"fft.{name}: needs at least one axis")
    last = axes[-1]
    size = sizes[-1] if sizes[-1] not in (None, -1) else 2 * (x.shape[last] - 1)
    if dims.less(size, 1):
        raise ValueRangeError(f"fft.{name}: a size must be positive", expected="at least 1", actual=size)
    for axis, wanted in zip(axes[:-1], sizes[:-1]):
        x = _fit(name, x, axis, wanted)
    half = dims.floordiv(size, 2) + 1
    change = half - x.shape[last]
    if not (isinstance(change, int) and change == 0):
        high = tuple(change if i == last else 0 for i in range(x.ndim))
        x = pad_constant(x, 0, low=(0,) * x.ndim, high=high)
    others = tuple(axes[:-1])
    x = fourier(x, axes=others, inverse=inverse) if others else x
    count = dims.prod([x.shape[a] for a in others]) * size
    return _scaled(whole_fourier(x, axis=last, size=size, inverse=inverse), _scale(name, norm, count, inverse))


def _one(n: int | None) -> tuple[int] | None:
    return None if n is None else (n,)


@function(places=FFT)
def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform along ``dim``, cut or filled to ``n``; ``norm``: backward (no factor), ortho or forward (1/n)."""
    return _complex_transform("fft", input, _one(n), dim, norm, inverse=False)


@function(places=FFT)
def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`."""
    return _complex_transform("ifft", input, _one(n), dim, norm, inverse=True)


@function(places=FFT)
def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The first ``n // 2 + 1`` elements of a real tensor's `fft`."""
    return _half_transform("rfft", input, _one(n), dim, norm)


@function(places=FFT)
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`, of size ``n`` (by default ``2 * (size - 1)``)."""
    return _real_transform("irfft", input, _one(n), dim, norm)


@function(places=FFT)
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The real transform of a signal that is its own conjugate mirrored, of which ``input`` is half."""
    return _real_transform("hfft", input, _one(n), dim, norm, inverse=False)


@function(places=FFT)
def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`."""
    return _half_transform("ihfft", input, _one(n), dim, norm, inverse=True)


@function(places=FFT)
def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`fft` along all of ``dim``."""
    return _complex_transform("fftn", input, s, dim, norm, inverse=False)


@function(places=FFT)
def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return _complex_transform("ifftn", input, s, dim, norm, inverse=True)


@function(places=FFT)
def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`rfft` along the last of ``dim``, `fft` along the others."""
    return _half_transform("rfftn", input, s, dim, norm)


@function(places=FFT)
def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    return _real_transform("irfftn", input, s, dim, norm)


@function(places=FFT)
def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`hfft` along the last of ``dim``, `fft` along the others."""
    return _real_transform("hfftn", input, s, dim, norm, inverse=False)


@function(places=FFT)
def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    return _half_transform("ihfftn", input, s, dim, norm, inverse=True)


@function(places=FFT)
def fft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`fftn` along two axes."""
    return fftn(input, s, dim, norm)


@function(places=FFT)
def ifft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`ifftn` along two axes."""
    return ifftn(input, s, dim, norm)


@function(places=FFT)
def rfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`rfftn` along two axes."""
    return rfftn(input, s, dim, norm)


@function(places=FFT)
def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`irfftn` along two axes."""
    return irfftn(input, s, dim, norm)


@function(places=FFT)
def hfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`hfftn` along two axes."""
    return hfftn(input, s, dim, norm)


@function(places=FFT)
def ihfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`ihfftn` along two axes."""
    return ihfftn(input, s, dim, norm)


def _complex(rng: Any, *shape: int) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


for _entry in (fft, ifft, hfft, irfft):

    @_entry.samples
    def _(rng):
        yield Sample(_complex(rng, 2, 5))
        yield Sample(_complex(rng, 5, 2), 6, 0, "ortho")
        yield Sample(_complex(rng, 2, 5), n=3, norm="forward")


for _entry in (rfft, ihfft):

    @_entry.samples
    def _(rng):
        yield Sample(rng.normal(size=(2, 5)))
        yield Sample(rng.normal(size=(5, 2)), 6, 0, "ortho")


for _entry in (fftn, ifftn, irfftn, hfftn, fft2, ifft2, irfft2, hfft2):

    @_entry.samples
    def _(rng):
        yield Sample(_complex(rng, 3, 4))
        yield Sample(_complex(rng, 2, 3, 4), (4, 3), (0, 2), "ortho")


for _entry in (rfftn, ihfftn, rfft2, ihfft2):

    @_entry.samples
    def _(rng):
        yield Sample(rng.normal(size=(3, 4)))
        yield Sample(rng.normal(size=(2, 3, 4)), (4, 3), (0, 2), "ortho")


# ---- frequencies ---------------------------------------------------------------------------------------------
def _frequency_dtype(name: str, dtype: Any) -> Any:
    dtype = dtypes.get_default() if dtype is None else dtypes.as_dtype(dtype)
    if not dtype.is_floating_point:
        raise DTypeError(f"fft.{name}: the dtype must be floating point", actual=dtype)
    return dtype


@function(places=FFT)
def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of `fft`'s elements, for samples ``d`` apart: 0 upwards, then the negative ones."""
    dtype = _frequency_dtype("fftfreq", dtype)
    positive = (n + 1) // 2
    k = ramp(n, 0, 1)
    k = concatenate([part(k, 0, 0, positive), part(k, 0, positive, n) - n], axis=0)
    out = cast(k, dtype=dtype) * (1.0 / (n * d))
    return out.requires_grad_() if requires_grad else out


@function(places=FFT)
def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of `rfft`'s elements, for samples ``d`` apart."""
    out = ramp(n // 2 + 1, 0, 1, _frequency_dtype("rfftfreq", dtype)) * (1.0 / (n * d))
    return out.requires_grad_() if requires_grad else out


def _rolled(name: str, x: Tensor, dim: Any, back: bool) -> Tensor:
    for axis in axes_of(f"fft.{name}", dim, x.ndim):
        size = x.shape[axis]
        cut = dims.floordiv(size, 2) if back else size - dims.floordiv(size, 2)
        x = concatenate([part(x, axis, cut, size), part(x, axis, 0, cut)], axis=axis)
    return x


@function(places=FFT)
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Move frequency 0 to the middle."""
    return _rolled("fftshift", input, dim, back=False)


@function(places=FFT)
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Undo `fftshift`."""
    return _rolled("ifftshift", input, dim, back=True)


for _entry in (fftfreq, rfftfreq):

    @_entry.samples
    def _(rng):
        yield Sample(5)
        yield Sample(6, 0.5, dtype=dtypes.float64)


for _entry in (fftshift, ifftshift):

    @_entry.samples
    def _(rng):
        yield Sample(rng.normal(size=(5,)))
        yield Sample(rng.normal(size=(4, 5)), dim=(1,))


register(shifting, fourier, names=("axes",))
register(shifting, half_fourier, whole_fourier, names=("axis",))
