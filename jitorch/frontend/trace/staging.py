"""Branches and loops that the program decides: both sides are traced, and what differs is varied.

`Stager.branch` traces each side from one and the same state (variables, journal, memory, effect token), compares what
they left behind, and records one `cond` whose results are what differs.  A side that raises becomes a `check`: where
it fails, nothing is written, and the call is run again by plain Python, which raises what the user's code raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jitorch.errors import CompilerBug, Location, user_location
from jitorch.frontend.python.flow import (
    NEXT,
    RETURN,
    Flow,
    Left,
    Mixed,
    Signal,
    Variables,
    kinds_of,
    value_of,
)
from jitorch.frontend.python.fork import Snapshot
from jitorch.frontend.python.journal import MISSING
from jitorch.frontend.python.merge import DEAD, Disagree, Merge, Template, write
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.python.scalars import RuntimeScalar
from jitorch.frontend.trace.course import Course
from jitorch.frontend.trace.nested import Cells, Level, drop
from jitorch.frontend.trace.varying import BranchResults
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import BOOL, INT, EffectType, TensorType, Type
from jitorch.ops import OPS, dispatch
from jitorch.ops.control import run_cond
from jitorch.tensor import Number, Storage, Tensor

if TYPE_CHECKING:
    from jitorch.frontend.trace.tracer import TraceBuilder

Body = Callable[[], Signal]


_OF_PATHS = frozenset(("join", "branch-write", "gradient-mode", "iterator"))
"""Reasons that are none where the paths of a branch are kept apart."""


class AllRaise(Refuse):
    """Every path raises: a side that does so is dead, a whole function that does so is left to Python."""


@dataclass(eq=False)
class Raw:
    """A leaf that is a value of the graph: what memory holds, or the effect token."""

    value: Value


@dataclass(frozen=True)
class Note:
    """What `explain` tells of one staged statement."""

    what: str
    where: Location | None

    def __str__(self) -> str:
        where = "" if self.where is None else f" {self.where}  {''.join(self.where.excerpt()[:1])}"
        return f"{self.what}:{where}"


class State:
    """All that a branch may change, saved."""

    def __init__(self, stager: Stager, variables: Variables | None, entry: State | None = None):
        self.stager = stager
        self.python = Snapshot(stager.trace, variables, None if entry is None else entry.python)
        self.cells: Cells = stager.builder.save()
        self.token = stager.builder.token
        self.grad = dispatch.is_grad_enabled()

    def restore(self) -> None:
        self.python.restore()
        self.stager.builder.put_back(self.cells)
        self.stager.builder.token = self.token


@dataclass(eq=False)
class Side:
    """One side of a branch, or a body, as it was traced."""

    level: Level
    end: State
    signal: Signal
    error: BaseException | None = None

    @property
    def is_dead(self) -> bool:
        return self.error is not None

    @property
    def may_fall(self) -> bool:
        return not self.is_dead and NEXT in kinds_of(self.signal)


class Stager:
    """Traces control flow for one trace."""

    def __init__(self, builder: TraceBuilder):
        self.builder = builder
        self.notes: list[Note] = []
        self.scans: list[Any] = []  # those being traced, innermost last
        self.course: Course | None = None  # None where all that runs must be one program
        self.around: list[Location | None] = []  # the branches being traced, innermost last

    @property
    def trace(self) -> Flow:
        return self.builder.trace

    # -- signals ---------------------------------------------------------------------------------
    def is_kind(self, signal: Mixed, kind: int) -> Any:
        return OPS["eq"](signal.selector, kind)

    def without(self, signal: Mixed, kind: int) -> Any:
        """The selector, with `NEXT` in the place of ``kind``."""
        other = OPS["cast"](OPS["ne"](signal.selector, kind), dtype=INT.dtype, number=True)
        return OPS["mul"](signal.selector, other)

    # -- branches --------------------------------------------------------------------------------
    def branch(
        self, flow: Flow, predicate: Any, then: Body, orelse: Body, rest: Body | None, variables: Variables | None
    ) -> Signal:
        """Trace both sides, and ``rest`` after them where they did not leave; or one, in the course of this trace."""
        where = user_location(columns=True)
        if self.is_apart(where):
            signal = then() if self.outcome(predicate, where) else orelse()
            return signal if rest is None else flow.follow(signal, rest, variables)
        self.around.append(where)
        try:
            return self._branch(flow, predicate, then, orelse, rest, variables, where)
        except Refuse as refusal:
            if refusal.places is None and refusal.reason in _OF_PATHS:
                refusal.places = self.places
            raise
        finally:
            self.around.pop()

    @property
    def places(self) -> frozenset[Location]:
        """The tests around here; none where a loop or a transform is around, too."""
        places = frozenset(x for x in self.around if x is not None)
        return places if len(self.around) == self.builder.depth + 1 and None not in self.around else frozenset()

    def is_apart(self, where: Location | None) -> bool:
        """Whether the paths of the test here are kept apart."""
        return self.course is not None and not self.builder.depth and where in self.course.places

    def outcome(self, predicate: Any, where: Location | None) -> bool:
        """The outcome of a test in the course of this trace, which the program checks."""
        assert self.course is not None
        outcome, code = self.course.next()
        self.notes.append(Note(f"a test of which this program is for the outcome {outcome}", where))
        self.builder.check(predicate if outcome else OPS["logical_not"](predicate), code)
        return outcome

    def decided(self, predicate: Any) -> bool:
        """The truth of what only the program knows, where Python must know it."""
        where = user_location(columns=True)
        if self.is_apart(where):
            return self.outcome(predicate, where)
        self.around.append(where)
        try:
            raise Refuse(
                "data",
                "a test needs a value that is computed by the traced program",
                hint="let a branch, a loop or a tensor operation depend on it, not an object of Python",
                places=self.places,
            )
        finally:
            self.around.pop()

    def _branch(
        self, flow: Flow, predicate: Any, then: Body, orelse: Body, rest: Body | None, variables: Variables | None,
        where: Location | None,
    ) -> Signal:  # fmt: skip
        serial, kept = flow.serial(), len(self.builder.kept)
        entry = State(self, variables)
        sides = [self._side(entry, body, variables, name) for body, name in ((then, "then"), (orelse, "orelse"))]
        if rest is not None and [s.may_fall for s in sides].count(True) == 1:
            # What follows is part of the one side that gets there.
            side = sides[0] if sides[0].may_fall else sides[1]
            signal, following = side.signal, rest
            self._resume(entry, side, lambda: flow.follow(signal, following, variables), variables)
            rest = None
        if sides[0].is_dead or sides[1].is_dead:
            error = sides[0].error or sides[1].error
            self.notes.append(Note(f"a check, as one side raises {type(error).__name__}", where))
            signal = self._inline(entry, predicate, sides)
        else:
            self.notes.append(Note("a branch of the program", where))
            signal = self._join(entry, predicate, sides, serial, kept)
        return signal if rest is None else flow.follow(signal, rest, variables)

    def _side(self, entry: State, body: Body, variables: Variables | None, name: str) -> Side:
        side = Side(Level(Graph(name), entry.cells), entry, None)
        self._run(entry, side, body, variables)
        return side

    def _resume(self, entry: State, side: Side, body: Body, variables: Variables | None) -> None:
        side.end.restore()
        self._run(entry, side, body, variables)

    def _run(self, entry: State, side: Side, body: Body, variables: Variables | None) -> None:
        """Trace ``body`` into the side; afterwards everything is as at ``entry``."""
        try:
            with self.builder.inside(side.level):
                side.signal = body()
        except AllRaise as error:
            side.error = error
        except (Refuse, CompilerBug):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what plain Python will raise
            side.error = error
        if dispatch.is_grad_enabled() is not entry.grad:
            raise Refuse(
                "gradient-mode",
                "the gradient mode differs after a branch",
                hint="use `with no_grad():` inside of the branch",
            )
        side.end = State(self, variables, entry)
        entry.restore()

    def _inline(self, entry: State, predicate: Any, sides: list[Side]) -> Signal:
        """One side raises: check that the other is taken, and go on with what that one did."""
        if sides[0].is_dead and sides[1].is_dead:
            for side in sides:
                drop(side.level.graph)
            raise AllRaise("raises", f"every path of a branch raises {type(sides[0].error).__name__}")
        alive, dead = sides if sides[1].is_dead else sides[::-1]
        drop(dead.level.graph)
        self.builder.graph.nodes.extend(alive.level.graph.nodes)
        alive.end.restore()
        self.builder.check(predicate if alive is sides[0] else OPS["logical_not"](predicate))
        return alive.signal

    def _join(self, entry: State, predicate: Any, sides: list[Side], serial: int, kept: int) -> Signal:
        merge = Merge(self.trace, serial, tests=self.places)
        ends = [side.end for side in sides]
        dead = [isinstance(s.signal, Left) and s.signal.kind == RETURN for s in sides]
        templates = merge.places(entry.python, [e.python for e in ends], dead if dead != [True, True] else [False] * 2)
        memory = self._memory(merge, entry, ends)
        token = self._token(merge, entry, ends)
        signal = _signals(merge, [s.signal for s in sides])
        if not merge.leaves:
            for side in sides:
                drop(side.level.graph)
            results: list[Any] = []
        else:
            results = self._cond(entry, predicate, sides, merge.leaves, kept)
        made: dict[int, Any] = {}
        write(_places(ends), templates, results)
        for storage, (template, version) in memory.items():
            self._set(storage, template(results, made), version)
        if token is not None:
            self.builder.token = token(results, made)._value
        return signal(results, made)

    def _memory(self, merge: Merge, entry: State, ends: Sequence[State]) -> dict[Storage, tuple[Template, int]]:
        """Templates of the memory that either side wrote, with a version newer than both."""
        found: dict[Storage, tuple[Template, int]] = {}
        for storage in {**ends[0].cells, **ends[1].cells}:
            if storage in entry.cells:
                before, version, _ = entry.cells[storage]
            elif storage in self.builder.roots:
                before, version = self.builder.stored_value(storage), 0
            else:
                continue
            after = [end.cells.get(storage, (before, version, {})) for end in ends]
            if any(v is not before for v, _, _ in after):
                template = merge.leaf(Raw(after[0][0]), Raw(after[1][0]))
                found[storage] = template, max(n for _, n, _ in after) + 1
        return found

    def _set(self, storage: Storage, result: Any, version: int) -> None:
        cell = self.builder.cells[storage]
        cell.set(self.builder.lift(result))  # type: ignore[arg-type]
        cell.version = version

    def _token(self, merge: Merge, entry: State, ends: Sequence[State]) -> Template | None:
        if all(end.token is entry.token for end in ends):
            return None
        tokens = [Raw(self.builder.current_token() if end.token is None else end.token) for end in ends]
        return None if tokens[0].value is tokens[1].value else merge.leaf(*tokens)

    def _cond(
        self, entry: State, predicate: Any, sides: list[Side], leaves: list[tuple[Any, Any]], kept: int
    ) -> list[Any]:
        lifted = [self._lift_all(side, [leaf[i] for leaf in leaves]) for i, side in enumerate(sides)]
        varied = BranchResults(self.builder, leaves)
        for i, (side, own) in enumerate(zip(sides, lifted)):
            with self.builder.inside(side.level):
                varied.pad(i, own)
        for side, own, other in zip(sides, lifted, lifted[::-1]):
            self._fill(side, own, other)
        entry.restore()
        nodes = [self.builder.needed(s.level.graph, own) for s, own in zip(sides, lifted)]
        captured: dict[Value, None] = {}
        for part, own in zip(nodes, lifted):
            captured.update(dict.fromkeys(self.builder.free(part, own, ())))
        inputs = list(captured)
        graphs = [self.builder.close(s.level.graph.name, n, o, inputs)[0] for s, n, o in zip(sides, nodes, lifted)]
        for side in sides:
            drop(side.level.graph)
        operands = [self.builder.operand(v) for v in inputs]
        flags = [any(isinstance(x, Tensor) and x.requires_grad for x in leaf) for leaf in leaves]
        flags += [False] * len(varied.groups)
        results = varied.cut(self.apply(run_cond, predicate, operands, *graphs, grad=flags))
        self.protect(leaves, results, kept)
        return results

    # -- shared with loops -----------------------------------------------------------------------
    def apply(self, op: Callable[..., Any], *args: Any, grad: Sequence[bool]) -> list[Any]:
        """Record a control-flow op; only the results flagged in ``grad`` have a history."""
        token = dispatch.set_grad_enabled_flag(any(grad))
        try:
            results = list(op(*args))
        finally:
            dispatch.reset_grad_enabled(token)
        for result, wanted in zip(results, grad, strict=True):
            if isinstance(result, Tensor) and not wanted:
                result._node, result._output = None, 0
                self.builder.stopped.add(self.builder.cell(result).value)
        return results

    def lift(self, leaf: Any) -> Value | None:
        """The value of a leaf at this point; None if it is dead."""
        if leaf is DEAD:
            return None
        return leaf.value if isinstance(leaf, Raw) else self.builder.lift(leaf)

    def _lift_all(self, side: Side, leaves: list[Any]) -> list[Any]:
        side.end.restore()
        with self.builder.inside(side.level):
            return [self.lift(leaf) for leaf in leaves]

    def _fill(self, side: Side, own: list[Any], other: Sequence[Any]) -> None:
        """Zeros for what is dead on this side."""
        with self.builder.inside(side.level):
            for i, value in enumerate(own):
                if value is None:
                    own[i] = self.zero(other[i].type)

    def zero(self, type_: Type) -> Value:
        """A value of the given type that nobody reads."""
        if isinstance(type_, EffectType):
            return self.builder.current_token()
        if isinstance(type_, TensorType):
            scalar = OPS["constant"](value=False if type_.dtype is BOOL.dtype else 0, dtype=type_.dtype)
            full = OPS["broadcast_to"](scalar, shape=type_.shape) if type_.shape else scalar
            return self.builder.value(full)
        kind = {"int": 0, "float": 0.0, "bool": False}[type_.name]  # type: ignore[attr-defined]
        return self.builder.number(kind)

    def protect(self, leaves: Sequence[tuple[Any, Any]], results: Sequence[Any], kept: int) -> None:
        """Forbid writes to results that would have to reach a tensor from before."""
        counts: list[dict[Storage, int]] = [{}, {}]
        for leaf in leaves:
            for x, count in zip(leaf, counts):
                if isinstance(x, Tensor):
                    count[x._storage] = count.get(x._storage, 0) + 1
        made = {x._storage: r for leaf, r in zip(leaves, results) for x in leaf if isinstance(x, Tensor)}
        choices = self.builder.choices
        for leaf, result in zip(leaves, results):
            tensors = [(x, count) for x, count in zip(leaf, counts) if isinstance(x, Tensor)]
            if not isinstance(result, Tensor) or not tensors:
                continue
            old = [x for x, _ in tensors if not self._is_new(x, kept)]
            # What was chosen inside from another leaf may be that leaf's result.
            chosen = [s for x, _ in tensors for s, _ in choices.sources.get(x._storage, ())]
            old += [made[s] for s in chosen if s in made and made[s] is not result]
            if old or any(count[x._storage] > 1 for x, count in tensors):
                choices.freeze(result, old, self.places)

    def _is_new(self, tensor: Tensor, kept: int) -> bool:
        root = tensor if tensor._root is None else tensor._root
        return self.builder.traced.get(id(root), -1) >= kept


def _places(ends: Sequence[State]) -> dict[int, Any]:
    return {key: place for end in ends for key, place in end.python.places.items()}


def _signals(merge: Merge, signals: Sequence[Signal]) -> Callable[[Sequence[Any], dict[int, Any]], Signal]:
    """The template of the joined signal of two sides."""
    kinds = kinds_of(signals[0]) | kinds_of(signals[1])
    values = [value_of(s) for s in signals]
    template: Template | None = None
    if RETURN in kinds:
        try:
            first, second = [DEAD if v is MISSING else v for v in values]
            template = merge.plan(first, second, "what the function returns")
        except Disagree as disagree:
            raise Refuse("join", disagree.why, hint=disagree.hint) from None
    if len(kinds) == 1:
        (kind,) = kinds
        if kind == NEXT:
            return lambda results, made: None
        return lambda results, made: Left(kind, None if template is None else template(results, made))
    selectors = [selector_of(s) for s in signals]
    selector = merge.leaf(*selectors)
    places = merge.tests.union(*(s.places for s in signals if isinstance(s, Mixed)))
    return lambda results, made: Mixed(
        selector(results, made), kinds, None if template is None else template(results, made), places
    )


def selector_of(signal: Signal) -> Any:
    """The kind of a signal, as a number of the program or a plain one."""
    if signal is None:
        return NEXT
    return signal.kind if isinstance(signal, Left) else signal.selector


def kind_text(value: Any) -> Any:
    """What has to be equal for two values to be joined: the type of a tensor or number; None for the rest."""
    if isinstance(value, Tensor):
        return value._type
    if isinstance(value, Number):
        return value.type.name
    return value.python_type.__name__ if isinstance(value, RuntimeScalar) else None
