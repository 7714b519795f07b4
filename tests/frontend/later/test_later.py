"""Nothing is silently different: every case is equal to plain Python, or refused with a reason that is documented.

The cases are played twice: while their traces are made and kept on disk, and once more in another process, which finds
them there and has to notice by their guards alone what changes.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import pytest

from jitorch import config
from tests.frontend.later import (
    absent,
    absent_classes,
    absent_operators,
    absent_values,
    arguments,
    assignments,
    classes,
    containers,
    effects,
    finally_clauses,
    flow,
    functions,
    loops_in_loops,
    matches,
    memory,
    modules,
    numbers,
    objects,
    patterns,
    python_state,
    scopes,
    shapes,
    table,
    tensors,
    training,
    values,
    writes,
)

# Importing these registers their cases.
PARTS = (
    python_state, classes, objects, containers, arguments, values, shapes, modules, training, tensors, memory, writes,
    flow, matches, functions, effects, patterns, loops_in_loops, finally_clauses, assignments, scopes, numbers, absent,
    absent_operators, absent_classes, absent_values,
)  # fmt: skip
ROOT = pathlib.Path(__file__).parents[3]
DOCS = ROOT / "docs"


@functools.cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Where the traces of this process are kept until it ends."""
    return tempfile.TemporaryDirectory()


@functools.cache
def outcome(name: str) -> table.Outcome:
    with config.override(records=True, cache=True, cache_dir=pathlib.Path(folder().name)):
        return table.outcome(table.CASES[name])


@functools.cache
def played_again() -> dict[str, list[Any]]:
    """What became of all cases in another process that has the records of this one."""
    for name in table.CASES:
        outcome(name)
    settings = {"JITORCH_RECORDS": "1", "JITORCH_CACHE_DIR": folder().name, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.frontend.later.test_later", "--outcomes"], cwd=ROOT,
        env={**os.environ, **settings}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", table.CASES)
def test_equal_or_refused(name: str) -> None:
    found = outcome(name)
    assert found.kind in ("equal", "refused"), found.text


@pytest.mark.slow
def test_equal_or_refused_with_the_traces_of_another_process() -> None:
    again = played_again()
    assert {name: kind for name, (kind, *_) in again.items()} == {name: outcome(name).kind for name in table.CASES}
    found = [name for name, (_, _, recalled) in again.items() if recalled]
    assert len(found) > 0.9 * len(again)


@pytest.mark.parametrize("name", table.CASES)
def test_what_is_refused_runs_as_plain_python(name: str) -> None:
    if outcome(name).kind == "refused":
        found = table.fallback(table.CASES[name])
        assert found.kind == "equal", found.text


def test_refusals_are_few_and_their_reasons_documented() -> None:
    found = {name: outcome(name) for name in table.CASES}
    refused = {name: o.text for name, o in found.items() if o.kind == "refused"}
    assert len(found) > 560
    # What the language of branches takes is one thing; that what changes is noticed, another.
    changes = [name for name in found if table.CASES[name].feature not in (flow.BRANCHES, flow.ITERATORS)]
    assert len(refused.keys() & changes) <= 0.04 * len(changes)
    assert len(refused) <= 0.04 * len(found)
    reasons = table.documented_reasons((DOCS / "errors.md").read_text())
    undocumented = {name: text for name, text in refused.items() if not any(r.search(text) for r in reasons)}
    assert not undocumented


def test_the_guide_has_the_table() -> None:
    """`python -m tests.frontend.later.test_later` prints it."""
    assert table.summary({name: outcome(name) for name in table.CASES}) in (DOCS / "jit.md").read_text()


if __name__ == "__main__":
    found = {name: table.outcome(case) for name, case in table.CASES.items()}
    if "--outcomes" in sys.argv:
        print(json.dumps({name: (o.kind, o.text, o.recalled) for name, o in found.items()}))
    else:
        print(table.summary(found))
