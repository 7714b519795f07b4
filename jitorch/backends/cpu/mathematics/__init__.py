"""Transcendental functions of our own, which LLVM's vectorisers see through.

A function here is written once, as a formula over `Term`, and serves single elements and lanes of both
precisions.  It becomes a small internal function that is always inlined, has no branch, reads no table and
calls nothing, so that the loop around it is vectorised like any other arithmetic.

Each is exact to 2 units in the last place over the whole range of its format, denormal numbers, infinities
and NaN included; the docstrings say what was measured.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics.library import c_library, has, say

__all__ = ["c_library", "has", "say"]
