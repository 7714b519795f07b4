"""Long `for` loops become one `scan`: over the rows of a tensor, or over a range.

The body is traced once for all iterations.  ``x[i]``, where ``i`` is the loop's index, is then a row that the scan
hands to the step, and what the body appends to a list becomes a stacked result of which the list holds the rows.
What cannot be done so (a body that needs the number itself, changes shapes, or reads a list that it grows) is unrolled
instead; a body that may leave the loop becomes a `while_loop`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from jitorch.dims import SymDim, is_known
from jitorch.errors import user_location
from jitorch.frontend.python.flow import CONTINUE, NEXT, Flow, Mixed, Poison, Signal, Variables
from jitorch.frontend.python.fork import Place
from jitorch.frontend.python.merge import DEAD, Disagree, Merge, Template
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.python.stretch import Stretch, stretches
from jitorch.frontend.trace.growing import Growing, Stretching, list_of, requires_grad
from jitorch.frontend.trace.loops import ATTEMPTS, Attempt, Carried, Loops, TracedRange, placeholder_node
from jitorch.frontend.trace.nested import Level, drop
from jitorch.frontend.trace.staging import Note, Side, State
from jitorch.frontend.trace.varying import Shrinkings
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import INT, EffectType, TensorType
from jitorch.ops import OPS, PUBLIC
from jitorch.ops.control import run_scan
from jitorch.tensor import Number, Tensor

TRIPS, NODES, TOTAL = 16, 4, 512
"""A loop is rolled that has more than ``TRIPS`` iterations of more than ``NODES`` nodes, or ``TOTAL`` nodes in all."""


class _Leaves(Exception):
    """The body may leave the loop, so it is no scan."""


class Stacking(Merge):
    """Plans for what each iteration appends to a list."""

    def codes(self, a: Any, b: Any) -> None:
        if super().codes(a, b) is not None:
            raise Refuse("alias", "a list of tensors from outside that a loop appends to")


@dataclass(eq=False)
class Rows:
    """The stacked operands of one scan: whole tensors, and the values that stand for a row of each."""

    length: Any
    level: Level
    index: Value  # the row of the index
    number: Any = None  # the index as the body sees it
    first: Any = 0
    step: int = 1
    wholes: list[Any] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    made: dict[Value, Tensor] = field(default_factory=dict)


def _by_index(values: Any, length: Any, body: Callable[[Any], Signal]) -> tuple[TracedRange, Callable[[Any], Signal]]:
    """A loop over rows as one over their indices."""
    if isinstance(values, TracedRange):
        return values, body
    return TracedRange(0, length, 1), lambda index: body(values[OPS["cast"](index, dtype=INT.dtype)])


class Rolling(Loops):
    """Traces loops, and rolls long ones."""

    def for_loop(self, flow: Flow, values: Any, body: Callable[[Any], Signal], variables: Variables) -> Any:
        values = self.whole(values)
        if isinstance(values, TracedRange) and not values.is_sized:
            return super().for_loop(flow, values, body, variables)
        if isinstance(values, Tensor):
            if not values._type.shape:
                return NotImplemented
            length = values._type.shape[0]
        elif isinstance(values, range):
            length = len(values)
        elif isinstance(values, TracedRange):
            length = values.stop - values.start
        else:
            return NotImplemented
        if isinstance(length, int) and length <= TRIPS:
            return NotImplemented
        serial, noted = flow.serial(), len(self.notes)
        entry = State(self, variables)
        growing = flow.growing
        try:
            return self._scan(flow, values, length, body, variables, entry, serial)
        except _Leaves:
            failed: BaseException | None = None
        except Refuse as refusal:
            failed = refusal
        finally:
            flow.growing = growing
        entry.restore()
        del self.notes[noted:]
        if not is_known(length):
            if failed is not None:
                raise failed
            return self._range(flow, *_by_index(values, length, body), variables)
        if failed is None and isinstance(values, range):
            try:
                return self._peeled(flow, values, body, variables)
            except Refuse:
                entry.restore()
                del self.notes[noted:]
        return NotImplemented

    def _peeled(self, flow: Flow, values: range, body: Callable[[Any], Signal], variables: Variables) -> Signal:
        """The first iteration by itself, which gives every variable of the body a value; then a while loop."""
        pending = flow.iteration(None, lambda: body(values.start), variables)
        if pending is not None and not isinstance(pending, Mixed):
            return pending
        if isinstance(pending, Mixed) and NEXT not in pending.kinds:
            return pending
        bounds = TracedRange(values.start + values.step, values.stop, values.step)
        return self._range(flow, bounds, body, variables, pending)

    def _scan(
        self, flow: Flow, values: Any, length: Any, body: Callable[[Any], Signal], variables: Variables, entry: State,
        serial: int,
    ) -> Any:  # fmt: skip
        where, kept, noted = user_location(columns=True), len(self.builder.kept), len(self.notes)
        carried, grown, around = Carried(), set[int](), flow.growing
        poisoned: dict[tuple[int, Any], None] = {}
        for _ in range(ATTEMPTS):
            del self.notes[noted:]
            flow.growing = {**around, **dict.fromkeys(grown)}
            attempt, rows = self._step(flow, entry, carried, values, length, body, variables)
            merge = Growing(self.trace, serial)
            fixed = self._is_fixed_by(attempt, merge)
            if fixed and not merge.grown.keys() - grown:
                count = len(attempt.body.level.graph.nodes)
                if isinstance(length, int) and count <= NODES and count * length <= TOTAL:
                    attempt.drop()
                    raise Refuse("loop", "a short loop")
                self.notes.append(Note("a loop of the program, over rows", where))
                self._finish(flow, entry, attempt, rows, merge, poisoned, kept)
                return None
            grown |= merge.grown.keys()
            attempt.drop()
            again = Growing(self.trace, serial)
            carried = self._compare(again, entry, attempt.body.end, None, None)
            grown |= again.grown.keys()
            for place, key in again.poisoned:
                poisoned[self._key_of(carried, place), key] = None
        raise Refuse("loop", "a loop whose variables do not settle to fixed types", where)

    def _key_of(self, carried: Carried, place: Place) -> int:
        return next(key for key, known in carried.places.items() if known is place)

    def _is_fixed_by(self, attempt: Attempt, merge: Growing) -> bool:
        found = self._compare(merge, attempt.start, attempt.body.end, None, None)
        return self._settles(attempt, found)

    def _step(
        self, flow: Flow, entry: State, carried: Carried, values: Any, length: Any, body: Callable[[Any], Signal],
        variables: Variables,
    ) -> tuple[Attempt, Rows]:  # fmt: skip
        inputs = [Value(self._leaf_type(leaf)) for leaf in carried.leaves]
        placeholders = [self._placeholder(v, leaf) for v, leaf in zip(inputs, carried.leaves)]
        self._install(carried, placeholders)
        start = State(self, variables, entry)
        level = Level(Graph("body"), entry.cells)
        rows = Rows(length, level, Value(TensorType(OPS["iota"](size=1).dtype, ())))
        side = Side(level, start, None)

        def iteration() -> Signal:
            if isinstance(values, Tensor):
                return body(self._row(rows, values))
            rows.first, rows.step = values.start, values.step
            number = OPS["number_of"](self.builder.adopt(self.builder.wrap(rows.index)))
            rows.number = self._index(number, rows)
            return body(rows.number)

        self.scans.append(rows)
        try:
            self._run(start, side, lambda: flow.without(iteration(), CONTINUE), variables)
        finally:
            self.scans.pop()
            entry.restore()
        if side.is_dead:
            drop(level.graph)
            raise Refuse("raises", "a loop that raises")
        if side.signal is not None:
            drop(level.graph)
            raise _Leaves
        return Attempt(carried, inputs, placeholders, None, start, side, Shrinkings(self.builder, (), ())), rows

    def _index(self, number: Any, rows: Rows) -> Any:
        if rows.step != 1:
            number = OPS["mul"](number, rows.step)
        if isinstance(rows.first, SymDim) or rows.first != 0:
            number = OPS["add"](number, rows.first if isinstance(rows.first, int) else OPS["size_of"](size=rows.first))
        return number

    # -- rows ------------------------------------------------------------------------------------
    def row(self, tensor: Tensor, key: Any) -> Any:
        """``tensor[key]`` as the row of a scan in progress; NotImplemented if it is none."""
        first = key[0] if isinstance(key, tuple) and key else key
        if not isinstance(first, Number) or not tensor._type.shape:
            return NotImplemented
        rows = next((r for r in self.scans if r.number is not None and r.number._value is first._value), None)
        if rows is None or (rows.first, rows.step) != (0, 1) or not self._fits(tensor, rows):
            return NotImplemented
        found = self._row(rows, tensor)
        return found[key[1:]] if isinstance(key, tuple) and len(key) > 1 else found

    def _fits(self, tensor: Tensor, rows: Rows) -> bool:
        size = tensor._type.shape[0]
        enough = size == rows.length or (isinstance(size, int) and isinstance(rows.length, int) and size > rows.length)
        # Only what the loop does not change has rows beforehand, and only the innermost scan is being built.
        return enough and rows is self.scans[-1] and self._is_outside(tensor, rows)

    def _is_outside(self, tensor: Tensor, rows: Rows) -> bool:
        level = self.builder.levels.index(rows.level)
        return self.builder.home(tensor) < level

    def _row(self, rows: Rows, tensor: Tensor) -> Tensor:
        depth = self.builder.levels.index(rows.level) - 1
        with self.builder.at(depth):
            whole = tensor if tensor._type.shape[0] == rows.length else tensor[: rows.length]
            value = self.builder.value(whole)
        row = rows.made.get(value)
        if row is None:
            type_ = value.type
            assert isinstance(type_, TensorType)
            one = Value(type_.with_shape(type_.shape[1:]))
            row = rows.made[value] = self.builder.adopt(self.builder.wrap(one))
            if whole.requires_grad:
                row._node = placeholder_node()
            self.builder.choices.freeze(row)
            rows.wholes.append(whole)
            rows.values.append(one)
        return row

    # -- the scan --------------------------------------------------------------------------------
    def _finish(
        self, flow: Flow, entry: State, attempt: Attempt, rows: Rows, merge: Growing,
        poisoned: dict[tuple[int, Any], None], kept: int,
    ) -> None:  # fmt: skip
        side, carried = attempt.body, attempt.carried
        last = Merge(self.trace, merge.serial, False)
        lasts = self._lasts(last, side.end, poisoned)
        step = Stacking(self.trace, merge.serial, False)
        stretching = None if isinstance(rows.length, int) else Stretching(merge)
        grown = [
            (place, [step.plan(DEAD, v, "what is appended") for v in added]) for place, added in merge.grown.values()
        ]
        finals = [*attempt.finals, *(b for _, b in last.leaves)]
        outputs = self._lift_all(side, [*finals, *(b for _, b in step.leaves)])
        self._fill(side, outputs, [*attempt.inputs, *outputs[len(attempt.inputs) :]])
        if any(isinstance(v.type, EffectType) for v in outputs[len(finals) :]):
            raise Refuse("loop", "a check in a list")
        entry.restore()
        unused = [Value(v.type) for v in outputs[len(attempt.inputs) : len(finals)]]
        uses_index = rows.number is not None
        stacked = [*([rows.index] if uses_index else []), *rows.values]
        nodes = self.builder.needed(side.level.graph, outputs)
        own = [*attempt.inputs, *unused, *stacked]
        captured = self.builder.free(nodes, outputs, own)
        body, _ = self.builder.close("body", nodes, outputs, [*own, *captured])
        attempt.drop()
        firsts = [self.first(leaf, p) for leaf, p in zip(carried.leaves, attempt.inputs)]
        firsts += [self.builder.operand(self.zero(v.type)) for v in unused]
        wholes = [*([OPS["iota"](size=rows.length)] if uses_index else []), *rows.wholes]
        constants = [self.builder.operand(v) for v in captured]
        flags = self.flags(attempt) + [requires_grad(b) for _, b in (*last.leaves, *step.leaves)]
        results = self.apply(run_scan, firsts, wholes, constants, body, rows.length, grad=flags)
        count = len(attempt.inputs)
        self.protect(carried.leaves, results[:count], kept)
        # There is an iteration: what each sets to one number has that number afterwards.
        known = [f if type(f) is int else r for f, r in zip(attempt.finals, results[:count], strict=True)]
        self._install(carried, known, 1)
        made: dict[int, Any] = {}
        for place, key, template in lasts:
            contents = place.read()
            contents[key] = template(results[count : len(finals)], made)
            place.write(contents)
        if stretching is not None:
            stretching.extend(flow, results[len(finals) :], rows.length)
            return
        for place, templates in grown:
            self._extend(flow, place, templates, results[len(finals) :], rows.length)

    def _lasts(
        self, merge: Merge, end: State, poisoned: dict[tuple[int, Any], None]
    ) -> list[tuple[Place, Any, Template]]:
        """Variables that an iteration sets anew: after the loop they are as the last one left them."""
        found: list[tuple[Place, Any, Template]] = []
        for place_key, key in poisoned:
            value = end.python.contents.get(place_key, {}).get(key, DEAD)
            if value is DEAD or type(value) is Poison:
                continue
            before = len(merge.leaves)
            try:
                found.append((end.python.places[place_key], key, merge.plan(DEAD, value, "a variable")))
            except Disagree:
                del merge.leaves[before:]
        return found

    def _extend(self, flow: Flow, place: Any, templates: list[Template], results: Sequence[Any], length: Any) -> None:
        """Append, for each step, what the body appended."""
        target = list_of(place)
        parts = [[stacked[i] for i in range(length)] for stacked in results]
        for stacked, rows in zip(results, parts):
            for i, row in enumerate(rows):
                self.builder.rows[id(row)] = (stacked, i)
        for i in range(length):
            made: dict[int, Any] = {}
            for template in templates:
                flow.list_append(target, template([p[i] for p in parts], made))

    def whole(self, values: Any) -> Any:
        """The tensor whose rows are the elements of ``values``, if that is a list of a loop's results; else itself."""
        trace = self.trace
        if type(values) is not list or not trace.has_stretches or trace.growing or not trace.is_created(values):
            return values
        only = values[0] if len(values) == 1 else None
        return only.stacked if type(only) is Stretch and not only.is_number else values

    def last(self, stretch: Stretch) -> Any:
        """The last element, of which there must be one."""
        self._not_empty([stretch])
        row = stretch.stacked[self.trace.recorder.index(OPS["sub"](stretch.length, 1))]
        return OPS["number_of"](row) if stretch.is_number else row

    def _not_empty(self, elements: Sequence[Stretch]) -> None:
        """Python raises where there are no elements."""
        length = elements[0].length
        for other in elements[1:]:
            length = self.trace.binary("add", length, other.length)
        known = self.trace.compare("gt", length, 0)
        if known is False:
            raise Refuse("loop", "an empty list")
        if known is not True:
            self.builder.check(known)

    def joined(self, elements: Sequence[Any], dim: int, is_new: bool) -> Tensor | None:
        """``stack`` (``is_new``) or ``cat`` of a list that has stretches; None if it has none."""
        if not stretches(elements):
            return None
        if any(type(x) is Stretch and x.is_number for x in elements):
            raise Refuse("loop", "numbers in the place of tensors")
        if all(type(x) is Stretch for x in elements):
            self._not_empty(elements)
        parts: list[Any] = []
        for stretch, group in groupby(elements, lambda x: x if type(x) is Stretch else None):
            parts += [PUBLIC["stack"](list(group))] if stretch is None else [stretch.stacked]
        rank = parts[0].dim() - (0 if is_new else 1)
        if any(x.dim() != parts[0].dim() for x in parts) or not -rank <= dim < rank:
            raise Refuse("loop", "a list of tensors of different ranks, or an axis that they lack")
        # The rows stand along the new axis, or just before the one that they are joined along.
        at = dim % rank
        joined = PUBLIC["cat"](parts) if len(parts) > 1 else OPS["copy"](parts[0])
        joined = PUBLIC["movedim"](joined, 0, at)
        shape = joined._type.shape
        return joined if is_new else joined.reshape((*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :]))

    def unstack(self, tensors: Sequence[Any]) -> Tensor | None:
        """The tensor of which ``tensors`` are all rows, as a scan gave it."""
        known = [self.builder.rows.get(id(t)) for t in tensors]
        if not known or known[0] is None:
            return None
        whole = known[0][0]
        if len(known) != whole.shape[0] or self.builder.version(whole) != 0:
            return None
        return whole if all(k is not None and k[0] is whole and k[1] == i for i, k in enumerate(known)) else None
