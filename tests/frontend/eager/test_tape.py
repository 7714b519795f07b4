"""Gradients through views and in-place writes, as PyTorch computes or refuses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch import errors
from tests.frontend.programs import PROGRAMS, W, X

Outcome = dict[str, Any] | None


def outcome(module: Any, function: Callable[[Any, Any], Any]) -> Outcome:
    """The value, gradient and operands after a program and a backward of its result; None for an error."""
    x, w = module.from_numpy(X.copy()), module.from_numpy(W.copy()).requires_grad_()
    try:
        result = function(x, w)
        value = np.array(result.detach().numpy())
        if result.requires_grad:
            w.grad = None
            result.backward()
    except (RuntimeError, TypeError, IndexError, ValueError):
        return None
    found = {"value": value, "requires_grad": result.requires_grad, "x": x.numpy(), "w": w.detach().numpy()}
    return found if w.grad is None else {**found, "grad": w.grad.detach().numpy()}


def check_equal(got: Outcome, want: Outcome) -> None:
    if got is None or want is None:
        assert got is want
        return
    assert list(got) == list(want)
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_in_pytorch(name: str) -> None:
    program = PROGRAMS[name]
    check_equal(
        outcome(jitorch, lambda x, w: program(jitorch, x, w)), outcome(torch, lambda x, w: program(torch, x, w))
    )


def leaf(*values: float) -> jitorch.Tensor:
    return jitorch.tensor([float(v) for v in values], requires_grad=True)


def test_a_write_that_reads_its_own_target_is_allowed() -> None:
    """PyTorch refuses ``y += y[0]``; here the right side is computed before anything is written."""
    y = leaf(1, 2) * 1
    y.add_(y[0])
    np.testing.assert_array_equal(y.detach().numpy(), [2, 3])


def test_errors_of_stale_tensors_name_the_remedy() -> None:
    w = leaf(1, 2)
    y = w * 1
    z = (y * y).sum()
    y.add_(1)
    with pytest.raises(errors.AutogradError, match="modified by an in-place operation") as caught:
        z.backward()
    assert "clone()" in str(caught.value)
    assert w.grad is None


def test_views_follow_the_history_of_their_base() -> None:
    y = jitorch.zeros(2, 3)
    v = y[0]
    assert v.is_leaf
    y.mul_(leaf(1, 2, 3))
    assert v.requires_grad
    assert not v.is_leaf
    assert v.grad_fn is not None
    assert not y.detach()[0].requires_grad


def test_a_detached_view_has_no_base_but_shares_memory() -> None:
    y = leaf(1, 2, 3) * 1
    y.mul_(2)
    d = y[1:].detach()
    assert not (d * 1).requires_grad
    assert d.storage_offset() == 1
    d.zero_()
    np.testing.assert_array_equal(y.detach().numpy(), [2, 0, 0])


def test_view_of_a_detached_view_is_written_where_it_lies() -> None:
    w = leaf(5)
    y = jitorch.zeros(2, 3)
    d = y[1].detach()
    d[1:2].add_(w)
    np.testing.assert_array_equal(y.numpy(), [[0, 0, 0], [0, 5, 0]])
    assert d.requires_grad
    assert not y.requires_grad


def test_detach_in_place_is_for_whole_tensors() -> None:
    y = leaf(1, 2) * 1
    with pytest.raises(errors.AutogradError, match="view"):
        y[0].detach_()


def test_hooks_run_in_order_and_can_be_removed() -> None:
    w, calls = leaf(1, 2), []
    first = w.register_hook(lambda g: calls.append("first"))
    w.register_hook(lambda g: calls.append("second") or g * 2)
    (w * 3).sum().backward()
    assert calls == ["first", "second"]
    np.testing.assert_array_equal(w.grad.numpy(), [6, 6])
    first.remove()
    (w * 3).sum().backward()
    assert calls[2:] == ["second"]


def test_a_hook_must_give_a_gradient() -> None:
    w = leaf(1, 2)
    w.register_hook(lambda g: g.sum())
    with pytest.raises(errors.AutogradError, match="hook"):
        (w * 3).sum().backward()


def test_only_tensors_with_gradients_take_hooks() -> None:
    with pytest.raises(errors.AutogradError, match="hook"):
        jitorch.zeros(2).register_hook(lambda g: g)
    with pytest.raises(errors.AutogradError, match="retain_grad"):
        jitorch.zeros(2).retain_grad()


def test_each_leaf_owns_its_gradient() -> None:
    a, b = leaf(1, 2), leaf(3, 4)
    (a + b).sum().backward()
    a.grad.add_(10)
    np.testing.assert_array_equal(b.grad.numpy(), [1, 1])


def test_two_results_of_one_node() -> None:
    w = leaf(3, 1, 2)
    values, _ = w.sort()
    values[0].backward(retain_graph=True)
    values[2].backward()
    np.testing.assert_array_equal(w.grad.numpy(), [1, 1, 0])


def test_gradients_of_third_order() -> None:
    w = leaf(1, 2)
    g = (w**4).sum()
    for expected in ([4, 32], [12, 48], [24, 48]):
        (g,) = jitorch.autograd.grad(g.sum(), w, create_graph=True)
        np.testing.assert_allclose(g.detach().numpy(), expected)


def test_history_is_named_and_linked() -> None:
    w = leaf(1, 2)
    y = (w * 2).exp()
    assert y.grad_fn.name() == "ExpBackward0"
    assert repr(y.grad_fn) == "<ExpBackward0>"
    ((before, output),) = y.grad_fn.next_functions
    assert before.name() == "MulBackward0"
    assert output == 0
    assert before.next_functions[0][0] is w


def test_an_index_of_everything_is_a_view_and_no_leaf() -> None:
    w = leaf(1, 2)
    for whole in (w[:], w[...], w[()]):
        assert whole is not w
        assert not whole.is_leaf
        assert whole.data_ptr() == w.data_ptr()
    assert leaf(1, 2)[:].grad_fn is not None
