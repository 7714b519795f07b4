"""``try`` with ``else`` and ``finally``, exceptions of helpers, and contexts."""

from __future__ import annotations

import contextlib

from tests.frontend.later.called import calls, of_numbers, with_each

EXCEPTIONS = "exceptions"


@calls(EXCEPTIONS, *of_numbers(1, -3, 50))
def finally_around_return_in_a_loop(x):
    trail = []
    for i in range(3):
        try:
            x = x + i
            if x.sum() > 5:
                return x, trail
            if x[0] < 0:
                continue
        finally:
            trail.append(i)
    return x * 2, trail


@calls(EXCEPTIONS, *with_each(0, 1, 2))
def else_of_a_try_in_a_loop(x, n):
    trail = []
    for i in range(4):
        try:
            if i == n:
                continue
            if i == 3:
                break
        except ValueError:
            trail.append("except")
        else:
            trail.append(i)
        finally:
            trail.append("finally")
    return x, trail


@calls(EXCEPTIONS, *of_numbers(1, -3, 5))
def else_of_a_try_that_the_program_leaves(x):
    n = 0
    for _ in range(3):
        try:
            if x.sum() > 4:
                break
            x = x + 1
            if x[0] < 0:
                continue
            n = n + 1
        except KeyError:
            n = -100
        else:
            n = n + 10
        finally:
            n = n + 100
    else:
        n = n + 1000
    return x, n


@calls(EXCEPTIONS, *of_numbers(1, -3, 50))
def finally_that_returns(x):
    for i in range(3):
        try:
            if x.sum() > 5:
                return x
            raise ValueError(i)
        finally:
            if i == 1:
                return x * 100  # noqa: B012 - what is looked at
            if x[0] < 0:
                break  # noqa: B012 - what is looked at
    return x * 5


@calls(EXCEPTIONS, *of_numbers(1, -3, 50))
def finally_that_continues(x):
    for i in range(3):  # noqa: B007 - read after the loop
        try:
            if x.sum() > 5:
                break
            x = x + 1
        finally:
            x = x * 2
            continue  # noqa: B012 - what is looked at
    return x, i


@calls(EXCEPTIONS, *with_each(0, 1, 2, 3))
def else_and_finally(x, how):
    trail = []
    try:
        trail.append("try")
        if how == 1:
            raise KeyError("k")
        if how == 2:
            return x, trail
        if how == 3:
            raise RuntimeError
    except KeyError as error:
        trail.append(str(error))
    else:
        trail.append("else")
        x = x + 1
    finally:
        trail.append("finally")
        x = x * 2
    return x, trail


def _helper(x, how):
    if how == 1:
        raise ValueError("one", x.shape[0])
    if how == 2:
        return x.reshape(7)
    if how == 3:
        return [x][5]
    if how == 4:
        return {"a": x}["b"]
    return x * how


@calls(EXCEPTIONS, *with_each(0, 1, 2, 3, 4, 5))
def exceptions_of_a_helper(x, how):
    y = x * 0
    for i in range(2):
        try:
            y = y + _helper(x, how - i)
        except ValueError as error:
            y = y + len(error.args)
        except LookupError as error:
            y = y - 1
            last = type(error).__name__
            if how == 5:
                return last
    return y


@calls(EXCEPTIONS, *with_each(0, 1, 3, 4))
def exceptions_chained_and_raised_again(x, how):
    try:
        try:
            return _helper(x, how)
        except ValueError as error:
            raise TypeError("outer") from error
        except IndexError:
            raise
    except (TypeError, IndexError) as error:
        cause = type(error.__cause__).__name__, type(error.__context__).__name__
        return x, type(error).__name__, cause


@calls(EXCEPTIONS, *with_each(0, 1))
def name_of_an_exception_is_gone(x, how):
    error = x
    try:
        _helper(x, how)
    except ValueError as error:
        x = x + len(error.args)
    return x * error


@calls(EXCEPTIONS, *with_each(0, 1, 3))
def suppressed(x, how):
    y = x
    with contextlib.suppress(ValueError, IndexError):
        y = x + 1
        y = _helper(x, how)
        y = y + 5
    return y


class Recorder:
    def __init__(self):
        self.trail = []

    def __enter__(self):
        self.trail.append("enter")
        return self

    def __exit__(self, kind, error, traceback):
        self.trail.append(None if kind is None else kind.__name__)
        return kind is ValueError


@calls(EXCEPTIONS, *with_each(0, 1, 3))
def contexts_that_swallow(x, how):
    recorder = Recorder()
    for i in range(2):
        with recorder as r:
            r.trail.append(i)
            if x.sum() > 100:
                return x
            x = _helper(x, how)
            if i == 1:
                break
    return x, recorder.trail


@calls(EXCEPTIONS, *of_numbers(1, -3, 50))
def writes_before_a_raise_of_the_program(x):
    try:
        x.add_(1)
        if x.sum() > 10:
            raise ValueError("large")
        x.mul_(2)
    except ValueError:
        x.zero_()
    return x


@calls(EXCEPTIONS, *of_numbers(1, -3, 50))
def assertion_in_a_helper_in_a_loop(x):
    def small(y):
        assert y.sum() < 40, "too large"
        return y * 2

    for _ in range(3):
        x = small(x)
    return x
