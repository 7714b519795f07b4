"""Which backends there are, and what a bad plugin does to the others: nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitorch.backends import (
    Available,
    Backend,
    Unavailable,
    get,
    list_backends,
    register_backend,
    set_default_backend,
    unregister_backend,
)
from jitorch.backends.reference import ReferenceBackend
from jitorch.backends.registry import GROUP, OWN, default_backend
from jitorch.errors import BackendError, PluginError
from tests.backends.plugins import GOOD, install


class Named(ReferenceBackend):
    def __init__(self, name: str, api: tuple[int, int] = (1, 0)):
        self.name, self.api = name, api


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on `sys.path`; modules imported from it are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr("jitorch.backends.registry._loaded", {})
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def test_ours_are_entry_points_too() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    section = text.partition(f'[project.entry-points."{GROUP}"]\n')[2].partition("\n\n")[0]
    assert section.splitlines() == [f'{name} = "{value}"' for name, value in OWN.items()]


def test_ours_are_listed_first() -> None:
    listed = list_backends()
    assert list(listed)[:3] == ["reference", "cpu", "cuda"]
    assert isinstance(listed["reference"], Available)
    assert str(listed["reference"]).startswith("available (NumPy ")
    assert isinstance(listed["cpu"], Available)


def test_an_unknown_name() -> None:
    with pytest.raises(BackendError, match="unknown backend 'gpu9000'") as caught:
        get("gpu9000")
    assert "cpu" in str(caught.value)


def test_a_plugin_is_found_and_loaded_when_asked_for(folder: Path) -> None:
    install(folder, "good-plugin", {"good": "backend"}, GOOD.format(name="good"))
    assert "good_plugin" not in sys.modules
    backend = get("good")
    assert isinstance(backend, Backend)
    assert backend.name == "good"
    assert get("good") is backend
    assert isinstance(list_backends()["good"], Available)


BROKEN = {
    "fails": ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
    "lacks": ("backend = None", "lacks api, name, memory"),
    "absent": ("", "AttributeError: module 'bad_plugin' has no attribute 'backend'"),
    "misnamed": (GOOD.format(name="other"), "different names"),
    "old": (GOOD.format(name="old") + "backend.api = (0, 9)", "another version of the contract"),
    "new": (GOOD.format(name="new") + "backend.api = (1, 99)", "another version of the contract"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_harms_nobody_else(folder: Path, name: str) -> None:
    source, reason = BROKEN[name]
    install(folder, "bad-plugin", {name: "backend"}, source)
    install(folder, "good-plugin", {"good": "backend"}, GOOD.format(name="good"))
    with pytest.raises(PluginError) as caught:
        get(name)
    assert reason in str(caught.value)
    listed = list_backends()
    assert isinstance(listed[name], Unavailable)
    assert isinstance(listed["good"], Available)
    assert get("cpu").name == "cpu"


def test_the_error_names_the_package(folder: Path) -> None:
    install(folder, "bad-plugin", {"fails": "backend"}, "raise ValueError('at import')")
    with pytest.raises(
        PluginError, match=r"'fails' in jitorch\.backends, of package 'bad-plugin', could not be loaded"
    ) as caught:
        get("fails")
    assert caught.value.actual == "ValueError: at import"
    assert caught.value.hint == "reinstall or uninstall bad-plugin"


def test_a_probe_that_raises_is_an_answer(folder: Path) -> None:
    source = GOOD.format(name="loud") + "def probe(): raise OSError('no device')\nbackend.probe = probe"
    install(folder, "loud-plugin", {"loud": "backend"}, source)
    assert list_backends()["loud"] == Unavailable("its probe raised OSError: no device")


def test_a_name_clash_names_both_owners_and_harms_nobody_else(folder: Path) -> None:
    for package in ("one-plugin", "two-plugin"):
        install(folder, package, {"same": "backend"}, GOOD.format(name="same"))
    install(folder, "good-plugin", {"good": "backend"}, GOOD.format(name="good"))
    with pytest.raises(PluginError, match=r"two packages provide 'same' in jitorch\.backends") as caught:
        get("same")
    assert caught.value.hint == "uninstall one of them"
    for owner in ("one-plugin (one_plugin:backend)", "two-plugin (two_plugin:backend)"):
        assert owner in str(caught.value)
    listed = list_backends()
    assert isinstance(listed["same"], Unavailable)
    assert "one-plugin" in listed["same"].reason
    assert isinstance(listed["good"], Available)


def test_no_package_takes_the_name_of_one_of_ours(folder: Path) -> None:
    install(folder, "greedy-plugin", {"reference": "backend"}, GOOD.format(name="reference"))
    assert type(get("reference")) is ReferenceBackend
    with pytest.warns(
        RuntimeWarning, match=r"greedy-plugin \(.*\) provides a backend named 'reference'; jitorch's own"
    ):
        listed = list_backends()
    assert listed["reference"] == ReferenceBackend().probe()


def test_register_and_unregister() -> None:
    backend = Named("mine")
    register_backend(backend)
    assert get("mine") is backend
    assert "mine" in list_backends()
    with pytest.raises(PluginError, match="'mine' is there already"):
        register_backend(Named("mine"))
    other = Named("mine")
    register_backend(other, replace=True)
    assert get("mine") is other
    unregister_backend("mine")
    assert "mine" not in list_backends()
    with pytest.raises(PluginError, match="no backend named 'mine'"):
        unregister_backend("mine")


def test_one_of_ours_can_be_replaced_for_a_while() -> None:
    ours, mine = get("reference"), Named("reference")
    with pytest.raises(PluginError, match="'reference' is there already"):
        register_backend(mine)
    register_backend(mine, replace=True)
    assert get("reference") is mine
    unregister_backend("reference")
    assert get("reference") is ours


def test_what_is_no_backend_is_refused() -> None:
    with pytest.raises(PluginError, match="no backend") as caught:
        register_backend(object())
    assert "without api, name" in str(caught.value)
    with pytest.raises(PluginError, match="another version"):
        register_backend(Named("mine", api=(2, 0)))
    assert "mine" not in list_backends()


def test_the_default_backend_belongs_to_the_context() -> None:
    assert default_backend() == "cpu"
    with set_default_backend("reference"):
        assert default_backend() == "reference"
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(default_backend()))
        thread.start()
        thread.join()
        assert seen == ["cpu"]
    assert default_backend() == "cpu"
    with pytest.raises(BackendError, match="unknown backend"):
        set_default_backend("gpu9000")
    assert default_backend() == "cpu"
