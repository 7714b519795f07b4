import copy

import numpy as np
import pytest

import jitorch
from jitorch import nn
from tests.nn.oracle import array, ours


def test_is_a_leaf_that_shares_storage():
    data = jitorch.zeros(2, 3)
    parameter = nn.Parameter(data)
    assert isinstance(parameter, nn.Parameter)
    assert isinstance(parameter, jitorch.Tensor)
    assert parameter.requires_grad
    assert parameter.is_leaf
    data.fill_(2.0)
    assert array(parameter).tolist() == [[2.0] * 3] * 2


def test_starts_a_new_graph():
    x = jitorch.ones(2).requires_grad_(True)
    parameter = nn.Parameter(x * 2)
    (parameter * 3).sum().backward()
    assert x.grad is None
    assert array(parameter.grad).tolist() == [3.0, 3.0]


def test_operations_give_plain_tensors():
    parameter = nn.Parameter(jitorch.ones(2))
    assert type(parameter + 1) is jitorch.Tensor
    assert type(parameter.detach()) is jitorch.Tensor


def test_without_data_is_empty():
    assert tuple(nn.Parameter().shape) == (0,)


def test_without_gradient():
    assert not nn.Parameter(jitorch.ones(2), requires_grad=False).requires_grad
    assert not nn.Parameter(jitorch.tensor([1, 2]), requires_grad=False).requires_grad


def test_repr():
    text = repr(nn.Parameter(ours(np.array([1.0, 2.0], np.float32))))
    assert text.splitlines()[0] == "Parameter containing:"
    assert "requires_grad=True" in text


@pytest.mark.parametrize("requires_grad", [True, False])
def test_deep_copy_has_its_own_storage(requires_grad):
    parameter = nn.Parameter(jitorch.ones(2), requires_grad)
    first, second = copy.deepcopy([parameter, parameter])
    assert first is second
    assert type(first) is nn.Parameter
    assert first.requires_grad is requires_grad
    with jitorch.no_grad():
        first.fill_(5.0)
    assert array(parameter).tolist() == [1.0, 1.0]
