"""What a peer is: something that builds the rows it can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads import Data, Workload

TRAINING_STEPS = 3  # steps whose losses and updates are compared


class Skip(Exception):
    """Raised by a peer that cannot do a row; the message is the reason."""


@dataclass
class Case:
    """One row, built by one peer.

    ``run`` is one call, finished when it returns; ``outputs`` gives what is compared (for a training row: the losses of
    the first steps and what they changed, so it is called once, before ``run``); ``note`` goes into the table.
    """

    run: Callable[[], Any]
    outputs: Callable[[], list[np.ndarray]]
    note: str = ""


class Peer:
    """Builds cases: the method ``build_<kind>`` of a workload is called with its data.

    A kind without a method is skipped, for the reason in ``cannot`` (by kind, or under ``""``).
    """

    cannot: dict[str, str] = {"": "not written"}  # noqa: RUF012  (subclasses replace it)

    def build(self, workload: Workload) -> Case:
        """Raises `Skip` where this peer cannot do the row."""
        method = getattr(self, f"build_{workload.kind}", None)
        if method is None:
            raise Skip(self.cannot.get(workload.kind) or self.cannot[""])
        return method(workload.data())

    def drop(self) -> None:
        """Forget what was compiled for the last row."""

    def versions(self) -> dict[str, str]:
        """The packages behind it."""
        return {}


def plain(data: Data, convert: Callable[[np.ndarray], Any]) -> Data:
    """``data`` with its arrays converted, in dictionaries too; other values stay."""

    def one(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: one(item) for key, item in value.items()}
        return convert(value) if isinstance(value, np.ndarray) else value

    return {key: one(value) for key, value in data.items()}


def flat_update(before: list[np.ndarray], after: list[np.ndarray]) -> np.ndarray:
    """What training changed, as one vector, float64."""
    return np.concatenate([np.ravel(a.astype(np.float64) - b) for a, b in zip(after, before, strict=True)])
