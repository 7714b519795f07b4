"""`vmap`: PyTorch's own is the oracle; axes, trees, chunks, randomness, errors; plain and compiled."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch import func, nn
from jitorch.errors import StagingError, UnsupportedError, VmapError

A = np.arange(24.0).reshape(2, 3, 4) / 7
B = np.arange(12.0).reshape(4, 3) / 5 - 1


def t(x: Any) -> Any:
    return jitorch.tensor(x, dtype=jitorch.float64)


OUTSIDE = t(B[0])


def leaves(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [x for v in value for x in leaves(v)]
    if isinstance(value, dict):
        return [x for v in value.values() for x in leaves(v)]
    return [value.detach().numpy()]


def same(ours: Any, theirs: Any) -> None:
    a, b = leaves(ours), leaves(theirs)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


CALLS: dict[str, Any] = {
    "first axis": lambda f, a, b: f.vmap(lambda x: x.sin().sum(0))(a),
    "another axis": lambda f, a, b: f.vmap(lambda x: x.cumsum(0), in_dims=1)(a),
    "the last axis": lambda f, a, b: f.vmap(lambda x: x * 2, in_dims=-1, out_dims=-1)(a),
    "two arguments": lambda f, a, b: f.vmap(lambda x, y: x @ y, in_dims=(1, 1))(a, b),
    "one for all": lambda f, a, b: f.vmap(lambda x, y: x @ y, in_dims=(0, None))(a, b),
    "a matrix for vectors": lambda f, a, b: f.vmap(lambda x, y: y @ x, in_dims=(1, None))(a[0], b),
    "results in another axis": lambda f, a, b: f.vmap(lambda x: (x, x.sum()), out_dims=(1, 0))(a),
    "a result for all": lambda f, a, b: f.vmap(lambda x, y: (x, y.exp()), (0, None), (0, None))(a, b),
    "a tree": lambda f, a, b: f.vmap(lambda p: {"s": [p["x"] + p["y"][0]]}, in_dims=({"x": 0, "y": None},))(
        {"x": a, "y": (b.T,)}
    ),
    "a keyword": lambda f, a, b: f.vmap(lambda x, *, y: x @ y)(a, y=b),
    "nested": lambda f, a, b: f.vmap(f.vmap(lambda x, y: (x * y).sum()), in_dims=(0, None))(a, b.T),
    "nested over different axes": lambda f, a, b: f.vmap(
        lambda x: f.vmap(lambda y: f.vmap(lambda u, v: u * v)(x[0], y), in_dims=1)(b), in_dims=0
    )(a),
    "constants inside": lambda f, a, b: f.vmap(lambda x: b.sum() + x.new_ones(3).cumsum(0))(a),
    "in place": lambda f, a, b: f.vmap(lambda x: x.clone().mul_(2).add_(b.T))(a),
    "indexing": lambda f, a, b: f.vmap(lambda x, i: (x[i], x[:, i], x[1]))(a, (a[:, 0, :2] * 0 + 1).long()),
    "sort": lambda f, a, b: f.vmap(lambda x: x.sin().sort(-1))(a),
    "chunks": lambda f, a, b: f.vmap(lambda x: (x.sin(), x * 2), 2, (1, 0), chunk_size=3)(a),
    "per-sample gradients": lambda f, a, b: f.vmap(f.grad(lambda w, x: (x @ w).tanh().sum()), (None, 0))(b, a),
    "gradient of all": lambda f, a, b: f.grad(lambda w: f.vmap(lambda x: (x @ w).tanh().sum())(a).prod())(b),
    "tangents": lambda f, a, b: f.vmap(lambda x: f.jvp(lambda y: (y @ b).tanh(), (x,), (x,)))(a),
    "tangents of all": lambda f, a, b: f.jvp(f.vmap(lambda x: (x @ b).tanh()), (a,), (a * 2,)),
    "jacrev": lambda f, a, b: f.jacrev(lambda w: (a[0] @ w).tanh().sum(0))(b),
    "jacfwd": lambda f, a, b: f.jacfwd(lambda w: (a[0] @ w).tanh().sum(0))(b),
    "jacrev by two": lambda f, a, b: f.jacrev(lambda x, w: {"y": x @ w, "z": w.sum()}, argnums=(0, 1))(a[0], b),
    "jacfwd by two": lambda f, a, b: f.jacfwd(lambda x, w: {"y": x @ w, "z": w.sum()}, argnums=(0, 1))(a[0], b),
    "jacrev with aux": lambda f, a, b: f.jacrev(lambda w: (w.sin().sum(0), w * 2), has_aux=True)(b),
    "jacfwd with aux": lambda f, a, b: f.jacfwd(lambda w: (w.sin().sum(0), b * 2), has_aux=True)(b),
    "jacrev in chunks": lambda f, a, b: f.jacrev(lambda w: (a[0] @ w).tanh(), chunk_size=4)(b),
    "hessian": lambda f, a, b: f.hessian(lambda w: (a[0] @ w).tanh().pow(2).sum())(b),
    "hessian by two": lambda f, a, b: f.hessian(lambda x, w: (x @ w).tanh().sum(), argnums=(0, 1))(a[0], b),
    "hessians of samples": lambda f, a, b: f.vmap(f.hessian(lambda x: (x @ b).tanh().sum()))(a),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_in_pytorch(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of how it does it
        theirs = CALLS[name](torch.func, torch.from_numpy(A), torch.from_numpy(B))
    same(CALLS[name](func, t(A), t(B)), theirs)


@pytest.mark.parametrize("name", CALLS)
def test_compiled_it_is_one_program(name: str) -> None:
    call = CALLS[name]
    compiled = jitorch.jit(lambda a, b: call(func, a, b), fullgraph=True)
    for a, b in ((t(A), t(B)), (t(A) * 1.5, t(B) - 1)):
        same(compiled(a, b), call(func, a, b))
    assert compiled.statistics.traces == 1


def test_chunks_of_tangents_and_what_is_for_all() -> None:
    by_five = func.jacfwd(lambda w: (t(A[0]) @ w).tanh(), chunk_size=5)(t(B))
    same(by_five, func.jacfwd(lambda w: (t(A[0]) @ w).tanh())(t(B)))
    found, total = func.vmap(lambda x: (x, t(B).sum()), out_dims=(0, None), chunk_size=1)(t(A))
    same((found, total), (t(A), t(B).sum()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: func.vmap(lambda x: x)(), "without arguments"),
        (lambda: func.vmap(lambda x: x, in_dims=None)(t(A)), "in_dims is an int or a tuple"),
        (lambda: func.vmap(lambda x: x, in_dims=(0, 0))(t(A)), "another structure"),
        (lambda: func.vmap(lambda x: x, in_dims=((0, 1),))(t(A)), "more levels"),
        (lambda: func.vmap(lambda x: x, in_dims=("0",))(t(A)), "an int or None"),
        (lambda: func.vmap(lambda x: x, in_dims=(None,))(t(A)), "nothing is mapped"),
        (lambda: func.vmap(lambda x: x, in_dims=3)(t(A)), "does not have"),
        (lambda: func.vmap(lambda x: x)(t(1.0)), "does not have"),
        (lambda: func.vmap(lambda x, y: x)(t(A), 3), "no tensor"),
        (lambda: func.vmap(lambda x, y: x)(t(A), t(B)), "different sizes"),
        (lambda: func.vmap(lambda x: 3)(t(A)), "must give tensors"),
        (lambda: func.vmap(lambda x: x, out_dims=None)(t(A)), "out_dims is None for a result that differs"),
        (lambda: func.vmap(lambda x: x, out_dims=3)(t(A)), "does not have"),
        (lambda: func.vmap(lambda x: (x, x), out_dims=(0, 0, 0))(t(A)), "another structure"),
        (lambda: func.vmap(lambda x: x, out_dims="0")(t(A)), "an int or None"),
        (lambda: func.vmap(lambda x: x, randomness="some"), "randomness"),
        (lambda: func.vmap(lambda x: x, chunk_size=0), "chunk_size"),
        (lambda: func.vmap(lambda x: x if x.sum() > 0 else -x)(t(A)), "differs"),
        (lambda: func.vmap(lambda x: x.sum().item())(t(A)), "differs"),
        (lambda: func.vmap(lambda x: x + jitorch.rand(()))(t(A)), "draws random values"),
        (lambda: func.vmap(nn.functional.dropout)(t(A)), "draws random values"),
        (lambda: func.vmap(lambda x: OUTSIDE.copy_(x))(t(B)), "overwritten"),
    ],
    ids=range(22),
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(VmapError, match=message):
        call()


def test_a_compiled_branch_is_chosen_in_each_lane() -> None:
    def absolute(x: Any) -> Any:
        total = x.sum()
        if total > 0:
            return total * 2
        return -total

    rows = t(B)
    found = jitorch.jit(func.vmap(absolute), fullgraph=True)(rows)
    same(found, jitorch.stack([absolute(row) for row in rows]))
    inside = func.vmap(jitorch.jit(absolute, fullgraph=True))(rows)
    same(inside, found)


def test_a_compiled_function_in_every_transform() -> None:
    def settled(x: Any) -> Any:
        state = x
        while (state * state).sum() < 50:
            state = state * 1.5 + x
        return (state.sin() * x).sum()

    compiled = jitorch.jit(settled, fullgraph=True)
    rows = t(B)
    for _ in range(3):
        compiled(rows[0])
    whole: dict[str, Any] = {
        "vmap": lambda f: func.vmap(f)(rows),
        "vmap of grad": lambda f: func.vmap(func.grad(f))(rows),
        "grad of vmap": lambda f: func.grad(lambda x: func.vmap(f)(x).sum())(rows),
        "jvp": lambda f: func.jvp(f, (rows[0],), (rows[1],)),
        "jvp of grad": lambda f: func.jvp(func.grad(f), (rows[0],), (rows[1],)),
        "jacrev of grad": lambda f: func.jacrev(func.grad(f))(rows[0]),
        "hessian": lambda f: func.hessian(f)(rows[0]),
    }
    for name, call in whole.items():
        if name.startswith(("vmap", "grad")):
            one = settled if name != "vmap of grad" else func.grad(settled)
            expected = jitorch.stack([one(row) for row in rows]) if name != "grad of vmap" else None
            expected = jitorch.stack([func.grad(settled)(row) for row in rows]) if expected is None else expected
        else:
            expected = call(settled)
        same(call(compiled), expected)
        if name != "jvp":
            same(jitorch.jit(lambda call=call: call(settled), fullgraph=True)(), expected)
    assert compiled.statistics.eager == 0


def test_lanes_draw_for_themselves_or_alike() -> None:
    def noise(x: Any) -> Any:
        return x + jitorch.rand(2, dtype=jitorch.float64) + jitorch.randn(2, dtype=jitorch.float64)

    zeros = jitorch.zeros(3, dtype=jitorch.float64)
    same_in_all = func.vmap(noise, randomness="same")(zeros)
    assert (same_in_all == same_in_all[0]).all()
    jitorch.manual_seed(1)
    different = func.vmap(noise, randomness="different")(zeros)
    following = jitorch.rand(())
    assert len(set(different.flatten().tolist())) == 6
    compiled = jitorch.jit(func.vmap(noise, randomness="different"), fullgraph=True)
    for _ in range(2):
        jitorch.manual_seed(1)
        same(compiled(zeros), different)
        assert jitorch.rand(()).item() == following.item()


def test_a_compiled_write_to_a_tensor_from_outside_is_refused() -> None:
    total = t([0.0, 0.0])

    def summing(x: Any) -> Any:
        total.add_(x[:2])
        return x

    with pytest.raises(StagingError, match="overwritten by one that differs"):
        jitorch.jit(func.vmap(summing), fullgraph=True)(t(B))
    assert total.tolist() == [0.0, 0.0]


def test_batch_norm_statistics_of_all_lanes_are_refused_and_of_one_are_kept() -> None:
    layer = nn.BatchNorm1d(3).double()
    with pytest.raises(VmapError, match="overwritten"):
        func.vmap(layer)(t(A).transpose(1, 2))
    layer.eval()
    same(func.vmap(layer)(t(A).transpose(1, 2)), jitorch.stack([layer(x) for x in t(A).transpose(1, 2)]))


def test_layers_as_they_are() -> None:
    jitorch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    ).double()
    images = t(np.random.default_rng(0).normal(size=(5, 2, 1, 4, 4)))
    expected = jitorch.stack([model(x) for x in images])
    same(func.vmap(model)(images), expected)
    same(jitorch.jit(lambda x: func.vmap(model)(x), fullgraph=True)(images), expected)
    attention = nn.MultiheadAttention(4, 2, batch_first=True).double()
    x = t(np.random.default_rng(0).normal(size=(3, 2, 5, 4)))
    same(func.vmap(lambda x: attention(x, x, x)[0])(x), jitorch.stack([attention(r, r, r)[0] for r in x]))


def test_what_a_transform_leaves_behind_says_so() -> None:
    kept: list[Any] = []
    func.vmap(lambda x: (kept.append(x), x)[1])(t(A))
    with pytest.raises(UnsupportedError, match="that is over"):
        kept[0] + 1
