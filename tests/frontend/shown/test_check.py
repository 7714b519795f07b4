"""`f.check`: which op of a compiled program is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import compiler
from jitorch.errors import ArgumentError, CompilerBug, StagingError
from jitorch.frontend.shown import check


def chain(x: jitorch.Tensor, scale: float) -> jitorch.Tensor:
    hidden = (x * scale).exp()
    total = hidden.sum(1, keepdim=True)
    return hidden / total


@pytest.fixture
def x() -> jitorch.Tensor:
    return jitorch.tensor(np.random.default_rng(0).normal(size=(5, 70)).astype(np.float32))


@pytest.fixture
def wrong_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler whose sums come out too large, in element 2."""
    compile_graph = compiler.compile_graph

    def broken(graph: Any, *args: Any, **kwargs: Any) -> Any:
        compiled = compile_graph(graph, *args, **kwargs)
        run = compiled.run
        sums = [i for i, v in enumerate(compiled.returned) if v.node is not None and v.node.op.name == "sum"]

        def altered(inputs: Any) -> Any:
            results = run(inputs)
            for i in sums:
                results[i].flat[2] *= 1.001
            return results

        monkeypatch.setattr(compiled, "run", altered)
        return compiled

    monkeypatch.setattr(check, "compile_graph", broken)


def test_what_is_right_is_reported_so(x: jitorch.Tensor) -> None:
    report = jitorch.jit(chain).check(x, 0.5)
    assert report
    assert report.worst < 4
    assert str(report).startswith(f"{report.ops} ops agree within ")


def test_the_first_wrong_op_is_named_with_its_line(x: jitorch.Tensor, wrong_sum: None) -> None:
    report = jitorch.jit(chain).check(x, 0.5)
    assert not report
    found = report.difference
    assert found is not None
    assert found.op == "sum"
    assert found.index[0] == 2
    assert found.ulps == pytest.approx(0.001 * 2**23, rel=0.1)
    assert "hidden.sum(1, keepdim=True)" in str(report)


def test_the_first_call_can_be_checked(x: jitorch.Tensor, wrong_sum: None) -> None:
    with pytest.raises(CompilerBug, match=r"sum.*differs"):
        jitorch.jit(chain, check="first")(x, 0.5)


def test_what_agrees_is_called_as_ever(x: jitorch.Tensor) -> None:
    checked = jitorch.jit(chain, check="first")
    np.testing.assert_array_equal(checked(x, 0.5).numpy(), jitorch.jit(chain)(x, 0.5).numpy())


def test_python_is_run_beside_a_pure_function(x: jitorch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = jitorch.jit(chain)
    assert compiled.check(x, 0.5)
    monkeypatch.setattr(compiled, "__jit_wrapped__", lambda x, scale: chain(x, scale + 1e-3))
    report = compiled.check(x, 0.5)
    assert report.difference is not None
    assert report.difference.op == "the result"


def test_nothing_is_changed() -> None:
    layer = jitorch.nn.BatchNorm1d(3)
    x = jitorch.tensor(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))
    before = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    assert jitorch.jit(layer).check(x)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_a_training_step_with_random_numbers() -> None:
    model = jitorch.nn.Sequential(jitorch.nn.Linear(6, 5), jitorch.nn.Dropout(0.5), jitorch.nn.Linear(5, 1))
    optimizer = jitorch.optim.Adam(model.parameters())

    def step(x: jitorch.Tensor) -> jitorch.Tensor:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    report = jitorch.jit(step).check(jitorch.tensor(np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)))
    assert report, report


def test_refusals_and_wrong_arguments(x: jitorch.Tensor) -> None:
    with pytest.raises(StagingError), pytest.warns(RuntimeWarning):
        jitorch.jit(lambda v: eval("v + 1")).check(x)
    with pytest.raises(ArgumentError, match="check"):
        jitorch.jit(chain, check="always")


@pytest.mark.parametrize(
    ("actual", "expected", "ulps"),
    [
        ([1.0, 1.0], [1.0, 1.0 + 2**-23], 1.0),
        ([1.0, np.nan], [1.0, np.nan], 0.0),
        ([1.0, np.nan], [1.0, 2.0], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([1e-9, 1.0], [0.0, 1.0], 1e-9 / (np.sqrt(0.5) * 2**-23)),
    ],
)
def test_distance(actual: list[float], expected: list[float], ulps: float) -> None:
    found, index = check.distance(np.array(actual, np.float32), np.array(expected, np.float32))
    assert found == pytest.approx(ulps, rel=1e-3)
    assert len(index) == 1


def test_distance_of_what_is_not_alike() -> None:
    assert check.distance(np.zeros(3), np.zeros(4))[0] == np.inf
    assert check.distance(np.zeros(3, np.float32), np.zeros(3))[0] == np.inf
    assert check.distance(np.array([1, 2]), np.array([1, 3])) == (np.inf, (1,))
    assert check.distance(np.zeros(0), np.zeros(0)) == (0.0, ())
