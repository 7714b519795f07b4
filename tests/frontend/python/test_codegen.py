from __future__ import annotations

from typing import Any

from jitorch.frontend.python import paths
from jitorch.frontend.python.codegen import Writer
from jitorch.frontend.python.paths import OPERATIONS
from tests.frontend.python.test_paths import ARGS, KWARGS, _places


def test_generated_source_finds_what_evaluation_finds() -> None:
    writer = Writer()
    names = [writer.path(path) for path, _, _ in _places()]
    writer.emit(f"return ({', '.join(names)},)")
    function, _ = writer.function("gather", "A, K")
    assert list(function(ARGS, KWARGS)) == [value for _, _, value in _places()]


def test_a_common_prefix_is_read_once() -> None:
    class Counting:
        reads = 0

        @property
        def inner(self) -> Any:
            Counting.reads += 1
            return {"a": 1, "b": 2}

    base = paths.attr(paths.arg(0), "inner")
    writer = Writer()
    a, b = writer.path(paths.item(base, "a")), writer.path(paths.item(base, "b"))
    writer.emit(f"return {a}, {b}")
    function, source = writer.function("gather", "A, K")
    assert function((Counting(),), {}) == (1, 2)
    assert Counting.reads == 1
    assert source.count("inner") == 1


def test_attribute_names_that_are_no_identifiers() -> None:
    writer = Writer()
    holder = type("Holder", (), {})()
    setattr(holder, "a b", 3)
    writer.emit(f"return {writer.path(paths.attr(paths.arg(0), 'a b'))}")
    assert writer.function("gather", "A, K")[0]((holder,), {}) == 3


def test_expressions_use_operators_and_keep_their_structure() -> None:
    x = paths.arg(0)
    product = paths.expression(OPERATIONS["mul"], paths.expression(OPERATIONS["add"], x, 1), x)
    writer = Writer()
    writer.emit(f"return {writer.path(product)}")
    function, _ = writer.function("gather", "A, K")
    assert function((3,), {}) == 12


def test_negative_numbers_are_operands_of_their_own() -> None:
    power = paths.expression(paths.OPERATIONS["pow"], -1, paths.arg(0))
    writer = Writer()
    writer.emit(f"return {writer.path(power)}")
    function, _ = writer.function("f", "A")
    assert function((2,)) == 1 == paths.evaluate(power, (2,), {})
    assert paths.describe(power) == "((-1) ** arg0)"


def test_the_source_can_be_seen_in_a_traceback() -> None:
    import linecache

    writer = Writer()
    writer.emit("return 1")
    function, source = writer.function("gather", "A, K")
    assert "".join(linecache.getlines(function.__code__.co_filename)) == source
