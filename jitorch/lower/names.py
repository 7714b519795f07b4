"""Names of what a program holds."""

from __future__ import annotations

from jitorch.errors import Location

Origins = dict[str, dict[Location, None]]
"""The user's lines that each kernel comes from, in order."""


class Names:
    """Names that are free in a program, for it and for the blocks in it."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.origins: Origins = {}

    def kernel(self, base: str) -> str:
        return f"{base}_{self._next(base)}"

    def fresh(self, base: str) -> str:
        """A name for a buffer or scalar of the host that no kernel uses for something of its own."""
        return f"host_{base}{self._next(base + ' ')}"

    def _next(self, base: str) -> int:
        self.counts[base] = self.counts.get(base, 0) + 1
        return self.counts[base]
