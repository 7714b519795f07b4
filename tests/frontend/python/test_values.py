from __future__ import annotations

import enum
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest

from jitorch.frontend.python.values import class_entry, is_iterator, is_namedtuple, is_plain, python_function


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
