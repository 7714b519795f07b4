"""The driver: run a user's function once under the protocol, keep what replays it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch.frontend.python.guards import Guard
from jitorch.frontend.python.paths import Path
from jitorch.frontend.python.recorder import Recorder, Refuse


@dataclass(frozen=True, slots=True)
class Staged:
    """One run of a function, as data.

    Calling it again is: ``inputs = staged.check(args, kwargs)`` (None: this trace is not for this
    call); run the program on ``inputs`` to get the values of ``outputs``; then
    ``staged.finish(results, args, kwargs)`` gives what the function returns, after it has written
    what the function wrote.  All of that is computed before the first write.
    """

    guards: tuple[Guard, ...]
    check: Callable[[tuple[Any, ...], Mapping[str, Any]], tuple[Any, ...] | None]
    check_source: str
    refused: Refuse | None  # then `outputs` is empty and `check` gives ()
    inputs: tuple[Path, ...]  # the recorder's, in order: `check` returns their values
    outputs: tuple[Any, ...]  # traced values that the program must compute, in the order of `results`
    finish: Callable[[Sequence[Any], tuple[Any, ...], Mapping[str, Any]], Any]
    finish_source: str
    functions: dict[str, str]  # qualified name and line of each function traced -> digest of its code
    seconds: float  # time spent in Python: rewriting, running, recording


def stage(
    function: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    recorder: Recorder,
    dynamic: frozenset[Path] = frozenset(),
) -> Staged:
    """Run ``function(*args, **kwargs)`` once, with ``recorder`` recording what is done to tensors.

    No object that exists outside changes.  ``dynamic`` are the paths of ints that are run-time
    scalars (see `guards.changed_ints`).  A refusal is returned, with the guards read before it; an
    exception of the user's code is raised.
    """
