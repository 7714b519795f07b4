import pytest
import torch

import jitorch
from jitorch import nn, optim
from jitorch.errors import UnsupportedError, ValueRangeError
from tests.nn.oracle import array, check_signature
from tests.optim.trajectory import check_jitted, check_trajectory

OPTIONS = [
    {},
    {"lr": 0.1},
    {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3},
    {"lr": 0.1, "betas": (0.0, 0.0)},
    {"lr": 0.1, "weight_decay": 0.2},
    {"lr": 0.1, "amsgrad": True},
    {"lr": 0.1, "maximize": True},
    {"lr": 0.1, "amsgrad": True, "maximize": True, "weight_decay": 0.2},
    {"lr": 0.1, "weight_decay": 0.2, "decoupled_weight_decay": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_trajectory(options):
    check_trajectory("Adam", options)


@pytest.mark.parametrize("options", [{"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}], ids=str)
def test_jitted_step(options):
    check_jitted("Adam", options)


def test_signature():
    check_signature(optim.Adam, torch.optim.Adam)


def test_state_is_there_before_the_first_step():
    p = nn.Parameter(jitorch.ones(2, 3))
    state = optim.Adam([p], amsgrad=True).state[p]
    assert list(state) == ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
    assert state["step"].dtype == jitorch.float32
    assert tuple(state["step"].shape) == ()
    assert tuple(state["exp_avg"].shape) == (2, 3)
    assert not state["exp_avg"].requires_grad


def test_state_is_updated_in_place():
    p = nn.Parameter(jitorch.ones(2))
    optimizer = optim.Adam([p], amsgrad=True)
    before = dict(optimizer.state[p])
    p.grad = jitorch.ones(2)
    optimizer.step()
    assert all(optimizer.state[p][name] is tensor for name, tensor in before.items())
    assert float(before["step"]) == 1
    assert array(p.grad).tolist() == [1.0, 1.0], "the gradient is only read"


def test_betas_may_be_a_list():
    p = nn.Parameter(jitorch.ones(1))
    optimizer = optim.Adam([p], betas=[0.5, 0.5])
    p.grad = jitorch.ones(1)
    optimizer.step()
    assert array(p).tolist() == pytest.approx([0.999])


@pytest.mark.parametrize(
    "options",
    [{"lr": -0.1}, {"eps": -1e-8}, {"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"weight_decay": -1}],
    ids=str,
)
def test_arguments_out_of_range(options):
    with pytest.raises(ValueRangeError):
        optim.Adam([nn.Parameter(jitorch.ones(1))], **options)


def test_differentiable_is_not_supported():
    with pytest.raises(UnsupportedError):
        optim.Adam([nn.Parameter(jitorch.ones(1))], differentiable=True)
