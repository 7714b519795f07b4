import pytest
import torch

from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import check_module, numbers


@pytest.mark.parametrize("shape", [4, (4,), [3, 4]])
@pytest.mark.parametrize("options", [{}, {"eps": 1e-2}, {"elementwise_affine": False}, {"bias": False}], ids=str)
def test_layer_norm(shape, options):
    check_module(nn.LayerNorm(shape, **options), torch.nn.LayerNorm(shape, **options), numbers(2, 3, 4))


@pytest.mark.parametrize("options", [{}, {"eps": 1e-2}, {"elementwise_affine": False}], ids=str)
def test_rms_norm(options):
    check_module(nn.RMSNorm((3, 4), **options), torch.nn.RMSNorm((3, 4), **options), numbers(2, 3, 4))


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (2, 6, 3, 2)])
@pytest.mark.parametrize("options", [{}, {"eps": 1e-2}, {"affine": False}, {"bias": False}], ids=str)
def test_group_norm(shape, options):
    check_module(nn.GroupNorm(3, 6, **options), torch.nn.GroupNorm(3, 6, **options), numbers(*shape))


def test_group_norm_needs_divisible_channels():
    with pytest.raises(ValueRangeError):
        nn.GroupNorm(4, 6)


@pytest.mark.parametrize("options", [{"size": 2}, {"size": 3, "alpha": 0.5, "beta": 0.5, "k": 2.0}], ids=str)
def test_local_response_norm(options):
    check_module(nn.LocalResponseNorm(**options), torch.nn.LocalResponseNorm(**options), numbers(2, 5, 3, 3))
