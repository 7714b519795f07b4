from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import jitorch
from jitorch.autograd import Function, grad, gradcheck, gradgradcheck, once_differentiable
from jitorch.errors import AutogradError, UnsupportedError


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


class Exp(Function):
    """Saves its result."""

    @staticmethod
    def forward(ctx, x):
        out = x.exp()
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


class Scaled(Function):
    @staticmethod
    def forward(x, factor):
        return x * factor, x.argmax()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = inputs[1]
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, g, unused):
        return g * ctx.factor, None


def leaf(*values: float) -> jitorch.Tensor:
    return jitorch.tensor(values, dtype=jitorch.float64, requires_grad=True)


@pytest.mark.parametrize("function", [Cube, Exp])
def test_derivatives_of_any_order(function):
    x = leaf(0.5, -1.5)
    assert gradcheck(function.apply, x)
    assert gradgradcheck(function.apply, x)


def test_name_and_needs_input_grad():
    class Add(Function):
        @staticmethod
        def forward(ctx, a, b, c):
            ctx.flags = ctx.needs_input_grad
            return a + b

        @staticmethod
        def backward(ctx, g):
            assert ctx.flags == ctx.needs_input_grad == (True, False, False)
            return g, None, None

    x = leaf(1.0)
    out = Add.apply(x, jitorch.ones(1).double(), 3)
    assert repr(out.grad_fn) == "<AddBackward>"
    out.backward()
    assert x.grad.item() == 1


def test_setup_context_and_results_without_gradient():
    x = leaf(1.0, 2.0)
    out, index = Scaled.apply(x, 4.0)
    assert not index.requires_grad and index.item() == 1
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [4, 4])


def test_nothing_is_recorded_where_nothing_is_wanted():
    assert not Cube.apply(jitorch.ones(2)).requires_grad
    with jitorch.no_grad():
        assert not Cube.apply(leaf(1.0)).requires_grad


def test_a_returned_argument_keeps_its_own_history():
    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    x = leaf(1.0)
    Same.apply(x).backward()
    assert x.grad.item() == 5 and x.is_leaf


def test_in_place_forward():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(3.0)
    y = x * 1
    assert Double.apply(y) is y
    y.backward()
    assert (y.item(), x.grad.item()) == (6, 2)
    with pytest.raises(AutogradError, match="leaf"):
        Double.apply(x)


def test_modified_saved_tensors_are_found():
    x = leaf(2.0)
    y = x * 1
    out = Cube.apply(y)
    with jitorch.no_grad():
        y.zero_()
    with pytest.raises(AutogradError, match="modified"):
        out.backward()


def test_saved_tensors_are_freed():
    x = leaf(2.0)
    out = Cube.apply(x)
    out.backward(retain_graph=True)
    out.backward()
    with pytest.raises(AutogradError, match="second time"):
        out.backward()


def test_no_cycle_keeps_results_alive():
    gc.collect()
    gc.disable()
    try:
        out = Exp.apply(leaf(1.0))
        node = weakref.ref(out.grad_fn)
        del out
        assert node() is None
    finally:
        gc.enable()


def test_wrong_gradients():
    class Wrong(Function):
        result = None

        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return Wrong.result

    for result, message in (((1, 2), "one gradient an argument"), (jitorch.ones(3), "shape"), (1.0, "shape")):
        Wrong.result = result
        with pytest.raises(AutogradError, match=message):
            Wrong.apply(leaf(1.0)).backward()


def test_missing_methods():
    class Empty(Function):
        pass

    with pytest.raises(UnsupportedError, match="forward"):
        Empty.apply(leaf(1.0))


def test_once_differentiable():
    class Once(Cube):
        backward = staticmethod(once_differentiable(Cube.backward))

    x = leaf(2.0)
    (g,) = grad(Once.apply(x), x, create_graph=True)
    assert g.item() == 12 and not g.requires_grad
