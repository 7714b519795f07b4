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

from jitorch.errors import ArgumentError
from jitorch.frontend.calls.modes import disable
from jitorch.frontend.jitted import Jitted
from jitorch.frontend.python.marks import ignore, unroll

__all__ = ["Jitted", "disable", "ignore", "jit", "unroll"]


def jit(
    function: Any = None,
    *,
    fullgraph: bool = False,
    backend: str | None = None,
    dynamic: bool | None = None,
    check: str | None = None,
    donate: str | int | Sequence[str | int] = (),
    tune: bool = False,
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
    cannot be used any more.  ``tune``: the first call of each signature times its program, and its ops one by one, on
    copies of its inputs; the faster way is used from then on, in later processes too, which measure nothing.

    The result is called like the function, and has ``graph``, ``sources()``, ``statistics`` and ``explain()``::

        <jitted power>: 2 traces, 3 calls, 3 native, 0 eager
        trace 1: first call
          2 calls, 6 nodes, 6 guards, 1.2 ms to trace
          runs compiled: at most 640 ns; op by op: 2.1 us (table of AMD EPYC, 2 threads, 2026-11-30)
          program power (compiled):
            cpu: the whole graph as 1 kernels in one native function
        trace 2: settings.depth was 2; now it is 3
          1 calls, 9 nodes, 6 guards, 0.9 ms to trace
          runs compiled: at most 960 ns; op by op: 3.2 us (table of AMD EPYC, 2 threads, 2026-11-30)
          program power (compiled):
            cpu: the whole graph as 1 kernels in one native function

    docs/jit.md is the guide.
    """
    if check not in (None, "first"):
        raise ArgumentError("jit: check", expected='"first" or None', actual=check)
    if function is None:
        options = {"fullgraph": fullgraph, "backend": backend, "dynamic": dynamic, "check": check, "donate": donate}
        return lambda f: jit(f, **options, tune=tune)
    if not callable(function):
        raise ArgumentError("only what can be called can be compiled", actual=type(function).__name__)
    return Jitted(
        function, fullgraph=fullgraph, backend=backend, dynamic=dynamic, checks=check, donate=donate, tune=tune
    )


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
    "freeze": ("jitorch.nn.freezing", "freeze"),
    "load": ("jitorch.saved", "load"),
    "optimize_for_inference": ("jitorch.nn.freezing", "optimize_for_inference"),
    "save": ("jitorch.saved", "save"),
    "script": ("jitorch.frontend.script.door", "script"),
    "script_if_tracing": ("jitorch.frontend.script.door", "script"),
    "trace": ("jitorch.nn.traced_module", "trace"),
    "trace_module": ("jitorch.nn.traced_module", "trace_module"),
    "TracedModule": ("jitorch.nn.traced_module", "TracedModule"),
    "TracedFunction": ("jitorch.frontend.tracing", "TracedFunction"),
    "TracingCheckError": ("jitorch.errors", "TracingCheckError"),
    "TracerWarning": ("jitorch.errors", "TracerWarning"),
}


def __getattr__(name: str) -> Any:
    # The script compiler and what stands above this module is imported when it is first used.
    if name not in _LATE:
        raise AttributeError(f"module 'jitorch.jit' has no attribute {name!r}")
    module, attribute = _LATE[name]
    if name in ("script", "trace", "trace_module"):
        import_module("jitorch.saved")  # which tells these how modules are scripted, and how they are saved
    # Not kept here: `isinstance` would hide Python's own from this module.
    return getattr(import_module(module), attribute)


class _CallableModule(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return jit(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
