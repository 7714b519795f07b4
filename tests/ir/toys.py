"""A handful of ops to build graphs of, and small helpers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dims import Dim
from jitorch.errors import ShapeError
from jitorch.ir.graph import Graph, Value
from jitorch.ir.op import COMPOSITE, ELEMENTWISE, PRIMITIVE, Op
from jitorch.ir.types import EFFECT, TensorType, Type

OPS: dict[str, Op] = {}
"""The toy ops by name, as `Graph.parse` takes them."""


def define(kind: str) -> Callable[[Callable[..., Any]], Op]:
    def make(function: Callable[..., Any]) -> Op:
        op = Op(function.__name__, kind, function)
        OPS[op.name] = op
        return op

    return make


class Tensor:
    """What annotations of the toys' parameters name."""


@define(ELEMENTWISE)
def add(x: Tensor, y: Tensor) -> Any:
    """The sum of two operands of one type."""


@add.type_rule
def _(x: TensorType, y: TensorType) -> TensorType:
    if x != y:
        raise ShapeError("add: the operands differ", expected=x, actual=y)
    return x


@add.numpy
def _(x: Any, y: Any) -> Any:
    return x + y


@define(PRIMITIVE)
def concat(xs: Sequence[Tensor], *, axis: int = 0) -> Any:
    """Operands one after the other along ``axis``."""


@concat.type_rule
def _(xs: list[TensorType], *, axis: int) -> TensorType:
    shape = list(xs[0].shape)
    shape[axis] = sum((x.shape[axis] for x in xs[1:]), shape[axis])
    return xs[0].with_shape(shape)


@concat.numpy
def _(xs: list[Any], *, axis: int) -> Any:
    return np.concatenate(xs, axis)


@define(PRIMITIVE)
def halves(x: Tensor) -> Any:
    """The first and the second half along the first axis: two outputs."""


@halves.type_rule
def _(x: TensorType) -> tuple[TensorType, TensorType]:
    half = x.with_shape((x.shape[0] // 2, *x.shape[1:]))
    return half, half


@halves.numpy
def _(x: Any) -> Any:
    return tuple(np.split(x, 2))


@define(PRIMITIVE)
def biased(x: Tensor, bias: Tensor | None = None) -> Any:
    """``x + bias``, where there is a bias."""


@biased.type_rule
def _(x: TensorType, bias: TensorType | None) -> TensorType:
    return x


@biased.numpy
def _(x: Any, bias: Any) -> Any:
    return x if bias is None else x + bias


@define(COMPOSITE)
def double(x: Tensor) -> Any:
    """``x + x``; has no rules, only a body."""


@define(PRIMITIVE)
def constant(*, value: object) -> Any:
    """A literal."""


@constant.type_rule
def _(*, value: Any) -> Type:
    return value.type


@constant.numpy
def _(*, value: Any) -> Any:
    return value.array


@define(PRIMITIVE)
def say(token: Tensor, *, text: str) -> Any:
    """Has an effect and no other result."""


@say.type_rule
def _(token: Type, *, text: str) -> Type:
    return EFFECT


@define(PRIMITIVE)
def anything(xs: Sequence[Tensor], *, value: object = None, other: object = None) -> Any:
    """Any operands, any attributes, any results: for the text alone."""


@define(PRIMITIVE)
def call(xs: Sequence[Tensor], *, body: Graph) -> Any:
    """Run ``body``."""


@call.type_rule
def _(xs: list[Type], *, body: Graph) -> tuple[Type, ...]:
    return tuple(v.type for v in body.outputs)


def f32(*shape: Dim) -> TensorType:
    return TensorType(dtypes.float32, shape)


def apply(graph: Graph, op: Op, *operands: Value | None, **attrs: Any) -> Value:
    """Append a node of one output, its type by the op's rule."""
    types = op.rules["type"](*op.group([None if v is None else v.type for v in operands]), **attrs)
    return graph.append(op, operands, attrs, [types]).output


def sum_of_three() -> Graph:
    """``(a + b) + a`` over ``f32[2, 3]``."""
    graph = Graph("main", [f32(2, 3), f32(2, 3)])
    a, b = graph.inputs
    graph.outputs = [apply(graph, add, apply(graph, add, a, b), a)]
    return graph
