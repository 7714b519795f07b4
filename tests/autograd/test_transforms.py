"""`grad`, `vjp`, `jvp`, `linearize`: PyTorch's own are the oracle; plain and compiled, nested in every order."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch import func, nn
from jitorch.errors import ArgumentError, AutogradError, ShapeError, StagingError, UnsupportedError

X, Y = np.array([0.5, -1.0, 2.0]), np.array([[1.0, 2.0, 3.0], [0.1, 0.2, 0.3]])


def t(x: Any) -> Any:
    return jitorch.tensor(x, dtype=jitorch.float64)


def energy(x: Any, y: Any) -> Any:
    return ((y @ x.tanh()).exp() * x.sum()).sum()


def tree(p: Any, x: Any) -> Any:
    return (p["w"] @ x + p["b"][0]).sin().sum()


def with_aux(x: Any, y: Any) -> Any:
    z = y @ x
    return (z * z).sum(), {"z": z}


def leaves(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [x for v in value for x in leaves(v)]
    if isinstance(value, dict):
        return [x for v in value.values() for x in leaves(v)]
    return [value.detach().numpy() if hasattr(value, "detach") else value]


def same(ours: Any, theirs: Any) -> None:
    a, b = leaves(ours), leaves(theirs)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        if isinstance(y, np.ndarray):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
        else:
            assert x == y


def params(x: Any, y: Any) -> Any:
    return {"w": y, "b": (x[:2],)}


CALLS: dict[str, Any] = {
    "grad": lambda f, x, y: f.grad(energy)(x, y),
    "grad of the second argument": lambda f, x, y: f.grad(energy, argnums=1)(x, y),
    "grad of both": lambda f, x, y: f.grad(energy, argnums=(0, -1))(x, y),
    "grad of a tree": lambda f, x, y: f.grad(tree)(params(x, y), x),
    "grad with aux": lambda f, x, y: f.grad(with_aux, has_aux=True)(x, y),
    "grad and value": lambda f, x, y: f.grad_and_value(energy)(x, y),
    "grad and value with aux": lambda f, x, y: f.grad_and_value(with_aux, has_aux=True)(x, y),
    "grad with a keyword": lambda f, x, y: f.grad(lambda x, *, y: energy(x, y))(x, y=y),
    "vjp": lambda f, x, y: pulled(f.vjp(lambda x, y: y @ x.exp(), x, y), x[:2]),
    "vjp of a tuple": lambda f, x, y: pulled(f.vjp(lambda x: (x * x, x.sum()), x), (x, x[0])),
    "vjp with aux": lambda f, x, y: pulled(f.vjp(with_aux, x, y, has_aux=True), x[0]),
    "jvp": lambda f, x, y: f.jvp(energy, (x, y), (x * 2, y + 1)),
    "jvp of a tree": lambda f, x, y: f.jvp(tree, (params(x, y), x), (params(x, y), x)),
    "jvp with aux": lambda f, x, y: f.jvp(with_aux, (x, y), (x, y), has_aux=True),
    "jvp of what does not depend": lambda f, x, y: f.jvp(lambda z: (z * 1, x * 2), (x,), (x,)),
    "linearize": lambda f, x, y: pushed(f.linearize(lambda x: (x.sin() * x, x.prod()), x), x, x + 1),
    "grad of grad": lambda f, x, y: f.grad(lambda x: (f.grad(energy)(x, y) ** 2).sum())(x),
    "grad of jvp": lambda f, x, y: f.grad(lambda x: f.jvp(lambda z: energy(z, y), (x,), (x * x,))[1])(x),
    "jvp of grad": lambda f, x, y: f.jvp(lambda x: f.grad(energy)(x, y), (x,), (x,)),
    "jvp of jvp": lambda f, x, y: f.jvp(lambda x: f.jvp(lambda z: energy(z, y), (x,), (x,))[1], (x,), (x,)),
    "third order": lambda f, x, y: f.grad(f.grad(f.grad(lambda x: x**5)))(x[0]),
    "perturbations are not confused": lambda f, x, y: f.grad(lambda a: a * f.grad(lambda b: a + b)(x[1]))(x[0]),
    "nor are tangents": lambda f, x, y: f.jvp(
        lambda a: a * f.jvp(lambda b: a + b, (x[1],), (x[1],))[1], (x[0],), (x[0],)
    ),
}


def pulled(result: Any, cotangents: Any) -> Any:
    out, pull, *aux = result
    return out, pull(cotangents), pull(cotangents), aux


def pushed(result: Any, *tangents: Any) -> Any:
    out, push = result
    return out, [push(t) for t in tangents]


@pytest.mark.parametrize("name", CALLS)
def test_as_in_pytorch(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of how it does it
        theirs = CALLS[name](torch.func, torch.from_numpy(X), torch.from_numpy(Y))
    same(CALLS[name](func, t(X), t(Y)), theirs)


@pytest.mark.parametrize("name", CALLS)
def test_compiled_it_is_one_program(name: str) -> None:
    call = CALLS[name]
    compiled = jitorch.jit(lambda x, y: call(func, x, y), fullgraph=True)
    for x, y in ((t(X), t(Y)), (t(X) * 1.5, t(Y) - 1)):
        same(compiled(x, y), call(func, x, y))
    assert compiled.statistics.traces == 1


def test_no_grad_outside_does_not_matter_and_inside_does() -> None:
    x = t(2.0)
    with jitorch.no_grad():
        assert func.grad(lambda x: x * x)(x).item() == 4.0

    def half(x: Any) -> Any:
        with jitorch.no_grad():
            y = x * x
        return y * x

    assert func.grad(half)(x).item() == 4.0
    assert func.jvp(half, (x,), (t(1.0),))[1].item() == 12.0  # no_grad is about reverse mode
    assert jitorch.jit(lambda x: func.jvp(half, (x,), (x * 0 + 1,))[1], fullgraph=True)(x).item() == 12.0
    assert func.jvp(lambda x: x.detach() * x, (x,), (t(1.0),))[1].item() == 2.0


def test_results_have_a_history_only_where_somebody_may_ask_for_it() -> None:
    x, w = t(X), t(X).requires_grad_()
    assert not func.grad(lambda x: (x * x).sum())(x).requires_grad
    assert not func.vjp(lambda x: x * x, x)[0].requires_grad
    through = func.grad(lambda x: (x * x * w).sum())(x)
    through.sum().backward()
    same(w.grad, 2 * x)
    assert func.grad(lambda x: (x**3).sum())(w).requires_grad
    assert not func.linearize(lambda x: x * x, x)[1](x).requires_grad


def test_gradients_of_parameters_go_through_a_gradient_in_a_compiled_function() -> None:
    w = t(X).requires_grad_()

    def penalty(x: Any) -> Any:
        return (func.grad(lambda x: ((w * x).tanh() * x).sum())(x) ** 2).sum()

    penalty(t(X)).backward()
    expected, w.grad = w.grad.numpy().copy(), None
    compiled = jitorch.jit(penalty, fullgraph=True)
    compiled(t(X)).backward()
    np.testing.assert_allclose(w.grad.numpy(), expected)
    (first,) = jitorch.autograd.grad(compiled(t(X)), w, create_graph=True)
    assert jitorch.autograd.grad(first.sum(), w)[0].shape == w.shape


class Tripled(jitorch.autograd.Function):
    """A gradient that is not that of what is computed."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 1

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 3


def test_a_gradient_written_by_hand_is_never_ignored() -> None:
    def total(x: Any) -> Any:
        return Tripled.apply(x).sum()

    same(func.grad(total)(t(X)), t(X) * 0 + 3)
    same(func.vmap(func.grad(total))(t(Y)), t(Y) * 0 + 3)
    x, y = t(X), t(Y)
    for call in (
        lambda: func.grad(lambda y: func.vmap(total)(y).sum())(y),
        lambda: func.jvp(total, (x,), (x,)),
    ):
        with pytest.raises(UnsupportedError, match="Tripled"):
            call()
        with pytest.raises(StagingError, match="a hook, an autograd"):
            jitorch.jit(call, fullgraph=True)()


def test_writes_inside_are_differentiated() -> None:
    def filled(x: Any) -> Any:
        y = x * 1
        y[0] = y[1] * 3
        y[1:].mul_(2)
        return y

    out, tangent = func.jvp(filled, (t(X),), (t(X * 2),))
    same(tangent, out * 2)
    same(func.vmap(filled)(t(Y)), jitorch.stack([filled(row) for row in t(Y)]))


def test_a_write_to_a_tensor_from_outside() -> None:
    count = t([0.0, 0.0])

    def counting(x: Any) -> Any:
        count[1] += 1
        return x * 2

    func.jvp(counting, (t(X),), (t(X),))
    func.vmap(counting)(t(X))
    assert count.tolist() == [0.0, 2.0]
    with pytest.raises(AutogradError, match="overwritten by one that has a tangent"):
        func.jvp(lambda x: count.copy_(x[:2]), (t(X),), (t(X),))


def test_python_may_decide_by_a_primal() -> None:
    def absolute(x: Any) -> Any:
        return x if x > 0 else -x

    assert func.jvp(absolute, (t(-2.0),), (t(1.0),))[1].item() == -1.0
    assert func.grad(absolute)(t(-2.0)).item() == -1.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: func.grad(lambda x: x * 2)(t(X)), ShapeError, "a tensor without axes"),
        (lambda: func.grad(lambda x: (x, x))(t(1.0)), ArgumentError, "must give one tensor"),
        (lambda: func.grad(lambda x: x)(3.0), ArgumentError, "must be tensors"),
        (lambda: func.grad(lambda x: x)(jitorch.tensor(3)), AutogradError, "only floating point"),
        (lambda: func.grad(lambda x: x, argnums=1)(t(1.0)), ArgumentError, "argnums names no argument"),
        (lambda: func.grad(lambda x, y: x, argnums=(0, -2))(t(1.0), t(1.0)), ArgumentError, "each once"),
        (lambda: func.grad(lambda x: x, has_aux=True)(t(1.0)), ArgumentError, "gives two things"),
        (lambda: func.jvp(lambda x: x, t(X), (t(X),)), ArgumentError, "primals is a tuple"),
        (lambda: func.jvp(lambda x: x, (t(X),), (t(Y),)), ShapeError, "a tangent has the type"),
        (lambda: func.jvp(lambda x: x, (t(X),), ((t(X),),)), ArgumentError, "another structure"),
        (lambda: func.jvp(lambda x: t(X), (t(X),), (t(X),), strict=True), AutogradError, "does not depend"),
        (lambda: func.vjp(lambda x: (x, x), t(X))[1](t(X)), ArgumentError, "another structure"),
        (lambda: func.vjp(lambda x: 3, t(X)), ArgumentError, "must give tensors"),
        (lambda: func.linearize(lambda x: x, t(X))[1](t(X), t(X)), ArgumentError, "another structure"),
    ],
    ids=range(14),
)
def test_errors(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_compiled_transform_changes_nothing_outside() -> None:
    seen: list[Any] = []

    def noting(x: Any) -> Any:
        seen.append(x)
        return x * x

    with pytest.raises(StagingError, match="changes a list"):
        jitorch.jit(lambda x: func.jvp(noting, (x,), (x,))[1], fullgraph=True)(t(X))
    assert seen == []


class Settling(nn.Module):
    """A layer that is applied until its state settles."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3).double()
        self.readout = nn.Linear(3, 1).double()

    def forward(self, x: Any) -> Any:
        state = x
        while (state * state).sum() > 0.05:
            state = (self.inner(state) * 0.7).tanh() * 0.8 + 0.01 * x
        return self.readout(state).sum()


def test_second_order_gradients_through_a_jitted_model_with_a_while_loop_match_finite_differences() -> None:
    jitorch.manual_seed(0)
    model = Settling()
    compiled = jitorch.jit(model, fullgraph=True)
    x = t(X * 1.5).requires_grad_()
    parameters = list(model.parameters())
    wanted = [x, *parameters]

    def first() -> list[Any]:
        y = compiled(x)
        return list(jitorch.autograd.grad(y * y, wanted, create_graph=True))

    rng = np.random.default_rng(0)
    weights = [t(rng.normal(size=tuple(w.shape))) for w in wanted]
    second = jitorch.autograd.grad(sum((g * w).sum() for g, w in zip(first(), weights)), wanted)
    step = 1e-6
    for tensor, found in zip(wanted, second):
        along = t(rng.normal(size=tuple(tensor.shape)))
        sides = []
        for sign in (1, -1):
            with jitorch.no_grad():
                tensor += along * (sign * step)
            sides.append(sum((g * w).sum().item() for g, w in zip(first(), weights)))
            with jitorch.no_grad():
                tensor -= along * (sign * step)
        np.testing.assert_allclose((found * along).sum().item(), (sides[0] - sides[1]) / (2 * step), rtol=1e-5)
    assert compiled.statistics.eager == 0


def test_the_same_by_forward_over_reverse_in_one_program() -> None:
    jitorch.manual_seed(0)
    model = Settling()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    x = t(X * 1.5)

    def loss(parameters: Any, x: Any) -> Any:
        return func.functional_call(model, parameters, (x,)) ** 2

    def product(parameters: Any, x: Any, v: Any) -> Any:
        return func.jvp(lambda x: func.grad(loss, argnums=1)(parameters, x), (x,), (v,))[1]

    found = jitorch.jit(product, fullgraph=True)(parameters, x, t(X))
    above, below = (func.grad(loss, argnums=1)(parameters, x + s * 1e-6 * t(X)) for s in (1, -1))
    np.testing.assert_allclose(found.numpy(), ((above - below) / 2e-6).numpy(), rtol=1e-5)
    hessians = jitorch.jit(lambda p, xs: func.vmap(func.hessian(loss, argnums=1), (None, 0))(p, xs), fullgraph=True)
    xs = jitorch.stack([x, x * 0.5, x * 3])
    for row, one in zip(xs, hessians(parameters, xs)):
        np.testing.assert_allclose(one.numpy(), func.hessian(loss, argnums=1)(parameters, row).numpy(), 1e-8, 1e-12)
