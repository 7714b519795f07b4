"""Tensors that a branch or loop chose: which object is it, after the call?

In the program a chosen tensor is a value of its own.  In Python it is one of the tensors that were there before: the
caller may compare it with them, or write to it.  So beside the value the program carries a *code*: the number of the
tensor that was chosen, if that is a stored one, a view of one, or one that the trace made outside of branches and
loops; 0 for others.  A result with a code becomes that tensor again after the call.  (What nobody asks the code of is
dropped from the program like any unused value.)  Inside of the trace a chosen tensor is read as long as nobody writes
to the memory it was chosen from, and is not written to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jitorch.errors import Location
from jitorch.frontend.python.merge import DEAD
from jitorch.frontend.python.recorder import Refuse
from jitorch.ir.types import INT
from jitorch.ops import OPS
from jitorch.tensor import Number, Storage, Tensor

if TYPE_CHECKING:
    from jitorch.frontend.trace.tracer import TraceBuilder

_OUT_OF_PLACE = "use the out-of-place form of the operation, such as x = x + y in the place of x += y"


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen ``tensor``, and the ``code`` of what it is: a number of the program."""

    tensor: Tensor
    code: Any


def number_of(code: Any) -> int:
    """The code that a program gave; 0, so that the value stands, where it is not one number.

    So it is in a graph that is captured, and in a function of which many are computed at once.
    """
    return code.item() if isinstance(code, Tensor) and code._array is not None else 0


class Choices:
    """What was chosen in one trace."""

    def __init__(self, builder: TraceBuilder):
        self.builder = builder
        self.outer: set[Storage] = set()  # memory that the trace made outside of branches and loops
        self.candidates: list[Tensor] = []  # the code of the first is 1
        self.made: dict[Storage, Choice] = {}
        # Memory of chosen tensors -> the memories, with their versions, that they may be.
        self.sources: dict[Storage, tuple[tuple[Storage, int], ...]] = {}
        self.places: dict[Storage, frozenset[Location]] = {}  # the tests that chose

    def code(self, value: Any) -> Any:
        """The number of the tensor that this is: plain, or of the program."""
        if value is DEAD:
            return DEAD
        found = self.made.get(value._storage)
        if found is not None:
            if value is not found.tensor:
                raise Refuse(
                    "join",
                    "a view of a tensor that a branch chose is chosen by another",
                    places=self.places.get(value._storage),
                )
            return found.code
        if not self._is_from_outside(value) and value._storage not in self.outer:
            return 0
        for number, candidate in enumerate(self.candidates, 1):
            if candidate is value:
                return number
        self.candidates.append(value)
        return len(self.candidates)

    def _is_from_outside(self, tensor: Tensor) -> bool:
        return self.builder.is_stored(tensor) or tensor._storage in self.builder.roots

    def codes(self, a: Any, b: Any) -> tuple[Any, Any] | None:
        """The codes of two tensors that are joined; None where neither has one, or both are numbers."""
        if not isinstance(a, Tensor) and not isinstance(b, Tensor):
            return None
        codes = self.code(a), self.code(b)
        return None if all(type(c) is int and c == 0 for c in codes if c is not DEAD) else codes

    def add(self, tensor: Tensor, code: Any) -> Tensor:
        """Remember that the code of a chosen tensor is this."""
        if type(code) is int and code == 0:
            self.made.pop(tensor._storage, None)
        else:
            self.made[tensor._storage] = Choice(tensor, code)
        return tensor

    def freeze(self, tensor: Tensor, sources: Sequence[Tensor] = (), places: frozenset[Location] = frozenset()) -> None:
        """The tensor may be one of the ``sources``, as the program sees them now; the tests at ``places`` chose."""
        builder = self.builder
        self.places[tensor._storage] = places
        self.sources[tensor._storage] = tuple((t._storage, builder.cell(t).version) for t in sources)

    def result(self, value: Tensor, results: Sequence[Any]) -> tuple[Any, list[tuple[int, Tensor]]] | None:
        """The code of a result, as a tensor, and what the result is for each; None where it is no such tensor.

        What the trace made matters only where it is among the ``results``, too.
        """
        choice = self.made.get(value._storage)
        if choice is None:
            return None
        memories = {t._storage for t in results if isinstance(t, Tensor)}
        steps = value._steps[len(choice.tensor._steps) :]
        found: list[tuple[int, Tensor]] = []
        for number, other in enumerate(tuple(self.candidates), 1):
            if other._type != choice.tensor._type:
                continue
            if not self._is_from_outside(other) and other._storage not in memories:
                continue
            for op, attrs in steps:
                other = other.detach() if op.name == "detach" else op(other, **attrs)  # type: ignore[operator]
            found.append((number, other))
        return (OPS["cast"](choice.code, dtype=INT.dtype), found) if found else None

    def release(self) -> None:
        """Let go of all memory."""
        self.outer.clear()
        self.candidates.clear()
        self.made.clear()
        self.sources.clear()
        self.places.clear()

    # -- refusals --------------------------------------------------------------------------------
    def check_write(self, tensor: Tensor) -> None:
        if tensor._storage in self.sources:
            raise Refuse(
                "branch-write",
                "a write to a tensor that is one of several, by a branch or loop before",
                hint=_OUT_OF_PLACE,
                places=self.places[tensor._storage],
            )

    def check_read(self, tensor: Tensor) -> None:
        for storage, version in self.sources.get(tensor._storage, ()):
            if self.builder.cells[storage].version != version:
                raise Refuse(
                    "branch-write",
                    "a tensor that a branch or loop chose is read, after a write to one that it was chosen from",
                    hint=_OUT_OF_PLACE,
                    places=self.places[tensor._storage],
                )

    def check_attribute(self, tensor: Tensor, name: str) -> None:
        if tensor._storage in self.sources:
            raise Refuse(
                "join",
                f"{name} of a tensor that is one of several, by a branch or loop before",
                places=self.places[tensor._storage],
            )

    def check_results(self, results: Sequence[Any]) -> None:
        """Two results that are one tensor on some path, and have no codes, would be two after the call."""
        memories = {t._storage for t in results if isinstance(t, Tensor)} - self.builder.roots.keys() - self.outer
        for t in results:
            if isinstance(t, Tensor) and any(s in memories for s, _ in self.sources.get(t._storage, ())):
                raise Refuse(
                    "join",
                    "a result that is another result where a branch or loop chose that one",
                    hint="return a copy",
                    places=self.places[t._storage],
                )

    def is_same(self, a: Any, b: Any) -> Any:
        """``a is b`` of two objects that differ in the trace: a bool, or a number of the program."""
        if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
            return False
        if a._storage not in self.sources and b._storage not in self.sources:
            return False
        chosen, other = (a, b) if a._storage in self.made else (b, a)
        code = self.code(other)
        if chosen._storage not in self.made or type(code) is not int or chosen is not self.made[chosen._storage].tensor:
            places = self.places.get(a._storage, frozenset()) | self.places.get(b._storage, frozenset())
            raise Refuse(
                "join", "the identity of a tensor that is one of several, by a branch or loop before", places=places
            )
        found = self.made[chosen._storage].code
        return OPS["eq"](found, code) if isinstance(found, Number) else found == code
