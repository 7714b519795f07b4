import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ValueRangeError
from tests.nn.oracle import array, numbers, ours


def test_share_and_scale_in_training():
    jitorch.manual_seed(1)
    out = array(nn.Dropout(0.25)(jitorch.ones(10_000)))
    assert set(out.tolist()) == {0.0, array(jitorch.ones(()) / 0.75).item()}
    assert 0.23 < (out == 0).mean() < 0.27


def test_nothing_in_evaluation():
    values = numbers(5)
    assert array(nn.Dropout(0.9).eval()(ours(values))).tolist() == values.tolist()


def test_gradient_follows_the_mask():
    x = jitorch.ones(100).requires_grad_(True)
    out = nn.Dropout(0.5)(x)
    out.sum().backward()
    assert (array(x.grad) == array(out)).all()


def test_ends_of_the_range():
    assert array(nn.Dropout(0.0)(jitorch.ones(4))).tolist() == [1.0] * 4
    assert array(nn.Dropout(1.0)(jitorch.ones(4))).tolist() == [0.0] * 4
    for p in (-0.1, 1.1):
        with pytest.raises(ValueRangeError):
            nn.Dropout(p)


def test_repr():
    assert repr(nn.Dropout(0.2, inplace=True)) == repr(torch.nn.Dropout(0.2, inplace=True))


@pytest.mark.parametrize(
    ("name", "shape"), [("Dropout1d", (40, 5, 3)), ("Dropout2d", (40, 5, 3, 2)), ("Dropout3d", (40, 5, 3, 2, 1))]
)
def test_whole_channels(name, shape):
    jitorch.manual_seed(2)
    layer = getattr(nn, name)(0.5)
    out = array(layer(jitorch.ones(shape))).reshape(200, -1)
    assert (out == out[:, :1]).all()
    assert set(out.flatten().tolist()) == {0.0, 2.0}
    assert 60 < (out[:, 0] == 0).sum() < 140
    assert array(layer.eval()(jitorch.ones(shape))).min() == 1
    assert repr(layer) == repr(getattr(torch.nn, name)(0.5))


@pytest.mark.parametrize("name", ["AlphaDropout", "FeatureAlphaDropout"])
def test_alpha_dropout_keeps_mean_and_deviation(name):
    jitorch.manual_seed(3)
    layer = getattr(nn, name)(0.2)
    out = array(layer(ours(numbers(100, 200))))
    assert out.mean() == pytest.approx(0, abs=0.03)
    assert out.std() == pytest.approx(1, abs=0.03)
    assert repr(layer) == repr(getattr(torch.nn, name)(0.2))
