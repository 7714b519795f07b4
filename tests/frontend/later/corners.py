"""Corners of the language: patterns, loops in loops, ``finally``, augmented assignment, scopes, and orders.

Each case calls one function several times with what makes it go another way.
"""

from __future__ import annotations

import contextlib
import enum
from collections import OrderedDict, deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import jitorch
from tests.frontend.later.table import attempt, later, tensor

PATTERNS = "match statements"
LOOPS = "branches and loops"
EXCEPTIONS = "exceptions"
ASSIGNMENTS = "assignments"
SCOPES = "scopes and comprehensions"
ORDERS = "orders and evaluation"


def _calls(feature: str, *calls: Any) -> Any:
    """Register a function as a case: it is called with what each of ``calls`` makes anew, all of them twice."""

    def register(body: Any) -> Any:
        def play(jit: Any) -> Iterator[Any]:
            f = jit(body)
            for make in (*calls, *calls):
                arguments = make()
                yield attempt(f, *arguments), arguments

        play.__name__ = body.__name__
        later(feature)(play)
        return body

    return register


def _of(*values: Any) -> Any:
    """Calls with a tensor of each of these numbers, or lists of them."""
    return [lambda v=v: (tensor(v) if isinstance(v, list) else tensor(v, v + 1),) for v in values]


def _with(*others: Any) -> Any:
    """Calls with a tensor and one of ``others``, which are made by functions where they are functions."""
    return [lambda o=o: (tensor(1, 2), o() if callable(o) else o) for o in others]


class Both:
    """Its attributes say when they are asked for."""

    __match_args__ = ("first", "second")

    def __init__(self, first: Any, second: Any):
        self.a, self.b, self.asked = first, second, []

    @property
    def first(self) -> Any:
        self.asked.append("first")
        return self.a

    @property
    def second(self) -> Any:
        self.asked.append("second")
        if self.b is None:
            raise ValueError("no second")
        return self.b


class Pair(NamedTuple):
    left: Any
    right: Any = 2


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class WrongNames:
    __match_args__ = ["k"]
    k = 1


# -- patterns ----------------------------------------------------------------------------------------------------


@_calls(PATTERNS, *_with(lambda: Both(0, 1), lambda: Both(1, 2), lambda: Both(1, None), lambda: Both(0, None)))
def attributes_are_asked_before_parts_are_tried(x, s):
    match s:
        case Both(0, second):
            return x * second
        case Both(1, second=b):
            return x + b
    return x


@_calls(PATTERNS, *_with(lambda: Both(0, 1), lambda: Both(1, 2)))
def attribute_asked_twice_is_an_error(x, s):
    match s:
        case Both(0, first=a):
            return x * a
    return x


@_calls(PATTERNS, *_with(lambda: WrongNames(), 3))
def names_of_parts_that_are_no_tuple(x, s):
    match s:
        case WrongNames(k):
            return x * k
    return x


@_calls(PATTERNS, *_with(Pair(1), Pair(2, 3), (1, 2), [1, 2], Pair(tensor(3), 4)))
def named_tuples_as_subjects(x, s):
    match s:
        case Pair(1, right=r):
            return x * r
        case Pair(left, 4):
            return x * left
        case [a, b] if isinstance(s, tuple):
            return x - a * b, type(s).__name__
        case (a, b):
            return x + a * b


@_calls(PATTERNS, *_with(Colour.RED, Colour.BLUE, 1, "RED"))
def enums_as_subjects(x, s):
    match s:
        case Colour.RED:
            return x * 2
        case Colour(value=2, name=name):
            return x * 3, name
        case 1:
            return x * 4
    return x


@_calls(PATTERNS, *_of([1.0, 2.0, 3.0], [-1.0, 2.0, 3.0], [5.0], [1.0, 1.0]))
def lists_of_numbers_of_tensors(x):
    match x.tolist() if x.numel() < 3 else [x[0], x[1], x[2]]:
        case [a]:
            return x * a
        case [a, b] if a == b:
            return x + a
        case [a, *rest] if a > 0:
            return x * a, len(rest)
        case [*_, last]:
            return last


@_calls(PATTERNS, *_of([1.0, 2.0], [3.0, -2.0], [-3.0, -2.0]))
def guards_with_walrus_of_the_program(x):
    match (x[0], x[1]):
        case (a, b) if (total := a + b) > 2:
            y = total * 2
        case (a, _) if (total := a * 3) < 0:
            y = total
        case _:
            y = total + 100
    return y, total


@_calls(PATTERNS, *_of([1.0, 2.0], [-3.0, -2.0]))
def a_guard_binds_although_it_fails(x):
    a = x * 0
    match (x, 5):
        case (a, 5) if a.sum() < 0:
            return a * 2
    return a


@_calls(PATTERNS, *_with({"a": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1, "c": 3}, {}, OrderedDict(b=1, a=1)))
def rest_of_a_mapping_keeps_order(x, s):
    match s:
        case {"a": a, **rest}:
            rest["new"] = a
            return x * a, rest, list(rest)
        case {**rest}:
            return x, rest


@_calls(PATTERNS, *_with(lambda: [1, [2, [3, 4]]], lambda: [1, [2, [3]]], lambda: [1, (2, [])], lambda: [1, 2]))
def star_patterns_in_star_patterns(x, s):
    match s:
        case [a, [b, [c, *d]]] if d:
            return x * a * b * c, d
        case [a, [b, [*c]]]:
            c.append(9)
            return x * a * b, c, s
        case [*everything]:
            return x, everything, everything is s


@_calls(PATTERNS, *_with([1, 2], [2, 2], [3, 3], (4, 5), "x"))
def alternatives_that_bind(x, s):
    found = []
    match s:
        case ([1, a] | [a, 2]) as whole if a != 3:
            found.append(a)
            x = x * len(whole)
        case (list() | tuple()) as whole:
            found += whole
    return x, found


@_calls(PATTERNS, *_of(1, -1, 0))
def match_in_a_loop_of_the_program(x):
    state, count = 0, 0
    while x.sum() < 10 and count < 30:
        match state:
            case 0 if x[0] > 0:
                x, state = x + 1, 1
            case 0:
                x, state = x + 2, 2
            case 1 | 2 if x[1] > 5:
                x = x * 2
            case n:
                x, state = x + n, 0
        count += 1
    return x, state, count


@_calls(PATTERNS, *_with(True, 1, 1.0, False, 0, None, jitorch.tensor(1), jitorch.tensor(True)))
def singletons_and_numbers(x, s):
    match s:
        case True:
            return x * 2
        case 1:
            return x * 3
        case None | False:
            return x * 4
        case bool() | float():
            return x * 5
        case _:
            return x * 6


@_calls(PATTERNS, *_with(bytearray(b"ab"), b"ab", "ab", range(2), [0, 1], {0, 1}, frozenset(), iter([0, 1])))
def what_is_a_sequence(x, s):
    match s:
        case [0, 1]:
            return x
        case [a, b]:
            return x * a * b
        case str(t) | bytes(t) | bytearray(t):
            return x * len(t)
        case set() | frozenset():
            return -x
    return None


@_calls(PATTERNS, *_with(int, str, None))
def class_patterns_of_variables(x, kind):
    match 3:
        case kind():
            return x
        case _:
            return x * 2


@_calls(PATTERNS, *_with(1, 2, 3))
def match_inside_of_match(x, s):
    match s:
        case 1 | 2:
            match x.sum() > s:
                case True:
                    y = x * 10
                case _:
                    match s:
                        case 1:
                            y = x
                        case other:
                            y = x * other
            return y
    return s


@_calls(PATTERNS, *_with(*[lambda i=i: i for i in (1, True)]))
def patterns_under_a_name(x, s):
    match s:
        case int(n) | [n] if (twice := n * 2) > 1:
            return x * twice
    return x


# -- loops -------------------------------------------------------------------------------------------------------


@_calls(LOOPS, *_of(1, 3, -2, 20))
def breaks_out_of_two_loops(x):
    trail = []
    for i in range(4):
        for j in range(3):
            x = x + i - j
            if x.sum() > 8:
                trail.append((i, j))
                break
            if x[0] < -3:
                continue
            x = x * 1.5
        else:
            trail.append(i)
            continue
        x = x - 20
        if i == 2:
            break
    else:
        trail.append("end")
    return x, trail


@_calls(LOOPS, *_of(1, 3, -2, 20))
def breaks_out_of_two_loops_of_the_program(x):
    i = 0
    broken = ended = 0
    while i < 5:
        i += 1
        j = 0
        while j < i:
            j += 1
            x = x + 1
            if x.sum() > 12:
                broken += 1
                break
            if x[0] < 0:
                continue
            x = x * 1.25
        else:
            ended += 1
            continue
        x = x - 10
    else:
        ended += 100
    return x, broken, ended, i, j


@_calls(LOOPS, *_of(1, -3, 50))
def return_from_a_loop_in_a_loop(x):
    for i in range(3):
        k = 0
        while x.sum() < 20:
            k += 1
            x = x + i + k
            if x[0] > 9:
                return x, i, k
        x = x - 30
    return x, None, -1


@_calls(LOOPS, *_of(1, -3, 50))
def loop_variable_after_the_loop(x):
    for i in range(30):
        if x.sum() > 10 + i:
            break
        x = x + 2
    return x * i, i


@_calls(LOOPS, *_of(1, -3, 50))
def loop_variable_assigned_in_the_loop(x):
    found = []
    for i in range(3):
        found.append(i)
        i = i * 10
        x = x + i
    return x, i, found


@_calls(LOOPS, *_with(lambda: [1, 2, 3], lambda: [], lambda: [5]))
def list_that_grows_while_it_is_walked(x, items):
    for item in items:
        if item < 4:
            items.append(item + 2)
        x = x + item
    return x, items


@_calls(LOOPS, *_with(lambda: [1, 2, 3, 4], lambda: [2, 2, 3]))
def list_that_shrinks_while_it_is_walked(x, items):
    for item in items:
        if item == 2:
            items.remove(item)
        x = x * item
    return x, items


@_calls(LOOPS, *_with(lambda: {"a": 1, "b": 2}, lambda: {}, lambda: {"c": 3}))
def dict_that_changes_while_it_is_walked(x, d):
    for key in d:
        x = x * d[key]
        if key == "b":
            d["new"] = 1
    return x, d


@_calls(LOOPS, *_with(lambda: {1, 2}, lambda: set(), lambda: {5}))
def set_that_changes_while_it_is_walked(x, s):
    for n in s:
        s.add(n + 10)
        x = x + 1
    return x, s


@_calls(LOOPS, *_with(lambda: deque([1, 2]), lambda: deque(), lambda: deque([5])))
def deque_that_changes_while_it_is_walked(x, s):
    own = deque([1])
    for n in s:
        s.append(n)
        x = x + 1
    for n in own:
        own[0] = n + 1
        x = x + n
    return x, s


@_calls(LOOPS, *_with(0, 1, 3))
def range_that_changes_its_bound(x, n):
    for _ in range(n):
        n = n + 5
        x = x + n
    return x, n


@_calls(LOOPS, *_of(1, -1, 9))
def while_with_walrus(x):
    steps = 0
    while (total := x.sum()) < 10:
        x = x + 1.5
        steps += 1
    else:
        steps = -steps
    return x, total, steps


@_calls(LOOPS, *_of(1, -1, 9))
def loop_that_makes_a_view_and_writes(x):
    y = x.clone()
    for i in range(2):
        row = y[i:]
        row += 1
        if row.sum() > 4:
            row *= 2
            continue
        row -= x[i]
    return y, row


@_calls(LOOPS, *_of([1.0] * 20, [-1.0] * 20, [0.3] * 20))
def long_loop_with_else_and_lists(x):
    total, seen = x[0] * 0, []
    for i in range(20):
        total = total + x[i] * i
        if total > 100:
            break
        seen.append(total)
    else:
        total = -total
    return total, len(seen), i


@_calls(LOOPS, *_of([1.0] * 20, [-1.0] * 20))
def long_loop_that_swaps(x):
    a, b = x[0], x[1] * 2
    for i in range(20):
        a, b = b, a + x[i]
    return a, b


@_calls(LOOPS, *_of([1.0] * 20, [-1.0] * 20))
def long_loop_with_a_delayed_element(x):
    before, changes = None, []
    for i in range(20):
        if before is not None:
            changes.append(x[i] - before)
        before = x[i] * i
    return jitorch.stack(changes), before


@_calls(LOOPS, *_of([1.0] * 20, [-1.0] * 20))
def long_loop_in_a_long_loop(x):
    total = x * 0
    for i in range(18):
        row = x[i] * 0
        for j in range(17):
            row = row + x[j] * (i - j)
        total[i] = total[i] + row
    return total


@_calls(LOOPS, *_of([1.0] * 20, [-1.0] * 20))
def long_loop_backward_and_by_steps(x):
    y, z = x.clone(), x[0] * 0
    for i in range(18, -1, -1):
        y[i] = y[i + 1] + x[i]
    for i in range(1, 40, 2):
        z = z * 0.5 + i
    return y, z, i


@_calls(LOOPS, *_of([1.0] * 20, [-1.0] * 20))
def long_loop_over_pairs(x):
    total = x[0] * 0
    for i, (a, b) in enumerate(zip(x, x.flip(0))):
        total = total * 0.5 + a * b * i
    return total, i, a


# -- finally -----------------------------------------------------------------------------------------------------


@_calls(EXCEPTIONS, *_of(1, -3, 50))
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


@_calls(EXCEPTIONS, *_with(0, 1, 2))
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


@_calls(EXCEPTIONS, *_of(1, -3, 5))
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


@_calls(EXCEPTIONS, *_of(1, -3, 50))
def finally_that_returns(x):
    for i in range(3):
        try:
            if x.sum() > 5:
                return x
            raise ValueError(i)
        finally:
            if i == 1:
                return x * 100
            if x[0] < 0:
                break
    return x * 5


@_calls(EXCEPTIONS, *_of(1, -3, 50))
def finally_that_continues(x):
    for i in range(3):
        try:
            if x.sum() > 5:
                break
            x = x + 1
        finally:
            x = x * 2
            continue
    return x, i


@_calls(EXCEPTIONS, *_with(0, 1, 2, 3))
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


@_calls(EXCEPTIONS, *_with(0, 1, 2, 3, 4, 5))
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


@_calls(EXCEPTIONS, *_with(0, 1, 3, 4))
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


@_calls(EXCEPTIONS, *_with(0, 1))
def name_of_an_exception_is_gone(x, how):
    error = x
    try:
        _helper(x, how)
    except ValueError as error:
        x = x + len(error.args)
    return x * error


@_calls(EXCEPTIONS, *_with(0, 1, 3))
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


@_calls(EXCEPTIONS, *_with(0, 1, 3))
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


@_calls(EXCEPTIONS, *_of(1, -3, 50))
def writes_before_a_raise_of_the_program(x):
    try:
        x.add_(1)
        if x.sum() > 10:
            raise ValueError("large")
        x.mul_(2)
    except ValueError:
        x.zero_()
    return x


@_calls(EXCEPTIONS, *_of(1, -3, 50))
def assertion_in_a_helper_in_a_loop(x):
    def small(y):
        assert y.sum() < 40, "too large"
        return y * 2

    for _ in range(3):
        x = small(x)
    return x


# -- assignments -------------------------------------------------------------------------------------------------


@_calls(ASSIGNMENTS, *_of(1, -3))
def augmented_items_and_slices(x):
    y, d, rows = x.clone(), {"k": x}, [x, x * 2]
    y[0] += 5
    y[1:] *= x[:1]
    y[y > 3] -= 1
    d["k"] += 1
    rows[-1] -= 3
    rows[0:1] += [x * 3, x * 4]
    rows[:] *= 2
    return y, d, rows, x


@_calls(ASSIGNMENTS, *_of(1, -3))
def augmented_aliases(x):
    y = x
    y += 1
    z = x
    z = z + 1
    t = (x,)
    try:
        t[0] += 5
    except TypeError as error:
        return x, y, z, str(error)
    return x


@_calls(ASSIGNMENTS, *_of(1, -3))
def augmented_attributes(x):
    h = SimpleNamespace(a=x, b=SimpleNamespace(c=[x]), n=1, s="a")
    h.a += 1
    h.b.c += [h.a]
    h.b.c[0] *= 2
    h.n <<= 3
    h.s *= 2
    h.n //= 3
    h.n **= 2
    return h, x


@_calls(ASSIGNMENTS, *_of(1, -3))
def parts_are_evaluated_once_and_in_order(x):
    trail = []

    def at(i):
        trail.append(i)
        return i

    rows = [x, x * 2, x * 3]
    rows[at(0)] = rows[at(1)] + at(5)
    rows[at(1)] += at(7)
    rows[at(0)], rows[at(2)] = rows[at(2)], rows[at(0)]
    a = b = rows[at(1)]
    i = 0
    i, rows[i] = 2, x * 9
    return rows, trail, a is b, i


@_calls(ASSIGNMENTS, *_of(1, -3))
def targets_are_stored_to_from_left_to_right(x):
    rows = [x, x * 2, x * 3]
    i = 0
    rows[i], i = x * 9, 2
    i, (rows[i], *rows[0:1]) = 1, (x, 5)
    for rows[i], i in [(5, 1), (6, 2), (7, 0)]:
        x = x + i
    return rows, i, x


class Link:
    def __init__(self, value, following):
        self.value, self.following = value, following


@_calls(ASSIGNMENTS, *_of(1, -3))
def links_turned_around(x):
    link, before = Link(x, Link(x * 2, Link(x * 3, None))), None
    while link is not None:
        link.following, before, link = before, link, link.following
    values = []
    while before is not None:
        values.append(before.value)
        before = before.following
    return values


@_calls(ASSIGNMENTS, *_of(1, -3))
def lists_that_are_aliases(x):
    a = [x]
    b = a
    b += [x + 1]
    c = a
    c = [*c, x + 2]
    a[0:0] = [x * 5]
    del a[1]
    first, *middle = a
    middle.append(1)
    return a, b, c, first, middle, a is b


@_calls(ASSIGNMENTS, *_of(1, -3))
def unpacked_in_depth(x):
    (a, [b, *c]), d = (x, [x * 2, x * 3, x * 4]), "de"
    (e, f), g = d, {1: x, 2: x}
    h, k = g
    [p, q] = x
    return a, b, c, e, f, h, k, p, q


@_calls(ASSIGNMENTS, *_with([1], [1, 2], [1, 2, 3], (4, 5), "ab", 7))
def unpacking_that_fails(x, s):
    a, b = s
    return x * len([a, b]), a, b


@_calls(ASSIGNMENTS, *_of(1, -3))
def dicts_merged_and_ordered(x):
    d = {"a": x, "b": 1} | {"c": x * 2, "a": 3}
    d |= {"z": 1, "b": 5}
    e = {**d, "a": x, **{"y": 2}}
    e.setdefault("m", x)
    first = e.pop("b")
    d.update(q=x)
    last = e.popitem()
    return d, list(e), list(e.values()), first, last


@_calls(ASSIGNMENTS, *_of(1, -3))
def deleted_names_and_items(x):
    y = x * 2
    rows = [x, y, x]
    del rows[1], rows[-1]
    z = y
    del y
    try:
        return y
    except NameError as error:
        return z, rows, type(error).__name__


@_calls(ASSIGNMENTS, *_of([1.0, 2.0, 3.0, 4.0], [4.0, -2.0, 0.0, 1.0]))
def items_of_tensors_set_in_branches(x):
    y = x.clone()
    if x[0] > 2:
        y[1:3] = x[:2]
        y[0], y[3] = y[3], y[0]
    else:
        y[::2] = 7
        y[[1, 3]] += x[0]
    y[-1] -= y[0]
    return y


@_calls(ASSIGNMENTS, *_of(1, -3))
def number_that_becomes_a_tensor(x):
    n = 1
    if x.sum() > 0:
        n = n + 1
    n *= 3
    t = x * n
    m = 0
    m += x
    m += 1
    return n, t, m


# -- scopes ------------------------------------------------------------------------------------------------------


@_calls(SCOPES, *_of(1, -3))
def comprehension_variables_stay_inside(x):
    i = "outer"
    rows = [x * i for i in range(3)]
    both = [(i, j) for i in range(2) for j in range(i + 1) if i + j]
    nested = [[x * i + j for j in range(2)] for i in range(2)]
    named = {k: v * 2 for k, v in {"a": x, "b": x + 1}.items()}
    return rows, both, nested, named, i


@_calls(SCOPES, *_of(1, -3))
def walrus_in_comprehensions(x):
    total = x * 0
    partial = [total := total + x * i for i in range(4)]
    found = [y for i in range(4) if (y := i * 2) > 2]
    return total, partial, found, y


@_calls(SCOPES, *_of(1, -3))
def walrus_in_conditions_and_calls(x):
    if (s := x.sum()) > 0 and (t := s * 2) > 1:
        r = s + t
    elif (t := s - 1) < -100 or (u := t + 1) < 0:
        r = t * u
    else:
        r = s
    return r, (v := r * 2) + v, max(w := 3, w + 1)


@_calls(SCOPES, *_of(1, -3))
def closures_see_the_last_value(x):
    makers = [lambda: x * i for i in range(3)]
    bound = [lambda i=i: x * i for i in range(3)]
    scale = 2

    def scaled(y):
        return y * scale

    first = scaled(x)
    scale = 5
    return [m() for m in makers], [b() for b in bound], first, scaled(x)


@_calls(SCOPES, *_of(1, -3))
def nonlocal_in_loops_of_the_program(x):
    count, total = 0, x * 0

    def step(y):
        nonlocal count, total
        count += 1
        total = total + y
        return y * 2

    while x.abs().sum() < 50:
        x = step(x)
        if count > 8:
            break
    return x, count, total


@_calls(SCOPES, *_of(1, -3))
def generator_expressions_are_lazy(x):
    scale = 1
    scaled = (x * i * scale for i in range(3))
    scale = 10
    first = next(scaled)
    scale = 100
    return first, list(scaled), sum(i * i for i in range(4)), any(i > 2 for i in range(3))


@_calls(SCOPES, *_of(1, -3))
def variable_without_a_value(x):
    if x.sum() > 0:
        y = x * 2
    try:
        return y
    except UnboundLocalError:
        return x


@_calls(SCOPES, *_with(0, 1))
def variable_of_a_loop_without_turns(x, n):
    def inner():
        return z

    for i in range(n):
        z = x * i
    found = []
    for read in (inner, lambda: z):
        try:
            found.append(read())
        except NameError as error:
            found.append(type(error).__name__)
    try:
        return found, z
    except UnboundLocalError as error:
        return found, str(error)


@_calls(SCOPES, *_of(1, -3))
def recursion_with_defaults_that_are_shared(x):
    def collect(y, depth, found=[]):  # noqa: B006 - that it is shared is what is looked at
        found.append(depth)
        return y if depth == 0 else collect(y + 1, depth - 1)

    first = collect(x, 2)
    second = collect(x, 1)
    return first, second, collect.__defaults__


@_calls(SCOPES, *_with(lambda: [1, 2], lambda: (3,), lambda: {"a": 1}))
def stars_in_calls_and_displays(x, s):
    def f(*args, k=1, **more):
        return len(args), k, sorted(more)

    return f(*s, x, *s), f(*s, k=2, **{"z": 1}), [*s, x, *s], {**dict.fromkeys(s, 1), "k": 2}


# -- orders ------------------------------------------------------------------------------------------------------


@_calls(ORDERS, *_of(1, -3, 0.5))
def chained_comparisons_of_the_program(x):
    a, b = x[0], x[1]
    trail = []

    def at(v):
        trail.append(1)
        return v

    first = 0 < a < b
    if -1 < at(a) <= at(b) < 3:
        y = x * 2
    elif not a < at(b) > 0:
        y = x * 3
    else:
        y = x * 4
    return y, first, 1 < 2 < 3 > 1


@_calls(ORDERS, *_with(1, 2, 3))
def chained_comparisons_evaluate_once(x, n):
    trail = []

    def at(v):
        trail.append(v)
        return v

    result = at(1) < at(n) < at(3) != at(n)
    return x, result, trail


@_calls(ORDERS, *_of(1, -3, 0.5))
def and_or_give_operands(x):
    a = x.sum() > 0 and x * 2
    b = x[0] > 0 or x[1]
    c = not (x[0] > 0 and x[1] > 2)
    d = [] or x
    e = (0, x)[x.sum() > 0]
    f = None or 0 or "" or x
    return a, b, c, d, e, f


@_calls(ORDERS, *_of(1, -3, 0.5))
def ternaries_in_ternaries(x):
    y = x * 2 if x[0] > 0 else (x * 3 if x[1] < -1 else x * 4)
    n = 1 if x.sum() > 0 else 2 if x.sum() < -4 else 3
    return y, [y if i % 2 else x for i in range(3)], n


@_calls(ORDERS, *_with(lambda: {"b": 1, "a": 2}, lambda: {"a": 2, "b": 1}))
def order_of_a_dict_decides(x, d):
    for i, (key, value) in enumerate(d.items()):
        x = x * value + i
    return x, list(d), next(iter(d)), list(reversed(d)), sorted(d), max(d, key=d.get)


@_calls(ORDERS, *_with(lambda: {3, 1, 2}, lambda: {1, 2, 3}, lambda: frozenset([2])))
def order_of_a_set_decides(x, s):
    for n in s:
        x = x * n - 1
    return x, [n for n in s], s | {9}, s & {1, 2}, len(s ^ {1})


@_calls(ORDERS, *_of(1, -3, 0.5))
def arguments_are_evaluated_in_order(x):
    trail = []

    def at(name, v):
        trail.append(name)
        return v

    def f(a, b, *, k, m=0):
        return a + b * k + m

    y = f(at("a", x), k=at("k", 2), b=at("b", x * 2), m=at("m", 1))
    z = {at("key", "k"): at("value", x), at("key2", "k"): at("value2", 2)}
    s = x[at("i", 0) : at("j", 2)]
    return y, z, s, trail


@_calls(ORDERS, *_of(1, -3, 0.5))
def identity_and_equality(x):
    y, z = x, x * 1
    rows = [x, z]
    return x is y, x is z, y in [x], rows.index(x), x is not None, [x] == [y], rows.count(x)


@_calls(ORDERS, *_with(5, -5, 2.5, True, "ab"))
def operators_of_numbers(x, n):
    return x * (n % 3), n // 2, divmod(n, 3), -n % 4, n**2, ~n, n & 3, round(n / 3, 2), abs(n), n == 5.0, n is True


@_calls(ORDERS, *_of([1.5, -2.5], [-0.5, 7.0]))
def numbers_of_the_program(x):
    a, b = float(x[0]), int(x[1])
    return a // 2, b % 3, -b // 2, divmod(b, -4), a * b, b << 2, b >> 1, b & 3, ~b, round(a), abs(b), -(b**2), a % -2
