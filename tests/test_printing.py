"""PyTorch is the oracle: the same numbers must print as the same characters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import jitorch
from jitorch import printing
from jitorch.errors import ValueRangeError


@pytest.fixture(autouse=True)
def _restore():
    yield
    printing.set_printoptions(profile="default")
    torch.set_printoptions(profile="default")


def _same(array: np.ndarray) -> None:
    ours = repr(jitorch.from_numpy(array.copy())).replace("jitorch.", "torch.")
    assert ours == repr(torch.from_numpy(array.copy()))


SHAPES = [
    (), (1,), (3,), (0,), (2, 0), (25,), (3, 4), (2, 3, 4), (1, 1, 1), (2, 1, 2, 2), (1001,), (40, 40), (3, 2000),
    (11, 11, 11),
]  # fmt: skip
INTEGERS = ["bool", "uint8", "int8", "int16", "int32", "int64"]
DTYPES = [*INTEGERS, "float16", "float32", "float64", "complex64", "complex128"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_prints_like_pytorch(shape, dtype):
    rng = np.random.default_rng(len(shape))
    for scale in (1, 50):
        values = rng.normal(size=shape) * scale
        if dtype.startswith("complex"):
            values = values + 1j * rng.normal(size=shape)
        if dtype == "uint8":
            values = abs(values)
        _same(np.asarray(values).astype(dtype))


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0, -3.0], [1.5, 2.0], [0.0, 0.0], [-0.0], [1e9], [123456789.0, 1.0], [1e8], [1.0, 1001.0],
        [1.0, 1000.0],
        [1e-4], [9e-5, 1.0], [1e-5, 1e5], [1.25e-3, 1.0], [math.nan], [math.inf, 1.0], [-math.inf, 0.5, math.nan],
        [1e300, 1e-300], [5e-324], [-1234.5678, 0.001], [99999.99999], [0.1 + 0.2], [1e20, math.inf], [12345678.0],
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_notation_follows_the_values(values, dtype):
    with np.errstate(over="ignore"):
        array = np.array(values).astype(dtype)
    _same(array)
    _same(array.reshape(-1, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2}, {"precision": 8, "linewidth": 40}, {"threshold": 5}, {"threshold": 5, "edgeitems": 1},
        {"sci_mode": True}, {"sci_mode": False}, {"profile": "short"}, {"profile": "full"},
        {"edgeitems": 0, "threshold": 3},
    ],
    ids=str,
)  # fmt: skip
def test_options(options):
    rng = np.random.default_rng(0)
    printing.set_printoptions(**options)
    torch.set_printoptions(**options)
    for shape in ((7,), (4, 9), (2, 8, 3)):
        _same(rng.normal(size=shape).astype("float32"))
        _same((rng.normal(size=shape) * 1e6).astype("float32"))
        _same(rng.integers(-100, 100, size=shape))


def test_unknown_profile():
    with pytest.raises(ValueRangeError, match="profile"):
        printing.set_printoptions(profile="loud")


def test_get_printoptions():
    printing.set_printoptions(precision=3)
    assert printing.get_printoptions()["precision"] == 3


def test_bfloat16():
    ours = repr(jitorch.tensor([1.5, 2.25]).bfloat16()).replace("jitorch.", "torch.")
    assert ours == repr(torch.tensor([1.5, 2.25]).bfloat16())


@pytest.mark.parametrize("lib", [jitorch, torch])
def test_autograd_suffixes(lib):
    x = lib.ones(2, requires_grad=True)
    assert repr(x) == "tensor([1., 1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 2.], grad_fn=<MulBackward0>)"
    assert repr(x.detach()) == "tensor([1., 1.])"


def test_a_long_suffix_starts_a_line():
    ours = jitorch.arange(17, dtype=jitorch.float32).double().requires_grad_()
    theirs = torch.arange(17, dtype=torch.float32).double().requires_grad_()
    assert repr(ours).replace("jitorch.", "torch.") == repr(theirs)


def test_format_of_a_number():
    assert f"{jitorch.tensor(3.14159):.2f}" == "3.14"
    assert f"{jitorch.tensor(2)}" == "2"
    assert str(jitorch.tensor([1, 2])) == "tensor([1, 2])"


def test_a_tensor_without_data_shows_its_type():
    from jitorch.ir.types import TensorType

    traced = jitorch.Tensor._traced(TensorType(jitorch.float32, (2, 3)))
    assert repr(traced) == "tensor(<f32[2, 3]>)"
