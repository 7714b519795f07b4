from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from jitorch.errors import ArgumentError, CompilerBug, UnsupportedError
from jitorch.ir.op import COMPOSITE, PRIMITIVE, Op
from tests.ir import toys
from tests.ir.toys import Tensor


def make(function: Callable[..., Any], kind: str = PRIMITIVE) -> Op:
    return Op(function.__name__, kind, function)


def loss(x: Tensor, weight: Tensor | None = None, beta: float = 1.0, *, axes: tuple[int, ...] = (), mean: bool) -> Any:
    """What it does."""


def stack(first: Tensor, rest: Sequence[Tensor], last: Tensor, *, axis: int = 0) -> Any:
    """One operand, some, and one more."""


def test_parameters_are_classified_by_annotation() -> None:
    op = make(loss)
    assert [(p.name, p.kind, p.optional) for p in op.params] == [
        ("x", "tensor", False),
        ("weight", "tensor", True),
        ("beta", "number", False),
        ("axes", "attr", False),
        ("mean", "attr", False),
    ]
    assert [p.name for p in op.operands] == ["x", "weight", "beta"]
    assert [p.name for p in op.attrs if p.is_required] == ["mean"]
    assert op.doc == "What it does."
    assert op.variadic is None
    assert make(stack).variadic == 1


def test_only_a_composite_has_a_body() -> None:
    assert make(loss).body is None
    assert make(loss, COMPOSITE).body is loss


def test_bind_splits_operands_from_attributes() -> None:
    op = make(loss)
    assert op.bind(("x",), {"mean": True}) == (("x", None, 1.0), {"axes": (), "mean": True})
    assert op.bind(("x", "w"), {"mean": False, "axes": [0, 1]}) == (("x", "w", 1.0), {"axes": (0, 1), "mean": False})
    assert toys.add.bind(("x", "y"), {}) == (("x", "y"), {})
    assert make(stack).bind(("a", ["b", "c"], "d"), {}) == (("a", "b", "c", "d"), {"axis": 0})


@pytest.mark.parametrize(
    ("args", "kwargs", "what"),
    [
        ((), {"mean": True}, "loss: missing argument 'x'"),
        (("x",), {}, "loss: missing argument 'mean'"),
        (("x", "w", 1.0, ()), {}, "loss: too many positional arguments"),
        (("x",), {"mean": True, "axis": 0}, "loss: unexpected argument 'axis'"),
        (("x",), {"mean": True, "x": 0}, "loss: argument 'x' given twice"),
    ],
)
def test_wrong_arguments(args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make(loss).bind(args, kwargs)
    assert caught.value.what == what


def test_flat_operands_and_grouped_ones() -> None:
    op = make(stack)
    assert op.group(["a", "b", "c", "d"]) == ["a", ["b", "c"], "d"]
    assert op.group(["a", "d"]) == ["a", [], "d"]
    assert op.flatten(["a", ["b", "c"], "d"]) == ["a", "b", "c", "d"]
    assert op.keywords(["a", "b", "d"], {"axis": 1}) == {"first": "a", "rest": ["b"], "last": "d", "axis": 1}
    assert list(op.operand_names(4)) == ["first", "rest[0]", "rest[1]", "last"]
    assert make(loss).group(["a", None, 1.0]) == ["a", None, 1.0]


def test_cotangents_that_nobody_wants_are_not_computed() -> None:
    asked = []
    late = [lambda i=i: asked.append(i) or i for i in range(3)]
    plain = toys.OPS["add"]
    assert plain.cotangents((late[0], late[1]), (False, True)) == [None, 1]
    assert plain.cotangents((7, None), (False, True)) == [None, None]
    assert plain.cotangents((late[2],), (True, True)) == [2, None]
    assert asked == [1, 2]


def test_a_rule_is_attached_once() -> None:
    op = make(loss)

    @op.rule("onnx")
    def first() -> int:
        return 1

    assert op.rules["onnx"] is first
    with pytest.raises(CompilerBug, match="loss already has a onnx rule"):
        op.rule("onnx")(first)


@pytest.mark.parametrize("name", ["numpy", "vjp", "pull", "reduce", "write", "samples"])
def test_rules_by_name(name: str) -> None:
    op = make(loss)
    getattr(op, name)(loss)
    assert op.rules == {name: loss}


def test_unknown_lowering() -> None:
    with pytest.raises(CompilerBug, match="unknown lowering 'magic'"):
        Op("x", PRIMITIVE, loss, "magic")


def test_an_op_is_one_object() -> None:
    assert copy.deepcopy(toys.add) is toys.add
    with pytest.raises(UnsupportedError, match="cannot be pickled"):
        pickle.dumps(toys.add)
    assert repr(toys.add) == "<op add>"
