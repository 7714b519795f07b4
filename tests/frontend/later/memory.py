"""Aliasing, views and in-place writes: the same function on memory that is shared in other ways."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jitorch
from tests.frontend.later.table import attempt, later, tensor

ALIASES = "aliasing of arguments and results"


def matrix() -> Any:
    return jitorch.arange(6, dtype=jitorch.float32).reshape(2, 3)


def _pairs() -> list[Any]:
    """Two arguments: different, one twice, a view and its base, two views, overlapping views."""

    def base_and_row():
        m = matrix()
        return m[0], m[1]

    def twice():
        m = matrix()
        return m[0], m[0]

    def same():
        m = matrix()[0]
        return m, m

    def overlapping():
        flat = jitorch.arange(6, dtype=jitorch.float32)
        return flat[0:3], flat[1:4]

    def whole_and_part():
        flat = jitorch.arange(3, dtype=jitorch.float32)
        return flat, flat.view(3)

    return [lambda: (matrix()[0], matrix()[1]), same, base_and_row, twice, overlapping, whole_and_part]


def _with_pairs(name: str, body: Any) -> None:
    def play(jit):
        f = jit(body)
        for make in (*_pairs(), *_pairs()):
            a, b = make()
            root = a if a._base is None else a._base
            yield attempt(f, a, b), a, b, root

    play.__name__ = name
    later(ALIASES)(play)


_with_pairs("aliases_read", lambda a, b: a * 2 + b)
_with_pairs("first_written", lambda a, b: a.add_(1).sum() + b)
_with_pairs("second_written", lambda a, b: (a * 1, b.mul_(3), a * 1))
_with_pairs("both_written", lambda a, b: (a.add_(1), b.mul_(2), a + b)[2])
_with_pairs("one_copied_to_the_other", lambda a, b: a.copy_(b))
_with_pairs("items_exchanged", lambda a, b: _exchange(a, b))
_with_pairs("identity_of_two", lambda a, b: a + 1 if a is b else a * 2)
_with_pairs("written_in_a_branch", lambda a, b: _write_in_a_branch(a, b))
_with_pairs("written_in_a_loop", lambda a, b: _write_in_a_loop(a, b))
_with_pairs("returned_both", lambda a, b: (a, b, a if a is b else None))


def _exchange(a: Any, b: Any) -> Any:
    a[0], b[0] = b[0].clone(), a[0].clone()
    a[1] = b[2]
    return a.sum() - b.sum()


def _write_in_a_branch(a: Any, b: Any) -> Any:
    if b.sum() > 3:
        a.add_(1)
    else:
        a[1] = 9
    return a * 1 + b


def _write_in_a_loop(a: Any, b: Any) -> Any:
    n = 0
    while n < 3 and a[0] < 10:
        a += b.abs() + 1
        n += 1
    return a * 1, n


@later(ALIASES)
def result_that_is_the_argument(jit):
    f = jit(lambda x: x)
    for x in (tensor(1, 2), tensor(1, 2, 3), tensor(1)):
        y = f(x)
        y.add_(1)
        yield y is x, x


@later(ALIASES)
def result_that_is_a_view(jit):
    f = jit(lambda x: (x[0], x.T, x[:, 1:]))
    for _ in range(2):
        x = matrix()
        row, turned, part = f(x)
        row.add_(10)
        turned[0].mul_(2)
        part.zero_()
        yield x, row, turned, part


@later(ALIASES)
def argument_or_a_new_tensor(jit):
    f = jit(lambda x, k: x if k else x * 1)
    for k in (True, False, True):
        x = tensor(1, 2)
        y = f(x, k)
        y.add_(1)
        yield y is x, x


@later(ALIASES)
def argument_on_one_path_of_a_branch(jit):
    f = jit(lambda x: x if x[0] > 0 else x * 2)
    for value in (1, -1, 2):
        x = tensor(value, 3)
        y = f(x)
        same = y is x
        y.add_(1)
        yield same, x, y


@later(ALIASES)
def one_of_two_arguments(jit):
    f = jit(lambda x, y: x if x.sum() > y.sum() else y)
    for values in ((1, 2), (2, 1)):
        x, y = tensor(values[0]), tensor(values[1])
        found = f(x, y)
        found.zero_()
        yield x, y, found is x, found is y


@later(ALIASES)
def argument_returned_early(jit):
    def f(x):
        if x.sum() > 5:
            return x
        y = x + 1
        return y * 2

    g = jit(f)
    for x in (tensor(1, 2), tensor(4, 5)):
        y = g(x)
        y.zero_()
        yield x, y is x


@later(ALIASES)
def view_on_one_path_of_a_branch(jit):
    f = jit(lambda x: x[0] if x.sum() > 5 else x[1])
    for scale in (1, -1):
        x = matrix() * scale
        y = f(x)
        y.add_(10)
        yield x, y


@later(ALIASES)
def argument_out_of_a_loop(jit):
    def f(x):
        while x.sum() < 10:
            x = x * 2
        return x

    g = jit(f)
    for x in (tensor(1, 2), tensor(8, 9)):
        y = g(x)
        same = y is x
        y.zero_()
        yield x, same


@later(ALIASES)
def argument_stored_by_a_branch(jit):
    h = SimpleNamespace(last=tensor(0, 0))

    def f(x):
        if x.sum() > 0:
            h.last = x
        return x * 2

    g = jit(f)
    for x in (tensor(1, 2), tensor(-1, -2), tensor(3, 4)):
        y = g(x)
        yield y, h.last, h.last is x
        h.last.add_(1)
        yield x


@later(ALIASES)
def choice_of_and_or(jit):
    f = jit(lambda x, y: (x.sum() and y.sum()) or x[0])
    for x in (tensor(1, 2), tensor(0, 0)):
        yield f(x, tensor(3, 4))


@later(ALIASES)
def chosen_and_compared(jit):
    def f(x, y):
        z = x if x.sum() > 0 else y
        return z * 2 if z is x else z * 3

    g = jit(f)
    for v in (1, -1):
        yield g(tensor(v, v), tensor(5, 6))


def _with_chosen(name: str, body: Any) -> None:
    """Calls ``body(x, y)``, which chooses by the sign of ``x``, and writes to what it gives."""

    def play(jit):
        f = jit(body)
        for value in (1, -1, 1):
            x, y = tensor(value, 3), tensor(5, 6)
            found = attempt(f, x, y)
            yield found, x, y
            for part in found if isinstance(found, tuple) else (found,):
                if isinstance(part, jitorch.Tensor):
                    part.add_(10)
            yield found, x, y

    play.__name__ = name
    later(ALIASES)(play)


def _chosen_then_original_written(x, y):
    z = x if x[0] > 0 else y
    x.add_(1)
    return z * 2


def _chosen_after_a_write(x, y):
    x.add_(1)
    return x if x[0] > 0 else y * 2


def _chosen_then_written(x, y):
    z = x if x[0] > 0 else y
    z.add_(1)
    return z


def _chosen_twice(x, y):
    z = x if x[0] > 0 else y
    w = z if x[1] > 9 else y
    return z, w, (w if x[0] < 0 else x)


def _chosen_by_nested_branches(x, y):
    if x[0] > 0:
        z = y if y[0] > 9 else x
    elif y[0] > 0:
        z = x * 1
    else:
        z = y
    return z


def _view_of_a_chosen_one(x, y):
    z = x if x[0] > 0 else y
    return z[1:]


def _one_of_two_views(x, y):
    z = x[1:] if x[0] > 0 else y[:1]
    return z, z * 2


def _chosen_in_a_container(x, y):
    found = {"z": [x if x[0] > 0 else y], "n": 1}
    return found["z"][0], found["n"]


def _chosen_of_made_ones(x, y):
    a, b = x * 1, y * 1
    z = a if x[0] > 0 else b
    return z * 1, a


def _made_one_is_another_result(x, y):
    a = x * 1
    z = a if x[0] > 0 else y
    return z, a


def _chosen_in_a_loop(x, y):
    n = 0
    while n < 3:
        x = y if x[0] < 0 else x
        n += 1
    return x


def _exchanged_in_a_loop(x, y):
    n = 0
    while n < x[0].abs() + 2:
        x, y = y, x
        n += 1
    return x, y


def _chosen_in_a_long_loop(x, y):
    for i in range(40):
        x = x.sin().cos().exp() * 0.5 + i if y[0] > i else x
    return x


def _chosen_in_a_long_loop_of_arguments(x, y):
    last = y
    for i in range(40):
        last = x if x[0] > i else last
        x = x.sin().cos().exp() * 0.5
    return last


def _chosen_by_a_break(x, y):
    for part in (y, x, y * 2):
        if part[0] < 2:
            break
    return part


def _chosen_by_a_function(x, y):
    def pick(a, b):
        if a[0] > 0:
            return a
        return b

    return pick(x, pick(y, x))


def _gradient_of_a_chosen_one(x, y):
    z = x if x[0] > 0 else y
    return z.grad


def _detached_chosen_one(x, y):
    return (x if x[0] > 0 else y).detach()


for _body in (
    _chosen_then_original_written, _chosen_after_a_write, _chosen_then_written, _chosen_twice,
    _chosen_by_nested_branches, _view_of_a_chosen_one, _one_of_two_views, _chosen_in_a_container,
    _chosen_of_made_ones, _made_one_is_another_result, _chosen_in_a_loop, _exchanged_in_a_loop,
    _chosen_in_a_long_loop, _chosen_in_a_long_loop_of_arguments, _chosen_by_a_break, _chosen_by_a_function,
    _gradient_of_a_chosen_one, _detached_chosen_one,
):  # fmt: skip
    _with_chosen(_body.__name__[1:], _body)


@later(ALIASES)
def state_kept_between_calls(jit):
    h = SimpleNamespace(state=tensor(0, 0))

    def f(x):
        h.state = h.state * 0.5 + x
        return h.state

    g = jit(f)
    x = tensor(1, 2)
    first = g(x)
    yield first is h.state, first
    first.add_(100)
    yield g(x), h.state
    h.state = x
    yield g(x), x


@later(ALIASES)
def argument_kept_outside(jit):
    kept: list[Any] = []
    f = jit(lambda x: kept.append(x))
    x = tensor(1, 2)
    f(x)
    f(x)
    yield [k is x for k in kept]
    kept[0].add_(1)
    yield kept, x


@later(ALIASES)
def captured_and_argument_are_one(jit):
    w = tensor(1, 2)

    def f(x):
        w.add_(1)
        return x * 1

    g = jit(f)
    yield g(tensor(5, 6)), w
    yield g(w), w
    yield g(w.view(2)), w
    yield g(tensor(5, 6)), w


@later(ALIASES)
def attribute_and_argument_become_one(jit):
    h = SimpleNamespace(w=tensor(1, 2), v=tensor(3, 4))

    def f():
        h.w.mul_(2)
        return h.v + 1

    g = jit(f)
    yield g(), h
    h.v = h.w
    yield g(), h
    h.v = h.w.view(2, 1)
    yield g(), h


@later(ALIASES)
def expanded_argument_written(jit):
    f = jit(lambda x: x.add_(1))
    yield f(matrix())
    yield attempt(f, tensor(1, 2, 3).expand(2, 3))[:2]
    yield f(matrix())


@later(ALIASES)
def detached_and_data(jit):
    f = jit(lambda x: (x.detach().add_(1), x.data.mul_(2), x * 1))
    x = tensor(1, 2)
    yield f(x), x
    w = tensor(1, 2, grad=True)
    yield f(w), w


@later(ALIASES)
def numpy_memory(jit):
    f = jit(lambda x: x.mul_(2))
    x = tensor(1, 2)
    shared = x.numpy()
    f(x)
    yield shared
    shared[0] = 50
    yield f(x), shared
