"""Annotations -> types: what a user may write after a colon."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Hashable
from typing import Any

from jitorch.devices import Device, Layout, MemoryFormat
from jitorch.dtypes import DType
from jitorch.frontend.script.relations import union
from jitorch.ir.types import (
    ANY,
    BOOL,
    COMPLEX,
    DEVICE,
    DTYPE,
    FLOAT,
    INT,
    NONE,
    STR,
    TENSOR,
    DictType,
    ListType,
    TupleType,
    Type,
)
from jitorch.ops.generator import Generator
from jitorch.tensor import Size, Tensor

_PLAIN: dict[Any, Type] = {
    int: INT, float: FLOAT, bool: BOOL, str: STR, complex: COMPLEX, None: NONE, type(None): NONE, typing.Any: ANY,
    Device: DEVICE, DType: DTYPE, Size: ListType(INT), Generator: ANY, Layout: ANY, MemoryFormat: ANY,
}  # fmt: skip

_BARE: dict[Any, str] = {
    list: "List[Tensor]", dict: "Dict[str, Tensor]", tuple: "Tuple[Tensor, int]",
    typing.List: "List[Tensor]", typing.Dict: "Dict[str, Tensor]", typing.Tuple: "Tuple[Tensor, int]",  # noqa: UP006
}  # fmt: skip


_TYPES = "scripts have Tensor, int, float, bool, str, List, Dict, Tuple, Optional, Union, Any, and classes with source"


class NotAType(Exception):
    """An annotation that scripts do not have; its text says why, ``hint`` what to write."""

    def __init__(self, why: str, hint: str | None = None):
        super().__init__(why)
        self.hint = hint


def type_of_annotation(annotation: Any, classes: Callable[[type], Type | None]) -> Type:
    """The type of ``annotation``; ``classes`` gives those of the user's own classes.  Raises `NotAType`."""
    if not isinstance(annotation, Hashable):
        raise NotAType(f"{annotation} is no type of scripts", _TYPES)
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if annotation in _BARE:
        raise NotAType("a container whose elements have no type", f"say of what, as in {_BARE[annotation]}")
    if isinstance(annotation, type) and issubclass(annotation, Tensor):
        return TENSOR
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        return _plain(annotation, classes)

    def inner(argument: Any) -> Type:
        return type_of_annotation(argument, classes)

    if origin in (typing.Union, types.UnionType):
        return union(tuple(map(inner, arguments)))
    if origin is list:
        return ListType(inner(arguments[0]))
    if origin is dict:
        return DictType(*map(inner, arguments))
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return ListType(inner(arguments[0]))
        return TupleType(tuple(map(inner, arguments)) if arguments != ((),) else ())
    if origin in (typing.Final, typing.ClassVar, typing.Annotated):
        return inner(arguments[0])
    raise NotAType(f"{annotation} is no type of scripts", _TYPES)


def _plain(annotation: Any, classes: Callable[[type], Type | None]) -> Type:
    found = classes(annotation) if isinstance(annotation, type) else None
    if found is None:
        raise NotAType(f"{getattr(annotation, '__name__', annotation)} is no type of scripts", _TYPES)
    return found
