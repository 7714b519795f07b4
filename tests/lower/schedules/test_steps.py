"""Steps between what neighbouring turns of a loop read."""

from __future__ import annotations

import pytest

from jitorch import dtypes
from jitorch.ir.kernel import Buffer, Expr, Let, Load, Stmt, Store, Var
from jitorch.lower.schedules.steps import crossing, step

DOWN, RIGHT, N, T = Var("i"), Var("j"), Var("n"), Var("t", dtypes.float32)
X, Y = Buffer("x", dtypes.float32), Buffer("y", dtypes.float32)
PLACES = Buffer("places", dtypes.int64)


@pytest.mark.parametrize(
    ("e", "expected"),
    [
        (RIGHT, 0),
        (DOWN, 1),
        (DOWN * 4 + RIGHT, 4),
        (DOWN * N, None),
        (RIGHT * N + DOWN, 1),
        (N - DOWN, -1),
        (DOWN - DOWN, 0),
        (DOWN // 2, None),
        ((DOWN + RIGHT) * 3 - DOWN, 2),
        (Load(PLACES, DOWN), None),
    ],
    ids=str,
)
def test_how_far_an_index_moves(e: Expr, expected: int | None) -> None:
    assert step(e, DOWN) == expected


@pytest.mark.parametrize(
    ("index", "crosses"),
    [
        (RIGHT * 64 + DOWN, True),
        (RIGHT * N + DOWN, True),
        (RIGHT * 64 - DOWN, True),
        ((N - RIGHT) * 64 + DOWN, True),
        (DOWN * 64 + RIGHT, False),
        (RIGHT + DOWN, False),
        (DOWN - RIGHT, False),
        (DOWN, False),
        (RIGHT * 64 + DOWN * 2, False),
        (Load(PLACES, RIGHT) + DOWN, False),
    ],
    ids=str,
)
def test_loads_that_cross(index: Expr, crosses: bool) -> None:
    body: tuple[Stmt, ...] = (Let(T, Load(X, index)), Store(Y, DOWN * 64 + RIGHT, T))
    assert bool(crossing(body, DOWN, RIGHT)) == crosses


def test_what_the_body_names_or_writes_is_not_read_before_it() -> None:
    row, load = Var("row"), Load(X, RIGHT * 64 + DOWN)
    assert not crossing((Let(row, RIGHT + 1), Store(Y, DOWN * 64 + RIGHT, Load(X, row * 64 + DOWN))), DOWN, RIGHT)
    assert not crossing((Store(X, DOWN * 64 + RIGHT, load),), DOWN, RIGHT)
    assert crossing((Store(Y, DOWN * 64 + RIGHT, load), Store(Y, RIGHT, load)), DOWN, RIGHT) == (load,)
