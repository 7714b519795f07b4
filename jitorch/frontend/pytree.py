"""Trees of lists, tuples, named tuples and dicts, with anything else as leaves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch.errors import ArgumentError

LEAF: Any = None
"""The structure of a leaf."""


@dataclass(frozen=True)
class Structure:
    """A node of a tree: its type, what it takes to make one anew, and the structures of its children (None: a leaf)."""

    kind: type
    keys: tuple[Any, ...]
    children: tuple[Structure | None, ...]

    def __str__(self) -> str:
        parts = ["*" if c is None else str(c) for c in self.children]
        if self.keys:
            return "{" + ", ".join(f"{k!r}: {p}" for k, p in zip(self.keys, parts)) + "}"
        return ("[{}]" if self.kind is list else "({})").format(", ".join(parts))


def _children(tree: Any) -> tuple[tuple[Any, ...], Sequence[Any]] | None:
    """Keys and children of a node; None for a leaf."""
    kind = type(tree)
    if kind in (dict, OrderedDict):
        return tuple(tree), list(tree.values())
    if kind in (list, tuple) or (isinstance(tree, tuple) and hasattr(tree, "_make")):
        return (), list(tree)
    return None


def flatten(tree: Any) -> tuple[list[Any], Structure | None]:
    """The leaves, in order, and the structure."""
    found = _children(tree)
    if found is None:
        return [tree], LEAF
    leaves: list[Any] = []
    children = []
    for child in found[1]:
        inner, structure = flatten(child)
        leaves += inner
        children.append(structure)
    return leaves, Structure(type(tree), found[0], tuple(children))


def unflatten(leaves: Sequence[Any], structure: Structure | None) -> Any:
    """The tree of a structure with these leaves."""
    given = iter(leaves)
    return _build(given, structure)


def _build(leaves: Any, structure: Structure | None) -> Any:
    if structure is None:
        return next(leaves)
    children = [_build(leaves, c) for c in structure.children]
    if structure.kind in (dict, OrderedDict):
        return structure.kind(zip(structure.keys, children))
    if hasattr(structure.kind, "_make"):
        return structure.kind._make(children)  # type: ignore[attr-defined]
    return structure.kind(children)


def map_tree(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with each leaf replaced by ``function(leaf)``."""
    leaves, structure = flatten(tree)
    return unflatten([function(x) for x in leaves], structure)


def spread(prefix: Any, structure: Structure | None, what: str) -> list[Any]:
    """One leaf of ``prefix`` for each leaf of the structure; a leaf of it may stand for a whole part of the tree."""
    if structure is None:
        if _children(prefix) is not None:
            raise ArgumentError(f"{what} has more levels than what it is for", actual=prefix)
        return [prefix]
    found = _children(prefix)
    if found is None:
        return [x for c in structure.children for x in spread(prefix, c, what)]
    keys, children = found
    if keys != structure.keys or len(children) != len(structure.children):
        raise ArgumentError(f"{what} has another structure than what it is for", expected=structure, actual=prefix)
    return [x for p, c in zip(children, structure.children) for x in spread(p, c, what)]
