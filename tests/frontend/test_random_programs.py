"""Random programs, compiled for every backend: they compute, write and differentiate as eager does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import jitorch
from jitorch.errors import AutogradError, StagingError
from tests.frontend.random_programs import SIZES, Program, inputs, programs

TOLERANCE = {"float32": 2e-4, "float64": 1e-8}


def run(function: Callable[..., Any], size: int) -> dict[str, Any]:
    """The results, the arguments after the call, and the gradients where the graph may be walked."""
    arguments = inputs(size)
    results = function(*arguments)
    found = {f"result {i}": np.array(r.detach().numpy()) for i, r in enumerate(results)}
    found |= {f"requires grad {i}": r.requires_grad for i, r in enumerate(results)}
    found |= {f"argument {i}": np.array(x.detach().numpy()) for i, x in enumerate(arguments[:-1])}
    losses = [r.double().sin().sum() for r in results if r.requires_grad]
    if losses:
        try:
            sum(losses).backward()
        except AutogradError:
            return found | {"stale": True}
        found |= {f"gradient {n}": None if x.grad is None else x.grad.numpy() for n, x in zip("ab", arguments)}
    return found


def check_equal(got: dict[str, Any], want: dict[str, Any]) -> None:
    # Eager saves no copies: it may refuse a gradient that a compiled function has.
    names = [n for n in want if n != "stale"]
    assert set(names) <= set(got)
    for name in names:
        if isinstance(want[name], np.ndarray) and got[name] is not None:
            tolerance = TOLERANCE.get(want[name].dtype.name, 0)
            assert got[name].dtype == want[name].dtype, name
            np.testing.assert_allclose(got[name], want[name], rtol=tolerance, atol=tolerance, err_msg=name)
        elif want[name] is None and got[name] is not None:
            # A gradient that does not depend on anything: eager has none, a compiled function has zeros.
            assert not got[name].any(), name
        else:
            assert (got[name] is None or isinstance(got[name], bool)) and got[name] == want[name], name


@pytest.mark.parametrize(("backend", "examples"), [("cpu", 40), ("reference", 25)])
def test_compiled_is_eager(backend: str, examples: int) -> None:
    @settings(max_examples=examples, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(programs())
    def check(program: Program) -> None:
        function = program.function()
        compiled = jitorch.jit(function, fullgraph=True, backend=backend)
        for size in (*SIZES, SIZES[0]):
            try:
                got = run(compiled, size)
            except StagingError as refusal:
                if "detached alias is overwritten" in str(refusal):
                    return
                raise
            check_equal(got, run(function, size))
        assert compiled.statistics.traces <= 3

    check()
