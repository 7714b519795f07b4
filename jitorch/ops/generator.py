"""Generator: where random numbers come from.

A generator's state is an int64 tensor ``(seed, offset)``.  Word ``i`` of a call is
Philox4x32-10 of ``(seed, offset + i)`` (see `jitorch.ir.scalars.philox`), and the call adds the
number of words it used to the offset by an ordinary write, so a compiled program reads and writes
the state as any other tensor.  The streams are not PyTorch's.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from jitorch import devices
from jitorch.errors import ArgumentError, CompilerBug, ShapeError
from jitorch.ops import dispatch
from jitorch.ops.registry import Sample, function
from jitorch.ops.structure import copy

Tensor = Any

DEFAULT_SEED = 67280421310721
"""The seed of a generator that was given none."""


class Generator:
    """A stream of random numbers of its own; ``Generator().manual_seed(7)``."""

    def __init__(self, device: Any = "cpu"):
        self.device = devices.check(device)
        self.state = _state(DEFAULT_SEED, 0)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of ``seed``, an int (taken modulo 2**64), from its beginning."""
        if isinstance(seed, (bool, float)) or not hasattr(seed, "__index__"):
            raise ArgumentError("manual_seed: a seed is an int", expected="int", actual=type(seed).__name__)
        self.state._replace(_state(seed.__index__(), 0))
        return self

    def seed(self) -> int:
        """Start a stream with a seed from the operating system; returns it."""
        seed = secrets.randbits(63)
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed this stream was started with."""
        return int(self.state._data("initial_seed()")[0])

    def get_state(self) -> Tensor:
        """The state as a tensor: int64 ``(seed, offset)``."""
        return copy(self.state)

    def set_state(self, new_state: Tensor) -> None:
        """Go on from a state that `get_state` gave."""
        if new_state.type != self.state.type:
            raise ShapeError("set_state: not a generator's state", expected=self.state.type, actual=new_state.type)
        self.state._replace(copy(new_state))

    def clone_state(self) -> Generator:
        """A generator that goes on from the same state."""
        other = Generator(self.device)
        other.set_state(self.state)
        return other

    def __repr__(self) -> str:
        return f"<jitorch.Generator {self.device}>"


def _state(seed: int, offset: int) -> Tensor:
    wrapped = (seed + 2**63) % 2**64 - 2**63
    return dispatch.current().from_array(np.array([wrapped, offset], np.int64))


_default: list[Generator] = []


def install_default() -> Generator:
    """Make the default generator; called once, when an interpreter is installed."""
    _default[:] = [Generator()]
    return _default[0]


def the_default() -> Generator:
    """The generator that random functions use where they are given none."""
    if not _default:
        raise CompilerBug("there is no default generator; import jitorch, not a part of it")
    return _default[0]


def generator_or_default(generator: Generator | None) -> Generator:
    if generator is None:
        return the_default()
    if not isinstance(generator, Generator):
        raise ArgumentError("not a generator", expected="jitorch.Generator", actual=type(generator).__name__)
    return generator


# ---- the default generator, by function -------------------------------------------------------------
@function(places=("torch",))
def manual_seed(seed: int) -> Generator:
    """Start the default generator from ``seed``; returns it."""
    return the_default().manual_seed(seed)


@function(places=("torch",))
def seed() -> int:
    """Start the default generator with a seed from the operating system; returns the seed."""
    return the_default().seed()


@function(places=("torch",))
def initial_seed() -> int:
    """The seed that the default generator was started with."""
    return the_default().initial_seed()


@function(places=("torch",))
def get_rng_state() -> Tensor:
    """The state of the default generator: int64 ``(seed, offset)``."""
    return the_default().get_state()


@function(places=("torch",))
def set_rng_state(new_state: Tensor) -> None:
    """Let the default generator go on from a state that `get_rng_state` gave."""
    the_default().set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, device_type: str = "cpu") -> Iterator[None]:
    """After the block the default generator goes on as if the block had drawn nothing."""
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


manual_seed.samples(lambda rng: [Sample(s, trace=False) for s in (7, -1, 2**63)])
set_rng_state.samples(lambda rng: [Sample(np.array([7, 0]), trace=False)])
for _entry in (seed, initial_seed, get_rng_state):
    _entry.samples(lambda rng: [Sample(trace=False)])
