"""Arithmetic, canonical form, ranges and comparison of sizes."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given

from jitorch import dims
from jitorch.errors import CompilerBug, ShapeError
from tests.dims.expressions import build, compute, sizes, trees

A = dims.symbol("A")
B = dims.symbol("B", 1)
S = dims.symbol("S", 1)
T = dims.symbol("T", 1)


@given(trees(), sizes())
def test_arithmetic_agrees_with_ints(tree, values):
    try:
        expected = compute(tree, values)
        dim = build(tree)
    except (ZeroDivisionError, ShapeError):
        assume(False)
    assert dims.evaluate(dim, values) == expected
    low, high = dims.bounds(dim)
    assert (low is None or low <= expected) and (high is None or expected <= high)


@given(trees(), trees(), trees())
def test_ring_laws_are_structural_equality(a, b, c):
    try:
        x, y, z = build(a), build(b), build(c)
    except ShapeError:
        assume(False)
    assert x + y == y + x and hash(x + y) == hash(y + x)
    assert x * y == y * x
    assert (x + y) + z == x + (y + z)
    assert (x * y) * z == x * (y * z)
    assert x * (y + z) == x * y + x * z
    assert x - x == 0
    assert type(x - x) is int


@given(trees(), trees())
def test_least_and_greatest_do_not_depend_on_order(a, b):
    try:
        x, y = build(a), build(b)
    except ShapeError:
        assume(False)
    assert dims.dim_min(x, y) == dims.dim_min(y, x)
    assert dims.dim_max(x, y) == dims.dim_max(y, x)
    assert dims.dim_min(x, x) == x


@given(trees(), trees(), sizes())
def test_what_is_decided_is_true(a, b, values):
    try:
        x, y = build(a), build(b)
        left, right = compute(a, values), compute(b, values)
    except (ZeroDivisionError, ShapeError):
        assume(False)
    truths = {"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right}
    for relation, truth in truths.items():
        assert dims.decide(relation, x, y) in (None, truth)


@given(trees())
def test_an_exact_quotient_is_found(tree):
    try:
        x = build(tree)
    except ShapeError:
        assume(False)
    assert dims.floordiv(x * T, T) == x
    assert dims.mod(x * T, T) == 0
    assert dims.floordiv(x * (T + S), T + S) == x
    assert dims.floordiv(x * 12 + 7, 12) == x


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (4 * T + 1, "4*T + 1"),
        (1 + T * 4, "4*T + 1"),
        (3 - T, "-T + 3"),
        (T * S * 2 - T, "2*S*T - T"),
        (T * T, "T*T"),
        ((T + 1) * (T - 1), "T*T - 1"),
        ((T + 1) // 2, "floordiv(T + 1, 2)"),
        (T % 3, "mod(T, 3)"),
        (dims.dim_min(T, S, T + 1), "min(S, T)"),
        (dims.dim_max(dims.dim_max(T, S), 3), "max(3, S, T)"),
    ],
)
def test_text(dim, text):
    assert str(dim) == text
    assert repr(dim) == f"Dim({text})"


@pytest.mark.parametrize(
    ("dim", "simple"),
    [
        ((4 * T) // 4, T),
        ((4 * T) % 4, 0),
        ((4 * T + 5) // 4, T + 1),
        ((4 * T + 5) % 4, 1),
        ((6 * T) // 4, T + T // 2),
        ((6 * T + 3) % 4, 2 * ((T + 1) % 2) + 1),
        ((T * S) // S, T),
        ((B * T * 6) // (B * 4), T + T // 2),
        ((B * T * 6) % (B * 4), 2 * B * (T % 2)),
        (T // (T + 1), 0),
        (T % (T + 1), T),
        ((T * T) // (T + 1), T - 1),
        ((T // 2 + 1) // 3, (T + 2) // 6),
        ((-T) // -1, T),
        (T // -2, (-T) // 2),
        (0 // T, 0),
        (0 % (2 * T), 0),
        (5 // (4 * T), 1 // T),
        (7 // dims.symbol("big", 8), 0),
        (dims.dim_min(T, T + S), T),
        (dims.dim_max(T, 1), T),
        (dims.dim_min(T, 0), 0),
        (dims.dim_max(A, 0), A),
        (dims.prod([2, T, 3, S]), 6 * S * T),
        (dims.prod([]), 1),
    ],
)
def test_simplifies(dim, simple):
    assert dim == simple


def test_a_divisor_that_may_be_zero_stays():
    assert str((T * A) // A) == "floordiv(A*T, A)"
    with pytest.raises(ShapeError, match="by zero"):
        dims.evaluate((T * A) // A, {"T": 3, "A": 0})


def test_division_by_the_constant_zero():
    with pytest.raises(ShapeError, match="by zero"):
        T // 0
    with pytest.raises(ShapeError, match="by zero"):
        dims.mod(5, 0)


def test_numpy_integers_are_ints():
    assert np.int64(4) * T == 4 * T
    assert T - np.int32(1) == T - 1
    assert type((T + np.int64(3)) - T) is int
    assert type(dims.dim_max(T - T, np.int64(3))) is int


def test_other_operands_are_refused():
    with pytest.raises(TypeError):
        T + 1.5  # type: ignore[operator]
    with pytest.raises(TypeError):
        "x" * T  # type: ignore[operator]


def test_an_operand_with_its_own_arithmetic_answers_itself():
    class Scalar:
        def __index__(self):
            raise AssertionError("must not be read")

        def __rmul__(self, other):
            return ("scaled", other)

    assert T * Scalar() == ("scaled", T)


def test_equality_is_structural():
    assert T != S
    assert T != 4
    assert dims.symbol("T", 1, hint=5) == T
    assert dims.symbol("T", 2) != T


def test_is_frozen():
    with pytest.raises(AttributeError):
        T.terms = ()  # type: ignore[misc]


def test_pickles_into_another_process():
    dim = (T + 1) // 2 * S + dims.dim_max(T, S)
    assert pickle.loads(pickle.dumps(dim)) == dim
    # Another process has another seed of str hashes.
    code = f"import pickle; d = pickle.loads({pickle.dumps(dim)!r}); assert hash(d + 0) == hash(d); print(d)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(dim)


@pytest.mark.parametrize(
    ("dim", "expected"),
    [
        (7, (7, 7)),
        (T, (1, None)),
        (3 - T, (None, 2)),
        (B * T - T, (0, None)),
        (T * T - T, (0, None)),
        (T % 4, (0, 3)),
        (T - dims.mod(-5, T), (1, None)),
        (dims.mod(S, T) - T, (None, -1)),
        (dims.symbol("C", 2, 9) // 2, (1, 4)),
        (dims.dim_min(T, 8), (1, 8)),
        (10 - dims.symbol("C", 2, 9) * 2 + dims.symbol("E", 0, 3), (-8, 9)),
    ],
)
def test_bounds(dim, expected):
    assert dims.bounds(dim) == expected


def test_decide():
    assert dims.decide("==", T + 1, 1 + T) is True
    assert dims.decide("==", T, 0) is False
    assert dims.decide("==", 2 * T + 1, 4 * S) is False
    assert dims.decide("==", T, S) is None
    assert dims.decide("!=", T, 0) is True
    assert dims.decide("!=", T, S) is None
    assert dims.decide("<", A, A + 1) is True
    assert dims.decide("<=", T, T * S) is True
    assert dims.decide("<", T + 3, T) is False
    assert dims.decide("<", T, S) is None


def test_predicates_without_facts():
    assert dims.equal(3, 3) and not dims.equal(T, T + 1)
    assert dims.less(T, T + 1) and T < T + 1 and not T > T + 1
    assert dims.less_equal(1, T) and T >= 1
    assert bool(T) and dims.is_multiple(6 * T, 3)
    with pytest.raises(ShapeError, match="whether T == S depends"):
        dims.equal(T, S)
    with pytest.raises(ShapeError):
        bool(A)


def test_an_unknown_function_is_a_bug():
    with pytest.raises(CompilerBug, match="cube"):
        dims.bounds(dims.Atom("cube", (T,)).dim)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("T - min(T, 1)", 0, None), ("max(T, 4) - T", 0, None), ("min(T, B) - T", None, 0), ("T - max(T, B)", None, 0)],
)
def test_the_range_of_a_difference_to_the_least_or_greatest(text, low, high):
    known = {name: dims.symbols(dims.symbol(name))[0] for name in "TB"}
    found = dims.bounds(dims.parse(text, known))
    assert low is None or found[0] == low
    assert high is None or found[1] == high
    assert dims.dim_max(dims.parse("T", known), dims.parse("min(T, 1)", known)) == dims.parse("T", known)
