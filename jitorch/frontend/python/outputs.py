"""Outputs: from the graph's results back to the objects the user's function returned and wrote.

`compile_outputs` turns what a trace returned and journaled into one Python function.  Everything it
needs is computed first: stored objects are found by their paths, new ones are built; then it writes,
so that an error on the way leaves nothing half done.
"""

from __future__ import annotations

import functools
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jitorch.frontend.python.codegen import Writer
from jitorch.frontend.python.effects import Group, Slot, Stored, Text
from jitorch.frontend.python.iterators import TracedIterator
from jitorch.frontend.python.journal import DictBox, ListBox, SetBox
from jitorch.frontend.python.late_text import LateText
from jitorch.frontend.python.paths import Path
from jitorch.frontend.python.protocol import Trace
from jitorch.frontend.python.rewritten import is_rewritten
from jitorch.frontend.python.scalars import RuntimeScalar
from jitorch.frontend.python.stretch import Stretch
from jitorch.frontend.python.values import IDENTITIES, is_namedtuple, is_plain, native_new, slots

Finish = Callable[[Sequence[Any], tuple[Any, ...], Mapping[str, Any]], Any]


def compile_outputs(trace: Trace, returned: Any) -> tuple[Finish, str, tuple[Any, ...], tuple[Path, ...]]:
    """``finish(results, args, kwargs)``, its source, the traced values whose results it takes, in order, and where it
    finds what it gives back or stores as it is.

    Raises `Refuse` where something cannot be rebuilt: a function made by the trace, an iterator.
    """
    outputs = _Outputs(trace)
    result, writes = outputs.value(returned), [*outputs.writes(), *outputs.effects()]
    if any(trace.recorder.choice(value, outputs.traced) is not None for value in tuple(outputs.traced)):
        # What they are chosen from matters where it is a result itself: now that is known.
        outputs = _Outputs(trace, outputs.traced)
        result, writes = outputs.value(returned), [*outputs.writes(), *outputs.effects()]
    trace.recorder.check_results(outputs.traced)
    for line in writes:
        outputs.writer.emit(line)
    outputs.writer.emit(f"return {result}")
    finish, source = outputs.writer.function("finish", "R, A, K")
    return finish, source, tuple(outputs.traced), tuple(outputs.handed_on)


class _Outputs:
    def __init__(self, trace: Trace, results: Sequence[Any] = ()):
        self.trace, self.results = trace, results
        self.writer = Writer()
        self.traced: list[Any] = []
        self.handed_on: list[Path] = []
        self._built: dict[int, str] = {}
        self._building: set[int] = set()

    def value(self, value: Any) -> str:
        """Source of a value; the lines that make it have been written."""
        trace, writer = self.trace, self.writer
        if type(value) is RuntimeScalar:
            return writer.path(value.path)
        if trace.recorder.is_traced(value):
            return self._once(value, self._traced)
        if is_plain(value) or trace.recorder.is_constant(value) or isinstance(value, IDENTITIES):
            return writer.constant(value)
        if type(value) is types.MethodType:
            return self._once(value, self._method)
        if isinstance(value, types.FunctionType) and is_rewritten(value.__code__):
            trace.refuse("escape", "a function made inside of a compiled function escapes from it")
        if isinstance(value, LateText):
            parts = [p if isinstance(p, str) else (self._show(p.show, self.value(p.value)), p.spec, p.conversion)
                     for p in value.parts]  # fmt: skip
            return self._assign(self._text(parts))
        if not trace.is_created(value):
            source, path = self.stored(value), trace.path_of(value)
            self.handed_on += [] if path is None else [path]
            return source
        return self._once(value, self._new)

    def stored(self, value: Any) -> str:
        """Source that finds an object which exists outside."""
        path = self.trace.path_of(value)
        if path is None:
            self.trace.refuse("escape", f"a {type(value).__name__} escapes from a compiled function")
        return self.writer.path(path)

    def _once(self, value: Any, make: Callable[[Any], str]) -> str:
        name = self._built.get(id(value))
        if name is not None:
            return name
        if id(value) in self._building:
            self.trace.refuse("escape", "an immutable object that contains itself escapes from a compiled function")
        self._building.add(id(value))
        name = make(value)
        self._built[id(value)] = name
        return name

    def _assign(self, source: str) -> str:
        name = self.writer.local("r")
        self.writer.emit(f"{name} = {source}")
        return name

    def _traced(self, value: Any) -> str:
        name = self._result(value)
        choice = self.trace.recorder.choice(value, self.results)
        if choice is None:
            return name
        code, others = choice
        number = self._assign(f"{self.writer.constant(self.trace.recorder.number_of)}({self._result(code)})")
        for i, other in others:
            self.writer.emit(f"if {number} == {i}: {name} = {self.value(other)}")
        return name

    def _result(self, value: Any) -> str:
        self.traced.append(value)
        return self._assign(f"R[{len(self.traced) - 1}]")

    def _method(self, value: Any) -> str:
        function = value.__func__
        if isinstance(function, types.FunctionType) and is_rewritten(function.__code__):
            self.trace.refuse("escape", "a method made inside of a compiled function escapes from it")
        parts = f"{self.value(function)}, {self.value(value.__self__)}"
        return self._assign(f"{self.writer.constant(types.MethodType)}({parts})")

    def _shell(self, value: Any, source: str) -> str:
        """An empty mutable object, known before its contents are: it may contain itself."""
        name = self._built[id(value)] = self._assign(source)
        return name

    def _new(self, value: Any) -> str:
        """Build again what the trace built."""
        constant = self.writer.constant
        kind = type(value)
        if kind is list:
            name = self._shell(value, "[]")
            self.writer.emit(f"{name} += {self._tuple(value)}")
        elif kind in (dict, OrderedDict):
            name = self._shell(value, "{}" if kind is dict else f"{constant(OrderedDict)}()")
            self._fill(name, value)
        elif kind in (defaultdict, Counter):
            factory = self.value(value.default_factory) if kind is defaultdict else ""
            name = self._shell(value, f"{constant(kind)}({factory})")
            self._fill(name, value)
        elif kind is set:
            name = self._assign(f"set({self._tuple(value)})")
        elif kind is deque:
            name = self._shell(value, f"{constant(deque)}((), {value.maxlen!r})")
            self.writer.emit(f"{name}.extend({self._tuple(value)})")
        elif kind is tuple:
            name = self._assign(self._tuple(value))
        elif is_namedtuple(kind):
            name = self._assign(f"{constant(kind)}._make({self._tuple(value)})")
        elif isinstance(value, tuple):
            name = self._assign(f"tuple.__new__({constant(kind)}, {self._tuple(value)})")
        elif kind is slice:
            name = self._assign(f"slice{self._tuple((value.start, value.stop, value.step))}")
        elif kind is np.ndarray:
            name = self._assign(f"{constant(value)}.copy()")
        elif kind is functools.partial:
            name = self._partial(value)
        else:
            name = self._object(value)
        return name

    def _tuple(self, values: Any) -> str:
        elements = [self._rows(x) if type(x) is Stretch else self.value(x) for x in values]
        return f"({', '.join(elements)}{',' if len(elements) == 1 else ''})"

    def _rows(self, stretch: Stretch) -> str:
        """The elements that a loop appended, each a view of a row."""
        rows = self.value(stretch.stacked)
        return f"*{rows}.tolist()" if stretch.is_number else f"*{rows}"

    def _fill(self, name: str, value: dict[Any, Any]) -> None:
        for key, element in value.items():
            self.writer.emit(f"{name}[{self.value(key)}] = {self.value(element)}")

    def _partial(self, value: Any) -> str:
        function = self.value(value.func)
        keywords = self.value(self.trace.adopt(dict(value.keywords)))
        return self._assign(
            f"{self.writer.constant(functools.partial)}({function}, *{self._tuple(value.args)}, **{keywords})"
        )

    def _object(self, value: Any) -> str:
        """An instance of a user's class, by its attributes."""
        kind = type(value.source if isinstance(value, TracedIterator) else value)
        opaque = kind.__module__ == "builtins" or self.trace.recorder.is_internal(kind)
        if opaque or issubclass(kind, (dict, list, set, BaseException, np.ndarray)):
            self.trace.refuse("escape", f"a {kind.__name__} made inside of a compiled function escapes from it")
        constant = self.writer.constant
        name = self._shell(value, f"{constant(native_new(kind))}({constant(kind)})")
        for attribute, element in getattr(value, "__dict__", {}).items():
            self.writer.emit(f"{name}.__dict__[{attribute!r}] = {self.value(element)}")
        for attribute in slots(kind):
            if hasattr(value, attribute):
                element = self.value(getattr(value, attribute))
                self.writer.emit(f"{constant(object.__setattr__)}({name}, {attribute!r}, {element})")
        return name

    # -- writes

    def writes(self) -> list[str]:
        """The statements that replay the journal; what they need has been computed."""
        lines: list[str] = []
        journal = self.trace.journal
        if not journal.is_replayed:
            return lines
        for box in journal.boxes.values():
            if not box.changed:
                continue
            target = self.stored(box.base)
            match box:
                case DictBox():
                    lines += [f"del {target}[{self.value(key)}]" for key in box.deleted]
                    written = [key for key in box.order() if key in box.written]  # in the order of the dict
                    lines += [f"{target}[{self.value(k)}] = {self.value(box.written[k])}" for k in written]
                case ListBox():
                    lines.append(self._list_write(box, target))
                case SetBox():
                    lines += [f"{target}.discard({self.value(x)})" for x in box.base - box.contents]
                    lines += [f"{target}.add({self.value(x)})" for x in box.contents - box.base]
        for (_, name), (owner, value) in journal.attributes.items():
            setter = self.writer.constant(setattr)
            lines.append(f"{setter}({self.stored(owner)}, {name!r}, {self.value(value)})")
        return lines

    # -- effects

    def effects(self) -> list[str]:
        """The statements that make the effects; what they need has been computed."""
        lines: list[str] = []
        for effect in self.trace.journal.effects:
            names = [self.value(value) for value in effect.values]
            args = [self._shown(tree, names) for tree in effect.args]
            args += [f"{name}={self._shown(tree, names)}" for name, tree in effect.kwargs.items()]
            condition = "" if effect.condition is True else f"if {self.value(effect.condition)}: "
            lines.append(f"{condition}{self.writer.constant(effect.function)}({', '.join(args)})")
        return lines

    def _shown(self, tree: Any, names: Sequence[str]) -> str:
        """Source of what a tree over values of these names shows."""
        match tree:
            case Slot():
                return self._show(tree.show, names[tree.number])
            case Stored():
                return self.value(tree.value)
            case Text():
                parts = [p if isinstance(p, str) else (self._shown(p[0], names), *p[1:]) for p in tree.parts]
                return self._text(parts)
            case Group() if issubclass(tree.kind, dict):
                pairs = ", ".join(f"{self._shown(k, names)}: {self._shown(v, names)}" for k, v in tree.parts)
                return f"{{{pairs}}}" if tree.kind is dict else f"{self.writer.constant(tree.kind)}({{{pairs}}})"
            case Group():
                parts = "".join(f"{self._shown(part, names)}, " for part in tree.parts)
                return f"({parts})" if tree.kind is tuple else f"{self.writer.constant(tree.kind)}(({parts}))"
        return self.writer.constant(tree)

    def _show(self, show: Any, name: str) -> str:
        return name if show is None else f"{self.writer.constant(show)}({name})"

    def _text(self, parts: Sequence[Any]) -> str:
        """Source of text of strings and fields."""
        made = [repr(p) if isinstance(p, str) else self._field(*p) for p in parts]
        return f"''.join(({', '.join(made)},))"

    def _field(self, source: str, spec: str, conversion: int) -> str:
        convert = {ord("s"): "str", ord("r"): "repr", ord("a"): "ascii"}.get(conversion)
        return f"format({source if convert is None else f'{convert}({source})'}, {spec!r})"

    def _list_write(self, box: ListBox, target: str) -> str:
        if box.contents is None:
            return f"{target}.extend({self._tuple(box.appended)})"
        if isinstance(box.base, deque):
            return f"{target}.clear(); {target}.extend({self._tuple(box.contents)})"
        kept = 0
        for old, new in zip(box.base, box.contents, strict=False):
            if old is not new:
                break
            kept += 1
        return f"{target}[{kept}:] = {self._tuple(box.contents[kept:])}"


def distinct_guards(trace: Trace) -> None:
    """Guard that stored objects which were different objects still are, where one of them is written.

    Two arguments that become one object would otherwise be written as if they were two.
    """
    targets = [*(trace.journal.targets() if trace.journal.is_replayed else []), *trace.recorder.written()]
    kinds = {type(target) for target in targets}
    groups: dict[type, dict[Path, None]] = {}
    for value, path in trace.known():
        if type(value) in kinds and not path.is_constant:
            groups.setdefault(type(value), {})[path] = None
    for found in groups.values():
        first, *rest = found
        if rest:
            trace.guard(first, "distinct", tuple(rest))
