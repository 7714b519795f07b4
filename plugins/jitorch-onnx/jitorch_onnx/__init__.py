"""Export of jitorch functions and models to ONNX files."""

from jitorch_onnx.export import OPSETS, export

__all__ = ["OPSETS", "export"]
