"""CTC loss beside PyTorch's, by logits under a log_softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import jitorch
from jitorch.nn import functional as F


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_gradient_by_logits(reduction: str, zero_infinity: bool) -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(7, 3, 5)), np.array([[1, 2, 2, 4], [3, 3, 0, 0], [1, 2, 3, 4]])
    # The last target has more labels than steps: it cannot be spelt.
    lengths = (7, 5, 3), (4, 2, 4)
    x = jitorch.tensor(logits).requires_grad_()
    y = torch.tensor(logits).requires_grad_()
    options = {"reduction": reduction, "zero_infinity": zero_infinity}
    loss = F.ctc_loss(F.log_softmax(x, 2), jitorch.tensor(targets), *lengths, **options)
    expected = torch.nn.functional.ctc_loss(y.log_softmax(2), torch.tensor(targets), *lengths, **options)
    np.testing.assert_allclose(loss.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    if not zero_infinity:
        return
    loss.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_concatenated_targets() -> None:
    rng = np.random.default_rng(0)
    log_probs = jitorch.tensor(rng.normal(size=(7, 2, 5))).log_softmax(2)
    padded = jitorch.tensor([[1, 2, 2], [3, 0, 0]])
    flat = jitorch.tensor([1, 2, 2, 3])
    one = F.ctc_loss(log_probs, padded, (7, 5), (3, 1))
    other = F.ctc_loss(log_probs, flat, (7, 5), (3, 1))
    assert one.item() == other.item()
