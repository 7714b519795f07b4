"""The short way of elementwise ops in machine code: what `jitorch.frontend.eager.shortcut` does, without Python.

`install` makes builtins of LLVM IR (`jitorch.frontend.eager.native_text`) and puts them into type slots: those of the
operators of `Tensor`, and the call of an `Op`.  The attributes (``Tensor.__add__``, ``Op.__call__``) stay the
Python functions they were, and are the twins that the machine code asks for everything that is not plain; to
assign one makes Python fill the slot anew, so a changed operator is the one that runs.

The arithmetic is NumPy's own: the code calls the loop that a ufunc would pick, so results are equal bit for bit.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from jitorch.backends.cpu import extension
from jitorch.dtypes import bool_, float32, float64, int32, int64
from jitorch.errors import BackendError
from jitorch.frontend.eager import native_layout, shortcut, tape
from jitorch.frontend.eager import native_text as text
from jitorch.ops import dispatch, registry
from jitorch.tensor import Storage, Tensor, type_of_array

_DTYPES = (float32, float64, int64, int32, bool_)  # as in DTYPE_NAMES of the text

_OPERATORS = {
    "nb_add": "add", "nb_subtract": "sub", "nb_multiply": "mul", "nb_true_divide": "div", "nb_negative": "neg",
    "nb_absolute": "abs", "nb_and": "bitwise_and", "nb_or": "bitwise_or", "nb_xor": "bitwise_xor",
    "nb_invert": "bitwise_not",
}  # fmt: skip
_COMPARISONS = ("lt", "le", "eq", "ne", "gt", "ge")  # in the order of Py_LT to Py_GE
_METHODS = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "truediv", "neg": "neg", "abs": "abs", "bitwise_and": "and",
    "bitwise_or": "or", "bitwise_xor": "xor", "bitwise_not": "invert",
}  # fmt: skip
_REFLECTED = {"lt": "gt", "le": "ge", "eq": "eq", "ne": "ne", "gt": "lt", "ge": "le"}


class _Loop(ctypes.Structure):
    _fields_ = [
        ("function", ctypes.c_size_t), ("data", ctypes.c_size_t), ("result_dtype", ctypes.c_size_t),
        ("size", ctypes.c_int64), ("result_size", ctypes.c_int64),
    ]  # fmt: skip


class _Entry(ctypes.Structure):
    _fields_ = [
        ("op", ctypes.c_size_t), ("vjp", ctypes.c_size_t), ("twin", ctypes.c_size_t), ("arity", ctypes.c_int64),
        ("differentiable", ctypes.c_int64), ("known_type", ctypes.c_size_t), ("result_type", ctypes.c_size_t),
        ("loops", _Loop * len(_DTYPES)),
    ]  # fmt: skip


class _Ufunc(ctypes.Structure):
    """The head of a ufunc object (numpy/ufuncobject.h)."""

    _fields_ = [
        ("object", ctypes.c_size_t * 2), ("nin", ctypes.c_int), ("nout", ctypes.c_int), ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int), ("functions", ctypes.POINTER(ctypes.c_size_t)),
        ("data", ctypes.POINTER(ctypes.c_size_t)), ("ntypes", ctypes.c_int), ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p), ("types", ctypes.POINTER(ctypes.c_ubyte)),
    ]  # fmt: skip


_lock = threading.Lock()
_installed: list[bool] = []  # the answer of the first `install`
_kept: list[Any] = []


def install() -> bool:
    """Put the machine code in place, once; False if it is switched off, or cannot be made here."""
    with _lock:
        if not _installed:
            _installed.append(extension.attempt(_install) is not None)
        return _installed[0]


def _install() -> bool:
    ops = [op for op in registry.OPS.values() if op.scalar is not None and shortcut.loops_of(op).ufunc is not None]
    # The comparisons stand together, so that code may find them by number.
    ops.sort(key=lambda op: _COMPARISONS.index(op.name) if op.name in _COMPARISONS else -1)
    entries = (_Entry * len(ops))()
    for entry, op in zip(entries, ops):
        _describe(entry, op)
    names = [op.name for op in ops]
    size = ctypes.sizeof(_Entry)
    offsets = {name: names.index(name) * size for name in _OPERATORS.values()}
    objects = {
        "Tensor": Tensor, "Storage": Storage, "ElementNode": tape.ElementNode, "slot": dispatch._slot,
        "grad_enabled": dispatch._grad_enabled, "installed": dispatch._installed, "tape": dispatch.installed(),
        "inner": dispatch.installed().inner, "sequence": tape._sequence, "no_attrs": tape._NO_ATTRS,  # type: ignore[attr-defined]
        "empty": (), "zero": 0, "type_of_array": type_of_array, "op_twin": registry.Op.__call__,
        **{f"dtype_{name}": np.dtype(name) for name in native_layout.DTYPE_NAMES},
    }  # fmt: skip
    code = extension.load(
        text.text(offsets, size, names.index("lt") * size),
        (*(f"slot_{name}" for name in offsets), "compare", "call"),
        objects,
        {"entries": ctypes.addressof(entries)},
    )
    _kept.append(entries)
    slots = {slot: code[f"slot_{name}"] for slot, name in _OPERATORS.items()}
    extension.fill_slots(Tensor, {**slots, "tp_richcompare": code["compare"]})
    extension.fill_slots(registry.Op, {"tp_call": code["call"]})
    for entry, op in zip(entries, ops):
        op.entry = ctypes.addressof(entry)
    return True


def _describe(entry: _Entry, op: Any) -> None:
    loops: shortcut.Loops = op.loops
    twin = _twin(op.name, loops.arity)
    vjp = op.rules.get("vjp")
    nothing = object()  # no type is this object
    _kept.extend((twin, vjp, nothing))
    entry.op, entry.vjp, entry.twin, entry.arity = id(op), id(vjp), id(twin), loops.arity
    entry.differentiable = loops.differentiable
    entry.known_type = entry.result_type = id(nothing)
    # The code gives up both references when it keeps a type.
    for _ in range(2):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(nothing))
    ufunc = _Ufunc.from_address(id(loops.ufunc))
    known = loops.ufunc.types
    letters = known[0].replace("->", "")
    if (
        (ufunc.nin, ufunc.nout, ufunc.nargs) != (loops.arity, 1, loops.arity + 1)
        or ufunc.ntypes != len(known)
        or ufunc.name != loops.ufunc.__name__.encode()
        or [np.dtype(letter).num for letter in letters] != [ufunc.types[i] for i in range(len(letters))]
    ):
        raise BackendError("ufuncs of this NumPy are laid out in another way", actual=loops.ufunc.__name__)
    for place, dtype in zip(entry.loops, _DTYPES):
        result = loops.results.get(dtype)
        if result is None:
            continue
        index = known.index(f"{dtype.numpy.char * loops.arity}->{result.numpy.char}")
        place.function, place.data = ufunc.functions[index], ufunc.data[index] if ufunc.data else 0
        place.result_dtype = id(np.dtype(result.numpy.name))
        place.size, place.result_size = dtype.itemsize, result.itemsize


def _twin(name: str, arity: int) -> Callable[..., Any]:
    """What Python does for an operator of `Tensor`, by its attributes."""
    if name in _COMPARISONS:
        method, reflected = f"__{name}__", f"__{_REFLECTED[name]}__"
    else:
        method, reflected = f"__{_METHODS.get(name)}__", f"__r{_METHODS.get(name)}__"

    def unary(x: Any) -> Any:
        return getattr(type(x), method)(x)

    def binary(x: Any, y: Any) -> Any:
        result = getattr(type(x), method)(x, y) if isinstance(x, Tensor) else NotImplemented
        if result is NotImplemented and isinstance(y, Tensor) and not isinstance(x, Tensor):
            result = getattr(type(y), reflected)(y, x)
        return result

    return unary if arity == 1 else binary
