from __future__ import annotations

from pathlib import Path

import pytest

from jitorch.errors import VerifyError
from jitorch.ir.graph import Graph
from tests import filecheck
from tests.ir import toys

GIVEN = """\
// Shows what it does.
graph @main(%x: f32[2]) {
  %0: f32[2] = biased(%x, none)
  %1: f32[2] = add(%0, %x)
  return %1
}"""

EXPECTED = """\
graph @main(%x: f32[2]) {
  %0: f32[2] = add(%x, %x)
  return %0
}"""


def drop_empty_bias(graph: Graph) -> bool:
    """A toy pass."""
    empty = [node for node in graph if node.op is toys.biased and node.inputs[1] is None]
    for node in empty:
        source = node.inputs[0]
        assert source is not None
        graph.replace(node.output, source)
    graph.rebuild([node for node in graph if node not in empty])
    return bool(empty)


@pytest.fixture
def case(tmp_path: Path) -> Path:
    path = tmp_path / "case.ir"
    path.write_text(f"{GIVEN}\n// ----\n{EXPECTED}\n", "utf-8")
    return path


def test_expected_text(case: Path) -> None:
    graph = filecheck.check(case, filecheck.in_place(drop_empty_bias), ops=toys.OPS)
    assert len(graph) == 2


def test_another_text_fails_with_a_difference(case: Path) -> None:
    with pytest.raises(AssertionError, match=r"case\.ir(.|\n)*\+  %1: f32\[2\] = add\(%0, %x\)"):
        filecheck.check(case, lambda graph: graph, ops=toys.OPS)


def test_update_rewrites_the_expected_text_only(case: Path) -> None:
    case.write_text(GIVEN + "\n\n", "utf-8")
    filecheck.check(case, filecheck.in_place(drop_empty_bias), update=True, ops=toys.OPS)
    assert case.read_text("utf-8") == f"{GIVEN}\n// ----\n{EXPECTED}\n"
    filecheck.check(case, filecheck.in_place(drop_empty_bias), ops=toys.OPS)


def test_result_is_verified(case: Path) -> None:
    def broken(graph: Graph) -> Graph:
        graph.nodes.reverse()
        return graph

    with pytest.raises(VerifyError):
        filecheck.check(case, broken, ops=toys.OPS)


def test_a_pass_must_say_whether_it_changed_anything(case: Path) -> None:
    def silent(graph: Graph) -> bool:
        drop_empty_bias(graph)
        return False

    with pytest.raises(AssertionError, match="silent says that it changed the graph: False"):
        filecheck.check(case, filecheck.in_place(silent), ops=toys.OPS)


def test_cases_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b/2.ir", "a/1.ir", "a/readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in filecheck.cases(tmp_path)] == ["1.ir", "2.ir"]
