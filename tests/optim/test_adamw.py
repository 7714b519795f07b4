import pytest
import torch

from jitorch import optim
from tests.nn.oracle import check_signature
from tests.optim.trajectory import check_jitted, check_trajectory


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.1, "weight_decay": 0.5},
        {"lr": 0.1, "weight_decay": 0.0},
        {"lr": 0.1, "amsgrad": True, "maximize": True, "betas": (0.5, 0.9)},
    ],
    ids=str,
)
def test_trajectory(options):
    check_trajectory("AdamW", options)


@pytest.mark.parametrize("options", [{"lr": 0.1}], ids=str)
def test_jitted_step(options):
    check_jitted("AdamW", options)


def test_signature():
    check_signature(optim.AdamW, torch.optim.AdamW)
