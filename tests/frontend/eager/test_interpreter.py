"""Eager execution: dtypes for all pairs of operands, sharing of memory, refusals before anything is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch import dtypes, errors
from jitorch.frontend.eager.interpreter import StaleTensor
from jitorch.ir.types import TensorType

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf")  # PyTorch's, of a dtype that only it has

NAMES = [d.name for d in dtypes.ALL]
NUMBERS = {"bool": True, "int": 2, "float": 2.5, "complex": 1 + 2j}
PAIRS = [(a, b) for a in NAMES for b in NAMES]
OPERATIONS = ("add", "sub", "mul", "div", "eq", "lt", "maximum", "pow", "floor_divide", "bitwise_and")


def operand(module: Any, name: str, axes: int) -> Any:
    if name in NUMBERS and not axes and name not in NAMES:
        return NUMBERS[name]
    return module.ones((1,) * axes, dtype=getattr(module, name))


def result_dtype(module: Any, operation: str, x: Any, y: Any) -> str | None:
    try:
        return str(getattr(module, operation)(x, y).dtype).rpartition(".")[2]
    except (RuntimeError, TypeError, NotImplementedError):
        return None


def check(operation: str, x: tuple[str, int], y: tuple[str, int]) -> None:
    want = result_dtype(torch, operation, operand(torch, *x), operand(torch, *y))
    got = result_dtype(jitorch, operation, operand(jitorch, *x), operand(jitorch, *y))
    if want is not None and want != "complex32":  # which does not exist here
        assert got == want, (operation, x, y)


@pytest.mark.parametrize("operation", ["add", "div"])
@pytest.mark.parametrize(("left", "right"), [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_dtypes_of_tensors_are_promoted_as_in_pytorch(operation: str, left: int, right: int) -> None:
    for a, b in PAIRS:
        check(operation, (a, left), (b, right))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_dtypes_of_a_tensor_and_a_number_are_promoted_as_in_pytorch(operation: str) -> None:
    for axes in (1, 0):
        for a in NAMES:
            for number in ("int", "float", "complex"):
                check(operation, (a, axes), (number, 0))


@pytest.mark.parametrize("default", ["float32", "float64", "float16"])
def test_numbers_take_the_default_dtype(default: str) -> None:
    jitorch.set_default_dtype(getattr(jitorch, default))
    torch.set_default_dtype(getattr(torch, default))
    try:
        for number in ("float", "complex"):
            check("mul", ("int32", 1), (number, 0))
        check("div", ("int32", 1), ("int64", 1))
        assert str(jitorch.tensor(1.5).dtype) == f"jitorch.{default}"
    finally:
        jitorch.set_default_dtype(jitorch.float32)
        torch.set_default_dtype(torch.float32)


def test_results_of_in_place_operations_keep_the_dtype() -> None:
    x = jitorch.ones(2, dtype=jitorch.float16)
    x.add_(jitorch.ones(2, dtype=jitorch.float64))
    assert x.dtype is jitorch.float16
    with pytest.raises(errors.DTypeError, match="does not fit"):
        jitorch.ones(2, dtype=jitorch.int64).mul_(0.5)
    with pytest.raises(errors.DTypeError, match="does not fit"):
        jitorch.ones(2, dtype=jitorch.bool).add_(1)


def test_views_share_storage_and_version() -> None:
    x = jitorch.zeros(2, 3, 4)
    views = [
        x[0],
        x[:, 1:],
        x.transpose(0, 2),
        x.view(6, 4),
        x.unsqueeze(0),
        x.diagonal(),
        x.detach(),
        x.permute(2, 0, 1),
    ]
    for count, view in enumerate(views, 1):
        view.add_(1)
        assert view._version == x._version == count
        assert np.shares_memory(view.numpy(), x.numpy())
        assert view.data_ptr() == x.data_ptr() + 4 * view.storage_offset()


@pytest.mark.parametrize("make", [lambda x: x.clone(), lambda x: x + 0, lambda x: x.t().reshape(-1), lambda x: x[[0]]])
def test_other_results_share_nothing(make: Any) -> None:
    x = jitorch.zeros(2, 3)
    assert not np.shares_memory(make(x).numpy(), x.numpy())


def test_memory_that_elements_share_is_not_written() -> None:
    x = jitorch.zeros(3, 1)
    for view in (x.expand(3, 4), x.expand(3, 4)[0], x.expand(2, 3, 1)[0]):
        with pytest.raises(errors.ShapeError, match="cannot write"):
            view.add_(1)
    x.expand(1, 3, 1).add_(1)
    np.testing.assert_array_equal(x.numpy(), 1)


def test_read_only_arrays_are_not_written() -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    with pytest.raises(errors.ShapeError, match="read-only"):
        jitorch.Tensor._from_array(array).add_(1)
    jitorch.from_numpy(array).add_(1)  # a copy
    assert not array.any()


def test_a_failed_write_changes_nothing() -> None:
    x = jitorch.zeros(2, 3)
    for wrong in (
        lambda: x.add_(jitorch.ones(4)),
        lambda: x.copy_(jitorch.ones(2, 2)),
        lambda: x[0].mul_(jitorch.ones(2, 3)),
    ):
        with pytest.raises(errors.ShapeError):
            wrong()
    assert x._version == 0
    np.testing.assert_array_equal(x.numpy(), 0)


def test_what_is_computed_from_stale_tensors_is_stale() -> None:
    stale = StaleTensor.of(TensorType(dtypes.float32, (2, 3)))
    for result in (stale + 1, stale.sum(0), stale[0], stale.t() @ jitorch.ones(2, 2), *stale.sort()):
        assert isinstance(result, StaleTensor)
    assert stale[0].shape == (3,)
    with pytest.raises(errors.AutogradError, match="in-place"):
        stale.tolist()
    with pytest.raises(errors.AutogradError, match="in-place"):
        jitorch.zeros(2, 3).copy_(stale)
