"""Evaluate, substitute, fold."""

from __future__ import annotations

import operator

import pytest
from hypothesis import assume, given

from jitorch import dims
from jitorch.errors import CompilerBug, ShapeError
from tests.dims.expressions import KNOWN, build, sizes, trees

S = dims.symbol("S", 1)
T = dims.symbol("T", 1)


@given(trees(), trees(), sizes())
def test_substitution_commutes_with_evaluation(tree, inner, values):
    try:
        dim, replacement = build(tree), build(inner)
        expected = dims.evaluate(dim, values | {"A": dims.evaluate(replacement, values)})
        substituted = dims.substitute(dim, {"A": replacement})
    except ShapeError:
        assume(False)
    # A keeps no range of its own, so the replacement must respect it.
    assume(dims.evaluate(replacement, values) >= KNOWN["A"].low)
    assert dims.evaluate(substituted, values) == expected


def test_substitute_keeps_other_symbols():
    assert dims.substitute(T * S + 1, {"T": 3}) == 3 * S + 1
    assert dims.substitute((T + 1) // 2, {"T": 2 * S - 1}) == S
    assert dims.substitute(7, {"T": 3}) == 7


def test_evaluate_needs_every_symbol():
    assert dims.evaluate(7, {}) == 7
    assert dims.evaluate(4 * T + S, {"T": 2, "S": 1}) == 9
    with pytest.raises(CompilerBug, match="no size given for S"):
        dims.evaluate(4 * T + S, {"T": 2})


def test_symbols():
    dim = (T + 1) // 2 + dims.dim_min(S, 4) * T
    assert [s.name for s in dims.symbols(dim, dims.symbol("B"))] == ["B", "S", "T"]
    assert dims.symbols(3) == ()


def test_fold_speaks_of_binary_scalar_functions():
    dim = 2 * T * S + dims.dim_max(S, T, 7) - 1
    text = dims.fold(dim, str, lambda fn, x, y: f"{fn}({x}, {y})")
    assert text == "add(add(mul(mul(S, T), 2), maximum(maximum(7, S), T)), -1)"
    assert dims.fold(0, str, operator.concat) == "0"
