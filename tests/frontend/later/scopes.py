"""Scopes of names, and the order in which operands are evaluated."""

from __future__ import annotations

from tests.frontend.later.called import calls, of_numbers, with_each

SCOPES, ORDERS = "scopes and comprehensions", "orders and evaluation"


@calls(SCOPES, *of_numbers(1, -3))
def comprehension_variables_stay_inside(x):
    i = "outer"
    rows = [x * i for i in range(3)]
    both = [(i, j) for i in range(2) for j in range(i + 1) if i + j]
    nested = [[x * i + j for j in range(2)] for i in range(2)]
    named = {k: v * 2 for k, v in {"a": x, "b": x + 1}.items()}
    return rows, both, nested, named, i


@calls(SCOPES, *of_numbers(1, -3))
def walrus_in_comprehensions(x):
    total = x * 0
    partial = [total := total + x * i for i in range(4)]
    found = [y for i in range(4) if (y := i * 2) > 2]
    return total, partial, found, y


@calls(SCOPES, *of_numbers(1, -3))
def walrus_in_conditions_and_calls(x):
    if (s := x.sum()) > 0 and (t := s * 2) > 1:
        r = s + t
    elif (t := s - 1) < -100 or (u := t + 1) < 0:
        r = t * u
    else:
        r = s
    return r, (v := r * 2) + v, max(w := 3, w + 1)


@calls(SCOPES, *of_numbers(1, -3))
def closures_see_the_last_value(x):
    makers = [lambda: x * i for i in range(3)]  # noqa: B023 - what is looked at
    bound = [lambda i=i: x * i for i in range(3)]
    scale = 2

    def scaled(y):
        return y * scale

    first = scaled(x)
    scale = 5
    return [m() for m in makers], [b() for b in bound], first, scaled(x)


@calls(SCOPES, *of_numbers(1, -3))
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


@calls(SCOPES, *of_numbers(1, -3))
def generator_expressions_are_lazy(x):
    scale = 1
    scaled = (x * i * scale for i in range(3))
    scale = 10
    first = next(scaled)
    scale = 100
    return first, list(scaled), sum(i * i for i in range(4)), any(i > 2 for i in range(3))


@calls(SCOPES, *of_numbers(1, -3))
def variable_without_a_value(x):
    if x.sum() > 0:
        y = x * 2
    try:
        return y
    except UnboundLocalError:
        return x


@calls(SCOPES, *with_each(0, 1))
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


@calls(SCOPES, *of_numbers(1, -3))
def recursion_with_defaults_that_are_shared(x):
    def collect(y, depth, found=[]):  # noqa: B006 - that it is shared is what is looked at
        found.append(depth)
        return y if depth == 0 else collect(y + 1, depth - 1)

    first = collect(x, 2)
    second = collect(x, 1)
    return first, second, collect.__defaults__


@calls(SCOPES, *with_each(lambda: [1, 2], lambda: (3,), lambda: {"a": 1}))
def stars_in_calls_and_displays(x, s):
    def f(*args, k=1, **more):
        return len(args), k, sorted(more)

    return f(*s, x, *s), f(*s, k=2, z=1), [*s, x, *s], {**dict.fromkeys(s, 1), "k": 2}


@calls(ORDERS, *of_numbers(1, -3, 0.5))
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


@calls(ORDERS, *with_each(1, 2, 3))
def chained_comparisons_evaluate_once(x, n):
    trail = []

    def at(v):
        trail.append(v)
        return v

    result = at(1) < at(n) < at(3) != at(n)
    return x, result, trail


@calls(ORDERS, *of_numbers(1, -3, 0.5))
def and_or_give_operands(x):
    a = x.sum() > 0 and x * 2
    b = x[0] > 0 or x[1]
    c = not (x[0] > 0 and x[1] > 2)
    d = [] or x
    e = (0, x)[x.sum() > 0]
    f = None or 0 or "" or x
    return a, b, c, d, e, f


@calls(ORDERS, *of_numbers(1, -3, 0.5))
def ternaries_in_ternaries(x):
    y = x * 2 if x[0] > 0 else (x * 3 if x[1] < -1 else x * 4)
    n = 1 if x.sum() > 0 else 2 if x.sum() < -4 else 3
    return y, [y if i % 2 else x for i in range(3)], n


@calls(ORDERS, *with_each(lambda: {"b": 1, "a": 2}, lambda: {"a": 2, "b": 1}))
def order_of_a_dict_decides(x, d):
    for i, (key, value) in enumerate(d.items()):
        x = x * value + i * len(key)
    return x, list(d), next(iter(d)), list(reversed(d)), sorted(d), max(d, key=d.get)


@calls(ORDERS, *with_each(lambda: {3, 1, 2}, lambda: {1, 2, 3}, lambda: frozenset([2])))
def order_of_a_set_decides(x, s):
    for n in s:
        x = x * n - 1
    return x, list(s), s | {9}, s & {1, 2}, len(s ^ {1})


@calls(ORDERS, *of_numbers(1, -3, 0.5))
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


@calls(ORDERS, *of_numbers(1, -3, 0.5))
def identity_and_equality(x):
    y, z = x, x * 1
    rows = [x, z]
    return x is y, x is z, y in [x], rows.index(x), x is not None, [x] == [y], rows.count(x)


@calls(ORDERS, *with_each(5, -5, 2.5, True, "ab"))
def operators_of_numbers(x, n):
    return x * (n % 3), n // 2, divmod(n, 3), -n % 4, n**2, ~n, n & 3, round(n / 3, 2), abs(n), n == 5.0, n is True


@calls(ORDERS, *of_numbers([1.5, -2.5], [-0.5, 7.0]))
def numbers_of_the_program(x):
    a, b = float(x[0]), int(x[1])
    return a // 2, b % 3, -b // 2, divmod(b, -4), a * b, b << 2, b >> 1, b & 3, ~b, round(a), abs(b), -(b**2), a % -2
