"""Tensor: memory shared with NumPy, copies, pickles, what it says of itself, conversions to Python."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import errors, nn
from jitorch.tensor import Size


def leaf(*shape: int) -> jitorch.Tensor:
    return jitorch.ones(shape, requires_grad=True)


# ---- NumPy
def test_memory_is_shared_with_numpy_both_ways() -> None:
    array = np.arange(6.0).reshape(2, 3)
    x = jitorch.from_numpy(array)
    assert x.numpy() is array
    x[0, 0] = 7
    array[1, 2] = 8
    assert (array[0, 0], x[1, 2].item()) == (7, 8)
    assert np.shares_memory(np.asarray(x), array)
    assert np.shares_memory(x.t().numpy(), array)


def test_arrays_of_any_layout_are_taken_as_they_are() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)[:, ::-1, ::2]
    x = jitorch.from_numpy(array)
    assert np.shares_memory(x.numpy(), array)
    assert x.stride() == (12, -4, 2)
    assert not x.is_contiguous()
    assert x.contiguous().is_contiguous()
    np.testing.assert_array_equal((x + 1).numpy(), array + 1)


def test_conversion_to_arrays() -> None:
    x = jitorch.ones(2)
    assert np.asarray(x, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x, copy=True), x.numpy())
    with pytest.raises(errors.AutogradError, match="requires grad"):
        leaf(2).numpy()
    np.testing.assert_array_equal(leaf(2).numpy(force=True), [1, 1])


def test_numpy_scalars_and_arrays_are_operands() -> None:
    x = jitorch.ones(2)
    assert (x * np.float64(2)).dtype is jitorch.float32
    np.testing.assert_array_equal((np.float32(3) - x).numpy(), [2, 2])


# ---- copies
def test_deep_copies_are_leaves_with_gradients_and_attributes() -> None:
    x = leaf(2)
    x.note = ["kept"]
    (x * 2).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad
    assert y.note == ["kept"]
    np.testing.assert_array_equal(y.grad.numpy(), [2, 2])
    with jitorch.no_grad():
        y.zero_()
    y.grad.zero_()
    np.testing.assert_array_equal(x.detach().numpy(), [1, 1])
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2])


def test_deep_copies_keep_what_is_one_object() -> None:
    x = leaf(2)
    first, second = copy.deepcopy([x, x])
    assert first is second


def test_only_leaves_are_deep_copied() -> None:
    with pytest.raises(errors.AutogradError, match="leaf"):
        copy.deepcopy(leaf(2) * 2)


@pytest.mark.parametrize("make", [lambda: leaf(2, 3), lambda: jitorch.arange(4), lambda: jitorch.ones(3, 2).t()])
def test_pickles_bring_back_values_and_flags(make: Any) -> None:
    x = make()
    y = pickle.loads(pickle.dumps(x))
    assert (y.dtype, y.shape, y.requires_grad) == (x.dtype, x.shape, x.requires_grad)
    np.testing.assert_array_equal(y.detach().numpy(), x.detach().numpy())


def test_pickled_parameters_are_parameters() -> None:
    model = pickle.loads(pickle.dumps(nn.Linear(2, 3)))
    assert isinstance(model.weight, nn.Parameter)
    assert model.weight.requires_grad


# ---- what it is
def test_sizes() -> None:
    x = jitorch.zeros(2, 3, 4)
    assert x.size() == x.shape == (2, 3, 4)
    assert (x.size(-1), x.dim(), x.ndim, x.numel(), x.nelement(), len(x)) == (4, 3, 3, 24, 24, 2)
    assert (x.itemsize, x.element_size(), x.nbytes) == (4, 4, 96)
    assert x.stride() == (12, 4, 1)
    assert x.stride(1) == 4
    assert isinstance(x.shape[1:], Size)
    assert x.shape[1:].numel() == 12
    assert repr(x.shape) == "jitorch.Size([2, 3, 4])"


def test_layouts() -> None:
    x = jitorch.zeros(2, 3, 4, 5)
    assert x.is_contiguous()
    assert not x.transpose(1, 2).is_contiguous()
    assert x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2).is_contiguous(memory_format=jitorch.channels_last)
    assert (x.is_cuda, str(x.device), x.is_floating_point(), x.is_complex(), x.is_signed()) == (
        False,
        "cpu",
        True,
        False,
        True,
    )


def test_hash_and_identity() -> None:
    x, y = jitorch.ones(2), jitorch.ones(2)
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


# ---- Python numbers
def test_single_elements_are_numbers() -> None:
    assert jitorch.tensor([[2.5]]).item() == 2.5
    assert (int(jitorch.tensor(3.7)), float(jitorch.tensor(2)), complex(jitorch.tensor(2.0))) == (3, 2.0, 2 + 0j)
    assert [10, 20, 30][jitorch.tensor(1)] == 20
    assert f"{jitorch.tensor(math.pi):.2f}" == "3.14"
    assert bool(jitorch.tensor(0.0)) is False
    assert jitorch.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda: jitorch.zeros(2).item(), errors.ValueRangeError),
        (lambda: bool(jitorch.zeros(2)), errors.ValueRangeError),
        (lambda: int(jitorch.zeros(2)), errors.ValueRangeError),
        (lambda: [1][jitorch.tensor(0.0)], errors.ArgumentError),
        (lambda: len(jitorch.tensor(1)), errors.ArgumentError),
        (lambda: list(jitorch.tensor(1)), errors.ArgumentError),
    ],
)
def test_other_tensors_are_no_numbers(use: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        use()


def test_iteration_gives_rows() -> None:
    rows = list(jitorch.arange(6).reshape(3, 2))
    assert [r.tolist() for r in rows] == [[0, 1], [2, 3], [4, 5]]


# ---- flags and assignment
def test_gradients_are_wanted_of_floats_only() -> None:
    with pytest.raises(errors.AutogradError, match="floating point"):
        jitorch.arange(3).requires_grad_()
    x = jitorch.zeros(2)
    x.requires_grad = True
    assert x.requires_grad
    assert x.requires_grad_(False) is x
    with pytest.raises(errors.AutogradError, match="leaf"):
        (leaf(2) * 2).requires_grad_(False)


def test_a_gradient_has_its_tensors_type() -> None:
    x = leaf(2)
    with pytest.raises(errors.AutogradError, match="type"):
        x.grad = jitorch.ones(3)
    x.grad = jitorch.ones(2)
    x.grad = None
    assert x.grad is None


def test_data_is_replaced() -> None:
    x, part = leaf(3), jitorch.arange(6.0).reshape(2, 3)[1]
    x.data = part
    assert x.requires_grad
    assert x.is_leaf
    with jitorch.no_grad():
        x.zero_()
    np.testing.assert_array_equal(part.numpy(), 0)
    assert x.storage_offset() == 3


def test_items_are_assigned_as_in_numpy() -> None:
    array = np.arange(24.0).reshape(4, 6)
    x = jitorch.from_numpy(array.copy())
    keys: list[Any] = [
        0,
        -1,
        slice(1, 3),
        (slice(None), 2),
        (..., 0),
        ([0, 2], [1, 3]),
        (slice(None, None, 2), [0, 5]),
        array > 20,
    ]
    for value, key in enumerate(keys):
        ours = jitorch.tensor(key) if isinstance(key, np.ndarray) else key
        array[key] = value
        x[ours] = value
        np.testing.assert_array_equal(x.numpy(), array)
        np.testing.assert_array_equal(x[ours].numpy(), array[key])
