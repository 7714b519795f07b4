import numpy as np
import pytest

from jitorch import nn
from jitorch.nn import functional as F
from tests.nn.oracle import numbers, ours
from tests.nn.test_loss import REDUCTIONS, check

SIGNS = np.sign(numbers(4, seed=3)).astype(np.float32)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "inputs", "options"),
    [
        ("MarginRankingLoss", (numbers(4), numbers(4, seed=1), SIGNS), {"margin": 0.5}),
        ("HingeEmbeddingLoss", (numbers(4), SIGNS), {"margin": 0.7}),
        ("CosineEmbeddingLoss", (numbers(4, 3), numbers(4, 3, seed=1), np.array([1, -1, 1, -1])), {"margin": 0.1}),
        ("SoftMarginLoss", (numbers(4), SIGNS), {}),
        ("MultiLabelMarginLoss", (numbers(2, 4), np.array([[3, 0, -1, 1], [1, -1, 0, 2]])), {}),
        ("MultiLabelSoftMarginLoss", (numbers(3, 4), (numbers(3, 4, seed=2) > 0).astype(np.float32)), {}),
        ("MultiMarginLoss", (numbers(4, 3), np.array([0, 2, 1, 1])), {"p": 2, "margin": 0.8}),
        ("TripletMarginLoss", (numbers(4, 3), numbers(4, 3, seed=1), numbers(4, 3, seed=2)), {"swap": True}),
        ("TripletMarginLoss", (numbers(4, 3), numbers(4, 3, seed=1), numbers(4, 3, seed=2)), {"p": 3.0, "margin": 2.0}),
        (
            "TripletMarginWithDistanceLoss",
            (numbers(4, 3), numbers(4, 3, seed=1), numbers(4, 3, seed=2)),
            {"margin": 0.5, "distance_function": lambda a, b: (a - b).abs().sum(-1)},
        ),
    ],
)  # fmt: skip
def test_margins(name, inputs, options, reduction):
    check(name, *inputs, reduction=reduction, **options)


@pytest.mark.parametrize("name", ["MultiMarginLoss", "MultiLabelSoftMarginLoss"])
def test_weights(name):
    target = np.array([0, 2, 1, 1]) if name == "MultiMarginLoss" else (numbers(4, 3, seed=2) > 0).astype(np.float32)
    check(name, numbers(4, 3), target, tensors={"weight": np.array([0.5, 2.0, 1.0], np.float32)})


def test_the_usual_distance():
    x, y, z = (ours(numbers(4, 3, seed=seed)) for seed in range(3))
    loss = nn.TripletMarginWithDistanceLoss()
    assert loss.distance_function is F.pairwise_distance
    assert loss(x, y, z) == nn.TripletMarginLoss()(x, y, z)
