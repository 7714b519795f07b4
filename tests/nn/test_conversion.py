import pytest

import jitorch
from jitorch.errors import ArgumentError
from jitorch.nn.conversion import parse_to


def test_forms():
    real = jitorch.float64
    tensor = jitorch.zeros(1, dtype=real)
    assert parse_to(real) == (None, real)
    assert parse_to("cpu") == ("cpu", None)
    assert parse_to("cpu", real) == parse_to("cpu", dtype=real) == parse_to(device="cpu", dtype=real) == ("cpu", real)
    assert parse_to("cpu", real, True) == ("cpu", real)
    assert parse_to(None, real) == (None, real)
    assert parse_to(tensor) == (tensor.device, real)
    with pytest.raises(ArgumentError):
        parse_to(real, speed="high")
