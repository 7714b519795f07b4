"""Text of sizes and guards."""

from __future__ import annotations

import pytest
from hypothesis import assume, given

from jitorch import dims
from jitorch.errors import ParseError, ShapeError
from tests.dims.expressions import KNOWN, build, trees

A, B = KNOWN["A"].dim, KNOWN["B"].dim


@given(trees(12))
def test_round_trip(tree):
    try:
        dim = build(tree)
    except ShapeError:
        assume(False)
    assert dims.parse(str(dim), KNOWN) == dim


@pytest.mark.parametrize(
    ("text", "dim"),
    [
        ("12", 12),
        ("-A", -A),
        (" 4*A + 1 ", 4 * A + 1),
        ("A-B - 1", A - B - 1),
        ("2*(A + B)*3", 6 * A + 6 * B),
        ("(A + 1)//2 % 3", (A + 1) // 2 % 3),
        ("floordiv(A + 1, 2)", (A + 1) // 2),
        ("mod(A, 3)", A % 3),
        ("min(A, B, 7)", dims.dim_min(A, B, 7)),
        ("max(A, -B)", dims.dim_max(A, -B)),
    ],
)
def test_parse(text, dim):
    assert dims.parse(text, KNOWN) == dim


@pytest.mark.parametrize(
    "text", ["", "A +", "A B", "Z", "(A", "A)", "4.5", "A $ B", "sin(A)", "mod(A)", "floordiv(A, B, 2)", "min()"]
)
def test_malformed(text):
    with pytest.raises(ParseError, match="not a size"):
        dims.parse(text, KNOWN)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ParseError, match="one of the symbols A, B, C, D"):
        dims.parse("Z", KNOWN)


@pytest.mark.parametrize("relation", ["==", "!=", "<", "<="])
def test_guard_round_trip(relation):
    guard = dims.Guard(relation, (A + 1) // 2, 4 * B)
    assert dims.parse_guard(str(guard), KNOWN) == guard


@pytest.mark.parametrize("text", ["A", "A > B", "A = B", "A == B == 1"])
def test_malformed_guard(text):
    with pytest.raises(ParseError):
        dims.parse_guard(text, KNOWN)
