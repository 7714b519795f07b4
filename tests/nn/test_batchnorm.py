import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import array, check_module, close, numbers, ours, theirs

OPTIONS = [
    {},
    {"eps": 1e-2, "momentum": 0.3},
    {"momentum": None},
    {"affine": False},
    {"bias": False},
    {"track_running_stats": False},
]
SHAPES = [
    ("BatchNorm1d", (5, 3)),
    ("BatchNorm1d", (4, 3, 2)),
    ("BatchNorm2d", (2, 3, 4, 2)),
    ("BatchNorm3d", (2, 3, 2, 2, 2)),
]


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("name", "shape"), SHAPES)
def test_batch_norm(name, shape, options, train):
    mine, reference = getattr(nn, name)(3, **options), getattr(torch.nn, name)(3, **options)
    check_module(mine, reference, 2 * numbers(*shape) + 1, train=train)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_over_several_batches(momentum):
    mine, reference = nn.BatchNorm1d(3, momentum=momentum), torch.nn.BatchNorm1d(3, momentum=momentum)
    for seed in range(4):
        batch = numbers(6, 3, seed=seed) + seed
        close(mine(ours(batch)), reference(theirs(batch)))
    for name, value in reference.state_dict().items():
        close(mine.state_dict()[name], value, name)
    mine.reset_running_stats()
    assert array(mine.running_mean).tolist() == [0.0] * 3
    assert array(mine.running_var).tolist() == [1.0] * 3
    assert int(mine.num_batches_tracked) == 0


def test_batch_norm_checks_the_rank():
    with pytest.raises(ValueRangeError, match="expected 2D or 3D input"):
        nn.BatchNorm1d(3)(jitorch.ones(1, 3, 2, 2))
    with pytest.raises(ValueRangeError, match="expected 4D input"):
        nn.BatchNorm2d(3)(jitorch.ones(2, 3))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"affine": True}, {"affine": True, "bias": False}, {"track_running_stats": True}], ids=str
)
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("InstanceNorm1d", (2, 3, 5)),
        ("InstanceNorm1d", (3, 5)),
        ("InstanceNorm2d", (2, 3, 4, 2)),
        ("InstanceNorm2d", (3, 4, 2)),
        ("InstanceNorm3d", (2, 3, 2, 2, 2)),
    ],
)
def test_instance_norm(name, shape, options, train):
    mine, reference = getattr(nn, name)(3, **options), getattr(torch.nn, name)(3, **options)
    check_module(mine, reference, 2 * numbers(*shape) + 1, train=train)


def test_instance_norm_checks_the_rank():
    with pytest.raises(ValueRangeError, match="expected 3D or 4D input"):
        nn.InstanceNorm2d(3)(jitorch.ones(3, 2))
