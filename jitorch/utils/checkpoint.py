"""Less memory for more work: parts of a computation whose gradient computes them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jitorch.errors import ArgumentError
from jitorch.frontend.trace.recompute import checkpoint

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint_sequential(
    functions: Sequence[Callable[[Any], Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """The functions one after the other, in ``segments`` parts of which all but the last are checkpoints.

    ``functions``: a list of functions or modules, or a `Sequential`.  See `checkpoint`.
    """
    steps = list(functions)
    if not 1 <= segments <= len(steps):
        raise ArgumentError("checkpoint_sequential: segments", expected=f"1 to {len(steps)}", actual=segments)
    size = len(steps) // segments
    for segment in range(segments - 1):
        part = steps[segment * size : (segment + 1) * size]
        input = checkpoint(_chain, part, input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return _chain(steps[(segments - 1) * size :], input)


def _chain(functions: Sequence[Callable[[Any], Any]], x: Any) -> Any:
    for function in functions:
        x = function(x)
    return x
