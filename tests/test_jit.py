"""`jitorch.jit`: the module that can be called, and `jit.trace`."""

import numpy as np
import pytest

import jitorch
from jitorch import errors, nn


def test_the_module_is_callable_and_a_decorator():
    assert jitorch.jit(lambda x: x)(jitorch.ones(2)).tolist() == [1, 1]

    @jitorch.jit(fullgraph=True)
    def f(x):
        return x + 1

    assert f(jitorch.ones(2)).tolist() == [2, 2]
    assert jitorch.compile is jitorch.jit.jit


def test_trace_of_a_module_checks_itself_and_serves_other_sizes():
    jitorch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.ReLU())
    model.eval()
    traced = jitorch.jit.trace(model, jitorch.ones(2, 3))
    assert traced.statistics.traces == 1
    x = jitorch.randn(5, 3)
    np.testing.assert_allclose(traced(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-6, atol=1e-6)


def test_trace_never_freezes_a_branch():
    def f(x):
        return x if x.sum() > 0 else -x

    traced = jitorch.jit.trace(f, (jitorch.ones(2),))
    assert traced(-jitorch.ones(2)).numpy().tolist() == [1, 1]
    with pytest.raises(errors.StagingError, match="needs a value that is computed by the traced program"):
        jitorch.jit.trace(lambda x: max(x.tolist()), (jitorch.ones(2),))


def test_names_that_come_when_they_are_asked_for():
    assert jitorch.jit.TracingCheckError is errors.TracingCheckError
    assert jitorch.jit.TracerWarning is errors.TracerWarning
    assert isinstance(jitorch.jit.trace(nn.ReLU(), jitorch.ones(2)), jitorch.jit.TracedModule)
    assert isinstance(jitorch.jit.trace(lambda x: x, jitorch.ones(2)), jitorch.jit.TracedFunction)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jitorch.jit.nothing
