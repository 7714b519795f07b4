import pytest

import jitorch
from jitorch import nn
from jitorch.errors import ArgumentError, ShapeError
from jitorch.nn.utils import parameters_to_vector, vector_to_parameters
from tests.nn.oracle import array


def test_there_and_back():
    layer = nn.Linear(2, 2)
    vector = parameters_to_vector(layer.parameters())
    assert tuple(vector.shape) == (6,)
    weight = layer.weight
    vector_to_parameters(jitorch.arange(6, dtype=jitorch.float32), layer.parameters())
    assert layer.weight is weight
    assert array(layer.weight).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert array(layer.bias).tolist() == [4.0, 5.0]
    assert layer.weight.requires_grad


def test_is_differentiable():
    layer = nn.Linear(2, 1)
    parameters_to_vector(layer.parameters()).sum().backward()
    assert array(layer.weight.grad).tolist() == [[1.0, 1.0]]


def test_checks():
    layer = nn.Linear(2, 1)
    with pytest.raises(ArgumentError):
        vector_to_parameters([1.0, 2.0, 3.0], layer.parameters())
    with pytest.raises(ShapeError):
        vector_to_parameters(jitorch.zeros(2), layer.parameters())
