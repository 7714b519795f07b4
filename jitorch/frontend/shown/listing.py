"""The user's source with a mark for each line: what `Jitted.explain` shows with ``source=True``."""

from __future__ import annotations

import inspect
import linecache
import os
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any

from jitorch.backends.kernels import encode_size, evaluate_size
from jitorch.compiler import lowered
from jitorch.errors import Location, is_internal
from jitorch.frontend.shown.explain import in_bytes
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.graph import Graph
from jitorch.lower.names import Origins

Line = tuple[str, int]
_STAGED = {"a branch of the program": "branch", "a loop of the program": "loop", "a check": "check", "a test": "check"}
_LEGEND = {
    "branch": "a branch of the program", "loop": "a loop of the program", "check": "checked by the program",
    "python": "plain Python, while tracing", "folded": "an operation without a kernel of its own",
    "not compiled": "why the call runs in Python",
}  # fmt: skip
INDENT = "    "


def listing(entries: Sequence[Any], backend: str, functions: Sequence[CodeType] = ()) -> list[str]:
    """The functions that the latest trace ran, its kernels and guards, of `jitted.Entry` objects, the latest first.

    ``functions``: those that a captured graph came from.
    """
    entry = entries[0]
    staged = entry.traced.staged
    kernels = _Kernels(entry, backend)
    marks = _marks(entry, kernels)
    lines = [f"source of trace {len(entries)}:"]
    run = dict.fromkeys([*functions, *staged.functions.values()])
    if not run:
        lines.append("  the trace is from the disk: no source was run")
    used: set[str] = set()
    for code in run:
        if not is_internal(code):
            lines += _function(code, marks, used)
    lines += [f"  {word + ':':14}{text}" for word, text in _LEGEND.items() if word in used]
    lines += kernels.text()
    lines += _guards(staged)
    causes = [f"  trace {n}: {e.cause}" for n, e in enumerate(reversed(entries), 1)]
    return [*lines, "why it was traced:", *causes]


class _Kernels:
    """The kernels of the programs that a trace has, with short names."""

    def __init__(self, entry: Any, backend: str):
        self.programs: list[tuple[str, host.Program]] = []
        self.graphs: dict[str, Graph] = {}
        self.names: dict[str, str] = {}
        self.of_line: dict[Line, dict[str, None]] = {}
        # What another process compiled is here without its graph.
        function = entry.function if entry.traced.whole is None else None
        for compiled in () if function is None else function.compiled:
            origins: Origins = {}
            program = lowered(compiled.graph, backend, origins, compiled.frozen)
            if program is not None:
                self.graphs[compiled.graph.name] = compiled.graph
                self._add(compiled.graph.name, program, origins)

    def _add(self, name: str, program: host.Program, origins: Origins) -> None:
        self.programs.append((name, program))
        for kernel in program.kernels:
            short = self.names[f"{name} {kernel.name}"] = f"k{len(self.names) + 1}"
            for where in origins.get(kernel.name, ()):
                self.of_line.setdefault((where.file, where.line), {})[short] = None

    def text(self) -> list[str]:
        """One line for each launch, in the order of the program."""
        lines: list[str] = []
        for name, program in self.programs:
            sizes = _sizes(program)
            hints = {s.name: s.hint for s in self.graphs[name].symbols if s.hint is not None}
            given = f", where {', '.join(f'{n} is {size}' for n, size in hints.items())}" if hints else ""
            sizes = {n: _known(size, hints) for n, size in sizes.items()}
            lines.append(f"kernels of {name}, and the bytes that a launch reads and writes{given}:")
            lines += self._block(name, program.body, sizes, INDENT[:2])
        return lines

    def _block(self, name: str, body: Sequence[host.Stmt], sizes: dict[str, k.Expr], indent: str) -> Iterator[str]:
        for statement in body:
            match statement:
                case host.Launch(kernel, arguments):
                    short = self.names[f"{name} {kernel.name}"]
                    yield f"{indent}{short:5}{kernel.name}: {_traffic(kernel, arguments, sizes)}"
                case host.Copy(target, _, _):
                    yield f"{indent}copy of {_total({target}, {target: target}, sizes)}"
                case host.If(_, then, orelse):
                    yield f"{indent}one of"
                    for part in (then, orelse):
                        yield from (
                            self._block(name, part, sizes, indent + INDENT) if part else (f"{indent}{INDENT}nothing",)
                        )
                case host.While(before, _, inner):
                    yield f"{indent}in each turn"
                    yield from self._block(name, (*before, *inner), sizes, indent + INDENT)
                case host.Parallel(_, extent, inner):
                    yield f"{indent}in {extent} strands, together"
                    yield from self._block(name, inner, sizes, indent + INDENT)


def _known(size: k.Expr, hints: dict[str, int]) -> k.Expr:
    """``size`` as a number, where it follows from the sizes that the trace was made for."""
    names = {part.name for part in k.walk(size) if isinstance(part, k.Var)}
    return k.const(evaluate_size(encode_size(size), hints)) if names <= hints.keys() else size


def _sizes(program: host.Program) -> dict[str, k.Expr]:
    """The number of elements of every buffer of a program."""
    found = dict(program.sizes)
    for statement in host.walk(program.body):
        if isinstance(statement, (host.Alloc, host.Place, host.View)):
            found[statement.buffer.name] = statement.size
    return found


def _traffic(kernel: k.Kernel, arguments: Sequence[Any], sizes: dict[str, k.Expr]) -> str:
    given = dict(zip(kernel.params, arguments))
    read = {part.buffer for part in k.walk(kernel) if isinstance(part, k.Load)}
    written = {part.buffer for part in k.walk(kernel) if isinstance(part, k.Store)}
    return f"{_total(read, given, sizes)} read, {_total(written, given, sizes)} written"


def _total(buffers: set[k.Buffer], given: dict[Any, Any], sizes: dict[str, k.Expr]) -> str:
    known, unknown = 0, []
    for parameter in given:
        if parameter not in buffers:
            continue
        argument = given[parameter]
        size = sizes.get(argument.name) if isinstance(argument, k.Buffer) else None
        if isinstance(size, k.Const) and isinstance(size.value, int):
            known += size.value * argument.dtype.itemsize
        elif size is not None:
            unknown.append(f"{size} of {argument.dtype.itemsize} B")
    return " + ".join([*([in_bytes(known)] if known or not unknown else []), *unknown])


# -- lines -----------------------------------------------------------------------------------------------------
def _marks(entry: Any, kernels: _Kernels) -> dict[Line, str]:
    """What became of the lines that did something."""
    refused = entry.refused
    if refused is not None:
        where = refused.where
        return {} if where is None else {(where.file, where.line): "not compiled"}
    marks = dict.fromkeys(_operations(entry.traced.graph), "folded")
    marks.update({line: " ".join(names) for line, names in kernels.of_line.items()})
    for note in entry.traced.notes:
        where = getattr(note, "where", None)
        word = next((w for text, w in _STAGED.items() if str(getattr(note, "what", "")).startswith(text)), None)
        if where is not None and word is not None:
            marks[where.file, where.line] = word
    return marks


def _operations(graph: Graph) -> Iterator[Line]:
    for node in graph.nodes:
        if node.loc is not None:
            yield node.loc.file, node.loc.line
    for inner in graph.subgraphs():
        yield from _operations(inner)


def _function(code: CodeType, marks: dict[Line, str], used: set[str]) -> list[str]:
    """The source of one function."""
    file, first = code.co_filename, code.co_firstlineno
    source = linecache.getlines(file)[first - 1 :]
    block = inspect.getblock(source) if source else []
    if not block:
        return [f"  {code.co_qualname}: no source"]
    run = set(_run_lines(code)) if "not compiled" not in marks.values() else set[int]()
    shown = [f"  {os.path.basename(file)}"]
    found = {n: marks.get((file, n), "python" if n in run else "") for n in range(first, first + len(block))}
    width = max([8, *(len(mark) for mark in found.values())])
    used.update(found.values())
    for number, text in zip(found, block):
        shown.append(f"  {found[number]:{width}} {number:5}  {text.rstrip()}".rstrip())
    return shown


def _run_lines(code: CodeType) -> Iterator[int]:
    """The lines in the body of a function that have instructions."""
    for _, _, line in code.co_lines():
        if line is not None and line > code.co_firstlineno:
            yield line
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _run_lines(constant)


# -- guards ----------------------------------------------------------------------------------------------------
def _guards(staged: Any) -> list[str]:
    """The guards, each with the line of the user that read what it is about; the library's reads have none."""
    places: Sequence[Line | None] = staged.guard_lines or [None] * len(staged.guards)
    lines = [f"guards: {len(staged.guards)}"]
    for guard, where in zip(staged.guards, places):
        lines.append(f"  {guard}" + (f" ({Location(*where)})" if where is not None else ""))
    return lines
