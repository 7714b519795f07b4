"""Named results of operations that give several tensors: ``jitorch.max(x, 0).values``."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def _show(self: Any) -> str:
    fields = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
    return f"jitorch.return_types.{type(self).__name__}(\n{fields})"


def result_type(name: str, *fields: str) -> Any:
    """A named tuple that prints as PyTorch's ``return_types`` do."""
    cls = namedtuple(name, fields)  # type: ignore[misc]
    cls.__repr__ = _show  # type: ignore[method-assign]
    cls.__module__ = "jitorch.return_types"
    cls.__doc__ = f"The results of `jitorch.{name}`: {', '.join(fields)}."
    return cls


Max = result_type("max", "values", "indices")
Min = result_type("min", "values", "indices")
AMinMax = result_type("aminmax", "min", "max")
Median = result_type("median", "values", "indices")
NanMedian = result_type("nanmedian", "values", "indices")
Mode = result_type("mode", "values", "indices")
KthValue = result_type("kthvalue", "values", "indices")
Sort = result_type("sort", "values", "indices")
TopK = result_type("topk", "values", "indices")
CumMax = result_type("cummax", "values", "indices")
CumMin = result_type("cummin", "values", "indices")
