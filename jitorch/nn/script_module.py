"""`ScriptModule`: a module whose methods are scripts."""

from __future__ import annotations

import copy
import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jitorch.errors import CompileError, UnsupportedError
from jitorch.frontend.script import codegen, door, marks
from jitorch.frontend.script.compiler import Compiler
from jitorch.frontend.script.function import Scripted, build
from jitorch.frontend.script.function import save as savers
from jitorch.frontend.script.modules import INTERNAL, entry_points
from jitorch.frontend.script.program import Class, Program
from jitorch.ir.graph import Graph
from jitorch.nn.module import Module


@dataclass(frozen=True)
class Script:
    """What a scripted module was made from."""

    program: Program
    names: dict[str, Any]
    record: Class
    entries: tuple[str, ...]
    settings: Mapping[str, bool] = field(default_factory=dict)  # of `Jitted`, for each method


class ScriptMethod(Scripted):
    """A compiled method of one scripted module."""

    def __repr__(self) -> str:
        return f"<scripted {self._record.name}>"


class _Meta(type):
    """Compiles an instance of the user's own subclass when its constructors are through, as PyTorch does."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        if "_script" not in made.__dict__ and any(
            marks.mark_of(member) == "script_method" for member in vars(type(made)).values()
        ):
            _compile_in_place(made)
        return made


class ScriptModule(Module, metaclass=_Meta):
    """A module that `jit.script` made or `jit.load` read: parameters, buffers and submodules as in every module.

    ``graph`` and ``code`` show ``forward``; ``code_with_types`` all that the module needs.  A subclass may mark its
    methods with ``jit.script_method``; an instance is then compiled when it is made.
    """

    def _state(self) -> Script:
        found = self.__dict__.get("_script")
        if found is None:
            raise UnsupportedError(f"{type(self).__name__} has no compiled method", hint="mark one with script_method")
        return found

    @property
    def original_name(self) -> str:
        """The name of the Python class."""
        return self._state().record.name

    @property
    def graph(self) -> Graph:
        """The script graph of ``forward``."""
        return self._method("forward").graph

    @property
    def code(self) -> str:
        """``forward`` as Python."""
        return self._method("forward").code

    @property
    def program_code(self) -> str:
        """The classes and functions of the module as one Python program."""
        return codegen.generate(self._state().program).text

    def save(self, f: Any, **kwargs: Any) -> None:
        """Write the module to a path or binary file, as `jit.save` does."""
        savers[0](self, f, **kwargs)

    def _method(self, name: str) -> ScriptMethod:
        found = self.__dict__.get(name)
        if not isinstance(found, ScriptMethod):
            raise UnsupportedError(f"{name} is not compiled", hint="mark it with jit.export")
        return found

    def explain(self, *, source: bool = False) -> str:
        """What ran natively, what as Python and why: each compiled method, and those that Python code called."""
        parts = [self._method(name).explain(source=source) for name in self._state().entries]
        for path, module in self.named_modules():
            called = [v for v in vars(module).values() if isinstance(v, ScriptMethod) and v.entries]
            for method in called if module is not self else ():
                parts.append(f"{path}, called from Python:")
                parts += ["  " + line for line in method.explain().splitlines()]
        return "\n".join(parts)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        new: Any = object.__new__(type(self))
        memo[id(self)] = new
        state = self.__dict__.get("_script")
        entries = () if state is None else state.entries
        own = {n: v for n, v in self.__dict__.items() if n != "_script" and n not in entries}
        new.__dict__.update(copy.deepcopy(own, memo))
        if state is not None:
            attach(new, state)
        return new

    def __reduce__(self) -> Any:
        raise UnsupportedError("a scripted module cannot be pickled", hint="use jit.save and jit.load")


def attach(module: Module, state: Script) -> None:
    """Give ``module`` the compiled methods of its class."""
    module.__dict__["_script"] = state
    kind = state.names[state.record.name]
    for name in state.entries:
        function = inspect.getattr_static(kind, name)
        bound = function.__func__ if isinstance(function, staticmethod) else types.MethodType(function, module)
        record = state.record.methods[name]
        module.__dict__[name] = ScriptMethod(bound, state.program, record, state.names, 1, **state.settings)


def script_module(module: Module, settings: Mapping[str, bool]) -> Module:
    """A `ScriptModule` that shares parameters and buffers with ``module``."""
    if isinstance(module, ScriptModule) and "_script" in module.__dict__:
        return module
    compiler = Compiler()
    record = compiler.modules.of(module)
    entries = compile_entries(compiler, module)
    names = build(compiler.program, False)
    bind_python(compiler.program, names)
    if record.kind != "module":
        raise CompileError(
            f"{type(module).__name__} is a module of the library, which needs no script", "unsupported",
            hint="put it into a module of your own, or save that",
        )  # fmt: skip
    return _Wrapping(compiler, names, entries, settings).wrap(module)


def compile_entries(compiler: Compiler, module: Module) -> dict[int, tuple[str, ...]]:
    """Compile ``forward`` and the marked methods of a module and its submodules; which those are, by identity."""
    entries: dict[int, tuple[str, ...]] = {}
    for found in module.modules():
        record = compiler.modules.of(found)
        if record.kind != "module":
            continue
        names = entry_points(found)
        for name in names:
            compiler.classes.method(record, name)
        entries[id(found)] = tuple(n for n in names if record.methods[n].graph is not None)
    return entries


def bind_python(program: Program, names: dict[str, Any]) -> None:
    """Give the generated classes the methods that were left to Python."""
    for record in program.classes.values():
        if record.kind != "module":
            continue
        for name, function in record.methods.items():
            if function.python:
                setattr(names[record.name], name, function.source)


class _Wrapping:
    """Builds the scripted twins of a tree of modules, each once."""

    def __init__(
        self, compiler: Compiler, names: dict[str, Any], entries: dict[int, tuple[str, ...]],
        settings: Mapping[str, bool],
    ):  # fmt: skip
        self.compiler, self.names, self.entries, self.settings = compiler, names, entries, settings
        self.made: dict[int, Module] = {}

    def wrap(self, module: Module) -> Module:
        if id(module) not in self.made:
            self.made[id(module)] = self._wrapped(module)
        return self.made[id(module)]

    def _wrapped(self, module: Module) -> Module:
        record = self.compiler.modules.of(module)
        children = {n: None if m is None else self.wrap(m) for n, m in module._modules.items()}
        if record.kind != "module":
            if all(children[n] is m for n, m in module._modules.items()):
                return module
            twin: Any = object.__new__(type(module))
            twin.__dict__.update(module.__dict__)
            twin.__dict__["_modules"] = children
            return twin
        made: Any = object.__new__(self.names[record.name])
        fill(made, module, children)
        attach(made, Script(self.compiler.program, self.names, record, self.entries[id(module)], self.settings))
        return made


def fill(made: Module, module: Module, children: dict[str, Any]) -> None:
    """Copy what ``module`` holds: the tables are new, the tensors the same."""
    for name, value in module.__dict__.items():
        if name not in INTERNAL:
            made.__dict__[name] = value.value if isinstance(value, marks.Attribute) else value
    for name in ("_parameters", "_buffers", "_non_persistent_buffers_set", "_forward_pre_hooks", "_forward_hooks"):
        made.__dict__[name] = copy.copy(module.__dict__[name])
    made.__dict__["_modules"] = children
    made.__dict__["training"] = module.training


def _compile_in_place(module: Module) -> None:
    compiler = Compiler()
    record = compiler.modules.of(module)
    entries = compile_entries(compiler, module)
    names = build(compiler.program, False)
    bind_python(compiler.program, names)
    wrapping = _Wrapping(compiler, names, entries, {})
    for name, child in list(module._modules.items()):
        if child is not None:
            module._modules[name] = wrapping.wrap(child)
    for name, value in list(module.__dict__.items()):
        if isinstance(value, marks.Attribute):
            module.__dict__[name] = value.value
    attach(module, Script(compiler.program, names, record, entries[id(module)]))


door.script_module[:] = [script_module]
