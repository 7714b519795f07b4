"""Loops that the program decides: the values that an iteration changes are found by tracing it again and again.

The first attempt traces test and body with everything as it is before the loop.  What the body changed is *carried*:
in the next attempt the start of an iteration has placeholders there.  When an attempt changes nothing but what has
placeholders, and in values of their types, it is the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitorch import dims
from jitorch.dims import SymDim
from jitorch.errors import Location, user_location
from jitorch.frontend.eager.tape import GradNode
from jitorch.frontend.python.flow import CONTINUE, NEXT, Flow, Mixed, Signal, Variables, kinds_of, only
from jitorch.frontend.python.merge import DEAD, Merge, Template, write
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.trace.growing import Growing, Stretching, requires_grad
from jitorch.frontend.trace.nested import Level, drop
from jitorch.frontend.trace.stacking import Stacking, Turns
from jitorch.frontend.trace.staging import AllRaise, Note, Raw, Side, State, _places, _signals
from jitorch.frontend.trace.varying import Shrinkings
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import EffectType, Type
from jitorch.ops import OPS
from jitorch.ops.control import run_while
from jitorch.tensor import Number, Storage, Tensor

ATTEMPTS = 10


_SIZE = "sizes, shapes, comparisons and range() take such a number as it is"


def fix_size(dim: SymDim) -> int:
    """The number a symbolic size stands for in this trace; the trace then holds for that number only."""
    if not dims.is_known(dim):
        raise Refuse("data", "a size that the program computes, where Python needs the number", hint=_SIZE)
    hints = {s.name: s.hint for s in dims.symbols(dim)}
    size = dims.evaluate(dim, hints)  # type: ignore[arg-type]
    dims.equal(dim, size)
    return size


class TracedRange:
    """A ``range`` whose bounds only the program knows."""

    def __init__(self, start: Any, stop: Any, step: int):
        self.start, self.stop, self.step = start, stop, step

    @property
    def is_sized(self) -> bool:
        """Whether the bounds are sizes, so that the number of steps is one, too."""
        return self.step == 1 and all(isinstance(x, (int, SymDim)) for x in (self.start, self.stop))

    def __iter__(self) -> Iterator[int]:
        """The numbers, where they can be known: sizes become those of this call."""
        start, stop = [fix_size(x) if isinstance(x, SymDim) else x for x in (self.start, self.stop)]
        if isinstance(start, Number) or isinstance(stop, Number):
            raise Refuse("loop", "a range whose length the program computes, outside of a for statement")
        return iter(range(start, stop, self.step))


def _no_gradient(*args: Any, **attrs: Any) -> Any:
    raise Refuse(
        "loop", "backward(), inside of a loop, to what the loop carries", hint="call backward() after the loop"
    )


def placeholder_node() -> GradNode:
    """The history of a placeholder that requires grad: it has one, but not here."""
    return GradNode(OPS["copy"], (), {}, _no_gradient, None)  # type: ignore[arg-type]


@dataclass(eq=False)
class Carried:
    """What a loop carries: templates over ``leaves``, of which each has the value before the loop first."""

    leaves: list[tuple[Any, Any]] = field(default_factory=list)
    places: dict[int, Any] = field(default_factory=dict)
    templates: dict[int, dict[Any, Template]] = field(default_factory=dict)
    memory: dict[Storage, tuple[Template, int]] = field(default_factory=dict)
    token: Template | None = None
    signal: Callable[[Sequence[Any], dict[int, Any]], Signal] | None = None
    poisoned: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Attempt:
    """One tracing of an iteration: placeholders by leaf, the test (of a while loop), the body."""

    carried: Carried
    inputs: list[Value]
    placeholders: list[Any]
    signal: Signal
    start: State
    body: Side
    shrinkings: Shrinkings
    test: tuple[Level, Value] | None = None
    is_endless: bool = False  # the test is True whatever is carried
    finals: list[Any] = field(default_factory=list)

    def drop(self) -> None:
        drop(self.body.level.graph)
        if self.test is not None:
            drop(self.test[0].graph)


class Loops(Stacking):
    """Traces loops."""

    def for_loop(self, flow: Flow, values: Any, body: Callable[[Any], Signal], variables: Variables) -> Any:
        """The signal of a loop over ``values``; NotImplemented where Python runs it."""
        if isinstance(values, TracedRange):
            return self._range(flow, values, body, variables)
        return NotImplemented

    def _range(
        self, flow: Flow, values: TracedRange, body: Callable[[Any], Signal], variables: Variables,
        pending: Mixed | None = None,
    ) -> Signal:  # fmt: skip
        counter = flow.adopt([values.start])
        compare = "lt" if values.step > 0 else "gt"

        def test() -> Any:
            return flow.compare(compare, counter[0], values.stop)

        def iteration() -> Signal:
            index = counter[0]
            counter[0] = flow.binary("add", index, values.step)
            return body(index)

        return self.while_loop(flow, test, iteration, variables, pending)

    def while_loop(
        self,
        flow: Flow,
        test: Callable[[], Any],
        body: Callable[[], Signal],
        variables: Variables,
        pending: Mixed | None = None,
    ) -> Signal:
        """Trace ``while test(): body()``, of which ``pending`` tells how the iterations before ended."""
        around = flow.growing
        try:
            return self._while_loop(flow, test, body, variables, pending)
        finally:
            flow.growing = around

    def _while_loop(
        self, flow: Flow, test: Callable[[], Any], body: Callable[[], Signal], variables: Variables, pending: Signal
    ) -> Signal:
        where, around = user_location(columns=True), flow.growing
        turns = flow.adopt([0])
        serial, kept, noted = flow.serial(), len(self.builder.kept), len(self.notes)
        entry = State(self, variables)
        carried = self._compare(Growing(self.trace, serial, may_shrink=True), entry, entry, pending, pending)
        grown: set[int] = set()

        def counted() -> Signal:
            signal = body()
            if grown:
                turns[0] = flow.binary("add", turns[0], 1)
            return signal

        for _ in range(ATTEMPTS):
            del self.notes[noted:]
            flow.growing = {**around, **dict.fromkeys(grown, turns)}
            attempt = self._attempt(flow, entry, carried, test, counted, variables)
            if attempt is None:
                return self._never(flow, test, pending)
            merge = Growing(self.trace, serial, may_shrink=True)
            if self._is_fixed(attempt, merge) and not merge.grown.keys() - grown:
                self.notes.append(Note("a loop of the program", where))
                flow.growing = around
                signal = self._finish_while(flow, entry, attempt, kept, merge, turns)
                if attempt.is_endless and isinstance(signal, Mixed):
                    return only(signal, signal.kinds - {NEXT})
                return signal
            grown |= merge.grown.keys()
            attempt.drop()
            again = Growing(self.trace, serial, may_shrink=True)
            carried = self._compare(again, entry, attempt.body.end, pending, attempt.body.signal)
            grown |= again.grown.keys()
        raise _unsettled(where)

    def _compare(self, merge: Merge, before: State, after: State, first: Signal, last: Signal) -> Carried:
        """What differs between two states and signals; the present state must be ``before``."""
        ends = [before, after]
        templates = merge.places(before.python, [e.python for e in ends], [False, False])
        memory = self._memory(merge, before, ends)
        token = self._token(merge, before, ends)
        signal = _signals(merge, [first, last])
        return Carried(merge.leaves, _places(ends), templates, memory, token, signal, merge.poisoned)

    def _attempt(
        self, flow: Flow, entry: State, carried: Carried, test: Callable[[], Any], body: Callable[[], Signal],
        variables: Variables,
    ) -> Attempt | None:  # fmt: skip
        """Trace one iteration; None if it always raises.  Afterwards everything is as at ``entry``."""
        inputs = [Value(self._leaf_type(leaf)) for leaf in carried.leaves]
        shrinkings = Shrinkings(self.builder, carried.leaves, inputs)
        placeholders = [self._placeholder(v, leaf) for v, leaf in zip(inputs, carried.leaves)]
        placeholders = shrinkings.placeholders(placeholders)
        signal = self._install(carried, placeholders)
        start = State(self, variables, entry)
        level = Level(Graph("test"), entry.cells)

        def iteration() -> Signal:
            shrinkings.open()
            return flow.without(body(), CONTINUE)

        try:
            with self.builder.inside(level):
                shrinkings.open()
                ok, endless = self._go_on(flow, signal, test)
            now = State(self, variables, start)
            probe = Merge(self.trace, 0, False)
            if now.token is not start.token or self._memory(probe, start, [start, now]):
                raise Refuse("loop", "the test of a loop writes to a tensor or checks something", hint=_TEST)
            if probe.places(start.python, [start.python, now.python], [False, False]):
                raise Refuse("loop", "the test of a loop changes a variable or an object", hint=_TEST)
            start.restore()
            side = Side(Level(Graph("body"), entry.cells), start, None)
            self._run(start, side, iteration, variables)
        finally:
            entry.restore()
        if side.is_dead:
            drop(level.graph)
            drop(side.level.graph)
            return None
        return Attempt(carried, inputs, placeholders, signal, start, side, shrinkings, (level, ok), endless)

    def _install(self, carried: Carried, values: Sequence[Any], versions: int = 0) -> Signal:
        """Give all that is carried its values."""
        made: dict[int, Any] = {}
        write(carried.places, carried.templates, values)
        for storage, (template, version) in carried.memory.items():
            self._set(storage, template(values, made), version + versions)
        if carried.token is not None:
            token = carried.token(values, made)
            self.builder.token = token.value if isinstance(token, Raw) else token._value
        return None if carried.signal is None else carried.signal(values, made)

    def _set(self, storage: Storage, result: Any, version: int) -> None:
        super()._set(storage, Carrier(result.value) if isinstance(result, Raw) else result, version)

    def _go_on(self, flow: Flow, signal: Signal, test: Callable[[], Any]) -> tuple[Value, bool]:
        found: list[Any] = []

        def decided() -> Any:
            found.append(flow.decide(test()))
            return found[-1]

        if isinstance(signal, Mixed):
            ok = flow.joined_truth("and", self.is_kind(signal, NEXT), decided)
        else:
            ok = decided()
        value = self.builder.lift(ok)
        assert value is not None
        return value, len(found) == 1 and found[0] is True

    def _leaf_type(self, leaf: tuple[Any, Any]) -> Type:
        example = leaf[1] if leaf[0] is DEAD else leaf[0]
        if isinstance(example, Raw):
            return example.value.type
        if isinstance(example, Tensor):
            return example._type
        value = self.builder.lift(example)
        assert value is not None
        return value.type

    def _placeholder(self, value: Value, leaf: tuple[Any, Any]) -> Any:
        if any(isinstance(x, Raw) for x in leaf) or isinstance(value.type, EffectType):
            return Raw(value)
        made = self.builder.adopt(self.builder.wrap(value))
        if isinstance(made, Tensor) and any(isinstance(x, Tensor) and x.requires_grad for x in leaf):
            made._node = placeholder_node()
        return made

    def _is_fixed(self, attempt: Attempt, merge: Merge) -> bool:
        """Whether the iteration changed only what is carried; finds the final value of each leaf."""
        found = self._compare(merge, attempt.start, attempt.body.end, attempt.signal, attempt.body.signal)
        if kinds_of(attempt.body.signal) - kinds_of(attempt.signal):
            return False
        return self._settles(attempt, found)

    def _settles(self, attempt: Attempt, found: Carried) -> bool:
        if found.poisoned:
            return False
        numbers = {self._identity(p): i for i, p in enumerate(attempt.placeholders)}
        attempt.finals = list(attempt.placeholders)
        for before, after in found.leaves:
            number = numbers.get(self._identity(before))
            if number is None:
                return False
            if isinstance(after, Tensor) and after.requires_grad and not before.requires_grad:
                return False
            if attempt.finals[number] is not attempt.placeholders[number] and attempt.finals[number] is not after:
                raise Refuse("loop", "two variables of a loop are one object before it and two after an iteration")
            attempt.finals[number] = after
        return True

    def _identity(self, leaf: Any) -> Any:
        return ("value", id(leaf.value)) if isinstance(leaf, Raw) else id(leaf)

    def _never(self, flow: Flow, test: Callable[[], Any], pending: Signal) -> Signal:
        """The body always raises: check that it does not run."""
        if pending is not None:
            raise AllRaise("raises", "an iteration that always raises")
        self.builder.check(OPS["logical_not"](flow.decide(test())))
        return None

    def _finish_while(
        self, flow: Flow, entry: State, attempt: Attempt, kept: int, merge: Growing, turns: list[Any]
    ) -> Signal:
        """Record the loop; a list that it appends to gets a stretch of as many elements as it turns."""
        side, carried = attempt.body, attempt.carried
        assert attempt.test is not None
        level, ok = attempt.test
        stretching = Stretching(merge)
        if stretching.lists and self.builder.depth:
            raise Refuse("loop", "a list that a loop appends to inside of another loop or branch of the program")
        shrinkings = attempt.shrinkings
        outputs = self._lift_all(side, [*attempt.finals, *stretching.values])
        with self.builder.inside(side.level):
            outputs[len(attempt.inputs) : len(attempt.inputs)] = shrinkings.close(outputs, attempt.finals)
        own_inputs = [*attempt.inputs, *shrinkings.counts]
        count = len(own_inputs)
        self._fill(side, outputs, [*own_inputs, *outputs[count:]])
        entry.restore()
        nodes = [self.builder.needed(level.graph, [ok]), self.builder.needed(side.level.graph, outputs)]
        captured: dict[Value, None] = {}
        for part, own in zip(nodes, ([ok], outputs)):
            captured.update(dict.fromkeys(self.builder.free(part, own, own_inputs)))
        inputs = [*own_inputs, *captured]
        test, _ = self.builder.close("test", nodes[0], [ok], inputs)
        body, _ = self.builder.close("body", nodes[1], outputs, inputs)
        attempt.drop()
        firsts = [self.first(leaf, p) for leaf, p in zip(carried.leaves, attempt.inputs)] + shrinkings.firsts()
        constants = [self.builder.operand(v) for v in captured]
        flags = self.flags(attempt) + [False] * len(shrinkings.counts)
        if stretching.lists:
            grad = [*flags, *map(requires_grad, stretching.values)]
            counter = _position(attempt.placeholders, attempt.start.python.contents[id(turns)][0])
            starts = [*(self.known_int(leaf[0]) for leaf in carried.leaves), *(None for _ in shrinkings.counts)]
            results = self.stacked(firsts, constants, Turns(test, body, counter, starts), grad)
        else:
            results = self.apply(run_while, [*firsts, *constants], test, body, len(captured), grad=flags)
        leaves = len(attempt.inputs)
        finals = shrinkings.results(results[:leaves], results[leaves:count])
        self.protect(carried.leaves, finals, kept)
        signal = self._install(carried, finals, 1)
        stretching.extend(flow, results[count:], turns[0])
        return signal

    def flags(self, attempt: Attempt) -> list[bool]:
        return [isinstance(p, Tensor) and p.requires_grad for p in attempt.placeholders]

    def first(self, leaf: tuple[Any, Any], placeholder: Value) -> Any:
        """The operand of a leaf: what it is before the loop."""
        first = leaf[0]
        if first is DEAD:
            return self.builder.operand(self.zero(placeholder.type))
        if isinstance(first, Raw):
            return self.builder.operand(first.value)
        if isinstance(first, Tensor):
            return first
        value = self.builder.lift(first)
        assert value is not None
        return self.builder.wrap(value)


def _position(values: Sequence[Any], value: Any) -> int:
    """The place of the object ``value`` among others."""
    return next(i for i, x in enumerate(values) if x is value)


class Carrier(Number):
    """A value on its way into a cell."""

    def __init__(self, value: Value):
        super().__init__(value, value.type)  # type: ignore[arg-type]


_TEST = "let the test only compute; do the rest at the end of the body"


def _unsettled(where: Location | None) -> Refuse:
    return Refuse(
        "loop",
        "a loop whose variables do not settle to fixed types",
        where,
        hint="give each variable of the loop one type and shape before it",
    )
