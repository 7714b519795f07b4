"""The object files of a program: from the cache by the text of each kernel, else compiled, in two processes if it pays.

LLVM runs under one lock of llvmlite's, so threads would not help: a worker process (`codegen.serve`) takes
part of the modules.  Starting one takes about 0.1 s, compiling a kernel 10 ms.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from jitorch.backends import cache
from jitorch.backends.cpu import codegen, native
from jitorch.backends.cpu.llvm import Modules
from jitorch.errors import CompilerBug

WORKER_PAYS = 32
"""Kernels to compile from which on a second process is started: about 0.3 s of work."""


def compile_modules(modules: Modules, opt: int) -> list[bytes]:
    """The objects of all modules, the host's last."""
    stamp = native.fingerprint()
    keys = {symbol: cache.key_of("kernel", stamp, str(opt), text) for symbol, text in modules.kernels.items()}
    found = {symbol: cache.get(key) for symbol, key in keys.items()}
    missing = {symbol: modules.kernels[symbol] for symbol, data in found.items() if data is None}
    for symbol, data in compile_all(missing, opt).items():
        cache.put(keys[symbol], data)
        found[symbol] = data
    host = native.compile_text(modules.host, opt=min(opt, 1), imports=modules.kernels)
    return [*(data for data in found.values() if data is not None), host]


def compile_all(texts: dict[str, str], opt: int) -> dict[str, bytes]:
    """Compile every module, longest text first; half of them in a worker where that pays."""
    order = sorted(texts, key=lambda symbol: -len(texts[symbol]))
    if len(order) < WORKER_PAYS or (os.cpu_count() or 1) < 2:
        return {symbol: native.compile_text(texts[symbol], opt=opt) for symbol in order}
    queue = _Queue(order)
    with _Worker(opt) as worker:
        helper = threading.Thread(target=worker.compile_from, args=(queue, texts), daemon=True)
        helper.start()
        done: dict[str, bytes] = {}
        while (symbol := queue.first()) is not None:
            done[symbol] = native.compile_text(texts[symbol], opt=opt)
        helper.join()
    done |= worker.done
    # What a worker that died left undone is done here.
    for symbol in order:
        if symbol not in done:
            done[symbol] = native.compile_text(texts[symbol], opt=opt)
    return done


class _Queue:
    """Modules to compile, taken from both ends: the worker starts late, and shall not end late."""

    def __init__(self, symbols: Sequence[str]):
        self._symbols = list(symbols)
        self._lock = threading.Lock()

    def first(self) -> str | None:
        with self._lock:
            return self._symbols.pop(0) if self._symbols else None


class _Worker:
    """A process that compiles modules; ``done`` holds its objects."""

    def __init__(self, opt: int):
        self._target = "\n".join([*_fields(native.host()), str(opt)]).encode()
        self.done: dict[str, bytes] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _Worker:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", codegen.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._process = None  # no second process here: everything is compiled in this one
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()

    def compile_from(self, queue: _Queue, texts: dict[str, str]) -> None:
        """Compile what ``queue`` gives until it is empty; if the worker fails, the rest is left."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return
        while (symbol := queue.first()) is not None:
            data = self._compile(process.stdin, process.stdout, texts[symbol])
            if data is None:
                return
            self.done[symbol] = data

    def _compile(self, requests: IO[bytes], answers: IO[bytes], text: str) -> bytes | None:
        try:
            codegen.write_block(requests, self._target)
            codegen.write_block(requests, text.encode())
            requests.flush()
            answer = codegen.read_block(answers)
        except OSError:
            return None
        # A text that the worker refuses is compiled here once more, where the error is raised.
        return None if answer is None or answer[1] else answer[0]


def _fields(target: native.Target) -> tuple[str, str, str]:
    return target.triple, target.cpu, target.features


def pack(objects: Sequence[bytes]) -> bytes:
    """Several objects as one payload: each with its length before it."""
    return b"".join(len(data).to_bytes(8, "little") + data for data in objects)


def unpack(payload: bytes) -> list[bytes]:
    """What `pack` packed."""
    objects: list[bytes] = []
    place = 0
    while place < len(payload):
        length = int.from_bytes(payload[place : place + 8], "little")
        place += 8
        if length > len(payload) - place:
            raise CompilerBug("a payload of objects ends too early", expected=length, actual=len(payload) - place)
        objects.append(payload[place : place + length])
        place += length
    return objects
