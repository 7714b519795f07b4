"""Python source that evaluates many paths, each common prefix once.

Constants are default arguments and intermediate values are locals, the two cheapest things to read
in CPython.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from itertools import count
from typing import Any

from jitorch.frontend.python.paths import Path

_LITERALS = (bool, int, str, type(None))
_serial = count()


class Writer:
    """A function under construction: ``lines`` of its body, named ``constants``, locals by path."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self._names: dict[Path, str] = {}
        self._constant_names: dict[int, str] = {}
        self._locals = 0

    def emit(self, line: str) -> None:
        self.lines.append(line)

    def local(self, prefix: str = "v") -> str:
        """A fresh local name."""
        self._locals += 1
        return f"{prefix}{self._locals}"

    def constant(self, value: Any) -> str:
        """Source for a constant: a literal where it has one, else a name bound to the object."""
        if type(value) in _LITERALS:
            # -1 ** n is -(1 ** n)
            return f"({value})" if type(value) is int and value < 0 else repr(value)
        name = self._constant_names.get(id(value))
        if name is None:
            name = f"c{len(self.constants)}"
            # `constants` keeps the object alive, so its id stays its own.
            self.constants[name] = value
            self._constant_names[id(value)] = name
        return name

    def path(self, path: Path) -> str:
        """Source of the value at ``path``; lines that evaluate it are written the first time."""
        if path.kind == "const":
            return self.constant(path.base)
        name = self._names.get(path)
        if name is None:
            source = self._source(path)
            name = self._names[path] = self.local()
            self.emit(f"{name} = {source}")
        return name

    def _operand(self, operand: Any) -> str:
        return self.path(operand) if isinstance(operand, Path) else self.constant(operand)

    def _source(self, path: Path) -> str:
        match path.kind:
            case "arg":
                return f"A[{path.key}]"
            case "kwarg":
                return f"K[{path.key!r}]"
            case "op":
                operands = [self._operand(x) for x in path.base]
                if path.key.template is not None:
                    return path.key.template.format(*operands)
                return f"{self.constant(path.key.function)}({', '.join(operands)})"
        base = self.path(path.base)
        match path.kind:
            case "attr" if path.key.isidentifier():
                return f"{base}.{path.key}"
            case "attr":
                return f"getattr({base}, {path.key!r})"
            case "item":
                return f"{base}[{self._operand(path.key)}]"
            case "cell":
                return f"{base}.__closure__[{path.key[0]}].cell_contents"
            case "default":
                return f"{base}.__defaults__[{path.key[0]}]"
            case _:
                return f"{base}.__kwdefaults__[{path.key!r}]"

    def function(self, name: str, parameters: str) -> tuple[Callable[..., Any], str]:
        """Compile ``def name(parameters)`` with the lines written so far; gives it and its source."""
        bound = "".join(f", {c}={c}" for c in self.constants)
        source = f"def {name}({parameters}{bound}):\n" + "\n".join(f"    {line}" for line in self.lines) + "\n"
        namespace = dict(self.constants)
        # The name marks the frame as ours, and lets a debugger show the source.
        file = f"<jitorch {name} {next(_serial)}>"
        exec(compile(source, file, "exec"), namespace)
        function = namespace[name]
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        return function, source
