"""What users hold of a scripted function, and how a program becomes Python that runs."""

from __future__ import annotations

import itertools
import linecache
import sys
import types
from collections.abc import Callable
from typing import Any

from jitorch import errors
from jitorch.errors import ArgumentError
from jitorch.frontend.calls.modes import Modes
from jitorch.frontend.entry import Entry
from jitorch.frontend.jitted import Jitted
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.script import codegen
from jitorch.frontend.script.program import Function, Program
from jitorch.frontend.script.relations import mismatch
from jitorch.frontend.script.spelling import spell
from jitorch.frontend.trace.course import Outcomes
from jitorch.ir.graph import Graph
from jitorch.ir.types import TENSOR

_counter = itertools.count(1)
GENERATED = "__script__"
"""The module that the classes of generated code say they are of."""

# Dataclasses look the module of a class up.
sys.modules.setdefault(
    GENERATED, types.ModuleType(GENERATED, "Where the classes of scripts that were read from files live.")
)


def build(program: Program, classes: bool) -> dict[str, Any]:
    """Run the code that is generated for ``program``; its names.

    With ``classes`` the user's classes are made anew, else those of this process serve.
    """
    code = codegen.generate(program, classes)
    file = f"<script {next(_counter)}>"
    names: dict[str, Any] = {"__name__": GENERATED}
    names.update(program.objects)
    if not classes:
        names.update({n: c.source for n, c in program.classes.items() if isinstance(c.source, type)})
    linecache.cache[file] = (len(code.text), None, [line + "\n" for line in code.lines], file)
    errors.mark_generated(file, code.origins)
    exec(compile(code.text, file, "exec", dont_inherit=True), names)
    for function in program.functions.values():
        made = names.get(function.name)
        if isinstance(made, types.FunctionType) and any("tensor" in str(p.type) for p in function.parameters):
            # Called from code that cannot be staged, it is compiled on its own.
            names[function.name] = Quiet(made)
    return names


save: list[Callable[..., None]] = []
"""What writes a script to a file: set by `jitorch.saved`, which stands above."""


class Quiet(Jitted):
    """A compiled function that does not warn when a call of it runs as Python: scripts say so in ``explain()``."""

    def _warn(self, refused: Refuse) -> None:
        pass


class Scripted(Quiet):
    """The common part of scripted functions and of the methods of scripted modules; ``settings`` are `Jitted`'s."""

    def __init__(
        self, function: Any, program: Program, record: Function, names: dict[str, Any], skip: int = 0,
        **settings: Any,
    ):  # fmt: skip
        super().__init__(function, **settings)
        self._program, self._record, self._names, self._skip = program, record, names, skip

    @property
    def graph(self) -> Graph:
        """The script graph: typed, with its control flow."""
        assert self._record.graph is not None
        return self._record.graph

    @property
    def inlined_graph(self) -> Graph:
        """The tensor program of the latest call, with everything that was called in it."""
        return Jitted.graph.fget(self)  # type: ignore[attr-defined,misc]

    @property
    def code(self) -> str:
        """The script as Python."""
        return codegen.generate_function(self._record).text

    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any], now: Modes, known: Outcomes = ()) -> Entry:
        check_arguments(self._record, args, kwargs, self._skip, self._class)
        return super()._trace(args, kwargs, now, known)

    def _class(self, name: str) -> type | None:
        found = self._names.get(name)
        return found if isinstance(found, type) else None

    def explain(self, *, source: bool = False) -> str:
        """As for `jit`; and what runs as Python around the compiled parts, with the reason."""
        parts = [super().explain(source=source)]
        for name, inner in self._names.items():
            if isinstance(inner, Quiet) and inner is not self and inner.entries:
                parts.append(f"{name}, called from Python:")
                parts += ["  " + line for line in inner.explain().splitlines()]
        return "\n".join(parts)


class ScriptFunction(Scripted):
    """A scripted function: call it like the function.

    ``graph`` is its typed graph, ``code`` readable Python made from that; `jitorch.jit.save` writes it to a file.
    """

    def __repr__(self) -> str:
        return f"<scripted {self._record.name}>"

    @property
    def name(self) -> str:
        """The function's name."""
        return self._record.name

    def save(self, f: Any, **kwargs: Any) -> None:
        """Write the function to a path or binary file, as `jit.save` does."""
        save[0](self, f, **kwargs)

    @property
    def schema(self) -> str:
        """The signature, such as ``f(Tensor x, int n=2) -> Tensor``."""
        spelled = []
        for p in self._record.parameters:
            spelled.append(f"{spell(p.type)} {p.name}" + (f"={p.default!r}" if p.has_default else ""))
        return f"{self._record.name}({', '.join(spelled)}) -> {spell(self._record.result)}"


def check_arguments(
    record: Function,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    skip: int,
    classes: Callable[[str], type | None],
) -> None:
    """Raise an ArgumentError for an argument that is not of its parameter's type."""
    parameters = record.parameters[skip:]
    given = dict(zip((p.name for p in parameters), args)) | kwargs
    for parameter in parameters:
        if parameter.name not in given:
            continue
        wrong = mismatch(given[parameter.name], parameter.type, classes)
        if wrong is not None:
            hint = "torch.tensor(...) makes a tensor of a number" if parameter.type == TENSOR else None
            raise ArgumentError(
                f"{record.name}: the argument has the wrong type",
                expected=f"{parameter.name}: {spell(parameter.type)}",
                actual=f"{parameter.name}{wrong}", hint=hint,
            )  # fmt: skip
