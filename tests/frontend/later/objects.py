"""Objects, classes and modules changed in ways that the usual assignment does not show."""

from __future__ import annotations

import collections
import contextlib
import functools
import math
import types
import warnings
import weakref
from types import SimpleNamespace
from typing import Any

import jitorch
from jitorch import nn
from tests.frontend.later.table import attempt, later, tensor

OBJECTS = "objects changed behind the scenes"


class Holder:
    """Something with attributes."""

    shared = 2

    def __init__(self, k: Any = 1):
        self.k = k

    def act(self, x: Any) -> Any:
        return x * self.k


@later(OBJECTS)
def instance_dictionary_written(jit):
    h = Holder()
    f = jit(lambda x: h.act(x) + h.shared)
    yield f(tensor(1))
    h.__dict__["k"] = 5
    yield f(tensor(1))
    h.__dict__.update(shared=7)
    yield f(tensor(1))
    h.__dict__ = {"k": 9}
    yield f(tensor(1))
    vars(h).clear()
    yield attempt(f, tensor(1))
    object.__setattr__(h, "k", 3)
    yield f(tensor(1))


@later(OBJECTS)
def instance_dictionary_shared(jit):
    a, b = Holder(1), Holder(2)
    f = jit(lambda x: a.act(x) + b.act(x))
    yield f(tensor(1))
    b.__dict__ = a.__dict__
    yield f(tensor(1))
    a.k = 4
    yield f(tensor(1))


@later(OBJECTS)
def instance_dictionary_shared_and_written_inside(jit):
    a, b = Holder(1), Holder(2)

    def f(x):
        a.k += 1
        return x * b.k

    g = jit(f)
    yield g(tensor(1)), a.k, b.k
    b.__dict__ = a.__dict__
    yield g(tensor(1)), a.k, b.k
    yield g(tensor(1)), a.k, b.k


@later(OBJECTS)
def class_attribute_that_an_instance_overrides(jit):
    a, b = Holder(), Holder()
    f = jit(lambda x, h: x * h.shared)
    yield f(tensor(1), a), f(tensor(1), b)
    a.shared = 5
    yield f(tensor(1), a), f(tensor(1), b)
    del a.shared
    yield f(tensor(1), a), f(tensor(1), b)


@later(OBJECTS)
def bases_of_a_class_replaced(jit):
    class One:
        def act(self, x):
            return x + 1

    class Two:
        def act(self, x):
            return x + 2

    class Derived(One):
        pass

    h = Derived()
    f = jit(lambda x: h.act(x))
    yield f(tensor(1)), isinstance(h, One)
    Derived.__bases__ = (Two,)
    yield f(tensor(1)), isinstance(h, One)


@later(OBJECTS)
def isinstance_after_a_change(jit):
    class One:
        pass

    class Two(One):
        pass

    class Three:
        pass

    h = SimpleNamespace(kind=Two, value=Two())
    f = jit(lambda x: (x if isinstance(h.value, h.kind) else -x, issubclass(h.kind, One)))
    yield f(tensor(1))
    h.kind = One
    yield f(tensor(1))
    h.kind = (Three, int)
    yield attempt(f, tensor(1))[:2]
    h.kind = Three
    yield f(tensor(1))
    h.value.__class__ = Three
    yield f(tensor(1))


@later(OBJECTS)
def property_that_appears(jit):
    class Local(Holder):
        pass

    h = Local(2)
    f = jit(lambda x: x * h.k)
    yield f(tensor(1))
    Local.k = property(lambda self: 10)
    yield f(tensor(1))
    Local.k = property(lambda self: self.__dict__["k"] * 100)
    yield f(tensor(1))
    del Local.k
    yield f(tensor(1))


@later(OBJECTS)
def getattribute_that_appears(jit):
    class Local(Holder):
        pass

    h = Local(2)
    f = jit(lambda x: x * h.k)
    yield f(tensor(1))
    Local.__getattr__ = lambda self, name: 30
    yield f(tensor(1))
    del h.k
    yield f(tensor(1))
    Local.__getattribute__ = lambda self, name: 50
    yield attempt(f, tensor(1))


@later(OBJECTS)
def setattr_that_appears(jit):
    class Local(Holder):
        pass

    h = Local(2)

    def f(x):
        h.k = h.k + 1
        return x * h.k

    g = jit(f)
    yield g(tensor(1)), h.k
    Local.__setattr__ = lambda self, name, value: object.__setattr__(self, name, value * 10)
    yield g(tensor(1)), h.k
    del Local.__setattr__
    yield g(tensor(1)), h.k


@later(OBJECTS)
def methods_bound_and_replaced(jit):
    h = Holder(2)
    bound = SimpleNamespace(act=h.act)
    f = jit(lambda x: bound.act(x))
    yield f(tensor(1))
    h.k = 3
    yield f(tensor(1))
    bound.act = Holder(7).act
    yield f(tensor(1))
    bound.act = types.MethodType(lambda self, x: x - self.k, h)
    yield f(tensor(1))


@later(OBJECTS)
def bound_method_as_an_argument(jit):
    a, b = Holder(2), Holder(3)
    f = jit(lambda x, act: act(x))
    for act in (a.act, b.act, a.act, Holder(4).act):
        yield f(tensor(1), act)
    a.k = 9
    yield f(tensor(1), a.act), f(tensor(1), b.act)


@later(OBJECTS)
def module_functions_replaced(jit):
    f = jit(lambda x, n: x * math.sqrt(n))
    yield f(tensor(1), 4.0)
    before = math.sqrt
    math.sqrt = lambda n: n * 100  # type: ignore[assignment]
    try:
        yield f(tensor(1), 4.0)
    finally:
        math.sqrt = before
    yield f(tensor(1), 4.0)


@later(OBJECTS)
def operations_replaced(jit):
    f = jit(lambda x: jitorch.tanh(x) + x.exp())
    yield f(tensor(0))
    before = jitorch.tanh
    jitorch.tanh = lambda x: x + 50
    try:
        yield f(tensor(0))
    finally:
        jitorch.tanh = before
    yield f(tensor(0))


@later(OBJECTS)
def partial_whose_arguments_change(jit):
    scale = [2]
    p = functools.partial(lambda values, x, k=1: x * values[0] * k, scale, k=3)
    f, g = jit(lambda x: p(x)), jit(p)
    yield f(tensor(1)), g(tensor(1))
    scale[0] = 5
    yield f(tensor(1)), g(tensor(1))
    p.keywords["k"] = 7
    yield f(tensor(1)), g(tensor(1))
    p.keywords.clear()
    yield f(tensor(1)), g(tensor(1))
    p.__setstate__((lambda x: x - 1, (), {}, {}))
    yield f(tensor(1)), g(tensor(1))


@later(OBJECTS)
def closures_made_in_a_loop(jit):
    made = []
    for i in range(3):
        made.append(lambda x: x * i)  # noqa: B023 - all see the last one
    f = jit(lambda x: [g(x) for g in made])
    yield f(tensor(1))
    i = 10
    yield f(tensor(1))
    made.reverse()
    made.append(lambda x, i=i: x + i)
    yield f(tensor(1))


@later(OBJECTS)
def counter_of_a_closure(jit):
    def counting():
        count = 0

        def step(x):
            nonlocal count
            count += 1
            return x * count

        return step, lambda: count

    step, read = counting()
    f, g = jit(step), jit(lambda x: step(step(x)))
    for _ in range(3):
        yield f(tensor(1)), read()
    yield g(tensor(1)), read()
    yield step(tensor(1)), f(tensor(1)), read()


@later(OBJECTS)
def weak_references(jit):
    h = Holder(2)
    ref = weakref.ref(h)
    f = jit(lambda x: x * (ref().k if ref() is not None else -1))
    yield attempt(f, tensor(1))
    h.k = 3
    yield attempt(f, tensor(1))
    other = Holder(8)
    ref = weakref.ref(other)
    yield attempt(f, tensor(1))


@later(OBJECTS)
def contexts_with_state(jit):
    log: list[Any] = []

    @contextlib.contextmanager
    def logged(name):
        log.append(name)
        try:
            yield len(log)
        finally:
            log.append(-len(log))

    def f(x):
        with logged("a") as n:
            x = x * n
        return x + len(log)

    g = jit(f)
    for _ in range(3):
        yield attempt(g, tensor(1)), log
    log.clear()
    yield attempt(g, tensor(1)), log


@later(OBJECTS)
def warnings_of_the_user(jit):
    def f(x, n):
        if n > 1:
            warnings.warn(f"n is {n}", UserWarning, stacklevel=1)
        return x * n

    g = jit(f)
    for n in (1, 2, 2, 1):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            result = g(tensor(1), n)
        yield result, [str(w.message) for w in found if w.category is UserWarning]


@later(OBJECTS)
def warning_turned_into_an_error(jit):
    def f(x):
        warnings.warn("careful", UserWarning, stacklevel=1)
        return x

    g = jit(f)
    for action in ("ignore", "error", "ignore"):
        with warnings.catch_warnings():
            warnings.simplefilter(action)
            yield attempt(g, tensor(1))


@later(OBJECTS)
def ordered_and_user_dicts(jit):
    class Keyed(dict):
        def __missing__(self, key):
            return len(key)

    table = Keyed(a=5)
    order = collections.OrderedDict(a=1, b=2)
    f = jit(lambda x, key: (x * table[key], list(order)))
    yield attempt(f, tensor(1), "a"), attempt(f, tensor(1), "long")
    table["long"] = 50
    order.move_to_end("a")
    yield attempt(f, tensor(1), "a"), attempt(f, tensor(1), "long")


@later(OBJECTS)
def chain_of_maps(jit):
    first, second = {"k": 1}, {"k": 2, "m": 3}
    chain = collections.ChainMap(first, second)
    f = jit(lambda x: x * chain["k"] + chain["m"])
    yield attempt(f, tensor(1))
    del first["k"]
    yield attempt(f, tensor(1))
    chain.maps.insert(0, {"m": 100})
    yield attempt(f, tensor(1))


@later(OBJECTS)
def tensor_subclass_with_methods(jit):
    class Labelled(nn.Parameter):
        def doubled(self):
            return self * 2

    w = Labelled(tensor(1, 2))
    w.label = 3
    f = jit(lambda x: x * w.doubled() * w.label)
    yield attempt(f, tensor(1, 1))
    w.label = 5
    yield attempt(f, tensor(1, 1))
    Labelled.doubled = lambda self: self * 20
    yield attempt(f, tensor(1, 1))


@later(OBJECTS)
def attributes_of_a_function(jit):
    def g(x):
        return x * g.scale

    g.scale = 2
    f = jit(lambda x: g(x))
    yield f(tensor(1))
    g.scale = 3
    yield f(tensor(1))
    del g.scale
    yield attempt(f, tensor(1))


@later(OBJECTS)
def wrapped_function_replaced(jit):
    def g(x):
        return x + 1

    @functools.wraps(g)
    def wrapper(x):
        return wrapper.__wrapped__(x) * 2

    f = jit(lambda x: wrapper(x))
    yield f(tensor(1))
    wrapper.__wrapped__ = lambda x: x - 1
    yield f(tensor(1))


@later(OBJECTS)
def cache_of_a_function(jit):
    calls: list[int] = []

    @functools.lru_cache
    def scale(n):
        calls.append(n)
        return n * 2

    f = jit(lambda x, n: x * scale(n))
    yield attempt(f, tensor(1), 1)
    yield attempt(f, tensor(1), 2)
    yield attempt(f, tensor(1), 1)


@later(OBJECTS)
def hash_and_equality_of_the_user(jit):
    class Key:
        def __init__(self, n):
            self.n = n

        def __eq__(self, other):
            return isinstance(other, Key) and self.n == other.n

        def __hash__(self):
            return hash(self.n)

    table = {Key(1): 10, Key(2): 20}
    f = jit(lambda x, key: x * table.get(key, -1))
    key = Key(1)
    yield attempt(f, tensor(1), key), attempt(f, tensor(1), Key(1)), attempt(f, tensor(1), Key(3))
    key.n = 2
    yield attempt(f, tensor(1), key)
    table[Key(2)] = 99
    yield attempt(f, tensor(1), key)


@later(OBJECTS)
def order_of_a_set(jit):
    f = jit(lambda x, s: (list(s), x))
    small = [set(range(0, 9, 8)), set(range(8, -1, -8)), {1, 2}, {2, 1}, {True, 2}, {1.0, 2}]
    for s in (*small, *small):
        yield f(tensor(1), s)


@later(OBJECTS)
def length_and_truth_of_an_object(jit):
    class Sized:
        def __init__(self):
            self.items: list[int] = []

        def __len__(self):
            return len(self.items)

    h = Sized()
    f = jit(lambda x: x if h else -x)
    yield f(tensor(1))
    h.items.append(1)
    yield f(tensor(1))
    Sized.__bool__ = lambda self: False
    yield f(tensor(1))


@later(OBJECTS)
def default_factory_replaced(jit):
    table = collections.defaultdict(lambda: 2)
    f = jit(lambda x, k: (x * table[k], len(table)))
    yield f(tensor(1), "a"), f(tensor(1), "a"), f(tensor(1), "b"), dict(table)
    table.default_factory = lambda: 9
    yield f(tensor(1), "c"), dict(table)
    table.default_factory = None
    yield attempt(f, tensor(1), "d"), dict(table)


@later(OBJECTS)
def exception_part_way_through_writes(jit):
    h = Holder(1)
    kept: list[Any] = []
    state = tensor(0, 0)

    def f(x, n):
        h.k += 1
        kept.append(h.k)
        state.add_(x)
        value = 6 // n
        state.mul_(value)
        return state.sum() + h.k

    g = jit(f)
    for n in (1, 0, 2, 0, 3):
        yield attempt(g, tensor(1, 2), n), h.k, list(kept), state.clone()
