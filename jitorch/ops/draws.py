"""Draws: random values as ops on a generator's state, and how the state moves on.

A draw is a composite over `random_bits`, so it is one program in eager, too.  It reads the state;
the functions at the end write the state that follows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.errors import DTypeError, ShapeError
from jitorch.ir import kernel as k
from jitorch.ir import scalars
from jitorch.ir.sizes import size_expr
from jitorch.ir.types import TensorType
from jitorch.ops.generator import Generator, generator_or_default
from jitorch.ops.math import cos, log, sqrt
from jitorch.ops.registry import Sample, op, primitive
from jitorch.ops.structure import cast, reshape_to, slice_axes

Tensor = Number = Any
Shape = tuple[Any, ...]

_STATE = np.array([7, 3])


@primitive
def random_bits(state: Tensor, *, size: Dim) -> Tensor:
    """``size`` random 32-bit words, as int64, of a generator's state (seed, offset)."""


@random_bits.type_rule
def _(state, *, size):
    return _checked("random_bits", state).with_shape((size,))


def _checked(name: str, state: TensorType) -> TensorType:
    if state.rank != 1 or not dims.equal(state.shape[0], 2) or state.dtype is not dtypes.int64:
        raise ShapeError(f"{name}: not a generator's state", expected="i64[2]", actual=state)
    return state


@random_bits.numpy
def _(state, *, size):
    return scalars.philox(state[0], state[1], np.arange(size))


@random_bits.pull
def _(index, state, *, size):
    seed, offset = (k.cast(state.at((k.const(i),)), dtypes.int64) for i in range(2))
    return k.call("philox", seed, offset, index[0])


random_bits.samples(lambda rng: [Sample(_STATE, size=5)])


@primitive
def random_advance(state: Tensor, *, count: Dim) -> Tensor:
    """A generator's state after ``count`` words."""


@random_advance.type_rule
def _(state, *, count):
    return _checked("random_advance", state)


@random_advance.numpy
def _(state, *, count):
    return state + np.array([0, count], state.dtype)


@random_advance.pull
def _(index, state, *, count):
    return state.at(index) + k.cast(k.where(index[0].eq(1), size_expr(count), 0), state.dtype)


random_advance.samples(lambda rng: [Sample(_STATE, count=5)])


# Where each of ``size`` lanes draws for itself: ``draw(size, *operands, **attrs)`` gives the draws of all, and whether
# they differ from lane to lane.
@random_bits.rule("draw")
def _(lanes, state, *, size):
    return reshape_to(random_bits(state, size=size * lanes), shape=(lanes, size)), True


@random_advance.rule("draw")
def _(lanes, state, *, count):
    return random_advance(state, count=count * lanes), False


def _words(state: Tensor, shape: Shape, per_element: int) -> list[Tensor]:
    """``per_element`` independent words for each element of ``shape``."""
    count = dims.prod(shape)
    flat = random_bits(state, size=count * per_element)
    return [
        reshape_to(slice_axes(flat, starts=(count * i,), stops=(count * (i + 1),), steps=(1,)), shape=shape)
        for i in range(per_element)
    ]


def _next(state: Tensor, shape: Shape, per_element: int) -> None:
    state._replace(random_advance(state, count=dims.prod(shape) * per_element))


@op(places=())
def random_uniform(state: Tensor, *, shape: tuple[Any, ...], dtype: DType) -> Tensor:
    """Multiples of 2**-m in [0, 1), with ``m`` the bits of the dtype's significand."""
    if dtype is dtypes.float64:
        high, low = _words(state, shape, 2)
        return cast((high >> 5) * 2**26 + (low >> 6), dtype=dtype) * 2.0**-53
    bits = {dtypes.float32: 24, dtypes.float16: 11, dtypes.bfloat16: 8}[dtype]
    return cast(_words(state, shape, 1)[0] >> (32 - bits), dtype=dtype) * 2.0**-bits


@op(places=())
def random_normal(state: Tensor, *, shape: tuple[Any, ...], dtype: DType) -> Tensor:
    """Standard normal values by Box and Muller's method (1958), in float32 at least.

    ``sqrt(-2 log(u)) cos(2 pi v)`` with ``u`` in (0, 1] and ``v`` in [0, 1) of 32 bits each.
    """
    wide = dtypes.float64 if dtype is dtypes.float64 else dtypes.float32
    first, second = _words(state, shape, 2)
    u = cast(first + 1, dtype=wide) * 2.0**-32
    v = cast(second, dtype=wide) * 2.0**-32
    value = sqrt(log(u) * -2.0) * cos(v * (2 * math.pi))
    return value if wide is dtype else cast(value, dtype=dtype)


NARROW, WIDE, FULL = "narrow", "wide", "full"
"""Spans of integers: below 2**31, below 2**63, greater."""


@op(places=())
def random_integers(state: Tensor, low: Number, span: Number, *, shape: tuple[Any, ...], kind: str) -> Tensor:
    """int64 values in ``[low, low + span)``; of kind "full" the span is that of int64."""
    if kind == NARROW:
        return ((_words(state, shape, 1)[0] * span) >> 32) + low
    first, second = _words(state, shape, 2)
    if kind == WIDE:
        return (((first >> 1) << 32) | second) % span + low
    return ((first << 32) | second) + low


@random_uniform.rule("draw")
def _(lanes, state, *, shape, dtype):
    return random_uniform(state, shape=(lanes, *shape), dtype=dtype), True


@random_normal.rule("draw")
def _(lanes, state, *, shape, dtype):
    return random_normal(state, shape=(lanes, *shape), dtype=dtype), True


@random_integers.rule("draw")
def _(lanes, state, low, span, *, shape, kind):
    return random_integers(state, low, span, shape=(lanes, *shape), kind=kind), True


for _entry in (random_uniform, random_normal):
    _entry.samples(lambda rng: [Sample(_STATE, shape=(2, 3), dtype=d) for d in (dtypes.float32, dtypes.float64)])
random_integers.samples(lambda rng: [Sample(_STATE, -2, 5, shape=(2, 3), kind=kind) for kind in (NARROW, WIDE)])


# ---- drawing from a generator ---------------------------------------------------------------------------
def _check_float(name: str, dtype: DType) -> None:
    if not dtype.is_floating_point:
        raise DTypeError(f"{name}: expected a floating point dtype", actual=dtype.name)


def uniform_in(shape: Shape, dtype: DType, generator: Generator | None) -> Tensor:
    """Uniform values in [0, 1); the generator moves on."""
    _check_float("rand", dtype)
    state = generator_or_default(generator).state
    out = random_uniform(state, shape=shape, dtype=dtype)
    _next(state, shape, 2 if dtype is dtypes.float64 else 1)
    return out


def normal_in(shape: Shape, dtype: DType, generator: Generator | None) -> Tensor:
    """Standard normal values; the generator moves on."""
    _check_float("randn", dtype)
    state = generator_or_default(generator).state
    out = random_normal(state, shape=shape, dtype=dtype)
    _next(state, shape, 2)
    return out


def integers_in(shape: Shape, low: int, high: int, generator: Generator | None) -> Tensor:
    """int64 values in ``[low, high)``; the generator moves on."""
    span = high - low
    kind = NARROW if span < 2**31 else WIDE if span < 2**63 else FULL
    state = generator_or_default(generator).state
    out = random_integers(state, low, span if kind != FULL else 0, shape=shape, kind=kind)
    _next(state, shape, 1 if kind == NARROW else 2)
    return out


def keys_in(shape: Shape, generator: Generator | None) -> Tensor:
    """Random 63-bit integers to sort by."""
    return integers_in(shape, 0, 2**63 - 1, generator)


def bernoulli_mask(shape: Shape, probability: Any, generator: Generator | None = None) -> Tensor:
    """A bool tensor, each element True with ``probability`` (a number or a tensor that broadcasts)."""
    return uniform_in(shape, dtypes.float32, generator) < probability
