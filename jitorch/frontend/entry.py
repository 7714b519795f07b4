"""One trace of a function, and what runs it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch.dims import SymDim
from jitorch.errors import CompilerBug
from jitorch.frontend.calls.instructions import Plan
from jitorch.frontend.calls.modes import Modes
from jitorch.frontend.donation import Loan
from jitorch.frontend.eager.differentiable import GraphFunction
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.records.record import Draft
from jitorch.frontend.trace.course import Outcomes
from jitorch.frontend.trace.tracer import Traced
from jitorch.frontend.tuning import Choice
from jitorch.ops import dispatch


@dataclass
class Entry:
    """One trace of a function."""

    traced: Traced
    modes: Modes
    cause: str
    function: GraphFunction | None
    calls: int = 0
    plan: Plan | None = None  # how machine code serves the entry's calls, if it can
    is_planned: bool = False
    draft: Draft | None = None  # what is written down of a new trace when its first call is done
    note: str = ""  # why no record was found, or none was written
    loan: Loan | None = None  # the inputs that are donated
    choice: Choice | None = None  # compiled or op by op, as it was measured
    is_tuned: bool = False

    @property
    def refused(self) -> Refuse | None:
        return self.traced.staged.refused

    def serves(self, known: Outcomes) -> bool:
        """Whether it is of a course that begins with the ``known`` outcomes; one that is refused, of just these."""
        outcomes = self.traced.outcomes
        return outcomes == known or (self.refused is None and outcomes[: len(known)] == known)

    @property
    def is_left_to_python(self) -> bool:
        """Whether every path of its course raises, as Python is to do."""
        return bool(self.traced.outcomes) and self.refused is not None and self.refused.reason == "raises"

    def inputs(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The program's inputs for this call, or None if this trace is not for it."""
        values = self.traced.staged.check(args, kwargs)
        if values is None or not self.symbolic:
            return values
        sizes = self._sizes(values)
        return values if sizes is not None and all(fact.holds(sizes) for fact in self.traced.facts) else None

    @functools.cached_property
    def symbolic(self) -> list[tuple[int, int, str]]:
        """Input, axis and symbol of every symbolic size."""
        return [
            (i, axis, str(d))
            for i, value in enumerate(self.traced.signature.inputs)
            for axis, d in enumerate(getattr(value.type, "shape", ()))
            if isinstance(d, SymDim)
        ]

    def _sizes(self, values: Sequence[Any]) -> dict[str, int] | None:
        """The symbolic sizes of the inputs ``values``; None if one symbol would have two sizes, or a size below 2."""
        found: dict[str, int] = {}
        for i, axis, name in self.symbolic:
            size = values[i]._type.shape[axis]
            if size < 2 or found.setdefault(name, size) != size:
                return None
        return found

    @functools.cached_property
    def direct(self) -> bool:
        """Whether the results are the program's outputs as they are."""
        return all(
            not o.stored and not o.steps and o.history in ("alive", "none") and o.source == i
            for i, o in enumerate(self.traced.outputs)
        )

    @functools.cached_property
    def computes(self) -> bool:
        """Whether there is a program to run: something is computed, written or checked, not just shown."""
        return bool(self.traced.signature.outputs) or self.traced.has_checks

    @property
    def enables_grad(self) -> bool:
        """Whether gradients are off where the function is called, and on where it computes a result."""
        return bool(self.traced.differentiable) and not self.modes[0]

    def _compute(self, inputs: tuple[Any, ...]) -> list[Any]:
        """What the program makes of its inputs."""
        if self.function is None or not self.computes:
            return []
        if not self.enables_grad:
            return self.function(inputs)
        token = dispatch.set_grad_enabled_flag(True)
        try:
            return self.function(inputs)
        finally:
            dispatch.reset_grad_enabled(token)

    def run(self, inputs: tuple[Any, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        traced = self.traced
        if self.function is None or traced.staged.finish is None:
            raise CompilerBug("a refused trace has no program")
        if traced.cleared:
            traced.clear(args, kwargs)
        if self.loan is not None:
            inputs = self.loan.take(inputs)
        computed = self._compute(inputs) if self.loan is None else self.loan.compute(self._compute, inputs)
        self.calls += 1
        if self.direct:
            return traced.staged.finish(computed, args, kwargs)
        results = [output.make(computed, inputs, lambda: self._sizes(inputs) or {}) for output in traced.outputs]
        if self.loan is not None:
            self.loan.close(inputs)
        return traced.staged.finish(results, args, kwargs)
