"""Which C functions and source-less or foreign Python functions a trace may run as they are.

A pure function depends on its arguments alone and changes nothing.  What is not listed is opaque,
and calling it refuses the trace.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import fractions
import itertools
import types
import typing
from typing import Any

import numpy as np

# Modules of which every function written in C is pure.
_C_MODULES = frozenset({"math", "cmath", "_operator", "operator", "_bisect", "_heapq", "unicodedata", "binascii"})
# Modules of which Python functions, too, run natively: their caches and regular expressions are not ours to trace.
_PYTHON_MODULES = frozenset({"re", "string", "textwrap", "fnmatch", "fractions", "decimal", "numbers", "keyword"})
_BUILTINS = frozenset({"abs", "ascii", "bin", "chr", "divmod", "hex", "oct", "ord", "pow", "round"})

ITERTOOLS = frozenset(
    getattr(itertools, name) for name in dir(itertools) if isinstance(getattr(itertools, name), type) and name != "tee"
)

_PYTHON_FUNCTIONS = frozenset({dataclasses.fields, dataclasses.is_dataclass, typing.get_origin, typing.get_args})

# Classes whose construction from plain values is pure.
PURE_CLASSES = frozenset(
    {
        complex, bytes, decimal.Decimal, fractions.Fraction, datetime.date, datetime.datetime,
        datetime.time, datetime.timedelta, datetime.timezone, np.dtype, types.GenericAlias,
    }
)  # fmt: skip

# NumPy functions that read files, state or memory of others, or change their arguments.
_NUMPY_EFFECTS = frozenset(
    "load save savez savez_compressed loadtxt savetxt genfromtxt fromfile fromregex memmap open_memmap seterr "
    "seterrcall setbufsize set_printoptions printoptions show_config info lookfor test shares_memory may_share_memory "
    "empty empty_like getbufsize geterr frombuffer from_dlpack".split()
)

# Why calls of these are refused, for the user.
EFFECTS: dict[str, str] = {
    "print": "print() has an effect outside of the program",
    "input": "input() reads from outside of the program",
    "open": "open() reaches the file system",
    "exec": "exec() runs code that is not known",
    "eval": "eval() runs code that is not known",
    "compile": "compile() makes code that is not known",
    "hash": "hash() of an object differs from call to call",
    "breakpoint": "breakpoint() stops the program",
    "__import__": "__import__() may run a module",
}
# Modules whose functions have effects or read hidden state.
_EFFECT_MODULES = {
    "logging": "logging has an effect outside of the program",
    "warnings": "a warning is an effect outside of the program",
    "_warnings": "a warning is an effect outside of the program",
    "random": "Python's random numbers are drawn from hidden state",
    "_random": "Python's random numbers are drawn from hidden state",
    "numpy.random": "NumPy's random numbers are drawn from hidden state",
    "secrets": "random numbers are drawn from hidden state",
    "time": "the clock differs from call to call",
    "os": "the operating system is outside of the program",
    "posix": "the operating system is outside of the program",
    "nt": "the operating system is outside of the program",
    "io": "input and output are outside of the program",
    "_io": "input and output are outside of the program",
    "sys": "the interpreter's state is outside of the program",
    "threading": "threads are outside of the program",
    "_thread": "threads are outside of the program",
    "subprocess": "processes are outside of the program",
    "socket": "the network is outside of the program",
    "pickle": "pickling runs code that is not known",
    "gc": "the interpreter's state is outside of the program",
}


def effect(function: Any) -> str | None:
    """Why calling ``function`` cannot be staged, if it is known to have an effect or to read hidden state."""
    module = module_of(function)
    name = getattr(function, "__name__", type(function).__name__)
    if module == "builtins":
        return EFFECTS.get(name)
    for prefix, why in _EFFECT_MODULES.items():
        if module == prefix or module.startswith(prefix + "."):
            public = {"posix": "os", "nt": "os"}.get(prefix, prefix.lstrip("_"))
            return f"{why} ({public}.{name})"
    return None


def module_of(function: Any) -> str:
    """The module that a function, method or class belongs to."""
    owner = getattr(function, "__self__", None)
    bound = owner is not None and not isinstance(owner, types.ModuleType)
    if isinstance(function, types.BuiltinFunctionType) and bound:
        return (owner if isinstance(owner, type) else type(owner)).__module__
    module = getattr(function, "__module__", None)
    if isinstance(module, str):
        return module
    holder = getattr(function, "__objclass__", None)
    return holder.__module__ if isinstance(holder, type) else ""


def is_pure(function: Any) -> bool:
    """Whether ``function`` may be run on constant arguments."""
    module = module_of(function)
    name = getattr(function, "__name__", "")
    if isinstance(function, np.ufunc):
        return True
    if module == "numpy" or module.startswith("numpy."):
        return name not in _NUMPY_EFFECTS and not module.startswith("numpy.random")
    if isinstance(function, types.FunctionType):
        return module in _PYTHON_MODULES or function in _PYTHON_FUNCTIONS
    if module == "builtins":
        # ... and the class methods of immutable classes: int.from_bytes, str.maketrans.
        return name in _BUILTINS or getattr(function, "__self__", None) in (int, float, str, bytes)
    return module in _C_MODULES
