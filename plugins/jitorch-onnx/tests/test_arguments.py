"""Trees of arguments: flattened, named, rebuilt."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from jitorch_onnx.arguments import bind, described, leaves, rebuilt

import jitorch
from jitorch import dims, nn

Pair = namedtuple("Pair", "left right")


def test_leaves_have_the_path_that_leads_to_them():
    tree = {"a": (1, [2, 3]), "b": Pair(4, {"c": 5})}
    assert list(leaves(tree)) == [("a_0", 1), ("a_1_0", 2), ("a_1_1", 3), ("b_0", 4), ("b_1.c", 5)]
    assert list(leaves(7)) == [("", 7)]


def test_a_tree_is_rebuilt_with_other_tensors():
    x, y = jitorch.zeros(1), jitorch.ones(1)
    tree = {"a": (x, 3), "b": Pair([y], None)}
    new = rebuilt(tree, iter(["first", "second"]))
    assert new == {"a": ("first", 3), "b": Pair(["second"], None)}
    assert isinstance(new["b"], Pair)


def test_arguments_go_by_the_parameters_they_fill():
    def function(x, *rest, scale=1, **options):
        return x

    bound = bind(function, (1, 2, 3), {"scale": 4, "mode": 5})
    assert bound == {"x": 1, "rest": (2, 3), "scale": 4, "mode": 5}


def test_a_module_has_the_parameters_of_its_forward():
    assert list(bind(nn.Linear(2, 2), (1,), {})) == ["input"]


def test_types_carry_the_symbols():
    x = jitorch.from_numpy(np.zeros((2, 3), np.float32))
    (argument,) = described(lambda x: x, (x,), {}, None, {"x": {-1: "width"}})
    assert argument.name == "x"
    assert str(argument.type) == "f32[2, width]"
    (symbol,) = dims.symbols(argument.type.shape[1])
    assert (symbol.low, symbol.hint) == (1, 3)
