"""The driver: run a user's function once under the protocol, keep what replays it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from jitorch.errors import location_of
from jitorch.frontend.python import paths
from jitorch.frontend.python.guards import Check, Guard, compile_guards
from jitorch.frontend.python.outputs import Finish, compile_outputs, distinct_guards
from jitorch.frontend.python.paths import Path
from jitorch.frontend.python.protocol import Trace
from jitorch.frontend.python.recorder import Recorder, Refuse
from jitorch.frontend.python.rewritten import clean_traceback


@dataclass(frozen=True, slots=True)
class Staged:
    """One run of a function, as data.

    Calling it again is: ``inputs = staged.check(args, kwargs)`` (None: this trace is not for this
    call); run the program on ``inputs`` to get the values of ``outputs``; then
    ``staged.finish(results, args, kwargs)`` gives what the function returns, after it has written
    what the function wrote.  All of that is computed before the first write.
    """

    guards: Sequence[Guard]
    check: Check
    check_source: str
    inputs: tuple[Path, ...]  # the recorder's, in order: `check` returns their values
    outputs: tuple[Any, ...]  # traced values that the program must compute, in the order of `results`
    finish: Finish | None  # None if refused
    finish_source: str
    refused: Refuse | None  # why the call cannot be staged; then `check` gives () for calls like this one
    is_pure: bool  # whether the function wrote nothing that exists outside of it
    functions: dict[str, CodeType]  # qualified name and place of each function traced -> its code
    seconds: float  # time spent in Python: rewriting, running, recording, compiling the guards
    guard_lines: tuple[tuple[str, int] | None, ...] = ()  # file and line that read what each is about
    handed_on: tuple[Path, ...] = ()  # objects from outside that are returned or stored as they are


def stage(
    function: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    recorder: Recorder,
    dynamic: frozenset[Path] = frozenset(),
) -> Staged:
    """Run ``function(*args, **kwargs)`` once, with ``recorder`` recording what is done to tensors.

    No object that exists outside changes.  ``dynamic`` are the paths of ints that are run-time
    scalars (see `guards.changed_paths`).  A refusal is returned, with the guards read before it; an
    exception of the user's code is raised, and what it wrote before is dropped.
    """
    start = time.perf_counter()
    trace = Trace(recorder, dynamic)
    recorder.begin(trace)
    refused: Refuse | None = None
    finish, finish_source, outputs, handed_on = None, "", (), ()
    try:
        returned = _run(trace, function, args, kwargs)
        recorder.end()
        finish, finish_source, outputs, handed_on = compile_outputs(trace, returned)
        distinct_guards(trace)
    except Refuse as refusal:
        refused = refusal
    except Exception as error:
        if not recorder.has_checks:
            clean_traceback(error)
            raise
        # Another call, or this one, may leave at a check before.
        refused = Refuse("raises", f"every path that is left raises {type(error).__name__}", location_of(error))
    inputs = () if refused is not None else tuple(recorder.inputs)
    check, check_source = compile_guards(trace.guards, len(args), kwargs, recorder.tensor_keys, inputs)
    seconds = time.perf_counter() - start
    return Staged(
        tuple(trace.guards), check, check_source, inputs, outputs, finish, finish_source, refused,
        not trace.journal.targets() and not trace.journal.effects, dict(trace.functions), seconds,
        tuple(trace.guard_lines), handed_on,
    )  # fmt: skip


def _run(trace: Trace, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    positional = [trace.read(paths.arg(i), value) for i, value in enumerate(args)]
    keywords = {name: trace.read(paths.kwarg(name), value) for name, value in kwargs.items()}
    return trace.call(function, *positional, **keywords)
