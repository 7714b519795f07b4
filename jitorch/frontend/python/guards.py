"""Guards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jitorch.frontend.python.paths import Path


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    path: Path
    kind: str
    expected: Any
