import pytest
import torch

from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import check_module, numbers

SHAPES = {1: (2, 3, 4), 2: (2, 3, 4, 5), 3: (1, 2, 3, 4, 3)}


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Zero", "Reflection", "Replication", "Circular"])
def test_agrees(kind, axes):
    name = f"{kind}Pad{axes}d"
    for widths in (2, tuple([1, 2, 0, 1, 2, 1][: 2 * axes])):
        check_module(getattr(nn, name)(widths), getattr(torch.nn, name)(widths), numbers(*SHAPES[axes]))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_constant(axes):
    name = f"ConstantPad{axes}d"
    check_module(getattr(nn, name)(1, 2.5), getattr(torch.nn, name)(1, 2.5), numbers(*SHAPES[axes]))


def test_number_of_widths():
    with pytest.raises(ValueRangeError):
        nn.ZeroPad2d((1, 2))
