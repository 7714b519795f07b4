"""Modules as functions: PyTorch's `functional_call` and `stack_module_state` are the oracle of behaviour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import func, nn
from jitorch.errors import ArgumentError, StateDictError


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("shift", jitorch.ones(2))

    def forward(self, x: Any, scale: float = 1.0) -> Any:
        return self.second(self.first(x)) * scale + self.shift


X = jitorch.tensor([[1.0, 2.0]])
TWICE = 2 * jitorch.eye(2)


def test_other_tensors_stand_in_and_leave_again() -> None:
    model = nn.Linear(2, 3)
    weight, before = model.weight, model(X)
    out = func.functional_call(model, {"weight": jitorch.zeros(3, 2)}, (X,))
    np.testing.assert_array_equal(out.detach().numpy(), model.bias.detach().numpy()[None])
    assert model.weight is weight
    np.testing.assert_array_equal(model(X).detach().numpy(), before.detach().numpy())
    with pytest.raises(RuntimeError):
        func.functional_call(model, {"weight": jitorch.zeros(5, 7)}, X)
    assert model.weight is weight


def test_tied_weights_are_replaced_everywhere() -> None:
    model = Tied()
    given = {"first.weight": TWICE, "shift": jitorch.zeros(2)}
    assert func.functional_call(model, given, X).tolist() == [[4.0, 8.0]]
    assert func.functional_call(model, [given], (X,), {"scale": 0.5}).tolist() == [[2.0, 4.0]]
    model.second.weight.data = jitorch.eye(2)
    apart = func.functional_call(model, given, X, tie_weights=False)
    assert apart.tolist() == [[2.0, 4.0]]
    with pytest.raises(ArgumentError, match="two values"):
        func.functional_call(model, {"first.weight": TWICE, "second.weight": jitorch.eye(2)}, X)


@pytest.mark.parametrize(
    ("given", "keywords", "error", "message"),
    [
        ({"nothing": X}, {}, StateDictError, "unexpected: nothing"),
        ({"first.weight": TWICE}, {"strict": True}, StateDictError, "missing: shift"),
        ([{"shift": X}, {"shift": X}], {}, ArgumentError, "name one tensor"),
    ],
    ids=range(3),
)
def test_names_that_do_not_fit(given: Any, keywords: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        func.functional_call(Tied(), given, X, **keywords)


def test_compiled_with_per_sample_gradients() -> None:
    jitorch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    xs = jitorch.randn(5, 2)

    def loss(parameters: Any, x: Any) -> Any:
        return func.functional_call(model, parameters, (x,)).pow(2).sum()

    each = func.vmap(func.grad(loss), (None, 0))
    plain, compiled = each(parameters, xs), jitorch.jit(each, fullgraph=True)(parameters, xs)
    for name, p in model.named_parameters():
        rows = []
        for x in xs:
            (g,) = jitorch.autograd.grad(model(x).pow(2).sum(), p)
            rows.append(g.numpy())
        np.testing.assert_allclose(plain[name].numpy(), np.stack(rows), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(compiled[name].numpy(), np.stack(rows), rtol=1e-5, atol=1e-6)


def test_an_ensemble_of_stacked_modules() -> None:
    models = [Tied() for _ in range(3)]
    parameters, buffers = func.stack_module_state(models)
    assert parameters["first.weight"].shape == (3, 2, 2)
    assert parameters["first.weight"].requires_grad
    assert not buffers["shift"].requires_grad
    found = func.vmap(lambda p, b, x: func.functional_call(models[0], (p, b), (x,)), (0, 0, None))(
        parameters, buffers, X
    )
    for out, model in zip(found, models):
        np.testing.assert_allclose(out.detach().numpy(), model(X).detach().numpy(), rtol=1e-6)


def test_modules_that_cannot_be_stacked() -> None:
    frozen = Tied().requires_grad_(False)
    for models, message in (
        ([], "no modules"),
        ([Tied(), nn.Linear(2, 2)], "several classes"),
        ([Tied(), Tied().eval()], "training mode"),
        ([Tied(), frozen], "some require gradients"),
    ):
        with pytest.raises(ArgumentError, match=message):
            func.stack_module_state(models)
