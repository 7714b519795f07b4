import pytest
import torch

from jitorch import nn
from tests.nn.oracle import array, check_module, close, numbers, ours, theirs

WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
]


@pytest.mark.parametrize("options", [*WINDOWS, {"kernel_size": 2, "dilation": 2}], ids=str)
def test_max_pool(options):
    check_module(nn.MaxPool1d(**options), torch.nn.MaxPool1d(**options), numbers(2, 3, 8))
    check_module(nn.MaxPool2d(**options), torch.nn.MaxPool2d(**options), numbers(2, 3, 8, 7))
    check_module(nn.MaxPool3d(**options), torch.nn.MaxPool3d(**options), numbers(1, 2, 5, 6, 5))


def test_max_pool_of_unequal_sizes():
    options = {"kernel_size": (2, 3), "stride": (1, 2), "padding": (0, 1)}
    check_module(nn.MaxPool2d(**options), torch.nn.MaxPool2d(**options), numbers(3, 8, 7))


@pytest.mark.parametrize("options", [*WINDOWS, {"kernel_size": 3, "padding": 1, "count_include_pad": False}], ids=str)
def test_average_pool(options):
    check_module(nn.AvgPool1d(**options), torch.nn.AvgPool1d(**options), numbers(2, 3, 8))
    check_module(nn.AvgPool2d(**options), torch.nn.AvgPool2d(**options), numbers(2, 3, 8, 7))
    check_module(nn.AvgPool3d(**options), torch.nn.AvgPool3d(**options), numbers(1, 2, 5, 6, 5))


def test_average_pool_with_its_own_divisor():
    options = {"kernel_size": 2, "divisor_override": 3}
    check_module(nn.AvgPool2d(**options), torch.nn.AvgPool2d(**options), numbers(2, 3, 4, 4))


@pytest.mark.parametrize("size", [1, 3, 8])
def test_adaptive_average_pool1d(size):
    check_module(nn.AdaptiveAvgPool1d(size), torch.nn.AdaptiveAvgPool1d(size), numbers(2, 3, 8))


@pytest.mark.parametrize("size", [1, 3, (2, 5), (None, 3)])
def test_adaptive_average_pool2d(size):
    check_module(nn.AdaptiveAvgPool2d(size), torch.nn.AdaptiveAvgPool2d(size), numbers(2, 3, 8, 7))


def test_adaptive_pools_of_volumes():
    check_module(nn.AdaptiveAvgPool3d(2), torch.nn.AdaptiveAvgPool3d(2), numbers(1, 2, 4, 5, 3))
    check_module(nn.AdaptiveMaxPool3d(2), torch.nn.AdaptiveMaxPool3d(2), numbers(1, 2, 4, 5, 3))


@pytest.mark.parametrize("size", [1, 3])
def test_adaptive_max_pool(size):
    check_module(nn.AdaptiveMaxPool1d(size), torch.nn.AdaptiveMaxPool1d(size), numbers(2, 3, 8))
    check_module(nn.AdaptiveMaxPool2d(size), torch.nn.AdaptiveMaxPool2d(size), numbers(2, 3, 8, 7))


def test_indices_of_the_largest():
    x = numbers(2, 3, 8, 7)
    for name, argument in (("MaxPool2d", 2), ("AdaptiveMaxPool2d", 3)):
        values, indices = getattr(nn, name)(argument, return_indices=True)(ours(x))
        expected = getattr(torch.nn, name)(argument, return_indices=True)(theirs(x))
        close(values, expected[0])
        assert array(indices).tolist() == array(expected[1]).tolist()
