"""Keys: integers in the order of elements."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.ir.kernel_interpret import run
from jitorch.lower.sorting.keys import Keys
from tests.lower.sorting.lines import DTYPES, dtype, elements


def keys(x: np.ndarray, descending: bool, how: str) -> np.ndarray:
    source, target, i = k.Buffer("x", dtype(x)), k.Buffer("y", dtypes.int64), k.Var("i")
    key = getattr(Keys(dtype(x), descending), how)(k.Load(source, i))
    kernel = k.verify(k.Kernel("keys", (source, target), (), (k.For(i, k.const(x.size), (k.Store(target, i, key),)),)))
    out = np.zeros(x.size, np.int64)
    run(kernel, [x, out])
    return out


@pytest.mark.parametrize("name", [*DTYPES, "uint16", "uint32", "uint64"])
def test_keys_are_in_the_order_of_elements(name: str) -> None:
    x = elements(np.random.default_rng(0), (200,), name)
    x = x[np.argsort(x, kind="stable")]
    numbers = x.astype(object) if x.dtype.kind in "iub" else x
    is_equal = (numbers[1:] == numbers[:-1]) | ((numbers[1:] != numbers[1:]) & (numbers[:-1] != numbers[:-1]))
    for descending in (False, True):
        found = keys(x, descending, "signed")
        steps = found[1:] > found[:-1] if not descending else found[1:] < found[:-1]
        np.testing.assert_array_equal(steps, ~is_equal.astype(bool))


@pytest.mark.parametrize("name", DTYPES)
def test_digits_are_in_the_same_order_as_unsigned_numbers(name: str) -> None:
    x = elements(np.random.default_rng(0), (200,), name)
    bits = Keys(dtype(x), False).bits
    digits = keys(x, False, "digits").astype(np.uint64) & np.uint64((1 << bits) - 1)
    signed = keys(x, False, "signed")
    np.testing.assert_array_equal(np.argsort(digits, kind="stable"), np.argsort(signed, kind="stable"))
