"""Transforms and their inverses, real and complex, of any size; spectrograms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jitorch
from jitorch import fft
from jitorch.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError

norms = st.sampled_from([None, "forward", "backward", "ortho"])


@given(st.integers(1, 9), norms)
def test_inverses(n: int, norm: str | None) -> None:
    x = jitorch.tensor(np.random.default_rng(n).normal(size=(2, n)))
    assert jitorch.allclose(fft.ifft(fft.fft(x, norm=norm), norm=norm).real, x)
    assert jitorch.allclose(fft.irfft(fft.rfft(x, norm=norm), n, norm=norm), x)
    assert jitorch.allclose(fft.hfft(fft.ihfft(x, norm=norm), n, norm=norm), x)
    assert jitorch.equal(fft.ifftshift(fft.fftshift(x)), x)


@given(st.integers(1, 6), st.integers(1, 6), st.none() | st.tuples(st.integers(1, 7), st.integers(1, 7)), norms)
def test_several_axes_beside_numpy(rows: int, columns: int, s: Any, norm: str | None) -> None:
    x = np.random.default_rng(0).normal(size=(rows, columns))
    axes = None if s is None else (0, 1)
    for name in ("fftn", "ifftn", "rfftn"):
        actual = getattr(fft, name)(jitorch.tensor(x), s, norm=norm).numpy()
        np.testing.assert_allclose(actual, getattr(np.fft, name)(x, s, axes=axes, norm=norm), atol=1e-12)


def test_energy_is_kept_by_ortho() -> None:
    x = jitorch.randn(64)
    assert fft.fft(x, norm="ortho").abs().square().sum().item() == pytest.approx(x.square().sum().item(), rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"normalized": True}, {"onesided": False}, {"hop_length": 3, "win_length": 6}])
def test_spectrogram_and_back(options: dict[str, Any]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 50))
    window = np.hanning(options.get("win_length", 8) + 2)[1:-1]
    spectrum = jitorch.stft(jitorch.tensor(x), 8, window=jitorch.tensor(window), return_complex=True, **options)
    expected = torch.stft(torch.tensor(x), 8, window=torch.tensor(window), return_complex=True, **options)
    np.testing.assert_allclose(spectrum.numpy(), expected.numpy(), atol=1e-12)
    back = jitorch.istft(spectrum, 8, window=jitorch.tensor(window), length=50, **options)
    np.testing.assert_allclose(back[:, :48].numpy(), x[:, :48], atol=1e-10)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (DTypeError, lambda: fft.rfft(jitorch.ones(4, dtype=jitorch.complex64))),
        (DTypeError, lambda: fft.fft(jitorch.ones(4, dtype=jitorch.float16))),
        (ValueRangeError, lambda: fft.fft(jitorch.ones(4), norm="half")),
        (ValueRangeError, lambda: fft.fft(jitorch.ones(4), 0)),
        (ShapeError, lambda: fft.fftn(jitorch.ones(4), (2, 2))),
        (ArgumentError, lambda: fft.fftn(jitorch.ones(4, 4), (2,), (0, 1))),
        (ArgumentError, lambda: jitorch.stft(jitorch.ones(16), 4)),
        (ShapeError, lambda: jitorch.stft(jitorch.ones(3), 4, center=False, return_complex=True)),
        (ValueRangeError, lambda: jitorch.stft(jitorch.ones(16), 4, win_length=5, return_complex=True)),
        (ShapeError, lambda: jitorch.istft(jitorch.ones(4, 4, dtype=jitorch.complex64), 4)),
        (
            ValueRangeError,
            lambda: jitorch.istft(jitorch.ones(3, 4, dtype=jitorch.complex64), 4, window=jitorch.zeros(4)),
        ),
    ],
)
def test_refused(error: Any, call: Any) -> None:
    with pytest.raises(error):
        call()
