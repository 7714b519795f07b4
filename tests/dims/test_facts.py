"""Questions that ranges leave open become guards."""

from __future__ import annotations

import threading

import pytest

from jitorch import dims
from jitorch.errors import CompilerBug, ShapeError

S = dims.symbol("S", 1, hint=3)
T = dims.symbol("T", 1, hint=3)


def test_what_is_proved_needs_no_guard():
    with dims.Facts() as facts:
        assert dims.equal(T, T) and T < T + 1
    assert facts.guards == ()


def test_an_answer_is_recorded_with_its_direction():
    with dims.Facts() as facts:
        assert dims.equal(T, S)
        assert not dims.equal(T, 1)
        assert not dims.less(T, S)
        assert T <= 2 * S - 1
        assert not T >= 4
        assert dims.is_multiple(T, 3)
    assert [str(g) for g in facts.guards] == [
        "T == S",
        "T != 1",
        "S <= T",
        "T <= 2*S - 1",
        "T < 4",
        "mod(T, 3) == 0",
    ]
    assert all(g.holds({"S": 3, "T": 3}) for g in facts.guards)
    assert not facts.guards[0].holds({"S": 3, "T": 4})


def test_the_same_question_is_one_guard():
    with dims.Facts() as facts:
        assert dims.equal(T, S) and dims.equal(T, S)
    assert len(facts.guards) == 1


def test_hints_by_name_come_first():
    with dims.Facts({"T": 5}) as facts:
        assert not dims.equal(T, S)
    assert str(facts.guards[0]) == "T != S"


def test_facts_nest_and_end():
    with dims.Facts() as outer:
        with dims.Facts() as inner:
            assert dims.equal(T, S)
        assert T < 4
    assert [str(g) for g in inner.guards] == ["T == S"]
    assert [str(g) for g in outer.guards] == ["T < 4"]
    with pytest.raises(ShapeError):
        dims.equal(T, S)


def test_facts_belong_to_one_thread():
    raised = []

    def other():
        try:
            dims.equal(T, S)
        except ShapeError as error:
            raised.append(error)

    with dims.Facts():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(raised) == 1


def test_no_hint_is_a_bug():
    with dims.Facts(), pytest.raises(CompilerBug, match="has no hint"):
        dims.equal(dims.symbol("U"), 3)


N = dims.symbol("N", computed=True)
M = dims.symbol("M", computed=True)
LIKELY = [
    ("==", N, M, True), ("==", N, 5, True), ("==", N, 0, False), ("==", N, 1, False), ("!=", N, 1, True),
    ("<", N, 10, False), ("<", 3, N, True), ("<=", 4, N, True), ("<=", N, T, False), ("==", dims.mod(N, 2), 0, True),
]  # fmt: skip


@pytest.mark.parametrize(("relation", "left", "right", "truth"), LIKELY)
def test_what_is_assumed_of_a_size_that_a_program_computes(relation, left, right, truth):
    assumed = []
    with dims.Facts(assume=assumed.append) as facts:
        assert facts.answer(relation, left, right) is truth
    (guard,) = assumed
    assert facts.guards == ()
    assert (guard == dims.Guard(relation, left, right)) is truth
    # Later on, where nobody records guards, the answer is the same.
    functions = {"==": dims.equal, "<": dims.less, "<=": dims.less_equal}
    if relation in functions:
        assert functions[relation](left, right) is truth


def test_which_sizes_are_known():
    assert dims.is_known(3) and dims.is_known(2 * T) and not dims.is_known(T + N // 2)
    assert dims.symbol("N") == N, "whether a size is computed is no part of its identity"


@pytest.mark.parametrize(
    ("fact", "relation", "sides", "truth"),
    [
        ("<", "<", (0, 1), True),
        ("<", "<=", (0, 1), True),
        ("<", "==", (0, 1), False),
        ("<", "<", (1, 0), False),
        ("<", "<=", (1, 0), False),
        ("<=", "<=", (0, 1), True),
        ("<=", "<", (1, 0), False),
        ("!=", "==", (1, 0), False),
        ("==", "<=", (1, 0), True),
        ("==", "<", (0, 1), False),
    ],
)
def test_what_was_recorded_answers_later(fact, relation, sides, truth):
    pair = dims.symbol("a"), dims.symbol("b")
    asked = {"<": dims.less, "<=": dims.less_equal, "==": dims.equal}[relation]
    left, right = (pair[i] for i in sides)
    with dims.Known([dims.Guard(fact, *pair)]):
        assert asked(left, right) is truth
        assert dims.holds(relation, left, right) is truth


def test_what_was_not_recorded_is_granted_or_an_error():
    a, b = dims.symbol("a"), dims.symbol("b")
    with dims.Known([dims.Guard("<=", a, b)]):
        assert dims.holds("<", a, b)
        with pytest.raises(ShapeError):
            dims.less(a, b)
    with dims.Known([dims.Guard("<=", a, b), dims.Guard("!=", a, b)]):
        assert dims.less(a, b)


def test_an_answer_again_is_the_same_one():
    a, b = dims.symbol("a", hint=3), dims.symbol("b", hint=4)
    with dims.Facts(), dims.Noted() as noted:
        assert dims.less(a, b)
        assert dims.holds("<", a, b + 1)
    with dims.Known([dims.Guard("<", a, b)]):
        assert dims.answered_again(noted.answers)
    with dims.Known([dims.Guard("<=", b, a)]):
        assert not dims.answered_again(noted.answers)
