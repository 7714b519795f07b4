"""Settings: the only reader of the environment.

    JITORCH_CACHE=0             no disk cache
    JITORCH_RECORDS=0           traces are not kept on disk: the first call in every process traces
    JITORCH_CACHE_DIR=path      where compiled code is kept (default: the user's cache directory)
    JITORCH_CACHE_SIZE_MB=512   what it may grow to; the least recently used goes first
    JITORCH_NUM_THREADS=n       threads of one program (default: the processors this process may use)
    JITORCH_PROCESSOR=x86-64-v3 code for a lesser processor than the one at hand (see `backends.cpu.processor`)
    JITORCH_DUMP=llvm,assembly  stages whose text is written to standard error; ``all`` for each
    JITORCH_VERIFY=1            check the IR after every pass
    JITORCH_PROFILE=1           compiled programs time their kernels, and ``explain()`` tells (new code: compiled anew)
    JITORCH_NATIVE=0            short paths in Python only, none made of machine code (see `backends.cpu.extension`)
    JITORCH_PASSES=a,b          passes of installed packages to run, in this order (see `jitorch.plugins`)

The environment is read once, at first use.  `override` changes settings for a ``with`` block of
this thread or task, `set_default` for the process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jitorch.errors import ArgumentError, ValueRangeError

_FLAGS = {"0": False, "false": False, "off": False, "no": False, "1": True, "true": True, "on": True, "yes": True}


@dataclass(frozen=True, slots=True)
class Config:
    """One set of settings; ``cache_size`` is in bytes."""

    cache: bool
    cache_dir: Path
    cache_size: int
    num_threads: int
    dump: frozenset[str]
    verify: bool
    passes: tuple[str, ...] = ()
    native: bool = True
    profile: bool = False
    records: bool = True
    processor: str = ""

    def dumps(self, stage: str) -> bool:
        """Whether the text of ``stage`` is asked for."""
        return stage in self.dump or "all" in self.dump


def read(environ: Mapping[str, str]) -> Config:
    """The settings that ``environ`` asks for; raises `ValueRangeError` for a value that cannot be read."""
    directory = environ.get("JITORCH_CACHE_DIR")
    return Config(
        cache=_flag(environ, "JITORCH_CACHE", True),
        cache_dir=Path(directory).expanduser() if directory else _user_cache_dir(environ),
        cache_size=_count(environ, "JITORCH_CACHE_SIZE_MB", 512) << 20,
        num_threads=_count(environ, "JITORCH_NUM_THREADS", _processors()),
        dump=frozenset(_names(environ, "JITORCH_DUMP")),
        verify=_flag(environ, "JITORCH_VERIFY", False),
        passes=tuple(_names(environ, "JITORCH_PASSES")),
        native=_flag(environ, "JITORCH_NATIVE", True),
        profile=_flag(environ, "JITORCH_PROFILE", False),
        records=_flag(environ, "JITORCH_RECORDS", True),
        processor=environ.get("JITORCH_PROCESSOR", "").strip(),
    )


def current() -> Config:
    """The settings in force here."""
    local = _local.get()
    return local if local is not None else _process_config()


@contextmanager
def override(**changes: Any) -> Iterator[Config]:
    """``with override(num_threads=1): ...``: other settings for a block; fields of `Config`."""
    token = _local.set(_changed(current(), changes))
    try:
        _tell_threads()
        yield current()
    finally:
        _local.reset(token)
        _tell_threads()


def set_default(**changes: Any) -> Config:
    """Change settings for the whole process; a surrounding `override` still wins."""
    _process[:] = [_changed(_process_config(), changes)]
    _tell_threads()
    return _process[0]


def watch_threads(react: Callable[[int, int | None], object]) -> None:
    """Call ``react`` now and whenever ``num_threads`` may have changed.

    It gets the number of the process, and that of an `override` around the calling thread, or None.
    """
    _watchers.append(react)
    _tell_threads()


def _tell_threads() -> None:
    local = _local.get()
    for react in _watchers:
        react(_process_config().num_threads, None if local is None else local.num_threads)


_local: ContextVar[Config | None] = ContextVar("jitorch_config", default=None)
_watchers: list[Callable[[int, int | None], object]] = []
_process: list[Config] = []  # at most one: what the environment said, as set_default changed it


def _process_config() -> Config:
    if not _process:
        _process[:] = [read(os.environ)]
    return _process[0]


def _changed(config: Config, changes: dict[str, Any]) -> Config:
    unknown = changes.keys() - set(Config.__slots__)
    if unknown:
        raise ArgumentError("unknown setting", expected=", ".join(Config.__slots__), actual=", ".join(sorted(unknown)))
    if changes.get("num_threads", 1) < 1:
        raise ValueRangeError("num_threads is too small", expected="1 or more", actual=changes["num_threads"])
    return replace(config, **changes)


def _flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    if not text:
        return default
    if text not in _FLAGS:
        raise ValueRangeError(f"environment variable {name} is not a switch", expected="0 or 1", actual=text)
    return _FLAGS[text]


def _names(environ: Mapping[str, str], name: str) -> list[str]:
    return [part.strip() for part in environ.get(name, "").split(",") if part.strip()]


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueRangeError(f"environment variable {name} is not a count", expected="1 or more", actual=text)
    return int(text)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _user_cache_dir(environ: Mapping[str, str]) -> Path:
    # XDG base directories on Linux and the BSDs; the platform's own place elsewhere.
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "jitorch" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "jitorch"
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "jitorch"
