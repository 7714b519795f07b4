import pytest
import torch

from jitorch import nn
from jitorch.errors import ShapeError
from tests.nn.oracle import array, check_module, numbers, ours

CASES = [
    ("ReLU", {}), ("ReLU6", {}), ("SELU", {}), ("SiLU", {}), ("Mish", {}), ("Hardswish", {}), ("Hardsigmoid", {}),
    ("LeakyReLU", {}), ("LeakyReLU", {"negative_slope": 0.3}), ("ELU", {}), ("ELU", {"alpha": 0.5}),
    ("CELU", {}), ("CELU", {"alpha": 0.5}), ("GELU", {}), ("GELU", {"approximate": "tanh"}),
    ("Sigmoid", {}), ("LogSigmoid", {}), ("Tanh", {}), ("Softplus", {}), ("Softplus", {"beta": 2.0, "threshold": 1.0}),
    ("Softsign", {}), ("Hardtanh", {}), ("Hardtanh", {"min_val": -0.5, "max_val": 0.25}),
    ("Threshold", {"threshold": 0.1, "value": -7.0}), ("Softmax", {"dim": 1}), ("Softmax", {"dim": -1}),
    ("LogSoftmax", {"dim": 0}), ("Softmin", {"dim": 1}), ("PReLU", {}), ("PReLU", {"num_parameters": 6, "init": 0.1}),
    ("GLU", {}), ("GLU", {"dim": 1}), ("Tanhshrink", {}), ("Hardshrink", {}), ("Softshrink", {"lambd": 0.3}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), CASES)
def test_agrees(name, options):
    check_module(getattr(nn, name)(**options), getattr(torch.nn, name)(**options), 2 * numbers(3, 6, 4))


INPLACE = ["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "LeakyReLU", "ELU", "CELU", "Hardtanh"]


@pytest.mark.parametrize("name", INPLACE)
def test_inplace_writes_into_the_input(name):
    values = numbers(3, 4)
    x = ours(values)
    layer = getattr(nn, name)(inplace=True)
    out = layer(x)
    assert out is x
    assert (array(x) == array(getattr(nn, name)()(ours(values)))).all()
    assert repr(layer) == repr(getattr(torch.nn, name)(inplace=True))


def test_threshold_inplace():
    x = ours(numbers(3, 4))
    assert nn.Threshold(0.0, 1.0, inplace=True)(x) is x
    assert repr(nn.Threshold(0.0, 1.0, True)) == repr(torch.nn.Threshold(0.0, 1.0, True))


def test_softmax_of_channels():
    check_module(nn.Softmax2d(), torch.nn.Softmax2d(), numbers(2, 3, 4, 5))
    check_module(nn.Softmax2d(), torch.nn.Softmax2d(), numbers(3, 4, 5))
    with pytest.raises(ShapeError, match="Softmax2d"):
        nn.Softmax2d()(ours(numbers(3, 4)))


def test_random_slopes():
    check_module(nn.RReLU(0.1, 0.5), torch.nn.RReLU(0.1, 0.5), numbers(4, 5), train=False)
    x = ours(numbers(100))
    slopes = (nn.RReLU(0.1, 0.5)(x) / x)[x < 0]
    assert 0.1 <= slopes.min() < slopes.max() <= 0.5
