"""The door to the ONNX exporter, which is a package of its own: ``pip install jitorch-onnx``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from jitorch.errors import MissingExtraError

__all__ = ["export"]


def export(
    model: Callable[..., Any],
    args: Any = (),
    path: str | os.PathLike[str] | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_axes: Any = None,
    opset_version: int = 18,
    **options: Any,
) -> Any:
    """Write ``model``, a function or a `jitorch.nn.Module`, as an ONNX file; returns the ``onnx.ModelProto``.

    See `jitorch_onnx.export` for the parameters and ``options``.  MissingExtraError where the exporter, or
    the package ``onnx`` that it needs, is not installed.
    """
    try:
        from jitorch_onnx import export as write
    except ModuleNotFoundError as error:
        if error.name not in ("jitorch_onnx", "onnx"):
            raise
        raise MissingExtraError(
            f"export to ONNX needs the package {error.name}", hint="pip install jitorch-onnx"
        ) from None
    return write(
        model, args, path, input_names=input_names, output_names=output_names, dynamic_axes=dynamic_axes,
        opset_version=opset_version, **options,
    )  # fmt: skip
