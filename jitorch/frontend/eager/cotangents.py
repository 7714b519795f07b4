"""Gradients of the commonest elementwise ops where nothing is recorded: the vjp rules without what is not needed.

``RULES[op](g, out, *operands, *wanted)`` gives one cotangent per operand, None where ``wanted`` is false.
Operands are real stored tensors, or the numbers that stood in the place of one; ``out()`` makes the
result.  Each computes what the op's own rule does, by the same operations, so the values are equal bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jitorch.ops.math import cos, sin


def _add(g: Any, out: Any, x: Any, y: Any, for_x: bool, for_y: bool) -> tuple[Any, ...]:
    return g, g


def _sub(g: Any, out: Any, x: Any, y: Any, for_x: bool, for_y: bool) -> tuple[Any, ...]:
    return g, -g if for_y else None


def _mul(g: Any, out: Any, x: Any, y: Any, for_x: bool, for_y: bool) -> tuple[Any, ...]:
    return g * y if for_x else None, g * x if for_y else None


def _div(g: Any, out: Any, x: Any, y: Any, for_x: bool, for_y: bool) -> tuple[Any, ...]:
    return g / y if for_x else None, -g * out() / y if for_y else None


def _neg(g: Any, out: Any, x: Any, for_x: bool) -> tuple[Any, ...]:
    return (-g,)


def _exp(g: Any, out: Any, x: Any, for_x: bool) -> tuple[Any, ...]:
    return (g * out(),)


def _log(g: Any, out: Any, x: Any, for_x: bool) -> tuple[Any, ...]:
    return (g / x,)


def _sqrt(g: Any, out: Any, x: Any, for_x: bool) -> tuple[Any, ...]:
    return (g / (2 * out()),)


def _sin(g: Any, out: Any, x: Any, for_x: bool) -> tuple[Any, ...]:
    return (g * cos(x),)


def _cos(g: Any, out: Any, x: Any, for_x: bool) -> tuple[Any, ...]:
    return (-g * sin(x),)


def _tanh(g: Any, out: Any, x: Any, for_x: bool) -> tuple[Any, ...]:
    y = out()
    return (g * (1 - y * y),)


def _sigmoid(g: Any, out: Any, x: Any, for_x: bool) -> tuple[Any, ...]:
    y = out()
    return (g * y * (1.0 - y),)


RULES: dict[str, Callable[..., tuple[Any, ...]]] = {
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "neg": _neg, "exp": _exp, "log": _log, "sqrt": _sqrt,
    "sin": _sin, "cos": _cos, "tanh": _tanh, "sigmoid": _sigmoid,
}  # fmt: skip
