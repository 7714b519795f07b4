"""Results as a run of the benchmark would leave them."""

from __future__ import annotations

from typing import Any


def timed(seconds: float, note: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {"seconds": seconds, "samples": [seconds], "first": 0.1}
    return {**result, "note": note} if note else result


ROWS = {
    "W1.pointwise_1e3": {
        "jitorch": timed(1e-6),
        "jitorch-eager": timed(4e-6),
        "torch": timed(5e-6),
        "numpy": timed(3e-6),
        "jax": {"error": "ValueError: no device"},
    },
    "W3.matmul_512": {
        "jitorch": timed(2e-3),
        "torch": timed(1.9e-3),
        "numpy": timed(1e-3),
        "numba": {"skip": "no loop over scalars"},
    },
    "W5.resnet18_b1": {"jitorch": timed(0.02), "torch": timed(0.03)},
    "W7.lstm_128steps": {
        "jitorch": {"mismatch": "output 0 is off by 0.5, allowed 0.001"},
        "torch": timed(7e-3, "torch.nn.LSTM"),
    },
}
FOUND = {
    "threads": 2,
    "rounds": 9,
    "machine": {
        "processor": "Example 1000",
        "instructions": ["sse2", "avx2"],
        "cores": 2,
        "load": 0.1,
        "memory_gb": 8,
        "system": "Linux 6.1",
        "python": "3.11.0",
    },
    "versions": {"numpy": "2.0", "torch": "2.13.0"},
    "blas": ["openblas 0.3.31 (Haswell)"],
    "rows": ROWS,
    "once": {
        "W10.import": {"jitorch": {"value": 0.1}, "torch": {"value": 1.5}},
        "W10.memory_mlp_step": {"jitorch": {"value": 2**20}, "torch": {"value": 2**21}},
    },
    "growth": {"nodes": {"jitorch": {"1": 0.01, "10": 0.1, "100": 1.0}}},
}
