"""How large sizes can be that a graph binds."""

from __future__ import annotations

from typing import Any

import pytest

import jitorch
from jitorch import dims
from jitorch.ir.graph import Graph
from jitorch.ir.verify import verify
from jitorch.ops import OPS
from jitorch.passes import counts

HEAD = "graph @g<n: 0.. computed>(%m: bool[2, 5], %x: f32[10], %c: i64[]) {\n"
FOUND = """
  %0: bool[10] = reshape_to(%m, shape=(10,))
  %1: i64[10] = cast(%0, dtype=i64, number=False)
  %2: i64[] = reduce_sum(%1, axes=(0,))
  %3: i64[n] = steps(%2, size=n)
  %4: i64[n] = positions(%0, %3)
"""


def graph(body: str, returned: str) -> Graph:
    return verify(Graph.parse(f"{HEAD}{body}\n  return {returned}\n}}", OPS))


def test_a_mask_has_as_many_positions_as_elements() -> None:
    assert counts.most_of_sizes(graph(FOUND, "%4")) == {"n": 10}


@pytest.mark.parametrize(
    "count",
    [
        "  %0: i64[] = add(%c, %c)",
        "  %0: i64[] = cast(%c, dtype=i64, number=False)",
        "  %1: i64[10] = cast(%x, dtype=i64, number=False)\n  %0: i64[] = reduce_sum(%1, axes=(0,))",
    ],
)
def test_what_has_no_limit(count: str) -> None:
    made = graph(f"{count}\n  %9: i64[n] = steps(%0, size=n)", "%9")
    assert counts.most_of_sizes(made) is None
    assert counts.count_results(made) is None
    assert len(made.outputs) == 1


def test_sizes_become_outputs() -> None:
    made = graph(f"{FOUND}  %5: f32[n] = take(%x, %4, axis=0)", "%5, %x")
    found = counts.count_results(verify(made))
    assert found == {"sizes": ["n"], "shapes": [["n"], None], "room": [10, None]}
    assert [str(v.type) for v in made.outputs] == ["f32[n]", "f32[10]", "i64[]"]
    verify(made)


def test_much_memory_is_not_set_aside() -> None:
    made = graph(f"{FOUND}  %5: i64[2000, n] = broadcast_to(%4, shape=(2000, n))", "%5")
    assert counts.count_results(made) is None
    assert len(made.outputs) == 1


@pytest.mark.parametrize(
    ("size", "most"), [(lambda n: n, 7), (lambda n: 2 * n + 1, 15), (lambda n: n * n, 49), (lambda n: 3, 3)]
)
def test_the_most_a_size_can_be(size: Any, most: int) -> None:
    assert counts.most_of(size(dims.symbol("n", computed=True)), {"n": 7}) == most
    assert counts.most_of(dims.symbol("k"), {"n": 7}) is None


def test_what_is_written_is_no_result() -> None:
    def drop(x: Any) -> Any:
        x.add_(1)
        return x[x > 2], x.sum()

    compiled = jitorch.jit(drop, fullgraph=True)
    x, y = jitorch.arange(5.0), jitorch.arange(5.0)
    for _ in range(3):
        for found, plain in zip(compiled(x), drop(y)):
            assert found.equal(plain)
        assert x.equal(y)
