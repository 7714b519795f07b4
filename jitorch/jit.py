"""The public door of the compiler: a module that can be called.

    @jitorch.jit
    def step(x): ...

    compiled = jitorch.jit(model, fullgraph=True, backend="cpu")
"""

from __future__ import annotations

import sys
import types
from typing import Any

from jitorch.frontend.jitted import Jitted, disable

__all__ = ["Jitted", "disable", "jit"]


def jit(
    function: Any = None, *, fullgraph: bool = False, backend: str | None = None, dynamic: bool | None = None
) -> Any:
    """Compile a function, a Module or a whole training step.

    The Python runs once per signature and is recorded; later calls run one native program as long
    as everything the trace read is unchanged.  What cannot be staged runs eagerly with one warning,
    or is a `StagingError` with ``fullgraph=True``.
    """
    if function is None:
        return lambda f: jit(f, fullgraph=fullgraph, backend=backend, dynamic=dynamic)
    return Jitted(function, fullgraph=fullgraph, backend=backend, dynamic=dynamic)


class _CallableModule(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return jit(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
