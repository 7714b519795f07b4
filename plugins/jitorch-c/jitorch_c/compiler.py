"""The C compiler: ``$CC``, else the system's ``cc``, else the one in the PyPI package ``ziglang``."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jitorch.errors import BackendError

FLAGS = ("-std=c99", "-shared", "-fPIC", "-ffp-contract=fast", "-fno-math-errno", "-w")
"""Products and sums may be contracted, and errno is not read.  Never -ffast-math: NaN and infinities have meaning."""

ZIG = (sys.executable, "-m", "ziglang", "cc")


@dataclass(frozen=True)
class Compiler:
    """A command that takes a C compiler's arguments; ``flags`` are the user's own, from ``$CFLAGS``."""

    command: tuple[str, ...]
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = "ziglang" if self.command == ZIG else " ".join(self.command)
        return " ".join((name, *self.flags))

    def version(self) -> str:
        """The first line of what the compiler says of itself; the same for every call."""
        return _version(self.command)

    def shared_library(self, source: str, opt: int) -> bytes:
        """Compile ``source`` at -O``opt`` (0 to 3); `BackendError` with the compiler's words if it refuses."""
        with tempfile.TemporaryDirectory(prefix="jitorch-c-", ignore_cleanup_errors=True) as folder:
            Path(folder, "program.c").write_text(source, encoding="utf-8")
            # Relative names, so that no path gets into the library: equal sources make equal bytes.
            files = ("program.c", "-o", "program.lib", "-lm")
            self.run((*self.command, *FLAGS, f"-O{opt}", *self.flags, *files), folder)
            return Path(folder, "program.lib").read_bytes()

    def run(self, arguments: tuple[str, ...], folder: str) -> None:
        try:
            done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, errors="replace")
        except OSError as error:
            raise BackendError(f"the C compiler {self} cannot be run", actual=str(error)) from error
        if done.returncode != 0:
            said = done.stderr.strip() or f"exit code {done.returncode}"
            raise BackendError(f"the C compiler {self} refused a program", actual=said[:4000])


@lru_cache(maxsize=16)
def _version(command: tuple[str, ...]) -> str:
    done = subprocess.run((*command, "--version"), capture_output=True, text=True, errors="replace")
    return (done.stdout or done.stderr).partition("\n")[0].strip()


def find_compiler() -> Compiler | None:
    """The compiler to use, looked up anew each time; None where there is none."""
    flags = tuple(shlex.split(os.environ.get("CFLAGS", "")))
    wanted = tuple(shlex.split(os.environ.get("CC", "")))
    if wanted:
        return Compiler(wanted, flags) if shutil.which(wanted[0]) else None
    if (cc := shutil.which("cc")) is not None:
        return Compiler((cc,), flags)
    return Compiler(ZIG, flags) if importlib.util.find_spec("ziglang") is not None else None


def why_not() -> str:
    """The reason where `find_compiler` finds nothing."""
    wanted = os.environ.get("CC", "").strip()
    if wanted:
        return f"the C compiler that CC names, {wanted!r}, is not there"
    return "no C compiler: install cc, name one in CC, or pip install jitorch-c[zig]"
