"""Lists, dicts, sets and tuples that change between calls."""

from __future__ import annotations

import collections
from types import SimpleNamespace
from typing import Any

import jitorch
from tests.frontend.later.python_state import Mode
from tests.frontend.later.table import attempt, later, tensor

CONTAINERS = "lists, dicts and sets"


@later(CONTAINERS)
def list_contents(jit):
    values: list[Any] = [1, 2.0, tensor(3)]
    f = jit(lambda x: sum([v * x for v in values]))
    yield f(tensor(1))
    values[0] = 5
    yield f(tensor(1))
    values[1] = 7.5
    yield f(tensor(1))
    values[2] = tensor(9)
    yield f(tensor(1))
    values.append(1)
    yield f(tensor(1))
    values.reverse()
    yield f(tensor(1))
    values.clear()
    yield f(tensor(1))


@later(CONTAINERS)
def list_item_only(jit):
    values = [1, 2, 3]
    f = jit(lambda x: x * values[-1] + values[1])
    yield f(tensor(1))
    values.append(4)
    yield f(tensor(1))
    values[1] = 6
    yield f(tensor(1))
    del values[2:]
    yield f(tensor(1))
    values.clear()
    yield attempt(f, tensor(1))


@later(CONTAINERS)
def nested_list(jit):
    values = [[1], [2, 3]]
    f = jit(lambda x: x * sum(sum(v) for v in values))
    yield f(tensor(1))
    values[1].append(4)
    yield f(tensor(1))
    values[0] = values[1]
    yield f(tensor(1))


@later(CONTAINERS)
def list_written_inside_and_outside(jit):
    values = [1]

    def f(x):
        values.append(len(values))
        values[0] += 1
        return x * values[-1]

    g = jit(f)
    for _ in range(3):
        yield g(tensor(1)), values
    values.insert(0, 8)
    yield g(tensor(1)), values


@later(CONTAINERS)
def list_that_is_an_argument_twice(jit):
    def f(x, a, b):
        a.append(1)
        return x * len(b)

    g = jit(f)
    one, two = [], []
    yield g(tensor(1), one, two), one, two
    yield g(tensor(1), one, one), one
    yield g(tensor(1), one, two), one, two


@later(CONTAINERS)
def dict_value_key_and_order(jit):
    d = {"a": 1, "b": 2}

    def f(x):
        for k, v in d.items():
            x = x * v + len(k)
        return x

    g = jit(f)
    yield g(tensor(1))
    d["a"] = 3
    yield g(tensor(1))
    d["cc"] = 4
    yield g(tensor(1))
    d["a"] = d.pop("a")
    yield g(tensor(1))
    del d["b"]
    yield g(tensor(1))
    d.clear()
    yield g(tensor(1))


@later(CONTAINERS)
def dict_get_and_in(jit):
    d: dict[str, Any] = {}
    f = jit(lambda x: x * d.get("k", 2) + ("j" in d) + len(d))
    yield f(tensor(1))
    d["k"] = 3
    yield f(tensor(1))
    d["j"] = None
    yield f(tensor(1))
    d["k"] = None
    yield attempt(f, tensor(1))


@later(CONTAINERS)
def dict_of_tensors_as_an_argument(jit):
    f = jit(lambda d: {k: v * 2 for k, v in d.items() if v is not None})
    yield f({"a": tensor(1), "b": tensor(2)})
    yield f({"b": tensor(1), "a": tensor(2)})
    yield f({"a": tensor(1), "b": None})
    yield f({"a": tensor(1, 2)})
    yield f({})


@later(CONTAINERS)
def dict_written_inside(jit):
    d: dict[str, Any] = {"n": 0}

    def f(x):
        d["n"] += 1
        d["last"] = x * d["n"]
        d.setdefault("first", x)
        return d.pop("extra", None)

    g = jit(f)
    for _ in range(3):
        yield g(tensor(1)), d
    d["extra"] = 5
    yield g(tensor(1)), d


@later(CONTAINERS)
def dict_keys_of_other_types(jit):
    d = {1: 2.0, (1, 2): 3.0, Mode.UP: 4.0, None: 5.0}
    f = jit(lambda x: x * d[1] + d[1, 2] + d[Mode.UP] + d[None])
    yield f(tensor(1))
    d[1, 2] = 30.0
    yield f(tensor(1))
    d[True] = 20.0
    yield f(tensor(1))


@later(CONTAINERS)
def set_contents(jit):
    s = {1, 2}
    f = jit(lambda x: x * len(s) + (3 in s))
    yield f(tensor(1))
    s.add(3)
    yield f(tensor(1))
    s.discard(1)
    yield f(tensor(1))


@later(CONTAINERS)
def set_written_inside(jit):
    s = {1}

    def f(x):
        s.add(len(s) * 10)
        return x * len(s)

    g = jit(f)
    for _ in range(3):
        yield g(tensor(1)), s
    s.clear()
    yield g(tensor(1)), s


@later(CONTAINERS)
def deque_counter_and_defaultdict(jit):
    q = collections.deque([1, 2], 3)
    c = collections.Counter("aab")
    d = collections.defaultdict(int, k=1)

    def f(x):
        q.append(len(q))
        c["z"] += 1
        d["k"] += 1
        return x * sum(q) + c["a"] + d["new"]

    g = jit(f)
    for _ in range(3):
        yield g(tensor(1)), list(q), dict(c), dict(d)
    q.clear()
    c["a"] = 9
    yield g(tensor(1)), list(q), dict(c), dict(d)


@later(CONTAINERS)
def list_of_tensors_of_changing_length(jit):
    f = jit(lambda xs: (jitorch.stack(xs).sum(0), len(xs)))
    for n in (2, 3, 1, 2):
        yield f([tensor(i, i + 1) for i in range(n)])


@later(CONTAINERS)
def containers_that_are_returned(jit):
    shared = [1]
    f = jit(lambda x: (shared, {"x": [x, x * 2]}))
    a, b = f(tensor(1))
    yield a is shared, a, b
    a.append(2)
    b["x"].append(3)
    a, b = f(tensor(1))
    yield a is shared, a, b


@later(CONTAINERS)
def tuple_contents_of_a_global(jit):
    h = SimpleNamespace(t=(1, 2.0, "a"))
    f = jit(lambda x: x * h.t[0] + h.t[1] + len(h.t[2]))
    yield f(tensor(1))
    for t in ((1, 3.0, "a"), (2, 3.0, "a"), (2, 3.0, "aa"), (True, 3.0, "aa"), (2, 3, "aa"), (2, 3.0, "aa", 1)):
        h.t = t
        yield f(tensor(1))


@later(CONTAINERS)
def keys_that_asking_would_make(jit):
    def f(x, table):
        found = table.get("k")
        return x * 2 if found is None else x * found

    g = jit(f)
    full, empty = collections.defaultdict(int, k=5), collections.defaultdict(int)
    for table in (full, empty, {"k": 2}, empty, collections.Counter(k=3), collections.Counter(), full, {}):
        yield g(tensor(1), table), dict(table)
