"""Parallel statements as machine code: the same results for any number of threads, names as they were left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import jitorch
from jitorch.backends.cpu import llvm, regions
from jitorch.compiler import compile_graph
from jitorch.ir import program as host
from jitorch.ir.kernel_text import parse_program
from jitorch.lower import program
from tests.lower.graphs import parse
from tests.lower.test_strands import CELL

Run = Callable[..., int]

COUNT = """
kernel @fill(x: f32*, strand: i64, step: i64) {
  for i in serial(4) { x[strand * 4 + i] = x[strand * 4 + i] + cast(strand * 10 + step, f32) }
}
program @main {
  output x: f32* of 4 * n
  output last: f32* of 1
  scalar n: i64
  view row: f32* of 1 in x at 0
  let step: i64 = 7
  for strand in parallel(n) {
    let step: i64 = 0
    loop {
      while step < 3
      view row: f32* of 1 in x at step
      launch @fill(x, strand, step)
      let step: i64 = step + 1
    }
  }
  copy last = row of 1
  launch @fill(x, 0, step)
}"""


@pytest.fixture
def every_loop_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "WORTHWHILE", 0)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = jitorch.get_num_threads()
    yield
    jitorch.set_num_threads(before)


@pytest.mark.usefixtures("every_loop_is_shared")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_names_behind_the_statement(n: int, threads: int, run_program: Run) -> None:
    jitorch.set_num_threads(threads)
    x, last = np.zeros(4 * n, np.float32), np.zeros(1, np.float32)
    assert run_program(parse_program(COUNT), [], [x, last], [n]) == 0
    expected = np.repeat(30 * np.arange(n, dtype=np.float32) + 3, 4)
    assert last[0] == expected[2]
    expected[:4] += 3
    np.testing.assert_array_equal(x, expected)


def test_no_strand_leaves_names_as_they_were(run_program: Run) -> None:
    x, last = np.array([5, 0, 0, 0], np.float32), np.zeros(1, np.float32)
    text = COUNT.replace("parallel(n)", "parallel(n - 1)")
    assert run_program(parse_program(text), [], [x, last], [1]) == 0
    assert (x[0], last[0]) == (12, 5)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("rows", "count"), [(8, 2), (10, 2), (16, 2), (24, 4), (15, 3), (22, 0)])
def test_recurrent_cells(rows: int, count: int, reverse: bool) -> None:
    """In strands of four to eight rows; the same bits for any number of threads."""
    n, m, steps = 64, 48, 9
    graph = parse(CELL.format(rows=rows, n=n, m=m, steps=steps, reverse=reverse))
    cut = [s for s in host.walk(program(graph.copy()).body) if isinstance(s, host.Parallel)]
    assert [str(s.extent) for s in cut] == ([str(count)] if count else [])
    rng = np.random.default_rng(0)
    h, x, w, v = (rng.normal(size=s).astype(np.float32) * 0.2 for s in ((rows, n), (steps, rows, m), (n, n), (m, n)))
    compiled = compile_graph(graph, "cpu")
    results = []
    for threads in (1, 2, 3):
        jitorch.set_num_threads(threads)
        results.append(compiled.run([h, x, w, v]))
    last, every = results[0]
    for result in results[1:]:
        np.testing.assert_array_equal(result[0], last)
        np.testing.assert_array_equal(result[1], every)
    expected = np.zeros((steps, rows, n))
    for t in range(steps)[:: -1 if reverse else 1]:
        h = expected[t] = np.tanh(h @ w.astype(np.float64) + x[t] @ v.astype(np.float64))
    np.testing.assert_allclose(every, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(last, every[0 if reverse else -1])


def test_the_work_of_all_strands_decides_whether_to_share() -> None:
    def work(count: int) -> int:
        text = llvm.render(parse_program(COUNT.replace("parallel(n)", f"parallel({count})")))
        (call,) = re.findall(rf"i64 {count}, i64 1, i64 (\d+)\)", text)
        return int(call)

    assert work(5) == 5 * work(1) > 0
