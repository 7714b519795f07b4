import numpy as np
import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import check_signature, close, copy_state, numbers, ours, theirs

OPTIONS = [
    {},
    {"batch_first": True, "norm_first": True, "activation": "gelu"},
    {"bias": False, "layer_norm_eps": 1e-3},
]


def check(mine, reference, x, mask=None):
    assert list(mine.state_dict()) == list(reference.state_dict())
    copy_state(reference, mine)
    a, b = ours(x, True), theirs(x, True)
    masks = [None if mask is None else make(mask) for make in (ours, theirs)]
    out, expected = mine(a, masks[0]), reference(b, masks[1])
    close(out, expected, "output")
    weights = numbers(*x.shape, seed=7)
    (out * ours(weights)).sum().backward()
    (expected * theirs(weights)).sum().backward()
    close(a.grad, b.grad, "gradient of the input")
    gradients = {name: parameter.grad for name, parameter in reference.named_parameters()}
    for name, parameter in mine.named_parameters():
        close(parameter.grad, gradients[name], f"gradient of {name}", atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_layer(options):
    args = (8, 2, 16, 0.0)
    mine = nn.TransformerEncoderLayer(*args, **options)
    check(mine, torch.nn.TransformerEncoderLayer(*args, **options), numbers(3, 3, 8))


def test_layer_with_mask():
    mask = np.triu(np.ones((3, 3), bool), 1)
    args = (8, 2, 16, 0.0)
    check(nn.TransformerEncoderLayer(*args), torch.nn.TransformerEncoderLayer(*args), numbers(3, 2, 8), mask)


@pytest.mark.parametrize("norm", [True, False])
def test_encoder(norm):
    args = (8, 2, 16, 0.0)
    mine, reference = (
        package.TransformerEncoder(
            package.TransformerEncoderLayer(*args), 2, package.LayerNorm(8) if norm else None, False
        )
        for package in (nn, torch.nn)
    )
    check(mine, reference, numbers(3, 2, 8))


def test_layers_of_an_encoder_start_equal_and_are_apart():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)
    first, second = (layer.linear1.weight for layer in encoder.layers)
    assert (first == second).all().item()
    with jitorch.no_grad():
        first.add_(1)
    assert (first != second).all().item()


def test_compiled_equals_eager():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = ours(numbers(2, 3, 8))
    close(jitorch.jit(layer, fullgraph=True)(x), layer(x), rtol=1e-4, atol=1e-5)


def test_signatures():
    check_signature(nn.TransformerEncoderLayer, torch.nn.TransformerEncoderLayer, ("activation",))
    check_signature(nn.TransformerEncoder, torch.nn.TransformerEncoder)


def test_activation_is_relu_or_gelu():
    with pytest.raises(ValueRangeError):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")
