import pytest
import torch

from jitorch import nn
from tests.nn.oracle import check_module, numbers


@pytest.mark.parametrize(
    "options",
    [
        {"scale_factor": 2},
        {"scale_factor": (1.5, 2)},
        {"size": (3, 7)},
        {"size": 6, "mode": "bilinear"},
        {"scale_factor": 2, "mode": "bilinear", "align_corners": True},
        {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True},
    ],
    ids=str,
)
def test_agrees(options):
    check_module(nn.Upsample(**options), torch.nn.Upsample(**options), numbers(2, 3, 4, 5))


@pytest.mark.parametrize("options", [{"scale_factor": 2}, {"size": (5, 3)}], ids=str)
@pytest.mark.parametrize("name", ["UpsamplingNearest2d", "UpsamplingBilinear2d"])
def test_upsampling_of_images(name, options):
    check_module(getattr(nn, name)(**options), getattr(torch.nn, name)(**options), numbers(2, 3, 4, 5))
