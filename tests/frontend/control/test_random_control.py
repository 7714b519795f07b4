"""Random nests of branches and loops do compiled what they do in Python."""

from __future__ import annotations

import warnings
from typing import Any

from hypothesis import HealthCheck, given, settings, target

import jitorch
from jitorch.errors import StagingError
from tests.frontend.control.random_control import function, sources

INPUTS = (([1, 5, 2], [3, -4, 0], 1), ([-7, 2, 9], [12, 1, 1], 4), ([0, 0, 0], [-1, -2, -3], 0))


def arguments(case: Any) -> tuple[Any, ...]:
    x, y, i = case
    m = jitorch.tensor([[1, 2, 3], [0, -1, 4]])
    return jitorch.tensor(x), jitorch.tensor(y), m, i


def plain(value: Any) -> Any:
    if isinstance(value, jitorch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else (type(value), value)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(sources())
def test_equal_to_python(source: str) -> None:
    program = function(source)
    compiled = jitorch.jit(program, fullgraph=True)
    for case in INPUTS:
        want = plain(program(*arguments(case)))
        try:
            got = plain(compiled(*arguments(case)))
        except StagingError:
            target(-1.0, label="staged")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                got = plain(jitorch.jit(program)(*arguments(case)))
        assert got == want, source
