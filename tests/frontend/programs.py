"""Small programs of views, in-place writes and gradients, for jitorch and for PyTorch alike.

A program gets the module, a tensor ``x`` without and a leaf ``w`` with gradient, both f32[2, 3], and gives a tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], np.float32)
W = np.array([[0.3, 0.7, -1.2], [2.0, -0.5, 0.9]], np.float32)

PROGRAMS: dict[str, Callable[[Any, Any, Any], Any]] = {}


def program(function: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    PROGRAMS[function.__name__] = function
    return function


# ---- writes through views
@program
def row_is_scaled(T, x, w):
    y = w * 1
    y[0].mul_(2)
    return (y * y).sum()


@program
def view_of_a_view_is_written(T, x, w):
    y = w * 1
    y.t()[1][0:1].add_(5.0)
    return (y * w).sum()


@program
def row_of_zeros_gets_a_gradient(T, x, w):
    y = T.zeros(2, 3)
    y[1] = w[0]
    return (y * y).sum()


@program
def view_sees_a_write_of_its_base(T, x, w):
    y = w * 1
    v = y[0]
    y.mul_(3)
    return (v * v).sum()


@program
def view_sees_a_write_of_another_view(T, x, w):
    y = w * 1
    v, u = y[0], y[:, 1]
    v.mul_(3)
    return (u * u).sum()


@program
def expanded_view_sees_a_write(T, x, w):
    y = w * 1
    e = y[0].unsqueeze(0).expand(4, 3)
    y[0].mul_(2)
    return (e * e).sum()


@program
def diagonal_is_zeroed(T, x, w):
    y = w @ w.t()
    y.diagonal().zero_()
    return (y * y).sum()


@program
def flat_view_is_assigned(T, x, w):
    y = w * 1
    y.view(-1)[2:4] = 7.0
    return (y * y).sum()


@program
def every_second_column_is_scaled(T, x, w):
    y = w * 1
    y[:, ::2].mul_(3)
    return (y * y).sum()


@program
def moved_axis_is_assigned(T, x, w):
    y = w * 1
    y.movedim(0, 1)[0] = 1.0
    return (y * y).sum()


@program
def write_through_unsqueeze_squeeze_transpose(T, x, w):
    y = w * 1
    y.unsqueeze(0).squeeze(0).transpose(0, 1).mul_(w.t())
    return (y * y).sum()


@program
def rows_are_swapped(T, x, w):
    y = w * 1
    first = y[0].clone()
    y[0] = y[1]
    y[1] = first
    return (y * x).sum()


@program
def shifted_assignment(T, x, w):
    y = w * 1
    y[:, 1:] = y[:, :-1].clone()
    return (y * y * x).sum()


@program
def rows_are_filled(T, x, w):
    y = w * 1
    y[1].fill_(2.0)
    y[0].zero_()
    return (y * w).sum()


@program
def rows_are_accumulated_in_a_loop(T, x, w):
    y = T.zeros(2, 3)
    for i in range(2):
        y[i] += w[i] * x[i]
    return (y**2).sum()


@program
def element_is_assigned(T, x, w):
    y = T.zeros(4)
    y[2] = w[0, 0] * 3
    return (y * y).sum()


@program
def positions_are_assigned(T, x, w):
    y = w * 1
    y[T.tensor([0, 0])] = w[1] * 2
    return (y * y).sum()


@program
def mask_is_assigned(T, x, w):
    y = w * 1
    y[x > 0] = 0.5
    return (y * w).sum()


@program
def plain_copy_gets_a_gradient(T, x, w):
    y = x.clone()
    y.add_(w)
    y.mul_(w)
    return y.sum()


@program
def column_of_a_plain_copy_gets_a_gradient(T, x, w):
    y = x.clone()
    y[:, 0].copy_(w[:, 1])
    y[:, 0].mul_(w[:, 2])
    return (y * y).sum()


@program
def copy_from_its_own_transpose(T, x, w):
    y = w * 1
    y.copy_(y.t().reshape(2, 3))
    return (y * x).sum()


@program
def base_is_written_through_its_transpose(T, x, w):
    y = w * 1
    z = y.exp().sum()
    y.t().mul_(2)
    return z + y.sum()


@program
def relu_in_place(T, x, w):
    y = w * 1
    y.relu_()
    return (y * y).sum()


@program
def clamp_in_place(T, x, w):
    y = w * 1
    y.clamp_(0, 1)
    return (y * y).sum()


@program
def masked_fill_in_place(T, x, w):
    y = w * 1
    y.masked_fill_(x > 0, 2.0)
    return (y * y).sum()


@program
def integer_is_added_in_place(T, x, w):
    y = w * 1
    y.add_(T.tensor([1, 2, 3]))
    return y.sum()


@program
def float_is_added_to_integers_in_place(T, x, w):
    i = T.tensor([1, 2, 3])
    i.add_(1.5)
    return (i * w).sum()


@program
def out_is_written(T, x, w):
    out = T.zeros(2, 3)
    T.add(x, x, out=out)
    return (out * w).sum()


@program
def versions_are_counted(T, x, w):
    y = w * 1
    v = y[0]
    v.add_(1)
    return y.sum() * y._version + v._version


# ---- what is refused
@program
def leaf_is_written(T, x, w):
    w.add_(1)
    return w.sum()


@program
def view_of_a_leaf_is_written(T, x, w):
    w[0].add_(1)
    return w.sum()


@program
def saved_operand_is_overwritten(T, x, w):
    y = w * 1
    z = y * y
    y.add_(1)
    return z.sum()


@program
def saved_result_is_overwritten(T, x, w):
    y = w.exp()
    y.add_(1)
    return y.sum()


@program
def saved_view_is_overwritten(T, x, w):
    y = w * 1
    z = y[0] * y[1]
    y[0].add_(1)
    return z.sum()


@program
def operand_that_no_gradient_needs_is_overwritten(T, x, w):
    y = w * 2
    z = y + 1
    y.add_(1)
    return z.sum() + y.sum()


@program
def expanded_tensor_is_written(T, x, w):
    y = T.zeros(3).expand(2, 3)
    y.add_(w)
    return y.sum()


@program
def result_is_too_large_to_store(T, x, w):
    y = T.zeros(3)
    y.add_(w)
    return y.sum()


# ---- writes that no history sees
@program
def detached_alias_is_written(T, x, w):
    y = w * 1
    y.detach().mul_(3)
    return y.sum() * 1


@program
def part_of_a_detached_alias_is_written(T, x, w):
    y = w * 1
    y.detach()[0].mul_(3)
    return (y * y).sum()


@program
def detached_view_stays_detached(T, x, w):
    y = w * 1
    y.mul_(2)
    d = y[0].detach()
    y.mul_(3)
    return (d * w[0]).sum()


@program
def leaf_is_written_without_grad(T, x, w):
    with T.no_grad():
        w.add_(1)
        w[0].mul_(2)
    return (w * w).sum()


@program
def result_is_written_without_grad(T, x, w):
    y = w * 2
    with T.no_grad():
        y.mul_(3)
    return (y * w).sum()


@program
def view_is_written_without_grad(T, x, w):
    y = w * 2
    v = y[0]
    with T.no_grad():
        v.mul_(3)
    return (y * w).sum() + (v * v).sum()


@program
def data_is_written(T, x, w):
    w.data.mul_(2)
    return (w * w).sum()


@program
def detached_leaf_is_written(T, x, w):
    d = w.detach()
    d += 1
    return (w * w).sum()


@program
def detached_in_place(T, x, w):
    y = (w * 2).detach_()
    return (y * w).sum()


@program
def computed_without_grad(T, x, w):
    with T.no_grad():
        y = w * w
    return (w * y).sum()


# ---- backward inside
@program
def gradient_of_an_intermediate_is_kept(T, x, w):
    y = w * 2
    y.retain_grad()
    (y * y).sum().backward()
    return y.grad.sum()


@program
def gradient_of_a_view_is_kept(T, x, w):
    v = w[0]
    v.retain_grad()
    (v * v).sum().backward()
    return v.grad.sum()


@program
def second_backward(T, x, w):
    y = (w * w).sum()
    y.backward()
    y.backward()
    return y


@program
def second_backward_of_a_retained_graph(T, x, w):
    y = (w * w).sum()
    y.backward(retain_graph=True)
    y.backward()
    return w.grad.sum()


@program
def gradient_is_none_again(T, x, w):
    (w * 2).sum().backward()
    w.grad = None
    (w * 3).sum().backward()
    return w.grad.sum()


@program
def gradient_is_zeroed(T, x, w):
    (w * 2).sum().backward()
    w.grad.zero_()
    (w * 3).sum().backward()
    return w.grad.sum()


@program
def gradients_accumulate_in_place(T, x, w):
    (w * 2).sum().backward()
    held = w.grad
    (w * 3).sum().backward()
    return held.sum()


@program
def given_gradient_is_not_the_leafs(T, x, w):
    g = T.ones(2, 3)
    (w + 0).backward(g)
    (w + 0).backward(g)
    return g.sum() + w.grad.sum()


@program
def gradient_of_a_tensor(T, x, w):
    (w * w).backward(x)
    return w.grad.sum()


@program
def gradient_of_a_tensor_must_be_given(T, x, w):
    (w * w).backward()
    return w.grad.sum()


@program
def copy_becomes_a_leaf(T, x, w):
    y = x.clone().requires_grad_()
    (y * w).sum().backward()
    return y.grad.sum() + 0 * w.sum()


@program
def detached_copy_becomes_a_leaf(T, x, w):
    y = w.detach().requires_grad_()
    (y * y).sum().backward()
    return y.grad.sum() + w.sum()


@program
def gradient_of_a_gradient(T, x, w):
    (g,) = T.autograd.grad((w**3).sum(), w, create_graph=True)
    return (g * g).sum()


@program
def unused_input_has_no_gradient(T, x, w):
    u = T.ones(2, requires_grad=True)
    g = T.autograd.grad((w**3).sum(), [w, u], allow_unused=True)
    return g[0].sum() + (0 if g[1] is None else 1)


@program
def unused_input_is_an_error(T, x, w):
    u = T.ones(2, requires_grad=True)
    return T.autograd.grad((w**3).sum(), [w, u])[0].sum()


# ---- hooks
@program
def hooks_of_an_intermediate_and_a_leaf(T, x, w):
    y = w * 2
    y.register_hook(lambda g: g * 10)
    w.register_hook(lambda g: g + 1)
    return (y * y).sum()


@program
def hook_stays_with_the_history_it_was_put_on(T, x, w):
    y = w * 2
    y.register_hook(lambda g: g * 10)
    y.mul_(3)
    return (y * y).sum()


@program
def hook_runs_in_a_backward_inside(T, x, w):
    y = w * 2
    y.register_hook(lambda g: g * x)
    (y * y).sum().backward()
    return w.grad.sum()


@program
def gradient_that_a_hook_saw_does_not_change(T, x, w):
    seen = []
    handle = w.register_hook(lambda g: seen.append(g))
    (w * 2).sum().backward()
    handle.remove()
    (w * 3).sum().backward()
    return seen[0].sum() + w.grad.sum()


# ---- reading
@program
def chunks(T, x, w):
    a, b, c = (w * 1).chunk(3, dim=1)
    return (a * 2 * (b + c)).sum()


@program
def unbound_rows(T, x, w):
    a, b = (w * 1).unbind(0)
    return (a * b).sum()


@program
def sorted_values(T, x, w):
    values, _ = w.sort(1)
    return (values * x).sum()


@program
def maximum_and_its_position(T, x, w):
    values, positions = w.max(1)
    return (values * positions).sum()


@program
def running_sum(T, x, w):
    return (w.cumsum(1) * x).sum()


@program
def product_then_write(T, x, w):
    y = w @ x.t()
    y[0, 0] = 0
    return y.sum()
