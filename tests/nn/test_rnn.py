import inspect

import pytest
import torch

from jitorch import nn
from jitorch.errors import ShapeError, ValueRangeError
from tests.nn.oracle import numbers, ours
from tests.nn.recurrent_cases import check_recurrent, sequence

OPTIONS = [
    {},
    {"nonlinearity": "relu"},
    {"bias": False},
    {"num_layers": 2, "batch_first": True},
    {"num_layers": 2, "bidirectional": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_agrees_with_pytorch(options):
    x = sequence(options.get("batch_first", False))
    check_recurrent(nn.RNN(3, 5, **options), torch.nn.RNN(3, 5, **options), x)


def test_state_is_used():
    check_recurrent(nn.RNN(3, 5, 2), torch.nn.RNN(3, 5, 2), sequence(), numbers(2, 2, 5, seed=3))


def test_without_batch_axis():
    check_recurrent(nn.RNN(3, 5), torch.nn.RNN(3, 5), sequence(batch=None), numbers(1, 5, seed=3))


def test_dropout_acts_between_layers_in_training_only():
    layer = nn.RNN(3, 5, num_layers=2, dropout=1.0)
    x = ours(sequence())
    trained, evaluated = layer(x)[0], layer.eval()(x)[0]
    assert not (trained == evaluated).all().item()


def test_wrong_arguments():
    with pytest.raises(ValueRangeError):
        nn.RNN(3, 5, nonlinearity="sigmoid")
    with pytest.raises(ValueRangeError):
        nn.RNN(3, 0)
    with pytest.raises(ValueRangeError):
        nn.RNN(3, 5, dropout=1.5)
    with pytest.raises(ShapeError):
        nn.RNN(3, 5)(ours(numbers(3)))
    with pytest.raises(ShapeError):
        nn.RNN(3, 5)(ours(sequence()), ours(numbers(1, 3, 5)))


def test_positions_of_the_documented_parameters():
    tail = ["bias", "batch_first", "dropout", "bidirectional"]
    expected = {
        nn.RNN: ["num_layers", "nonlinearity", *tail],
        nn.GRU: ["num_layers", *tail],
        nn.LSTM: ["num_layers", *tail, "proj_size"],
    }
    for layer, names in expected.items():
        found = list(inspect.signature(layer).parameters)
        assert found == ["input_size", "hidden_size", *names, "device", "dtype"]
