# ruff: noqa: B009, E742, RET504, RUF005, RUF059 - the style is the point: what users write
"""Lists, dicts and their kin: read, written, unpacked, shared."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from typing import Any, NamedTuple

from tests.frontend.python.cases.classes import Lin
from tests.frontend.python.cases.registry import T, staged


@staged()
def comprehensions(jit):
    def f(xs, n):
        d = {k: v * n for k, v in enumerate(xs) if k != 1}
        s = set(d)
        return [d[k] + len(s) for k in sorted(s)], [[a * b for a in xs] for b in xs]

    return jit(f), [([T(1, 2), T(3, 4), T(5, 6)], 2)] * 2, None


@staged(1)
def comprehension_unpacks_stored_pairs(jit):
    pairs = [("a", (1.0, T(1, 2))), ("b", (2.0, T(3, 4)))]
    f = jit(lambda x: {k: x * a + b for k, (a, b) in pairs})

    def g(x, v):
        pairs[0] = ("a", (v, T(1, 2)))
        return f(x)

    return g, [(T(1, 2), 3.0), (T(1, 2), 4.0)], None


@staged(1)
def loop_unpacks_stored_pairs(jit):
    pairs = [("a", (1.0, T(1, 2))), ("b", (2.0, T(3, 4)))]

    def f(x):
        out = []
        for name, (a, *b) in pairs:
            out.append((name, x * a + b[0]))
        return out

    h = jit(f)

    def g(x, v):
        pairs[0] = ("a", (v, T(1, 2)))
        return h(x)

    return g, [(T(1, 2), 3.0), (T(1, 2), 4.0)], None


@staged(1)
def zip_enumerate(jit):
    def f(x, ys):
        t = 0
        for i, (a, b) in enumerate(zip(x, ys)):
            t = t + a * b * i
        return t

    return jit(f), [(T(1, 2, 3), [1.0, 2.0, 3.0]), (T(1, 2, 3), [1.0, 5.0, 3.0])], None


@staged()
def star_unpack(jit):
    def f(xs, d):
        a, *b, c = xs
        (p, q), r = (a, c), [*b, a]
        return p + q * len(r), {**d, "z": a}, (*xs, 1)

    return jit(f), [([T(1, 2), T(3, 4), T(5, 6)], {"y": 2})] * 2, None


@staged()
def assignment_targets(jit):
    class O:
        pass

    o, L = O(), [0, 0, [0, 0]]

    def f(x):
        o.a, L[0] = x, 1.0
        L[1] = o.b = x * 2
        L[2][0], (o.c, *L[2][1:]) = 5, (1, 2)
        for o.i in range(3):
            pass
        for L[1], o.d in [(1, 2), (3, 4)]:
            pass
        o.n: int = 4
        o.n <<= 2
        L[2][1] += 1
        del L[0], o.c
        return x

    return jit(f), [(T(1, 2),)], lambda: (L, sorted(vars(o).items(), key=lambda kv: kv[0]))


@staged()
def list_argument_changed(jit):
    def f(xs):
        xs.append(xs[-1] * 2)
        xs[0] = xs[1]
        return len(xs)

    L = [T(1), T(2)]
    return jit(lambda: f(L)), [()] * 2, lambda: L


@staged(1)
def growing_log_does_not_retrace(jit):
    log = []

    def f(x):
        nonlocal log
        log.append(x * 2)
        log.extend([1, x])
        log += ["s"]
        return x

    return jit(f), [(T(1, 2),)] * 4, lambda: list(log)


@staged()
def list_methods(jit):
    L = [3, 1, 2]

    def f(x):
        L.insert(0, 9)
        L.remove(1)
        a = L.pop()
        L.sort()
        L.reverse()
        b = [*L, *reversed(L), a, L.index(3), L.count(9), L[0], L[-1:], L + [1], L * 2, [0] * 3, L == [9, 3], L > [1]]
        c = L.copy()
        c.clear()
        return x * len(L), b, c, 3 in L, max(L), sorted(L, key=lambda v: -v, reverse=True), any(L), all(L), sum(L)

    return jit(f), [(T(1, 2),)], lambda: L


@staged()
def dict_methods(jit):
    def f(x, d):
        for k, v in d.items():
            x = x * v + len(k)
        d["n"] = x
        d.setdefault("m", 3)
        d["a"] += 1
        e = dict(d, q=1)
        e.update({"r": 2}, s=3)
        p = e.pop("q"), e.pop("none", None), e.popitem(), "r" in e, list(e.values())[1:], e.get("zz")
        f = {**e} | {"t": 1}
        f |= {"u": 1}
        return x, list(d), max(d["a"], 2), sorted(d, key=lambda k: k, reverse=True), p, f, e == dict(e), len(e)

    d = {"a": 2.0, "bb": 3}
    return jit(lambda x: f(x, d)), [(T(1, 2),)], lambda: d


@staged()
def dict_order_after_deletion(jit):
    d = {"a": 1, "b": 2, "c": 3}

    def f(x):
        v = d.pop("a")
        del d["b"]
        d["new"] = 1
        d["a"] = v + 1
        return x, list(d), len(d), "b" in d

    return jit(f), [(T(1, 2),)], lambda: d


@staged()
def other_containers(jit):
    s, q, dd, od = {1, 2}, deque([1.0, 2.0], maxlen=3), defaultdict(list), OrderedDict(a=1)

    def f(x):
        s.add(3)
        s.discard(1)
        q.append(x)
        q.appendleft(0)
        dd["k"].append(x)
        od["b"] = 2
        c = Counter("hello")
        c["h"] += 1
        e = defaultdict(int)
        e["z"] += 2
        return len(s | {9}), s - {2}, list(q), q[0], len(q), dict(od), c["l"], c["none"], dict(e), 2 in s, list(od)

    return jit(f), [(T(1, 2),)], lambda: (sorted(s), list(q), dict(dd), dict(od))


Pair = namedtuple("Pair", "a b")


class Triple(NamedTuple):
    a: Any
    b: float = 2.0

    def total(self):
        return self.a + self.b


@staged(1)
def named_tuples(jit):
    def f(x, p):
        a, b = p
        t = Triple(x)
        return Pair(x, p.b), p.a * x + b, t.total(), t, t._replace(b=5.0), Pair(1, 2) == Pair(1, 2)

    return jit(f), [(T(1, 2), Pair(1.0, 2.0)), (T(1, 2), Pair(3.0, 2.0))], None


@staged()
def deep_container_change(jit):
    D = {"a": [{"b": (1.0, "x")}]}
    f = jit(lambda x: x * D["a"][0]["b"][0] if D["a"][0]["b"][1] == "x" else x)

    def g(x, v):
        D["a"][0]["b"] = v
        return f(x)

    return g, [(T(1, 2), (1.0, "x")), (T(1, 2), (2.0, "x")), (T(1, 2), (2.0, "y"))], None


@staged(4)
def absence(jit):
    m, D = Lin(1.0), {}

    def f(x):
        return x * D.get("k", 2) * (3 if hasattr(m, "extra") else 1) + ("z" in D)

    h = jit(f)

    def g(x, n):
        if n == 1:
            D["k"] = 5
        if n == 2:
            m.extra = 1
        if n == 3:
            D["z"] = 1
        return h(x)

    return g, [(T(1, 2), i) for i in range(4)], None


@staged(1)
def instance_dict_by_name(jit):
    class O:
        pass

    o = O()
    o.a = 1.0

    def f(x):
        o.b = x
        o.__dict__["c"] = o.a + 1
        vars(o)["a"] = 5.0
        return o.c, o.a, sorted(o.__dict__), getattr(o, "b"), "a" in vars(o)

    h = jit(f)

    def g(x):
        vars(o).clear()
        o.a = 1.0
        return h(x)

    return g, [(T(1, 2),)] * 2, lambda: vars(o)


@staged(1)
def shared_and_cyclic_results(jit):
    def f(x):
        a = [x]
        a.append(a)
        d = {"a": a, "t": (a, x)}
        return d

    h = jit(f)

    def g(x):
        d = h(x)
        a = d["a"]
        return a[1] is a, d["t"][0] is a, d["t"][1] is x, a[0] is x

    return g, [(T(1, 2),)] * 2, None


@staged(2)
def aliased_arguments(jit):
    def f(a, b):
        a.add_(1.0)
        return a + b

    h = jit(f)

    def g(same):
        a, b = T(1, 2), T(5, 6)
        return h(a, a if same else b)

    return g, [(0,), (1,), (0,), (1,)], None


@staged(2)
def aliased_containers(jit):
    def f(a, b):
        a.append(1.0)
        return len(b)

    h = jit(f)

    def g(same):
        a, b = [1.0], [2.0]
        return h(a, a if same else b)

    return g, [(0,), (1,), (0,)], None


@staged(2)
def identity_of_arguments(jit):
    h = jit(lambda x, a, b: x * 2 if a is b else x)

    def g(x, same):
        a, b = T(1), T(2)
        return h(x, a, a if same else b)

    return g, [(T(1, 2), 0), (T(1, 2), 1), (T(1, 2), 0)], None
