"""The ONNX rules of jitorch's ops, attached from outside when this package is imported."""

from jitorch_onnx.rules import contraction, convert, gather, layer, reduce, shape, window

__all__ = ["contraction", "convert", "gather", "layer", "reduce", "shape", "window"]
