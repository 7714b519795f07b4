import pytest
import torch

from jitorch import nn
from jitorch.errors import ShapeError
from tests.nn.oracle import check_signature, numbers, ours
from tests.nn.recurrent_cases import check_recurrent

X = numbers(2, 3)
H, C = numbers(2, 5, seed=1), numbers(2, 5, seed=2)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"nonlinearity": "relu"}], ids=str)
def test_rnn_cell(options):
    check_recurrent(nn.RNNCell(3, 5, **options), torch.nn.RNNCell(3, 5, **options), X)
    check_recurrent(nn.RNNCell(3, 5, **options), torch.nn.RNNCell(3, 5, **options), X, H)


@pytest.mark.parametrize("bias", [True, False])
def test_lstm_cell(bias):
    check_recurrent(nn.LSTMCell(3, 5, bias), torch.nn.LSTMCell(3, 5, bias), X)
    check_recurrent(nn.LSTMCell(3, 5, bias), torch.nn.LSTMCell(3, 5, bias), X, (H, C))


@pytest.mark.parametrize("bias", [True, False])
def test_gru_cell(bias):
    check_recurrent(nn.GRUCell(3, 5, bias), torch.nn.GRUCell(3, 5, bias), X)
    check_recurrent(nn.GRUCell(3, 5, bias), torch.nn.GRUCell(3, 5, bias), X, H)


def test_without_batch_axis():
    check_recurrent(nn.LSTMCell(3, 5), torch.nn.LSTMCell(3, 5), X[0], (H[0], C[0]))


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_signature(name):
    check_signature(getattr(nn, name), getattr(torch.nn, name))


def test_input_has_one_or_two_axes():
    with pytest.raises(ShapeError):
        nn.GRUCell(3, 5)(ours(numbers(2, 2, 3)))
