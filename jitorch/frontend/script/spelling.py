"""How types and plain values are spelled: in messages as users write them, and in generated code."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jitorch.frontend.script.program import Member
from jitorch.frontend.script.relations import NUMBER, UNKNOWN, parts
from jitorch.ir.types import (
    ANY,
    DEVICE,
    DTYPE,
    NONE,
    TENSOR,
    DictType,
    ListType,
    OptionalType,
    RecordType,
    TensorType,
    TupleType,
    Type,
    UnionType,
)

HEADER = ("from __future__ import annotations", "import builtins", "import collections", "import dataclasses",
          "import enum", "import math", "from typing import Any, Union", "import jitorch as torch", "")  # fmt: skip
"""What the code of every program begins with."""


@dataclass(frozen=True)
class _Words:
    """The words of one way to spell types; the walk over a type is the same in each."""

    simple: Mapping[Type, str]
    list: str
    dict: str
    tuple: str
    optional: str
    iterator: str
    classes_only: bool  # what has no class by its own name is the tuple of its fields

    def spell(self, type: Type) -> str:
        if type in self.simple:
            return self.simple[type]
        match type:
            case ListType(element):
                return self.list.format(self.spell(element))
            case DictType(key, value):
                return self.dict.format(f"{self.spell(key)}, {self.spell(value)}")
            case OptionalType(element):
                return self.optional.format(self.spell(element))
            case UnionType(members):
                return f"Union[{', '.join(map(self.spell, members))}]"
            case TupleType(elements):
                return self.tuple.format(", ".join(map(self.spell, elements)) or "()")
            case RecordType("iterator", ((_, element),)):
                return self.iterator.format(self.spell(element))
            case RecordType(name, _) if self.classes_only and not name.isidentifier():
                return self.tuple.format(", ".join(map(self.spell, parts(type))))
            case RecordType(name, _):
                return name
            case TensorType():
                return self.simple[TENSOR]
        return str(type)


_SIMPLE = {NONE: "None", ANY: "Any", DEVICE: "torch.device", DTYPE: "torch.dtype"}
_MESSAGES = _Words(
    {**_SIMPLE, TENSOR: "Tensor", UNKNOWN: "?", NUMBER: "number"},
    "List[{}]", "Dict[{}]", "Tuple[{}]", "Optional[{}]", "Iterator[{}]", False,
)  # fmt: skip
_CODE = _Words(
    {**_SIMPLE, TENSOR: "torch.Tensor", UNKNOWN: "Any", NUMBER: "float"},
    "list[{}]", "dict[{}]", "tuple[{}]", "Union[{}, None]", "collections.abc.Iterator[{}]", True,
)  # fmt: skip


def spell(type: Type) -> str:
    """``type`` as a user writes it in an annotation."""
    return _MESSAGES.spell(type)


def with_article(word: str) -> str:
    """``a list``, ``an int``"""
    return f"{'an' if word[:1].lower() in tuple('aeiou') else 'a'} {word}"


def annotation(type: Type) -> str:
    """``type`` as an annotation in generated code."""
    return _CODE.spell(type)


def literal(value: Any) -> ast.expr:
    """The expression that makes a plain value."""
    if isinstance(value, (list, tuple)):
        items = [literal(v) for v in value]
        return ast.List(items, ast.Load()) if isinstance(value, list) else ast.Tuple(items, ast.Load())
    if isinstance(value, dict):
        return ast.Dict([literal(k) for k in value], [literal(v) for v in value.values()])
    if isinstance(value, float) and math.isnan(value):
        return ast.Attribute(ast.Name("math", ast.Load()), "nan", ast.Load())
    if isinstance(value, complex):
        return ast.Call(ast.Name("complex", ast.Load()), [literal(value.real), literal(value.imag)], [])
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.copysign(1, value) < 0:
        return ast.UnaryOp(ast.USub(), literal(-value))
    if value is None or isinstance(value, (bool, int, float, str)):
        return ast.Constant(value)
    if isinstance(value, Member):
        return ast.Attribute(ast.Name(value.kind, ast.Load()), value.name, ast.Load())
    text = str(value)
    if text.startswith("torch."):
        return ast.parse(text, mode="eval").body
    return ast.Call(ast.parse("torch.device", mode="eval").body, [ast.Constant(text)], [])
