import numpy as np
import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import array, close, numbers, ours, theirs

REDUCTIONS = ["mean", "sum", "none"]


def check(name, input, *targets, tensors=None, **options):
    """Loss and gradient of the input agree; ``tensors`` are options that are arrays."""
    mine = getattr(nn, name)(**options, **{k: ours(v) for k, v in (tensors or {}).items()})
    reference = getattr(torch.nn, name)(**options, **{k: theirs(v) for k, v in (tensors or {}).items()})
    assert repr(mine) == repr(reference)
    assert list(mine.state_dict()) == list(reference.state_dict())
    x, y = ours(input, True), theirs(input, True)
    out, expected = mine(x, *map(ours, targets)), reference(y, *map(theirs, targets))
    close(out, expected, "loss")
    out.sum().backward()
    expected.sum().backward()
    close(x.grad, y.grad, "gradient")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("L1Loss", {}), ("MSELoss", {}), ("SmoothL1Loss", {}), ("SmoothL1Loss", {"beta": 0.5}),
        ("HuberLoss", {}), ("HuberLoss", {"delta": 0.5}),
    ],
)  # fmt: skip
def test_of_differences(name, options, reduction):
    check(name, numbers(4, 3), numbers(4, 3, seed=1), reduction=reduction, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", [{}, {"ignore_index": 1}, {"label_smoothing": 0.2}], ids=str)
def test_cross_entropy(reduction, weighted, options):
    tensors = {"weight": np.array([0.5, 2.0, 1.0], np.float32)} if weighted else {}
    labels = np.array([0, 2, 1, 1])
    check("CrossEntropyLoss", numbers(4, 3), labels, tensors=tensors, reduction=reduction, **options)


def test_cross_entropy_of_images_and_of_probabilities():
    labels = np.random.default_rng(0).integers(0, 3, (2, 4, 5))
    check("CrossEntropyLoss", numbers(2, 3, 4, 5), labels)
    shares = np.exp(numbers(4, 3, seed=2))
    check("CrossEntropyLoss", numbers(4, 3), shares / shares.sum(1, keepdims=True), label_smoothing=0.1)
    check("CrossEntropyLoss", numbers(3), np.array(2))


def test_cross_entropy_checks_smoothing():
    with pytest.raises(ValueRangeError):
        nn.CrossEntropyLoss(label_smoothing=1.5)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [{}, {"ignore_index": 1}], ids=str)
def test_negative_log_likelihood(reduction, options):
    tensors = {"weight": np.array([0.5, 2.0, 1.0], np.float32)}
    check("NLLLoss", numbers(4, 3), np.array([0, 2, 1, 1]), tensors=tensors, reduction=reduction, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy(reduction):
    target = np.array([[0.0, 1.0, 0.5], [1.0, 1.0, 0.0]], np.float32)
    weight = {"weight": np.array([0.5, 2.0, 1.0], np.float32)}
    probabilities = 1 / (1 + np.exp(-numbers(2, 3)))
    check("BCELoss", probabilities, target, reduction=reduction)
    check("BCELoss", probabilities, target, tensors=weight, reduction=reduction)
    check("BCEWithLogitsLoss", 30 * numbers(2, 3), target, reduction=reduction)
    tensors = {**weight, "pos_weight": np.array([3.0, 1.0, 0.2], np.float32)}
    check("BCEWithLogitsLoss", numbers(2, 3), target, tensors=tensors, reduction=reduction)


@pytest.mark.parametrize("reduction", ["sum", "none", "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_divergence(reduction, log_target):
    target = numbers(4, 3, seed=1) if log_target else np.abs(numbers(4, 3, seed=1))
    check("KLDivLoss", numbers(4, 3), target, reduction=reduction, log_target=log_target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("full", [False, True])
def test_of_distributions(reduction, full):
    target = np.abs(numbers(4, 3, seed=1)) * 3
    options = {"reduction": reduction, "full": full}
    check("PoissonNLLLoss", numbers(4, 3), target, **options)
    check("PoissonNLLLoss", np.abs(numbers(4, 3)) + 0.1, target, log_input=False, **options)
    check("GaussianNLLLoss", numbers(4, 3), target, np.abs(numbers(4, 3, seed=2)) + 0.1, **options)


@pytest.mark.parametrize(
    ("old", "reduction"),
    [
        ({"size_average": True}, "mean"),
        ({"size_average": False}, "sum"),
        ({"reduce": False}, "none"),
        ({"reduce": True}, "mean"),
    ],
)
def test_old_spelling_of_reduction(old, reduction):
    assert nn.MSELoss(**old).reduction == reduction


def test_weight_moves_with_the_module():
    loss = nn.CrossEntropyLoss(weight=jitorch.ones(3)).double()
    assert loss.weight.dtype == jitorch.float64
    assert array(loss.state_dict()["weight"]).tolist() == [1.0] * 3


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [{}, {"blank": 3, "zero_infinity": True}], ids=str)
def test_connectionist_temporal_classification(options, reduction):
    # PyTorch's gradient is that of what log_softmax was taken of.
    mine, reference = (lib.CTCLoss(reduction=reduction, **options) for lib in (nn, torch.nn))
    rest = np.array([[1, 2, 2], [2, 1, 0]]), np.array([6, 5]), np.array([3, 2])
    x, y = ours(numbers(6, 2, 4), True), theirs(numbers(6, 2, 4), True)
    out, expected = mine(x.log_softmax(-1), *map(ours, rest)), reference(y.log_softmax(-1), *map(theirs, rest))
    close(out, expected, "loss")
    out.sum().backward()
    expected.sum().backward()
    close(x.grad, y.grad, "gradient")
