"""The public door of the compiler: a module that can be called.

@jitorch.jit
def step(x): ...

compiled = jitorch.jit(model, fullgraph=True, backend="cpu")
"""

from __future__ import annotations

import sys
import types
from typing import Any

from jitorch.errors import ArgumentError
from jitorch.frontend.jitted import Jitted, disable

__all__ = ["Jitted", "disable", "jit"]


def jit(
    function: Any = None, *, fullgraph: bool = False, backend: str | None = None, dynamic: bool | None = None
) -> Any:
    """Compile a function, a Module or a whole training step; also a decorator, with or without arguments.

    The Python runs once per signature and is recorded; later calls run one native program as long as everything the
    trace read is unchanged: shapes, dtypes and flags of tensors, attributes, items, globals, lengths, identities.
    Floats are run-time values.  Writes are replayed after each call.  What cannot be staged runs eagerly with one
    warning.

    ``fullgraph``: what cannot be staged is a `StagingError` instead.  ``backend``: by name; an unknown one, or one
    that cannot run here, is a `BackendError` at the first call.  ``dynamic``: None makes an axis symbolic when its
    second size is seen, True all axes longer than 1 from the start, False none.

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
    if function is None:
        return lambda f: jit(f, fullgraph=fullgraph, backend=backend, dynamic=dynamic)
    if not callable(function):
        raise ArgumentError("only what can be called can be compiled", actual=type(function).__name__)
    return Jitted(function, fullgraph=fullgraph, backend=backend, dynamic=dynamic)


class _CallableModule(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return jit(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
