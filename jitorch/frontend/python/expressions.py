"""Expressions of the rewriter: every load, call, operator and test becomes a question to ``_jt``."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from jitorch.frontend.python import source
from jitorch.frontend.python.scopes import Scope, bindings, contains, parameter_names

PROTOCOL = "_jt"
_REFUSED_CALLS = frozenset({"locals", "globals", "exec", "eval", "dir", "breakpoint"})
BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv",
    ast.Mod: "mod", ast.Pow: "pow", ast.MatMult: "matmul", ast.BitAnd: "and_", ast.BitOr: "or_",
    ast.BitXor: "xor", ast.LShift: "lshift", ast.RShift: "rshift",
}  # fmt: skip
_UNARY = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert", ast.Not: "not_"}
_COMPARE = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne",
    ast.Is: "is_", ast.IsNot: "is_not", ast.In: "in_", ast.NotIn: "not_in",
}  # fmt: skip


class Unsupported(Exception):
    """A function that cannot be rewritten; the text says what in it."""


class Expressions(ast.NodeTransformer):
    """One walk over one function; ``scopes`` are the functions being walked, innermost last."""

    def __init__(self, free: Sequence[str]):
        self.free = frozenset(free) - {"__class__"}
        self.scopes: list[Scope] = []
        self._temporaries = 0

    def ask(self, method: str, *args: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.Call:
        """``_jt.method(args)``"""
        function = ast.Attribute(ast.Name(PROTOCOL, ast.Load()), method, ast.Load())
        return ast.Call(function, list(args), list(keywords))

    def ask_in_order(self, method: str, args: dict[str, ast.expr]) -> ast.Call:
        """``_jt.method(name=value, ...)``: the values are evaluated in this order, which is not that of parameters."""
        return self.ask(method, keywords=[ast.keyword(name, value) for name, value in args.items()])

    def temporary(self) -> str:
        self._temporaries += 1
        return f"_jt_{self._temporaries}"

    def where(self, name: str) -> str:
        """``local``, ``cell`` (of the function that is rewritten) or ``global``."""
        for scope in reversed(self.scopes):
            declared = scope.declared.get(name)
            if declared == "global":
                return "global"
            if declared is None and name in scope.names:
                return "local"
        return "cell" if name in self.free else "global"

    def is_rebound(self, name: str) -> bool:
        """Whether the local variable may be without a value that all paths agree on."""
        for scope in reversed(self.scopes):
            if name not in scope.declared and name in scope.names:
                return name in scope.rebound
        return False

    def visit(self, node: ast.AST) -> Any:
        result = super().visit(node)
        for new in result if isinstance(result, list) else [result]:
            if isinstance(new, ast.AST) and hasattr(node, "lineno"):
                locate(new, node)
        return result

    def visit_all(self, nodes: Sequence[Any]) -> list[Any]:
        return [None if node is None else self.visit(node) for node in nodes]

    # -- expressions

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "__class__" or not isinstance(node.ctx, ast.Load):
            return node
        where = self.where(node.id)
        if where == "local":
            if not self.is_rebound(node.id):
                return node
            own = node.id in self.scopes[-1].names
            return self.ask("local", self.later(node), ast.Constant(node.id)) if own else self.ask("value", node)
        return self.ask("cell" if where == "cell" else "load_global", ast.Constant(node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return self.ask("attribute", self.visit(node.value), ast.Constant(node.attr))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return self.ask("item", self.visit(node.value), self.key(node.slice))

    def key(self, node: ast.expr) -> ast.expr:
        """An index: slices in it become `slice` objects."""
        if isinstance(node, ast.Slice):
            bounds = [ast.Constant(None) if b is None else self.visit(b) for b in (node.lower, node.upper, node.step)]
            return locate(self.ask("slice", *bounds), node)
        if isinstance(node, ast.Tuple):
            return locate(ast.Tuple([self.key(e) for e in node.elts], ast.Load()), node)
        return self.visit(node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = node.func.id if isinstance(node.func, ast.Name) and self.where(node.func.id) == "global" else None
        if name == "super" and not node.args:
            first = next((s.first for s in reversed(self.scopes) if s.first is not None), None)
            if first is None:
                return self.ask("refuse", ast.Constant("super() where there is no first argument"))
            return self.ask("super", ast.Name("__class__", ast.Load()), ast.Name(first, ast.Load()))
        if name in _REFUSED_CALLS or (name == "vars" and not node.args):
            return self.ask("refuse", ast.Constant(f"{name}()"))
        keywords = []
        for keyword in node.keywords:
            value = self.visit(keyword.value)
            value = value if keyword.arg is not None else locate(self.ask("mapping", value), node)
            keywords.append(ast.keyword(keyword.arg, value))
        return self.ask("call", self.visit(node.func), *self.visit_all(node.args), keywords=keywords)

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        return ast.Starred(self.ask("iterate", self.visit(node.value)), node.ctx)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.operand, ast.Constant):
            return node
        return self.ask("unary", ast.Constant(_UNARY[type(node.op)]), self.visit(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        return self.ask("binary", ast.Constant(BINARY[type(node.op)]), self.visit(node.left), self.visit(node.right))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        names = [ast.Constant(_COMPARE[type(op)]) for op in node.ops]
        left, right = self.visit(node.left), self.visit_all(node.comparators)
        if len(right) == 1:
            return self.ask("compare", names[0], left, right[0])
        if any(self.needs_place(c) for c in node.comparators):
            return self.ask("refuse", ast.Constant("an assignment or yield inside of a chained comparison"))
        return self.ask("chain", ast.Tuple(list(names), ast.Load()), left, *[self.later(c) for c in right])

    def later(self, value: ast.expr) -> ast.Lambda:
        return ast.Lambda(source.parameters(), value)

    def needs_place(self, node: ast.expr) -> bool:
        """Whether an expression cannot move into a lambda."""
        return contains(node, (ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.Await))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        conjunction = isinstance(node.op, ast.And)
        movable = not any(self.needs_place(v) for v in node.values[1:])
        values = self.visit_all(node.values)
        if movable:
            name = ast.Constant("and" if conjunction else "or")
            return self.ask("boolean", name, values[0], *[self.later(v) for v in values[1:]])
        result = values[-1]
        for value in reversed(values[:-1]):
            name = self.temporary()
            self.scopes[-1].names.add(name)
            test = self.ask("test", ast.NamedExpr(ast.Name(name, ast.Store()), value))
            load = ast.Name(name, ast.Load())
            result = ast.IfExp(test, result, load) if conjunction else ast.IfExp(test, load, result)
        return result

    def truth(self, node: ast.expr) -> ast.expr:
        """An expression of which only the truth matters: what is joined by ``and`` need not have one type."""
        if isinstance(node, ast.BoolOp) and not any(self.needs_place(v) for v in node.values[1:]):
            name = ast.Constant("and" if isinstance(node.op, ast.And) else "or")
            values = [self.truth(v) for v in node.values]
            return locate(self.ask("joined_truth", name, values[0], *[self.later(v) for v in values[1:]]), node)
        if (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.Not)
            and not isinstance(node.operand, ast.Constant)
        ):
            return locate(self.ask("unary", ast.Constant("not_"), self.truth(node.operand)), node)
        result = self.visit(node)
        if isinstance(node, ast.Compare) and len(node.ops) > 1 and isinstance(result, ast.Call):
            result.keywords.append(locate(ast.keyword("truth", ast.Constant(True)), node))
        return result

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        name = node.target.id
        value = self.visit(node.value)
        if self.where(name) == "local":
            return ast.NamedExpr(node.target, value)
        return self.ask(self.setter(name), ast.Constant(name), value)

    def visit_List(self, node: ast.List) -> ast.expr:
        return self.ask("adopt", ast.List(self.visit_all(node.elts), ast.Load()))

    def visit_Set(self, node: ast.Set) -> ast.expr:
        return self.ask("adopt", ast.Set(self.visit_all(node.elts)))

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        values = [
            self.visit(v) if k is not None else locate(self.ask("mapping", self.visit(v)), v)
            for k, v in zip(node.keys, node.values, strict=True)
        ]
        return self.ask("adopt", ast.Dict(self.visit_all(node.keys), values))

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        spec = self.visit(node.format_spec) if node.format_spec is not None else ast.Constant("")
        return self.ask("format", self.visit(node.value), spec, ast.Constant(node.conversion))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        return self.ask("join", *self.visit_all(node.values))

    def comprehension(self, node: Any) -> ast.expr:
        first = self.visit(node.generators[0].iter)
        names = bindings([g.target for g in node.generators]).names
        self.scopes.append(Scope(names))
        for index, generator in enumerate(node.generators):
            if contains(generator.target, (ast.Attribute, ast.Subscript, ast.Starred)):
                raise Unsupported("a comprehension that assigns to an attribute, an item or a starred name")
            values = self.ask("iterate", first if index == 0 else self.visit(generator.iter))
            if isinstance(generator.target, (ast.Tuple, ast.List)):
                values = self.ask("unpacked", values, ast.Constant(_structure(generator.target)))
            generator.iter = locate(values, generator.target)
            generator.ifs = [locate(self.ask("test", self.truth(test)), test) for test in generator.ifs]
        for name in ("elt", "key", "value"):
            if hasattr(node, name):
                setattr(node, name, self.visit(getattr(node, name)))
        self.scopes.pop()
        return self.ask("adopt", node)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension

    def visit_Yield(self, node: ast.Yield) -> ast.expr:
        return ast.Yield(None if node.value is None else self.visit(node.value))

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.expr:
        return ast.YieldFrom(self.ask("iterate", self.visit(node.value)))

    def visit_TemplateStr(self, node: Any) -> ast.expr:
        return self.ask("refuse", ast.Constant("a template string"))

    def visit_Await(self, node: ast.Await) -> ast.expr:
        raise Unsupported("await")

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        self.defaults(node.args)
        first = first_parameter(node.args)
        self.scopes.append(Scope(parameter_names(node.args) | bindings([node.body]).names, first=first))
        node.body = self.visit(node.body)
        self.scopes.pop()
        return node

    def defaults(self, args: ast.arguments) -> None:
        args.defaults = self.visit_all(args.defaults)
        args.kw_defaults = self.visit_all(args.kw_defaults)

    def setter(self, name: str) -> str:
        return "set_cell" if self.where(name) == "cell" else "set_global"

    def condition(self, test: ast.expr) -> ast.expr:
        return test if isinstance(test, ast.Constant) else self.ask("test", self.truth(test))


def _structure(target: ast.expr) -> Any:
    """The nesting of a target: ``a, (b, c)`` is ``(None, (None, None))``."""
    return tuple(map(_structure, target.elts)) if isinstance(target, (ast.Tuple, ast.List)) else None


def first_parameter(args: ast.arguments) -> str | None:
    """The name that ``super()`` takes the instance from."""
    positional = args.posonlyargs + args.args
    return positional[0].arg if positional else None


def locate(new: Any, at: ast.AST) -> Any:
    """Give every node below ``new`` that has no place the place of ``at``; gives ``new`` back."""
    stack: list[ast.AST] = [new]
    while stack:
        node = stack.pop()
        if "lineno" in node._attributes:
            if hasattr(node, "lineno"):
                # Whoever made this node has placed what is below it.
                if node is not new:
                    continue
            else:
                ast.copy_location(node, at)
                if isinstance(node, ast.Attribute):
                    # CPython 3.11 gives a method call the *last* line of its attribute: make that the first.
                    node.end_lineno, node.end_col_offset = node.lineno, node.col_offset
        stack.extend(ast.iter_child_nodes(node))
    return new
