"""Tensors whose sizes a branch or loop computes: ``while len(boxes): boxes = boxes[mask]``.

What a branch gives, and a loop carries, has one type.  So such a tensor is given, or carried, as memory for as many
elements as there can be, and the number of those that are there, at its front.  What follows sees as many: a size of
its own, bound to that number.  That there is room for them is known from the ops that made them: a mask has not more
true elements than elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jitorch.builder import Cell
from jitorch.dims import Dim, decide, dim_max, symbols
from jitorch.frontend.python.merge import DEAD
from jitorch.frontend.python.recorder import Refuse
from jitorch.ir.graph import Value
from jitorch.ir.sizes import symbols_of
from jitorch.ir.types import INT, TensorType
from jitorch.ops import OPS
from jitorch.ops.control import count_up, new_size
from jitorch.tensor import Tensor

if TYPE_CHECKING:
    from jitorch.frontend.trace.tracer import TraceBuilder


def is_bound_inside(builder: TraceBuilder, value: Any) -> bool:
    """Whether ``value`` has a size that is bound in a branch or loop that is over: nobody knows it here."""
    if not isinstance(value, Tensor):
        return False
    computed = {s for s in symbols_of([value._type]) if s.computed}
    return bool(computed) and not computed <= builder.binders(computed).keys()


def shrinking_axis(builder: TraceBuilder, before: Any, after: Any) -> int | None:
    """The one axis along which a tensor has another size ``after`` an iteration, for which there is room where it was
    ``before``; None if there is no room, or they differ otherwise."""
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return None
    old, new = before._type, after._type
    if old.dtype is not new.dtype or old.rank != new.rank:
        return None
    axes = [i for i, (a, b) in enumerate(zip(old.shape, new.shape)) if a != b]
    if len(axes) != 1:
        return None
    size = old.shape[axes[0]]
    return axes[0] if _is_at_most(builder, new.shape[axes[0]], builder.room.get(size, size)) else None


def _is_at_most(builder: TraceBuilder, small: Dim, large: Dim) -> bool:
    """Whether a size cannot be more than another: as many elements as a mask has can be true."""
    found: Dim | None = small
    while found is not None and not decide("<=", found, large):
        found = _not_less(builder, found)
    return found is not None


def _not_less(builder: TraceBuilder, size: Dim) -> Dim | None:
    """Another size that is not less: for n - 1 it is n, for the number of true elements that of all; None if there is
    none."""
    if size in builder.most:
        return builder.most[size]
    return next((s.dim for s in symbols(size) if s.dim != size and decide("<=", size, s.dim)), None)


@dataclass(eq=False)
class Left:
    """How many elements are left of tensors that an iteration makes shorter alike: ``size``, bound to ``count``."""

    first: Dim
    size: Dim = field(default_factory=new_size)
    count: Value = field(default_factory=lambda: Value(INT))


@dataclass(eq=False)
class Shrinking:
    """One carried tensor that becomes shorter along ``axis``: leaf ``place``, whose memory is ``whole``."""

    place: int
    axis: int
    left: Left
    whole: Value
    placeholder: Tensor


class Shrinkings:
    """Those of one attempt at a loop."""

    def __init__(self, builder: TraceBuilder, leaves: Sequence[tuple[Any, Any]], inputs: Sequence[Value]):
        self.builder = builder
        self.all: list[Shrinking] = []
        groups: dict[tuple[Dim, Dim], Left] = {}
        for place, ((before, after), whole) in enumerate(zip(leaves, inputs)):
            axis = shrinking_axis(builder, before, after)
            if axis is None:
                continue
            if before.requires_grad or after.requires_grad:
                raise Refuse("loop", "a tensor with a gradient that a loop makes shorter", hint=_MASK)
            sizes = before._type.shape[axis], after._type.shape[axis]
            left = groups.setdefault(sizes, Left(sizes[0]))
            builder.most[left.size] = builder.room[left.size] = left.first
            shape = (*before._type.shape[:axis], left.size, *before._type.shape[axis + 1 :])
            placeholder = builder.adopt(Tensor._traced(before._type.with_shape(shape)))
            self.all.append(Shrinking(place, axis, left, whole, placeholder))
        self.groups = list(groups.values())

    @property
    def counts(self) -> list[Value]:
        return [left.count for left in self.groups]

    def placeholders(self, others: Sequence[Any]) -> list[Any]:
        """What the iteration sees of each leaf."""
        made = list(others)
        for one in self.all:
            made[one.place] = one.placeholder
        return made

    def open(self) -> None:
        """At the beginning of a test or body: what the placeholders hold there."""
        builder = self.builder
        ramps = {}
        for left in self.groups:
            ramps[left] = OPS["steps"](OPS["cast"](builder.wrap(left.count), dtype=INT.dtype), size=left.size)
        for one in self.all:
            part = OPS["take"](builder.wrap(one.whole), ramps[one.left], axis=one.axis)
            builder.cells[one.placeholder._storage] = Cell(builder.value(part))

    def close(self, outputs: list[Value | None], finals: Sequence[Any]) -> list[Value]:
        """At the end of the body: ``outputs`` get the memory with what is left at its front; gives the counts."""
        builder = self.builder
        ends: dict[Left, Dim] = {}
        for one in self.all:
            final, value = finals[one.place], outputs[one.place]
            if builder.cells[one.placeholder._storage].version:
                raise Refuse("loop", "a write to a tensor that a loop makes shorter", hint=_MASK)
            if value is None or not isinstance(final, Tensor):
                continue
            size = final._type.shape[one.axis]
            if ends.setdefault(one.left, size) != size:
                raise Refuse("loop", "two tensors that a loop makes shorter alike at first, and then not", hint=_MASK)
            index = OPS["iota"](size=size)
            whole = OPS["put"](builder.wrap(one.whole), index, builder.wrap(value), axis=one.axis, accumulate=False)
            outputs[one.place] = builder.value(whole)
        return [builder.lift(ends[left]) if left in ends else left.count for left in self.groups]  # type: ignore[misc]

    def firsts(self) -> list[Any]:
        """How many elements there are before the loop."""
        return [self.builder.wrap(self.builder.lift(left.first)) for left in self.groups]  # type: ignore[arg-type]

    def results(self, results: Sequence[Any], counts: Sequence[Any]) -> list[Any]:
        """What is left after the loop."""
        made = list(results)
        ramps = {left: count_up(OPS["cast"](n, dtype=INT.dtype)) for left, n in zip(self.groups, counts, strict=True)}
        for one in self.all:
            made[one.place] = OPS["take"](made[one.place], ramps[one.left], axis=one.axis)
        return made


@dataclass(eq=False)
class Varying:
    """One result of a branch, leaf ``place``, whose sizes along ``axis`` on the two sides are ``sizes``."""

    place: int
    axis: int
    sizes: tuple[Dim | None, Dim | None]
    room: Dim


def varying(builder: TraceBuilder, place: int, sides: tuple[Any, Any]) -> Varying | None:
    """How two tensors, of which one may be dead, are one result with a size of its own; None if they are not."""
    types = [x._type for x in sides if isinstance(x, Tensor)]
    if not types or any(x is not DEAD and not isinstance(x, Tensor) for x in sides):
        return None
    shapes = [t.shape for t in types]
    if len({(t.dtype.name, t.rank) for t in types}) > 1:
        return None
    known = [[room_of(builder, d) for d in shape] for shape in shapes]
    axes = [i for i, d in enumerate(shapes[0]) if d != shapes[-1][i] or d != known[0][i]]
    if len(axes) != 1 or any(rooms[axes[0]] is None for rooms in known):
        return None
    axis = axes[0]
    first, second = [x._type.shape[axis] if isinstance(x, Tensor) else None for x in sides]
    return Varying(place, axis, (first, second), dim_max(*(rooms[axis] for rooms in known)))  # type: ignore[arg-type]


def room_of(builder: TraceBuilder, size: Dim) -> Dim | None:
    """A size that is known here and not less than ``size``, which a branch may have bound; None if there is none."""
    found: Dim | None = size
    while found is not None and not _is_known_here(builder, found):
        found = _not_less(builder, found)
    return found


def _is_known_here(builder: TraceBuilder, size: Dim) -> bool:
    computed = {s for s in symbols(size) if s.computed}
    return computed <= builder.binders(computed).keys()


class BranchResults:
    """The results of a branch that have sizes of their own; those with equal sizes on both sides share one."""

    def __init__(self, builder: TraceBuilder, leaves: Sequence[tuple[Any, Any]]):
        self.builder = builder
        found = (varying(builder, i, leaf) for i, leaf in enumerate(leaves) if differ(builder, *leaf))
        self.all = [one for one in found if one is not None]
        self.groups = list(dict.fromkeys(one.sizes for one in self.all))

    def pad(self, side: int, values: list[Value | None]) -> None:
        """At the end of a side: its results with room for those of the other; behind them, how many there are."""
        builder = self.builder
        for one in self.all:
            value, size = values[one.place], one.sizes[side]
            if value is None or size is None or not isinstance(value.type, TensorType):
                continue
            shape = (*value.type.shape[: one.axis], one.room, *value.type.shape[one.axis + 1 :])
            room = OPS["broadcast_to"](OPS["constant"](value=0, dtype=value.type.dtype), shape=shape)
            index = OPS["iota"](size=size)
            padded = OPS["put"](room, index, builder.wrap(value), axis=one.axis, accumulate=False)
            values[one.place] = builder.value(padded)
        values += [builder.lift(0 if sizes[side] is None else sizes[side]) for sizes in self.groups]

    def cut(self, results: Sequence[Any]) -> list[Any]:
        """The results, without the counts behind them."""
        places = len(results) - len(self.groups)
        made = list(results[:places])
        ramps = {}
        for sizes, count in zip(self.groups, results[places:], strict=True):
            ramps[sizes] = count_up(OPS["cast"](count, dtype=INT.dtype))
        for one in self.all:
            ramp = ramps[one.sizes]
            self.builder.most[ramp._type.shape[0]] = one.room
            made[one.place] = OPS["take"](made[one.place], ramp, axis=one.axis)
        return made


def differ(builder: TraceBuilder, a: Any, b: Any) -> bool:
    """Whether two leaves are tensors of other sizes, of which the program computes some, or of sizes not known here."""
    if any(is_bound_inside(builder, x) for x in (a, b)):
        return True
    if not isinstance(a, Tensor) or not isinstance(b, Tensor) or a._type == b._type:
        return False
    return any(s.computed for s in symbols_of([a._type, b._type]))


_MASK = "keep all elements, and a mask of those that are left"
