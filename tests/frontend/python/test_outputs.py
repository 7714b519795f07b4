from __future__ import annotations

import threading
from typing import Any

import pytest

from jitorch.frontend.python import stage
from tests.frontend.python.toy import Jitted, Tensor, ToyRecorder


class Box:
    pass


def test_stored_objects_come_back_as_themselves_and_new_ones_are_new() -> None:
    kept: Any = [1, Box()]
    jitted = Jitted(lambda x: (kept, kept[1], x, [kept[1]]))
    x = Tensor([1.0])
    first, second = jitted(x), jitted(x)
    for result in (first, second):
        assert result[0] is kept and result[1] is kept[1] and result[2] is x and result[3][0] is kept[1]
    assert first[3] is not second[3]


def test_everything_is_computed_before_the_first_write() -> None:
    box: Any = Box()
    box.a = {"k": 1.0}

    def f(x: Any) -> Any:
        box.b = x * 2
        box.a["k"] = 5.0
        box.c = box.a["k"]
        return box.a

    jitted = Jitted(f)
    x = Tensor([1.0])
    jitted(x)
    staged = jitted.entries[0].staged
    del box.b, box.c
    box.a = {"k": 1.0}
    assert staged.finish is not None
    with pytest.raises(IndexError):
        staged.finish([], (x,), {})  # a result is missing
    assert vars(box) == {"a": {"k": 1.0}}


def test_only_what_was_written_is_written() -> None:
    log = {"keep": 1, "change": 2}
    jitted = Jitted(lambda x: log.__setitem__("change", x))
    jitted(Tensor([1.0]))
    assert "keep" not in jitted.entries[0].staged.finish_source


def test_objects_that_cannot_be_rebuilt_are_refused() -> None:
    for function, word in [
        (lambda x: threading.Lock(), "lock"),
        (lambda x: ValueError("a"), "ValueError"),
        (lambda x: zip([1], [2]), "zip"),
        (lambda x: {}.keys(), "dict_keys"),
    ]:
        staged = stage(function, (Tensor([1.0]),), {}, ToyRecorder())
        assert staged.refused is not None
        assert word in staged.refused.why
