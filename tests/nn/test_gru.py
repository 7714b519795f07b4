import pytest
import torch

from jitorch import nn
from tests.nn.oracle import numbers
from tests.nn.recurrent_cases import check_recurrent, sequence


@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"num_layers": 2, "batch_first": True}, {"bidirectional": True}], ids=str
)
def test_agrees_with_pytorch(options):
    x = sequence(options.get("batch_first", False))
    check_recurrent(nn.GRU(3, 5, **options), torch.nn.GRU(3, 5, **options), x)


def test_state_is_used():
    check_recurrent(nn.GRU(3, 5), torch.nn.GRU(3, 5), sequence(), numbers(1, 2, 5, seed=3))
