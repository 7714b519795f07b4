"""While loops that stack a value of each turn, of which only the program knows how many there are.

Where the test bounds the turns, there is room for that many rows, and the loop writes one in each turn.  Where it does
not, or where a gradient flows through the rows, the loop runs once to count its turns, and once more as a scan of as
many steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jitorch.builder import GraphBuilder
from jitorch.frontend.trace.staging import Stager
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import INT, EffectType, TensorType
from jitorch.ops import OPS, dispatch
from jitorch.ops.control import count_up, run_scan, run_while, stack_type
from jitorch.passes.clean import dce
from jitorch.passes.control import strip_checks
from jitorch.passes.turns import most_turns
from jitorch.tensor import Number

MOST_BYTES = 1 << 24
"""Room for rows that may never come."""


@dataclass(eq=False)
class Turns:
    """A loop: ``body`` gives what is carried, of which result ``counter`` counts the turns, and then what is stacked.

    ``starts``: what is carried into the loop, where that is a known int.
    """

    test: Graph
    body: Graph
    counter: int
    starts: list[int | None]

    @property
    def carried(self) -> int:
        return len(self.starts)

    @property
    def rows(self) -> list[Value]:
        """What is stacked."""
        return self.body.outputs[self.carried :]

    def room(self) -> list[TensorType] | None:
        """The types of stacks for as many turns as there can be; None if that is not known, or too much."""
        most = most_turns(self.test, self.body, self.starts)
        if most is None:
            return None
        types = [stack_type(v.type, most) for v in self.rows]
        return types if most * self._row_bytes() <= MOST_BYTES else None

    def _row_bytes(self) -> int:
        """Bytes that a turn stacks; more than there is room for, if that is not known."""
        sizes = [(stack_type(v.type, 1).size, stack_type(v.type, 1).dtype.itemsize) for v in self.rows]
        return sum(size * each if isinstance(size, int) else MOST_BYTES + 1 for size, each in sizes)


class Stacking(Stager):
    """Records loops whose turns are stacked."""

    def known_int(self, value: Any) -> int | None:
        """The int that a value is in every call that this trace serves."""
        known = self.builder._expression(value._value) if isinstance(value, Number) else value
        return known if type(known) is int else None

    def stacked(self, firsts: list[Any], constants: list[Any], turns: Turns, grad: Sequence[bool]) -> list[Any]:
        """The values carried last, then the stacks of the rows of all turns; ``grad``: which have a gradient."""
        room = None if any(grad[turns.carried :]) else turns.room()
        if room is not None:
            return self._written(firsts, constants, turns, room, grad)
        return self._scanned(firsts, constants, turns, grad)

    def _written(
        self, firsts: list[Any], constants: list[Any], turns: Turns, room: list[TensorType], grad: Sequence[bool]
    ) -> list[Any]:
        count = turns.carried
        stacks = [self.builder.operand(self.zero(t)) for t in room]
        test, body = turns.test, turns.body
        for i, type_ in enumerate(room):
            test.insert_input(count + i, type_)
            body.insert_input(count + i, type_)
        body.outputs[count:] = self._with_rows(body, count, turns)
        operands = [*firsts, *stacks, *constants]
        results = self.apply(run_while, operands, test, body, len(constants), grad=grad)
        ramp = self._ramp(results[turns.counter])[0]
        return [*results[:count], *(OPS["take"](r, ramp, axis=0) for r in results[count:])]

    def _with_rows(self, body: Graph, count: int, turns: Turns) -> list[Value]:
        """The stacks after a turn."""
        builder = GraphBuilder(body)
        token = dispatch.set_grad_enabled_flag(False)
        try:
            with dispatch.interpreting(builder):
                place = OPS["cast"](builder.wrap(body.inputs[turns.counter]), dtype=INT.dtype)
                stacks = [builder.wrap(v) for v in body.inputs[count : count + len(turns.rows)]]
                rows = [builder.wrap(v) for v in turns.rows]
                rows = [OPS["cast"](r, dtype=r.type.dtype) if isinstance(r, Number) else r for r in rows]
                made = [OPS["put"](s, place, r, axis=0, accumulate=False) for s, r in zip(stacks, rows, strict=True)]
                return [builder.value(m) for m in made]
        finally:
            dispatch.reset_grad_enabled(token)

    def _scanned(self, firsts: list[Any], constants: list[Any], turns: Turns, grad: Sequence[bool]) -> list[Any]:
        count = turns.carried
        counting, step = turns.body.copy(), turns.body
        counting.outputs = counting.outputs[:count]
        dce(counting)
        whole = [*firsts, *constants]
        carried = self.apply(run_while, whole, turns.test, counting, len(constants), grad=[False] * count)
        ramp, size = self._ramp(carried[turns.counter])
        # What the checks of the first time let pass need not be checked again.
        strip_checks(step)
        step.insert_input(count, TensorType(INT.dtype, ()))
        results = self.apply(run_scan, firsts, [ramp], constants, step, size, grad=grad)
        tokens = [isinstance(v.type, EffectType) for v in step.inputs[:count]]
        kept = [c if is_token else r for c, r, is_token in zip(carried, results, tokens)]
        return [*kept, *results[count:]]

    def _ramp(self, turns: Any) -> tuple[Any, Any]:
        """``0, 1, ..., turns - 1``, and its length."""
        ramp = count_up(OPS["cast"](turns, dtype=INT.dtype))
        return ramp, ramp._type.shape[0]
