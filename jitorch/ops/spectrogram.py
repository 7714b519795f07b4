"""Short-time Fourier transforms and their inverse."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims
from jitorch.errors import ArgumentError, ShapeError, ValueRangeError
from jitorch.ops.complex_names import view_as_complex, view_as_real
from jitorch.ops.complex_parts import real_of
from jitorch.ops.fourier import fft, ifft, irfft, rfft
from jitorch.ops.helpers import filled, require_rank
from jitorch.ops.padding import pad, pad_constant, part
from jitorch.ops.registry import Sample, function
from jitorch.ops.sliding import unwindow, windows
from jitorch.ops.structure import reduce_sum, reshape_to, transpose_axes

Tensor = Any


def _window(name: str, window: Tensor | None, n_fft: int, win_length: int | None, dtype: Any) -> Tensor:
    """The window of ``win_length`` in the middle of ``n_fft``."""
    length = n_fft if win_length is None else win_length
    if not 0 < length <= n_fft:
        raise ValueRangeError(f"{name}: win_length is out of range", expected=f"1 to {n_fft}", actual=length)
    if window is None:
        window = filled(1, dtype, (length,))
    elif window.ndim != 1 or not dims.equal(window.shape[0], length):
        raise ShapeError(f"{name}: the window is a vector of win_length", expected=f"({length},)", actual=window.type)
    low = (n_fft - length) // 2
    return pad_constant(window, 0, low=(low,), high=(n_fft - length - low,)) if length < n_fft else window


@function(places=("torch", "method"))
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """Transforms of frames ``n_fft`` long and ``hop_length`` apart: ``[*, L]`` to complex ``[*, frequencies, frames]``.

    With ``center``, frame t is centred at ``t * hop_length``.  Without ``return_complex``, a last axis holds the parts.
    """
    require_rank("stft", input, 1, 2)
    hop = n_fft // 4 if hop_length is None else hop_length
    if n_fft <= 0 or hop <= 0:
        raise ValueRangeError("stft: n_fft and hop_length must be positive", actual=f"{n_fft}, {hop}")
    if return_complex is None:
        if not input.dtype.is_complex and not (window is not None and window.dtype.is_complex):
            raise ArgumentError("stft: return_complex must be given for real inputs", hint="pass return_complex=True")
        return_complex = True
    if align_to_window is not None and center:
        raise ArgumentError("stft: align_to_window is for center=False")
    x = input if input.ndim == 2 else reshape_to(input, shape=(1, *input.shape))
    if center:
        # `pad` mirrors the last axis of three.
        reach = n_fft // 2
        padded = pad(reshape_to(x, shape=(1, *x.shape)), (reach, reach), mode=pad_mode)
        x = reshape_to(padded, shape=tuple(padded.shape[1:]))
    if dims.less(x.shape[1], n_fft):
        raise ShapeError("stft: the signal is shorter than a frame", expected=f"at least {n_fft}", actual=input.type)
    weights = _window("stft", window, n_fft, win_length, real_of(input.dtype))
    frames = windows(x, sizes=(n_fft,), strides=(hop,), dilations=(1,)) * weights
    real = not frames.dtype.is_complex
    half = real if onesided is None else onesided
    if half and not real:
        raise ArgumentError("stft: a complex signal or window has no one-sided spectrum", hint="pass onesided=False")
    norm = "ortho" if normalized else None
    spectra = rfft(frames, norm=norm) if half else fft(frames, norm=norm)
    out = transpose_axes(spectra, perm=(0, 2, 1))
    out = out if input.ndim == 2 else reshape_to(out, shape=tuple(out.shape[1:]))
    return out if return_complex else view_as_real(out)


@stft.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 16)), 6, return_complex=True)
    yield Sample(rng.normal(size=(16,)), 8, 3, 5, np.hanning(5), center=False, onesided=False, return_complex=True)
    yield Sample(rng.normal(size=(16,)), 6, normalized=True, return_complex=False)


@function(places=("torch", "method"))
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal whose `stft` is nearest to ``input``: complex ``[*, frequencies, frames]`` to ``[*, L]``.

    Frames are weighted by the window again, added up, and divided by the sum of its squares.
    """
    if not input.dtype.is_complex:
        input = view_as_complex(input)
    require_rank("istft", input, 2, 3)
    hop = n_fft // 4 if hop_length is None else hop_length
    half = not return_complex if onesided is None else onesided
    bins = n_fft // 2 + 1 if half else n_fft
    if not dims.equal(input.shape[-2], bins):
        raise ShapeError("istft: the number of frequencies does not fit n_fft", expected=bins, actual=input.type)
    if half and return_complex:
        raise ArgumentError("istft: a one-sided spectrum has a real signal", hint="pass onesided=False")
    x = input if input.ndim == 3 else reshape_to(input, shape=(1, *input.shape))
    spectra = transpose_axes(x, perm=(0, 2, 1))
    norm = "ortho" if normalized else None
    frames = irfft(spectra, n_fft, norm=norm) if half else ifft(spectra, norm=norm)
    if not half and not return_complex:
        frames = frames.real
    weights = _window("istft", window, n_fft, win_length, real_of(input.dtype))
    count = frames.shape[1]
    total = (count - 1) * hop + n_fft
    signal = _overlapped(frames * weights, total, hop)
    squares = filled(0, weights.dtype, (1, count, n_fft)) + weights * weights
    envelope = _overlapped(squares, total, hop)
    start = n_fft // 2 if center else 0
    stop = start + length if length is not None else (total - n_fft // 2 if center else total)
    shown = dims.dim_min(stop, total)
    signal, envelope = part(signal, 1, start, shown), part(envelope, 1, start, shown)
    _check_envelope(envelope)
    out = signal / envelope
    missing = stop - shown
    if not (isinstance(missing, int) and missing == 0):
        out = pad_constant(out, 0, low=(0, 0), high=(0, missing))
    return out if input.ndim == 3 else reshape_to(out, shape=(out.shape[1],))


def _overlapped(frames: Tensor, total: Any, hop: int) -> Tensor:
    """``[N, frames, n]`` added up where the frames lie: ``[N, total]``."""
    spread = unwindow(frames, spatial=(total,), strides=(hop,), dilations=(1,))
    return reduce_sum(spread, axes=(2,))


def _check_envelope(envelope: Tensor) -> None:
    array = envelope._array
    if array is not None and array.size and np.abs(array).min() <= 1e-11:
        raise ValueRangeError(
            "istft: the windows leave a gap", expected="a positive sum of squares everywhere",
            actual=np.abs(array).min(), hint="use a window that overlaps, or center=True",
        )  # fmt: skip


@istft.samples
def _(rng):
    spectrum = rng.normal(size=(2, 4, 6)) + 1j * rng.normal(size=(2, 4, 6))
    yield Sample(spectrum, 6)
    yield Sample(spectrum[0].copy(), 6, 2, 6, np.hamming(6), length=9)
