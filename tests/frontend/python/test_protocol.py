from __future__ import annotations

import traceback
from typing import Any

import pytest

from jitorch.frontend.python import Path, Refuse, stage
from tests.frontend.python.toy import Jitted, Tensor, ToyRecorder, recording


def failing(x: Any, n: int) -> Any:
    for i in range(n):
        if i == 1:
            raise ValueError(
                "here",
            )
    return x


def line_of(function: Any, offset: int) -> int:
    return function.__code__.co_firstlineno + offset


def test_an_error_of_the_user_keeps_its_lines() -> None:
    log: list[int] = []

    def f(x: Any) -> Any:
        log.append(1)
        return failing(x, 3)

    with pytest.raises(ValueError, match="here") as caught:
        stage(f, (Tensor([1.0]),), {}, ToyRecorder())
    frames = [x for x in traceback.extract_tb(caught.value.__traceback__) if x.filename == __file__]
    assert [(x.name, x.lineno) for x in frames[1:]] == [("f", line_of(f, 2)), ("failing", line_of(failing, 3))]
    assert log == []  # dropped with the trace


def test_a_refusal_names_the_line() -> None:
    def f(x: Any) -> Any:
        y = [x, "é"]
        return y, input(y)

    staged = stage(f, (Tensor([1.0]),), {}, ToyRecorder())
    assert staged.refused is not None
    assert staged.finish is None
    assert staged.outputs == ()
    where = staged.refused.where
    assert where is not None
    assert (where.file, where.line) == (__file__, line_of(f, 2))
    assert where.excerpt() == ["return y, input(y)", "          ^^^^^^^^"]
    assert str(staged.refused).startswith("input() reads from outside of the program (test_protocol.py:")
    assert staged.check((Tensor([2.0]),), {}) == ()
    assert staged.check((3.0,), {}) is None


def test_operators_run_on_the_users_lines() -> None:
    found: list[Any] = []

    class Watching(ToyRecorder):
        def record(self, name: str, operands: Any, attributes: Any) -> Any:
            found.extend(frame.lineno for frame in traceback.extract_stack() if frame.name == "f")
            return super().record(name, operands, attributes)

    def f(x: Any) -> Any:
        y = x * 2
        return [
            y + 1,
            y.sum(
                axis=0,
            ),
        ]

    with recording(Watching()) as recorder:
        stage(f, (Tensor([1.0]),), {}, recorder)
    assert found == [line_of(f, 1), line_of(f, 3), line_of(f, 4)]


def test_the_functions_of_a_trace_are_listed() -> None:
    def f(x: Any) -> Any:
        return failing(x, 1)

    staged = stage(f, (Tensor([1.0]),), {}, ToyRecorder())
    assert len(staged.functions) == 2
    assert any(name.startswith("failing (") for name in staged.functions)
    assert failing.__code__ in staged.functions.values()
    assert staged.seconds > 0


def test_guards_of_a_refused_trace_are_its_signature() -> None:
    jitted = Jitted(lambda x, c: x * 2 if c["mode"] == "a" else (x if x.sum() > 0 else -x))
    x = Tensor([1.0])
    for mode in ("b", "b", "a", "b", "a"):
        jitted(x, {"mode": mode})
    assert jitted.traces == 2
    assert jitted.refusals == ["a test of a traced tensor"]


def test_dynamic_paths_come_from_the_caller() -> None:
    path = Path("arg", None, 1)
    with recording(ToyRecorder()) as recorder:
        staged = stage(lambda x, n: x * n, (Tensor([1.0]), 3), {}, recorder, frozenset({path}))
    assert path in staged.inputs
    assert staged.check((Tensor([1.0]), 7), {}) is not None


def test_a_refusal_is_no_exception() -> None:
    assert not issubclass(Refuse, Exception)
    assert str(Refuse("data", "why", None)).startswith("why")
