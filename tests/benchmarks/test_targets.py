import pytest

from benchmarks.peers import PEERS
from benchmarks.targets import TARGETS, target
from benchmarks.workloads import WORKLOADS


@pytest.mark.parametrize("row", [w.name for w in WORKLOADS])
def test_every_row_has_a_target(row):
    found = target(row)
    assert found.reach and found.aim


def test_targets_name_peers_that_exist():
    named = {mark.against for _, found in TARGETS for mark in (*found.reach, *found.aim)}
    assert named - {"fastest"} <= set(PEERS)


def test_every_target_is_of_some_row():
    assert all(any(w.name.startswith(prefix) for w in WORKLOADS) for prefix, _ in TARGETS)


def test_unknown_row():
    with pytest.raises(KeyError):
        target("X.none")
