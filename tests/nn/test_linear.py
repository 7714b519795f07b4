import math

import numpy as np
import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ArgumentError
from tests.nn.oracle import array, check_module, numbers


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4)])
def test_linear(bias, shape):
    check_module(nn.Linear(4, 3, bias), torch.nn.Linear(4, 3, bias), numbers(*shape))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(5,), (2, 3)])
def test_bilinear(bias, batch):
    args = (4, 3, 2, bias)
    check_module(nn.Bilinear(*args), torch.nn.Bilinear(*args), numbers(*batch, 4), numbers(*batch, 3, seed=1))


def test_identity():
    x = jitorch.ones(2)
    assert nn.Identity(1, anything=2)(x) is x
    assert repr(nn.Identity()) == "Identity()"


def test_initial_weights_fill_their_range():
    jitorch.manual_seed(0)
    layer = nn.Linear(16, 400)
    for values in (array(layer.weight), array(layer.bias)):
        assert np.abs(values).max() <= 1 / math.sqrt(16)
        assert np.abs(values).max() > 0.98 / math.sqrt(16)
        assert abs(values.mean()) < 0.02
    before = array(layer.weight)
    layer.reset_parameters()
    assert (array(layer.weight) != before).any()


def test_dtype():
    assert nn.Linear(2, 2, dtype=jitorch.float64).bias.dtype == jitorch.float64
    with pytest.raises(ArgumentError):
        nn.Linear(2, 2, dtype=jitorch.int32)
