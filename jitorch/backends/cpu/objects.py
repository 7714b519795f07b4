"""The object files of a program: from the cache by the text of each kernel, else compiled, by several processes.

LLVM runs under one lock of llvmlite's, so threads would not help: worker processes (`codegen.serve`) take part of
the modules.  Starting one takes about 0.06 s, compiling a kernel 5 to 30 ms.  They start while the program is still
being lowered, and are given each kernel as soon as its text is known.
"""

from __future__ import annotations

import heapq
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

WORKER_PAYS = 12
"""Kernels to compile from which on another process is started."""
NODES_A_KERNEL = 4
"""How many nodes of a graph become one kernel, more or less."""
LONG_HOST = 100_000
"""Characters of a host function from which on it is not optimised: it runs for long, and mostly in its kernels."""


def compile_modules(modules: Modules, opt: int) -> list[bytes]:
    """The objects of all modules, the host's last."""
    with Compiler(opt) as compiler:
        for symbol, text in modules.kernels.items():
            compiler.add(symbol, text)
        return compiler.finish(modules.host)


class Compiler:
    """Compiles modules, which are added one by one, in this process and in workers.

    ``nodes``: of the graph whose kernels will come; if they are many, a worker is started at once.
    """

    def __init__(self, opt: int, nodes: int = 0):
        self._opt = opt
        self._stamp = native.fingerprint()
        self._keys: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._done: dict[str, bytes] = {}
        self._queue = _Queue()
        self._workers: list[_Worker] = []
        if nodes >= WORKER_PAYS * NODES_A_KERNEL:
            self._start(1)

    def __enter__(self) -> Compiler:
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.drop()
        for worker in self._workers:
            worker.close()

    def add(self, symbol: str, text: str) -> None:
        """Compile the module of a kernel, unless the cache has it."""
        if symbol in self._keys:
            return
        key = self._keys[symbol] = cache.key_of("kernel", self._stamp, str(self._opt), text)
        data = cache.get(key)
        if data is not None:
            self._done[symbol] = data
            return
        self._texts[symbol] = text
        self._queue.put(symbol, text)

    def finish(self, host: str) -> list[bytes]:
        """The objects of all that were added, in that order, and of the host function that calls them."""
        self._start(len(self._texts) // WORKER_PAYS)
        self._queue.close()
        level = 0 if len(host) > LONG_HOST else min(self._opt, 1)
        last = native.compile_text(host, opt=level, imports=self._keys)
        found: dict[str, bytes] = {}
        while (symbol := self._queue.largest()) is not None:
            found[symbol] = native.compile_text(self._texts[symbol], opt=self._opt)
        for worker in self._workers:
            found |= worker.join()
        for symbol, text in self._texts.items():
            if symbol not in found:  # what a worker that died left undone
                found[symbol] = native.compile_text(text, opt=self._opt)
            cache.put(self._keys[symbol], found[symbol])
        self._done |= found
        return [*(self._done[symbol] for symbol in self._keys), last]

    def _start(self, count: int) -> None:
        """Have as many workers as that, or as there are processors besides the one that this thread uses."""
        while len(self._workers) < min(count, _processors() - 1):
            self._workers.append(_Worker(self._opt, self._queue))


def _processors() -> int:
    """The processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class _Queue:
    """Modules to compile, the largest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, str]] = []
        self._changed = threading.Condition()
        self._is_open = True

    def put(self, symbol: str, text: str) -> None:
        with self._changed:
            heapq.heappush(self._heap, (-len(text), symbol, text))
            self._changed.notify()

    def close(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def drop(self) -> None:
        """What is left need not be compiled."""
        with self._changed:
            self._heap.clear()
        self.close()

    def largest(self) -> str | None:
        """The symbol of the largest module that nobody has taken; None at the end."""
        found = self.next()
        return None if found is None else found[0]

    def next(self) -> tuple[str, str] | None:
        """The symbol and the text of that module; waits for one while more may come."""
        with self._changed:
            while self._is_open and not self._heap:
                self._changed.wait()
            return heapq.heappop(self._heap)[1:] if self._heap else None


class _Worker:
    """A process that compiles what it takes from a queue, by a thread that waits for it."""

    def __init__(self, opt: int, queue: _Queue):
        self._target = "\n".join([*_fields(native.host()), str(opt)]).encode()
        self._queue = queue
        self._done: dict[str, bytes] = {}
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                [sys.executable, "-P", codegen.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._process = None  # no second process here: everything is compiled in this one
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> dict[str, bytes]:
        """Wait until the queue is empty; gives the objects."""
        self._thread.join()
        return self._done

    def close(self) -> None:
        self._thread.join()
        process = self._process
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()

    def _run(self) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return
        while (module := self._queue.next()) is not None:
            data = self._compile(process.stdin, process.stdout, module[1])
            if data is None:
                return
            self._done[module[0]] = data

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
