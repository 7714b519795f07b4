"""Tools around training."""

from jitorch.utils import checkpoint, data

__all__ = [
    "checkpoint",
    "data",
]
