"""Loops over modules, which are written out: each turn is compiled for the module that it gets."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from jitorch.frontend.script.frame import Made
from jitorch.frontend.script.statements import Statements
from jitorch.ir.graph import Value


class Unrolling(Statements):
    """See the module's docstring."""

    def unrolled(self, node: ast.expr) -> list[Any] | None:
        match node:
            case ast.Call(ast.Name("enumerate"), [inner, *rest]):
                found = self.unrolled(inner)
                start = self._start_of(rest, node)
                return None if found is None else [(self._number_maker(i + start), m) for i, m in enumerate(found)]
            case ast.Call(ast.Name("reversed"), [inner]):
                found = self.unrolled(inner)
                return None if found is None else found[::-1]
            case ast.Call(ast.Name("zip"), inners):
                return self._unrolled_zip(inners)
            case ast.Call(
                ast.Attribute(base, "items" | "values" | "keys" | "children" | "named_children" as method), []
            ):
                return self._unrolled_modules(base, method)
        return self._unrolled_modules(node, "iter")

    def _start_of(self, rest: list[ast.expr], node: ast.Call) -> int:
        tree = rest[0] if rest else node.keywords[0].value if node.keywords else None
        return int(tree.value) if isinstance(tree, ast.Constant) and isinstance(tree.value, int) else 0

    def _number_maker(self, number: Any) -> Callable[[], Value]:
        return lambda: self.constant(number)

    def _unrolled_zip(self, inners: list[ast.expr]) -> list[Any] | None:
        found = [self.unrolled(inner) for inner in inners]
        if all(f is None for f in found):
            return None
        count = min(len(f) for f in found if f is not None)
        columns = [
            f[:count] if f is not None else [self._item_maker(inner, i) for i in range(count)]
            for f, inner in zip(found, inners)
        ]
        return [tuple(column[i] for column in columns) for i in range(count)]

    def _item_maker(self, tree: ast.expr, i: int) -> Callable[[], Value]:
        item = ast.copy_location(ast.Subscript(tree, ast.copy_location(ast.Constant(i), tree), ast.Load()), tree)
        return lambda: self.expr(item)

    def _unrolled_modules(self, node: ast.expr, method: str) -> list[Any] | None:
        if not isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            return None
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            return self._part_of_modules(node.value, node.slice)
        with self.attempt():
            meaning = self.meaning(node)
        kind = meaning.type if isinstance(meaning, Value) else None
        record = None if kind is None else self.modules_in(kind)
        if record is None:
            return None
        names, is_dict = record.children, record.holds == "dict"
        if is_dict and method in ("iter", "keys"):
            return [self._number_maker(n) for n in names]
        keys: list[Any] = list(names) if is_dict else list(range(len(names)))
        makers = [self._module_maker(node, key) for key in keys]
        if method in ("items", "named_children"):
            return [(self._number_maker(n), m) for n, m in zip(names, makers)]
        return makers

    def _part_of_modules(self, node: ast.expr, part: ast.Slice) -> list[Any] | None:
        """``self.layers[1:]``"""
        found = self._unrolled_modules(node, "iter")
        if found is None:
            return None
        bounds = []
        for tree in (part.lower, part.upper, part.step):
            with self.attempt():
                bound = None if tree is None else self.expr(tree)
            if bound is not None and bound not in self.constants:
                hint = "iterate over all of them, and test a number from enumerate"
                raise self.error("the bound of a slice of modules must be constant", node=tree, hint=hint)
            bounds.append(None if bound is None else self.constants[bound])
        return found[slice(*bounds)]

    def _module_maker(self, node: ast.expr, key: Any) -> Callable[[], Value]:
        tree = ast.copy_location(ast.Subscript(node, ast.copy_location(ast.Constant(key), node), ast.Load()), node)
        return lambda: self.expr(tree)

    def substitute(self, target: ast.expr, make: Any) -> None:
        if isinstance(target, ast.Name):
            self.variables[target.id] = Made(make)
            return
        if (
            not isinstance(target, (ast.Tuple, ast.List))
            or not isinstance(make, tuple)
            or len(make) != len(target.elts)
        ):
            raise self.error("the target of a loop over modules does not fit", "type-mismatch", target)
        for part, maker in zip(target.elts, make):
            self.substitute(part, maker)
