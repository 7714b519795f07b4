"""Export of jitorch functions and models to ONNX files."""

from jitorch.errors import mark_internal
from jitorch_onnx import rules
from jitorch_onnx.context import Context
from jitorch_onnx.export import OPSETS, export

mark_internal(__file__)

__all__ = ["OPSETS", "Context", "export", "rules"]
