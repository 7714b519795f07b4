import numpy as np
import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import close, numbers, ours
from tests.nn.recurrent_cases import check_recurrent, sequence


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"num_layers": 2, "batch_first": True},
        {"num_layers": 2, "bidirectional": True},
        {"proj_size": 2},
        {"proj_size": 2, "bidirectional": True, "num_layers": 2},
    ],
    ids=str,
)
def test_agrees_with_pytorch(options):
    x = sequence(options.get("batch_first", False))
    check_recurrent(nn.LSTM(3, 5, **options), torch.nn.LSTM(3, 5, **options), x)


def test_state_is_used():
    state = numbers(1, 2, 5, seed=3), numbers(1, 2, 5, seed=4)
    check_recurrent(nn.LSTM(3, 5), torch.nn.LSTM(3, 5), sequence(), state)


def test_without_batch_axis():
    state = numbers(1, 5, seed=3), numbers(1, 5, seed=4)
    check_recurrent(nn.LSTM(3, 5), torch.nn.LSTM(3, 5), sequence(batch=None), state)


def test_compiled_equals_eager():
    layer = nn.LSTM(3, 5)
    x = ours(sequence())
    compiled = jitorch.jit(layer, fullgraph=True)
    for a, b in zip((compiled(x)[0], *compiled(x)[1]), (layer(x)[0], *layer(x)[1]), strict=True):
        close(a, b)


def test_projection_is_smaller_than_the_state():
    with pytest.raises(ValueRangeError):
        nn.LSTM(3, 5, proj_size=5)


def test_initial_weights_fill_their_range():
    layer = nn.LSTM(64, 16)
    largest = max(np.abs(p.detach().numpy()).max() for p in layer.parameters())
    assert 0.95 / 4 < largest <= 1 / 4
    before = layer.weight_ih_l0.detach().clone()
    layer.reset_parameters()
    assert (layer.weight_ih_l0 != before).any().item()
