"""The nodes of a script graph: what a statement or an expression of typed Python becomes.

A script graph is a `Graph` whose values are Python values and whose nodes stand in the order of the source.  Local
variables are slots of the function, read by ``local`` and written by ``assign``, so a region captures nothing; a region
that is an expression has one output.  Python's operators, built-ins, methods and this package's public functions are
names out of closed tables (`jitorch.frontend.script.tables`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from jitorch.ir.op import PRIMITIVE, Op

if TYPE_CHECKING:
    from jitorch.ir.graph import Graph
    from jitorch.tensor import Tensor

SCRIPT_OPS: dict[str, Op] = {}
"""Every kind of node by its name in the text."""


def _node(name: str) -> Callable[[Callable[..., Any]], Op]:
    def define(function: Callable[..., Any]) -> Op:
        SCRIPT_OPS[name] = Op(name, PRIMITIVE, function)
        return SCRIPT_OPS[name]

    return define


# -- values


@_node("constant")
def constant(*, value: Any) -> None:
    """A number, a string, a bool or None."""


@_node("named")
def named(*, name: str) -> None:
    """A constant of the library by its name, such as ``torch.float32`` or ``math.pi``; a member of an enum."""


@_node("local")
def local(*, name: str) -> None:
    """The value of a variable."""


@_node("tuple")
def tuple_(items: Sequence[Tensor]) -> None:
    """``(a, b)``"""


@_node("list")
def list_(items: Sequence[Tensor]) -> None:
    """``[a, b]``"""


@_node("dict")
def dict_(items: Sequence[Tensor]) -> None:
    """``{key: value}`` of keys and values in turn."""


@_node("slice")
def slice_(start: Tensor | None, stop: Tensor | None, step: Tensor | None) -> None:
    """``start:stop:step`` inside of an index."""


@_node("format")
def format_(values: Sequence[Tensor], *, parts: tuple[Any, ...]) -> None:
    """An f-string: texts, and for each value ``(conversion, format)``."""


@_node("operator")
def operator(operands: Sequence[Tensor], *, name: str) -> None:
    """One of Python's unary or binary operators."""


@_node("compare")
def compare(operands: Sequence[Tensor], *, names: tuple[str, ...]) -> None:
    """``a < b <= c``: as many names as operands but one."""


@_node("both")
def both(left: Tensor, *, right: Graph) -> None:
    """``left and right``"""


@_node("either")
def either(left: Tensor, *, right: Graph) -> None:
    """``left or right``"""


@_node("choose")
def choose(test: Tensor, *, then: Graph, orelse: Graph) -> None:
    """``then if test else orelse``"""


@_node("comprehend")
def comprehend(iterable: Tensor, *, target: Any, element: Graph, test: Graph | None, kind: str) -> None:
    """``[element for target in iterable if test]``; of kind ``dict`` the element is a pair, key and value."""


@_node("call")
def call(args: Sequence[Tensor], *, name: str, keywords: tuple[str, ...] = (), stars: tuple[int, ...] = ()) -> None:
    """A call of a public function, a built-in, a script function or a class by name; the last operands are keywords."""


@_node("method")
def method(args: Sequence[Tensor], *, name: str, keywords: tuple[str, ...] = (), stars: tuple[int, ...] = ()) -> None:
    """``args[0].name(*args[1:])``; with an empty name the object itself is called."""


@_node("attribute")
def attribute(value: Tensor, *, name: str) -> None:
    """``value.name``"""


@_node("item")
def item(value: Tensor, key: Tensor) -> None:
    """``value[key]``"""


@_node("isinstance")
def isinstance_(value: Tensor, *, types: tuple[Any, ...]) -> None:
    """Whether ``value`` is of one of ``types``, elements of containers included."""


# -- statements


@_node("assign")
def assign(value: Tensor, *, target: Any) -> None:
    """Set a variable; ``target`` is a name or a tuple of targets, a name that begins with ``*`` takes the rest."""


@_node("augment")
def augment(value: Tensor, *, target: str, name: str) -> None:
    """``target += value``"""


@_node("set_attribute")
def set_attribute(value: Tensor, item: Tensor, *, name: str) -> None:
    """``value.name = item``"""


@_node("augment_attribute")
def augment_attribute(value: Tensor, item: Tensor, *, attribute: str, name: str) -> None:
    """``value.attribute += item``"""


@_node("set_item")
def set_item(value: Tensor, key: Tensor, item: Tensor) -> None:
    """``value[key] = item``"""


@_node("augment_item")
def augment_item(value: Tensor, key: Tensor, item: Tensor, *, name: str) -> None:
    """``value[key] += item``"""


@_node("delete_item")
def delete_item(value: Tensor, key: Tensor) -> None:
    """``del value[key]``"""


@_node("delete")
def delete(*, target: str) -> None:
    """``del target``"""


@_node("if")
def if_(test: Tensor, *, then: Graph, orelse: Graph) -> None:
    """A conditional statement."""


@_node("while")
def while_(*, test: Graph, body: Graph, orelse: Graph | None = None) -> None:
    """``while test: body``, with an ``else`` or without"""


@_node("for")
def for_(iterable: Tensor, *, target: Any, body: Graph, orelse: Graph | None = None) -> None:
    """``for target in iterable: body``, with an ``else`` or without"""


@_node("with")
def with_(manager: Tensor, *, body: Graph) -> None:
    """``with manager: body``"""


@_node("break")
def break_() -> None:
    """Leave the loop."""


@_node("continue")
def continue_() -> None:
    """Go on with the next turn of the loop."""


@_node("finish")
def finish(value: Tensor) -> None:
    """``return value``"""


@_node("raise")
def raise_(args: Sequence[Tensor], *, name: str) -> None:
    """Raise an exception by name: a built-in one, or one of the program."""


@_node("assert")
def assert_(test: Tensor, message: Tensor | None) -> None:
    """``assert test, message``"""
