"""Control flow: branches and loops of the host, with the kernels of their graphs inside.

Carried tensors live in one buffer each, which a turn overwrites once nothing reads the old value; carried numbers are
host scalars.  The rows of a scan are parts of the stacked buffers: nothing is copied to read or to write them.  What a
scan both carries and stacks is read in the row that the turn before has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jitorch.dims import SymDim, symbols
from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.sizes import size_expr
from jitorch.ir.types import ScalarType, TensorType
from jitorch.lower import fuse

if TYPE_CHECKING:
    from jitorch.lower.program import Lowering

CHECK_FAILED = 1 << 16
"""A failed check leaves with this status plus its code."""

Given = k.Buffer | k.Var | None
"""Where a value of an inner graph is: in memory, in a host scalar, or nowhere (an effect token)."""


def statements(lowering: Lowering, node: Node) -> list[host.Stmt]:
    """What a node of lowering ``control`` or ``effect`` does.

    What must be computed before goes to the end of ``lowering``'s own statements.
    """
    match node.op.name:
        case "cond":
            return _cond(lowering, node)
        case "while_loop":
            return _while(lowering, node)
        case "scan":
            return _scan(lowering, node)
        case "steps":
            return _steps(lowering, node)
        case "check":
            failed = host.Stop(CHECK_FAILED + node.attrs["code"])
            return [host.If(lowering.number(node.operands[0]), (), (failed,))]
        case "begin":
            return []
    raise CompilerBug(f"no control flow is made of {node.op.name}", ir=node)


def _results(lowering: Lowering, node: Node, count: int | None = None) -> list[Given]:
    """Where the outputs of ``node`` go, or the first ``count`` of them; numbers get host scalars."""
    found: list[Given] = []
    for value in node.outputs[:count]:
        if isinstance(value.type, TensorType):
            found.append(lowering.buffers[value])
        elif isinstance(value.type, ScalarType):
            lowering.scalars[value] = k.Var(lowering.names.fresh("carry"), value.type.dtype)
            found.append(lowering.scalars[value])
        else:
            found.append(None)
    return found


def _cond(lowering: Lowering, node: Node) -> list[host.Stmt]:
    pred, *operands = node.operands
    test = lowering.number(pred)
    inputs = [lowering.given(v) for v in operands]
    targets = _results(lowering, node)
    then, orelse = (lowering.inner(node.attrs[name], inputs, targets) for name in ("then", "orelse"))
    return [host.If(test, then, orelse)]


def _start(lowering: Lowering, operands: Sequence[Value], targets: Sequence[Given]) -> list[host.Stmt]:
    """Put the operands where a loop carries them."""
    numbers: list[host.Stmt] = []
    for value, target in zip(operands, targets, strict=True):
        if isinstance(target, k.Buffer):
            lowering.fill(target, value)
        elif target is not None:
            numbers.append(host.Scalar(target, lowering.number(value)))
    return numbers


def _while(lowering: Lowering, node: Node) -> list[host.Stmt]:
    count = len(node.outputs)
    state = _results(lowering, node)
    before = _start(lowering, node.operands[:count], state)
    constants = [lowering.given(v) for v in node.operands[count:]]
    inputs = [*state, *constants]
    test = k.Var(lowering.names.fresh("go"), node.attrs["test"].outputs[0].type.dtype)
    head = lowering.inner(node.attrs["test"], inputs, [test], constants)
    body = lowering.inner(node.attrs["body"], inputs, state, constants)
    return [*before, host.While(head, test, body)]


def _scan(lowering: Lowering, node: Node) -> list[host.Stmt]:
    body: Graph = node.attrs["body"]
    carried, stacked = node.attrs["carried"], node.attrs["stacked"]
    length = size_expr(node.attrs["length"])
    results = _results(lowering, node, carried)
    before = _start(lowering, node.operands[:carried], results)
    constants = [lowering.given(v) for v in node.operands[carried + stacked :]]
    step = k.Var(lowering.names.fresh("step"))
    row = length - 1 - step if node.attrs["reverse"] else step
    views: list[host.Stmt] = []

    def part(whole: Given, value: Value) -> k.Buffer:
        if not isinstance(whole, k.Buffer):
            raise CompilerBug("the rows of a scan have no memory", ir=node)
        view = k.Buffer(lowering.names.fresh("row"), whole.dtype)
        size = size_expr(value.type.size)  # type: ignore[union-attr]
        views.append(host.View(view, whole, size, row * size))
        return view

    stacks = node.operands[carried : carried + stacked]
    rows = [part(lowering.given(v), i) for v, i in zip(stacks, body.inputs[carried:])]
    targets = [part(lowering.buffers[v], o) for v, o in zip(node.outputs[carried:], body.outputs[carried:])]
    state, following, after = list(results), list(results), list[host.Stmt]()
    moved: list[host.Stmt] = []
    for i, j in _stacked_too(body, carried).items():
        result, row_of = results[i], targets[j]
        if not isinstance(result, k.Buffer):
            raise CompilerBug("what a scan stacks has no memory", ir=node)
        previous = k.Buffer(lowering.names.fresh("previous"), result.dtype)
        size = size_expr(body.outputs[i].type.size)  # type: ignore[union-attr]
        before.append(host.View(previous, result, size, k.const(0)))
        moved.append(host.View(previous, row_of, size, k.const(0)))
        after.append(host.Copy(result, previous, size))
        state[i], following[i] = previous, row_of
    turn = lowering.inner(body, [*state, *rows, *constants], [*following, *targets], constants)
    loop = host.While((), step < length, (*views, *turn, *moved, host.Scalar(step, step + 1)))
    if after and not (isinstance(length, k.Const) and length.value):
        after = [host.If(step > 0, tuple(after))]
    return [*before, host.Scalar(step, k.const(0)), loop, *after]


def _stacked_too(body: Graph, carried: int) -> dict[int, int]:
    """Which carried tensors a turn also gives as a row: the index of the one, and of the other among the rows."""
    rows = {fuse.behind_flat_views(v): j for j, v in reversed(list(enumerate(body.outputs[carried:])))}
    found: dict[int, int] = {}
    for i, v in enumerate(body.outputs[:carried]):
        value = fuse.behind_flat_views(v)
        if isinstance(v.type, TensorType) and value in rows and value.node is not None:
            found[i] = rows[value]
    return found


def _steps(lowering: Lowering, node: Node) -> list[host.Stmt]:
    """Bind a size to a number: from here on its name is a scalar of the host."""
    size = node.attrs["size"]
    if not isinstance(size, SymDim) or symbols(size)[0].dim != size:
        raise CompilerBug("a size is bound by one symbol", ir=node)
    count = k.Var(str(size))
    # A size that an input has is known: nothing is bound then.
    bound: list[host.Stmt] = []
    if not lowering.known.issuperset(symbols(size)):
        bound.append(host.Scalar(count, lowering.number(node.operands[0])))
        lowering.known.update(symbols(size))
    buffer = lowering.buffers.get(node.output)
    if buffer is None:
        return bound
    if bound:
        bound.append(host.Alloc(buffer, count))
    index, fill = k.Var("i0"), lowering.names.kernel("steps")
    ramp = k.For(index, count, (k.Store(buffer, index, index),), "parallel")
    kernel = k.verify(k.Kernel(fill, (buffer, count), (), (ramp,)))
    return [*bound, host.Launch(kernel, kernel.params)]
