"""Alike: groups that compute the same things from other memory share their kernels.

The layers of a model, and the updates of its parameters, are the same few groups over and over.  What a kernel
is follows from its group's *cone*: the nodes between the group's values and the memory and numbers that they
read.  Cones with one key get one kernel, which is launched with the memory of each.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from jitorch.errors import Location
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.graph import Value, identity
from jitorch.lower.groups import Group
from jitorch.lower.nests import Buffers, Scalars

Temporaries = Sequence[tuple[k.Buffer, k.Expr]]
"""Buffers, each with its number of elements; their names begin with that of the group."""


@dataclass(frozen=True)
class Cone:
    """What the kernels of a group depend on, told by ``key``; None if an attribute cannot be compared.

    Equal keys have their ``buffers`` and ``scalars`` in the same order.  ``lines``: where the user wrote it.
    """

    key: Hashable | None
    buffers: Buffers
    scalars: Scalars
    lines: tuple[Location, ...] = ()


def cone(group: Group, buffers: Buffers, scalars: Scalars) -> Cone:
    """The cone of ``group``: what has memory elsewhere is read there, and not looked into."""
    values = (*group.values, *group.columns)
    members = set(values)

    def is_leaf(value: Value) -> bool:
        return value.node is None or (value not in members and (value in buffers or value in scalars))

    places: dict[Value, int] = {}
    parts: list[Hashable] = [group.split]
    lines: dict[Location, None] = {}
    for value in _operands_first(values, is_leaf):
        node = value.node
        if node is None or is_leaf(value):
            places.setdefault(value, len(places))
            parts.append((value.type, value in buffers))
            continue
        if node.loc is not None:
            lines[node.loc] = None
        operands = tuple(None if v is None else places[v] for v in node.inputs)
        attrs = tuple((name, identity(attr)) for name, attr in node.attrs.items())
        kinds = tuple((places.setdefault(v, len(places)), v.type, v in buffers, v in members) for v in node.outputs)
        parts.append((node.op, attrs, operands, kinds))
    parts.append((tuple(places[v] for v in values), len(group.columns)))
    key: Hashable | None = tuple(parts)
    try:
        hash(key)
    except TypeError:
        key = None
    return Cone(
        key,
        {v: buffers[v] for v in places if v in buffers},
        {v: scalars[v] for v in places if v in scalars},
        tuple(lines),
    )


def _operands_first(values: Sequence[Value], is_leaf: Callable[[Value], bool]) -> Iterator[Value]:
    """``values`` and what they are computed from down to leaves, each node once and after its operands."""
    seen: set[object] = set()
    stack = [(v, False) for v in reversed(values)]
    while stack:
        value, is_ready = stack.pop()
        if is_ready:
            yield value
            continue
        mark = value if is_leaf(value) else value.node
        if mark in seen:
            continue
        seen.add(mark)
        stack.append((value, True))
        if value.node is not None and mark is value.node:
            stack += [(v, False) for v in reversed(value.node.operands)]


@dataclass(frozen=True)
class Kernels:
    """Kernels in the order they run, and the memory between them."""

    kernels: tuple[k.Kernel, ...] = ()
    temporaries: Temporaries = ()


@dataclass(frozen=True)
class Shared:
    """The kernels that were made for the group called ``name``, whose cone was ``cone``.

    Those of ``once`` run before the loop around, for they read only what no turn of it changes.
    """

    name: str
    cone: Cone
    always: Kernels
    once: Kernels = Kernels()

    def statements(self, name: str, cone: Cone) -> tuple[list[host.Stmt], list[host.Stmt]]:
        """The same for a group called ``name``, whose temporaries are allocated and kernels launched: what is done
        once, and what is done in every turn."""
        there: dict[k.Buffer | k.Var, k.Buffer | k.Var] = {}
        there |= zip(self.cone.buffers.values(), cone.buffers.values(), strict=True)
        there |= zip(self.cone.scalars.values(), cone.scalars.values(), strict=True)
        found: list[list[host.Stmt]] = []
        for part in (self.once, self.always):
            body: list[host.Stmt] = []
            for buffer, size in part.temporaries:
                own = there[buffer] = replace(buffer, name=name + buffer.name.removeprefix(self.name))
                body.append(host.Alloc(own, size))
            for kernel in part.kernels:
                body.append(host.Launch(kernel, tuple(there.get(p, p) for p in kernel.params)))
            found.append(body)
        return found[0], found[1]
