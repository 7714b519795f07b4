"""The ONNX rules of jitorch's ops, attached from outside when this package is imported."""

from jitorch_onnx.rules import (
    activation,
    contraction,
    control,
    convert,
    gather,
    normalization,
    ordering,
    pooling,
    reduce,
    running,
    shape,
    window,
)

__all__ = [
    "activation", "contraction", "control", "convert", "gather", "normalization", "ordering", "pooling", "reduce",
    "running", "shape", "window",
]  # fmt: skip
