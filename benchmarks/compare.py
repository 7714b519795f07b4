"""Outputs are compared before times count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """``||actual - expected|| / ||expected||`` in float64; infinite where shapes or non-finite elements differ."""
    if actual.shape != expected.shape:
        return float("inf")
    a, b = actual.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
        return float("inf")
    error, size = np.linalg.norm(a[finite] - b[finite]), np.linalg.norm(b[finite])
    return float(error / size) if size else float(error)


def mismatch(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float) -> str:
    """What is wrong with ``actual``, or an empty string."""
    if len(actual) != len(expected):
        return f"{len(actual)} outputs, expected {len(expected)}"
    for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
        if a.shape != b.shape:
            return f"output {i} has shape {a.shape}, expected {b.shape}"
        off = difference(a, b)
        if not off <= tolerance:
            return f"output {i} is off by {off:.2g}, allowed {tolerance:.2g}"
    return ""
