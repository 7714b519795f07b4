"""Handlers of Python's built-in functions and classes.

Each says what a call means inside of a trace, where running the C function would read or write
unseen: it would look into containers, call functions, or ask for the truth of a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jitorch.frontend.python import marks, pure
from jitorch.frontend.python.calls import HANDLERS, Calls, handles
from jitorch.frontend.python.journal import MISSING
from jitorch.frontend.python.paths import OPERATIONS
from jitorch.frontend.python.scalars import NUMBERS, RuntimeScalar, apply
from jitorch.frontend.python.values import DICTS, LISTS, MUTABLE, VIEWS, is_plain

# -- numbers


@handles(abs)
def _abs(trace: Calls, value: Any) -> Any:
    return trace.unary("abs", value)


@handles(pow)
def _pow(trace: Calls, base: Any, exponent: Any, modulus: Any = None) -> Any:
    if modulus is None:
        return trace.binary("pow", base, exponent)
    method = trace.user_method(base, "__pow__")
    if method is not None:
        return trace.call(method, base, exponent, modulus)
    return pow(*[trace.concretize(x, "pow() with a modulus") for x in (base, exponent, modulus)])


@handles(divmod)
def _divmod(trace: Calls, a: Any, b: Any) -> Any:
    return trace.divmod(a, b)


@handles(round)
def _round(trace: Calls, value: Any, digits: Any = None) -> Any:
    method = trace.user_method(value, "__round__")
    arguments = () if digits is None else (trace.concretize(digits, "a number of digits"),)
    return trace.call(method, value, *arguments) if method is not None else round(value, *arguments)


def _number(kind: type) -> Any:
    operation = OPERATIONS[kind.__name__]

    def handler(trace: Calls, value: Any = MISSING, *rest: Any, **keywords: Any) -> Any:
        if value is MISSING:
            return kind()
        if type(value) is RuntimeScalar and not rest and not keywords:
            return value if value.python_type is kind else apply(operation, value)
        if trace.recorder.is_tensor(value) or trace.recorder.is_traced(value):
            return trace.recorder.convert(value, kind)
        for name in (f"__{kind.__name__}__", "__index__"):
            method = trace.user_method(value, name)
            if method is not None:
                return kind(trace.concretize(trace.call(method, value), f"{kind.__name__}()"))
        constants = [trace.constant(x, kind) for x in (value, *rest)]
        return kind(*constants, **trace.constant_keywords(keywords, kind))

    return handler


HANDLERS[int] = _number(int)
HANDLERS[float] = _number(float)


@handles(bool)
def _bool(trace: Calls, value: Any = False) -> Any:
    if type(value) is RuntimeScalar:
        return value if value.python_type is bool else apply(OPERATIONS["bool"], value)
    return trace.decide(value)


def _extreme(name: str, pick: Any) -> Any:
    better = "gt" if name == "max" else "lt"

    def handler(trace: Calls, *values: Any, key: Any = None, default: Any = MISSING) -> Any:
        candidates = list(trace.iterate(values[0])) if len(values) == 1 else list(values)
        if not candidates:
            return pick((), **({} if default is MISSING else {"default": default}))
        scalar = any(type(x) is RuntimeScalar for x in candidates)
        if scalar and key is None and all(type(x) is RuntimeScalar or type(x) in NUMBERS for x in candidates):
            return apply(OPERATIONS[name], *candidates) if len(candidates) > 1 else candidates[0]
        keys = candidates if key is None else [trace.call(key, x) for x in candidates]
        best = keys[0], candidates[0]
        for key_of_next, candidate in zip(keys[1:], candidates[1:], strict=True):
            other = key_of_next, candidate
            best = trace.ternary(trace.compare(better, other[0], best[0]), *_constantly(other, best))
        return best[1]

    return handler


def _constantly(*values: Any) -> list[Any]:
    return [lambda value=value: value for value in values]


HANDLERS[max] = _extreme("max", max)
HANDLERS[min] = _extreme("min", min)


@handles(sum)
def _sum(trace: Calls, values: Any, start: Any = 0) -> Any:
    for value in trace.iterate(values):
        start = trace.binary("add", start, value)
    return start


@handles(any)
def _any(trace: Calls, values: Any) -> Any:
    return _join_truths(trace, "or", trace.iterate(values))


@handles(all)
def _all(trace: Calls, values: Any) -> Any:
    return _join_truths(trace, "and", trace.iterate(values))


def _join_truths(trace: Calls, name: str, values: Iterator[Any]) -> Any:
    """``a and b and ...``, or the same with ``or``, of values that are asked for only until one decides."""
    for value in values:
        known = trace.decide(value)
        if not isinstance(known, bool):
            return trace.joined_truth(name, known, lambda: _join_truths(trace, name, values))
        if known == (name == "or"):
            return known
    return name == "and"


# -- objects and types


@handles(type)
def _type(trace: Calls, value: Any, *rest: Any) -> type:
    if rest:
        trace.refuse("object", "type() that makes a class")
    return trace.python_type(value)


@handles(id)
def _id(trace: Calls, value: Any) -> int:
    return trace.identity(value)


@handles(isinstance)
def _isinstance(trace: Calls, value: Any, kinds: Any) -> bool:
    return trace.is_instance(value, trace.contents(kinds))


@handles(issubclass)
def _issubclass(trace: Calls, kind: Any, kinds: Any) -> bool:
    return trace.is_subclass(kind, trace.contents(kinds))


@handles(callable)
def _callable(trace: Calls, value: Any) -> bool:
    trace.defines(type(value), "__call__")
    return callable(value)


@handles(getattr)
def _getattr(trace: Calls, target: Any, name: Any, *default: Any) -> Any:
    try:
        return trace.attribute(target, trace.formattable(name))
    except AttributeError:
        if not default:
            raise
        return default[0]


@handles(hasattr)
def _hasattr(trace: Calls, target: Any, name: Any) -> bool:
    return trace.has_attribute(target, trace.formattable(name))


@handles(setattr)
def _setattr(trace: Calls, target: Any, name: Any, value: Any) -> None:
    trace.set_attribute(target, trace.formattable(name), value)


@handles(delattr)
def _delattr(trace: Calls, target: Any, name: Any) -> None:
    trace.delete_attribute(target, trace.formattable(name))


@handles(object.__setattr__)
def _store_attribute(trace: Calls, target: Any, name: Any, value: Any) -> None:
    trace.store_attribute(target, trace.formattable(name), value)


@handles(object.__new__)
def _new(trace: Calls, kind: Any, *args: Any, **kwargs: Any) -> Any:
    return trace.adopt(object.__new__(kind))


@handles(object)
def _object(trace: Calls) -> Any:
    return trace.adopt(object())


@handles(vars)
def _vars(trace: Calls, target: Any) -> Any:
    return trace.attribute(target, "__dict__")


@handles(super)
def _super(trace: Calls, kind: Any, instance: Any) -> Any:
    return super(kind, instance)


@handles(hash)
def _hash(trace: Calls, value: Any) -> int:
    value = trace.plain_key(value)
    if not is_plain(value):
        trace.refuse("effect", pure.EFFECTS["hash"])
    return hash(value)


@handles(str)
def _str(trace: Calls, value: Any = "", *rest: Any) -> str:
    return str(trace.constant(value, str), *rest) if rest else trace.text(value)


@handles(repr)
def _repr(trace: Calls, value: Any) -> str:
    return trace.text(value, "__repr__")


@handles(format)
def _format(trace: Calls, value: Any, spec: Any = "") -> str:
    return trace.format(value, spec)


@handles(len)
def _len(trace: Calls, value: Any) -> Any:
    if type(value) in MUTABLE or (isinstance(value, tuple) and not trace.overrides(value, "__len__")):
        return trace.length(value)
    if trace.recorder.is_tensor(value):
        return trace.recorder.length(value)
    method = trace.user_method(value, "__len__")
    return trace.call(method, value) if method is not None else len(trace.native(value))


# -- containers


@handles(list)
def _list(trace: Calls, values: Any = ()) -> list[Any]:
    return trace.adopt(list(trace.iterate(values)))


@handles(tuple)
def _tuple(trace: Calls, values: Any = ()) -> tuple[Any, ...]:
    return tuple(trace.iterate(values))


@handles(tuple.__new__)
def _new_tuple(trace: Calls, kind: Any, values: Any = ()) -> tuple[Any, ...]:
    return tuple.__new__(kind, trace.iterate(values))


@handles(set)
def _set(trace: Calls, values: Any = ()) -> set[Any]:
    return trace.adopt({trace.plain_key(x) for x in trace.iterate(values)})


@handles(frozenset)
def _frozenset(trace: Calls, values: Any = ()) -> frozenset[Any]:
    return frozenset(trace.plain_key(x) for x in trace.iterate(values))


@handles(dict)
def make_dict(trace: Calls, *sources: Any, **entries: Any) -> dict[Any, Any]:
    """``dict(*sources, **entries)``"""
    result = trace.adopt({})
    for source in sources:
        result.update((trace.plain_key(k), v) for k, v in trace.pairs(source))
    result.update(entries)
    return result


@handles(dict.fromkeys)
def _fromkeys(trace: Calls, keys: Any, value: Any = None) -> dict[Any, Any]:
    return trace.adopt(dict.fromkeys([trace.plain_key(k) for k in trace.iterate(keys)], value))


@handles(slice)
def _slice(trace: Calls, *bounds: Any) -> slice:
    return trace.slice(*((None, bounds[0]) if len(bounds) == 1 else bounds))


@handles(range)
def _range(trace: Calls, *bounds: Any) -> Any:
    if any(trace.recorder.is_traced(b) for b in bounds):
        found = trace.recorder.range([b.concrete("a bound") if type(b) is RuntimeScalar else b for b in bounds])
        if found is not NotImplemented:
            return found
    return range(*[trace.as_index(trace.concretize(b, "the length of a loop")) for b in bounds])


@handles(sorted)
def _sorted(trace: Calls, values: Any, key: Any = None, reverse: Any = False) -> list[Any]:
    return trace.adopt(trace.sorted(list(trace.iterate(values)), key=key, reverse=reverse))


# -- iteration


@handles(marks.unroll)
def _unroll(trace: Calls, values: Any) -> marks.Unrolled:
    return trace.adopt(marks.Unrolled(values))


@handles(iter)
def _iter(trace: Calls, value: Any, *sentinel: Any) -> Iterator[Any]:
    if sentinel:
        trace.refuse("iterator", "iter() with a sentinel")
    return trace.adopt(trace.iterate(value))


@handles(next)
def _next(trace: Calls, iterator: Any, *default: Any) -> Any:
    method = trace.user_method(iterator, "__next__")
    if method is None:
        trace.refuse_stored_iterator(iterator)
        return next(iterator, *default)
    try:
        return trace.call(method, iterator)
    except StopIteration:
        if not default:
            raise
        return default[0]


@handles(enumerate)
def _enumerate(trace: Calls, values: Any, start: Any = 0) -> Any:
    return trace.adopt(enumerate(trace.iterate(values), trace.concretize(start, "a count")))


@handles(zip)
def _zip(trace: Calls, *values: Any, strict: Any = False) -> Any:
    return trace.adopt(zip(*[trace.iterate(v) for v in values], strict=strict))


@handles(map)
def _map(trace: Calls, function: Any, *values: Any) -> Iterator[Any]:
    columns = zip(*[trace.iterate(v) for v in values], strict=False)
    return trace.adopt(trace.call(function, *row) for row in columns)


@handles(filter)
def _filter(trace: Calls, function: Any, values: Any) -> Iterator[Any]:
    def keep(value: Any) -> bool:
        return trace.test(value if function is None else trace.call(function, value))

    return trace.adopt(x for x in trace.iterate(values) if keep(x))


@handles(reversed)
def _reversed(trace: Calls, values: Any) -> Iterator[Any]:
    method = trace.user_method(values, "__reversed__")
    if method is not None:
        return trace.call(method, values)
    if type(values) in LISTS or isinstance(values, (tuple, *VIEWS)):
        return trace.adopt(reversed(list(trace.iterate(values))))
    if type(values) in DICTS:
        return trace.adopt(reversed(trace.dict_keys(values)))
    if isinstance(values, range | str):
        return trace.adopt(reversed(values))
    length = _len(trace, values)
    return trace.adopt(trace.item(values, i) for i in range(length - 1, -1, -1))
