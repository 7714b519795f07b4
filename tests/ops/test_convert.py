from __future__ import annotations

import pytest

import jitorch
from jitorch.errors import ArgumentError, DeviceError
from tests.ops.oracle import agree, array

X = array(2, 3)
NAMES = ["float", "double", "half", "bfloat16", "int", "long", "short", "char", "byte", "bool"]


@pytest.mark.parametrize("name", NAMES)
def test_methods_named_after_dtypes(name):
    agree(lambda lib, x: [getattr(x.abs(), name)(), getattr(x > 0, name)()], X)


def test_to():
    agree(
        lambda lib, x: [
            x.to(lib.float32), x.to("cpu"), x.to("cpu", lib.int64), x.to(lib.zeros(1).long()), x.to(dtype=lib.float16),
            x.to(device="cpu", dtype=lib.bool), x.to(lib.int32, non_blocking=True, copy=True), x.to(lib.device("cpu")),
            x.to(None, lib.float32), x.type_as(lib.zeros(1)), x.cpu(), x.to(lib.int8, False, True),
        ],
        X,
    )  # fmt: skip


def test_nothing_is_copied_without_need():
    x = jitorch.from_numpy(X.copy())
    assert x.to(jitorch.float64) is x and x.to("cpu") is x and x.double() is x and x.to(x) is x
    assert x.to(jitorch.float64, copy=True) is not x


def test_gradients_come_back_in_the_old_dtype():
    x = jitorch.ones(2, requires_grad=True)
    (x.double() * 2).sum().backward()
    assert x.grad.dtype is jitorch.float32 and x.grad.tolist() == [2, 2]


def test_out_of_range_values_saturate():
    x = jitorch.tensor([1e10, -1e10, float("nan"), 3.9, -3.9])
    assert x.int().tolist() == [2**31 - 1, -(2**31), 0, 3, -3]


def test_errors():
    x = jitorch.ones(2)
    for call in (lambda: x.cuda(), lambda: x.to("cuda:0"), lambda: x.to(jitorch.device("cuda"))):
        with pytest.raises(DeviceError, match="cuda"):
            call()
    with pytest.raises(DeviceError, match="unknown device"):
        x.to("gpu")
    with pytest.raises(ArgumentError, match="do not fit"):
        x.to(jitorch.float32, False, False, 1)
