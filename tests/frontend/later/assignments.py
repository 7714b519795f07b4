"""What a statement evaluates first, and what it stores where."""

from __future__ import annotations

from types import SimpleNamespace

from tests.frontend.later.called import calls, of_numbers, with_each

ASSIGNMENTS = "assignments"


@calls(ASSIGNMENTS, *of_numbers(1, -3))
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


@calls(ASSIGNMENTS, *of_numbers(1, -3))
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


@calls(ASSIGNMENTS, *of_numbers(1, -3))
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


@calls(ASSIGNMENTS, *of_numbers(1, -3))
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


@calls(ASSIGNMENTS, *of_numbers(1, -3))
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


@calls(ASSIGNMENTS, *of_numbers(1, -3))
def links_turned_around(x):
    link, before = Link(x, Link(x * 2, Link(x * 3, None))), None
    while link is not None:
        link.following, before, link = before, link, link.following
    values = []
    while before is not None:
        values.append(before.value)
        before = before.following
    return values


@calls(ASSIGNMENTS, *of_numbers(1, -3))
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


@calls(ASSIGNMENTS, *of_numbers(1, -3))
def unpacked_in_depth(x):
    (a, [b, *c]), d = (x, [x * 2, x * 3, x * 4]), "de"
    (e, f), g = d, {1: x, 2: x}
    h, k = g
    [p, q] = x
    return a, b, c, e, f, h, k, p, q


@calls(ASSIGNMENTS, *with_each([1], [1, 2], [1, 2, 3], (4, 5), "ab", 7))
def unpacking_that_fails(x, s):
    a, b = s
    return x * len([a, b]), a, b


@calls(ASSIGNMENTS, *of_numbers(1, -3))
def dicts_merged_and_ordered(x):
    d = {"a": x, "b": 1} | {"c": x * 2, "a": 3}
    d |= {"z": 1, "b": 5}
    e = {**d, "a": x, "y": 2}
    e.setdefault("m", x)
    first = e.pop("b")
    d.update(q=x)
    last = e.popitem()
    return d, list(e), list(e.values()), first, last


@calls(ASSIGNMENTS, *of_numbers(1, -3))
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


@calls(ASSIGNMENTS, *of_numbers([1.0, 2.0, 3.0, 4.0], [4.0, -2.0, 0.0, 1.0]))
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


@calls(ASSIGNMENTS, *of_numbers(1, -3))
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
