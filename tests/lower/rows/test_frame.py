"""Frames: roles of values, loops over a split domain, how far a read is from the present element."""

from __future__ import annotations

from jitorch.ir import kernel as k
from jitorch.lower.index import Index
from jitorch.lower.rows.frame import ANY, OWN, ROW, Split, frames, split_of
from tests.lower.graphs import parse

GRAPH = parse("""graph @main(%x: f32[4, 6], %s: f32[4], %o: f32[5]) {
  %0: f32[4] = reduce_sum(%x, axes=(1,))
  %1: f32[6] = reduce_sum(%x, axes=(0,))
  return %0, %1
}""")
X, S, OTHER = GRAPH.inputs
SUM, COLUMN = GRAPH.outputs
SPLIT = Split((4, 6), (0,))


def test_the_split_of_a_reduction_has_its_kept_axes_as_rows() -> None:
    assert SUM.node is not None and COLUMN.node is not None
    assert split_of(SUM.node) == SPLIT
    assert (SPLIT.count, SPLIT.length, SPLIT.reduced) == (4, 6, (1,))
    assert SPLIT.reduces(SUM.node) and not SPLIT.reduces(COLUMN.node)
    assert SPLIT.adds(COLUMN.node) and not SPLIT.adds(SUM.node)


def test_roles() -> None:
    assert [SPLIT.role(v) for v in (X, S, OTHER, SUM, COLUMN)] == ["vector", "scalar", None, "scalar", "column"]


def test_distance() -> None:
    frame = next(frames(SPLIT))
    i, j = frame.loops[0].var, frame.loops[1].var

    def at(*coordinates: k.Expr) -> int:
        return frame.distance(X, Index.of((4, 6), coordinates))

    assert at(i, j) == OWN
    assert at(i, k.const(0)) == at(i, 5 - j) == ROW
    assert at(j, i) == at(k.const(0), j) == ANY
    assert frame.distance(S, Index.of((4,), [i])) == OWN
    assert frame.distance(S, Index.of((4,), [j])) == ANY
    assert frame.distance(OTHER, Index.of((5,), [i])) == ANY


def test_the_fewest_loops_come_first_and_every_axis_alone_last() -> None:
    split = Split((2, 3, 4, 5), (0, 1))
    found = [[loop.last - loop.first for loop in frame.loops] for frame in frames(split)]
    assert found[0] == [2, 2]
    assert found[-1] == [1, 1, 1, 1]
    assert [loop.is_row for loop in next(frames(split)).loops] == [True, False]


def test_rows_need_not_come_first() -> None:
    frame = next(frames(Split((2, 3, 4), (1,))))
    assert [str(loop.extent) for loop in frame.row_loops] == ["3"]
    assert [str(loop.extent) for loop in frame.column_loops] == ["2", "4"]
    assert str(frame.position) == "j0 * 4 + j1"


def test_division_of_a_position_in_the_row_is_seen() -> None:
    frame = next(frames(SPLIT))
    i, j = frame.loops[0].var, frame.loops[1].var
    buffer = k.Buffer("b", X.type.dtype)  # type: ignore[union-attr]
    assert frame.divides_in_row(k.Load(buffer, j // 3))
    assert not frame.divides_in_row(k.Load(buffer, i // 3 + j))
