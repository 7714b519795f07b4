import pytest

import jitorch
from jitorch.errors import ArgumentError
from jitorch.nn.initial import blank, reset_linear
from tests.nn.oracle import array


def test_blank():
    assert tuple(blank(2, 3, device=None, dtype=None).shape) == (2, 3)
    assert blank(2, device=None, dtype=jitorch.float64).dtype == jitorch.float64
    with pytest.raises(ArgumentError):
        blank(2, device=None, dtype=jitorch.int64)


def test_reset_linear_without_inputs():
    weight, bias = jitorch.zeros(2, 0), jitorch.ones(2)
    reset_linear(weight, bias)
    assert array(bias).tolist() == [0.0, 0.0]
