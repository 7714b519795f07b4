"""Trees and their prefixes."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import pytest

from jitorch.errors import ArgumentError
from jitorch.frontend.pytree import flatten, map_tree, spread, unflatten

Pair = namedtuple("Pair", "a b")
TREES = [1, (), [], (1, [2, {"x": 3}]), OrderedDict(b=1, a=(2,)), Pair(1, [2]), {"a": None}, ((1,), (1,))]


@pytest.mark.parametrize("tree", TREES, ids=range(len(TREES)))
def test_a_tree_is_its_leaves_and_its_structure(tree: Any) -> None:
    leaves, structure = flatten(tree)
    again = unflatten(leaves, structure)
    assert again == tree
    assert type(again) is type(tree)
    assert flatten(map_tree(lambda x: (x, 0), tree))[0] == [y for x in leaves for y in (x, 0)]


def test_structures_tell_kinds_apart() -> None:
    assert flatten([1])[1] != flatten((1,))[1]
    assert flatten({"a": 1})[1] != flatten({"b": 1})[1]
    assert flatten((1, (2,)))[1] == flatten((3, (4,)))[1]
    assert str(flatten((1, [2], {"k": 3}))[1]) == "(*, [*], {'k': *})"


def test_a_leaf_of_a_prefix_stands_for_a_part() -> None:
    structure = flatten((1, {"a": 2, "b": [3, 4]}))[1]
    assert spread(0, structure, "it") == [0, 0, 0, 0]
    assert spread((0, {"a": 1, "b": 2}), structure, "it") == [0, 1, 2, 2]
    for wrong in ((0,), (0, {"a": 1}), ((0,), 1)):
        with pytest.raises(ArgumentError, match="it has"):
            spread(wrong, structure, "it")
