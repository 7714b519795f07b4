"""`f.explain(source=True)`: each line of the user, with what became of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import jitorch
from jitorch import config, nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.depth = nn.Linear(4, 6), 2

    def forward(self, x):
        h = self.linear(x).relu()
        for i in range(self.depth):
            h = h + i
        if h.sum() > 3:
            h = h * 2
        while h.sum() > 1:
            h = h / 2
        assert h.min() > -1
        return helper(h)


def helper(h):
    # No operation stands in this line.
    unused = 3
    return h.exp().sum(1) + len(h.shape) * unused


def marked(shown: str, text: str) -> str:
    """What stands before the number of the line that holds ``text``."""
    source = shown.partition("source of trace")[2]
    (line,) = [line for line in source.splitlines() if line.endswith(f"  {text}")]
    return line[: -len(text)].rstrip().rstrip("0123456789").strip()


@pytest.fixture
def shown() -> str:
    compiled = jitorch.jit(Net())
    with jitorch.no_grad():
        compiled(jitorch.ones(8, 4))
        compiled(jitorch.ones(9, 4))
    return compiled.explain(source=True)


def test_each_line_has_its_mark(shown: str) -> None:
    assert marked(shown, "def forward(self, x):") == ""
    assert marked(shown, "h = self.linear(x).relu()").startswith("k1")
    assert marked(shown, "for i in range(self.depth):") == "python"
    assert marked(shown, "if h.sum() > 3:") == "branch"
    assert marked(shown, "while h.sum() > 1:") == "loop"
    assert marked(shown, "h = h / 2").startswith("k")
    assert marked(shown, "unused = 3") == "python"
    assert marked(shown, "# No operation stands in this line.") == ""
    assert marked(shown, "return h.exp().sum(1) + len(h.shape) * unused").startswith("k")
    assert "branch:       a branch of the program" in shown


def test_kernels_with_their_bytes(shown: str) -> None:
    assert "kernels of Net, and the bytes that a launch reads and writes, where s0 is 9:" in shown
    kernels = shown.partition("kernels of Net")[2].partition("guards:")[0]
    launches = [line for line in kernels.splitlines() if line.strip().startswith("k")]
    assert len(launches) > 3
    assert all(" read, " in line and line.endswith(" written") for line in launches)
    assert "  in each turn" in kernels and "  one of" in kernels


def test_a_loop_in_strands() -> None:
    def steps(h, w):
        for _ in range(200):
            h = (h @ w).tanh()
        return h

    compiled = jitorch.jit(steps)
    compiled(jitorch.ones(8, 64), jitorch.ones(64, 64) / 64)
    shown = compiled.explain(source=True)
    kernels = shown.partition("kernels of steps")[2].partition("guards:")[0]
    *_, strands, turns, launch, _ = kernels.splitlines()
    assert (strands.strip(), turns.strip()) == ("in 2 strands, together", "in each turn")
    assert marked(shown, "h = (h @ w).tanh()").split()[-1] == launch.split()[0]


def test_guards_with_their_lines_and_causes(shown: str) -> None:
    (line,) = [line for line in shown.splitlines() if ".depth was 2" in line]
    assert "test_listing.py:" in line
    causes = shown.partition("why it was traced:")[2]
    assert "trace 1: first call" in causes
    assert "trace 2: arg0 was a tensor with (f32[8, 4]" in causes


def test_the_line_that_keeps_a_call_in_python() -> None:
    def function(x):
        y = x + 1
        x.tolist()
        return y

    compiled = jitorch.jit(function)
    with pytest.warns(RuntimeWarning, match="runs eagerly"):
        compiled(jitorch.ones(2))
    shown = compiled.explain(source=True)
    assert marked(shown, "x.tolist()") == "not compiled"
    assert marked(shown, "y = x + 1") == ""
    assert "why the call runs in Python" in shown


def test_without_source_it_is_as_ever() -> None:
    compiled = jitorch.jit(helper)
    assert compiled.explain(source=True) == compiled.explain()
    compiled(jitorch.ones(2, 2))
    assert compiled.explain(source=True).startswith(compiled.explain() + "\n\nsource of trace 1:")


def test_the_reference_backend_has_no_kernels() -> None:
    compiled = jitorch.jit(helper, backend="reference")
    compiled(jitorch.ones(2, 2))
    shown = compiled.explain(source=True)
    assert "kernels of" not in shown
    assert marked(shown, "return h.exp().sum(1) + len(h.shape) * unused") == "folded"


def test_a_trace_from_the_disk_was_not_run(tmp_path: Path) -> None:
    with config.override(cache_dir=tmp_path, cache=True, records=True):
        jitorch.jit(helper)(jitorch.ones(2, 3))
        recalled = jitorch.jit(helper)
        recalled(jitorch.ones(2, 3))
        assert recalled.statistics.recalled == 1
        assert "the trace is from the disk: no source was run" in recalled.explain(source=True)


def test_scripts_and_traces_have_it_too() -> None:
    traced = jitorch.jit.trace(helper, jitorch.ones(2, 2))
    traced(jitorch.ones(2, 2))
    shown = traced.explain(source=True)
    assert marked(shown, "return h.exp().sum(1) + len(h.shape) * unused").startswith("k")
    assert "why it was traced:" in shown
