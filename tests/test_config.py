from __future__ import annotations

import threading
from pathlib import Path

import pytest

from jitorch import config
from jitorch.errors import ArgumentError, ValueRangeError


def test_defaults(tmp_path: Path) -> None:
    settings = config.read({"HOME": str(tmp_path)})
    assert settings.cache
    assert settings.cache_dir.is_relative_to(tmp_path)
    assert settings.cache_dir.name in ("jitorch", "Cache")
    assert settings.cache_size == 512 << 20
    assert settings.num_threads >= 1
    assert settings.dump == frozenset()
    assert not settings.verify


def test_each_variable_is_read(tmp_path: Path) -> None:
    settings = config.read(
        {
            "JITORCH_CACHE": "0",
            "JITORCH_CACHE_DIR": str(tmp_path),
            "JITORCH_CACHE_SIZE_MB": "7",
            "JITORCH_NUM_THREADS": "3",
            "JITORCH_DUMP": "llvm, graph,",
            "JITORCH_VERIFY": "yes",
            "JITORCH_PASSES": "second, first",
        }
    )
    dump = frozenset({"llvm", "graph"})
    assert settings == config.Config(False, tmp_path, 7 << 20, 3, dump, True, ("second", "first"))
    assert settings.dumps("llvm")
    assert not settings.dumps("assembly")
    assert config.read({"JITORCH_DUMP": "all"}).dumps("assembly")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_cache_lies_where_the_platform_keeps_them(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.sys, "platform", platform)
    place = {
        "linux": "/x/.cache/jitorch",
        "darwin": "/x/Library/Caches/jitorch",
        "win32": "/x/AppData/Local/jitorch/Cache",
    }
    assert config.read({"HOME": "/x"}).cache_dir == Path(place[platform])
    moved = config.read({"HOME": "/x", "XDG_CACHE_HOME": "/y", "LOCALAPPDATA": "/z"}).cache_dir
    assert moved == Path({"linux": "/y/jitorch", "darwin": place["darwin"], "win32": "/z/jitorch/Cache"}[platform])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("JITORCH_CACHE", "maybe"),
        ("JITORCH_NUM_THREADS", "0"),
        ("JITORCH_NUM_THREADS", "-2"),
        ("JITORCH_NUM_THREADS", "two"),
        ("JITORCH_CACHE_SIZE_MB", "1.5"),
    ],
)
def test_values_that_cannot_be_read_name_the_variable(name: str, text: str) -> None:
    with pytest.raises(ValueRangeError, match=f"{name}(.|\n)*actual: *{text}"):
        config.read({name: text})


def test_overrides_nest_and_end() -> None:
    before = config.current()
    with config.override(num_threads=5) as inner:
        assert inner is config.current()
        assert inner.num_threads == 5
        with config.override(verify=True):
            assert (config.current().num_threads, config.current().verify) == (5, True)
        assert config.current() is inner
    assert config.current() is before


def test_overrides_stay_in_their_thread() -> None:
    seen = []
    with config.override(num_threads=77):
        thread = threading.Thread(target=lambda: seen.append(config.current().num_threads))
        thread.start()
        thread.join()
    assert seen != [77]


def test_defaults_change_for_the_process() -> None:
    before = config.current()
    try:
        config.set_default(num_threads=9)
        assert config.current().num_threads == 9
        with config.override(num_threads=1):
            config.set_default(num_threads=8)
            assert config.current().num_threads == 1
        assert config.current().num_threads == 8
    finally:
        config.set_default(num_threads=before.num_threads)


def test_unknown_and_impossible_settings_are_refused() -> None:
    with pytest.raises(ArgumentError, match="threads"), config.override(threads=4):
        pass
    with pytest.raises(ValueRangeError, match="num_threads"):
        config.set_default(num_threads=0)
