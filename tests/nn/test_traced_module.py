"""`jit.trace` of modules, and `jit.trace_module`."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch import nn, optim
from jitorch.errors import ArgumentError, StagingError, UnsupportedError
from jitorch.frontend.trace.capture import leaves


def values(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def same(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)


def mlp(nn: Any) -> Any:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def convolutional(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2)
    )


def normalised(nn: Any) -> Any:
    return nn.Sequential(nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 6), nn.Softmax(-1))


def embedded(nn: Any) -> Any:
    return nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 2), nn.Sigmoid())


def attention(nn: Any) -> Any:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


def recurrent(nn: Any) -> Any:
    return nn.LSTM(3, 5, batch_first=True)


MODELS = [
    (mlp, values(4, 6), values(7, 6)),
    (convolutional, values(2, 2, 6, 6), values(3, 2, 6, 6)),
    (normalised, values(4, 6), values(1, 6)),
    (embedded, np.array([[1, 2], [3, 6]]), np.array([[0, 5, 2]])),
    (attention, values(2, 5, 8), values(3, 5, 8)),
    (recurrent, values(2, 4, 3), values(3, 4, 3)),
]


@pytest.mark.parametrize(("build", "x", "other"), MODELS, ids=[m[0].__name__ for m in MODELS])
@pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_models_beside_torch(build: Any, x: Any, other: Any) -> None:
    model, reference = build(nn).eval(), build(torch.nn).eval()
    model.load_state_dict({n: jitorch.tensor(t.numpy()) for n, t in reference.state_dict().items()})
    ours = jitorch.jit.trace(model, jitorch.tensor(x))
    theirs = torch.jit.trace(reference, torch.tensor(x), check_trace=False)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    for example in (x, other):
        found, expected = ours(jitorch.tensor(example)), theirs(torch.tensor(example))
        for a, b in zip(leaves(found), leaves(expected), strict=True):
            same(a, b)


def test_parameters_are_shared_and_train() -> None:
    model = mlp(nn)
    x = jitorch.tensor(values(4, 6))
    traced = jitorch.jit.trace(model, x)
    assert [id(p) for p in traced.parameters()] == [id(p) for p in model.parameters()]
    optimizer = optim.SGD(traced.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (traced(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    same(traced(x), model(x))
    assert traced.statistics.traces == 1


def test_the_mode_is_that_of_the_trace() -> None:
    jitorch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    x = jitorch.tensor(values(8, 3))
    training = jitorch.jit.trace(model, x)
    model.eval()
    evaluating = jitorch.jit.trace(model, x)
    assert (training.training, evaluating.training) == (True, False)
    same(evaluating.train()(x), model(x))
    before = model[1].running_mean.clone()
    assert (training.eval()(x) == 0).any()
    assert not jitorch.equal(model[1].running_mean, before)
    assert int(model[1].num_batches_tracked) == 1


def test_loading_a_state_dict_reaches_the_program() -> None:
    model, other = mlp(nn), mlp(nn)
    x = jitorch.tensor(values(4, 6))
    traced = jitorch.jit.trace(model, x)
    traced.load_state_dict(other.state_dict())
    same(traced(x), other(x))


def test_conversion_is_an_error_not_garbage() -> None:
    traced = jitorch.jit.trace(mlp(nn), jitorch.tensor(values(4, 6)))
    traced(jitorch.tensor(values(4, 6)))
    traced.double()
    with pytest.raises(ArgumentError, match="a tensor that the function read is not as it was traced"):
        traced(jitorch.tensor(values(4, 6)))


class Methods(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        return self.linear(x)

    def weighted(self, x, weight, flip: bool = False):
        y = self.linear(x) * weight
        return -y if flip else y


def test_methods_of_one_module() -> None:
    model = Methods()
    x = jitorch.tensor(values(4, 3))
    traced = jitorch.jit.trace_module(
        model, {"forward": x, "weighted": (x, jitorch.ones(3), True)}, check_inputs=[{"forward": x + 1}]
    )
    same(traced(x), model(x))
    same(traced.weighted(x, jitorch.ones(3) * 2, True), model.weighted(x, jitorch.ones(3) * 2, True))
    with pytest.raises(ArgumentError, match="the arguments are not as they were traced"):
        traced.weighted(x, jitorch.ones(3), False)
    bound = jitorch.jit.trace(model.weighted, (x, jitorch.ones(3)))
    same(bound(x, jitorch.ones(3)), model.weighted(x, jitorch.ones(3)))


def test_keyword_examples() -> None:
    model = Methods()
    x = jitorch.tensor(values(4, 3))
    traced = jitorch.jit.trace(model, example_kwarg_inputs={"x": x})
    same(traced(x=x), model(x))
    named = jitorch.jit.trace_module(model, {"weighted": {"x": x, "weight": x}}, example_inputs_is_kwarg=True)
    same(named.weighted(x=x, weight=x), model.weighted(x, x))


def test_submodules_are_there_but_not_traced() -> None:
    traced = jitorch.jit.trace(mlp(nn), jitorch.tensor(values(4, 6)))
    assert repr(traced).splitlines()[:2] == ["Sequential(", "  (0): Linear()"]
    with pytest.raises(UnsupportedError, match="forward was not traced"):
        traced.get_submodule("0")(jitorch.tensor(values(4, 6)))


def test_wrong_calls() -> None:
    x = jitorch.ones(3)
    with pytest.raises(ArgumentError, match="only what can be called"):
        jitorch.jit.trace(3, x)
    with pytest.raises(ArgumentError, match="expected a module"):
        jitorch.jit.trace_module(lambda x: x, {"forward": x})
    with pytest.raises(ArgumentError, match="inputs"):
        jitorch.jit.trace_module(Methods(), x)
    with pytest.raises(ArgumentError, match="has no method 'backward'"):
        jitorch.jit.trace_module(Methods(), {"backward": x})


class Caching(nn.Module):
    def forward(self, x):
        self.last = x * 2
        return self.last + 1


def test_attributes_that_forward_writes() -> None:
    x = jitorch.ones(2)
    with pytest.raises(StagingError, match="a write to a Python object") as caught:
        jitorch.jit.trace(Caching(), x)
    assert "self.last = x * 2" in str(caught.value)
    model = Caching()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        traced = jitorch.jit.trace(model, x, allow_frozen=True, check_trace=False)
    assert len(warned) == 1 and "which is not repeated" in str(warned[0].message)
    assert traced(x).tolist() == [3.0, 3.0]
    assert not hasattr(model, "last")


def test_copies_have_tensors_of_their_own() -> None:
    traced = jitorch.jit.trace_module(Methods(), {"forward": jitorch.ones(2, 3), "weighted": (jitorch.ones(3),) * 2})
    other = copy.deepcopy(traced)
    x = jitorch.tensor(values(2, 3))
    with jitorch.no_grad():
        other.linear.weight.zero_()
    assert not jitorch.equal(traced(x), other(x))
    same(other(x), other.linear.bias.expand(2, 3))
    assert other.weighted(x[0], x[0]).shape == (3,)
    with pytest.raises(UnsupportedError, match="cannot be pickled"):
        pickle.dumps(traced)


def test_compiled_functions_call_traced_modules() -> None:
    model = mlp(nn)
    traced = jitorch.jit.trace(model, jitorch.tensor(values(4, 6)))
    outer = jitorch.jit(lambda x: traced(x).sum(), fullgraph=True)
    x = jitorch.tensor(values(4, 6))
    same(outer(x), model(x).sum())
    with jitorch.no_grad():
        model[0].weight.zero_()
    same(outer(x), model(x).sum())
