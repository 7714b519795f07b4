"""Loops in loops, and containers that change while they are walked."""

from __future__ import annotations

from collections import deque

import jitorch
from tests.frontend.later.called import calls, of_numbers, with_each

LOOPS = "branches and loops"


@calls(LOOPS, *of_numbers(1, 3, -2, 20))
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


@calls(LOOPS, *of_numbers(1, 3, -2, 20))
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


@calls(LOOPS, *of_numbers(1, -3, 50))
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


@calls(LOOPS, *of_numbers(1, -3, 50))
def loop_variable_after_the_loop(x):
    for i in range(30):
        if x.sum() > 10 + i:
            break
        x = x + 2
    return x * i, i


@calls(LOOPS, *of_numbers(1, -3, 50))
def loop_variable_assigned_in_the_loop(x):
    found = []
    for i in range(3):
        found.append(i)
        i = i * 10
        x = x + i
    return x, i, found


@calls(LOOPS, *with_each(lambda: [1, 2, 3], list, lambda: [5]))
def list_that_grows_while_it_is_walked(x, items):
    for item in items:
        if item < 4:
            items.append(item + 2)
        x = x + item
    return x, items


@calls(LOOPS, *with_each(lambda: [1, 2, 3, 4], lambda: [2, 2, 3]))
def list_that_shrinks_while_it_is_walked(x, items):
    for item in items:
        if item == 2:
            items.remove(item)
        x = x * item
    return x, items


@calls(LOOPS, *with_each(lambda: {"a": 1, "b": 2}, dict, lambda: {"c": 3}))
def dict_that_changes_while_it_is_walked(x, d):
    for key in d:
        x = x * d[key]
        if key == "b":
            d["new"] = 1
    return x, d


@calls(LOOPS, *with_each(lambda: {1, 2}, lambda: set(), lambda: {5}))
def set_that_changes_while_it_is_walked(x, s):
    for n in s:
        s.add(n + 10)
        x = x + 1
    return x, s


@calls(LOOPS, *with_each(lambda: deque([1, 2]), lambda: deque(), lambda: deque([5])))
def deque_that_changes_while_it_is_walked(x, s):
    own = deque([1])
    for n in s:
        s.append(n)
        x = x + 1
    for n in own:
        own[0] = n + 1
        x = x + n
    return x, s


@calls(LOOPS, *with_each(0, 1, 3))
def range_that_changes_its_bound(x, n):
    for _ in range(n):
        n = n + 5
        x = x + n
    return x, n


@calls(LOOPS, *of_numbers(1, -1, 9))
def while_with_walrus(x):
    steps = 0
    while (total := x.sum()) < 10:
        x = x + 1.5
        steps += 1
    else:
        steps = -steps
    return x, total, steps


@calls(LOOPS, *of_numbers(1, -1, 9))
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


@calls(LOOPS, *of_numbers([1.0] * 20, [-1.0] * 20, [0.3] * 20))
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


@calls(LOOPS, *of_numbers([1.0] * 20, [-1.0] * 20))
def long_loop_that_swaps(x):
    a, b = x[0], x[1] * 2
    for i in range(20):
        a, b = b, a + x[i]
    return a, b


@calls(LOOPS, *of_numbers([1.0] * 20, [-1.0] * 20))
def long_loop_with_a_delayed_element(x):
    before, changes = None, []
    for i in range(20):
        if before is not None:
            changes.append(x[i] - before)
        before = x[i] * i
    return jitorch.stack(changes), before


@calls(LOOPS, *of_numbers([1.0] * 20, [-1.0] * 20))
def long_loop_in_a_long_loop(x):
    total = x * 0
    for i in range(18):
        row = x[i] * 0
        for j in range(17):
            row = row + x[j] * (i - j)
        total[i] = total[i] + row
    return total


@calls(LOOPS, *of_numbers([1.0] * 20, [-1.0] * 20))
def long_loop_backward_and_by_steps(x):
    y, z = x.clone(), x[0] * 0
    for i in range(18, -1, -1):
        y[i] = y[i + 1] + x[i]
    for i in range(1, 40, 2):
        z = z * 0.5 + i
    return y, z, i


@calls(LOOPS, *of_numbers([1.0] * 20, [-1.0] * 20))
def long_loop_over_pairs(x):
    total = x[0] * 0
    for i, (a, b) in enumerate(zip(x, x.flip(0))):
        total = total * 0.5 + a * b * i
    return total, i, a
