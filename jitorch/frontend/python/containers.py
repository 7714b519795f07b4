"""Lists, dicts, sets and deques under the protocol: guarded reads, journaled writes.

A container that this trace made is used as it is.  Of a stored one, an item read guards that item,
a walk over it guards its length or keys, and a write goes to its box in the journal.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict, deque
from typing import Any

from jitorch.frontend.python import paths
from jitorch.frontend.python.journal import MISSING, DictBox, ListBox, SetBox
from jitorch.frontend.python.lookup import Lookup, may_change
from jitorch.frontend.python.paths import Path
from jitorch.frontend.python.scalars import RuntimeScalar
from jitorch.frontend.python.stretch import Stretch, stretches
from jitorch.frontend.python.values import DICTS, LISTS, MUTABLE, is_plain

_LIST_WRITES = frozenset("insert pop clear reverse appendleft popleft extendleft rotate".split())
_SET_WRITES = frozenset(
    "add discard remove pop clear update difference_update intersection_update symmetric_difference_update".split()
)
_TAKES_ITERABLES = frozenset(
    "extend extendleft update difference_update intersection_update symmetric_difference_update union difference "
    "intersection symmetric_difference issubset issuperset isdisjoint".split()
)
_MOST_SORTED = 16
_SEQUENCES = (*LISTS, tuple)


class Containers(Lookup):
    """Item reads and writes, whole reads, and the methods of the built-in containers."""

    def plain_key(self, key: Any) -> Any:
        """A key or index as plain data: run-time scalars in it become constants."""
        if type(key) is tuple:
            return tuple(self.plain_key(k) for k in key)
        if type(key) is slice:
            return slice(*[self.plain_key(k) for k in (key.start, key.stop, key.step)])
        if type(key) is RuntimeScalar or (self.recorder.is_traced(key) and not self.recorder.is_tensor(key)):
            return self.concretize(key, "a key")
        if may_change(type(key)) and not self.recorder.is_tensor(key):
            # What C code asks of a key is asked here as well, for the guards.
            self.user_method(key, "__eq__")
            method = self.user_method(key, "__hash__")
            if method is not None:
                self.call(method, key)
        return key

    def key_in_path(self, key: Any) -> Any:
        """How a path or guard names a key: plain data as itself, an object by where it is found."""
        if is_plain(key):
            return key
        return self.path_of(key) or paths.const(key)

    # -- whole reads

    def contents(self, container: Any) -> Any:
        """The container as it is now for the trace, with all elements read.  Not to be changed."""
        self.check_whole(container)
        if isinstance(container, tuple):
            return self._read_tuple(container)
        if type(container) not in MUTABLE or self.is_created(container):
            return container
        box = self.journal.box(container)
        if type(container) in DICTS:
            return self._read_dict(container, box)
        if type(container) in LISTS:
            return self._read_list(container, box)
        if isinstance(box, SetBox):
            return box.contents
        self.guard(self._stored(container), "keys", tuple(container))
        return container

    def _stored(self, container: Any) -> Path:
        path = self.path_of(container)
        assert path is not None, "a container made by the trace has no path"
        return path

    def _read_tuple(self, container: tuple[Any, ...]) -> tuple[Any, ...]:
        path = self.origin(container)
        if path is None or path.is_constant:
            return container
        if any(self.overrides(container, name) for name in ("__iter__", "__len__", "__getitem__")):
            self.refuse("iterator", f"iteration over a {type(container).__name__}")
        self.guard(path, "len", len(container))
        return tuple(self.read(paths.item(path, i), x) for i, x in enumerate(container))

    def _read_list(self, container: Any, box: Any) -> Any:
        if isinstance(box, ListBox) and box.contents is not None:
            return box.contents
        path = self._stored(container)
        self.guard(path, "len", len(container))
        elements = [self.read(paths.item(path, i), x) for i, x in enumerate(container)]
        return elements + (box.appended if isinstance(box, ListBox) else [])

    def _read_dict(self, container: Any, box: Any) -> dict[Any, Any]:
        keys = self.dict_keys(container)
        return {key: self.dict_get(container, key) for key in keys}

    def dict_keys(self, container: Any) -> list[Any]:
        """The keys, in order, guarded."""
        if self.is_created(container):
            return list(container)
        self.guard(self._stored(container), "keys", tuple(container))
        box = self.journal.box(container)
        return box.order() if isinstance(box, DictBox) else list(container)

    def length(self, container: Any) -> Any:
        """How many elements; a number of the program where a loop appends, or appended, some of them."""
        if self.growing and (turns := self.growing.get(id(container))) is not None:
            return self.binary("add", turns[0], self._counted(self.held(container)))
        if self.has_stretches and type(container) in LISTS and self.is_created(container):
            return self._counted(container)
        return self._plain_length(container)

    def _counted(self, elements: Any) -> Any:
        count: Any = sum(type(x) is not Stretch for x in elements)
        for x in elements:
            if type(x) is Stretch:
                count = self.binary("add", x.length, count)
        return count

    def _plain_length(self, container: Any) -> int:
        self.check_whole(container)
        if isinstance(container, tuple):
            path = self.origin(container)
            if path is not None and not path.is_constant:
                self.guard(path, "len", len(container))
            return len(container)
        if self.is_created(container):
            return len(container)
        box = self.journal.box(container)
        if box is not None:
            return len(self.contents(container))
        self.guard(self._stored(container), "len", len(container))
        return len(container)

    def size_now(self, container: Any) -> int:
        """The length of a container of which all keys or elements were read: no guard."""
        box = None if self.is_created(container) else self.journal.box(container)
        match box:
            case DictBox():
                return len(box.order())
            case ListBox(contents=None):
                return len(container) + len(box.appended)
            case None:
                return len(container)
        return len(box.contents)

    # -- dicts

    def dict_get(self, container: Any, key: Any) -> Any:
        """The value under ``key``, or MISSING; either way guarded."""
        if self.is_created(container):
            return dict.get(container, key, MISSING)
        box = self.journal.box(container)
        if isinstance(box, DictBox) and not box.from_base(key):
            return box.written.get(key, MISSING)
        path = self._stored(container)
        name = self.key_in_path(key)
        if key in container:
            if isinstance(container, defaultdict):
                self.guard(path, "has", name)  # before anything asks for the item, which would make one
            return self.read(paths.item(path, name), container[key])
        self.guard(path, "lacks", name)
        return MISSING

    def dict_has(self, container: Any, key: Any) -> bool:
        if self.is_created(container):
            return key in container
        box = self.journal.box(container)
        if isinstance(box, DictBox) and not box.from_base(key):
            return key in box.written
        present = key in container
        self.guard(self._stored(container), "has" if present else "lacks", self.key_in_path(key))
        return present

    def dict_set(self, container: Any, key: Any, value: Any) -> None:
        if self.is_created(container):
            container[key] = value
            return
        self._stored(container)
        self.journal.dict_box(container).set(key, value)

    def dict_delete(self, container: Any, key: Any) -> None:
        """Raises KeyError if the key is not there."""
        if not self.dict_has(container, key):
            raise KeyError(key)
        if self.is_created(container):
            del container[key]
            return
        self.journal.dict_box(container).delete(key)

    # -- lists and sets

    def list_contents(self, container: Any) -> Any:
        """The list that writes may go to."""
        self.check_whole(container)
        if self.is_created(container):
            return container
        self._stored(container)
        box = self.journal.list_box(container)
        if box.contents is None:
            elements = self._read_list(container, box)
            box.contents = deque(elements, container.maxlen) if isinstance(container, deque) else elements
        return box.contents

    def list_append(self, container: Any, value: Any) -> None:
        """Adding at the end needs no read, so a growing list does not make the trace depend on its length."""
        if self.is_created(container):
            container.append(value)
            return
        if isinstance(container, deque) and container.maxlen is not None:
            self.list_contents(container).append(value)
            return
        self._stored(container)
        box = self.journal.list_box(container)
        (box.appended if box.contents is None else box.contents).append(value)

    def set_contents(self, container: set[Any]) -> set[Any]:
        if self.is_created(container):
            return container
        box = self.journal.box(container)
        if box is None:
            box = self.journal.boxes[id(container)] = SetBox(container, set(self.contents(container)))
        assert isinstance(box, SetBox)
        return box.contents

    # -- items

    def container_item(self, container: Any, key: Any) -> Any:
        """``container[key]`` of a list, tuple, dict or deque; ``key`` is plain."""
        if self.has_stretches and key == -1 and type(container) in LISTS and not self.growing:
            last = [*self.held(container)][-1:]
            if stretches(last):
                return self.recorder.stager.last(last[0])
        self.check_whole(container)
        if type(container) in DICTS:
            value = self.dict_get(container, key)
            return self._missing_item(container, key) if value is MISSING else value
        if isinstance(container, tuple):
            path = self.origin(container)
            if path is None or path.is_constant:
                return container[key]
            if isinstance(key, slice):
                return self.contents(container)[key]
            return self.read(paths.item(path, key), container[key])
        if self.is_created(container):
            value = container[key]
            return self.adopt(value) if isinstance(key, slice) else value
        if isinstance(key, slice) or self.journal.box(container) is not None:
            value = self.contents(container)[key]
            return self.adopt(value) if isinstance(key, slice) else value
        return self.read(paths.item(self._stored(container), key), container[key])

    def _missing_item(self, container: Any, key: Any) -> Any:
        if isinstance(container, Counter):
            return 0
        if isinstance(container, defaultdict) and container.default_factory is not None:
            value = self.call(container.default_factory)
            self.dict_set(container, key, value)
            return value
        raise KeyError(key)

    def container_set_item(self, container: Any, key: Any, value: Any) -> None:
        if type(container) in DICTS:
            self.dict_set(container, key, value)
            return
        if isinstance(key, slice):
            value = list(self.iterate(value))
        self.list_contents(container)[key] = value

    def container_delete_item(self, container: Any, key: Any) -> None:
        if type(container) in DICTS:
            self.dict_delete(container, key)
        else:
            del self.list_contents(container)[key]

    def container_has(self, container: Any, value: Any) -> bool:
        """``value in container``: identity first, then equality, as Python does."""
        if type(container) in DICTS:
            return self.dict_has(container, self.plain_key(value))
        elements = self.contents(container)
        if isinstance(elements, (set, frozenset)):
            return self.plain_key(value) in elements
        return any(self.equal(element, value) for element in elements)

    # -- methods

    def container_method(self, container: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method of a built-in container."""
        if name == "__getitem__":
            return self.container_item(container, self.plain_key(*args))
        if name == "__setitem__":
            return self.container_set_item(container, self.plain_key(args[0]), args[1])
        if name == "__delitem__":
            return self.container_delete_item(container, self.plain_key(*args))
        if name == "__contains__":
            return self.container_has(container, *args)
        if name == "__len__":
            return self.length(container)
        if name == "__iter__":
            return self.iterate(container)
        if name in _TAKES_ITERABLES and type(container) not in DICTS:
            args = tuple(list(self.iterate(a)) for a in args)
        if type(container) in DICTS:
            return self._dict_method(container, name, args, kwargs)
        if type(container) in LISTS:
            return self._list_method(container, name, args, kwargs)
        if isinstance(container, set):
            target = self.set_contents(container) if name in _SET_WRITES else self.contents(container)
            result = getattr(target, name)(*[self.plain_key(a) for a in args], **kwargs)
            return self.adopt_result(result)
        if name in ("index", "count"):
            return self._search(container, name, args)
        return getattr(self.contents(container), name)(*args, **kwargs)

    def _list_method(self, container: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name == "append":
            return self.list_append(container, *args)
        if name == "extend":
            for value in args[0]:
                self.list_append(container, value)
            return None
        if name == "sort":
            target = self.list_contents(container)
            target[:] = self.sorted(list(target), **kwargs)
            return None
        if name in ("index", "count"):
            return self._search(container, name, args)
        if name == "remove":
            target = self.list_contents(container)
            del target[self._search(container, "index", args)]
            return None
        target = self.list_contents(container) if name in _LIST_WRITES else self.contents(container)
        result = getattr(target, name)(*[self.concretize(a, name) if i == 0 and name in ("pop", "insert") else a
                                         for i, a in enumerate(args)], **kwargs)  # fmt: skip
        return self.adopt_result(result) if name in ("copy", "__reversed__") else result

    def _search(self, container: Any, name: str, args: tuple[Any, ...]) -> int:
        value, *bounds = args
        if bounds:
            self.refuse("object", f"{name}() with bounds")
        elements = enumerate(self.contents(container))
        matches = (i for i, x in elements if self.equal(x, value))
        if name == "count":
            return sum(1 for _ in matches)
        position = next(matches, None)
        if position is None:
            raise ValueError(f"{value!r} is not in {type(container).__name__}")
        return position

    def _dict_method(self, container: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        match name:
            case "get" | "pop" | "setdefault":
                return self._dict_access(container, name, *args)
            case "keys":
                keys = self.dict_keys(container)
                return self.adopt(container.keys() if self.is_created(container) else dict.fromkeys(keys).keys())
            case "values" | "items" | "copy":
                result = getattr(self.contents(container), name)()
                return self.adopt(result)
            case "update":
                for source in (*args, kwargs):
                    for key, value in self.pairs(source):
                        self.dict_set(container, self.plain_key(key), value)
                return None
            case "clear":
                for key in self.dict_keys(container):
                    self.dict_delete(container, key)
                return None
            case "popitem":
                keys = self.dict_keys(container)
                if not keys:
                    raise KeyError("popitem(): dictionary is empty")
                key = keys[-1 if kwargs.get("last", True) and (not args or args[0]) else 0]
                value = self.dict_get(container, key)
                self.dict_delete(container, key)
                return key, value
        return self.refuse("object", f"{type(container).__name__}.{name}")

    def _dict_access(self, container: Any, name: str, key: Any, *default: Any) -> Any:
        key = self.plain_key(key)
        value = self.dict_get(container, key)
        if value is not MISSING:
            if name == "pop":
                self.dict_delete(container, key)
            return value
        if name == "pop" and not default:
            raise KeyError(key)
        result = default[0] if default else None
        if name == "setdefault":
            self.dict_set(container, key, result)
        return result

    def pairs(self, source: Any) -> list[tuple[Any, Any]]:
        """What `dict` makes of a mapping or of an iterable of pairs."""
        if type(source) in DICTS:
            return list(self.contents(source).items())
        if self.defines(type(source), "keys"):
            names = list(self.iterate(self.call(self.attribute(source, "keys"))))
            return [(name, self.item(source, name)) for name in names]
        result = []
        for pair in self.iterate(source):
            key, value = self.iterate(pair)
            result.append((key, value))
        return result

    def sorted(self, values: list[Any], key: Any = None, reverse: Any = False) -> list[Any]:
        """`sorted` of a list; the order of run-time scalars is guarded, that of what the program computes staged."""
        keys = values if key is None else [self.call(key, value) for value in values]
        reverse = self.test(reverse)
        if any(self.recorder.is_tensor(k) or self.recorder.is_traced(k) for k in keys):
            return self._sort_staged(list(zip(keys, values, strict=True)), "gt" if reverse else "lt")
        if any(map(self._has_own_order, keys)):

            def compared(i: int, j: int) -> int:
                return -1 if self.test(self.compare("lt", keys[i], keys[j])) else 0

            ask = functools.cmp_to_key(compared)
        else:
            ask = [self.plain_key(k) for k in keys].__getitem__
        order = sorted(range(len(values)), key=ask, reverse=reverse)
        return [values[i] for i in order]

    def _has_own_order(self, key: Any) -> bool:
        """Whether comparing keys like this one runs code of the user's."""
        return may_change(type(key)) or (isinstance(key, _SEQUENCES) and any(map(self._has_own_order, key)))

    def _sort_staged(self, pairs: list[tuple[Any, Any]], before: str) -> list[Any]:
        """The values in the order of their keys: neighbours are exchanged in the program, so equal ones stay."""
        if len(pairs) > _MOST_SORTED:
            self.refuse("data", f"sorting of more than {_MOST_SORTED} values of tensors")
        for end in range(len(pairs) - 1, 0, -1):
            for i in range(end):
                a, b = pairs[i], pairs[i + 1]
                exchanged = self.compare(before, b[0], a[0])
                pairs[i], pairs[i + 1] = self.ternary(exchanged, lambda a=a, b=b: (b, a), lambda a=a, b=b: (a, b))
        return [value for _, value in pairs]
