"""Types of scripts: what fits where, what two branches have in common, what text they have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jitorch as torch
from jitorch.frontend.script import relations
from jitorch.frontend.script.relations import NUMBER, UNKNOWN, fits, join, mismatch, type_of, union, without
from jitorch.frontend.script.spelling import spell
from jitorch.ir import types
from jitorch.ir.parser import parse_type
from jitorch.ir.types import (
    ANY,
    BOOL,
    FLOAT,
    INT,
    NONE,
    STR,
    TENSOR,
    DictType,
    ListType,
    OptionalType,
    TupleType,
    UnionType,
)

PLAIN = [TENSOR, INT, FLOAT, BOOL, STR, NONE, ANY, types.COMPLEX, types.DEVICE, types.DTYPE]
TYPES = st.recursive(
    st.sampled_from(PLAIN),
    lambda inner: st.one_of(
        inner.map(ListType),
        st.tuples(inner, inner).map(lambda pair: DictType(*pair)),
        st.lists(inner, max_size=3).map(lambda items: TupleType(tuple(items))),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: union(tuple(items))),
    ),
    max_leaves=6,
)


@given(TYPES)
def test_types_have_text(type_):
    assert parse_type(str(type_)) == type_
    assert spell(type_)


@given(TYPES)
def test_a_type_fits_itself_and_any(type_):
    assert fits(type_, type_)
    assert fits(type_, ANY)
    assert join(type_, type_) == type_


@given(TYPES, TYPES)
def test_what_two_have_in_common_holds_both(a, b):
    joined = join(a, b)
    if joined is not None:
        assert fits(a, joined) and fits(b, joined)


@given(TYPES, TYPES)
def test_both_fit_their_union(a, b):
    assert fits(a, union((a, b))) and fits(b, union((a, b)))


@given(TYPES)
def test_without_none_no_none_is_left(type_):
    left = without(type_, lambda t: t == NONE)
    assert left is None or NONE not in relations.members(left)


@pytest.mark.parametrize(
    ("actual", "expected", "holds"),
    [
        (INT, FLOAT, True), (FLOAT, INT, False), (BOOL, INT, False), (NUMBER, INT, True), (STR, types.DEVICE, True),
        (ListType(INT), ListType(FLOAT), False), (ListType(UNKNOWN), ListType(STR), True),
        (OptionalType(INT), INT, False), (INT, OptionalType(INT), True), (NONE, OptionalType(INT), True),
        (TupleType((INT, STR)), TupleType((FLOAT, STR)), True), (TupleType((INT,)), TupleType((INT, INT)), False),
        (UnionType((INT, STR)), UnionType((STR, INT, TENSOR)), True), (DictType(STR, INT), DictType(STR, FLOAT), False),
    ],
)  # fmt: skip
def test_fits(actual, expected, holds):
    assert fits(actual, expected) is holds


@pytest.mark.parametrize(
    ("value", "type_", "where"),
    [
        (1, INT, None), (True, INT, " is a bool"), (1, FLOAT, None), ("a", INT, " is a str"),
        (None, OptionalType(STR), None),
        ([1, "a"], ListType(INT), "[1] is a str"), ({"a": [1.5]}, DictType(STR, ListType(INT)), "['a'][0] is a float"),
        ((1, 2), TupleType((INT,)), " is a tuple of 2"), (torch.ones(1), TENSOR, None),
        ({1: 2}, DictType(STR, INT), " has a key that is a int"),
    ],
)  # fmt: skip
def test_values_are_checked_against_types(value, type_, where):
    assert mismatch(value, type_, lambda name: None) == where


def test_types_of_values():
    assert type_of([1, 2.5]) == ListType(FLOAT)
    assert type_of({"a": (1, "b")}) == DictType(STR, TupleType((INT, STR)))
    assert type_of([]) == ListType(UNKNOWN)
    assert type_of(object()) is None and type_of([1, "a"]) is None
