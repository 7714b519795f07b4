from __future__ import annotations

import pytest

import jitorch
from jitorch.autograd import Function, GradcheckError, gradcheck, gradgradcheck
from jitorch.errors import AutogradError, DTypeError


class Wrong(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


def double(*values: float) -> jitorch.Tensor:
    return jitorch.tensor(values, dtype=jitorch.float64, requires_grad=True)


def test_right_gradients_pass():
    x, y = double(0.3, 0.7), double(1.0, 2.0)
    assert gradcheck(lambda a, b: (a * b, (a / b).sum(), 3), (x, y))
    assert gradgradcheck(lambda a, b: a.exp() * b, (x, y))
    assert gradcheck(lambda a: a.detach() * 0, x)


def test_wrong_gradients_fail():
    x = double(0.3, 0.7)
    with pytest.raises(GradcheckError, match=r"off by 0\.7"):
        gradcheck(Wrong.apply, x)
    assert not gradcheck(Wrong.apply, x, raise_exception=False)


def test_inputs_are_restored():
    x = double(0.3, 0.7)
    gradcheck(lambda a: a.sin(), x)
    assert x.tolist() == [0.3, 0.7]


def test_refusals():
    with pytest.raises(AutogradError, match="no input"):
        gradcheck(lambda a: a, jitorch.ones(1))
    with pytest.raises(DTypeError, match="double"):
        gradcheck(lambda a: a, jitorch.ones(1, requires_grad=True))
