import pytest
import torch

from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import check_module, close, copy_state, numbers, ours, theirs

OPTIONS = [
    {},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"stride": 3, "dilation": 2, "groups": 2, "bias": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("axes", "shape"), [(1, (2, 4, 5)), (2, (2, 4, 3, 4)), (3, (1, 4, 2, 3, 2))])
def test_agrees(axes, shape, options):
    name = f"ConvTranspose{axes}d"
    check_module(getattr(nn, name)(4, 2, 3, **options), getattr(torch.nn, name)(4, 2, 3, **options), numbers(*shape))


@pytest.mark.parametrize("size", [(7, 9), (8, 10), (2, 2, 8, 9)])
def test_output_size(size):
    mine, reference = nn.ConvTranspose2d(2, 2, 3, stride=2), torch.nn.ConvTranspose2d(2, 2, 3, stride=2)
    copy_state(reference, mine)
    x = numbers(2, 2, 3, 4)
    close(mine(ours(x), size), reference(theirs(x), size))
    with pytest.raises(ValueRangeError):
        mine(ours(x), (9, 9))


@pytest.mark.parametrize("options", [{"groups": 0}, {"groups": 3}, {"padding_mode": "reflect"}], ids=str)
def test_arguments_out_of_range(options):
    with pytest.raises(ValueRangeError):
        nn.ConvTranspose2d(4, 6, 3, **options)
