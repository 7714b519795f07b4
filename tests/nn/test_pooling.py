import pytest
import torch

from jitorch import nn
from tests.nn.oracle import check_module, numbers

WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
]


@pytest.mark.parametrize("options", [*WINDOWS, {"kernel_size": 2, "dilation": 2}], ids=str)
def test_max_pool(options):
    check_module(nn.MaxPool1d(**options), torch.nn.MaxPool1d(**options), numbers(2, 3, 8))
    check_module(nn.MaxPool2d(**options), torch.nn.MaxPool2d(**options), numbers(2, 3, 8, 7))


def test_max_pool_of_unequal_sizes():
    options = {"kernel_size": (2, 3), "stride": (1, 2), "padding": (0, 1)}
    check_module(nn.MaxPool2d(**options), torch.nn.MaxPool2d(**options), numbers(3, 8, 7))


@pytest.mark.parametrize("options", [*WINDOWS, {"kernel_size": 3, "padding": 1, "count_include_pad": False}], ids=str)
def test_average_pool(options):
    check_module(nn.AvgPool1d(**options), torch.nn.AvgPool1d(**options), numbers(2, 3, 8))
    check_module(nn.AvgPool2d(**options), torch.nn.AvgPool2d(**options), numbers(2, 3, 8, 7))


def test_average_pool_with_its_own_divisor():
    options = {"kernel_size": 2, "divisor_override": 3}
    check_module(nn.AvgPool2d(**options), torch.nn.AvgPool2d(**options), numbers(2, 3, 4, 4))


@pytest.mark.parametrize("size", [1, 3, 8])
def test_adaptive_average_pool1d(size):
    check_module(nn.AdaptiveAvgPool1d(size), torch.nn.AdaptiveAvgPool1d(size), numbers(2, 3, 8))


@pytest.mark.parametrize("size", [1, 3, (2, 5), (None, 3)])
def test_adaptive_average_pool2d(size):
    check_module(nn.AdaptiveAvgPool2d(size), torch.nn.AdaptiveAvgPool2d(size), numbers(2, 3, 8, 7))
