"""Handlers of functions and classes of Python's standard library."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import operator
import types
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from typing import Any

from jitorch.frontend.python import pure
from jitorch.frontend.python.builtins import make_dict
from jitorch.frontend.python.calls import HANDLERS, Calls, NativeFunction, handles
from jitorch.frontend.python.journal import MISSING
from jitorch.frontend.python.values import DICTS, MUTABLE, VIEWS, is_plain

# -- operator


def _register_operators() -> None:
    arithmetic = "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift".split()
    for name in arithmetic:
        HANDLERS[getattr(operator, name)] = _binary_handler(name)
        HANDLERS[getattr(operator, f"i{name.strip('_')}")] = _inplace_handler(name)
    for name in "lt le gt ge eq ne is_ is_not".split():
        HANDLERS[getattr(operator, name)] = _compare_handler(name)
    for name in "neg pos invert not_".split():
        HANDLERS[getattr(operator, name)] = _unary_handler(name)


def _binary_handler(name: str) -> Any:
    return lambda trace, a, b: trace.binary(name, a, b)


def _inplace_handler(name: str) -> Any:
    return lambda trace, a, b: trace.inplace(name, a, b)


def _compare_handler(name: str) -> Any:
    return lambda trace, a, b: trace.compare(name, a, b)


def _unary_handler(name: str) -> Any:
    return lambda trace, a: trace.unary(name, a)


_register_operators()


@handles(operator.contains)
def _contains(trace: Calls, container: Any, value: Any) -> Any:
    return trace.contains(container, value)


@handles(operator.getitem)
def _getitem(trace: Calls, target: Any, key: Any) -> Any:
    return trace.item(target, key)


@handles(operator.setitem)
def _setitem(trace: Calls, target: Any, key: Any, value: Any) -> None:
    trace.set_item(target, key, value)


@handles(operator.truth)
def _truth(trace: Calls, value: Any) -> bool:
    return trace.test(value)


@handles(operator.index)
def _index(trace: Calls, value: Any) -> int:
    return operator.index(trace.as_index(trace.concretize(value, "an index")))


@handles(operator.itemgetter)
def _itemgetter(trace: Calls, *keys: Any) -> Any:
    if len(keys) == 1:
        return NativeFunction(lambda target: trace.item(target, keys[0]))
    return NativeFunction(lambda target: tuple(trace.item(target, k) for k in keys))


@handles(operator.attrgetter)
def _attrgetter(trace: Calls, *names: str) -> Any:
    def read(target: Any, name: str) -> Any:
        return functools.reduce(trace.attribute, name.split("."), target)

    if len(names) == 1:
        return NativeFunction(lambda target: read(target, names[0]))
    return NativeFunction(lambda target: tuple(read(target, n) for n in names))


@handles(operator.methodcaller)
def _methodcaller(trace: Calls, name: str, /, *args: Any, **kwargs: Any) -> Any:
    return NativeFunction(lambda target: trace.call(trace.attribute(target, name), *args, **kwargs))


# -- collections


@handles(OrderedDict)
def _orderedmake_dict(trace: Calls, *sources: Any, **entries: Any) -> OrderedDict[Any, Any]:
    return trace.adopt(OrderedDict(make_dict(trace, *sources, **entries)))


@handles(defaultdict)
def _defaultdict(trace: Calls, factory: Any = None, *sources: Any, **entries: Any) -> defaultdict[Any, Any]:
    return trace.adopt(defaultdict(factory, make_dict(trace, *sources, **entries)))


@handles(Counter)
def _counter(trace: Calls, values: Any = (), **entries: Any) -> Counter[Any]:
    counted = make_dict(trace, values) if type(values) in DICTS else [trace.plain_key(x) for x in trace.iterate(values)]
    return trace.adopt(Counter(counted, **entries))


@handles(deque)
def _deque(trace: Calls, values: Any = (), maxlen: Any = None) -> deque[Any]:
    return trace.adopt(deque(trace.iterate(values), trace.concretize(maxlen, "a length")))


# -- itertools


def _itertools(kind: Any) -> Any:
    def argument(trace: Calls, value: Any) -> Any:
        if type(value) in MUTABLE or isinstance(value, (tuple, *VIEWS)) or hasattr(value, "__next__"):
            return trace.iterate(value)
        if callable(value) and not is_plain(value):
            return functools.partial(trace.call, value)
        if trace.defines(type(value), "__iter__"):
            return trace.iterate(value)
        return trace.concretize(value, f"an argument of itertools.{kind.__name__}")

    def handler(trace: Calls, *args: Any, **kwargs: Any) -> Any:
        values = [argument(trace, a) for a in args]
        return trace.adopt(kind(*values, **{k: argument(trace, v) for k, v in kwargs.items()}))

    return handler


for _kind in pure.ITERTOOLS:
    HANDLERS[_kind] = _itertools(_kind)


@handles(itertools.filterfalse)
def _filterfalse(trace: Calls, function: Any, values: Any) -> Iterator[Any]:
    def drop(value: Any) -> bool:
        return trace.test(value if function is None else trace.call(function, value))

    return trace.adopt(x for x in trace.iterate(values) if not drop(x))


@handles(itertools.takewhile)
def _takewhile(trace: Calls, function: Any, values: Any) -> Iterator[Any]:
    return trace.adopt(itertools.takewhile(lambda x: trace.test(trace.call(function, x)), trace.iterate(values)))


@handles(itertools.dropwhile)
def _dropwhile(trace: Calls, function: Any, values: Any) -> Iterator[Any]:
    return trace.adopt(itertools.dropwhile(lambda x: trace.test(trace.call(function, x)), trace.iterate(values)))


@handles(itertools.chain.from_iterable)
def _chain_from_iterable(trace: Calls, values: Any) -> Iterator[Any]:
    return trace.adopt(x for group in trace.iterate(values) for x in trace.iterate(group))


@handles(itertools.count)
def _count(trace: Calls, start: Any = 0, step: Any = 1) -> Iterator[Any]:
    def values() -> Iterator[Any]:
        value = start
        while True:
            yield value
            value = trace.binary("add", value, step)

    return trace.adopt(values())


@handles(itertools.accumulate)
def _accumulate(trace: Calls, values: Any, function: Any = operator.add, *, initial: Any = None) -> Iterator[Any]:
    joined = itertools.accumulate(trace.iterate(values), functools.partial(trace.call, function), initial=initial)
    return trace.adopt(joined)


# -- functools, dataclasses, typing, contextlib


@handles(functools.partial)
def _partial(trace: Calls, function: Any, *args: Any, **kwargs: Any) -> Any:
    return trace.adopt(functools.partial(function, *args, **kwargs))


@handles(functools.reduce)
def _reduce(trace: Calls, function: Any, values: Any, *initial: Any) -> Any:
    return functools.reduce(lambda a, b: trace.call(function, a, b), trace.iterate(values), *initial)


@handles(functools.wraps)
def _wraps(trace: Calls, wrapped: Any, **settings: Any) -> Any:
    return NativeFunction(lambda wrapper: functools.update_wrapper(wrapper, wrapped, **settings))


@handles(dataclasses.replace)
def _replace(trace: Calls, instance: Any, /, **changes: Any) -> Any:
    values = {f.name: changes.pop(f.name, MISSING) for f in dataclasses.fields(instance) if f.init or f.name in changes}
    for name, value in values.items():
        if value is MISSING:
            values[name] = trace.attribute(instance, name)
    return trace.call(type(instance), **values, **changes)


@handles(dataclasses.astuple, dataclasses.asdict)
def _copying(trace: Calls, instance: Any, **settings: Any) -> Any:
    trace.refuse("object", "dataclasses.astuple() and asdict(), which copy whatever they find")


@handles(typing.cast)
def _cast(trace: Calls, kind: Any, value: Any) -> Any:
    return value


@handles(contextlib.nullcontext)
def _nullcontext(trace: Calls, enter_result: Any = None) -> Any:
    return trace.adopt(contextlib.nullcontext(enter_result))


@handles(types.SimpleNamespace)
def _namespace(trace: Calls, **entries: Any) -> Any:
    return trace.adopt(types.SimpleNamespace(**entries))
