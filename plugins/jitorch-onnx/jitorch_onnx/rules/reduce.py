"""Reductions over axes."""

from __future__ import annotations

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dtypes import Category
from jitorch.ir.graph import Node
from jitorch.ops.helpers import axes_of
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import shape_of

_AXES_AS_INPUT = 18
"""The opset since which all reductions take their axes as an input; ReduceSum does since 13."""


def reduction(ctx: Context, op_type: str, x: str, axes: tuple[int, ...], keep: bool = False) -> str:
    """``op_type`` of ``x`` over ``axes``, which disappear unless ``keep``."""
    if not axes:
        return x
    if op_type == "ReduceSum" or ctx.opset >= _AXES_AS_INPUT:
        return ctx.node(op_type, x, ctx.integers(*axes), keepdims=int(keep))
    return ctx.node(op_type, x, axes=list(axes), keepdims=int(keep))


def _reduce(name: str, op_type: str, bool_op_type: str) -> None:
    @rule(name)
    def _(ctx: Context, node: Node) -> str:
        x, axes = ctx.input(node.operands[0]), node.attrs["axes"]
        if ctx.file.dtype(x) is not dtypes.bool_:
            return reduction(ctx, op_type, x, axes)
        reduced = reduction(ctx, bool_op_type, ctx.cast(x, dtypes.int32), axes)
        if bool_op_type == "ReduceMax":
            # Of no elements the maximum is the least integer.
            reduced = ctx.node("Max", reduced, ctx.like(0, reduced))
        return ctx.cast(reduced, dtypes.bool_)


_reduce("reduce_sum", "ReduceSum", "ReduceMax")
_reduce("reduce_max", "ReduceMax", "ReduceMax")
_reduce("reduce_min", "ReduceMin", "ReduceMin")
_reduce("reduce_prod", "ReduceProd", "ReduceMin")


def _mean_like(name: str, op_type: str, floats_only: bool) -> None:
    """A public reduction with ``dim`` and ``keepdim`` that is one ONNX operator, where it keeps the dtype."""

    @rule(name)
    def _(ctx: Context, node: Node) -> str | None:
        (operand,) = node.operands
        x = ctx.input(operand)
        category = ctx.file.dtype(x).category
        if node.output.type.dtype is not ctx.file.dtype(x) or category is Category.BOOL:  # type: ignore[attr-defined]
            return None
        if floats_only and category is not Category.FLOAT:
            return None
        axes = axes_of(name, node.attrs["dim"], len(shape_of(operand)))
        return reduction(ctx, op_type, x, axes, node.attrs["keepdim"]) if axes else None


_mean_like("sum", "ReduceSum", floats_only=False)
_mean_like("mean", "ReduceMean", floats_only=True)
_mean_like("amax", "ReduceMax", floats_only=False)
_mean_like("amin", "ReduceMin", floats_only=False)
_mean_like("logsumexp", "ReduceLogSumExp", floats_only=True)


def _arg_reduce(name: str, op_type: str) -> None:
    @rule(name)
    def _(ctx: Context, node: Node) -> str:
        operand, axes = node.operands[0], node.attrs["axes"]
        x, shape = ctx.input(operand), operand.type.shape  # type: ignore[attr-defined]
        if ctx.file.dtype(x) is dtypes.bool_:
            x = ctx.cast(x, dtypes.int32)
        x, axis = _one_axis(ctx, x, shape, axes)
        return ctx.node(op_type, x, axis=axis, keepdims=0)


def _one_axis(ctx: Context, x: str, shape: tuple[Dim, ...], axes: tuple[int, ...]) -> tuple[str, int]:
    """``x`` with ``axes`` flattened into one, and that axis."""
    if len(axes) == 1:
        return x, axes[0]
    kept = [i for i in range(len(shape)) if i not in axes]
    moved = [shape[i] for i in (*kept, *axes)]
    flat = (*moved[: len(kept)], dims.prod(moved[len(kept) :]))
    return ctx.reshape(ctx.transpose(x, (*kept, *axes)), moved, flat), len(kept)


_arg_reduce("reduce_argmax", "ArgMax")
_arg_reduce("reduce_argmin", "ArgMin")
