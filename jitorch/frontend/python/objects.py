"""Attributes under the protocol: the lookup rules of Python, each step guarded.

Python's order is: a data descriptor of the class, the instance dictionary, any other entry of the
class, ``__getattr__``.  A stored object's instance dictionary is guarded entry by entry; that an
entry of the class is not shadowed by one of the instance is guarded, too, and so is all that a
class does not have (`lookup`).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
from collections.abc import Callable
from typing import Any, TypeVar

from jitorch.frontend.python import paths
from jitorch.frontend.python.containers import Containers
from jitorch.frontend.python.guards import FunctionKey
from jitorch.frontend.python.journal import MISSING, DictBox
from jitorch.frontend.python.lookup import may_change, own_entries
from jitorch.frontend.python.scalars import NUMBERS
from jitorch.frontend.python.values import MUTABLE, is_plain

_Getter = TypeVar("_Getter", bound=Callable[..., Any])
_pure_getters: dict[Any, tuple[str, ...]] = {}

_SLOT = types.MemberDescriptorType
# Entries of a class that C code made: they belong to it for good.
_NATIVE_DESCRIPTORS = (
    types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType,
    types.MethodDescriptorType, types.ClassMethodDescriptorType,
)  # fmt: skip
_FACTS_OF_CLASSES = frozenset("__mro__ __bases__ __name__ __qualname__ __module__ __doc__".split())


def pure_getattr(*dictionaries: str) -> Callable[[_Getter], _Getter]:
    """Decorate a ``__getattr__`` that only looks the name up in these dictionaries of the object, in order.

    The trace then reads the entry itself, ``object._parameters["weight"]``, instead of tracing the
    method.  The class must keep such a name in one place: in one dictionary, and not in the
    instance's own.
    """

    def register(getter: _Getter) -> _Getter:
        _pure_getters[getter] = dictionaries
        return getter

    return register


class Objects(Containers):
    """Attribute reads, writes and deletions."""

    def attribute(self, target: Any, name: str) -> Any:
        """``target.name``"""
        kind = type(target)
        python_type = self.python_type(target)
        if python_type is not kind and python_type in NUMBERS:
            return self._number_attribute(target, python_type, name)
        if self.recorder.is_tensor(target):
            return self._tensor_attribute(target, name)
        if self.recorder.is_traced(target) or self.recorder.is_constant(target):
            return getattr(target, name)
        if is_plain(target):
            return self._plain_attribute(target, name)
        if kind in MUTABLE or kind is tuple or kind is types.GeneratorType:
            return getattr(target, name)
        if isinstance(target, BaseException) and not may_change(kind):
            return getattr(target, name)
        if kind is super:
            return self._super_attribute(target, name)
        if isinstance(target, types.ModuleType):
            return self._module_attribute(target, name)
        if isinstance(target, type):
            return self._class_attribute(target, name)
        return self._instance_attribute(target, name)

    def _number_attribute(self, target: Any, kind: type, name: str) -> Any:
        """An attribute of what stands for a number: what plain numbers have."""
        if name == "__class__":
            return kind
        if not hasattr(kind, name):
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}", name=name, obj=target)
        return getattr(self.concretize(target, f"its attribute {name}"), name)

    def _plain_attribute(self, target: Any, name: str) -> Any:
        """An attribute of a constant, which may be of a class of the user's: an enumeration's."""
        found = self.lookup(type(target), name)
        if found is not None and may_change(found[0]):
            if isinstance(found[1], property):
                return self._data_descriptor(target, name, found[1])
            if isinstance(found[1], (types.FunctionType, staticmethod, classmethod)):
                return self._bind(target, name, found[1])
        if isinstance(target, enum.Enum) and name in vars(target) and not name.startswith("_"):
            return self.read(paths.attr(paths.const(target), name), getattr(target, name))
        return getattr(target, name)

    def _tensor_attribute(self, target: Any, name: str) -> Any:
        """An attribute of a tensor, which may be of a class of the user's."""
        entry = self.lookup(type(target), name)
        if entry is not None and not self.recorder.is_internal(entry[0]):
            if self.is_data_descriptor(entry[1]):
                return self._data_descriptor(target, name, entry[1])
            if self._own_entry(target, name) is MISSING:
                return self._bind(target, name, entry[1])
        try:
            return self.recorder.tensor_attribute(target, name)
        except AttributeError:
            path = self.origin(target)
            if path is not None:
                self.guard(path, "noattr", name)
            raise

    def has_attribute(self, target: Any, name: str) -> bool:
        """``hasattr(target, name)``; absence is guarded as well."""
        try:
            self.attribute(target, name)
        except AttributeError:
            return False
        return True

    def _module_attribute(self, module: types.ModuleType, name: str) -> Any:
        namespace = vars(module)
        box = self.journal.box(namespace)
        if isinstance(box, DictBox) and not box.from_base(name):
            return self.dict_get(namespace, name)
        path = self.path_of(module)
        if name not in namespace:
            if path is not None and "__getattr__" not in namespace:
                for absent in (name, "__getattr__"):
                    self.guard(paths.attr(path, "__dict__"), "lacks", absent)
            value = getattr(module, name)  # a module's own __getattr__: lazy submodules
            return self.read(path and paths.attr(path, name), value)
        return self.read(path and paths.attr(path, name), namespace[name])

    def _class_attribute(self, kind: type, name: str) -> Any:
        if name in _FACTS_OF_CLASSES:
            value = getattr(kind, name)
            return self.read(paths.attr(paths.const(kind), name), value) if may_change(kind) else value
        if name == "__dict__":
            entries = kind.__dict__
            self.remember(entries, own_entries(kind))
            return entries
        entry = self.lookup(kind, name)
        return self._metaclass_value(kind, name) if entry is None else self._class_value(kind, name, entry[1])

    def _metaclass_value(self, kind: type, name: str) -> Any:
        """An attribute of a class that neither it nor its bases define."""
        found = self.lookup(type(kind), name)
        if found is None:
            getter = self.special(type(kind), "__getattr__")
            return getattr(kind, name) if getter is None else self.call(getter, kind, name)
        if not may_change(found[0]):
            return getattr(kind, name)
        if isinstance(found[1], property):
            return self._data_descriptor(kind, name, found[1])
        if isinstance(found[1], types.FunctionType):
            return self._bind(kind, name, found[1])
        return self.read(paths.attr(paths.const(kind), name), getattr(kind, name))

    def _class_value(self, kind: type, name: str, value: Any) -> Any:
        """An entry of a class, as ``kind.name`` gives it, guarded."""
        path = paths.attr(paths.const(kind), name)
        inner = self.recorder.unwrap(value)
        if inner is not value:  # a jitted method
            self.guard(path, "is", value)
            return inner
        if isinstance(value, staticmethod):
            return self.read(path, value.__func__)
        if isinstance(value, classmethod):
            function = value.__func__
            if isinstance(function, types.FunctionType):
                self.guard(paths.attr(path, "__func__"), "func", FunctionKey.of(function))
            return types.MethodType(function, kind)
        if isinstance(value, _NATIVE_DESCRIPTORS):
            return getattr(kind, name)
        if isinstance(value, (types.FunctionType, property)):
            return self.read(path, value)
        getter = self._getter(kind, name, value)
        if getter is not None:
            return self.call(getter, value, None, kind)
        return getattr(kind, name) if hasattr(type(value), "__get__") else self.read(path, value)

    def _getter(self, kind: type, name: str, entry: Any) -> types.FunctionType | None:
        """The ``__get__`` of an entry of ``kind`` that is a descriptor of the user's."""
        getter = self.special(type(entry), "__get__")
        if getter is None or self.recorder.is_internal(kind):
            return None
        self.descriptor(kind, name, entry)
        return getter

    def _super_attribute(self, target: Any, name: str) -> Any:
        instance = target.__self__
        kind = target.__self_class__
        found = self.lookup(kind, name, behind=target.__thisclass__)
        if found is None:
            return getattr(target, name)
        owner, value = found
        if isinstance(value, (types.FunctionType, classmethod)):
            self._class_value(owner, name, value)
            # `instance` may be a class: super() in a class method or in __new__
            return getattr(target, name)
        if isinstance(value, property) and value.fget is not None:
            self._class_value(owner, name, value)
            return self.call(value.fget, instance)
        if isinstance(value, _NATIVE_DESCRIPTORS) or hasattr(type(value), "__get__"):
            return getattr(target, name)
        return self._class_value(owner, name, value)

    # -- instances

    def instance_dict(self, target: Any) -> dict[str, Any] | None:
        """The instance dictionary, with its own path; None for objects without one."""
        namespace = getattr(target, "__dict__", None)
        if type(namespace) is not dict:
            return None
        if self.is_created(target):
            return self.adopt(namespace)
        if self.origin(namespace) is None:
            path = self.path_of(target)
            if path is not None:
                self.remember(namespace, paths.attr(path, "__dict__"))
        return namespace

    def _instance_attribute(self, target: Any, name: str) -> Any:
        kind = type(target)
        if name == "__class__":
            return kind
        if name == "__dict__":
            return self.instance_dict(target)
        if self.special(kind, "__getattribute__") is not None and not self.recorder.is_internal(kind):
            self.refuse("object", f"an attribute of a {kind.__name__}, which has its own __getattribute__")
        entry = self.lookup(kind, name)
        if entry is not None and self.is_data_descriptor(entry[1]):
            return self._data_descriptor(target, name, entry[1])
        found = MISSING
        is_own = self._peek(getattr(target, "__dict__", None), name)
        if entry is None and not is_own:
            found = self._pure_entry(target, name)
        elif entry is not None and is_own and may_change(entry[0]):  # hidden, as long as it is no data descriptor
            self.guard(paths.item(own_entries(entry[0]), name), "type", type(entry[1]))
        if found is MISSING:
            found = self._own_entry(target, name)
        if found is not MISSING:
            return found
        if entry is not None:
            return self._bind(target, name, entry[1])
        return self._fallback(target, name)

    def _pure_entry(self, target: Any, name: str) -> Any:
        """The entry that a registered ``__getattr__`` would find: no need to guard against a shadow."""
        getter = self.lookup(type(target), "__getattr__")
        for dictionary in () if getter is None else _pure_getters.get(getter[1], ()):
            if dictionary == name:
                return MISSING
            namespace = self.attribute(target, dictionary)
            if self._peek(namespace, name):
                return self.container_item(namespace, name)
        return MISSING

    def _peek(self, namespace: Any, name: str) -> bool:
        """Whether the dictionary has the name, without a guard: for classes that keep a name in one place."""
        if not isinstance(namespace, dict):
            return False
        box = self.journal.box(namespace)
        return name in (box.order() if isinstance(box, DictBox) else namespace)

    def _own_entry(self, target: Any, name: str) -> Any:
        """The entry of the instance dictionary, or MISSING with a guard that it is missing."""
        namespace = self.instance_dict(target)
        if namespace is None:
            return MISSING
        if self.is_created(target):
            return namespace.get(name, MISSING)
        box = self.journal.box(namespace)
        if isinstance(box, DictBox) and not box.from_base(name):
            return box.written.get(name, MISSING)
        path = self.path_of(target)
        if path is None:
            return namespace.get(name, MISSING)
        if name in namespace:
            return self.read(paths.attr(path, name), namespace[name])
        self.guard(path, "unshadowed", name)
        return MISSING

    def _data_descriptor(self, target: Any, name: str, descriptor: Any) -> Any:
        kind = type(target)
        if isinstance(descriptor, property):
            self._class_value(kind, name, descriptor)
            if descriptor.fget is None:
                return getattr(target, name)  # AttributeError, in Python's words
            return self.call(descriptor.fget, target)
        if isinstance(descriptor, _SLOT):
            return self.read_attribute(target, name)
        getter = self._getter(kind, name, descriptor)
        return self._native_attribute(target, name) if getter is None else self.call(getter, descriptor, target, kind)

    def _native_attribute(self, target: Any, name: str) -> Any:
        """An attribute that C code computes."""
        value = getattr(target, name)
        if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
            return value
        path = self.path_of(target)
        return value if path is None else self.read(paths.attr(path, name), value)

    def _bind(self, target: Any, name: str, value: Any) -> Any:
        """An entry of the class that the instance does not shadow, bound to it."""
        kind = type(target)
        function = self.recorder.unwrap(value)
        if isinstance(function, types.FunctionType):
            self._class_value(kind, name, value)
            return types.MethodType(function, target)
        if isinstance(value, (staticmethod, classmethod)):
            return self._class_value(kind, name, value)
        if isinstance(value, functools.cached_property):
            path = self.descriptor(kind, name, value)
            result = self.call(self.read(paths.attr(path, "func"), value.func), target)
            self.store_attribute(target, name, result)
            return result
        getter = self._getter(kind, name, value)
        if getter is not None:
            return self.call(getter, value, target, kind)
        if hasattr(type(value), "__get__"):
            return self._native_attribute(target, name)
        return self._class_value(kind, name, value)

    def _fallback(self, target: Any, name: str) -> Any:
        """Neither instance nor class has it: ``__getattr__``, or AttributeError."""
        getter = self.special(type(target), "__getattr__")
        if getter is not None and getter not in _pure_getters:
            return self.call(getter, target, name)
        path = self.path_of(target)
        if path is not None:
            self.guard(path, "noattr", name)
        raise AttributeError(f"{type(target).__name__!r} object has no attribute {name!r}", name=name, obj=target)

    # -- writes

    def set_attribute(self, target: Any, name: str, value: Any) -> None:
        """``target.name = value``"""
        setter = self._writer(target, "__setattr__")
        if setter is None:
            self.store_attribute(target, name, value)
        elif _is_frozen(type(target)):
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        else:
            self.call(setter, target, name, value)

    def _writer(self, target: Any, name: str) -> types.FunctionType | None:
        """``__setattr__`` or ``__delattr__`` in Python; of a tensor only that of a class of the user's."""
        return self.user_method(target, name) if self.recorder.is_tensor(target) else self.special(type(target), name)

    def store_attribute(self, target: Any, name: str, value: Any) -> None:
        """``object.__setattr__(target, name, value)``"""
        entry = self.lookup(type(target), name)
        if self.recorder.is_tensor(target) and (entry is None or not may_change(entry[0])):
            self.recorder.set_tensor_attribute(target, name, value)
            return
        if isinstance(target, types.ModuleType):
            self.dict_set(self._module_dict(target), name, value)
            return
        if isinstance(target, type):
            self.refuse("object", f"a write to the class {target.__name__}")
        if entry is not None and self.is_data_descriptor(entry[1]):
            self._set_descriptor(target, name, entry[1], value)
            return
        if self.recorder.is_tensor(target):
            self.recorder.set_tensor_attribute(target, name, value)
            return
        namespace = self.instance_dict(target)
        if namespace is None:
            raise AttributeError(f"{type(target).__name__!r} object has no attribute {name!r}", name=name, obj=target)
        if self.is_created(target):
            namespace[name] = value
            return
        self.journal.dict_box(namespace, target).set(name, value)

    def _module_dict(self, module: types.ModuleType) -> dict[str, Any]:
        namespace = vars(module)
        if self.origin(namespace) is None:
            self.remember(namespace, paths.const(namespace))
        return namespace

    def _set_descriptor(self, target: Any, name: str, descriptor: Any, value: Any) -> None:
        if isinstance(descriptor, property):
            self._class_value(type(target), name, descriptor)
            if descriptor.fset is None:
                raise AttributeError(f"property {name!r} of {type(target).__name__!r} object has no setter")
            self.call(descriptor.fset, target, value)
            return
        if isinstance(descriptor, _SLOT):
            self.write_attribute(target, name, value)
            return
        setter = self.special(type(descriptor), "__set__")
        if setter is not None:
            self.descriptor(type(target), name, descriptor)
            self.call(setter, descriptor, target, value)
            return
        if self.is_created(target):
            object.__setattr__(target, name, value)
            return
        self.refuse("object", f"a write to {name} of a {type(target).__name__}")

    def delete_attribute(self, target: Any, name: str) -> None:
        """``del target.name``"""
        deleter = self._writer(target, "__delattr__")
        if deleter is None:
            self.drop_attribute(target, name)
        else:
            self.call(deleter, target, name)

    def drop_attribute(self, target: Any, name: str) -> None:
        """``object.__delattr__(target, name)``"""
        namespace = None if self.recorder.is_tensor(target) else self.instance_dict(target)
        entry = self.lookup(type(target), name)
        if namespace is None or (entry is not None and self.is_data_descriptor(entry[1])):
            if self.is_created(target):
                object.__delattr__(target, name)
                return
            self.refuse("object", f"del of the attribute {name} of a {type(target).__name__}")
        if self._own_entry(target, name) is MISSING:
            raise AttributeError(f"{type(target).__name__!r} object has no attribute {name!r}", name=name, obj=target)
        if self.is_created(target):
            del namespace[name]
            return
        self.journal.dict_box(namespace, target).delete(name)


def _is_frozen(kind: type) -> bool:
    settings = getattr(kind, "__dataclass_params__", None)
    return settings is not None and settings.frozen
