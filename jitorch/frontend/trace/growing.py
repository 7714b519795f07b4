"""Lists that a loop of the program appends to.

`Growing` compares the start and the end of an iteration, at which a list may be longer; what was appended becomes a
stacked result of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch.frontend.python.flow import Flow
from jitorch.frontend.python.fork import Contents, ListBoxPlace, Place, SequencePlace
from jitorch.frontend.python.merge import Merge, Template
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.python.stretch import Stretch
from jitorch.tensor import Number, Tensor


class Growing(Merge):
    """A merge of the start and the end of an iteration; ``grown`` has what was appended, by the list's identity.

    ``may_shrink``: tensors may be shorter at the end.
    """

    def __init__(self, trace: Flow, serial: int, may_shrink: bool = False):
        super().__init__(trace, serial, False)
        self.may_shrink = may_shrink
        self.grown: dict[int, tuple[Place, list[Any]]] = {}

    def goes_on(self, a: Any, b: Any) -> bool:
        """Whether ``a``, at the start of an iteration, may be ``b`` at its end."""
        return self.may_shrink and self.trace.recorder.shrinks(a, b)

    def contents(self, place: Place, after: Sequence[Contents]) -> dict[Any, Template]:
        start, end = after
        if isinstance(place, (SequencePlace, ListBoxPlace)) and len(end) > len(start):
            keys = list(end)
            appended = isinstance(place, SequencePlace) or all(kind == "appended" for kind, _ in keys)
            if appended and all(k in start and start[k] is end[k] for k in keys[: len(start)]):
                self.grown[id(list_of(place))] = place, [end[k] for k in keys[len(start) :]]
                after = [start, start]
        return super().contents(place, after)


def list_of(place: Any) -> Any:
    """The list whose contents ``place`` holds."""
    return place.target if isinstance(place, SequencePlace) else place.base


def requires_grad(value: Any) -> bool:
    """Whether what is appended has a history."""
    return isinstance(value, Tensor) and value.requires_grad


class Stretching:
    """What an iteration appends to lists that will hold a `Stretch`: one tensor or number each."""

    def __init__(self, merge: Growing):
        self.lists: list[Any] = []
        self.values: list[Any] = []
        for place, added in merge.grown.values():
            if len(added) != 1 or not (isinstance(added[0], (Tensor, Number)) or type(added[0]) in (int, float, bool)):
                raise Refuse(
                    "loop",
                    "a loop of unknown length appends something other than one tensor or number in each iteration",
                    hint="collect each part in a list of its own",
                )
            if merge.trace.recorder.is_bound_inside(added[0]):
                raise Refuse("loop", "a list of tensors whose sizes the iterations of a loop compute")
            self.lists.append(list_of(place))
            self.values.append(added[0])

    def extend(self, flow: Flow, stacks: Sequence[Any], length: Any) -> None:
        """Let each list hold the rows of what the loop stacked for it."""
        for target, value, stacked in zip(self.lists, self.values, stacks, strict=True):
            flow.list_append(target, flow.stretched(Stretch(stacked, length, not isinstance(value, Tensor))))
