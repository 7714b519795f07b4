"""A script program: the functions and classes that one scripted function or module needs, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jitorch.ir.graph import Graph
from jitorch.ir.types import NONE, RecordType, Type


@dataclass(frozen=True)
class Member:
    """A member of an enum, as a default: by name, as the class may not be made yet."""

    kind: str
    name: str


@dataclass(frozen=True)
class Parameter:
    """One parameter; ``default`` counts if ``has_default``."""

    name: str
    type: Type
    has_default: bool = False
    default: Any = None
    keyword_only: bool = False


@dataclass
class Function:
    """A function: its signature, and its graph, whose inputs are the parameters in order."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: Type | None
    graph: Graph | None = None
    source: Any = None  # the Python function that it was made from, if there is one
    python: bool = False  # runs as Python: `jit.ignore`

    @property
    def result(self) -> Type:
        return NONE if self.returns is None else self.returns


KINDS = (
    "class", "dataclass", "namedtuple", "enum", "exception", "interface", "module", "list", "dict", "sequential",
    "library",
)  # fmt: skip
"""What a `Class` describes; ``list``, ``dict`` and ``sequential`` hold modules, ``library`` is a module of ours."""


@dataclass
class Class:
    """A class, or the layout of one module: fields by type, methods by the name of their function."""

    name: str
    kind: str
    fields: dict[str, Type] = field(default_factory=dict)
    methods: dict[str, Function] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)  # values of fields that never change, members of an enum
    defaults: dict[str, Any] = field(default_factory=dict)  # of a dataclass's fields
    bases: tuple[str, ...] = ()  # of a module: what the library has it hold modules by
    source: Any = None  # the Python class or module object
    static: frozenset[str] = frozenset()  # methods without self
    properties: frozenset[str] = frozenset()
    functions: dict[str, Any] = field(default_factory=dict)  # fields of a module that hold Python functions
    holds: str | None = None  # list, dict or sequential, if the modules in it can be iterated over
    children: tuple[str, ...] = ()  # the fields that hold modules

    @property
    def type(self) -> RecordType:
        """A reference by name; a named tuple is what its fields are."""
        return RecordType(self.name, tuple(self.fields.items()) if self.kind == "namedtuple" else ())


@dataclass
class Program:
    """See the module's docstring; ``objects`` are Python functions that a program of this process calls as they are."""

    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)
    find_method: Callable[[Class, str], Function | None] = lambda record, name: record.methods.get(name)

    def inherits(self, name: str, base: str) -> bool:
        """Whether ``name`` may stand where ``base`` is asked for: a subclass, or what has an interface's methods."""
        if name == base:
            return True
        known, wanted = self.classes.get(name), self.classes.get(base)
        if known is None or wanted is None:
            return False
        if wanted.kind == "interface":
            return all(_same_signature(self.find_method(known, n), f) for n, f in wanted.methods.items())
        return any(self.inherits(b, base) for b in known.bases)

    def free_name(self, wanted: str) -> str:
        """``wanted``, or with a number where it is taken."""
        taken = self.functions.keys() | self.classes.keys() | self.objects.keys()
        name, count = wanted, 0
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        return name


def _same_signature(found: Function | None, wanted: Function) -> bool:
    if found is None or len(found.parameters) != len(wanted.parameters):
        return False
    pairs = list(zip(found.parameters, wanted.parameters))[1:]
    return all(a.type == b.type for a, b in pairs) and found.result == wanted.result
