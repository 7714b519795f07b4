"""The process of one peer: builds rows and times calls, as it is told by lines of JSON on standard input.

    {"do": "about"}                                -> {"versions": {...}, "blas": [...]}
    {"do": "build", "row": name, "save": path}     -> {"note": ...}, outputs saved as .npz; or {"skip": reason}
    {"do": "sample", "seconds": 0.002}             -> {"seconds": per call, "calls": n}
    {"do": "drop"}                                 -> {}

An answer with "error" holds the text of an exception.  What a peer prints goes to standard error.
"""

from __future__ import annotations

import gc
import json
import math
import os
import sys
import traceback
from itertools import repeat
from time import perf_counter
from typing import Any, TextIO

import numpy as np

from benchmarks import peers
from benchmarks.peers.base import Case, Peer, Skip
from benchmarks.workloads import named

WARM_SECONDS = 1e-3  # calls before a sample, at least one
LOOP_CALLS = 20_000


def _nothing() -> None:
    """What the cost of the loop and of one call is measured with."""


def timed(run: Any, calls: int) -> float:
    """Seconds for ``calls`` calls."""
    start = perf_counter()
    for _ in repeat(None, calls):
        run()
    return perf_counter() - start


class Child:
    """What stands behind the protocol."""

    def __init__(self, peer: Peer):
        self.peer = peer
        self.case: Case | None = None
        self.loop = min(timed(_nothing, LOOP_CALLS) for _ in range(5)) / LOOP_CALLS

    def about(self) -> dict[str, Any]:
        """Versions, and the BLAS behind NumPy with the kernel that it chose."""
        try:
            from threadpoolctl import threadpool_info
        except ImportError:
            return {"versions": self.peer.versions(), "blas": []}
        keys = ("user_api", "internal_api", "version", "architecture", "num_threads")
        pools = [{key: pool[key] for key in keys if key in pool} for pool in threadpool_info()]
        return {"versions": self.peer.versions(), "blas": pools}

    def build(self, row: str, save: str) -> dict[str, Any]:
        self.case = self.peer.build(named(row))
        start = perf_counter()
        outputs = self.case.outputs()
        first = perf_counter() - start
        np.savez(save, *outputs)
        return {"note": self.case.note, "first": first}

    def sample(self, seconds: float) -> dict[str, Any]:
        """Calls for about ``seconds``, after warm ones; the loop's own cost is not counted."""
        assert self.case is not None
        run = self.case.run
        each = timed(run, 1)
        spent = each
        while spent < WARM_SECONDS:
            calls = max(1, math.ceil((WARM_SECONDS - spent) / each))
            warm = timed(run, calls)
            each, spent = warm / calls, spent + warm
        calls = max(1, math.ceil(seconds / each))
        return {"seconds": max(timed(run, calls) / calls - self.loop, 1e-10), "calls": calls}

    def drop(self) -> dict[str, Any]:
        self.case = None
        self.peer.drop()
        gc.collect()
        return {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request.pop("do")
        try:
            return getattr(self, do)(**request)
        except Skip as reason:
            return {"skip": str(reason)}
        except Exception as error:  # noqa: BLE001  (reported to the parent, which prints it beside the row)
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}".strip()[:2000]}


def serve(name: str, requests: TextIO, answers: TextIO) -> None:
    """Answer until standard input ends."""
    try:
        child = Child(peers.make(name))
    except Exception as error:  # noqa: BLE001  (as above)
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        return
    print(json.dumps({"ready": name}), file=answers, flush=True)
    for line in requests:
        print(json.dumps(child.answer(json.loads(line))), file=answers, flush=True)


def main() -> None:
    """``python -m benchmarks.child PEER``."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.argv[1], sys.stdin, answers)


if __name__ == "__main__":
    main()
