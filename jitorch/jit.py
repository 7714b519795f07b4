"""The public door of the compiler: a module that can be called.

@jitorch.jit
def step(x): ...

compiled = jitorch.jit(model, fullgraph=True, backend="cpu")
traced = jitorch.jit.trace(model, (example,))
scripted = jitorch.jit.script(model)
"""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from jitorch.errors import ArgumentError, StagingError
from jitorch.frontend.defaults import default_generator
from jitorch.frontend.jitted import Jitted
from jitorch.frontend.modes import disable
from jitorch.frontend.python.marks import ignore, unroll
from jitorch.tensor import Tensor

__all__ = ["Jitted", "disable", "ignore", "jit", "trace", "unroll"]


def jit(
    function: Any = None,
    *,
    fullgraph: bool = False,
    backend: str | None = None,
    dynamic: bool | None = None,
    check: str | None = None,
    donate: str | int | Sequence[str | int] = (),
) -> Any:
    """Compile a function, a Module or a whole training step; also a decorator, with or without arguments.

    The Python runs once per signature and is recorded; later calls run one native program as long as everything the
    trace read is unchanged: shapes, dtypes and flags of tensors, attributes, items, globals, lengths, identities.
    Floats are run-time values.  Writes are replayed after each call.  Branches and loops that depend on the values of
    tensors become branches and loops of the program; see `unroll` and `ignore`.  What cannot be staged runs eagerly
    with one warning.

    ``fullgraph``: what cannot be staged is a `StagingError` instead.  ``backend``: by name; an unknown one, or one
    that cannot run here, is a `BackendError` at the first call.  ``dynamic``: None makes an axis symbolic when its
    second size is seen, True all axes longer than 1 from the start, False none.  ``check="first"``: before a new
    program is used it is run beside what it means, op by op, and a difference is a `CompilerBug`.  ``donate``: names or
    positions of arguments whose tensors nobody needs after a call: results may take their memory, and those tensors
    cannot be used any more.

    The result is called like the function, and has ``graph``, ``sources()``, ``statistics`` and ``explain()``::

        <jitted power>: 2 traces, 3 calls, 3 native, 0 eager
        trace 1: first call
          2 calls, 6 nodes, 6 guards, 1.2 ms to trace
          program power (compiled):
            cpu: the whole graph as 1 kernels in one native function
        trace 2: settings.depth was 2; now it is 3
          1 calls, 9 nodes, 6 guards, 0.9 ms to trace
          program power (compiled):
            cpu: the whole graph as 1 kernels in one native function

    docs/jit.md is the guide.
    """
    if check not in (None, "first"):
        raise ArgumentError("jit: check", expected='"first" or None', actual=check)
    if function is None:
        return lambda f: jit(f, fullgraph=fullgraph, backend=backend, dynamic=dynamic, check=check, donate=donate)
    if not callable(function):
        raise ArgumentError("only what can be called can be compiled", actual=type(function).__name__)
    return Jitted(function, fullgraph=fullgraph, backend=backend, dynamic=dynamic, checks=check, donate=donate)


def trace(
    function: Any, example_inputs: Any, *, check_trace: bool = True, check_tolerance: float = 1e-5, strict: bool = True
) -> Jitted:
    """Compile ``function`` for ``example_inputs`` (a tensor or a tuple), run it on them, and check the result.

    Unlike PyTorch's, the trace is guarded: a call that does not fit it is traced anew, and Python that depends on the
    data of a tensor is a `StagingError` at its line, never frozen.  The check runs the function eagerly with the same
    random numbers and raises a `StagingError` that names the first result which differs by more than
    ``check_tolerance`` (relative and absolute).  What the function writes, it writes in both runs, so check a
    training step with ``check_trace=False``.  ``strict`` is accepted for PyTorch's sake.
    """
    arguments = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    compiled = jit(function, fullgraph=True)
    state = default_generator.get_state()
    result = compiled(*arguments)
    if check_trace:
        default_generator.set_state(state)
        with disable():
            expected = function(*arguments)
        _compare(result, expected, check_tolerance, "result")
    return compiled


def _compare(actual: Any, expected: Any, tolerance: float, where: str) -> None:
    if isinstance(expected, Tensor):
        close = isinstance(actual, Tensor) and actual.type == expected.type
        pair = (actual.detach().numpy(), expected.detach().numpy()) if close else (0, 1)
        if not np.allclose(*pair, rtol=tolerance, atol=tolerance, equal_nan=True):
            raise StagingError(f"the trace and the function differ: {where}", expected=expected, actual=actual)
    elif isinstance(expected, dict):
        for key, value in expected.items():
            _compare(actual[key], value, tolerance, f"{where}[{key!r}]")
    elif isinstance(expected, (list, tuple)):
        for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
            _compare(a, b, tolerance, f"{where}[{i}]")
    elif actual != expected:
        raise StagingError(f"the trace and the function differ: {where}", expected=expected, actual=actual)


_MARKS = ("Attribute", "Final", "annotate", "export", "interface", "is_scripting", "is_tracing",
          "optimized_execution", "script_method", "unused")  # fmt: skip
_LATE = {name: ("jitorch.frontend.script.marks", name) for name in _MARKS} | {
    "isinstance": ("jitorch.frontend.script.marks", "isinstance_"),
    "_overload": ("jitorch.frontend.script.marks", "overload"),
    "_overload_method": ("jitorch.frontend.script.marks", "overload"),
    "CompileError": ("jitorch.errors", "CompileError"),
    "ScriptFunction": ("jitorch.frontend.script.function", "ScriptFunction"),
    "ScriptModule": ("jitorch.nn.script_module", "ScriptModule"),
    "RecursiveScriptModule": ("jitorch.nn.script_module", "ScriptModule"),
    "load": ("jitorch.saved", "load"),
    "save": ("jitorch.saved", "save"),
    "script": ("jitorch.frontend.script.door", "script"),
    "script_if_tracing": ("jitorch.frontend.script.door", "script"),
}


def __getattr__(name: str) -> Any:
    # The script compiler is imported when it is first used.
    if name not in _LATE:
        raise AttributeError(f"module 'jitorch.jit' has no attribute {name!r}")
    module, attribute = _LATE[name]
    if name == "script":
        import_module("jitorch.saved")  # which tells the compiler how modules are scripted and scripts saved
    # Not kept here: `isinstance` would hide Python's own from this module.
    return getattr(import_module(module), attribute)


class _CallableModule(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return jit(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
