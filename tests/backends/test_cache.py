from __future__ import annotations

import hashlib
import multiprocessing
import os
import stat
import sys
import time
import warnings
from pathlib import Path

import pytest

from jitorch import config
from jitorch.backends import cache
from jitorch.backends.cache import Cache, key_of
from jitorch.errors import CompilerBug

MIB = 1 << 20
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are access lists on Windows")


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", MIB)


def entry_of(store: Cache, key: str) -> Path:
    return store.directory / f"{key}.entry"


def test_what_is_put_is_found_by_anyone_with_the_directory(store: Cache) -> None:
    key = key_of("a")
    assert store.get(key) is None
    assert store.put(key, b"payload")
    assert store.get(key) == b"payload"
    assert Cache(store.directory, MIB).get(key) == b"payload"
    assert store.put(key, b"another")
    assert store.get(key) == b"another"
    assert store.put(key_of("empty"), b"")
    assert store.get(key_of("empty")) == b""


def test_keys_tell_lists_of_parts_apart() -> None:
    lists = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ()]
    assert len({key_of(*parts) for parts in lists}) == len(lists)
    assert key_of("a", "b") == key_of(b"a", b"b")


@pytest.mark.parametrize("key", ["", "short", "../" * 20, "a" * 40 + "/x"])
def test_keys_must_be_digests(store: Cache, key: str) -> None:
    with pytest.raises(CompilerBug, match="digest"):
        store.get(key)
    with pytest.raises(CompilerBug, match="digest"):
        store.put(key, b"")


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "header", "swap"])
def test_damaged_entries_are_dropped(store: Cache, damage: str) -> None:
    key, other = key_of("a"), key_of("b")
    store.put(key, b"x" * 1000)
    store.put(other, b"y" * 1000)
    path = entry_of(store, key)
    data = bytearray(path.read_bytes())
    data[500] ^= 1 if damage == "flip" else 0
    data[2] ^= 1 if damage == "header" else 0
    whole = {"cut": data[:600], "empty": b"", "swap": entry_of(store, other).read_bytes()}
    path.write_bytes(bytes(whole.get(damage, data)))
    assert store.get(key) is None
    assert not path.exists()
    assert store.get(other) == b"y" * 1000
    assert store.put(key, b"again")
    assert store.get(key) == b"again"


@posix
def test_the_directory_is_private(store: Cache) -> None:
    store.put(key_of("a"), b"payload")
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry_of(store, key_of("a")).stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_others_may_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(mode)
    store = Cache(directory, MIB)
    with pytest.warns(RuntimeWarning, match="others may write to it"):
        assert not store.put(key_of("a"), b"payload")
    with warnings.catch_warnings():  # one warning, however many caches look at it
        warnings.simplefilter("error")
        assert store.get(key_of("a")) is None
        assert Cache(directory, MIB).get(key_of("a")) is None
    assert list(directory.iterdir()) == []
    assert store.size() == 0
    store.clear()


@posix
def test_a_directory_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    store = Cache(tmp_path / "foreign", MIB)
    with pytest.warns(RuntimeWarning, match="belongs to user"):
        assert store.get(key_of("a")) is None


@posix
def test_an_entry_that_is_a_link_is_not_followed(store: Cache, tmp_path: Path) -> None:
    key = key_of("a")
    store.put(key, b"payload")
    elsewhere = tmp_path / "elsewhere"
    entry_of(store, key).rename(elsewhere)
    entry_of(store, key).symlink_to(elsewhere)
    assert store.get(key) is None


def test_a_directory_that_cannot_be_made_switches_the_cache_off(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Cache(tmp_path / "file" / "cache", MIB)
    with pytest.warns(RuntimeWarning, match="keeps no compiled code"):
        assert not store.put(key_of("a"), b"payload")
    assert store.get(key_of("a")) is None


def test_a_full_disk_is_no_error(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store.put(key_of("a"), b"payload")
    monkeypatch.setattr(os, "replace", full)
    assert not store.put(key_of("b"), b"payload")
    assert [path.name for path in store.directory.iterdir()] == [f"{key_of('a')}.entry"]
    monkeypatch.setattr(cache.tempfile, "mkstemp", full)
    assert not store.put(key_of("c"), b"payload")
    assert store.get(key_of("a")) == b"payload"


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    store = Cache(tmp_path / "cache", 10_000)
    keys = [key_of(str(i)) for i in range(9)]
    now = time.time()
    for age, key in enumerate(keys):
        store.put(key, bytes(1000))
        os.utime(entry_of(store, key), (now - 1000 + age, now - 1000 + age))
    assert store.get(keys[0]) is not None  # now the most recent one
    assert store.put(key_of("new"), bytes(1500))
    left = [key for key in (*keys, key_of("new")) if entry_of(store, key).exists()]
    assert keys[0] in left
    assert key_of("new") in left
    assert keys[1] not in left
    assert keys[8] in left
    assert store.size() <= 10_000


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path: Path) -> None:
    store = Cache(tmp_path / "cache", 1000)
    assert not store.put(key_of("a"), bytes(1000))
    assert store.size() == 0


def test_files_of_dead_processes_are_swept(store: Cache) -> None:
    store.put(key_of("a"), b"payload")
    old, new = store.directory / "old.tmp", store.directory / "new.tmp"
    for path in (old, new):
        path.write_bytes(b"half an ent")
    os.utime(old, (0, 0))
    assert store.size() > 0
    assert not old.exists()
    assert new.exists()


def test_clear(store: Cache) -> None:
    for i in range(5):
        store.put(key_of(str(i)), bytes(100))
    assert store.size() > 500
    store.clear()
    assert store.size() == 0
    assert store.get(key_of("1")) is None


def test_the_settings_choose_the_cache(tmp_path: Path) -> None:
    key = key_of("a")
    with config.override(cache_dir=tmp_path / "one"):
        assert cache.put(key, b"payload")
        assert cache.get(key) == b"payload"
        assert cache.current() is cache.current()
    with config.override(cache_dir=tmp_path / "two"):
        assert cache.get(key) is None
    with config.override(cache_dir=tmp_path / "one", cache=False):
        assert cache.current() is None
        assert cache.get(key) is None
        assert not cache.put(key, b"other")


def hammer(directory: str, seed: int) -> int:
    """Write and read entries that other processes write too; how many reads gave something wrong."""
    store, wrong = Cache(Path(directory), 40_000), 0
    for step in range(150):
        name = str((seed * 7 + step) % 20)
        payload = hashlib.sha256(name.encode()).digest() * 100
        store.put(key_of(name), payload)
        found = store.get(key_of(name))
        wrong += found is not None and found != payload
    return wrong


def test_processes_may_share_a_directory(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        wrong = pool.starmap(hammer, [(str(tmp_path / "cache"), seed) for seed in range(3)])
    assert wrong == [0, 0, 0]
    left = Cache(tmp_path / "cache", 40_000)
    assert 0 < left.size() <= 3 * 40_000
    assert not list((tmp_path / "cache").glob("*.tmp"))


@pytest.mark.skipif(sys.platform == "win32", reason="root and modes are of POSIX")
def test_a_read_only_directory_still_serves(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(30, "Read-only file system")

    store.put(key_of("a"), b"payload")
    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(cache.tempfile, "mkstemp", refused)
    assert store.get(key_of("a")) == b"payload"
    assert not store.put(key_of("b"), b"payload")
