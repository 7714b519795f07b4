"""The object cache: compiled code kept on disk, by key.

A key is the digest of everything that the code depends on (see `key_of`).  An entry is a file

    b"jitorch\\x01"  sha256(key + payload)  payload

written to a temporary name and moved into place, so concurrent processes see a whole entry or
none.  The digest is checked before a payload is used; a damaged entry is removed and counts as
absent.  The directory is made with mode 0700, and one that somebody else owns or may write to is
not used, because its content is executed.  Nothing here raises for the sake of the disk: without
a usable directory `get` finds nothing and `put` keeps nothing.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from jitorch import config
from jitorch.errors import CompilerBug

_MAGIC = b"jitorch\x01"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size
_SUFFIX = ".entry"
_STALE_SECONDS = 3600.0  # a temporary file this old was left by a process that died
_KEEP = 0.9  # evict down to this part of the limit, so that the next entries fit without another scan


def key_of(*parts: str | bytes) -> str:
    """The key of an ordered list of parts; no two different lists have one key."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


@functools.cache
def stamp() -> str:
    """Names, sizes and times of jitorch's own modules and tables, digested: what another version made is not found."""
    root = str(Path(__file__).parents[1])
    return key_of(*sorted(_modules(root, "")))


def _modules(folder: str, name: str) -> Iterator[str]:
    with os.scandir(folder) as listing:
        for item in listing:
            if item.name.endswith((".py", ".txt")):
                status = item.stat()
                yield f"{name}{item.name} {status.st_size} {status.st_mtime_ns}"
            elif item.name != "__pycache__" and item.is_dir():
                yield from _modules(item.path, f"{name}{item.name}/")


class Cache:
    """Entries of ``directory``, together at most ``limit`` bytes.  Safe to share between threads."""

    def __init__(self, directory: Path, limit: int):
        self.directory, self.limit = directory, limit
        self._lock = threading.Lock()
        self._total: int | None = None  # bytes on disk as far as known; None before the first scan
        self._usable: bool | None = None

    def get(self, key: str) -> bytes | None:
        """The payload put under ``key``, or None."""
        path = self._path(key)
        if not self.usable():
            return None
        try:
            entry = _read_own_file(path)
            if entry is None:
                return None
            payload = entry[_HEADER:]
            if entry[:_HEADER] != _header(key, payload):
                path.unlink(missing_ok=True)
                return None
        except OSError:
            return None
        self._touch(path)
        return payload

    def put(self, key: str, payload: bytes) -> bool:
        """Keep ``payload`` under ``key``; whether that worked."""
        path = self._path(key)
        size = _HEADER + len(payload)
        if size > self.limit or not self.usable():
            return False
        try:
            descriptor, temporary = tempfile.mkstemp(".tmp", key[:16], self.directory)
        except OSError:
            return False
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_header(key, payload))
                file.write(payload)
            os.replace(temporary, path)
        except OSError:  # disk full, or on Windows another process has the entry open
            _remove(temporary)
            return False
        self._added(size)
        return True

    def size(self) -> int:
        """Bytes that the entries take."""
        return sum(size for _, size, _ in self._entries()) if self.usable() else 0

    def clear(self) -> None:
        """Remove every entry."""
        if not self.usable():
            return
        for path, _, _ in self._entries():
            _remove(path)
        with self._lock:
            self._total = 0

    def usable(self) -> bool:
        """Whether the directory is there and nobody else may write to it; warns once if not."""
        if self._usable is None:
            with self._lock:
                if self._usable is None:
                    problem = _prepare(self.directory)
                    self._usable = problem is None
                    if problem is not None:
                        _warn(self.directory, problem)
        return self._usable

    def _path(self, key: str) -> Path:
        if not (key.isascii() and key.isalnum() and len(key) >= 32):
            raise CompilerBug("a cache key must be a digest", expected="32 or more letters and digits", actual=key)
        return self.directory / (key + _SUFFIX)

    def _touch(self, path: Path) -> None:
        try:
            os.utime(path)
        except OSError:
            return  # read-only: the order of eviction suffers, nothing else

    def _added(self, size: int) -> None:
        with self._lock:
            if self._total is not None:
                self._total += size
            if self._total is None or self._total > self.limit:
                self._total = self._evict()

    def _evict(self) -> int:
        entries = sorted(self._entries(), key=lambda entry: entry[2])
        total = sum(size for _, size, _ in entries)
        if total <= self.limit:
            return total
        for path, size, _ in entries:
            if total <= _KEEP * self.limit:
                break
            if _remove(path):
                total -= size
        return total

    def _entries(self) -> list[tuple[str, int, float]]:
        """Path, size and time of last use of each entry; temporary files left behind are removed."""
        found = []
        try:
            with os.scandir(self.directory) as listing:
                for item in listing:
                    try:
                        status = item.stat(follow_symlinks=False)
                    except OSError:  # another process removed it
                        continue
                    if item.name.endswith(_SUFFIX):
                        found.append((item.path, status.st_size, status.st_mtime))
                    elif item.name.endswith(".tmp") and time.time() - status.st_mtime > _STALE_SECONDS:
                        _remove(item.path)
        except OSError:
            return found
        return found


def current() -> Cache | None:
    """The cache that the settings ask for, or None where they switch it off."""
    settings = config.current()
    if not settings.cache:
        return None
    key = (settings.cache_dir, settings.cache_size)
    with _lock:
        return _caches.setdefault(key, Cache(*key))


def get(key: str) -> bytes | None:
    """The payload put under ``key`` in the current cache, or None."""
    cache = current()
    return None if cache is None else cache.get(key)


def put(key: str, payload: bytes) -> bool:
    """Keep ``payload`` under ``key`` in the current cache; whether that worked."""
    cache = current()
    return cache is not None and cache.put(key, payload)


_caches: dict[tuple[Path, int], Cache] = {}
_warned: set[Path] = set()
_lock = threading.Lock()


def _header(key: str, payload: bytes) -> bytes:
    # The key is digested too, so that an entry under another's name is noticed.
    return _MAGIC + hashlib.sha256(key.encode() + payload).digest()


def _prepare(directory: Path) -> str | None:
    """Make the directory; what is wrong with it, or None."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError as error:
        return error.strerror or str(error)
    if not hasattr(os, "geteuid"):
        return None  # Windows: the access list of the user's profile is inherited
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}, not to user {os.geteuid()}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to it (mode {stat.S_IMODE(status.st_mode):o}); chmod it to 700"
    return None


def _read_own_file(path: Path) -> bytes | None:
    """The bytes of a regular file of this user, not through a link; None where there is none."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        foreign = hasattr(os, "geteuid") and status.st_uid != os.geteuid()
        if foreign or not stat.S_ISREG(status.st_mode):
            return None
        return file.read()


def _remove(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _warn(directory: Path, problem: str) -> None:
    if directory in _warned:
        return
    _warned.add(directory)
    warnings.warn(
        f"jitorch keeps no compiled code: cache directory {directory} cannot be used: {problem}",
        RuntimeWarning,
        stacklevel=4,
    )
