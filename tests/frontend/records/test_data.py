from __future__ import annotations

import marshal
import math
from enum import Enum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jitorch
from jitorch.dims import symbol
from jitorch.frontend.python import Path, paths
from jitorch.frontend.records.data import Decoder, Encoder, Roots
from jitorch.frontend.records.names import Changed, Digests, Unportable
from jitorch.frontend.trace.tensor_recorder import SymbolicKey
from jitorch.ir.types import INT, TensorType
from jitorch.ops import OPS

SIZE = symbol("s0", 2, None, 5)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner).map(tuple) | st.frozensets(PLAIN), max_leaves=8)


class Colour(Enum):
    RED = 1


def root() -> None:
    """What paths start from."""


def reader(encoder: Encoder, *args: Any) -> Decoder:
    return Decoder(Roots(root), marshal.loads(marshal.dumps(encoder.tables)), args, {})


def back(value: Any) -> Any:
    encoder = Encoder(Roots(root), Digests())
    data = marshal.loads(marshal.dumps(encoder.value(value)))
    return reader(encoder).value(data)


@given(VALUES)
def test_plain_values_come_back_with_their_types(value: Any) -> None:
    found = back(value)
    assert found == value
    assert repr(found) == repr(value) or isinstance(value, (tuple, frozenset))
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        jitorch.float32, jitorch.bfloat16, jitorch.device("cpu"), jitorch.strided, jitorch.channels_last, INT,
        TensorType(jitorch.float32, (2, 3)), TensorType(jitorch.int64, (SIZE, 4 * SIZE + 1)), OPS["add"], SIZE * 2,
        (jitorch.float32, (1, 2.5)), slice(1, None, 2), range(3, 9), int, Colour, Colour.RED, math, math.sqrt,
        np.dtype("int16"), np.float32(2.5), np.add, type(root), setattr, object.__new__, jitorch.nn.Linear, root,
    ],
    ids=lambda v: getattr(v, "__qualname__", type(v).__name__),
)  # fmt: skip
def test_named_values_come_back(value: Any) -> None:
    found = back(value)
    assert found == value
    assert type(found) is type(value)


def test_a_key_with_symbolic_sizes() -> None:
    key = SymbolicKey(TensorType(jitorch.float32, (SIZE, 3)), (False, True, None, None))
    assert back(key) == key


def test_an_array_comes_back_and_cannot_be_written() -> None:
    found = back(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(found, np.arange(6.0).reshape(2, 3))
    assert not found.flags.writeable


@pytest.mark.parametrize(
    "value", [object(), lambda: None, {"a": 1}, [1], np.array([object()])], ids=lambda v: type(v).__name__
)
def test_what_has_no_form_is_unportable(value: Any) -> None:
    with pytest.raises(Unportable):
        Encoder(Roots(root), Digests()).value(value)


def test_paths_come_back_and_find_what_is_there() -> None:
    encoder = Encoder(Roots(root), Digests())
    item = paths.item(paths.attr(paths.arg(0), "table"), "key")
    found = [item, paths.expression(paths.OPERATIONS["add"], item, 1), Path("kwarg", None, "k"), paths.const(root)]
    numbers = [encoder.path(path) for path in found]
    holder = type("Holder", (), {"table": {"key": 4}})()
    decoder = reader(encoder, holder)
    assert [decoder.path(number) for number in numbers] == found
    assert [decoder.at(number) for number in numbers[:2]] == [4, 5]
    with pytest.raises(Changed, match="k is not there"):
        decoder.at(numbers[2])
