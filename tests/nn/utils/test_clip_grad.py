import math

import numpy as np
import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ValueRangeError
from jitorch.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm
from tests.nn.oracle import close, numbers, ours, theirs


def parameters():
    """Two lists of parameters with equal gradients; the third parameter has none."""
    mine = [nn.Parameter(jitorch.zeros(3, 2)), nn.Parameter(jitorch.zeros(4)), nn.Parameter(jitorch.zeros(1))]
    reference = [torch.nn.Parameter(torch.zeros(*p.shape)) for p in mine]
    for i in range(2):
        gradient = numbers(*mine[i].shape, seed=i)
        mine[i].grad, reference[i].grad = ours(gradient), theirs(gradient)
    return mine, reference


def check_gradients(mine, reference):
    for a, b in zip(mine[:2], reference[:2], strict=True):
        close(a.grad, b.grad)
    assert mine[2].grad is None


@pytest.mark.parametrize("norm_type", [1, 2, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_norm(norm_type, max_norm):
    mine, reference = parameters()
    total = clip_grad_norm_(mine, max_norm, norm_type)
    close(total, torch.nn.utils.clip_grad_norm_(reference, max_norm, norm_type))
    check_gradients(mine, reference)


def test_norm_of_an_iterator_and_of_one_tensor():
    mine, reference = parameters()
    clip_grad_norm_(iter(mine), 0.1)
    torch.nn.utils.clip_grad_norm_(iter(reference), 0.1)
    check_gradients(mine, reference)
    close(clip_grad_norm_(mine[0], 1.0), torch.nn.utils.clip_grad_norm_(reference[0], 1.0))


def test_without_gradients():
    assert float(clip_grad_norm_([nn.Parameter(jitorch.zeros(1))], 1.0)) == 0.0
    assert float(get_total_norm([])) == 0.0


def test_non_finite():
    mine, reference = parameters()
    mine[0].grad, reference[0].grad = (
        ours(np.full((3, 2), np.inf, np.float32)),
        theirs(np.full((3, 2), np.inf, np.float32)),
    )
    with pytest.raises(ValueRangeError, match="non-finite"):
        clip_grad_norm_(mine, 1.0, error_if_nonfinite=True)
    clip_grad_norm_(mine, 1.0)
    torch.nn.utils.clip_grad_norm_(reference, 1.0)
    check_gradients(mine, reference)


def test_value():
    mine, reference = parameters()
    clip_grad_value_(mine, 0.3)
    torch.nn.utils.clip_grad_value_(reference, 0.3)
    check_gradients(mine, reference)
