"""`print` and `logging`: once for each call, in order, with the values of the moment."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import jitorch
from jitorch.errors import StagingError


class Point:
    def __repr__(self) -> str:
        return "a point"


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x, rate):
        y = x * 2
        items = [1, "é", x, (rate,), {"k": y}, Point(), None]
        print(items, Point(), f"{y[0].item():.1f}|{x.shape}", jitorch.float32, sep="; ", end="!\n")
        x.add_(1)
        items.append(0)
        print(len(items), x, y.sum())
        return y

    compiled = jitorch.jit(f, fullgraph=True)
    for rate in (0.5, 0.25, 0.125):
        x, same = jitorch.tensor([1.0, rate]), jitorch.tensor([1.0, rate])
        compiled(x, rate)
        got = capsys.readouterr().out
        f(same, rate)
        assert got == capsys.readouterr().out
    assert compiled.statistics.traces == 1


def test_histories_look_as_in_eager(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x):
        print(x, x * 2, (x * 2).sum(), x.detach())
        return x

    x = jitorch.tensor([1.0, 2.0], requires_grad=True)
    jitorch.jit(f, fullgraph=True)(x)
    got = capsys.readouterr().out
    f(x)
    assert got == capsys.readouterr().out


def test_conditions(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x):
        print("begin")
        if x[0] > 0:
            print("positive", x[0].item())
            if x[1] > 0:
                print("both")
        else:
            print("negative", x)
        print("end")
        return x

    compiled = jitorch.jit(f, fullgraph=True)
    for a, b in ((1.0, 2.0), (-1.0, 2.0), (1.0, -2.0)):
        x = jitorch.tensor([a, b])
        compiled(x)
        got = capsys.readouterr().out
        f(x)
        assert got == capsys.readouterr().out
    assert compiled.statistics.traces == 1


def test_log_records(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("jitorch.test.effects")

    def f(x: Any) -> Any:
        logging.getLogger("jitorch.test.effects").info("sum %.2f of %s", x.sum().item(), x, extra={"step": 3})
        log.log(logging.DEBUG, "fine")
        return x

    compiled = jitorch.jit(f, fullgraph=True)
    for level, count in ((logging.INFO, 1), (logging.DEBUG, 2), (logging.ERROR, 0)):
        caplog.clear()
        with caplog.at_level(level, log.name):
            compiled(jitorch.tensor([1.0, 2.0]))
        assert len(caplog.records) == count
    with caplog.at_level(logging.INFO, log.name):
        compiled(jitorch.tensor([1.0, 2.0]))
    (record,) = caplog.records
    assert record.getMessage() == "sum 3.00 of tensor([1., 2.])"
    assert (record.funcName, record.pathname, record.levelname) == ("f", __file__, "INFO")
    assert record.lineno == f.__code__.co_firstlineno + 1
    assert record.step == 3  # type: ignore[attr-defined]


def loop_of_the_program(x):
    while x.sum() < 10:
        print(x)
        x = x + 1
    return x


def exception_information(x):
    logging.getLogger("jitorch.test.effects").error("bad", exc_info=True)
    return x


@pytest.mark.parametrize(
    ("function", "why"),
    [(loop_of_the_program, "logging in a loop of the program"), (exception_information, "exc_info")],
    ids=["loop", "exc_info"],
)
def test_refusals(function: Any, why: str) -> None:
    with pytest.raises(StagingError, match=why):
        jitorch.jit(function, fullgraph=True)(jitorch.ones(2))
