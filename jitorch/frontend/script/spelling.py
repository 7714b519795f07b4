"""How generated code spells types and plain values, and what it begins with."""

from __future__ import annotations

import ast
import math
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
    TupleType,
    Type,
    UnionType,
)

HEADER = ("from __future__ import annotations", "import builtins", "import collections", "import dataclasses",
          "import enum", "import math", "from typing import Any, Union", "import jitorch as torch", "")  # fmt: skip
"""What the code of every program begins with."""

_SIMPLE = {
    TENSOR: "torch.Tensor", ANY: "Any", DEVICE: "torch.device", DTYPE: "torch.dtype", NONE: "None", UNKNOWN: "Any",
    NUMBER: "float",
}  # fmt: skip


def annotation(type: Type) -> str:
    """``type`` as an annotation in generated code."""
    if type in _SIMPLE:
        return _SIMPLE[type]
    match type:
        case ListType(element):
            return f"list[{annotation(element)}]"
        case DictType(key, value):
            return f"dict[{annotation(key)}, {annotation(value)}]"
        case OptionalType(element):
            return f"Union[{annotation(element)}, None]"
        case UnionType(members):
            return f"Union[{', '.join(map(annotation, members))}]"
        case TupleType(elements):
            return f"tuple[{', '.join(map(annotation, elements)) or '()'}]"
        case RecordType(name, _) if name.isidentifier():
            return name
        case RecordType():
            return f"tuple[{', '.join(map(annotation, parts(type)))}]"
    return str(type)


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
