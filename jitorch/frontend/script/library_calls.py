"""Calls of public functions, of built-ins, and of methods of tensors and containers."""

from __future__ import annotations

import ast
from typing import Any

from jitorch.frontend.script import relations, tables
from jitorch.frontend.script.relations import NUMBER, UNKNOWN, fits, is_tuple_like
from jitorch.frontend.script.spelling import spell, with_article
from jitorch.frontend.script.unrolling import Unrolling
from jitorch.ir.graph import Value
from jitorch.ir.types import (
    ANY,
    BOOL,
    COMPLEX,
    FLOAT,
    INT,
    NONE,
    STR,
    TENSOR,
    DictType,
    ListType,
    OptionalType,
    TupleType,
    Type,
)
from jitorch.ops.registry import KEYWORD_ALIASES

_CONVERSIONS: dict[str, Type] = {
    "int": INT, "float": FLOAT, "bool": BOOL, "str": STR, "complex": COMPLEX, "repr": STR, "hex": STR, "oct": STR,
    "bin": STR, "len": INT, "ord": INT, "chr": STR, "any": BOOL, "all": BOOL, "print": NONE,
}  # fmt: skip
_KEYWORDS = {
    "sorted": {"reverse": BOOL}, "enumerate": {"start": INT}, "sum": {"start": ANY}, "print": {"sep": STR, "end": STR},
    "round": {"ndigits": INT}, "int": {"base": INT}, "zip": {"strict": BOOL}, "dict": {},
}  # fmt: skip
"""Keyword arguments of built-in functions, as far as scripts have them."""
_INSTEAD = {
    **dict.fromkeys(("set", "frozenset"), "use a dict with any values, or a list"),
    **dict.fromkeys(("map", "filter"), "use a list comprehension"),
    **dict.fromkeys(("iter", "next"), "use a loop"),
    **dict.fromkeys(("setattr", "delattr"), "write the name out: self.name = ..."),
    "type": "use isinstance", "slice": "write x[a:b]",
}  # fmt: skip
"""What to write in the place of built-in functions that scripts do not have."""
_ARGUMENTS: dict[str, Type] = {"ord": STR, "chr": INT, "hex": INT, "oct": INT, "bin": INT}
"""Built-in functions of one argument of one type."""
_PARAMETER_TYPES: dict[str, tuple[Type, ...]] = {
    "Tensor": (TENSOR,), "int": (INT, NUMBER, TENSOR), "bool": (BOOL,), "str": (STR,), "float": (FLOAT, TENSOR),
    "Number": (relations.NUMBER, COMPLEX, TENSOR), "Operand": (TENSOR, FLOAT, BOOL, COMPLEX, relations.NUMBER),
}  # fmt: skip


class LibraryCalls(Unrolling):
    """See the module's docstring."""

    def _loose_arguments(self, node: ast.Call) -> tuple[list[Value], tuple[str, ...], tuple[int, ...]]:
        """Arguments of a call whose parameters are not typed here."""
        values, stars = [], []
        for i, arg in enumerate(node.args):
            if isinstance(arg, ast.Starred):
                stars.append(i)
                values.append(self.expr(arg.value))
            else:
                values.append(self.expr(arg))
        values += [self.expr(keyword.value) for keyword in node.keywords]
        return values, tuple(str(k.arg) for k in node.keywords), tuple(stars)

    def _plain_call(self, name: str, node: ast.Call, result: Type | None) -> Value:
        values, keywords, stars = self._loose_arguments(node)
        return self.emit("call", values, result, name=name, keywords=keywords, stars=stars)

    # -- functions of the library

    def _call_public(self, name: str, entry: Any, node: ast.Call) -> Value:
        values, keywords, stars = self._loose_arguments(node)
        kind = self._public_result(name.removeprefix("torch."), entry, values, keywords, stars, node, None)
        made = self.emit("call", values, kind, name=name, keywords=keywords, stars=stars)
        return self._as_list(made, entry)

    def _as_list(self, made: Value, entry: Any) -> Value:
        """Functions that give a tuple of any length give lists in scripts."""
        if isinstance(made.type, ListType) and hasattr(entry, "signature"):
            return self.emit("call", [made], made.type, name="list")
        return made

    def _public_result(
        self,
        name: str,
        entry: Any,
        values: list[Value],
        keywords: tuple[str, ...],
        stars: tuple[int, ...],
        node: ast.Call,
        receiver: Value | None,
    ) -> Type:
        """The result of a call of an op or public function; its arguments are checked against the signature."""
        given = [] if receiver is None else [receiver]
        count = len(values) - len(keywords)
        given += values[:count]
        named = dict(zip(keywords, values[count:]))
        known = entry.signature.parameters
        named = {KEYWORD_ALIASES.get(k, k) if k not in known else k: v for k, v in named.items()}
        out = named.pop("out", None) if "out" not in known else None
        if stars:
            bound_types: dict[str, Type] = {}
            return tables.result(entry, name, bound_types, {})
        try:
            bound = entry.signature.bind(*given, **named)
        except TypeError as error:
            spelled = f"{name}{entry.signature}"
            raise self.error(f"{name}: {error}", "arguments", node, expected=spelled) from None
        trees = dict(zip(values, [*node.args, *[k.value for k in node.keywords]]))
        for key, value in bound.arguments.items():
            if isinstance(value, Value):
                self._check_public(name, key, known[key], value, trees.get(value, node))
        types_ = {k: v.type for k, v in bound.arguments.items() if isinstance(v, Value)}
        constants = {k: self.constants[v] for k, v in bound.arguments.items()
                     if isinstance(v, Value) and v in self.constants}  # fmt: skip
        return tables.result(entry, name, types_, constants) if out is None else out.type

    def _check_public(self, name: str, key: str, parameter: Any, value: Value, node: ast.AST) -> None:
        annotation = str(parameter.annotation)
        wanted = _PARAMETER_TYPES.get(annotation.removesuffix(" | None"))
        if wanted is None or value.type == ANY or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            return
        optional = (NONE,) if annotation.endswith(" | None") else ()
        if not any(fits(value.type, relations.union((w, *optional)), self.program.inherits) for w in wanted):
            self.expect(value, relations.union((wanted[0], *optional)), f"argument {key} of {name}", node)

    def _call_math(self, name: str, node: ast.Call) -> Value:
        if name not in tables.MATH:
            hint = "a tensor has most of them: torch.tensor(x)"
            raise self.error(f"scripts have no math.{name}", node=node.func, hint=hint)
        for arg in node.args:
            with self.attempt():
                self.expect(self.expr(arg), FLOAT, f"the argument of math.{name}", arg)
        return self._plain_call(f"math.{name}", node, tables.MATH[name])

    # -- built-ins

    def _call_builtin(self, name: str, node: ast.Call, expected: Type | None) -> Value:
        if name == "getattr":
            return self._getattr(node)
        if name in ("isinstance", "hasattr"):
            return self._test_value(node)
        if name not in tables.BUILTINS:
            hint = _INSTEAD.get(name, "do it outside of the script, or in a function marked with @jit.ignore")
            raise self.error(f"scripts have no {name}()", node=node.func, hint=hint)
        if name == "list" and not node.args:
            kind = expected if isinstance(expected, ListType) else ListType(UNKNOWN)
            return self.emit("call", [], kind, name="list")
        if name == "dict" and not node.args and not node.keywords:
            kind = expected if isinstance(expected, DictType) else DictType(UNKNOWN, UNKNOWN)
            return self.emit("call", [], kind, name="dict")
        if name == "len":
            folded = self._length_of_modules(node)
            if folded is not None:
                return folded
        self._check_keywords(name, node)
        values, keywords, stars = self._loose_arguments(node)
        kind = self._builtin_result(name, values[: len(values) - len(keywords)], node)
        return self.emit("call", values, kind, name=name, keywords=keywords, stars=stars)

    def _check_keywords(self, name: str, node: ast.Call) -> None:
        known = _KEYWORDS.get(name, {})
        for keyword in node.keywords:
            if keyword.arg not in known:
                hint = "make a list of pairs (key, value) first" if keyword.arg == "key" else None
                raise self.error(f"scripts have no {keyword.arg} of {name}", "arguments", keyword.value,
                                 expected=", ".join(known) or "no keyword", hint=hint)  # fmt: skip
            with self.attempt():
                value = self.expr(keyword.value)
            self.expect(value, known[keyword.arg], f"argument {keyword.arg} of {name}", keyword.value)

    def _length_of_modules(self, node: ast.Call) -> Value | None:
        if len(node.args) != 1:
            return None
        with self.attempt():
            value = self.expr(node.args[0])
        record = self.modules_in(value.type)
        return None if record is None else self.constant(len(record.children))

    def _builtin_result(self, name: str, values: list[Value], node: ast.Call) -> Type:
        first = values[0].type if values else NONE
        if not values and name not in ("print", "zip", "str", "int", "float"):
            raise self.error(f"{name} without an argument", "arguments", node)
        match name:
            case "int" | "float" | "bool" | "complex" if NONE in relations.members(first) and values:
                self.expect(values[0], relations.FLOAT, f"the argument of {name}", node.args[0])
            case "len" if first not in (STR, TENSOR) and not isinstance(first, (ListType, DictType, TupleType)):
                if self._overloaded(values[0], "__len__") is None and not is_tuple_like(first):
                    raise self.error(f"{with_article(spell(first))} has no length", "type-mismatch", node.args[0])
            case "range":
                for value, tree in zip(values, node.args):
                    self.expect(value, INT, "the argument of range", tree)
                return relations.iterator(INT)
            case "any" | "all":
                self.iterated(values[0], node.args[0])
            case "ord" | "chr" | "hex" | "oct" | "bin":
                self.expect(values[0], _ARGUMENTS[name], f"the argument of {name}", node.args[0])
            case "enumerate":
                return relations.iterator(TupleType((INT, self.iterated(values[0], node.args[0]))))
            case "zip":
                found = tuple(self.iterated(v, n) for v, n in zip(values, node.args))
                return relations.iterator(TupleType(found))
            case "reversed":
                return relations.iterator(self.iterated(values[0], node.args[0]))
            case "sorted" | "list":
                return ListType(self.iterated(values[0], node.args[0]))
            case "tuple":
                if not is_tuple_like(first):
                    raise self.error("the length of the tuple is not known", node=node, hint="use a list")
                return first
            case "dict":
                return self._dict_of(values[0], node)
            case "min" | "max":
                if len(values) == 1:
                    return self.iterated(values[0], node.args[0])
                return (
                    TENSOR if TENSOR in [v.type for v in values] else self._common([v.type for v in values], None, node)
                )
            case "sum":
                return self._sum(values, node)
            case "abs":
                return INT if first == BOOL else first
            case "round":
                return TENSOR if first == TENSOR else INT if len(values) == 1 else FLOAT
            case "divmod" | "pow":
                both = self._common([v.type for v in values[:2]], None, node)
                return TupleType((both, both)) if name == "divmod" else both
        return _CONVERSIONS[name]

    def _sum(self, values: list[Value], node: ast.Call) -> Type:
        element = self.iterated(values[0], node.args[0])
        start = values[1].type if len(values) > 1 else INT
        if TENSOR in (element, start):
            return TENSOR
        return INT if element == BOOL else self._common([element, start], None, node) if len(values) > 1 else element

    def _dict_of(self, value: Value, node: ast.Call) -> Type:
        if isinstance(value.type, DictType):
            return value.type
        element = self.iterated(value, node.args[0])
        if isinstance(element, TupleType) and len(element.elements) == 2:
            return DictType(*element.elements)
        raise self.error("dict of what holds no pairs", "type-mismatch", node, actual=spell(value.type))

    def _getattr(self, node: ast.Call) -> Value:
        if len(node.args) < 2 or not isinstance(node.args[1], ast.Constant):
            hint = "write the names out, each in a branch of an if"
            raise self.error("getattr needs a name that is written out", "arguments", node, hint=hint)
        tree = ast.copy_location(ast.Attribute(node.args[0], str(node.args[1].value), ast.Load()), node)
        if len(node.args) == 3 and not self._has(ast.Call(node.func, node.args[:2], [])):
            return self.expr(node.args[2])
        return self.expr(tree)

    # -- methods

    def _call_tensor_method(self, receiver: Value, name: str, node: ast.Call, expected: Type | None) -> Value:
        entry = tables.tensor_method(name)
        values, keywords, stars = self._loose_arguments(node)
        if name == "size":
            kind: Type = INT if values else ListType(INT)
        elif name == "tolist":
            if expected is None or expected == ANY:
                what = "the type of tolist() depends on the tensor"
                raise self.error(what, "annotation", node, hint="annotate it: values: List[int] = x.tolist()")
            kind = expected
        elif name == "type":
            kind = TENSOR if values else STR
        elif isinstance(entry, relations.Type):
            kind = entry
        else:
            kind = self._public_result(name, entry, values, keywords, stars, node, receiver)
        made = self.emit("method", [receiver, *values], kind, name=name, keywords=keywords,
                         stars=tuple(i + 1 for i in stars))  # fmt: skip
        if name == "size" and not values:
            return self.emit("call", [made], kind, name="list")
        return self._as_list(made, entry)

    def _call_list_method(self, receiver: Value, kind: ListType, name: str, node: ast.Call) -> Value:
        hint = kind.element if kind.element != UNKNOWN else None
        values = [self.expr(arg, kind if name == "extend" else hint) for arg in node.args]
        element = kind.element
        if name in ("append", "insert", "extend", "remove", "index", "count") and values:
            item = values[-1]
            found = self.iterated(item, node.args[-1]) if name == "extend" else item.type
            if element == UNKNOWN:
                element = found
                self.settle(receiver, ListType(found))
            elif not fits(found, element, self.program.inherits):
                raise self.error(
                    f"{name} to a list of another type", "type-mismatch", node.args[-1], expected=spell(element),
                    actual=spell(found), hint=f"annotate the list where it is made, as in x: List[{spell(found)}] = []",
                )  # fmt: skip
        values += [self.expr(k.value) for k in node.keywords]
        result = {"E": element, "S": kind}.get(tables.LIST_METHODS[name], tables.LIST_METHODS[name])
        keywords = tuple(str(k.arg) for k in node.keywords)
        return self.emit("method", [receiver, *values], result, name=name, keywords=keywords)

    def _call_dict_method(self, receiver: Value, kind: DictType, name: str, node: ast.Call) -> Value:
        values = [self.expr(arg, kind.value if i else None) for i, arg in enumerate(node.args)]
        key, value = kind.key, kind.value
        if name in ("get", "pop", "setdefault") and values:
            if key == UNKNOWN and name == "setdefault" and len(values) == 2:
                key, value = values[0].type, values[1].type
                self.settle(receiver, DictType(key, value))
            self.expect(values[0], key, "the key", node.args[0])
        if name == "update" and key == UNKNOWN and isinstance(values[0].type, DictType):
            self.settle(receiver, values[0].type)
        default: Type = OptionalType(value) if value not in (NONE, ANY) else value
        if len(values) > 1:
            default = self._common([value, values[1].type], None, node)
        letters: dict[Any, Type] = {
            "K": ListType(key), "V": value, "V?": default, "S": kind, "KV": ListType(TupleType((key, value))),
            "KV1": TupleType((key, value)),
        }  # fmt: skip
        result = letters.get(tables.DICT_METHODS[name], NONE)
        if name == "values":
            result = ListType(value)
        made = self.emit("method", [receiver, *values], result, name=name)
        return self.emit("call", [made], result, name="list") if name in tables.LISTS_OF else made
