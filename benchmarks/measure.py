"""One row over all peers: build, compare, then rounds of samples A B C A B C ...

A round before or after which several threads have one core between them (`benchmarks.cores`) is measured again, for
all peers, as often as `PATIENCE` allows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

import numpy as np

from benchmarks import cores
from benchmarks.compare import mismatch
from benchmarks.peers import REFERENCE
from benchmarks.process import ChildError, ChildProcess
from benchmarks.workloads import Workload

PATIENCE = 300.0
"""Seconds of a run that may be spent on rounds that do not count, and between them."""
_PAUSE = 0.5  # seconds until it is looked again whether threads have cores of their own

Result = dict[str, Any]  # "seconds" and "samples", or one of "skip", "mismatch", "error"; maybe "note"


@dataclass
class Settings:
    """``sample`` and ``limit`` are in seconds; ``limit`` is for building a row in one peer.

    ``reference`` is the peer whose outputs are right.
    """

    peers: list[str]
    threads: int = 2
    rounds: int = 9
    sample: float = 0.004
    limit: float = 300.0
    say: Callable[[str], None] = lambda text: None
    reference: str = REFERENCE


@dataclass
class Bench:
    """Holds the peers' processes from row to row; a context manager that ends them."""

    settings: Settings
    children: dict[str, ChildProcess] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)  # rows, and how many rounds of them did not count
    patience: float = PATIENCE  # what is left of it

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exc: object) -> None:
        for child in self.children.values():
            child.close()
        self.children.clear()

    def _child(self, peer: str) -> ChildProcess:
        if peer not in self.children:
            self.children[peer] = ChildProcess(peer, self.settings.threads)
            self.about[peer] = self.children[peer].ask(60, do="about")
        return self.children[peer]

    def ask(self, peer: str, timeout: float, **request: Any) -> dict[str, Any]:
        """The answer of ``peer``; the death of its process, or the failure to start it, is an answer with "error"."""
        if peer in self.broken:
            return {"error": self.broken[peer]}
        try:
            child = self._child(peer)
        except ChildError as error:
            self.broken[peer] = str(error)
            return {"error": str(error)}
        try:
            return child.ask(timeout, **request)
        except ChildError as error:
            del self.children[peer]
            return {"error": str(error)}

    def _outputs(self, peer: str, row: Workload, folder: str) -> tuple[dict[str, Any], list[np.ndarray]]:
        save = Path(folder) / f"{peer}.npz"
        self.settings.say(f"{row.name}: {peer} builds")
        answer = self.ask(peer, self.settings.limit, do="build", row=row.name, save=str(save))
        if not save.exists() or "error" in answer:
            return answer, []
        with np.load(save) as arrays:
            return answer, [arrays[f"arr_{i}"] for i in range(len(arrays.files))]

    def row(self, row: Workload, compared: bool = True) -> dict[str, Result]:
        """What each peer did: its median time, or why there is none; without ``compared`` any output will do."""
        results: dict[str, Result] = {}
        with tempfile.TemporaryDirectory() as folder:
            expected = None
            if compared:
                answer, expected = self._outputs(self.settings.reference, row, folder)
                self.ask(self.settings.reference, 60, do="drop")
                if not expected:
                    why = answer.get("skip") or answer.get("error")
                    return {peer: {"error": f"nothing to compare with: {why}"} for peer in self.settings.peers}
            for peer in self.settings.peers:
                answer, outputs = self._outputs(peer, row, folder)
                results[peer] = judged(answer, outputs, expected, row.tolerance)
        self._sample(row, results)
        for peer in results:
            if peer in self.children:
                self.ask(peer, 60, do="drop")
        return results

    def _sample(self, row: Workload, results: dict[str, Result]) -> None:
        running = [peer for peer, result in results.items() if "samples" in result]
        turn = 0
        while turn < self.settings.rounds:
            while self._lacks_cores():
                sleep(_PAUSE)
                self.patience -= _PAUSE
            self.settings.say(f"{row.name}: round {turn + 1} of {self.settings.rounds}")
            begun = perf_counter()
            found = self._round(running, results)
            if self._lacks_cores():
                self.patience -= perf_counter() - begun
                self.repeated[row.name] = self.repeated.get(row.name, 0) + 1
                continue
            turn += 1
            for peer, seconds in found.items():
                results[peer]["samples"].append(seconds)
        for peer in running:
            results[peer]["seconds"] = median(results[peer]["samples"])

    def _lacks_cores(self) -> bool:
        """Whether threads have one core between them, and there is patience to wait for more."""
        return self.patience > 0 and cores.are_shared(self.settings.threads)

    def _round(self, running: list[str], results: dict[str, Result]) -> dict[str, float]:
        """A sample of each peer; one that fails is taken from ``running``, with its error for a result."""
        found: dict[str, float] = {}
        for peer in list(running):
            answer = self.ask(peer, self.settings.limit, do="sample", seconds=self.settings.sample)
            if "error" in answer:
                running.remove(peer)
                results[peer] = {"error": answer["error"]}
            else:
                found[peer] = answer["seconds"]
        return found


def judged(
    answer: dict[str, Any], outputs: list[np.ndarray], expected: list[np.ndarray] | None, tolerance: float
) -> Result:
    """The start of a peer's result: with a list for samples only where its outputs are right (None: any are)."""
    for key in ("skip", "error"):
        if key in answer:
            return {key: answer[key]}
    wrong = "" if expected is None else mismatch(outputs, expected, tolerance)
    if wrong:
        return {"mismatch": wrong}
    note = {"note": answer["note"]} if answer.get("note") else {}
    return {"samples": [], "first": answer["first"], **note}
