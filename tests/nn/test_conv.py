import pytest
import torch

from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import check_module, numbers

OPTIONS = [
    {},
    {"stride": 2, "padding": 1},
    {"padding": 2, "dilation": 2, "bias": False},
    {"padding": "same"},
    {"padding": "valid", "groups": 2},
    {"padding": 1, "padding_mode": "circular"},
    {"padding": 1, "padding_mode": "reflect"},
    {"padding": "same", "padding_mode": "replicate"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_conv1d(options):
    check_module(nn.Conv1d(4, 6, 3, **options), torch.nn.Conv1d(4, 6, 3, **options), numbers(2, 4, 9))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # PyTorch's, about a copy
@pytest.mark.parametrize("options", [*OPTIONS, {"stride": (1, 2), "padding": (0, 1)}], ids=str)
def test_conv2d(options):
    size = (3, 2)
    check_module(nn.Conv2d(4, 6, size, **options), torch.nn.Conv2d(4, 6, size, **options), numbers(2, 4, 7, 8))


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1, "groups": 2}], ids=str)
def test_conv3d(options):
    check_module(nn.Conv3d(4, 6, 3, **options), torch.nn.Conv3d(4, 6, 3, **options), numbers(1, 4, 5, 4, 5))


def test_without_batch():
    check_module(nn.Conv1d(2, 3, 3), torch.nn.Conv1d(2, 3, 3), numbers(2, 6))
    check_module(nn.Conv2d(2, 3, 3), torch.nn.Conv2d(2, 3, 3), numbers(2, 6, 5))


@pytest.mark.parametrize(
    "options",
    [
        {"groups": 0},
        {"groups": 3},
        {"padding_mode": "mirror"},
        {"padding": "full"},
        {"padding": "same", "stride": 2},
        {"stride": (1, 2, 3)},
    ],
    ids=str,
)
def test_arguments_out_of_range(options):
    with pytest.raises(ValueRangeError):
        nn.Conv2d(4, 6, 3, **options)
