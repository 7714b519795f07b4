"""Ratios of a row, and whether they meet its target."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Any

from benchmarks.peers import ENVIRONMENTS, OURS
from benchmarks.targets import Mark, Target


@dataclass(frozen=True)
class Judgement:
    """``ratio`` is the fastest peer's time by ours, None without one of them; ``reach`` and ``aim`` are None where a
    peer that the target names has no time (and what is known does not fail it)."""

    seconds: float | None
    fastest: str | None
    ratio: float | None
    ratios: dict[str, float]
    reach: bool | None
    aim: bool | None


def judge(results: dict[str, Any], subject: str, target: Target) -> Judgement:
    """``results`` are those of one row, by peer."""
    times = {peer: result["seconds"] for peer, result in results.items() if "seconds" in result}
    ours = times.get(subject)
    others = {peer: seconds for peer, seconds in times.items() if peer not in (*OURS, *ENVIRONMENTS)}
    fastest = min(others, key=lambda peer: others[peer]) if others else None
    if ours is None:
        met = False if subject in results else None
        return Judgement(None, fastest, None, {}, met, met)
    ratios = {peer: seconds / ours for peer, seconds in others.items()}
    known = dict(ratios) if fastest is None else {**ratios, "fastest": ratios[fastest]}
    return Judgement(ours, fastest, known.get("fastest"), ratios, _met(target.reach, known), _met(target.aim, known))


def _met(marks: tuple[Mark, ...], ratios: dict[str, float]) -> bool | None:
    known = [ratios[mark.against] >= mark.ratio for mark in marks if mark.against in ratios]
    if not all(known):
        return False
    return True if len(known) == len(marks) else None


def geometric_mean(ratios: list[float]) -> float | None:
    """None of nothing."""
    return exp(sum(map(log, ratios)) / len(ratios)) if ratios else None
