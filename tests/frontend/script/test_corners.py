"""Corners of the language in scripts: what they give is what plain Python gives, on every path."""

from __future__ import annotations

from typing import Any, Optional

import pytest

import jitorch as torch
from tests.frontend.script.check import compare


def targets_in_order(x):
    rows = [x, x * 2, x * 3]
    i = 0
    rows[i], i = (x * 9, 2)
    return (rows, i)


def calls_in_order(x):
    rows = [x, x * 2]
    k = [0]

    def at(n: int) -> int:
        return n

    rows[at(0)] = rows[at(1)] + 1
    rows[at(1)] += 2
    return rows


def breaks_out_of_two_loops(x):
    n = 0
    for i in range(4):
        for j in range(3):
            x = x + i - j
            if bool(x.sum() > 8):
                n += 1
                break
            if bool(x[0] < -3):
                continue
            x = x * 1.5
        else:
            n += 10
            continue
        x = x - 20
        if i == 2:
            break
    else:
        n += 100
    return (x, n)


def breaks_out_of_two_whiles(x):
    i = 0
    j = 0
    b = 0
    while i < 5:
        i += 1
        j = 0
        while j < i:
            j += 1
            x = x + 1
            if bool(x.sum() > 12):
                b += 1
                break
            if bool(x[0] < 0):
                continue
            x = x * 1.25
        else:
            b += 100
            continue
        x = x - 10
    else:
        b += 1000
    return (x, b, i, j)


def return_out_of_two_loops(x):
    for i in range(3):
        k = 0
        while bool(x.sum() < 20):
            k += 1
            x = x + i + k
            if bool(x[0] > 9):
                return (x, i, k)
        x = x - 30
    return (x, -1, -1)


def augmented_items(x):
    y = x.clone()
    y[0] += 5
    y[1:] *= x[:1]
    d = {"k": x}
    d["k"] += 1
    items = [x, x * 2]
    items[-1] -= 3
    items += [x]
    a = items
    a += [x * 7]
    return (y, d, items, a, x)


def augmented_aliases(x):
    y = x
    y += 1
    z = x
    z = z + 1
    return (x, y, z)


def chained_comparisons(x):
    a, b = (float(x[0]), float(x[1]))
    r = 0
    if -1 < a <= b < 3:
        r = 1
    elif not a < b > 0:
        r = 2
    return (r, 0 < a < b, 1 < 2 < 3 > 1, a == b == a)


def comprehensions(x):
    i = 7
    r = [x * i for i in range(3)]
    q = [i * 2 for i in range(5) if i % 2]
    d = {k: k * 2 for k in [1, 2]}
    return (r, q, d, i)


def integers_of_the_program(x):
    n = int(x.sum())
    return (n // 2, n % 3, -n // 2, divmod(n, 3), n << 1, n >> 1, n & 3, n | 4, n ^ 1, ~n, abs(n), -n, n / 4, n * n)


def bools_and_powers(x):
    n = int(x[0])
    b = bool(x[0] > 0)
    return (
        b + b,
        b * 3,
        n**2,
        -(n**2),
        float(n) ** 2,
        n % -3,
        n // -3,
        -7 // 2,
        -7 % 3,
        7 // -2,
        round(2.5),
        int(-3.9),
        round(3.5),
    )


def powers(x):
    n = int(x[0])
    return (2.0**n, float(n) ** 3)


def negative_power(x):
    n = 3
    if bool(x[0] > 0):
        n = 4
    return n ** (-1)


def list_that_grows(x):
    items = [1, 2, 3]
    s = 0
    for v in items:
        if v < 4 and len(items) < 6:
            items.append(v + 2)
        s += v
    return (s, items)


def operands_of_and_or(x):
    n = 3
    m = 0
    return (n or 5, m or 5, n and 7, m and 7, not n, not m)


def ternaries(x):
    return x * 2 if bool(x[0] > 0) else x * 3 if bool(x[1] < -1) else x * 4


def strings(x):
    n = 3
    s = "a"
    f = 1.5
    return (
        f"{n:03d}|{f:.2f}|{s!r}|{n}{s}",
        "%s-%d" % (s, n),
        s * 3,
        "a" < "b",
        s + s,
        "abc"[1],
        "abc"[::-1],
        "abc"[-2:],
    )


def optional(x):
    y: Optional[torch.Tensor] = None
    if bool(x[0] > 0):
        y = x
    if y is not None:
        return y * 2
    return x


def deletions(x):
    items = [1, 2, 3]
    del items[1]
    d = {"a": 1, "b": 2}
    del d["a"]
    return (items, d)


def slices(x):
    items = [1, 2, 3, 4]
    items[1:3] = [9]
    return (
        items,
        items[::-1],
        items[-2:],
        items[1:][0],
        x[1:],
        x[:-1],
        items.index(9),
        items.count(4),
        items.pop(),
        items,
    )


def unpacking(x):
    (a, (b, c)), d = ((x, (1, 2)), "s")
    e, *f = [1, 2, 3]
    *g, h = [4, 5, 6]
    return (a, b, c, d, e, f, g, h)


def return_out_of_with(x):
    with torch.no_grad():
        y = x * 2
        if bool(x[0] > 0):
            return y
    return y * 3


def loop_variable_afterwards(x):
    i = -1
    for i in range(30):
        if bool(x.sum() > 10 + i):
            break
        x = x + 2
    return (x, i)


def loop_variable_assigned(x):
    for i in range(3):
        j = i
        i = i * 10
        x = x + i
    return x


def order_of_a_dict(x):
    d = {"b": 1, "a": 2}
    d["c"] = 3
    d["b"] = 9
    s = ""
    t = 0
    for k in d:
        s += k
        t = t * 10 + d[k]
    return (s, t, list(d.keys()), list(d.values()))


def while_with_two_tests(x):
    n = 0
    while n < 5 and bool(x.sum() < 20) or n == 0:
        x = x + 3
        n += 1
    return (x, n)


def enumerate_and_zip(x):
    r = 0
    for i, (a, b) in enumerate(zip([1, 2, 3], [x, x * 2])):
        x = x + i * a + b
        r += i
    return (x, r)


def lists_of_lists(x):
    items = [[x], [x * 2]]
    items[0].append(x * 3)
    m = items[0]
    m.append(x)
    items[1][0] = x * 5
    return items


def extremes(x):
    return (
        min(3, 1, 2),
        max([1, 5, 2]),
        sum([1, 2, 3]),
        sorted([3, 1, 2]),
        any([False, True]),
        all([True]),
        abs(-3),
        min(2.5, 1),
        list(reversed([1, 2])),
    )


def conditions_of_tensors(x):
    if bool(x[0] > 0) and (not bool(x[1] > 3)) or bool(x[0] < -5):
        return x
    return x * 0


def items_of_tensors(x):
    y = x.clone()
    y[y > 1] = 0
    y[0] = y[1]
    y[-1] = 7
    i = 0
    y[i], i = (y[1] * 2, 1)
    return (y, i)


def variables_of_branches(x):
    if bool(x[0] > 0):
        z = 1
    else:
        z = 2
    for k in [1, 2]:
        w = k
        z += w
    return z


CASES = (
    targets_in_order,
    calls_in_order,
    breaks_out_of_two_loops,
    breaks_out_of_two_whiles,
    return_out_of_two_loops,
    augmented_items,
    augmented_aliases,
    chained_comparisons,
    comprehensions,
    integers_of_the_program,
    bools_and_powers,
    powers,
    negative_power,
    list_that_grows,
    operands_of_and_or,
    ternaries,
    strings,
    optional,
    deletions,
    slices,
    unpacking,
    return_out_of_with,
    loop_variable_afterwards,
    loop_variable_assigned,
    order_of_a_dict,
    while_with_two_tests,
    enumerate_and_zip,
    lists_of_lists,
    extremes,
    conditions_of_tensors,
    items_of_tensors,
    variables_of_branches,
)
VALUES = ((1.0, 2.0), (-3.0, -2.0), (50.0, 51.0), (0.5, 0.25))


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_as_python(function: Any) -> None:
    compare(function, *[(torch.tensor(values),) for values in VALUES])
