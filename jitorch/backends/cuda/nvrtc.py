"""NVRTC, NVIDIA's run-time compiler, by ctypes: CUDA C++ text to cubin or PTX.  Needs no driver and no GPU.

The library and the headers come from the wheels ``nvidia-cuda-nvrtc`` and ``nvidia-cuda-runtime``.
API: https://docs.nvidia.com/cuda/nvrtc/
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from functools import lru_cache
from pathlib import Path

from jitorch.errors import BackendError, MissingExtraError

_MAJOR = 13


class Nvrtc:
    """The loaded library.  Get it from `nvrtc`."""

    def __init__(self, root: Path):
        self.include = root / "include"
        libraries = root / ("bin/x86_64" if sys.platform == "win32" else "lib")
        # NVRTC looks its built-ins up by name only, so they must be loaded before it and globally.
        builtins = _only(libraries, f"nvrtc-builtins64_{_MAJOR}*.dll", f"libnvrtc-builtins.so.{_MAJOR}*")
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(str(_only(libraries, f"nvrtc64_{_MAJOR}*.dll", f"libnvrtc.so.{_MAJOR}")))
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def version(self) -> tuple[int, int]:
        """(major, minor); part of every cache key."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)), "version")
        return major.value, minor.value

    def architectures(self) -> tuple[int, ...]:
        """Compute capabilities it compiles for: 75, 80, ..."""
        count = ctypes.c_int()
        self._check(self.library.nvrtcGetNumSupportedArchs(ctypes.byref(count)), "architectures")
        found = (ctypes.c_int * count.value)()
        self._check(self.library.nvrtcGetSupportedArchs(found), "architectures")
        return tuple(found)

    def compile(self, text: str, arch: int, *, kind: str = "cubin", options: tuple[str, ...] = ()) -> bytes:
        """``text`` compiled for compute capability ``arch`` (80 for 8.0) as ``"cubin"`` or ``"ptx"``.

        `BackendError` holds the compiler's log and the numbered source.
        """
        program = ctypes.c_void_p()
        arguments = (ctypes.byref(program), text.encode(), b"jitorch.cu", 0, None, None)
        self._check(self.library.nvrtcCreateProgram(*arguments), "create")
        try:
            given = ("--std=c++17", f"--gpu-architecture=sm_{arch}", f"--include-path={self.include}", *options)
            encoded = (ctypes.c_char_p * len(given))(*(option.encode() for option in given))
            code = self.library.nvrtcCompileProgram(program, len(given), encoded)
            if code:
                raise BackendError(
                    f"NVRTC: {self._message(code)}\n{self._text(program, 'ProgramLog')}\n{_numbered(text)}",
                    hint="this is a bug in the CUDA renderer unless the text is your own",
                )
            return self._bytes(program, {"cubin": "CUBIN", "ptx": "PTX"}[kind])
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))

    def _bytes(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)), what)
        buffer = ctypes.create_string_buffer(size.value)
        self._check(getattr(self.library, f"nvrtcGet{what}")(program, buffer), what)
        return buffer.raw

    def _text(self, program: ctypes.c_void_p, what: str) -> str:
        return self._bytes(program, what).rstrip(b"\0").decode(errors="replace")

    def _message(self, code: int) -> str:
        return self.library.nvrtcGetErrorString(code).decode()

    def _check(self, code: int, what: str) -> None:
        if code:
            raise BackendError(f"NVRTC: {what}: {self._message(code)}")


@lru_cache(maxsize=1)
def nvrtc() -> Nvrtc:
    """The library, loaded once; `MissingExtraError` if its wheel is not installed."""
    root = _find()
    if root is None:
        raise MissingExtraError(
            f"NVRTC {_MAJOR} is not installed",
            expected="the packages nvidia-cuda-nvrtc and nvidia-cuda-runtime",
            hint="pip install 'jitorch[cuda]'",
        )
    return Nvrtc(root)


def compile(text: str, arch: int, *, kind: str = "cubin") -> bytes:
    """CUDA C++ ``text`` for compute capability ``arch`` (75, 80, 90, ...) as ``"cubin"`` or ``"ptx"``."""
    return nvrtc().compile(text, arch, kind=kind)


def _find() -> Path | None:
    """The folder of the CUDA wheels: they share the namespace package ``nvidia``."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        root = Path(folder) / f"cu{_MAJOR}"
        if any(root.glob("lib/libnvrtc.so.*")) or any(root.glob("bin/x86_64/nvrtc64_*.dll")):
            return root
    return None


def _only(folder: Path, windows: str, other: str) -> Path:
    """The first file of a pattern; alternative builds (``.alt``) do not match it."""
    found = sorted(folder.glob(windows if sys.platform == "win32" else other))
    if not found:
        raise BackendError(f"NVRTC is incomplete: no {other} in {folder}", hint="reinstall nvidia-cuda-nvrtc")
    return found[0]


def _numbered(text: str) -> str:
    return "\n".join(f"{i:4}  {line}" for i, line in enumerate(text.splitlines(), 1))
