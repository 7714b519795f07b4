"""Algebraic simplification.  One law, one rule.

None changes a result by more than its sign of zero, NaN payload, or the order in which a sum is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jitorch import dtypes
from jitorch.ir.graph import Graph
from jitorch.ops.math import abs, eq, sqrt, where
from jitorch.ops.registry import OPS
from jitorch.ops.structure import broadcast_to, cast, reshape_to, transpose_axes
from jitorch.passes.clean import dce, everywhere
from jitorch.passes.rewrite import C, P, RuleSet, V, op

RULES = RuleSet()
rewrite = RULES.rewrite

add, sub, mul, div, neg, pow = (op(name) for name in ("add", "sub", "mul", "div", "neg", "pow"))
x, y, p, q, s, t, d, e = map(V, "xypqstde")


@rewrite(P(mul, x, C(1)))
def multiply_by_one(x: Any) -> Any:
    return x


@rewrite(P(mul, C(1), x))
def one_times(x: Any) -> Any:
    return x


@rewrite(P(div, x, C(1)))
def divide_by_one(x: Any) -> Any:
    return x


@rewrite(P(sub, x, C(0)))
def subtract_zero(x: Any) -> Any:
    return x


def _may_be_minus_zero(x: Any) -> bool:
    dtype = x.type.dtype
    return dtype.is_floating_point or dtype.is_complex


@rewrite(P(add, x, C(0)))
def add_zero(x: Any) -> Any:
    # -0.0 + 0.0 is 0.0
    return None if _may_be_minus_zero(x) else x


@rewrite(P(add, C(0), x))
def zero_plus(x: Any) -> Any:
    return None if _may_be_minus_zero(x) else x


@rewrite(P(neg, P(neg, x)))
def negate_twice(x: Any) -> Any:
    return x


@rewrite(P(pow, x, C(1)))
def first_power(x: Any) -> Any:
    return x


@rewrite(P(pow, x, C(2)))
def second_power(x: Any) -> Any:
    return x * x


@rewrite(P(pow, x, C(3)))
def third_power(x: Any) -> Any:
    # Within 1 unit in the last place, as pow is; integers wrap alike.
    return x * x * x


@rewrite(P(pow, x, C(4)))
def fourth_power(x: Any) -> Any:
    square = x * x
    return square * square


def _is_float_tensor(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    return dtype is not None and dtype.is_floating_point


@rewrite(P(pow, x, C(-1)))
def reciprocal_power(x: Any) -> Any:
    return 1.0 / x if _is_float_tensor(x) else None


@rewrite(P(pow, x, C(0.5)))
def half_power(x: Any) -> Any:
    # The power of -0 is 0, and that of minus infinity is infinity.
    if not _is_float_tensor(x):
        return None
    return where(eq(x, -math.inf), math.inf, abs(sqrt(x)))


@rewrite(P(op("copy"), x))
def copy_of_a_value(x: Any) -> Any:
    # Values are immutable: a copy is its operand.
    return x


@rewrite(P(op("detach"), x))
def detach_of_a_value(x: Any) -> Any:
    # Gradients were taken before this pass runs.
    return x


@rewrite(P(op("overwritten"), x, y))
def overwritten_value(x: Any, y: Any) -> Any:
    # Only gradients look at the history.
    return y


@rewrite(P(op("cast"), x, dtype=d, number=False))
def cast_to_the_same(x: Any, d: Any) -> Any:
    return x if getattr(x, "dtype", None) is d else None


@rewrite(P(op("cast"), P(op("cast"), x, dtype=d, number=False), dtype=e, number=False))
def cast_of_wider_cast(x: Any, d: Any, e: Any) -> Any:
    # f32 -> f64 -> f32 keeps every value; the inner cast must not lose bits.
    source = getattr(x, "dtype", None)
    if source is None:
        return None
    widens = source.category == d.category and source.is_signed == d.is_signed and source.itemsize <= d.itemsize
    mixes = {source, d} == {dtypes.float16, dtypes.bfloat16}
    return cast(x, dtype=e) if widens and not mixes else None


@rewrite(P(op("reshape_to"), P(op("reshape_to"), x, shape=s), shape=t))
def reshape_twice(x: Any, s: Any, t: Any) -> Any:
    return reshape_to(x, shape=t)


@rewrite(P(op("reshape_to"), x, shape=s))
def reshape_to_the_same(x: Any, s: Any) -> Any:
    return x if tuple(x.shape) == s else None


@rewrite(P(op("transpose_axes"), P(op("transpose_axes"), x, perm=p), perm=q))
def transpose_twice(x: Any, p: Any, q: Any) -> Any:
    return transpose_axes(x, perm=tuple(p[i] for i in q))


@rewrite(P(op("transpose_axes"), x, perm=p))
def transpose_of_nothing(x: Any, p: Any) -> Any:
    return x if p == tuple(range(len(p))) else None


@rewrite(P(op("broadcast_to"), x, shape=s))
def broadcast_to_the_same(x: Any, s: Any) -> Any:
    return x if tuple(x.shape) == s else None


@rewrite(P(op("broadcast_to"), P(op("broadcast_to"), x, shape=s), shape=t))
def broadcast_twice(x: Any, s: Any, t: Any) -> Any:
    return broadcast_to(x, shape=t)


@rewrite(P(op("slice_axes"), x, starts=s, stops=t, steps=p))
def slice_of_everything(x: Any, s: Any, t: Any, p: Any) -> Any:
    whole = all(a == 0 and b == size and step == 1 for a, b, size, step in zip(s, t, x.shape, p))
    return x if whole else None


@rewrite(P(op("pad_axes"), x, y, low=s, high=t, interior=p))
def pad_with_nothing(x: Any, y: Any, s: Any, t: Any, p: Any) -> Any:
    return x if all(a == 0 for a in (*s, *t, *p)) else None


@rewrite(P(op("reduce_sum"), x, axes=p))
def sum_over_nothing(x: Any, p: Any) -> Any:
    return x if p == () else None


def _of_transpose(name: str) -> Callable[..., Any]:
    """What is reduced is read in the order in which it lies in memory."""

    def rule(x: Any, p: Any, q: Any) -> Any:
        left = [axis for i, axis in enumerate(p) if i not in q]
        reduced = OPS[name](x, axes=tuple(sorted(p[i] for i in q)))
        return transpose_axes(reduced, perm=tuple(sorted(left).index(axis) for axis in left))

    rule.__name__ = f"{name}_of_transpose"
    return rule


for _name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min"):
    rewrite(P(op(_name), P(op("transpose_axes"), x, perm=p), axes=q))(_of_transpose(_name))


@everywhere
def simplify(graph: Graph) -> bool:
    """Apply the rules to a fixed point."""
    changed = False
    while RULES.apply(graph):
        changed = True
    return changed | (dce(graph) if changed else False)
