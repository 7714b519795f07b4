"""Eager calls on large tensors run as compiled programs: the same results, gradients, views and errors."""

from __future__ import annotations

import contextlib
import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import jitorch
import jitorch.nn.functional as F
from jitorch import config
from jitorch.errors import AutogradError, ShapeError, TensorIndexError
from jitorch.frontend.eager import kernels
from jitorch.frontend.eager.large import LARGE, LARGE_ELEMENTWISE


@pytest.fixture(autouse=True)
def _no_plans_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_plans", {})


ROWS, COLUMNS = 256, 1024  # as many elements as make an elementwise op large
LABELS = np.arange(ROWS) * 3 % COLUMNS

CALLS: dict[str, Any] = {
    "exp": lambda x: x.exp(),
    "add": lambda x: x + x,
    "times a number": lambda x: x * 2.5,
    "gelu": F.gelu,
    "softplus with a number": lambda x: F.softplus(x, beta=2.0),
    "softmax": lambda x: x.softmax(1),
    "log_softmax over columns": lambda x: x.log_softmax(0),
    "layer_norm": lambda x: F.layer_norm(x, (COLUMNS,)),
    "cross_entropy": lambda x: F.cross_entropy(x, jitorch.tensor(LABELS)),
    "max_pool2d": lambda x: F.max_pool2d(x.reshape(4, 64, 32, 32), 2),
    "batch_norm": lambda x: F.batch_norm(x.reshape(4, 64, 32, 32), None, None, training=True),
    "sum": lambda x: x.sum(1),
    "mean": lambda x: x.mean(),
    "var": lambda x: x.var(0),
    "amax": lambda x: x.amax(1),
    "cumsum": lambda x: x.cumsum(1),
    "cat": lambda x: jitorch.cat([x, x], 1),
    "where": lambda x: jitorch.where(x > 0, x, 0.0),
    "max with its place": lambda x: x.max(1)[0],
    "cummax": lambda x: x.cummax(1)[0],
    "logcumsumexp": lambda x: x.logcumsumexp(0),
    "sort": lambda x: x.sort(1)[0],
    "topk of few": lambda x: x.topk(5, 1)[0],
    "topk of many": lambda x: x.topk(200, 0)[0],
    "kthvalue": lambda x: x.kthvalue(7, 1)[0],
    "gather": lambda x: x.gather(1, jitorch.tensor(np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) * 7 % COLUMNS)),
    "a mask": lambda x: x[x > 1.0],
    "bilinear": lambda x: F.interpolate(x.reshape(4, 64, 32, 32), size=(40, 48), mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x.reshape(4, 64, 32, 32), scale_factor=1.5, mode="bicubic"),
    "cdist of absolute differences": lambda x: jitorch.cdist(x[:, :128], x[:99, :128] * 2, p=1.0),
    "cdist by a product": lambda x: jitorch.cdist(x, x[:99] * 2),
}


@pytest.fixture(autouse=True)
def with_machine_code() -> Iterator[None]:
    """Kernels are part of the machine code that the twin leaves out."""
    with config.override(native=True):
        yield


@pytest.fixture
def x() -> Any:
    return jitorch.tensor(np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32))


def _gradient(function: Any, x: Any) -> Any:
    leaf = x.clone().requires_grad_()
    out = function(leaf)
    (out * jitorch.arange(out.numel(), dtype=out.dtype).reshape(out.shape).cos()).sum().backward()
    return leaf.grad


@pytest.mark.parametrize("name", CALLS)
def test_results_and_gradients_are_those_of_numpy(name: str, x: Any) -> None:
    function = CALLS[name]
    with config.override(native=False):
        expected, gradient = function(x), _gradient(function, x)
    got = function(x)
    assert got.type == expected.type and got.stride() == expected.stride()
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=3e-5, atol=3e-5)
    np.testing.assert_allclose(_gradient(function, x).numpy(), gradient.numpy(), rtol=1e-4, atol=1e-4)


def _kernels_of(name: str) -> list[Any]:
    """The functions that were made for an op, and None where NumPy is better."""
    found = [kernel for key, kernel in kernels._kernels.items() if key[0].name == name]
    return [kernel.function for first in found for kernel in (first, *first.others)]


def test_one_kernel_serves_all_sizes_of_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    for rows in (64, 65, 100):
        F.silu(jitorch.ones(rows, COLUMNS))
    F.silu(jitorch.ones(256, 256))
    F.silu(jitorch.ones(1, LARGE))
    assert [len(k.compiled) for k in _kernels_of("silu")] == [1, 1, 1]


def test_a_kernel_serves_the_sizes_that_its_body_decides_alike_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})

    def resize(rows: int) -> Any:
        x = jitorch.arange(rows * COLUMNS, dtype=jitorch.float32).reshape(1, 1, rows, COLUMNS).cos()
        with config.override(native=False):
            expected = F.interpolate(x, size=(64, 100), mode="bilinear")
        np.testing.assert_allclose(
            F.interpolate(x, size=(64, 100), mode="bilinear").numpy(), expected.numpy(), atol=1e-4
        )
        return [kernel is not None for kernel in _kernels_of("resize_linear")]

    assert resize(50) == [True]
    assert resize(96) == [True]
    assert resize(64) == [True, True]  # along an axis of that size there is nothing to do
    assert resize(64) == resize(65) == [True, True]


def test_a_kernel_knows_sizes_of_few_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    for last in (2, 3, 4, 5, 6):
        F.gelu(jitorch.ones(ROWS * COLUMNS // 4, last))
    found = [kernel.graph.inputs[0].type.shape[1] for kernel in _kernels_of("gelu")]
    assert [d for d in found if isinstance(d, int)] == [2, 3, 4]
    assert len(found) == 4  # and a symbol for all others


@pytest.mark.parametrize("bad", [-1, 100])
def test_an_index_of_a_table_is_checked_in_its_kernel(monkeypatch: pytest.MonkeyPatch, bad: int) -> None:
    table, index = jitorch.ones(100, LARGE // 100 + 1), np.arange(50)
    monkeypatch.setattr(kernels, "_kernels", {})
    assert F.embedding(jitorch.tensor(index), table).shape == (50, LARGE // 100 + 1)
    assert [key[0].name for key in kernels._kernels] == ["embedding"]
    index[7] = bad
    with pytest.raises(TensorIndexError):
        F.embedding(jitorch.tensor(index), table)


def test_what_is_small_or_not_in_row_order_has_no_kernel(monkeypatch: pytest.MonkeyPatch, x: Any) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    F.gelu(x[0])
    assert not _kernels_of("gelu")
    assert jitorch.exp(x.mT).stride() == x.mT.stride() and _kernels_of("exp") == [None]
    assert jitorch.exp(x[:, ::2].expand(2, -1, -1)).shape[0] == 2 and _kernels_of("exp") == [None]
    jitorch.exp(jitorch.ones(LARGE_ELEMENTWISE - 1))
    assert _kernels_of("exp") == [None]
    with config.override(native=False):
        F.gelu(x)
    assert not _kernels_of("gelu")


def test_sizes_that_a_body_asks_about_have_kernels_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    monkeypatch.setattr(kernels, "_asking", {})
    for size in (70, 77, 71, 72, 70):  # a multiple of seven, or none
        x = np.random.default_rng(size).normal(size=(4, 8, size, size)).astype(np.float32)
        with config.override(native=False):
            expected = F.adaptive_avg_pool2d(jitorch.tensor(x), 7)
        np.testing.assert_allclose(F.adaptive_avg_pool2d(jitorch.tensor(x), 7).numpy(), expected.numpy(), atol=1e-6)
    assert [len(k.compiled) for k in _kernels_of("adaptive_avg_pool")] == [1, 1]


def test_too_many_answers_are_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    monkeypatch.setattr(kernels, "_asking", {})
    monkeypatch.setattr(kernels, "_ASKING_LIMIT", 2)
    for size in (7, 8, 9, 10):
        assert F.adaptive_avg_pool2d(jitorch.ones(4, 8, 71, 71), size).eq(1).all()
    assert [kernel is not None for kernel in _kernels_of("adaptive_avg_pool")] == [True, True, False, False]


def test_scaling_by_a_simple_factor_has_one_kernel_for_all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    for size in (64, 70, 101):
        for factor in (2, 1.5):
            F.interpolate(jitorch.ones(4, 8, size, size), scale_factor=factor)
            F.interpolate(jitorch.ones(4, 8, size, size), scale_factor=factor, mode="bilinear")
    assert [len(kernel.compiled) for kernel in _kernels_of("resize_nearest")] == [1, 1]
    assert [len(kernel.compiled) for kernel in _kernels_of("resize_linear")] == [1, 1]


def test_a_gradient_of_what_asks_about_sizes_is_that_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    monkeypatch.setattr(kernels, "_asking", {})
    x = jitorch.ones(4, 8, 70, 70)
    F.adaptive_avg_pool2d(x, 7)
    made = _kernels_of("adaptive_avg_pool")[0]
    leaf = x.clone().requires_grad_()
    F.adaptive_avg_pool2d(leaf, 7).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), np.full(x.shape, 0.01), rtol=1e-5)
    assert len(made.compiled) == 1


EDGES: dict[str, Any] = {
    "zeros around": lambda x: F.pad(x, (1, 2, 3, 0)),
    "fewer": lambda x: F.pad(x, (-1, 2, 3, -2), value=0.5),
    "more than there are": lambda x: F.pad(x, (20, 30, 9, 1)),
    "mirrored": lambda x: F.pad(x, (1, 1, 2, 1), mode="reflect"),
    "repeated": lambda x: F.pad(x, (1, 20, 3, 0), mode="replicate"),
    "from the other end": lambda x: F.pad(x, (1, 2, 0, 1), mode="circular"),
    "along one axis": lambda x: jitorch.roll(x, 5, 3),
    "along two axes": lambda x: jitorch.roll(x, (-3, 700), (2, 3)),
    "along all": lambda x: jitorch.roll(x, 1234),
    "joined": lambda x: jitorch.cat([x, x[:, :, :1].contiguous(), x], 2),
    "joined along the last axis": lambda x: jitorch.cat([x, x[..., :1].contiguous(), x], 3),
    "twice as large": lambda x: F.interpolate(x, scale_factor=2),
    "smoothly so": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "few windows": lambda x: F.adaptive_max_pool2d(x, (2, 1)),
    "shuffled": lambda x: F.pixel_shuffle(x, 2),
    "columns": lambda x: F.unfold(x, 2),
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize(
    "shape", [(16, 8, 20, 30), (3, 4, 64, 64), (1, 4, 300, 40), (4, 12, 5, 200), (64, 64, 3, 3), (512, 64, 3, 2)]
)
def test_borders_of_any_size(name: str, shape: tuple[int, ...]) -> None:
    function, x = EDGES[name], jitorch.arange(int(np.prod(shape)), dtype=jitorch.float32).reshape(*shape)
    with config.override(native=False):
        expected = function(x)
    for threads in (1, 2):
        with config.override(num_threads=threads):
            got = function(x)
        assert got.type == expected.type and got.stride() == expected.stride()
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["mirrored", "along two axes", "twice as large", "smoothly so", "shuffled", "joined"])
def test_gradients_at_borders(name: str) -> None:
    x = jitorch.tensor(np.random.default_rng(0).normal(size=(3, 4, 64, 60)).astype(np.float32))
    with config.override(native=False):
        expected = _gradient(EDGES[name], x)
    np.testing.assert_allclose(_gradient(EDGES[name], x).numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)


REPEATED: dict[str, Any] = {
    "a number": lambda x: x % 7,
    "a row": lambda x: x % x[0].abs().add(1),
    "a column": lambda x: x // x[:, :1].abs().add(1),
    "a number before": lambda x: 5 % x.abs().add(1),
    "a matrix over the first axis": lambda x: jitorch.fmod(x.expand(2, -1, -1), x.abs().add(1)),
}


@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_operands_that_are_repeated_are_read_once(
    name: str, dtype: str, x: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    function, x = REPEATED[name], (x * 100).to(getattr(jitorch, dtype))
    with config.override(native=False):
        expected = function(x)
    got = function(x)
    assert got.type == expected.type and got.stride() == expected.stride()
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-6)
    # Such an operand is told by its sizes and those without repeats.
    made = [key[1] for key, kernel in kernels._kernels.items() if kernel.function is not None]
    assert any(isinstance(part, tuple) and len(part) == 4 for pattern in made for part in pattern)


TURNED: dict[str, Any] = {
    "a copy of a transposed matrix": lambda x: x.t().contiguous(),
    "a copy of turned axes": lambda x: x.reshape(4, 64, 8, 128).permute(2, 0, 3, 1).contiguous(),
    "a copy with repeats": lambda x: x.t().expand(2, -1, -1).contiguous(),
    "a clone": lambda x: x.reshape(64, 1, 4, 1024).permute(3, 1, 0, 2).clone(),
    "a sum of columns": lambda x: x.t().sum(0),
    "a sum of rows": lambda x: x.t().sum(1),
    "the greatest": lambda x: x.t().amax(1),
    "a number": lambda x: x.t() * 2,
    "rows": lambda x: x.t().softmax(1),
    "a gradient": lambda x: _gradient(lambda x: x.t().contiguous().sum(0), x),
}


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_operands_whose_axes_lie_in_another_order(name: str, dtype: str, x: Any) -> None:
    x = (x * 100).to(getattr(jitorch, dtype))
    if dtype == "int64" and name in ("rows", "a gradient"):
        x = x.double()
    with config.override(native=False):
        expected = TURNED[name](x)
    for _ in range(2):
        got = TURNED[name](x)
        assert got.type == expected.type and got.stride() == expected.stride()
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-4, atol=1e-2)


def test_one_kernel_copies_transposed_matrices_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    for rows, columns in ((300, 200), (200, 300), (1000, 77)):
        x = np.arange(rows * columns, dtype="f4").reshape(rows, columns)
        np.testing.assert_array_equal(jitorch.from_numpy(x).t().contiguous().numpy(), x.T.copy())
    assert len(kernels._kernels) == 1 and next(iter(kernels._kernels.values())).function is not None


def test_operands_that_are_repeated_have_no_kernel_of_their_own_where_there_is_a_gradient(
    x: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    leaf, row = x.clone().requires_grad_(), x[0].clone()
    out = jitorch.atan2(leaf, row)
    assert not _kernels_of("atan2")
    row.add_(1)
    with pytest.raises(AutogradError, match="modified"):
        out.sum().backward()


def test_views_share_memory(x: Any) -> None:
    for view in (x.reshape(-1), x.mT, x[3:], x.flatten(), x.unsqueeze(0), x.squeeze(), x.expand(2, -1, -1)):
        assert np.shares_memory(view.numpy(), x.numpy())


def test_matrix_products_stay_numpys(monkeypatch: pytest.MonkeyPatch, x: Any) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    F.linear(x, jitorch.ones(8, COLUMNS), jitorch.ones(8))
    assert all(kernel is None for kernel in _kernels_of("linear"))


def test_random_numbers_are_those_of_small_tensors() -> None:
    ones = jitorch.ones(ROWS, COLUMNS)
    jitorch.manual_seed(3)
    got = F.dropout(ones, 0.5)
    jitorch.manual_seed(3)
    with config.override(native=False):
        expected = F.dropout(ones, 0.5)
    assert np.array_equal(got.numpy(), expected.numpy())


def test_history_names_the_op(x: Any) -> None:
    assert repr(F.gelu(x.requires_grad_()).grad_fn) == "<GeluBackward0>"


def test_second_derivatives(x: Any) -> None:
    leaf = x.double().requires_grad_()
    (first,) = jitorch.autograd.grad((leaf.exp() * 2).sum(), leaf, create_graph=True)
    (second,) = jitorch.autograd.grad(first.sum(), leaf)
    np.testing.assert_allclose(second.numpy(), 2 * np.exp(leaf.detach().numpy()), rtol=1e-12)


@pytest.mark.parametrize("function", [F.gelu, jitorch.exp, lambda x: x.softmax(1), lambda x: x.cumsum(1)])
def test_an_operand_that_was_overwritten_is_an_error_or_makes_no_difference(function: Any, x: Any) -> None:
    expected = _gradient(lambda leaf: function(leaf * 1.0), x)

    def overwriting(leaf: Any) -> Any:
        operand = leaf * 1.0
        out = function(operand)
        with jitorch.no_grad():
            operand.zero_()
        return out

    with contextlib.suppress(AutogradError):
        assert np.array_equal(_gradient(overwriting, x).numpy(), expected.numpy())


def test_operands_in_place_and_out(x: Any) -> None:
    expected = np.exp(x.numpy())
    out = jitorch.empty(ROWS, COLUMNS)
    assert jitorch.exp(x, out=out) is out
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-6)
    version = x._storage.version
    x.exp_()
    assert x._storage.version == version + 1
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)


def test_errors_speak_of_the_sizes_at_hand(x: Any) -> None:
    with pytest.raises(ShapeError) as large:
        F.layer_norm(x, (COLUMNS,), jitorch.ones(COLUMNS - 1))
    with config.override(native=False), pytest.raises(ShapeError) as ordinary:
        F.layer_norm(x, (COLUMNS,), jitorch.ones(COLUMNS - 1))
    assert str(large.value).split("\n  at:")[0] == str(ordinary.value).split("\n  at:")[0]


def test_hooks_and_retained_gradients(x: Any) -> None:
    leaf = x.clone().requires_grad_()
    middle = F.gelu(leaf)
    middle.retain_grad()
    seen: list[Any] = []
    middle.register_hook(lambda g: seen.append(g.shape))
    (middle * 3).sum().backward()
    assert seen == [middle.shape] and float(middle.grad.amax()) == 3.0


def test_threads_share_kernels(monkeypatch: pytest.MonkeyPatch, x: Any) -> None:
    monkeypatch.setattr(kernels, "_kernels", {})
    expected = F.mish(x).numpy()
    found: list[bool] = []

    def work() -> None:
        found.extend(np.array_equal(F.mish(x).numpy(), expected) for _ in range(5))

    contexts = [contextvars.copy_context() for _ in range(4)]
    threads = [threading.Thread(target=context.run, args=(work,)) for context in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 20


def test_what_makes_kernels_is_loaded_when_one_is_needed() -> None:
    code = (
        "import sys, jitorch; jitorch.ones(8).exp(); assert 'jitorch.compiler' not in sys.modules; "
        "jitorch.ones(1 << 18).exp(); assert 'jitorch.compiler' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "JITORCH_NATIVE": "1"})
