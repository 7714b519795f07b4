"""Tools around training."""

from jitorch.utils import data

__all__ = [
    "data",
]
