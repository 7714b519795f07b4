"""Cases in which a compiled function could differ from plain Python later, and what became of each.

A case is a generator function: it gets ``jit`` (which compiles, or does nothing), calls what that gives, changes the
world, calls again, and yields all that can be observed after each step.  `outcome` plays it both ways: the compiled one
is *equal* in all observations, or *refused* with a reason, or *different*.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import jitorch
from jitorch.errors import StagingError

Play = Callable[[Callable[..., Any]], Iterator[Any]]
CASES: dict[str, Case] = {}


@dataclass(frozen=True)
class Case:
    feature: str
    play: Play


@dataclass(frozen=True)
class Outcome:
    """``kind`` is equal, refused or different; ``text`` is the reason or the first difference.

    ``recalled`` counts the traces that were found on the disk.
    """

    kind: str
    text: str = ""
    recalled: int = 0


def later(feature: str) -> Callable[[Play], Play]:
    """Register a case of a feature, under the name of its function."""

    def register(play: Play) -> Play:
        name = play.__name__
        assert name not in CASES, f"two cases are called {name}"
        CASES[name] = Case(feature, play)
        return play

    return register


def attempt(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call gives, or the exception that it raises, as an observation."""
    try:
        return function(*args, **kwargs)
    except StagingError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        kind = next(k for k in type(error).__mro__ if k.__module__ != "jitorch.errors")
        message = str(error) if type(error) is kind else ""
        return "raises", kind.__name__, message


def tensor(*values: Any, grad: bool = False) -> Any:
    """A tensor of one axis of these numbers, or of the one nested list."""
    data = values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)
    return jitorch.tensor(data, dtype=jitorch.float32, requires_grad=grad)


def observed(value: Any) -> Any:
    """A copy of what can be seen of a value, with tensors as their properties and elements."""
    if isinstance(value, jitorch.Tensor):
        return (
            type(value).__name__, str(value.dtype), tuple(value.shape), value.requires_grad,
            value.detach().numpy().copy(),
        )  # fmt: skip
    if isinstance(value, dict):
        return type(value).__name__, [(observed(k), observed(v)) for k, v in value.items()]
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(map(repr, value))
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [observed(v) for v in value]
    if type(value) in (bool, int, float, str, type(None)):
        return type(value).__name__, value
    if isinstance(value, np.ndarray | np.generic):
        return type(value).__name__, str(value.dtype), np.array(value)
    if hasattr(value, "__dict__") and not callable(value):
        return type(value).__name__, observed(vars(value))
    return type(value).__name__, str(getattr(value, "__qualname__", value))


def is_equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(is_equal, a, b))
    if type(a) is float and type(b) is float:
        return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6) or (a != a and b != b)
    return type(a) is type(b) and a == b


def run(play: Play, jit: Callable[..., Any]) -> list[Any]:
    jitorch.manual_seed(1)
    return [observed(value) for value in play(jit)]


def outcome(case: Case) -> Outcome:
    """What became of a case that is compiled whole."""
    compiled: list[Any] = []

    def jit(function: Any = None, **options: Any) -> Any:
        if function is None:
            return lambda function: jit(function, **options)
        compiled.append(jitorch.jit(function, fullgraph=True, **options))
        return compiled[-1]

    want = run(case.play, plain)
    try:
        got = run(case.play, jit)
    except StagingError as error:
        return Outcome("refused", error.what.partition(": ")[2])
    recalled = sum(f.statistics.recalled for f in compiled)
    return Outcome("different", text, recalled) if (text := difference(got, want)) else Outcome("equal", "", recalled)


def fallback(case: Case) -> Outcome:
    """What became of a case that may run eagerly where it cannot be compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        got = run(case.play, jitorch.jit)
    return Outcome("different", text) if (text := difference(got, run(case.play, plain))) else Outcome("equal")


def plain(function: Any = None, **options: Any) -> Any:
    """Stands for ``jit`` and does nothing."""
    return (lambda f: f) if function is None else function


def difference(got: list[Any], want: list[Any]) -> str:
    """The first observation that differs, in words; nothing if all agree."""
    for step, (a, b) in enumerate(zip(got, want)):
        if not is_equal(a, b):
            return f"observation {step} is {a!r} and should be {b!r}"
    return "" if len(got) == len(want) else f"{len(got)} observations and should be {len(want)}"


def documented_reasons(text: str) -> list[re.Pattern[str]]:
    """The messages of the tables under ``StagingError``; *words* and dots stand for anything."""
    section = text.partition("## StagingError")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \|", section, re.MULTILINE)
    return [re.compile(re.sub(r"(\\\*.+?\\\*|…)+", ".*", re.escape(row))) for row in rows if row != "message"]


def summary(outcomes: dict[str, Outcome]) -> str:
    """A table in Markdown of how many cases of each feature came out how."""
    lines = ["| what changes between calls | cases | equal | refused |", "|---|---|---|---|"]
    kinds: dict[str, list[str]] = {}
    for name, found in outcomes.items():
        kinds.setdefault(CASES[name].feature, []).append(found.kind)
    kinds["all"] = [found.kind for found in outcomes.values()]
    lines += [f"| {f} | {len(k)} | {k.count('equal')} | {k.count('refused')} |" for f, k in kinds.items()]
    return "\n".join(lines)
