"""Features of sound, written as TorchScript programs of their time are."""

import math
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mu_law_encoding(x, quantization_channels):
    # type: (Tensor, int) -> Tensor
    mu = quantization_channels - 1.0
    if not x.is_floating_point():
        x = x.to(torch.float)
    mu = torch.tensor(mu, dtype=x.dtype)
    x_mu = torch.sign(x) * torch.log1p(mu * torch.abs(x)) / torch.log1p(mu)
    x_mu = ((x_mu + 1) / 2 * mu + 0.5).to(torch.int64)
    return x_mu


def mu_law_decoding(x_mu: Tensor, quantization_channels: int) -> Tensor:
    mu = quantization_channels - 1.0
    if not x_mu.is_floating_point():
        x_mu = x_mu.to(torch.float)
    mu_t = torch.tensor(mu, dtype=x_mu.dtype)
    x = ((x_mu) / mu_t) * 2 - 1.0
    return torch.sign(x) * (torch.exp(torch.abs(x) * torch.log1p(mu_t)) - 1.0) / mu_t


def hz_to_mel(freq: float, mel_scale: str = "htk") -> float:
    if mel_scale not in ["slaney", "htk"]:
        raise ValueError('mel_scale should be one of "htk" or "slaney".')
    if mel_scale == "htk":
        return 2595.0 * math.log10(1.0 + (freq / 700.0))
    f_min = 0.0
    f_sp = 200.0 / 3
    mels = (freq - f_min) / f_sp
    min_log_hz = 1000.0
    min_log_mel = (min_log_hz - f_min) / f_sp
    logstep = math.log(6.4) / 27.0
    if freq >= min_log_hz:
        mels = min_log_mel + math.log(freq / min_log_hz) / logstep
    return mels


def mel_banks(n_freqs: int, f_max: float, n_mels: int, norm: Optional[str]) -> Tensor:
    all_freqs = torch.linspace(0, f_max, n_freqs)
    m_pts = torch.linspace(hz_to_mel(0.0), hz_to_mel(f_max), n_mels + 2)
    f_pts = 700.0 * (10.0 ** (m_pts / 2595.0) - 1.0)
    f_diff = f_pts[1:] - f_pts[:-1]
    slopes = f_pts.unsqueeze(0) - all_freqs.unsqueeze(1)
    zero = torch.zeros(1)
    down_slopes = (-1.0 * slopes[:, :-2]) / f_diff[:-1]
    up_slopes = slopes[:, 2:] / f_diff[1:]
    fb = torch.max(zero, torch.min(down_slopes, up_slopes))
    if norm is not None and norm == "slaney":
        enorm = 2.0 / (f_pts[2 : n_mels + 2] - f_pts[:n_mels])
        fb *= enorm.unsqueeze(0)
    return fb


class Features(nn.Module):
    """Log energies of a mel filter bank, by a discrete Fourier transform written as a product."""

    __constants__ = ["frame", "hop", "n_mels", "power"]

    def __init__(self):
        super(Features, self).__init__()
        self.frame, self.hop, self.n_mels, self.power = 8, 4, 3, 2.0
        steps = torch.arange(5.0)[:, None] * torch.arange(8.0)[None] * (2 * math.pi / 8)
        self.register_buffer("cos", torch.cos(steps))
        self.register_buffer("sin", torch.sin(steps))
        self.register_buffer("window", 0.54 - 0.46 * torch.cos(2 * math.pi * torch.arange(8.0) / 7))
        self.register_buffer("banks", mel_banks(5, 4000.0, 3, None))

    def strided(self, waveform: Tensor) -> Tensor:
        num_samples = waveform.size(0)
        m = 1 + (num_samples - self.frame) // self.hop
        if num_samples < self.frame:
            return torch.empty((0, 0), dtype=waveform.dtype)
        return torch.stack([waveform[i * self.hop : i * self.hop + self.frame] for i in range(m)])

    def forward(self, waveform: Tensor, subtract_mean: bool = False) -> Tensor:
        frames = self.strided(waveform)
        frames = (frames - frames.mean(dim=1, keepdim=True)) * self.window
        spectrum = torch.matmul(frames, self.cos.t()).pow(2) + torch.matmul(frames, self.sin.t()).pow(2)
        if self.power != 2.0:
            spectrum = spectrum.pow(self.power / 2)
        mel = torch.matmul(spectrum, self.banks)
        out = torch.max(mel, torch.tensor(1e-5)).log()
        if subtract_mean:
            out = out - out.mean(dim=0).unsqueeze(0)
        return out


def lfilter(waveform: Tensor, a: List[float], b: List[float]) -> Tensor:
    """A filter with feedback: a[0] y[t] = sum b[i] x[t-i] - sum a[i] y[t-i]."""
    order = len(a)
    padded = F.pad(waveform, [order - 1, 0])
    output: List[Tensor] = [torch.zeros(1) for _ in range(order - 1)]
    for t in range(waveform.size(0)):
        total = torch.zeros(1)
        for i in range(order):
            total = total + b[i] * padded[t + order - 1 - i]
            if i > 0:
                total = total - a[i] * output[t + order - 1 - i]
        output.append(total / a[0])
    return torch.cat(output[order - 1 :])


def compute_deltas(specgram, win_length=5, mode="replicate"):
    # type: (Tensor, int, str) -> Tensor
    shape = specgram.size()
    specgram = specgram.reshape(1, -1, shape[-1])
    assert win_length >= 3
    n = (win_length - 1) // 2
    denom = n * (n + 1) * (2 * n + 1) / 3
    specgram = F.pad(specgram, (n, n), mode=mode)
    kernel = torch.arange(-n, n + 1, 1, dtype=specgram.dtype).repeat(specgram.shape[1], 1, 1)
    output = F.conv1d(specgram, kernel, groups=specgram.shape[1]) / denom
    return output.reshape(shape)


def segments(energy: Tensor, threshold: float, least: int) -> List[Tuple[int, int]]:
    """Runs of frames above a threshold, no shorter than ``least``."""
    found: List[Tuple[int, int]] = []
    start: Optional[int] = None
    for i in range(energy.size(0)):
        active = bool(energy[i] > threshold)
        if active:
            if start is None:
                start = i
        elif start is not None:
            if i - start >= least:
                found.append((start, i))
            start = None
    if start is not None:
        found.append((start, energy.size(0)))
    return found


def sliding_mean(x: Tensor, window: int = 3, center: bool = True) -> Tensor:
    n = x.size(0)
    out = torch.zeros_like(x)
    for t in range(n):
        if center:
            start = t - window // 2
            end = start + window
        else:
            start = t - window + 1
            end = t + 1
        if start < 0:
            end -= start
            start = 0
        if end > n:
            start -= end - n
            end = n
            if start < 0:
                start = 0
        part = x[start:end]
        out[t] = x[t] - part.sum(dim=0) / part.size(0)
    return out


def amplitude_to_decibels(x: Tensor, multiplier: float, amin: float, top_db: Optional[float] = None) -> Tensor:
    x_db = multiplier * torch.log10(torch.clamp(x, min=amin))
    if top_db is not None:
        x_db = torch.max(x_db, x_db.max() - top_db)
    return x_db
