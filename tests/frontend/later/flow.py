"""Branches, loops, exceptions, iterators, effects and randomness, called again with other values."""

from __future__ import annotations

import contextlib
import itertools
from types import SimpleNamespace
from typing import Any

import jitorch
from tests.frontend.later.table import attempt, later, tensor

BRANCHES = "branches and loops"
SIGNS = ((1.0, 2.0), (-1.0, 2.0), (-1.0, -2.0), (0.0, 0.0), (30.0, -4.0))


def _with_signs(name: str, body: Any, feature: str = BRANCHES) -> None:
    def play(jit):
        f = jit(body)
        for values in (*SIGNS, *SIGNS):
            yield attempt(f, tensor(*values))

    play.__name__ = name
    later(feature)(play)


def _unbound(x):
    if x[0] > 0:
        y = x * 2
    return y


def _unbound_read_in_the_branch(x):
    if x[0] > 0:
        y = x * 2
    if x[0] > 0:
        x = x + y
    return x


def _unbound_in_a_body(x):
    if x[0] > 0:
        x = x + z  # noqa: F821
        z = x  # noqa: F841
    return x


def _unbound_always(x):
    if x[0] > 99:
        y = x
    del x
    return y


def _deleted_in_a_branch(x):
    y = x * 2
    if x[0] > 0:
        del y
    return x


def _two_types(x):
    n = 1
    if x[0] > 0:
        n = 1.5
    return x * n


def _number_and_tensor(x):
    y = 0
    if x[0] > 0:
        y = x
    return x + y


def _none_and_tensor(x):
    y = None
    if x[0] > 0:
        y = x
    return x if y is None else y * 2


def _list_in_a_branch(x):
    found = []
    if x[0] > 0:
        found.append(x)
    else:
        found.append(-x)
    return found


def _raise_in_a_branch(x):
    if x[0] > 5:
        raise ValueError("too large")
    return x * 2


def _caught_in_a_branch(x):
    try:
        if x[0] > 5:
            raise ValueError("too large")
        y = x * 2
    except ValueError as error:
        y = x * len(str(error))
    finally:
        x = x + 1
    return x + y


def _assert(x):
    assert x[0] <= 5, f"too large by {x[0].item() - 5}"
    return x * 2


def _raise_in_a_loop(x):
    for i in range(4):
        x = x * 2
        if x[0] > 50:
            raise ArithmeticError(i)
    return x


def _nested_loops(x):
    n = 0
    while x.sum().abs() < 40 and n < 9:
        for i in range(3):
            if x[0] > i:
                continue
            x = x + i
        x = x * 1.5 + 1
        n += 1
    else:
        x = -x
    return x, n


def _early_return(x):
    for i in range(5):
        if x[0] > 4:
            return x, i
        x = x * 2
    return x, -1


def _with_statement(x):
    with contextlib.nullcontext(x * 2) as y:
        if y[0] > 0:
            return y
    return x


def _walrus(x):
    if (y := x.sum()) > 0:
        return y * x
    return y - x


def _integer_counts(x):
    n = 0
    for v in x:
        if v > 0:
            n += 1
    return n, x * n, [n] * 2


def _integer_overflow(x):
    n = int(x[0])
    for _ in range(3):
        n = n * 10**7 + 1
    return n


def _float_division(x):
    a, b = float(x[0]), int(x[1])
    return a / 2, b // 2, b % 3, a < b, -b, b * a


def _division_by_zero(x):
    return 1.0 / float(x[0]) + x


def _modulo_by_zero(x):
    return int(x[1]) // int(x[0])


def _key_from_a_value(x):
    return {1: x, -1: -x, 0: x * 0, 30: x + 1}[int(x[0])]


def _text_from_a_value(x):
    return f"{x[0].item():.1f}"


def _index_from_a_value(x):
    return x[int(x[0] > 0)]


def _size_from_a_value(x):
    return jitorch.zeros(int(x[1].abs()))


def _selected(x):
    return x[x > 0]


def _min_and_max(x):
    return max(x[0], x[1]), min(x[0] * 2, x[1], x.sum()), max(float(x[0]), 2.0)


def _any_and_all(x):
    return any(v > 0 for v in x), all(v > 0 for v in x), any([v > 20 for v in x]), sum(v for v in x)  # noqa: C419


def _any_decides(x):
    if any(v > 20 for v in x) or all(v < 0 for v in x):
        return x * 2
    return x


def _sorted(x):
    return sorted([x[0], x[1], x.sum()])


def _generator(x):
    def rows():
        for v in x:
            yield v * 2

    return sum(rows()), list(rows())


def _generator_with_a_test(x):
    def rows():
        for v in x:
            if v > 0:
                yield v

    return sum(rows())


def _zip_and_enumerate(x):
    total = x * 0
    for i, (a, b) in enumerate(zip(x, reversed([x, x + 1]))):
        total = total + (a * b if a > 0 else b) * i
    return total


def _map_and_filter(x):
    return sum(map(lambda v: v * 2, x)), list(filter(lambda v: v.ndim == 0, x))  # noqa: C417


def _comprehension(x):
    return [v * 2 if v > 0 else v for v in x], {i: v for i, v in enumerate(x)}  # noqa: C416


def _recursion(x):
    def depth(v, n):
        return v if n == 0 or v.sum() > 50 else depth(v * 2, n - 1)

    return depth(x, 4)


def _match_statement(x):
    match x.dim():
        case 0:
            return x
        case 1 | 2 as n:
            return x * n
        case _:
            return -x


def _match_of_structures(x):
    match {"kind": "pair", "items": [x, 2]}:
        case {"kind": "pair", "items": [a, int(b)]} if b > 1:
            return a * b
        case _:
            return x


def _try_else_finally(x):
    log = []
    try:
        y = x.reshape(2)
    except RuntimeError:
        log.append("bad")
    else:
        log.append("good")
        y = y + 1
    finally:
        log.append("done")
    return y, log


def _loop_over_a_dict(x):
    parts = {"a": x, "b": x * 2}
    for name, value in parts.items():
        if value[0] > 0:
            x = x + value * len(name)
    return x


def _attribute_of_a_local_object(x):
    h = SimpleNamespace(total=x * 0, n=0)
    for v in x:
        if v > 0:
            h.total = h.total + v
            h.n += 1
    return h.total, h.n


def _is_none_of_a_branch(x):
    y = x.grad if x[0] > 0 else None
    return x if y is None else y


def _nonlocal_in_a_branch(x):
    n = 0

    def bump():
        nonlocal n
        n += 1

    if x[0] > 0:
        bump()
        bump()
    return x * n


def _del_and_rebind(x):
    y = x
    del y
    y = x * 2 if x[0] > 0 else x
    return y  # noqa: RET504


for _body in (
    _unbound, _unbound_read_in_the_branch, _unbound_in_a_body, _unbound_always, _deleted_in_a_branch, _two_types,
    _number_and_tensor, _none_and_tensor, _list_in_a_branch, _nested_loops, _early_return, _with_statement, _walrus,
    _integer_counts, _integer_overflow, _float_division, _key_from_a_value, _text_from_a_value, _index_from_a_value,
    _size_from_a_value, _selected, _min_and_max, _any_and_all, _any_decides, _sorted, _recursion, _match_statement,
    _match_of_structures, _loop_over_a_dict, _attribute_of_a_local_object, _is_none_of_a_branch,
    _nonlocal_in_a_branch, _del_and_rebind,
):  # fmt: skip
    _with_signs(_body.__name__[1:], _body)
EXCEPTIONS = "exceptions"
for _body in (
    _raise_in_a_branch, _caught_in_a_branch, _assert, _raise_in_a_loop, _division_by_zero, _modulo_by_zero,
    _try_else_finally,
):  # fmt: skip
    _with_signs(_body.__name__[1:], _body, EXCEPTIONS)
ITERATORS = "iterators and generators"
for _body in (_generator, _generator_with_a_test, _zip_and_enumerate, _map_and_filter, _comprehension):
    _with_signs(_body.__name__[1:], _body, ITERATORS)


@later(ITERATORS)
def iterator_of_the_caller(jit):
    it = iter([1, 2, 3])
    f = jit(lambda x: x * next(it))
    for _ in range(4):
        yield attempt(f, tensor(1))


@later(ITERATORS)
def generator_of_the_caller(jit):
    f = jit(lambda x, values: sum(v * x for v in values))
    yield f(tensor(1), (i for i in range(3)))
    yield f(tensor(1), [1, 2])


@later(ITERATORS)
def iterator_advanced_in_a_branch(jit):
    def f(x):
        it = iter([x, x * 2, x * 3])
        y = next(it)
        if x[0] > 0:
            y = y + next(it)
        return y + next(it)

    g = jit(f)
    for values in SIGNS:
        yield attempt(g, tensor(*values))


@later(ITERATORS)
def generator_advanced_in_a_branch(jit):
    def f(x):
        def numbers():
            yield 1
            yield 20
            yield 300

        it = numbers()
        if x[0] > 0:
            next(it)
        return x * next(it)

    g = jit(f)
    for values in SIGNS:
        yield attempt(g, tensor(*values))


@later(ITERATORS)
def iterator_of_the_user_in_a_branch(jit):
    class Count:
        def __init__(self):
            self.n = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.n += 1
            if self.n > 3:
                raise StopIteration
            return self.n

    def f(x):
        it = Count()
        if x[0] > 0:
            next(it)
        return x * next(it) + it.n

    g = jit(f)
    for values in SIGNS:
        yield attempt(g, tensor(*values))


@later(ITERATORS)
def iterator_advanced_in_a_loop(jit):
    def f(x):
        it = itertools.count()
        while x[0] < 10:
            x = x + 1 + next(it)
        return x + next(it)

    g = jit(f)
    for values in SIGNS:
        yield attempt(g, tensor(*values))


@later(ITERATORS)
def zip_made_before_a_branch(jit):
    def f(x):
        pairs = zip([1, 2, 3], [x, x + 1, x + 2])
        if x[0] > 0:
            for n, _ in pairs:
                x = x * n
                break
        return sum(n * v for n, v in pairs) + x

    g = jit(f)
    for values in SIGNS:
        yield attempt(g, tensor(*values))


@later(ITERATORS)
def returned_iterator(jit):
    f = jit(lambda x: map(lambda v: v * 2, [x, x + 1]))  # noqa: C417
    yield [list(f(tensor(1))) for _ in range(2)]


@later(EXCEPTIONS)
def exception_of_an_argument(jit):
    def f(x, n):
        if n > 3:
            raise ValueError(f"{n} is too large")
        return x / n

    g = jit(f)
    for n in (1, 2, 5, 3, 0, 7, 2.5):
        yield attempt(g, tensor(1), n)


@later(EXCEPTIONS)
def exception_of_an_index(jit):
    f = jit(lambda x, i: x[i])
    for i in (0, 1, 2, -3, jitorch.tensor(1), jitorch.tensor(0)):
        yield attempt(f, tensor(1, 2), i)[:2] if i in (2, -3) else attempt(f, tensor(1, 2), i)


@later(EXCEPTIONS)
def exception_of_a_gathered_index(jit):
    f = jit(lambda x, i: x[i] * 2)
    for i in ([0, 1], [1, 1], [0, 5], [-1, 0]):
        found = attempt(f, tensor(1, 2), jitorch.tensor(i))
        yield found[:2] if isinstance(found, tuple) else found


@later(EXCEPTIONS)
def exception_after_writes(jit):
    h = SimpleNamespace(n=0)

    def f(x):
        y = x * 2
        if y[0] > 5:
            raise KeyError("large")
        h.n += 1
        return y

    g = jit(f)
    for values in SIGNS:
        yield attempt(g, tensor(*values)), h.n


@later(EXCEPTIONS)
def exception_of_the_users_class(jit):
    class Stop(Exception):
        def __init__(self, value):
            super().__init__(value)
            self.value = value

    def inner(x, limit):
        if x.sum() > limit:
            raise Stop(limit)
        return x

    def f(x, limit):
        try:
            return inner(x, limit)
        except Stop as stop:
            return x * stop.value

    g = jit(f)
    for values in SIGNS:
        yield attempt(g, tensor(*values), 2), attempt(g, tensor(*values), 50)


@later(EXCEPTIONS)
def assertion_that_is_plain(jit):
    h = SimpleNamespace(ready=True)

    def f(x):
        assert h.ready, "not ready"
        return x * 2

    g = jit(f)
    for ready in (True, False, True):
        h.ready = ready
        yield attempt(g, tensor(1))
