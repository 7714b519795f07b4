"""Common: kernels that differ in sizes only become one, which takes those sizes as parameters.

The layers and the parameters of a model have other sizes, and else the same few maps and copies: code for each size
would take longer to compile than it saves.  A size is an integer of an index that a processor computes with as
fast in a register: how often a loop runs, how far apart elements lie, what a comparison is with.  Divisors and the
lengths of vectors stay, as do small numbers, which are how much work an element is and which neighbours it has.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.lower.names import Origins
from jitorch.lower.schedules.squares import is_in_squares
from jitorch.lower.schedules.steps import step

SMALLEST = 5
"""A size from which on it may become a parameter."""
_COUNTED = frozenset(("add", "sub", "mul", "minimum", "maximum", "lt", "le", "gt", "ge"))
"""What a size may be an operand of."""

Replace = Callable[[k.Const], k.Expr]


def common_kernels(program: host.Program, origins: Origins) -> host.Program:
    """``program`` with kernels that differ in sizes joined; ``origins`` of each then are those of all."""
    alike: dict[Hashable, list[k.Kernel]] = {}
    for kernel in program.kernels:
        if _is_plain(kernel):
            alike.setdefault(_key(kernel), []).append(kernel)
    joined: dict[k.Kernel, tuple[k.Kernel, tuple[k.Expr, ...]]] = {}
    for kernels in alike.values():
        if len(kernels) > 1:
            joined |= _joined(kernels)
            lines = origins.setdefault(kernels[0].name, {})
            for kernel in kernels[1:]:
                lines |= origins.get(kernel.name, {})
    return replace(program, body=tuple(_launches(program.body, joined))) if joined else program


def _is_plain(kernel: k.Kernel) -> bool:
    """Whether ``kernel`` is a map, a copy of rows or a transposition: its code is as good for any sizes.

    What sums, goes across rows or is written in other vectors is cut and unrolled by LLVM and by recipes for its sizes.
    """
    statements = list(k.parts(kernel))
    vectors = [s for s in statements if isinstance(s, k.For) and s.kind in ("vector", "unroll")]
    loops = [s for s in statements if isinstance(s, k.For) and s.kind not in ("vector", "unroll")]
    if any(isinstance(s, k.Local) for s in statements) or (vectors and not is_in_squares(kernel)):
        return False
    if len(loops) == 1:
        return True
    written = {s.buffer for s in statements if isinstance(s, k.Store) and s.buffer.space == "global"}
    return not any(s.buffer in written for s in statements if isinstance(s, k.Load)) and all(map(_is_row, loops))


def _is_row(loop: k.For) -> bool:
    """Whether ``loop`` has loops inside, or goes through memory by steps that are no sizes."""
    inside = list(k.parts(loop.body))
    if any(isinstance(s, k.For) for s in inside):
        return True
    named = {s.var for s in inside if isinstance(s, k.Let)}
    for place in (s.index for s in inside if isinstance(s, (k.Load, k.Store))):
        distance = step(place, loop.var)
        if distance is None or abs(distance) >= SMALLEST or any(e in named for e in k.parts(place)):
            return False
    return True


def _joined(kernels: Sequence[k.Kernel]) -> dict[k.Kernel, tuple[k.Kernel, tuple[k.Expr, ...]]]:
    """One kernel for all of ``kernels``, with the operands that it needs in place of each."""
    sizes = [_sizes(kernel) for kernel in kernels]
    # Sizes that are the same for each kernel are one parameter; a size that all have stays what it is.
    columns = list(zip(*sizes, strict=True))
    first = kernels[0]
    taken = {p.name for p in (*first.params, *first.scratch)} | {v.name for v in k.parts(first) if isinstance(v, k.Var)}
    free = (name for i in itertools.count() if (name := f"size{i}") not in taken)
    names: dict[tuple[int, ...], k.Var] = {}
    for column in columns:
        if len(set(column)) > 1 and column not in names:
            names[column] = k.Var(next(free))
    places = iter(columns)

    def parameter(size: k.Const) -> k.Expr:
        return names.get(next(places), size)

    common = replace(first, params=(*first.params, *names.values()), body=_mapped(first.body, parameter, {}))
    k.verify(common)
    operands = [tuple(k.const(n) for n in row) for row in zip(*names)] if names else [()] * len(kernels)
    return {kernel: (common, more) for kernel, more in zip(kernels, operands, strict=True)}


def _launches(
    body: Sequence[host.Stmt], joined: dict[k.Kernel, tuple[k.Kernel, tuple[k.Expr, ...]]]
) -> Iterator[host.Stmt]:
    for statement in body:
        match statement:
            case host.Launch(kernel, args) if kernel in joined:
                common, more = joined[kernel]
                yield host.Launch(common, (*args, *more))
            case _:
                yield host.with_blocks(statement, lambda block: _launches(block, joined))


def _key(kernel: k.Kernel) -> Hashable:
    """What a kernel is besides the names of its parameters and its sizes."""
    params = {p: replace(p, name=f"p{i}") for i, p in enumerate(kernel.params)}
    return tuple(params.values()), kernel.scratch, _mapped(kernel.body, lambda _: _HOLE, params)


_HOLE = k.Var("")
"""What stands for a size; no variable is called so."""


def _sizes(kernel: k.Kernel) -> list[int]:
    """The sizes of a kernel in the order of `_mapped`."""
    found: list[int] = []

    def note(size: k.Const) -> k.Expr:
        found.append(int(size.value.real))
        return size

    _mapped(kernel.body, note, {})
    return found


def _mapped(tree: Any, f: Replace, params: Mapping[Any, Any]) -> Any:
    """``tree`` with ``f`` of its sizes and with other ``params``; visits sizes in the order of the text."""
    if isinstance(tree, tuple):
        return tuple(_mapped(part, f, params) for part in tree)

    def sized(e: k.Expr) -> k.Expr:
        return f(e) if isinstance(e, k.Const) and _is_size(e) else _mapped(e, f, params)

    match tree:
        case k.Const():
            return tree
        case k.Var():
            return params.get(tree, tree)
        case k.Call(fn, args) if fn in _COUNTED:
            return replace(tree, args=tuple(map(sized, args)))
        case k.For(_, extent, body):
            return replace(tree, extent=sized(extent), body=_mapped(body, f, params))
    changes = {name: _mapped(getattr(tree, name), f, params) for name in k.CHILDREN[type(tree)]}
    if isinstance(tree, (k.Load, k.Store, k.Prefetch)):
        changes["buffer"] = params.get(tree.buffer, tree.buffer)
    return replace(tree, **changes)


def _is_size(e: k.Const) -> bool:
    return e.dtype is k.INDEX and abs(int(e.value.real)) >= SMALLEST
