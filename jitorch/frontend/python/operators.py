"""Operators, tests, iteration and formatting under the protocol.

Tensors and run-time scalars bring their own operators.  What needs help is what Python would do
unseen: special methods written in Python, and containers whose elements a native operator would
read without a guard.
"""

from __future__ import annotations

import enum
import operator
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jitorch.frontend.python import paths
from jitorch.frontend.python.late_text import Field, LateText, join
from jitorch.frontend.python.lookup import may_change
from jitorch.frontend.python.marks import Unrolled
from jitorch.frontend.python.objects import Objects
from jitorch.frontend.python.paths import OPERATIONS
from jitorch.frontend.python.scalars import RuntimeScalar, apply
from jitorch.frontend.python.values import (
    DICTS,
    LISTS,
    MUTABLE,
    SETS,
    VIEWS,
    class_entry,
    is_iterator,
    is_namedtuple,
    is_plain,
    python_function,
)

_SEQUENCES = (*LISTS, tuple)
_CONTAINERS = (*MUTABLE, tuple)
_REFLECTED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}


class Shown:
    """Stands for an object where C code formats it."""

    def __init__(self, trace: Operators, value: Any):
        self._trace, self._value = trace, value

    def __str__(self) -> str:
        return self._trace.text(self._value)

    def __repr__(self) -> str:
        return self._trace.text(self._value, "__repr__")

    def __format__(self, specification: str) -> str:
        return self._trace.format(self._value, specification)


class Operators(Objects):
    """What the rewritten code asks instead of ``+``, ``<``, ``not``, ``in``, ``for``, f-strings."""

    # -- arithmetic

    def binary(self, name: str, a: Any, b: Any) -> Any:
        """``operator.<name>(a, b)``"""
        if name == "mod" and isinstance(a, (str, bytes)):
            return a % self.shown(b)
        special = name.strip("_")
        result = self._special(f"__{special}__", a, b, f"__r{special}__")
        if result is not NotImplemented:
            return result
        if isinstance(a, _CONTAINERS) or isinstance(b, _CONTAINERS):
            return self._container_binary(name, a, b)
        return self._native_binary(name, a, b)

    def divmod(self, a: Any, b: Any) -> Any:
        """``divmod(a, b)``"""
        result = self._special("__divmod__", a, b, "__rdivmod__")
        if result is not NotImplemented:
            return result
        if any(may_change(type(x)) and not is_plain(x) and not self._is_of_the_program(x) for x in (a, b)):
            return divmod(a, b)  # TypeError, in Python's words
        return self.binary("floordiv", a, b), self.binary("mod", a, b)

    def _native_binary(self, name: str, a: Any, b: Any) -> Any:
        """An operator of numbers, tensors and whatever else C code or the library may see."""
        if self.recorder.is_traced(a) or self.recorder.is_traced(b):
            result = self.recorder.arithmetic(name, a, b)
            if result is not NotImplemented:
                return result
        return self.adopt_array(getattr(operator, name)(*self.pair(a, b)))

    def _special(self, forward: str, a: Any, b: Any, reflected: str) -> Any:
        """Methods written in Python by the user, by Python's rules; NotImplemented if there is none."""
        left, right = self.user_method(a, forward), self.user_method(b, reflected)
        if left is None and right is None:
            return NotImplemented
        attempts: list[Callable[[], Any]] = []
        if left is not None:
            attempts.append(lambda: self.call(left, a, b))
        elif not isinstance(a, _CONTAINERS) and (native := class_entry(type(a), forward)) is not None:
            attempts.append(lambda: native[1](a, b))
        if right is not None and type(a) is not type(b):
            # The operand of a subclass goes first.
            first = issubclass(type(b), type(a))
            attempts.insert(0 if first else len(attempts), lambda: self.call(right, b, a))
        for attempt in attempts:
            result = attempt()
            if result is not NotImplemented:
                return result
        return NotImplemented

    def _container_binary(self, name: str, a: Any, b: Any) -> Any:
        if self.recorder.is_tensor(a) or self.recorder.is_tensor(b):
            return getattr(operator, name)(a, b)
        result = getattr(operator, name)(self._operand(a), self._operand(b))
        return self.adopt(result)

    def _operand(self, value: Any) -> Any:
        if not isinstance(value, _CONTAINERS):
            return self.concretize(value, "a container operator")
        contents = self.contents(value)
        # Reads of a stored deque or set come as lists and sets; the operator wants the kind it has.
        return contents if type(contents) is type(value) else type(value)(contents)

    def inplace(self, name: str, a: Any, b: Any) -> Any:
        """``operator.i<name>(a, b)``: what ``a`` is bound to afterwards."""
        special = name.strip("_")
        method = self.user_method(a, f"__i{special}__")
        if method is not None:
            result = self.call(method, a, b)
            return self.binary(name, a, b) if result is NotImplemented else result
        if type(a) in LISTS and name == "add":
            for value in list(self.iterate(b)):
                self.list_append(a, value)
            return a
        if type(a) in LISTS and name == "mul":
            contents = self.list_contents(a)
            contents *= self.concretize(b, "a repetition")
            return a
        if type(a) in DICTS and name == "or_":
            self.container_method(a, "update", (b,), {})
            return a
        if type(a) in SETS and name in ("or_", "and_", "sub", "xor"):
            contents = self.set_contents(a)
            getattr(operator, f"i{special}")(contents, self.contents(b))
            return a
        if self.recorder.is_tensor(a) or self._is_created_array(a):
            return getattr(operator, f"i{special}")(*self.pair(a, b))
        return self.binary(name, a, b)

    def _is_created_array(self, value: Any) -> bool:
        return isinstance(value, np.ndarray) and self.is_created(value)

    def unary(self, name: str, a: Any) -> Any:
        """``-a``, ``+a``, ``~a``, ``abs(a)`` or ``not a``"""
        if name == "not_":
            if type(a) is RuntimeScalar:
                return apply(OPERATIONS["not_"], a)
            return not self.test(a)
        method = self.user_method(a, f"__{name}__")
        if method is not None:
            return self.call(method, a)
        if self.recorder.is_traced(a):
            result = self.recorder.arithmetic(name, a)
            if result is not NotImplemented:
                return result
        return self.adopt_array(getattr(operator, name)(self.native(a)))

    def native(self, value: Any) -> Any:
        """A value as C code may see it; what C code would read without a guard is refused."""
        if isinstance(value, np.ndarray) and not self.is_created(value):
            self.refuse_changing(
                "numpy", "arithmetic on a NumPy array that existed before the call; make it a tensor outside"
            )
        return value

    def pair(self, a: Any, b: Any) -> tuple[Any, Any]:
        """The operands of an operator, as the library or C code may see them."""
        if type(a) is RuntimeScalar and self._is_of_the_program(b):
            a = self.recorder.number(a)
        elif type(b) is RuntimeScalar and self._is_of_the_program(a):
            b = self.recorder.number(b)
        return self.native(a), self.native(b)

    def _is_of_the_program(self, value: Any) -> bool:
        """Whether ``value`` is a tensor, or a number or size of the traced program."""
        return self.recorder.is_tensor(value) or self.recorder.is_traced(value)

    # -- comparison and tests

    def compare(self, name: str, a: Any, b: Any) -> Any:
        """``a < b``, ``a is b``, ``a in b`` and the others, by their names in `operator`."""
        match name:
            case "is_" | "is_not":
                same = self._identical(a, b)
                if isinstance(same, bool):
                    return same == (name == "is_")
                return same if name == "is_" else self.recorder.negate(same)
            case "in_":
                return self.contains(b, a)
            case "not_in":
                return not self.test(self.contains(b, a))
        result = self._special(f"__{name}__", a, b, f"__{_REFLECTED[name]}__")
        if result is not NotImplemented:
            return result
        if isinstance(a, (*_CONTAINERS, *VIEWS)) and isinstance(b, (*_CONTAINERS, *VIEWS, frozenset)):
            return self._compare_containers(name, a, b)
        return self._native_binary(name, a, b)

    def _identical(self, a: Any, b: Any) -> Any:
        if type(a) is RuntimeScalar or type(b) is RuntimeScalar:
            return a is b
        if a is b:
            return True
        for value, singleton in ((a, b), (b, a)):
            if (singleton is True or singleton is False) and self.python_type(value) is bool:
                known = self.decide(value)
                if isinstance(known, bool):
                    return known is singleton
                return known if singleton else self.recorder.negate(known)
        first, second = self.origin(a), self.origin(b)
        if first is not None and second is not None and type(a) is type(b) and first != second:
            self.guard(first, "distinct", (second,))
        return self.recorder.is_same(a, b)

    def _compare_containers(self, name: str, a: Any, b: Any) -> bool:
        if isinstance(a, _SEQUENCES) and isinstance(b, _SEQUENCES):
            return self._compare_sequences(name, a, b)
        if type(a) in DICTS and type(b) in DICTS and name in ("eq", "ne"):
            x, y = self.contents(a), self.contents(b)
            same = x.keys() == y.keys() and all(self.equal(value, y[key]) for key, value in x.items())
            return same == (name == "eq")
        return getattr(operator, name)(self._operand(a), self._operand(b))

    def _compare_sequences(self, name: str, a: Any, b: Any) -> Any:
        if isinstance(a, tuple) is not isinstance(b, tuple):
            return getattr(operator, name)(type(a)(), type(b)())
        x, y = list(self.contents(a)), list(self.contents(b))
        if name in ("eq", "ne") and len(x) != len(y):
            return name == "ne"
        for left, right in zip(x, y, strict=False):
            if not self.equal(left, right):
                if name in ("eq", "ne"):
                    return name == "ne"
                return self.compare(name, left, right)
        return getattr(operator, name)(len(x), len(y))

    def equal(self, a: Any, b: Any) -> bool:
        """Equality as containers see it: identity first, which only matters for what is not equal to itself."""
        if a is b:
            return True
        for x in (a, b):
            if type(x) is RuntimeScalar and x.python_type is float and not self.test(self.compare("eq", x, x)):
                self.refuse("object", "the identity of a NaN, by which a container is searched")
        return self.test(self.compare("eq", a, b))

    def contains(self, container: Any, value: Any) -> Any:
        """``value in container``"""
        kind = type(container)
        method = self.user_method(container, "__contains__")
        if method is not None:
            return self.test(self.call(method, container, value))
        if kind in MUTABLE or isinstance(container, (tuple, frozenset)):
            return self.container_has(container, value)
        if is_plain(container) or isinstance(container, VIEWS):
            return self.plain_key(value) in container
        if isinstance(container, types.MappingProxyType):
            return self._has_entry(container, self.plain_key(value))
        if self.recorder.is_tensor(container):
            return value in container
        return any(self.equal(element, value) for element in self.iterate(container))

    def _has_entry(self, entries: types.MappingProxyType[Any, Any], key: Any) -> bool:
        """Whether the dictionary of a class has a key."""
        path = self.path_of(entries)
        if path is not None:
            self.guard(path, "has" if key in entries else "lacks", key)
        return key in entries

    def test(self, value: Any) -> bool:
        """The truth of ``value`` as a plain bool; what is known only at run time is refused."""
        if value is True or value is False or value is None:
            return bool(value)
        if type(value) is RuntimeScalar:
            return bool(value.concrete("a test"))
        if self.recorder.is_traced(value) or self.recorder.is_tensor(value):
            return self.recorder.decided(value)
        kind = type(value)
        if kind in MUTABLE or (isinstance(value, tuple) and not self._has_own_truth(value)):
            self.check_whole(value)
            return self.length(value) > 0
        for name in ("__bool__", "__len__"):
            method = self.user_method(value, name)
            if method is not None:
                return bool(self.concretize(self.call(method, value), "a test"))
            if class_entry(kind, name) is not None:
                break
        return bool(self.native(value))

    def _has_own_truth(self, value: Any) -> bool:
        return self.overrides(value, "__bool__") or self.overrides(value, "__len__")

    # -- iteration

    def iterate(self, value: Any) -> Iterator[Any]:
        """``iter(value)``"""
        if type(value) is Unrolled:
            value = value.values
        kind = type(value)
        if kind is deque:
            return self._iterate_sized(value, self._iterate_list(value), "deque mutated")
        if kind in LISTS:
            return self._iterate_list(value)
        if self.overrides(value, "__iter__"):
            return self._iterate_object(value)
        if isinstance(value, tuple):
            return iter(self.contents(value))
        if kind in DICTS:
            return self._iterate_sized(value, iter(self.dict_keys(value)), "dictionary changed size")
        if kind in SETS:
            return self._iterate_sized(value, iter(self.contents(value)), "Set changed size")
        if self.recorder.is_tensor(value) or is_plain(value) or isinstance(value, VIEWS):
            return iter(value)
        if is_iterator(value) and python_function(kind, "__next__") is None:
            self.refuse_stored_iterator(value)
            return value
        return self._iterate_object(value)

    def _iterate_list(self, value: Any) -> Iterator[Any]:
        if self.journal.box(value) is None and not self.is_created(value):
            self.length(value)
        self.check_whole(value)
        index = 0
        # The list may grow or shrink meanwhile.
        while index < (len(value) if self.is_created(value) else self.length(value)):
            yield self.container_item(value, index)
            index += 1

    def _iterate_sized(self, value: Any, elements: Iterator[Any], what: str) -> Iterator[Any]:
        """The elements of a container that has to keep its size meanwhile."""
        size = self.size_now(value)

        def following() -> Iterator[Any]:
            while self.size_now(value) == size:
                try:
                    element = next(elements)
                except StopIteration:
                    return
                yield element
            raise RuntimeError(f"{what} during iteration")

        return following()

    def _iterate_object(self, value: Any) -> Iterator[Any]:
        kind: Any = type(value)
        method = self.user_method(value, "__iter__")
        if method is not None:
            found = self.call(method, value)
            if self.user_method(found, "__next__") is not None:
                return self._iterate_next(found)
            return self.iterate(found) if found is not value else found
        getter = self.user_method(value, "__getitem__")
        if getter is not None:
            return self._iterate_items(value, getter)
        if isinstance(value, enum.EnumMeta):
            return iter(value)
        known = self.recorder.is_internal(kind) or self.is_created(value)
        if hasattr(kind, "__iter__") and not known:
            self.refuse("iterator", f"iteration over a {kind.__name__}")
        return iter(value)  # Python's own error, if it is not iterable

    def _iterate_next(self, iterator: Any) -> Iterator[Any]:
        advance = type(iterator).__next__
        while True:
            try:
                value = self.call(advance, iterator)
            except StopIteration:
                return
            yield value

    def _iterate_items(self, value: Any, getter: Any) -> Iterator[Any]:
        index = 0
        while True:
            try:
                element = self.call(getter, value, index)
            except IndexError:
                return
            yield element
            index += 1

    def unpacked(self, values: Iterator[Any], structure: tuple[Any, ...]) -> Iterator[Any]:
        """The elements, each turned into (nested) tuples for Python to unpack."""
        for value in values:
            yield self._unpack(value, structure)

    def _unpack(self, value: Any, structure: tuple[Any, ...]) -> Any:
        elements = tuple(self.iterate(value))
        if len(elements) != len(structure):
            return elements  # Python's own error
        return tuple(x if s is None else self._unpack(x, s) for x, s in zip(elements, structure, strict=True))

    # -- items

    def slice(self, *bounds: Any) -> slice:
        return slice(*[b if self.recorder.is_computed_size(b) else self.plain_key(self.as_index(b)) for b in bounds])

    def item(self, target: Any, key: Any) -> Any:
        """``target[key]``"""
        if self.recorder.is_tensor(target):
            found = self.recorder.row(target, key)
            if found is not NotImplemented:
                return found
            return target[self.tensor_key(key)]
        kind = type(target)
        if kind in MUTABLE or (isinstance(target, tuple) and not self.overrides(target, "__getitem__")):
            return self.container_item(target, self._key(target, key))
        if isinstance(target, types.MappingProxyType):
            return self._entry(target, self.plain_key(key))
        method = self.user_method(target, "__getitem__")
        if method is not None:
            return self.call(method, target, key)
        if is_plain(target):
            return target[self._key(target, key)]
        if isinstance(target, type):  # list[int], or an enumeration
            if (found := self.lookup(target, "__class_getitem__")) is not None and may_change(found[0]):
                return self.call(self.attribute(target, "__class_getitem__"), key)
            return operator.getitem(target, self.plain_key(key))  # pyright: ignore[reportArgumentType, reportCallIssue]
        if self._is_created_array(target) or self.recorder.is_traced(target) or self.recorder.is_internal(kind):
            return self.adopt_array(target[self.plain_key(key)])
        if not hasattr(kind, "__getitem__"):
            raise TypeError(f"{kind.__name__!r} object is not subscriptable")
        return self.refuse("object", f"an item of a {kind.__name__}")

    def _key(self, target: Any, key: Any) -> Any:
        """A key of a container as plain data; of a sequence it may be an object that is an index."""
        return self.plain_key(key if type(target) in DICTS else self.as_index(key))

    def as_index(self, value: Any) -> Any:
        """``operator.index(value)`` of an object of the user's; anything else itself."""
        method = self.user_method(value, "__index__")
        return value if method is None else self.concretize(self.call(method, value), "an index")

    def _entry(self, entries: types.MappingProxyType[Any, Any], key: Any) -> Any:
        """An item of the dictionary of a class.  KeyError if there is none."""
        path = self.path_of(entries)
        if path is not None and key not in entries:
            self.guard(path, "lacks", key)
        return self.read(path and paths.item(path, key), entries[key])

    def tensor_key(self, key: Any) -> Any:
        """An index of a tensor: tensors stay, the rest becomes plain."""
        if type(key) is tuple:
            return tuple(self.tensor_key(k) for k in key)
        if type(key) in LISTS:
            return [self.tensor_key(k) for k in self.iterate(key)]
        return (
            self.concretize(key, "an index") if type(key) is RuntimeScalar else self.recorder.index(self.as_index(key))
        )

    def set_item(self, target: Any, key: Any, value: Any) -> None:
        """``target[key] = value``"""
        kind = type(target)
        if self.recorder.is_tensor(target):
            value = self.recorder.number(value) if type(value) is RuntimeScalar else value
            if not self.recorder.fill(target, key, value):
                target[self.tensor_key(key)] = value
            return
        if kind in MUTABLE:
            self.container_set_item(target, self._key(target, key), value)
            return
        method = self.user_method(target, "__setitem__")
        if method is not None:
            self.call(method, target, key, value)
            return
        if self._is_created_array(target):
            target[self.plain_key(key)] = self.concretize(value, "an item of a NumPy array")
            return
        if not hasattr(kind, "__setitem__"):
            raise TypeError(f"{kind.__name__!r} object does not support item assignment")
        self.refuse("object", f"a write to an item of a {kind.__name__}")

    def delete_item(self, target: Any, key: Any) -> None:
        """``del target[key]``"""
        if type(target) in MUTABLE:
            self.container_delete_item(target, self._key(target, key))
            return
        method = self.user_method(target, "__delitem__")
        if method is None and not hasattr(type(target), "__delitem__"):
            raise TypeError(f"{type(target).__name__!r} object doesn't support item deletion")
        if method is None:
            self.refuse("object", f"del of an item of a {type(target).__name__}")
        self.call(method, target, key)

    # -- formatting

    def join(self, *texts: Any) -> Any:
        """The parts of an f-string."""
        return join(*texts)

    def _late(self, value: Any, spec: Any, conversion: int) -> LateText | None:
        """The text of what only the program computes, as it is now; None for other values."""
        if type(value) is RuntimeScalar or not (self.recorder.is_tensor(value) or self.recorder.is_traced(value)):
            return None
        return LateText((Field(*self.recorder.snapshot(value), spec, conversion),))

    def formattable(self, value: Any) -> Any:
        """The value as `str` and `format` may see it: everything in it read and concrete."""
        if type(value) is RuntimeScalar or self.recorder.is_tensor(value) or self.recorder.is_traced(value):
            return self.concretize(value, "formatting")
        if type(value) is dict:
            return {self.shown(k): self.shown(v) for k, v in self.contents(value).items()}
        if type(value) in (*LISTS, *SETS, tuple):
            return type(value)(self.shown(x) for x in self.contents(value))
        if is_namedtuple(type(value)):
            return type(value)._make(self.shown(x) for x in self.contents(value))
        if type(value) in MUTABLE:
            self.refuse("object", f"formatting a {type(value).__name__}")
        return value

    def shown(self, value: Any) -> Any:
        """The value as C code may format it: an object of the user's by its methods, under the protocol."""
        value = self.formattable(value)
        return Shown(self, value) if may_change(type(value)) and not is_plain(value) else value

    def text(self, value: Any, conversion: str = "__str__") -> Any:
        """``str(value)`` or ``repr(value)``"""
        late = self._late(value, "", ord("s" if conversion == "__str__" else "r"))
        if late is not None:
            return late
        value = self.formattable(value)
        if isinstance(value, LateText) and conversion == "__str__":
            return value
        method = self.user_method(value, conversion)
        if method is None and conversion == "__str__":
            method = self.user_method(value, "__repr__")
        if method is not None:
            return self.call(method, value)
        known = (*_CONTAINERS, BaseException, type, types.ModuleType)
        if not is_plain(value) and not isinstance(value, known) and not self.recorder.is_constant(value):
            self.refuse("object", f"formatting a {type(value).__name__}")
        return str(value) if conversion == "__str__" else repr(value)

    def format(self, value: Any, spec: Any, conversion: int = -1) -> Any:
        """One replacement field of an f-string."""
        spec = self.formattable(spec)
        late = self._late(value, spec, conversion)
        if late is not None:
            return late
        if isinstance(value, LateText) and conversion in (-1, ord("s")) and not spec:
            return value
        if conversion != -1:
            text = self.text(value, "__str__" if conversion == ord("s") else "__repr__")
            if isinstance(text, LateText) and not spec:
                return text
            if conversion == ord("a"):
                text = text.encode("ascii", "backslashreplace").decode()
            return format(text, spec)
        value = self.formattable(value)
        method = self.user_method(value, "__format__")
        if method is not None:
            return self.call(method, value, spec)
        if is_plain(value) or (spec and class_entry(type(value), "__format__") == class_entry(object, "__format__")):
            return format(value, spec)  # or TypeError, in Python's words: `object` knows no specification
        text = self.text(value)
        return text if isinstance(text, LateText) and not spec else format(text, spec)

    def mapping(self, value: Any) -> dict[Any, Any]:
        """What ``**value`` unpacks."""
        return dict(self.pairs(value))
