from __future__ import annotations

import copy
import decimal
import enum
import math
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest

from jitorch.frontend.python.values import (
    class_entry,
    is_identical,
    is_iterator,
    is_namedtuple,
    is_of_the_user,
    is_plain,
    python_function,
)


class Color(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [1, True, "a", None, ..., (1, "a", (2,)), frozenset("a"), Color.RED, np.float32(1), slice(1, 2), (int, str)],
)
def test_plain(value: Any) -> None:
    assert is_plain(value)


@pytest.mark.parametrize("value", [[1], {}, (1, [2]), (1.5,), object(), int, len, np.ones(2), slice([1], 2)])
def test_not_plain(value: Any) -> None:
    assert not is_plain(value)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, True), (1, 1.0), (0.0, -0.0), (0j, -0j), (range(0), range(1, 1)), ((1,), (True,)), (slice(0), slice(False)),
        (frozenset({1}), frozenset({1.0})), (np.float32(0), np.float32(-0.0)), (np.int64(1), np.int32(1)),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")), ("a", b"a"), ((1, (0j,)), (1, (-0j,))), (None, False),
    ],
    ids=repr,
)  # fmt: skip
def test_equal_and_not_identical(a: Any, b: Any) -> None:
    assert not is_identical(a, b)
    assert is_identical(a, a)
    assert is_identical(b, b)


@pytest.mark.parametrize("value", ["ab", b"ab", 2**70, math.nan, (1, "a"), slice(1, None), np.float64(2.5), Color.RED])
def test_identical(value: Any) -> None:
    assert is_identical(value, copy.copy(value))


def test_classes_of_the_user() -> None:
    assert is_of_the_user(Color)
    assert not any(map(is_of_the_user, (int, list, np.ndarray, OrderedDict)))


def test_kinds() -> None:
    pair = namedtuple("pair", "a")
    assert is_namedtuple(pair)
    assert not is_namedtuple(tuple)
    assert is_iterator(iter([]))
    assert not is_iterator([])
    assert python_function(enum.Enum, "__repr__") is enum.Enum.__repr__
    assert python_function(int, "__repr__") is None
    assert class_entry(OrderedDict, "get") == (dict, dict.__dict__["get"])
    assert class_entry(OrderedDict, "no such name") is None
