"""A progress bar over the rows on standard error: rich's where it is installed and a terminal looks, else lines."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import Any


class Progress:
    """``say`` shows what is being done, ``advance`` that a row is done; a context manager."""

    def __init__(self, total: int):
        self.total, self.done, self.last = total, 0, ""
        self.start = time.monotonic()
        self.bar: Any = None
        if sys.stderr.isatty() and find_spec("rich") is not None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
            self.bar = Bar(*columns, console=Console(stderr=True))
            self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def say(self, text: str) -> None:
        """What is being done now."""
        self.last = text
        if self.bar is not None:
            self.bar.update(self.task, description=text)

    def advance(self) -> None:
        """One more row is done."""
        self.done += 1
        if self.bar is not None:
            self.bar.advance(self.task)
            return
        row, seconds = self.last.split(":")[0], time.monotonic() - self.start
        print(f"[{self.done}/{self.total}] {row} ({seconds:.0f} s)", file=sys.stderr, flush=True)
