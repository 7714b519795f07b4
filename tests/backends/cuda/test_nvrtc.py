"""NVRTC by ctypes: no GPU and no driver is needed."""

import importlib.util
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from jitorch.backends.cuda import nvrtc
from jitorch.errors import BackendError, MissingExtraError

EMPTY = 'extern "C" __global__ void empty() {}\n'


def test_cubin_and_ptx() -> None:
    cubin, ptx = (nvrtc.compile(EMPTY, 80, kind=kind) for kind in ("cubin", "ptx"))
    assert cubin.startswith(b"\x7fELF")
    assert b".target sm_80" in ptx


def test_version_and_architectures() -> None:
    library = nvrtc.nvrtc()
    assert library.version()[0] == 13
    assert {75, 80, 90} <= set(library.architectures())


def test_an_error_shows_the_log_and_the_numbered_text() -> None:
    with pytest.raises(BackendError) as caught:
        nvrtc.compile(EMPTY + "int f( {", 80)
    assert "jitorch.cu(2): error" in caught.value.what
    assert "   2  int f( {" in caught.value.what


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(BackendError, match="invalid value for --gpu-architecture"):
        nvrtc.compile(EMPTY, 12)


@pytest.fixture
def fresh() -> Iterator[None]:
    nvrtc.nvrtc.cache_clear()
    yield
    nvrtc.nvrtc.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_missing_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="NVRTC 13 is not installed") as caught:
        nvrtc.compile(EMPTY, 80)
    assert "jitorch[cuda]" in str(caught.value.hint)


@pytest.mark.usefixtures("fresh")
def test_half_an_installation(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    library = tmp_path / "cu13" / "lib"
    library.mkdir(parents=True)
    (library / "libnvrtc.so.13").touch()
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(BackendError, match="NVRTC is incomplete: no libnvrtc-builtins"):
        nvrtc.compile(EMPTY, 80)
