"""What holds for every layer."""

from __future__ import annotations

import inspect

import pytest
import torch

from jitorch import nn
from tests.nn.oracle import check_signature

# Deprecated or internal in PyTorch, left out here; or a default that is a function of each package's own.
LEFT_OUT = {"Hardtanh": ("min_value", "max_value"), "TransformerEncoderLayer": ("activation",)}
# PyTorch's constructors take ``*args, **kwargs``; their documented parameters are tested in test_rnn and beside it.
UNSIGNED = {"GRU", "LSTM", "RNN"}
LAYERS = sorted(
    name
    for name, value in vars(nn).items()
    if inspect.isclass(value)
    and issubclass(value, nn.Module)
    and value.__init__ is not nn.Module.__init__
    and name not in UNSIGNED
)


@pytest.mark.parametrize("name", LAYERS)
def test_constructor_is_pytorchs(name):
    check_signature(getattr(nn, name), getattr(torch.nn, name), LEFT_OUT.get(name, ()))


def test_there_are_layers():
    assert len(LAYERS) > 45
