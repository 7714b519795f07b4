"""How tensors print, element for element as PyTorch prints them.

All numbers of a tensor share one notation and one width: integers with a point if all are whole,
else ``precision`` digits, in scientific notation if they are far apart, very large or very small.
A tensor of more than ``threshold`` elements shows ``edgeitems`` at either end of each axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.errors import ValueRangeError


@dataclass(frozen=True)
class Options:
    """See `set_printoptions`."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PROFILES = {"default": Options(), "short": Options(precision=2, edgeitems=2), "full": Options(threshold=math.inf)}
_options = [PROFILES["default"]]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print.

    ``precision``: digits after the point.  ``threshold``: from more elements than this on only
    ``edgeitems`` at each end of an axis are shown.  ``linewidth``: characters a line.  ``profile``:
    "default", "short" or "full" sets them all first.  ``sci_mode``: scientific notation always or
    never; None, also where it is not given, lets the numbers decide.
    """
    if profile is not None:
        if profile not in PROFILES:
            raise ValueRangeError("unknown print profile", expected=", ".join(PROFILES), actual=profile)
        _options[0] = PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _options[0] = replace(_options[0], sci_mode=sci_mode, **changes)


def get_printoptions() -> dict[str, Any]:
    """The current options, by name."""
    return {name: getattr(_options[0], name) for name in Options.__dataclass_fields__}


Format = Callable[[Any], str]


def _number_format(values: list[float], options: Options) -> tuple[Format, int]:
    """A function that shows each of ``values`` (floats), and the width it pads them to."""
    sizes = [abs(v) for v in values if math.isfinite(v) and v != 0]
    shown = [v for v in values if math.isfinite(v) and v != 0]
    whole = all(v == math.floor(v) for v in shown)
    scientific, width = False, 1
    fixed = f".{options.precision}f"
    exponent = f".{options.precision}e"
    if sizes:
        least, greatest = min(sizes), max(sizes)
        apart = greatest > 1000 * least or greatest > 1e8
        scientific = apart or (not whole and least < 1e-4)
    if options.sci_mode is not None:
        scientific = options.sci_mode
    if shown:
        form = exponent if scientific else ".0f" if whole else fixed
        width = max(len(format(v, form)) for v in shown) + (whole and not scientific)

    def show(value: float) -> str:
        if scientific:
            text = format(value, exponent)
        elif whole:
            text = format(value, ".0f") + ("." if math.isfinite(value) else "")
        else:
            text = format(value, fixed)
        return text.rjust(width)

    return show, width


def _complex_format(values: list[complex], options: Options) -> tuple[Format, int]:
    real, real_width = _number_format([v.real for v in values], options)
    imaginary, imaginary_width = _number_format([v.imag for v in values], options)

    def show(value: complex) -> str:
        second = imaginary(value.imag).lstrip()
        return f"{real(value.real)}{'' if second[0] in '+-' else '+'}{second}j"

    return show, real_width + imaginary_width + 1


def _format_of(array: np.ndarray[Any, Any], options: Options) -> tuple[Format, int]:
    """How to show the elements of ``array``, and how wide one is."""
    category = dtypes.from_numpy(array.dtype).category
    values = array.ravel().tolist()
    if category is Category.COMPLEX:
        return _complex_format(values, options)
    if category is Category.FLOAT:
        return _number_format([float(v) for v in values], options)
    width = max((len(str(v)) for v in values), default=1)
    return lambda value: str(value).rjust(width), width


def _edges(array: np.ndarray[Any, Any], edge: int) -> np.ndarray[Any, Any]:
    """The elements that a summary shows."""
    for axis in range(array.ndim):
        size = array.shape[axis]
        if size > 2 * edge:
            array = np.take(array, [*range(edge), *range(size - edge, size)], axis)
    return array


def _indices(size: int, summarize: bool, edge: int) -> Iterable[int | None]:
    """The positions along an axis to show; None stands for those left out."""
    if not summarize or size <= 2 * edge:
        return range(size)
    return [*range(edge), None, *range(size - edge, size)]


class _Writer:
    """Writes nested brackets."""

    def __init__(self, options: Options, show: Format, width: int, summarize: bool):
        self.options, self.show, self.width, self.summarize = options, show, width, summarize

    def write(self, array: np.ndarray[Any, Any], indent: int) -> str:
        if array.ndim == 0:
            return self.show(array.item())
        if array.ndim == 1:
            return self._row(array, indent)
        parts = [
            "..." if i is None else self.write(array[i], indent + 1)
            for i in _indices(array.shape[0], self.summarize, self.options.edgeitems)
        ]
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"

    def _row(self, array: np.ndarray[Any, Any], indent: int) -> str:
        a_line = max(1, (self.options.linewidth - indent) // (self.width + 2))
        if self.summarize and not self.options.edgeitems:
            items = ["..."]
        else:
            chosen = _indices(array.shape[0], self.summarize, self.options.edgeitems)
            items = [" ..." if i is None else self.show(array[i].item()) for i in chosen]
        lines = [", ".join(items[i : i + a_line]) for i in range(0, len(items), a_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def array_text(array: np.ndarray[Any, Any], indent: int = 0) -> str:
    """The elements of ``array`` in nested brackets, continued lines indented by ``indent``."""
    options = _options[0]
    if array.dtype.itemsize == 2 and dtypes.from_numpy(array.dtype).category is Category.FLOAT:
        array = array.astype(np.float32)
    summarize = array.size > options.threshold
    show, width = _format_of(_edges(array, options.edgeitems) if summarize else array, options)
    return _Writer(options, show, width, summarize).write(array, indent)


def _suffixes(tensor: Any) -> list[str]:
    dtype, default = tensor.dtype, dtypes.get_default()
    notes = []
    options = _options[0]
    hidden = not options.edgeitems and tensor.numel() > options.threshold
    if hidden or (tensor.numel() == 0 and tensor.ndim != 1):
        notes.append(f"size={tuple(tensor.shape)}")
    if tensor.numel() == 0:
        # Without elements nothing shows that the dtype is int64 or bool.
        usual = (default,)
    else:
        complex_default = dtypes.complex128 if default is dtypes.float64 else dtypes.complex64
        usual = (default, complex_default, dtypes.int64, dtypes.bool_)
    if dtype not in usual:
        notes.append(f"dtype={dtype}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn={tensor.grad_fn!r}")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return notes


def tensor_text(tensor: Any) -> str:
    """``tensor([[1., 2.]], dtype=..., requires_grad=True)``; one without data shows its type."""
    if tensor._array is None:
        return f"tensor(<{tensor.type}>)"
    prefix = "tensor("
    indent = len(prefix)
    body = prefix + (array_text(tensor._array, indent) if tensor.numel() else "[]")
    column = len(body) - body.rfind("\n") + 1
    for note in _suffixes(tensor):
        if column + len(note) + 2 > _options[0].linewidth:
            body += ",\n" + " " * indent + note
            column = indent + len(note)
        else:
            body += ", " + note
            column += len(note) + 2
    return body + ")"
