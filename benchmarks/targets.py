"""What each row is meant to reach first, and what it aims at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """``ratio`` is the time of ``against`` (a peer, or ``fastest``: the fastest of all) by ours; above 1 is ahead."""

    ratio: float
    against: str = "fastest"


@dataclass(frozen=True)
class Target:
    """Both lists hold with all of their marks."""

    reach: tuple[Mark, ...]
    aim: tuple[Mark, ...]


def _fastest(reach: float, aim: float) -> Target:
    return Target((Mark(reach),), (Mark(aim),))


_MODEL = Target((Mark(1.1, "torch"), Mark(0.9)), (Mark(1.3),))
_SMALL_MATMUL = _fastest(1.1, 1.1)

# The first prefix that fits counts.
TARGETS: tuple[tuple[str, Target], ...] = (
    ("W1.", _fastest(1.0, 2.0)),
    ("W2.softmax", _fastest(0.9, 1.5)),
    ("W2.layernorm", _fastest(0.9, 1.5)),
    ("W2.xent", _fastest(0.9, 1.5)),
    ("W2.", _fastest(1.0, 2.0)),
    ("W3.matmul_64", _SMALL_MATMUL),
    ("W3.matmul_128", _SMALL_MATMUL),
    ("W3.", _fastest(0.9, 1.0)),
    ("W4.", _MODEL),
    ("W5.resnet18", Target((Mark(1.1, "torch"), Mark(0.8, "onnxruntime")), (Mark(1.1),))),
    ("W5.", Target((Mark(0.9, "torch"),), (Mark(1.1),))),
    ("W6.", _MODEL),
    ("W7.", Target((Mark(1.0), Mark(3.0, "torch-script")), (Mark(3.0),))),
    ("W8.", _fastest(1.1, 1.5)),
    ("W9.tiny", Target((Mark(2.0, "torch-script"),), (Mark(10.0, "torch-script"),))),
    ("W9.", Target((Mark(1.5, "torch"),), (Mark(10.0, "torch"),))),
)


def target(row: str) -> Target:
    """The target of the row of that name; raises KeyError if there is none."""
    for prefix, found in TARGETS:
        if row.startswith(prefix):
            return found
    raise KeyError(row)
