"""What is left where a processor has fewer instructions: rows measured with AVX2 alone, and with SSE2 alone.

Code for a lesser processor runs on this one, so it is told what an older machine would be told; its caches, its clock
and the width of its units stay this machine's.
"""

from __future__ import annotations

from typing import Any

from benchmarks import table
from benchmarks.workloads import Workload, select

PEERS = ("jitorch", "torch", "jitorch-avx2", "torch-avx2", "jitorch-sse2", "torch-sse2")
PAIRS = (("jitorch", "torch"), ("jitorch-avx2", "torch-avx2"), ("jitorch-sse2", "torch-sse2"))
ROWS = (
    "W1.pointwise_1e5", "W2.softmax", "W2.layernorm", "W2.xent", "W2.sum", "W3.matmul_128", "W3.matmul_512",
    "W3.linear_gelu", "W4.mlp_b8", "W5.conv", "W5.resnet18_b1", "W6.encoder_b1", "W7.lstm", "W8.train_mlp",
    "W8.train_cnn",
)  # fmt: skip
"""Beginnings of names."""


def rows(only: str = "") -> list[Workload]:
    """The rows of ``ROWS`` that ``only`` names, as on the command line."""
    wanted = {row.name for row in select(only)}
    return [row for row in select(",".join(ROWS)) if row.name in wanted]


def cells(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and lines: jitorch's time for each set of instructions, and PyTorch's as a multiple of it."""
    lines = []
    for name, results in found.items():
        line = [name]
        for ours, theirs in PAIRS:
            seconds, other = (results.get(peer, {}).get("seconds") for peer in (ours, theirs))
            line.append("-" if seconds is None else table.duration(seconds))
            line.append("-" if seconds is None or other is None else f"{other / seconds:.2f}")
        lines.append(line)
    return ["row", "all", "PyTorch", "AVX2", "PyTorch", "SSE2", "PyTorch"], lines


def text(found: dict[str, Any]) -> str:
    """The table for a terminal."""
    problems = [
        f"{name}, {peer}: {result.get('mismatch') or result.get('error')}"
        for name, results in found.items()
        for peer, result in results.items()
        if "mismatch" in result or "error" in result
    ]
    return "\n".join([table.aligned(*cells(found)), *problems])
