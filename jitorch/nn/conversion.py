"""The forms of arguments that `Module.to` takes."""

from __future__ import annotations

from typing import Any

from jitorch.dtypes import DType
from jitorch.errors import ArgumentError
from jitorch.tensor import Tensor


def parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Device and dtype, each or None, from the forms that ``Module.to`` takes."""
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    # A hint and a layout that have no meaning here.
    kwargs.pop("non_blocking", None)
    kwargs.pop("memory_format", None)
    if kwargs:
        raise ArgumentError(f"to() got an unexpected argument {next(iter(kwargs))!r}")
    for position, arg in enumerate(args):
        if isinstance(arg, Tensor):
            device, dtype = arg.device, arg.dtype
        elif isinstance(arg, DType):
            dtype = arg
        elif isinstance(arg, bool) or position > 1:
            continue
        elif arg is not None:
            device = arg
    return device, dtype
