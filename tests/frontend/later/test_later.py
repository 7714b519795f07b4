"""Nothing is silently different: every case is equal to plain Python, or refused with a reason that is documented."""

from __future__ import annotations

import functools
import pathlib

import pytest

from tests.frontend.later import (
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
    flow, matches, functions, effects, patterns, loops_in_loops, finally_clauses, assignments, scopes, numbers,
)  # fmt: skip
DOCS = pathlib.Path(__file__).parents[3] / "docs"


@functools.cache
def outcome(name: str) -> table.Outcome:
    return table.outcome(table.CASES[name])


@pytest.mark.parametrize("name", table.CASES)
def test_equal_or_refused(name: str) -> None:
    found = outcome(name)
    assert found.kind in ("equal", "refused"), found.text


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
    print(table.summary({name: outcome(name) for name in table.CASES}))
