from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.autograd import backward, grad
from jitorch.errors import ArgumentError, AutogradError


def leaf(*values: float) -> jitorch.Tensor:
    return jitorch.tensor(values, dtype=jitorch.float64, requires_grad=True)


def test_grad_leaves_dot_grad_alone():
    x = leaf(1.0, 2.0)
    (g,) = grad((x * x).sum(), x)
    np.testing.assert_array_equal(g.numpy(), [2, 4])
    assert x.grad is None


def test_weights_and_several_outputs():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    gx, gy = grad([x * y, x + y], [x, y], [jitorch.tensor([1.0, 0.0]).double(), jitorch.ones(2).double()])
    np.testing.assert_array_equal(gx.numpy(), [4, 1])
    np.testing.assert_array_equal(gy.numpy(), [2, 1])


def test_create_graph_gives_second_derivatives():
    x = leaf(3.0)
    (first,) = grad(x**3, x, create_graph=True)
    (second,) = grad(first, x, create_graph=True)
    (third,) = grad(second, x)
    assert (first.item(), second.item(), third.item()) == (27, 18, 6)


def test_unused_inputs():
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(AutogradError, match="not used"):
        grad(x * 2, [x, y])
    assert grad(x * 2, [x, y], allow_unused=True)[1] is None
    assert grad(x * 2, [x, y], materialize_grads=True)[1].item() == 0


def test_intermediate_inputs():
    x = leaf(2.0)
    y = x * x
    (g,) = grad(y * 3, y)
    assert g.item() == 3


def test_errors():
    x = leaf(1.0, 2.0)
    with pytest.raises(AutogradError, match="does not require grad"):
        grad(x.sum(), jitorch.ones(1))
    with pytest.raises(AutogradError, match="one gradient an output"):
        grad([x.sum()], x, [None, None])
    with pytest.raises(AutogradError, match="one element"):
        grad(x * 2, x)
    with pytest.raises(ArgumentError, match="expected tensors"):
        grad(x.sum(), [1.0])


def test_many_gradients_at_once():
    x, unused = leaf(1.0, 2.0), leaf(3.0)
    y = x.exp() * x
    rows = jitorch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]], dtype=jitorch.float64)
    found, none = grad(y, [x, unused], rows, retain_graph=True, is_grads_batched=True, allow_unused=True)
    expected = [grad(y, x, row, retain_graph=True)[0].numpy() for row in rows]
    np.testing.assert_allclose(found.numpy(), np.stack(expected))
    assert none is None
    _, zeros = grad(y, [x, unused], rows, retain_graph=True, is_grads_batched=True, materialize_grads=True)
    assert zeros.shape == (3, 1)
    (again,) = grad(y, x, rows, create_graph=True, is_grads_batched=True)
    np.testing.assert_allclose(again.detach().numpy(), np.stack(expected))
    assert grad(again.sum(), x)[0].shape == (2,)


def test_backward_accumulates():
    x = leaf(1.0, 2.0)
    backward([(x * 2).sum(), x * x], [None, jitorch.ones(2).double()])
    np.testing.assert_array_equal(x.grad.numpy(), [4, 6])


def test_backward_to_chosen_inputs():
    x, y = leaf(1.0), leaf(2.0)
    backward(x * y, inputs=[x])
    assert x.grad.item() == 2 and y.grad is None
    with pytest.raises(AutogradError, match="empty"):
        backward(x * y, inputs=[])


def test_variable():
    x = jitorch.ones(2, requires_grad=True)
    v = jitorch.autograd.Variable(x * 2, requires_grad=True)
    assert v.is_leaf and v.requires_grad and v.tolist() == [2, 2]
    assert not jitorch.autograd.Variable(x).requires_grad and x.requires_grad
    with pytest.raises(ArgumentError, match="tensor"):
        jitorch.autograd.Variable([1])
