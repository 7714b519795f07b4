"""Branches and loops: ``If``, ``Loop`` and ``Scan``, whose graphs read what does not change from around them."""

from __future__ import annotations

from jitorch import dtypes
from jitorch.ir.graph import Node
from jitorch.ir.types import TensorType
from jitorch.ops.control import output_types
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import sliced

_COUNT, _GOES_ON = TensorType(dtypes.int64, ()), TensorType(dtypes.bool_, ())


@rule("cond")
def _(ctx: Context, node: Node) -> tuple[str, ...]:
    pred, *operands = node.operands
    graphs = {
        "then_branch": ctx.branch(node.attrs["then"], operands),
        "else_branch": ctx.branch(node.attrs["orelse"], operands),
    }
    return ctx.control("If", [ctx.input(pred)], output_types(node.attrs["then"]), graphs)


@rule("while_loop")
def _(ctx: Context, node: Node) -> tuple[str, ...]:
    test, body = node.attrs["test"], node.attrs["body"]
    carried, constants = node.operands[: len(node.outputs)], node.operands[len(node.outputs) :]
    values = [ctx.input(v) for v in carried]

    def goes_on(names: list[str], results: list[str]) -> list[tuple[str, TensorType]]:
        return [(ctx.written(test, results, constants), _GOES_ON)]

    graph = ctx.body(body, carried, constants, given=(_COUNT, _GOES_ON), first=goes_on)
    start = ctx.written(test, values, constants)
    return ctx.control("Loop", ["", start, *values], [v.type for v in carried], {"body": graph})


@rule("scan")
def _(ctx: Context, node: Node) -> tuple[str, ...]:
    attrs = node.attrs
    carried, stacked = attrs["carried"], attrs["stacked"]
    given, rows, constants = _split(node.operands, carried, stacked)
    types = [v.type for v in node.outputs]
    values = [ctx.input(v) for v in given]
    if not stacked:
        return _counted(ctx, node, values, constants, types)
    graph = ctx.body(attrs["body"], given, constants, rows=stacked)
    options = {"body": graph, "num_scan_inputs": stacked}
    if attrs["reverse"]:
        options["scan_input_directions"] = [1] * stacked
        if len(types) > carried:
            options["scan_output_directions"] = [1] * (len(types) - carried)
    return ctx.control("Scan", [*values, *(ctx.input(v) for v in rows)], types, options)


def _split(operands: tuple, carried: int, stacked: int) -> tuple[tuple, tuple, tuple]:  # type: ignore[type-arg]
    return operands[:carried], operands[carried : carried + stacked], operands[carried + stacked :]


def _counted(ctx: Context, node: Node, values: list[str], constants: tuple, types: list) -> tuple[str, ...]:  # type: ignore[type-arg]
    """A loop that reads no rows: so many turns."""
    carried = node.operands[: len(values)]

    def goes_on(names: list[str], results: list[str]) -> list[tuple[str, TensorType]]:
        return [(names[1], _GOES_ON)]

    graph = ctx.body(node.attrs["body"], carried, constants, given=(_COUNT, _GOES_ON), first=goes_on)
    count = ctx.scalar_size(node.attrs["length"])
    made = ctx.control("Loop", [count, "", *values], types, {"body": graph})
    if not node.attrs["reverse"]:
        return made
    # The rows stand in the order in which they were made, which is the reverse of theirs.
    flipped = tuple(sliced(ctx, n, [0], [-1], [-(2**63) + 1], [-1]) for n in made[len(values) :])
    return (*made[: len(values)], *flipped)


@rule("number_of")
def _(ctx: Context, node: Node) -> str:
    return ctx.input(node.operands[0])


@rule("steps")
def _(ctx: Context, node: Node) -> str:
    ramp = ctx.node("Range", ctx.constant(0, dtypes.int64), ctx.input(node.operands[0]), ctx.constant(1, dtypes.int64))
    # What has this size later finds it here.
    ctx.file.symbols[str(node.attrs["size"])] = ramp, 0
    return ramp
