"""`jit.script`: what users call with a function, a class or a module."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

from jitorch.errors import CompileError
from jitorch.frontend.jitted import Jitted
from jitorch.frontend.script.compiler import Compiler
from jitorch.frontend.script.function import ScriptFunction, build
from jitorch.frontend.script.modules import is_module
from jitorch.frontend.script.program import Function, Program

script_module: list[Callable[[Any, Mapping[str, bool]], Any]] = []
"""What scripts a module: set by `jitorch.nn.script_module`, which stands above."""


def script(
    obj: Any,
    optimize: Any = None,
    _frames_up: int = 0,
    _rcb: Any = None,
    example_inputs: Any = None,
    *,
    fullgraph: bool = False,
    tune: bool = False,
) -> Any:
    """Compile typed Python without running it: a function, a class, or a module with its submodules.

    The source is parsed, and the type of every variable is found from annotations and use; a parameter without an
    annotation is a Tensor.  A function becomes a `ScriptFunction`, a module a `ScriptModule` with the same parameters,
    and a class remains itself, known to scripts.  A mistake is a `CompileError` at its line.

    ``fullgraph``: a call that cannot be one native program is a `StagingError`, never run as Python.  ``tune``: the
    first call of a signature measures whether its program is faster than its ops one by one.  ``jit.save`` writes the
    result to a file that needs no Python source.  docs/script.md is the guide.  The other parameters are PyTorch's and
    without effect.
    """
    if isinstance(obj, ScriptFunction):
        return obj
    settings = {"fullgraph": fullgraph, "tune": tune}
    if is_module(obj):
        return script_module[0](obj, settings)
    if isinstance(obj, type):
        return _script_class(obj)
    function = obj.__jit_wrapped__ if isinstance(obj, Jitted) else obj
    if not isinstance(function, types.FunctionType):
        raise CompileError(
            "only functions, classes and modules can be scripted", "unsupported", actual=type(obj).__name__,
            hint="script the module that has the method" if isinstance(function, types.MethodType) else None,
        )  # fmt: skip
    compiler = Compiler()
    record = compiler.function(function)
    return make_function(compiler.program, record, build(compiler.program, False), **settings)


def make_function(program: Program, record: Function, names: dict[str, Any], **settings: bool) -> ScriptFunction:
    """The object that users hold of a compiled function; ``settings`` are those of `Jitted`."""
    if record.graph is None:
        raise CompileError(f"{record.name} has overloads or is left to Python, so that it cannot be scripted alone",
                           "unsupported", hint="script a function that calls it")  # fmt: skip
    made = names[record.name]
    plain = made.__jit_wrapped__ if isinstance(made, Jitted) else made
    scripted = ScriptFunction(plain, program, record, names, **settings)
    # What a recursive call or another function of the program finds is this object.
    if isinstance(made, Jitted):
        names[record.name] = scripted
    return scripted


def _script_class(kind: type) -> type:
    if any(base.__module__ == "jitorch.nn.module" for base in kind.__mro__):
        raise CompileError(f"{kind.__name__} is a class of modules", "unsupported", hint="script an instance of it")
    compiler = Compiler()
    record = compiler.classes.of(kind)
    if record is None:
        raise CompileError(f"{kind.__name__} is no class of scripts", "unsupported")
    for name, member in list(kind.__dict__.items()):
        if isinstance(member, types.FunctionType) and (not name.startswith("__") or name == "__init__"):
            compiler.classes.method(record, name)
    return kind
