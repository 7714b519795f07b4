import numpy as np
import pytest
import torch

from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import check_signature, close, copy_state, numbers, ours, theirs


def both(**options):
    mine, reference = nn.MultiheadAttention(8, 2, **options), torch.nn.MultiheadAttention(8, 2, **options)
    assert list(mine.state_dict()) == list(reference.state_dict())
    copy_state(reference, mine)
    return mine, reference


def check(mine, reference, arrays, **options):
    """Outputs, weights and gradients agree; ``options`` are arrays or plain values."""
    results = []
    for layer, make in ((mine, ours), (reference, theirs)):
        inputs = [make(a, True) for a in arrays]
        keywords = {k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        output, weights = layer(*inputs, **keywords)
        (output * make(numbers(*output.shape, seed=7))).sum().backward()
        gradients = [x.grad for x in inputs] + [p.grad for p in layer.parameters()]
        results.append((output, weights, gradients))
    (output, weights, gradients), (expected, expected_weights, expected_gradients) = results
    close(output, expected, "output")
    assert (weights is None) == (expected_weights is None)
    if weights is not None:
        close(weights, expected_weights, "weights")
    for a, b in zip(gradients, expected_gradients, strict=True):
        close(a, b, "gradient")


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False}, {"batch_first": True}, {"add_bias_kv": True}, {"add_zero_attn": True}],
    ids=str,
)
@pytest.mark.parametrize("need_weights", [True, False])
def test_self_attention(options, need_weights):
    x = numbers(3, 3, 8)
    check(*both(**options), [x, x, x], need_weights=need_weights)


def test_keys_and_values_of_other_sizes():
    check(*both(kdim=5, vdim=6), [numbers(4, 2, 8), numbers(3, 2, 5, seed=1), numbers(3, 2, 6, seed=2)])


def test_without_batch_axis():
    check(*both(batch_first=True), [numbers(4, 8), numbers(3, 8, seed=1), numbers(3, 8, seed=2)])


def test_masks():
    x = numbers(3, 2, 8)
    padding = np.array([[False, False, True], [False, False, False]])
    check(*both(), [x, x, x], key_padding_mask=padding, average_attn_weights=False)
    check(*both(), [x, x, x], attn_mask=np.triu(np.ones((3, 3), bool), 1), need_weights=False, is_causal=True)


def test_signature():
    check_signature(nn.MultiheadAttention, torch.nn.MultiheadAttention)


def test_heads_divide_the_width():
    with pytest.raises(ValueRangeError):
        nn.MultiheadAttention(8, 3)
