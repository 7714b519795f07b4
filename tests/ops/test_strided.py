from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.errors import AutogradError, ShapeError, UnsupportedError, ValueRangeError
from tests.ops.oracle import agree, array
from tests.samples import trace

X = array(3, 4)

AGREE = [
    lambda lib, x: [
        x.as_strided((2, 2), (1, 4)),
        x.as_strided((3,), (2,), 5),
        lib.as_strided(x, (4, 3), (1, 4)),
        x[1:].as_strided((2,), (1,)),
    ],
    lambda lib, x: lib.as_strided_scatter(x, lib.zeros(2, 2).double(), (2, 2), (4, 1), 1),
    lambda lib, x: [x.clone().t_(), x.clone().transpose_(0, 1), x.clone().unsqueeze_(1), x.clone().swapaxes_(0, 1)],
    lambda lib, x: [
        x[:1].clone().squeeze_(),
        x[:1].clone().squeeze_(0),
        x.clone().resize_(2, 6),
        x.clone().resize_as_(x[0, :1]),
    ],
]


@pytest.mark.parametrize("call", AGREE)
def test_agrees_with_pytorch(call):
    agree(call, X)


def test_gradient_of_overlapping_windows():
    def gradient(lib, x):
        leaf = x.clone().requires_grad_()
        out = leaf.as_strided((3, 3), (2, 1))
        (out * out.detach()).sum().backward()
        return leaf.grad

    agree(gradient, X)


def test_a_tensor_changed_in_place_shows_the_same_memory():
    x = jitorch.from_numpy(X.copy())
    kept = x.view(-1)
    assert x.t_() is x and x.shape == (4, 3)
    x[0, 1] = 50
    assert kept[4].item() == 50
    leaf = jitorch.ones(2, 3, requires_grad=True)
    y = leaf * 1
    y.t_().mul_(2)
    y[0].sum().backward()
    assert leaf.grad.tolist() == [[2, 0, 0], [2, 0, 0]]


def test_what_saved_the_tensor_before_is_stale():
    y = jitorch.ones(3, 3, requires_grad=True) * 1
    z = y * y
    y.t_()
    with pytest.raises(AutogradError, match="modified"):
        z.sum().backward()


def test_in_a_trace():
    def step(x):
        y = x * 1
        y.unsqueeze_(0)
        return y.as_strided((2, 2), (4, 1), 1)

    assert str(trace(step, [X]).outputs[0].type) == "f64[2, 2]"
    outside = jitorch.from_numpy(X.copy())
    with pytest.raises(UnsupportedError, match="while tracing"):
        trace(lambda x: _change(x, outside), [X])


def _change(x, outside):
    from jitorch.ops.strided import becomes

    return becomes("t_", outside, x.t())


ERRORS = [
    (lambda x: x.as_strided((4, 4), (4, 1)), ValueRangeError, "leaves the memory"),
    (lambda x: x.as_strided((2,), (1, 1)), ShapeError, "one stride"),
    (lambda x: x.as_strided((2,), (1,), -1), ValueRangeError, "negative"),
    (lambda x: jitorch.from_numpy(X.T).as_strided((2,), (1,)), UnsupportedError, "row-major"),
    (lambda x: x.requires_grad_().t_(), AutogradError, "leaf"),
    (lambda x: x.requires_grad_().resize_(12), UnsupportedError, "requires grad"),
    (lambda x: jitorch.as_strided_scatter(x, x, (2,), (1,)), ShapeError, "src"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call(jitorch.from_numpy(X.copy()))


def test_resize_to_more_elements_pads_with_zeros():
    x = jitorch.from_numpy(np.arange(3.0))
    assert x.resize_(2, 3).tolist() == [[0, 1, 2], [0, 0, 0]]
