import pytest
import torch

import jitorch
from jitorch import nn, optim
from jitorch.errors import UnsupportedError, ValueRangeError
from tests.nn.oracle import array, check_signature
from tests.optim.trajectory import check_jitted, check_trajectory

OPTIONS = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    {"lr": 0.1, "weight_decay": 0.2},
    {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.2, "nesterov": True},
    {"lr": 0.01, "maximize": True},
    {"lr": 0.01, "maximize": True, "momentum": 0.9, "weight_decay": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_trajectory(options):
    check_trajectory("SGD", options)


@pytest.mark.parametrize("options", [OPTIONS[0], OPTIONS[2], OPTIONS[5]], ids=str)
def test_jitted_step(options):
    check_jitted("SGD", options)


def test_signature():
    check_signature(optim.SGD, torch.optim.SGD)


def test_momentum_that_is_switched_on_later():
    p = nn.Parameter(jitorch.ones(1))
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = jitorch.ones(1)
    optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step()
    optimizer.step()
    assert array(p).tolist() == [1 - 1 - 1 - 1.5]


def test_the_rate_may_be_a_tensor():
    p = nn.Parameter(jitorch.ones(2))
    optimizer = optim.SGD([p], lr=jitorch.tensor(0.5))
    p.grad = jitorch.ones(2)
    optimizer.step()
    optimizer.param_groups[0]["lr"].fill_(0.25)
    optimizer.step()
    assert array(p).tolist() == [0.25, 0.25]


@pytest.mark.parametrize(
    "options",
    [
        {"lr": -0.1},
        {"momentum": -0.1},
        {"weight_decay": -0.1},
        {"nesterov": True},
        {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
        {"lr": float("nan")},
        {"lr": jitorch.ones(2)},
    ],
    ids=str,
)
def test_arguments_out_of_range(options):
    with pytest.raises(ValueRangeError):
        optim.SGD([nn.Parameter(jitorch.ones(1))], **options)


def test_differentiable_is_not_supported():
    with pytest.raises(UnsupportedError):
        optim.SGD([nn.Parameter(jitorch.ones(1))], differentiable=True)
