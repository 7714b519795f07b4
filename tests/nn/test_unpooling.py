import pytest
import torch

import jitorch
from jitorch import nn
from tests.nn.oracle import close, numbers, ours, theirs
from tests.nn.test_loss import check


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"stride": 3}, {"padding": 1}], ids=str)
def test_max_unpool(rank, options):
    x = numbers(2, 3, *[6] * rank)
    found = []
    for module, tensor in ((nn, ours), (torch.nn, theirs)):
        pooled, indices = getattr(module, f"MaxPool{rank}d")(2, return_indices=True, **options)(tensor(x))
        unpool = getattr(module, f"MaxUnpool{rank}d")(2, **options)
        found.append((unpool(pooled, indices, output_size=x.shape), repr(unpool)))
    close(found[0][0], found[1][0], "unpooled")
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"ceil_mode": True}], ids=str)
def test_lp_pool(rank, options):
    check(f"LPPool{rank}d", abs(numbers(2, 3, *[5] * rank)), norm_type=2, kernel_size=2, **options)


def test_indices_are_integers():
    with pytest.raises(jitorch.errors.DTypeError):
        nn.MaxUnpool1d(2)(jitorch.ones(1, 1, 2), jitorch.ones(1, 1, 2))
