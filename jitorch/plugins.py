"""Packages that add to jitorch, found by entry point and imported when what they add is first asked for.

    jitorch.backends     name = "package:backend"    `jit(backend=name)`; see `jitorch.backends.registry`
    jitorch.ops          name = "package:op"         an op or a function, reached as ``jitorch.name``
    jitorch.passes       name = "package:change"     a pass (Graph -> bool), run where the setting `passes` names it
    jitorch.exporters    name = "package:export"     `exporter(name)`

A package that fails to load breaks nobody else; two that claim one name in a group are an error that names both, for
those who ask for that name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jitorch.errors import PluginError

OPS, PASSES, EXPORTERS = "jitorch.ops", "jitorch.passes", "jitorch.exporters"


@dataclass(frozen=True)
class Claim:
    """That the package ``owner`` provides a name: ``value`` is ``module:attribute``."""

    owner: str
    value: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.owner} ({self.value})"


def claims(group: str) -> dict[str, list[Claim]]:
    """For each name of a group who claims it."""
    # Not at the top: this module of Python's takes longer to import than all of ours before the first compilation.
    from importlib import metadata

    found: dict[str, list[Claim]] = {}
    for point in metadata.entry_points(group=group):
        distribution = point.dist
        owner = point.value if distribution is None else distribution.name
        claim = Claim(owner, point.value, "" if distribution is None else distribution.version)
        # A package that is installed twice on one path is found twice.
        if all((c.owner, c.value) != (owner, point.value) for c in found.setdefault(point.name, [])):
            found[point.name].append(claim)
    return found


def only(group: str, name: str, found: list[Claim]) -> Claim:
    """The one claim to ``name``; `PluginError` that names all owners if there are more."""
    if len(found) > 1:
        raise PluginError(
            f"two packages provide {name!r} in {group}",
            actual=" and ".join(map(str, found)),
            hint="uninstall one of them",
        )
    return found[0]


def load(group: str, name: str, claim: Claim) -> Any:
    """Import what ``claim`` stands for; `PluginError` with the package's name and its own error if that fails."""
    module, _, attribute = claim.value.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise PluginError(
            f"{name!r} in {group}, of package {claim.owner!r}, could not be loaded",
            actual=f"{type(error).__name__}: {error}",
            hint=f"reinstall or uninstall {claim.owner}",
        ) from error


def find(group: str, name: str) -> Any | None:
    """What packages provide as ``name`` in ``group``, loaded; None if none does."""
    found = claims(group).get(name)
    return None if found is None else load(group, name, only(group, name, found))


def exporter(name: str) -> Callable[..., Any]:
    """The function that exports to ``name``; `PluginError` lists those there are."""
    found = find(EXPORTERS, name)
    if found is None:
        there = ", ".join(sorted(claims(EXPORTERS))) or "none"
        raise PluginError(f"no package exports to {name!r}", expected=there, hint=f"pip install jitorch-{name}")
    return found


def passes(names: tuple[str, ...]) -> list[tuple[str, Callable[..., bool]]]:
    """The passes called ``names``, in that order, each with a text that changes when its package does."""
    if not names:
        return []
    found = claims(PASSES)
    result = []
    for name in names:
        if name not in found:
            raise PluginError(f"no package provides a pass {name!r}", expected=", ".join(sorted(found)) or "none")
        claim = only(PASSES, name, found[name])
        result.append((f"{name}={claim.owner} {claim.version}", load(PASSES, name, claim)))
    return result
