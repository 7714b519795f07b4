"""Tuning: compiled or op by op, measured where somebody asks for it (``jit(tune=True)``).

At the first call of a signature its program and the same graph run op by op, in NumPy, are timed beside each other, on
copies of the inputs.  Nothing that the call can see is touched, least of all the state of random numbers, which is an
input like any other.  What was faster is kept under the programs' digests, so a later process reads the choice and
measures nothing.  Without ``tune`` no call is ever timed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jitorch import config
from jitorch.backends import cache
from jitorch.backends.cpu import processor
from jitorch.errors import JitorchError
from jitorch.frontend.eager.differentiable import GraphFunction
from jitorch.tensor import Tensor

OP_BY_OP = "reference"
"""The backend that runs each op by its NumPy meaning."""

GAIN = 0.95
"""Op by op must take less than this part of the compiled time: what is about equal stays compiled."""
ROUNDS, SAMPLE, LONGEST = 5, 1e-3, 2.0
"""Samples of each way, the shortest sample, and when no further round is begun, in seconds."""


@dataclass(frozen=True)
class Choice:
    """Both times of a signature, in seconds a call (of forward and backward, if both), and where they were taken."""

    compiled: float
    op_by_op: float
    date: str
    processor: str
    threads: int

    @property
    def is_compiled(self) -> bool:
        return self.op_by_op >= GAIN * self.compiled

    @property
    def origin(self) -> str:
        return f"tuned on {self.processor}, {self.threads} threads, {self.date}"

    @classmethod
    def of(cls, compiled: float, op_by_op: float) -> Choice:
        """The choice by times taken here and now."""
        return cls(compiled, op_by_op, time.strftime("%Y-%m-%d"), processor.name(), config.current().num_threads)


Run = Callable[[], object]
Measure = Callable[[Sequence[tuple[Run, Run]]], list[float]]
"""Seconds of a call in each of several ways; of a way, what is to be done before a sample, and the call."""


def medians(ways: Sequence[tuple[Run, Run]]) -> list[float]:
    """Implements `Measure` by the clock: medians of interleaved samples."""
    start = time.perf_counter()
    samples: list[list[float]] = [[] for _ in ways]
    for prepare, run in ways:
        prepare()
        run()
    for _ in range(ROUNDS):
        for (prepare, run), taken in zip(ways, samples):
            prepare()
            taken.append(_sample(run))
        if time.perf_counter() - start > LONGEST:
            break
    return [sorted(taken)[len(taken) // 2] for taken in samples]


def _sample(run: Run) -> float:
    start = now = time.perf_counter()
    calls = 0
    while now - start < SAMPLE:
        run()
        calls += 1
        now = time.perf_counter()
    return (now - start) / calls


measure: Measure = medians
"""What takes the times; tests put something else here."""


def tune(function: GraphFunction, inputs: Sequence[Any]) -> tuple[Choice | None, GraphFunction]:
    """The choice for calls of ``function`` like this one, from the disk or measured, and the function to use.

    None, and ``function``, where a call fails, or an input has no elements here.
    """
    arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
    if any(x is None for x in arrays):
        return None, function
    wrt = tuple(function.wanted(inputs))
    try:
        compiled = function.on_arrays(wrt)
        key = _key(function)
        choice = _recall(key)
        if choice is not None and choice.is_compiled:
            return choice, function
        plain = GraphFunction(function.graph, function.differentiable, OP_BY_OP)
        if choice is None:
            choice = Choice.of(*measure([_way(compiled, arrays), _way(plain.on_arrays(wrt), arrays)]))
            if key is not None:
                cache.put(key, json.dumps(asdict(choice)).encode())
    except JitorchError:  # of the user's, which the call itself raises
        return None, function
    return choice, function if choice.is_compiled else plain


def _way(call: Callable[[Sequence[Any]], object], arrays: Sequence[Any]) -> tuple[Run, Run]:
    """``call`` on copies of ``arrays`` in the same layout, and what makes the copies equal to them again."""
    copies = [x.copy(order="K") if isinstance(x, np.ndarray) else x for x in arrays]

    def restore() -> None:
        for x, copy in zip(arrays, copies):
            if isinstance(x, np.ndarray):
                np.copyto(copy, x)

    return restore, lambda: call(copies)


def _key(function: GraphFunction) -> str | None:
    """What the choice for the programs of ``function`` is kept under; None for programs that no key stands for."""
    digests = [compiled.digest for compiled in function.compiled]
    if any(digest is None for digest in digests):
        return None
    return cache.key_of("choice", str(config.current().num_threads), processor.name(), *filter(None, digests))


def _recall(key: str | None) -> Choice | None:
    data = None if key is None else cache.get(key)
    return None if data is None else Choice(**json.loads(data))
