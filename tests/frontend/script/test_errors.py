"""Mistakes: the message, what was expected and found, the caret at the user's line, and what to write instead."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple, Union

import pytest

import jitorch as torch
from jitorch import nn
from jitorch.errors import COMPILE, ArgumentError, CompileError


def undefined(x: torch.Tensor):
    value = x + 1
    return vale  # noqa: F821


def branch_without_value(x: torch.Tensor, n: int):
    if n > 1:
        y = x
    return y


def loop_without_turn(n: int):
    for i in range(n):
        y = i
    return y


def branch_types(n: int):
    if n > 1:
        y = 1
    else:
        y = "a"
    return y


def wrong_return(x: torch.Tensor) -> int:
    return x


def missing_return(n: int) -> int:
    if n > 1:
        return n


def returns_differ(n: int):
    if n > 1:
        return n
    return "a"


def may_be_none(x: Optional[torch.Tensor]) -> torch.Tensor:
    return torch.relu(x)


def none_attribute(x: Optional[torch.Tensor]):
    return x.sum()


def wrong_argument(x: torch.Tensor):
    return torch.relu("a")


def unknown_function(x: torch.Tensor):
    return torch.rellu(x)


def unknown_method(x: torch.Tensor):
    return x.relux()


def unknown_keyword(x: torch.Tensor):
    return torch.sum(x, dimension=0)


def helper(x: torch.Tensor, n: int) -> torch.Tensor:
    return x * n


def too_many(x: torch.Tensor):
    return helper(x, 1, 2)


def missing_argument(x: torch.Tensor):
    return helper(x)


def wrong_helper_argument(x: torch.Tensor):
    return helper(x, "two")


def list_of_two(n: int):
    return [1, "a"]


def append_other(xs: List[int]):
    xs.append("a")


def no_sum(n: int, s: str):
    return n + s


def declared(n: int):
    x: int = 1
    x = "a"
    return x


def bare_list(xs: list):
    return xs


def unknown_type(x: object):
    return x


def uses_try(x: torch.Tensor):
    try:
        return x
    except ValueError:
        return x


def uses_set(n: int):
    return {1, 2}


def uses_star(*xs: torch.Tensor):
    return xs


def generator(n: int):
    yield n


def tuple_index(t: Tuple[int, str], n: int):
    return t[n]


def unpack_three(t: Tuple[int, str]):
    a, b, c = t
    return a


def condition_of_optional(n: Optional[int]):
    if n:
        return 1
    return 0


def python_object(x: torch.Tensor):
    return OBJECT(x)


def union_method(x: Union[int, str]):
    return x.upper()


def key_type(d: Dict[str, int]):
    return d[1]


def default_none(x: torch.Tensor, n: int = None):
    return x


def recursive(n: int):
    return recursive(n - 1) if n > 0 else 0


OBJECT = object()

CASES = [
    (undefined, "undefined", "vale is not defined", "return vale", "vale", "did you mean value?"),
    (branch_without_value, "undefined", "y has no value if not (n > 1)", "return y", "y", "assign y before"),
    (loop_without_turn, "undefined", "y has no value if the loop runs no turn", "return y", "y", "assign y before"),
    (branch_types, "undefined", "y is int or, if not (n > 1), str", "return y", "y", "declare y: Union[int, str]"),
    (wrong_return, "type-mismatch", "the returned value has the wrong type", "return x", "x", "int(x) takes"),
    (missing_return, "type-mismatch", "missing_return may end without a return", "if n > 1:", None, "return a value"),
    (returns_differ, "type-mismatch", "returns of different types", 'return "a"', '"a"', "-> Union[int, str]"),
    (
        may_be_none,
        "type-mismatch",
        "argument input of relu has the wrong type",
        "return torch.relu(x)",
        "x",
        "it may be None: test that x is not None first",
    ),
    (
        none_attribute,
        "type-mismatch",
        "x is Optional[Tensor], which has no sum",
        "return x.sum()",
        "x.sum",
        "test x is not None first",
    ),
    (wrong_argument, "type-mismatch", "argument input of relu", 'return torch.relu("a")', '"a"', None),
    (unknown_function, "unknown-member", "torch has no rellu", "return torch.rellu(x)", "torch.rellu", "did you mean"),
    (unknown_method, "unknown-member", "Tensor has no attribute relux", "return x.relux()", "x.relux", "did you mean"),
    (unknown_keyword, "arguments", "sum: ", "return torch.sum(x, dimension=0)", "torch.sum(x, dimension=0)", None),
    (too_many, "arguments", "helper takes 2 positional arguments", "return helper(x, 1, 2)", "helper(x, 1, 2)", None),
    (missing_argument, "arguments", "helper: argument n is missing", "return helper(x)", "helper(x)", None),
    (wrong_helper_argument, "type-mismatch", "argument n of helper", 'return helper(x, "two")', '"two"', "int('two')"),
    (list_of_two, "type-mismatch", "the elements have different types", 'return [1, "a"]', '[1, "a"]', "tuple"),
    (append_other, "type-mismatch", "append to a list of another type", 'xs.append("a")', '"a"', "List[str] = []"),
    (no_sum, "type-mismatch", "no + of int and str", "return n + s", "n + s", "str() makes text"),
    (declared, "type-mismatch", "x was declared with another type", 'x = "a"', "x", "use another variable"),
    (bare_list, "annotation", "a container whose elements have no type", "def bare_list(xs: list):", "list", "List["),
    (unknown_type, "annotation", "object is no type of scripts", "def unknown_type(x: object):", "object", None),
    (uses_try, "unsupported", "scripts have no try", "try:", None, "outside of the script"),
    (uses_set, "unsupported", "scripts have no sets", "return {1, 2}", "{1, 2}", "use a list or a dict"),
    (uses_star, "unsupported", "*xs in a parameter list", "def uses_star(*xs: torch.Tensor):", None, "pass a list"),
    (generator, "unsupported", "scripts have no generators", "yield n", "yield n", "append to a list"),
    (tuple_index, "unsupported", "the index of a tuple of different types", "return t[n]", "n", "unpack the tuple"),
    (unpack_three, "type-mismatch", "wrong number of values", "a, b, c = t", "a, b, c", None),
    (condition_of_optional, "type-mismatch", "an Optional[int] is used as a condition", "if n:", "n", "n is not None"),
    (python_object, "unsupported", "OBJECT cannot be called", "return OBJECT(x)", "OBJECT", "@jit.ignore"),
    (union_method, "type-mismatch", "x is Union[int, str]", "return x.upper()", "x.upper", "isinstance(x"),
    (key_type, "type-mismatch", "the key has the wrong type", "return d[1]", "1", "str(1)"),
    (default_none, "type-mismatch", "the default of n has another type", "def default_none", None, "Optional[int]"),
    (
        recursive,
        "annotation",
        "recursive calls itself before its result is known",
        "return recursive",
        None,
        "annotate",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__name__)
def test_a_mistake_is_an_error_at_its_line(case):
    function, code, what, line, carets, hint = case
    with pytest.raises(CompileError) as caught:
        torch.jit.script(function)
    error = caught.value
    text = str(error)
    assert error.code == code
    assert text.startswith(f"[{code}] ")
    assert what in error.what
    assert f"docs/errors.md#{COMPILE[code]}" in text
    shown = text.splitlines()
    (place,) = [i for i, shown_line in enumerate(shown) if shown_line.startswith("  at:       test_errors.py:")]
    assert line in shown[place]
    if carets is not None:
        marked = shown[place + 1]
        start = len(marked) - len(marked.lstrip())
        assert set(marked.strip()) == {"^"}
        assert shown[place][start : start + len(marked.strip())] == carets
    if hint is not None:
        assert hint in (error.hint or "")


def test_the_whole_message():
    with pytest.raises(CompileError) as caught:
        torch.jit.script(may_be_none)
    line = may_be_none.__code__.co_firstlineno + 1
    assert str(caught.value) == (
        "[type-mismatch] argument input of relu has the wrong type\n"
        "  expected: Tensor\n"
        "  actual:   Optional[Tensor]\n"
        f"  at:       test_errors.py:{line}   return torch.relu(x)\n"
        f"                           {' ' * len(str(line))}{' ' * len('   return torch.relu(')}^\n"
        "  hint:     it may be None: test that x is not None first\n"
        "  see:      docs/errors.md#JT1101 (JT1101)"
    )


def test_arguments_are_checked_when_a_script_is_called():
    scripted = torch.jit.script(helper)
    with pytest.raises(ArgumentError, match="helper: the argument has the wrong type") as caught:
        scripted(torch.ones(2), 1.5)
    assert caught.value.expected == "n: int" and caught.value.actual == "n is a float"
    with pytest.raises(ArgumentError, match="helper"):
        scripted(3, 2)


class BadModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.thing = object()

    def forward(self, x):
        return self.thing


def test_attributes_of_unknown_types_are_errors_where_they_are_used():
    with pytest.raises(CompileError, match="BadModule has no attribute thing"):
        torch.jit.script(BadModule())


def test_errors_at_run_time_show_the_users_line():
    def fails(x: torch.Tensor):
        y = x + 1
        return y @ x

    scripted = torch.jit.script(fails)
    with pytest.raises(RuntimeError) as caught:
        scripted(torch.ones(2, 3))
    assert f"test_errors.py:{fails.__code__.co_firstlineno + 2}   return y @ x" in str(caught.value)


def test_what_cannot_be_scripted():
    for thing, hint in ((3, None), ("text", None), (OBJECT, None), (nn.Linear, "script an instance of it")):
        with pytest.raises(CompileError) as caught:
            torch.jit.script(thing)
        assert caught.value.code == "unsupported" and caught.value.hint == hint


def test_without_source_there_is_no_script():
    names: dict = {}
    exec("def f(x):\n    for _ in range(2):\n        x = x + x\n    return x", names)
    with pytest.raises(CompileError, match="the source of f cannot be read") as caught:
        torch.jit.script(names["f"])
    assert caught.value.code == "no-source"
