import math

import numpy as np
import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.nn import init
from tests.nn.oracle import array

SHAPE = (60, 50, 3)
FAN_IN, FAN_OUT = 150, 180


@pytest.fixture(autouse=True)
def _seed():
    jitorch.manual_seed(3)


def blank(*shape):
    return nn.Parameter(jitorch.zeros(*shape))


@pytest.mark.parametrize(
    ("fill", "bound"),
    [
        (lambda t: init.uniform_(t, -2.0, 2.0), 2.0),
        (init.xavier_uniform_, math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (lambda t: init.xavier_uniform_(t, gain=2), 2 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (init.kaiming_uniform_, math.sqrt(6 / FAN_IN)),
        (lambda t: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="linear"), math.sqrt(3 / FAN_OUT)),
        (lambda t: init.kaiming_uniform_(t, a=1), math.sqrt(3 / FAN_IN)),
    ],
)
def test_uniform(fill, bound):
    tensor = blank(*SHAPE)
    assert fill(tensor) is tensor
    values = array(tensor)
    assert 0.99 * bound < np.abs(values).max() <= bound * (1 + 1e-6)
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert tensor.requires_grad


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda t: init.normal_(t, 0.0, 3.0), 3.0),
        (init.xavier_normal_, math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (lambda t: init.kaiming_normal_(t, nonlinearity="relu"), math.sqrt(2 / FAN_IN)),
        (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="tanh"), 5 / 3 / math.sqrt(FAN_OUT)),
    ],
)
def test_normal(fill, std):
    values = array(fill(blank(*SHAPE)))
    assert values.std() == pytest.approx(std, rel=0.05)
    assert abs(values.mean()) < 0.05 * std
    # Share of a normal distribution within one deviation.
    assert (np.abs(values) < std).mean() == pytest.approx(0.683, abs=0.02)


def test_truncated_normal():
    values = array(init.trunc_normal_(blank(100, 100), mean=1.0, std=2.0, a=0.0, b=2.0))
    assert values.min() >= 0
    assert values.max() <= 2
    # Within half a deviation of the mean the normal distribution is nearly flat.
    assert values.mean() == pytest.approx(1.0, abs=0.03)
    wide = array(init.trunc_normal_(blank(100, 100)))
    assert wide.std() == pytest.approx(0.8796, rel=0.03)


def test_constants():
    assert (array(init.constant_(blank(3), 2.5)) == 2.5).all()
    assert (array(init.ones_(blank(3))) == 1).all()
    assert (array(init.zeros_(init.ones_(blank(3)))) == 0).all()
    assert array(init.eye_(blank(2, 3))).tolist() == [[1, 0, 0], [0, 1, 0]]
    with pytest.raises(ValueRangeError):
        init.eye_(blank(3))


@pytest.mark.parametrize(("shape", "groups"), [((3, 2, 3), 1), ((4, 2, 3, 3), 2), ((2, 3, 1, 3, 3), 1)])
def test_dirac(shape, groups):
    expected = torch.nn.init.dirac_(torch.ones(shape), groups)
    assert (array(init.dirac_(blank(*shape), groups)) == expected.numpy()).all()


def test_dirac_checks():
    with pytest.raises(ValueRangeError):
        init.dirac_(blank(2, 2))
    with pytest.raises(ValueRangeError):
        init.dirac_(blank(3, 2, 3), groups=2)


def test_sparse():
    values = array(init.sparse_(blank(20, 10), 0.32))
    assert (np.sum(values == 0, axis=0) == 7).all()


@pytest.mark.parametrize(
    "name", ["linear", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"]
)
def test_gain(name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)


def test_gain_of_a_slope():
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)
    for arguments in (("leaky_relu", True), ("leaky_relu", "x"), ("other",)):
        with pytest.raises(ValueRangeError):
            init.calculate_gain(*arguments)


def test_checks_of_fans():
    with pytest.raises(ValueRangeError, match="Mode"):
        init.kaiming_normal_(blank(2, 2), mode="both")
    with pytest.raises(ShapeError):
        init.xavier_uniform_(blank(2))


def test_empty_tensor_stays():
    assert tuple(init.kaiming_uniform_(blank(0, 3)).shape) == (0, 3)
    assert tuple(init.kaiming_normal_(blank(0, 3)).shape) == (0, 3)
