from __future__ import annotations

import math
from typing import Any

import pytest

from jitorch.frontend.python import paths
from jitorch.frontend.python.paths import OPERATIONS, Path


class Holder:
    def __init__(self, **entries: Any):
        self.__dict__.update(entries)


def closure(captured: Any) -> Any:
    def function(a: int = 4, *, b: int = 5) -> Any:
        return captured, a, b

    return function


def _places() -> list[tuple[Path, str, Any]]:
    first, second = paths.arg(0), paths.kwarg("config")
    function = paths.arg(1)
    return [
        (paths.attr(paths.attr(first, "fc"), "weight"), "arg0.fc.weight", "w"),
        (paths.item(second, "lr"), "config['lr']", 0.5),
        (paths.item(paths.item(second, "list"), 1), "config['list'][1]", "b"),
        (Path("cell", function, (0, "captured")), "captured", "inside"),
        (Path("default", function, (0, "a")), "arg1(a=...)", 4),
        (Path("kwdefault", function, "b"), "arg1(b=...)", 5),
        (paths.item(paths.const(globals()), "GLOBAL"), "GLOBAL", "g"),
        (paths.attr(paths.const(math), "pi"), "math.pi", math.pi),
        (paths.expression(OPERATIONS["add"], paths.item(second, "lr"), 1), "(config['lr'] + 1)", 1.5),
        (
            paths.expression(paths.operation(math.sqrt), paths.item(second, "four")),
            "math.sqrt(config['four'])",
            2.0,
        ),
        (paths.item(paths.item(second, "by_key"), paths.item(second, "four")), "config['by_key'][config['four']]", "v"),
    ]


GLOBAL = "g"
ARGS = (Holder(fc=Holder(weight="w")), closure("inside"))
KWARGS = {"config": {"lr": 0.5, "list": ["a", "b"], "four": 4, "by_key": {4: "v"}}}


@pytest.mark.parametrize(("path", "text", "value"), _places(), ids=lambda x: x if isinstance(x, str) else None)
def test_a_path_is_found_and_described(path: Path, text: str, value: Any) -> None:
    assert str(path) == text
    assert paths.evaluate(path, ARGS, KWARGS) == value


def test_equal_places_are_equal_paths() -> None:
    for (a, _, _), (b, _, _) in zip(_places(), _places(), strict=True):
        assert a == b
        assert hash(a) == hash(b)


def test_keys_and_operands_of_another_type_make_another_path() -> None:
    base = paths.arg(0)
    assert paths.item(base, 1) != paths.item(base, True)
    add = OPERATIONS["add"]
    assert paths.expression(add, base, 1) != paths.expression(add, base, 1.0)


def test_constants_are_equal_by_identity() -> None:
    a, b = [1], [1]
    assert paths.const(a) != paths.const(b)
    assert paths.const(a) == paths.const(a)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (paths.arg(7), IndexError),
        (paths.attr(paths.arg(0), "gone"), AttributeError),
        (paths.item(paths.kwarg("config"), "gone"), KeyError),
    ],
)
def test_a_place_that_is_gone_raises(path: Path, error: type[Exception]) -> None:
    with pytest.raises(error):
        paths.evaluate(path, ARGS, KWARGS)
