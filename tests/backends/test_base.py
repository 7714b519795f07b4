"""The backend contract's own parts."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.backends import HOST_MEMORY, Artifact, Available, Backend, Options, Unavailable
from jitorch.backends.base import MEMBERS
from jitorch.backends.cpu import backend as cpu
from jitorch.backends.reference import backend as reference


@pytest.mark.parametrize("backend", [cpu, reference], ids=lambda b: b.name)
def test_ours_fulfil_the_contract(backend: Backend) -> None:
    assert isinstance(backend, Backend)
    assert all(hasattr(backend, m) for m in MEMBERS)
    assert backend.fingerprint() == backend.fingerprint()


def test_members_are_those_of_the_protocol() -> None:
    described = {m for m in vars(Backend) if not m.startswith("_")} | set(Backend.__annotations__)
    assert set(MEMBERS) == described


def test_an_object_without_the_members_is_none() -> None:
    assert not isinstance(object(), Backend)


def test_answers_read_well() -> None:
    assert str(Available()) == "available"
    assert str(Available("znver4")) == "available (znver4)"
    assert str(Unavailable("no GPU")) == "unavailable: no GPU"


def test_artifacts_survive_as_bytes() -> None:
    artifact = Artifact("mine", bytes(range(256)), {"symbols": ["N"], "arena": None}, {"c": "int é;"})
    assert Artifact.from_bytes(artifact.to_bytes()) == artifact
    empty = Artifact("mine", b"", {})
    assert Artifact.from_bytes(empty.to_bytes()) == empty


def test_options_that_matter_are_in_the_key() -> None:
    assert Options().key() != Options(opt=3).key()


def test_host_memory() -> None:
    a = HOST_MEMORY.allocate((2, 3), np.dtype(np.float32))
    assert (a.shape, a.dtype) == ((2, 3), np.float32)
    HOST_MEMORY.copy(np.arange(6.0, dtype=np.float32).reshape(2, 3), a)
    assert a.tolist() == [[0, 1, 2], [3, 4, 5]]
    HOST_MEMORY.synchronize()
    HOST_MEMORY.free(a)
