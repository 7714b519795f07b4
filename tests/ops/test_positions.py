"""Ops whose size depends on data: compiled, they are what they are at once, for any count, by one program."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.errors import ShapeError, TensorIndexError, ValueRangeError, VmapError
from jitorch.ops import OPS

nn = jitorch.nn.functional
RNG = np.random.default_rng(0)
X = [RNG.normal(size=(7, 5)), np.abs(RNG.normal(size=(7, 5))), -np.abs(RNG.normal(size=(7, 5))), np.zeros((7, 5))]
"""Some elements are positive, all, and none."""


def listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def assert_same(found: Any, expected: Any) -> None:
    for a, b in zip(listed(found), listed(expected), strict=True):
        if not isinstance(b, jitorch.Tensor):
            assert a == b and type(a) is type(b)
            continue
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def close(found: Any, expected: Any) -> None:
    for a, b in zip(listed(found), listed(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-14)


def compiled_once(function: Callable[..., Any], arrays: list[Any], same: Callable[..., None] = assert_same) -> Any:
    """``function``, compiled, after calls on each of ``arrays``: none of them ran Python or traced again."""
    jitted = jitorch.jit(function, fullgraph=True)
    for array in arrays:
        args = [jitorch.tensor(a) for a in (array if isinstance(array, tuple) else (array,))]
        same(jitted(*args), function(*args))
    text = jitted.explain()
    assert "1 traces" in text and " 0 eager" in text and "runs eagerly" not in text, text
    return jitted


CALLS: dict[str, Callable[[Any], Any]] = {
    "mask": lambda x: x[x > 0],
    "mask of rows": lambda x: x[x.sum(1) > 0],
    "mask of columns": lambda x: x[:, x.sum(0) > 0],
    "mask beside an index": lambda x: x[(x.sum(1) > 0), 2],
    "masked_select": lambda x: jitorch.masked_select(x, x[0] > 0),
    "nonzero": lambda x: x.clamp(min=0).nonzero(),
    "nonzero as a tuple": lambda x: x.clamp(min=0).nonzero(as_tuple=True),
    "argwhere": lambda x: jitorch.argwhere(x > 0),
    "where": lambda x: jitorch.where(x > 0),
    "index by nonzero": lambda x: x[(x[:, 0] > 0).nonzero().squeeze(1)],
    "unique": lambda x: (x * 2).long().unique(return_inverse=True, return_counts=True),
    "unique floats": lambda x: x.clamp(min=0).unique(),
    "unique rows": lambda x: x.sign().unique(dim=0, return_inverse=True, return_counts=True),
    "unique_consecutive": lambda x: x.sign().unique_consecutive(return_inverse=True, return_counts=True),
    "bincount": lambda x: jitorch.bincount((x * 3).abs().long().flatten()),
    "bincount of weights": lambda x: jitorch.bincount((x[:, 0] * 3).abs().long(), x[:, 1], minlength=3),
    "one_hot": lambda x: nn.one_hot((x * 2).abs().long()),
    "repeat_interleave": lambda x: jitorch.repeat_interleave(x, (x[:, 0] * 2).abs().long(), dim=0),
    "counts": lambda x: jitorch.repeat_interleave((x[:, 0] * 2).abs().long()),
    "a size": lambda x: (len(x[x > 0]), x[x > 0].shape[0] * 2, x[x > 0].numel() // 2 + 1),
    "a size in floating point": lambda x: x[0] / float(x[x > 0].shape[0] + 1),
    "two of one mask": lambda x: x[x > 0] * (x * 2)[x > 0],
    "the first": lambda x: x[x > 0][:3],
    "all but the last": lambda x: x[x > 0][:-1],
    "zeros": lambda x: jitorch.zeros(x[x > 0].shape[0]) + 1,
    "arange": lambda x: jitorch.arange(x[x > 0].shape[0] + 2) * 2,
    "a mask of a mask": lambda x: x[x > 0][x[x > 0] < 1],
    "assignment": lambda x: assigned(x, x[x > 0] * 3),
    "a comparison": lambda x: x[x > 0].shape[0] > 3,
    "a branch": lambda x: x[x > 0].max() if x[x > 0].numel() else x.min(),
    "an empty tensor": lambda x: x.min() if x[x > 0].numel() == 0 else x[x > 0].min(),
    "the truth of a size": lambda x: x.min() if x[x > 0].shape[0] else x.min() * 2,
}
COMPUTED: dict[str, Callable[[Any], Any]] = {
    "a sum": lambda x: x[x > 0].sum(),
    "a product": lambda x: x[x.sum(1) > 0] @ x.T,
    "a product of no terms": lambda x: x[x.sum(1) > 0].T @ x[x.sum(1) > 0],
    "all pairs": lambda x: (x[x > 0][:, None] - x[x <= 0][None, :]).sum(0),
    "softmax": lambda x: x[x.sum(1) > 0].softmax(-1),
    "convolution": lambda x: nn.conv1d(x[x.sum(1) > 0][:, None], x[:1, :3][None]),
}


def assigned(x: Any, values: Any) -> Any:
    y = x.clone()
    y[x > 0] = values
    return y


@pytest.mark.parametrize("name", CALLS)
def test_compiled_as_at_once(name: str) -> None:
    compiled_once(CALLS[name], X)


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_computed_from_elements(name: str) -> None:
    compiled_once(COMPUTED[name], X, close)


@pytest.mark.parametrize("name", ["mask", "nonzero", "unique", "repeat_interleave", "a branch"])
def test_other_backends(name: str) -> None:
    jitted = jitorch.jit(CALLS[name], fullgraph=True, backend="reference")
    for array in X:
        assert_same(jitted(jitorch.tensor(array)), CALLS[name](jitorch.tensor(array)))


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 30000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_chunks(size: int, share: float) -> None:
    mask = np.random.default_rng(1).uniform(size=size) < share
    compiled_once(lambda m: m.nonzero(), [mask])


def test_a_symbolic_size_of_the_mask() -> None:
    jitted = jitorch.jit(lambda x: x[x > 0].cumsum(0), fullgraph=True)
    for n in (3, 9, 5000, 10000):
        x = jitorch.tensor(np.random.default_rng(n).normal(size=n))
        np.testing.assert_allclose(jitted(x).numpy(), x[x > 0].cumsum(0).numpy())
    assert "2 traces" in jitted.explain()


# -- gradients -------------------------------------------------------------------------------------------------
W = RNG.normal(size=(5, 3))
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "mask": lambda x, w: x[x > 0],
    "rows": lambda x, w: x[x.sum(1) > 0] @ w,
    "a loss": lambda x, w: ((x[x.sum(1) > 0] @ w).relu() ** 2).sum(),
    "masked_select": lambda x, w: jitorch.masked_select(x, x > 0.5) * w.sum(),
    "index": lambda x, w: (x[(x[:, 0] > 0).nonzero().squeeze(1)] @ w).exp(),
    "mean": lambda x, w: (x[x > 0] * w.sum()).sum() / (x[x > 0].shape[0] + 1),
    "repeat_interleave": lambda x, w: jitorch.repeat_interleave(x @ w, (x[:, 0] * 2).detach().abs().long(), 0).sin(),
    "assignment": lambda x, w: assigned(x * 1, x[x > 0] ** 2) @ w,
    "masked_scatter": lambda x, w: x.masked_scatter(x > 0, x[x > 0] * 2) @ w,
    "with positions": lambda x, w: (x[x > 0].sum() * w.sum(), (x > 0).nonzero()),
    "branch": lambda x, w: (x[x > 0] * w.sum()).sum() if x[x > 0].shape[0] > 3 else x.sum(),
    "all pairs": lambda x, w: (x[x > 0][:, None] * x[x < 0][None, :]).sum(0),
    "a loop": lambda x, w: folded(x[x.sum(1) > 0] @ w),
}


def folded(rows: Any) -> Any:
    total = rows.sum(0) * 0.1
    for row in rows:
        total = (total * 0.5 + row).tanh()
    return total


def gradients(function: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    args = [jitorch.tensor(a, requires_grad=True) for a in arrays]
    results = [r for r in listed(function(*args)) if r.requires_grad]
    sum((r * r).sum() for r in results).backward()
    return [np.zeros(a.shape) if t.grad is None else t.grad.numpy() for a, t in zip(arrays, args)]


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name: str) -> None:
    jitted = jitorch.jit(LOSSES[name], fullgraph=True)
    for array in X[:3]:
        for found, expected in zip(gradients(jitted, array, W), gradients(LOSSES[name], array, W)):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_second_order() -> None:
    def loss(x: Any) -> Any:
        return (x[x > 0] ** 3).sum()

    for function in (loss, jitorch.jit(loss, fullgraph=True)):
        x = jitorch.tensor(X[0], requires_grad=True)
        (g,) = jitorch.autograd.grad(function(x), x, create_graph=True)
        (h,) = jitorch.autograd.grad(g.sum(), x)
        np.testing.assert_allclose(h.numpy(), np.where(X[0] > 0, 6 * X[0], 0), rtol=1e-12)


def test_a_training_step() -> None:
    def step(x: Any, w: Any) -> Any:
        kept = x[x.sum(1) > 0] @ w
        loss = (kept**2).sum()
        loss.backward()
        with jitorch.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
        return loss.detach()

    weights = []
    for function in (step, jitorch.jit(step, fullgraph=True)):
        w = jitorch.tensor(W, requires_grad=True)
        for array in X:
            function(jitorch.tensor(array), w)
        weights.append(w.detach().numpy())
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-10)


# -- what users write ------------------------------------------------------------------------------------------
def top_p(logits: Any) -> Any:
    ordered, order = logits.softmax(-1).sort(descending=True)
    kept = ordered.cumsum(0) - ordered < 0.8
    chosen, which = ordered[kept], order[kept]
    return chosen / chosen.sum(), which


def detections(boxes: Any, scores: Any) -> Any:
    kept = scores > 0.3
    return (boxes[kept] @ boxes[kept].T) * scores[kept], kept.nonzero().flatten()


def deduplicated(ids: Any, values: Any) -> Any:
    unique, inverse, counts = ids.unique(return_inverse=True, return_counts=True)
    sums = values.new_zeros(unique.shape[0]).index_add(0, inverse, values)
    return unique, sums / counts


def padded(flat: Any, lengths: Any) -> Any:
    row = jitorch.repeat_interleave(jitorch.arange(lengths.shape[0]), lengths)
    starts = lengths.cumsum(0) - lengths
    column = jitorch.arange(row.shape[0]) - starts[row]
    return flat.new_zeros((lengths.shape[0], 8)).index_put((row, column), flat[: row.shape[0]])


def balanced(logits: Any, labels: Any) -> Any:
    counts = jitorch.bincount(labels, minlength=4)
    return nn.cross_entropy(logits, labels, weight=(1.0 / (counts + 1)).double())


def test_top_p_sampling() -> None:
    compiled_once(top_p, [RNG.normal(size=20) * s for s in (0.1, 1, 5, 50)], close)


def test_detections() -> None:
    arrays = [(RNG.normal(size=(9, 4)), RNG.uniform(size=9) * s) for s in (0.1, 1, 2)]
    jitted = compiled_once(detections, arrays, close)
    assert "reference" not in jitted.explain()


def test_deduplication() -> None:
    compiled_once(deduplicated, [(RNG.integers(0, n, size=12), RNG.normal(size=12)) for n in (1, 3, 50)], close)


def test_padding_by_lengths() -> None:
    compiled_once(
        padded, [(RNG.normal(size=30), np.array(n)) for n in ([8, 1, 0, 3], [0, 0, 0, 0], [8, 8, 8, 6])], close
    )


def test_a_balanced_loss() -> None:
    arrays = [(RNG.normal(size=(6, 4)), np.array(n)) for n in ([0, 1, 2, 3, 0, 0], [1, 1, 1, 1, 1, 1])]
    compiled_once(balanced, arrays, close)


# -- other ways in -----------------------------------------------------------------------------------------------
class Selected(jitorch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = jitorch.nn.Linear(5, 2)

    def forward(self, x: jitorch.Tensor) -> tuple[jitorch.Tensor, jitorch.Tensor]:
        return self.linear(x[x.sum(1) > 0]), (x > 0).nonzero()


def test_a_trace_saved_and_loaded() -> None:
    module, buffer = Selected(), io.BytesIO()
    inputs = [jitorch.tensor(x.astype(np.float32)) for x in X]
    traced = jitorch.jit.trace(module, (inputs[0],))
    jitorch.jit.save(traced, buffer)
    buffer.seek(0)
    loaded = jitorch.jit.load(buffer)
    for x in inputs:
        for found in (traced(x), loaded(x)):
            for a, b in zip(found, module(x), strict=True):
                assert a.shape == b.shape
                np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


def scripted(x: jitorch.Tensor) -> jitorch.Tensor:
    y = x[x > 0]
    if y.numel() > 3:
        y = y * 2
    return y.sum() + x.nonzero().shape[0]


def test_a_script() -> None:
    compiled = jitorch.jit.script(scripted)
    for array in X:
        close(compiled(jitorch.tensor(array)), scripted(jitorch.tensor(array)))


# -- refusals and errors ---------------------------------------------------------------------------------------
def test_what_does_not_hold_of_a_size_is_left_to_python() -> None:
    def pairs(x: Any) -> Any:
        return x[x > 0] + x[x < 0]

    jitted = jitorch.jit(pairs, fullgraph=True)
    for array in ([1.0, -1.0, 2.0, -3.0], [1.0, -1.0, 2.0, 3.0], [1.0, -1.0, -2.0, -2.0]):
        x = jitorch.tensor(array)
        assert jitted(x).tolist() == pairs(x).tolist()
    with pytest.raises(ShapeError, match="broadcast"):
        jitted(jitorch.tensor([0.0, 2.0, 3.0, 0.0]))
    assert "1 traces" in jitted.explain()


def test_an_element_that_is_not_there() -> None:
    jitted = jitorch.jit(lambda x: x[x > 0][1], fullgraph=True)
    assert jitted(jitorch.tensor([1.0, -1.0, 2.0])).item() == 2.0
    with pytest.raises(TensorIndexError):
        jitted(jitorch.tensor([1.0, -1.0, -2.0]))


def test_negative_numbers_name_no_bin() -> None:
    jitted = jitorch.jit(jitorch.bincount, fullgraph=True)
    assert jitted(jitorch.tensor([1, 1, 0])).tolist() == [1, 2]
    with pytest.raises(ValueRangeError, match="negative"):
        jitted(jitorch.tensor([1, -1, 0]))


@pytest.mark.parametrize("call", [lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: x.long().unique()])
def test_lanes_have_one_size(call: Callable[[Any], Any]) -> None:
    with pytest.raises(VmapError, match="differs from lane to lane"):
        jitorch.vmap(call)(jitorch.tensor(X[0]))


def test_lanes_may_share_positions() -> None:
    mask = jitorch.tensor([True, False, True, True, False])
    found = jitorch.vmap(lambda x: x[mask] * 2)(jitorch.tensor(X[0]))
    np.testing.assert_array_equal(found.numpy(), X[0][:, [0, 2, 3]] * 2)


def test_the_type_rule() -> None:
    for mask, ramp in ((np.zeros(3), np.arange(1)), (np.zeros((1, 3), bool), np.arange(1)), (np.zeros(3, bool), X[0])):
        with pytest.raises(ShapeError, match="positions"):
            OPS["positions"](jitorch.tensor(mask), jitorch.tensor(ramp))
