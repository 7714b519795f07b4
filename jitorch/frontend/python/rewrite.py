"""The rewriter: every load, call, operator, test and store of a function goes through ``_jt``.

    x                ->  x (a local), _jt.cell("x"), _jt.load_global("x")
    x.name, x[i]     ->  _jt.attribute(x, "name"), _jt.item(x, i)
    f(x)             ->  _jt.call(f, x)
    x + y, x < y     ->  _jt.binary("add", x, y), _jt.compare("lt", x, y)
    x.name = y       ->  _jt.set_attribute(x, "name", y)
    if x:, while x:  ->  if _jt.test(x):, while _jt.test(x):
    for a in x:      ->  for a in _jt.iterate(x):
    [x, y]           ->  _jt.adopt([x, y])

Statements stay Python's own, so control flow needs no rules here: only its tests are asked for.
Whatever could not be seen through the protocol (`match`, class statements, coroutines) becomes a
refusal *where it is reached*.  All new nodes carry the line and columns of the node they replace,
so tracebacks point at the user's source.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence
from typing import Any

from jitorch.frontend.python import source
from jitorch.frontend.python.scopes import Scope, bindings, contains, leaves, mangle, parameter_names

PROTOCOL = "_jt"
MAKER = "_jt_maker"
_REFUSED_CALLS = frozenset({"locals", "globals", "exec", "eval", "dir", "breakpoint"})
_BINARY = {
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


def rewrite(node: source.FunctionNode, class_name: str | None, free: Sequence[str]) -> tuple[str, ast.Module]:
    """A module that defines `MAKER`, which defines the rewritten function; and that function's name.

    ``free``: the free variables of the function's code, which are read through the protocol.
    """
    if isinstance(node, ast.AsyncFunctionDef):
        raise Unsupported("an async function")
    node = copy.deepcopy(node)
    if class_name is not None:
        mangle(node, class_name)
    if isinstance(node, ast.Lambda):
        result = ast.copy_location(ast.Return(node.body), node.body)
        definition = ast.copy_location(source.function_definition("_lambda", node.args, [result]), node)
    else:
        definition = node
    assert isinstance(definition, ast.FunctionDef)
    new = Rewriter(free).function(definition)
    # The real defaults are read through the protocol; these only keep the parameters optional.
    new.args.defaults = [ast.Constant(None) for _ in node.args.defaults]
    new.args.kw_defaults = [d and ast.Constant(None) for d in node.args.kw_defaults]
    maker = source.function_definition(MAKER, source.parameters(PROTOCOL, "__class__"), [new])
    module = ast.Module([maker], [])
    _locate(module, node)
    return new.name, module


class Rewriter(ast.NodeTransformer):
    """One walk over one function; ``scopes`` are the functions being walked, innermost last."""

    def __init__(self, free: Sequence[str]):
        self.free = frozenset(free) - {"__class__"}
        self.scopes: list[Scope] = []
        self._temporaries = 0

    def ask(self, method: str, *args: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.Call:
        """``_jt.method(args)``"""
        function = ast.Attribute(ast.Name(PROTOCOL, ast.Load()), method, ast.Load())
        return ast.Call(function, list(args), list(keywords))

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

    def visit(self, node: ast.AST) -> Any:
        result = super().visit(node)
        for new in result if isinstance(result, list) else [result]:
            if isinstance(new, ast.AST) and hasattr(node, "lineno"):
                _locate(new, node)
        return result

    def visit_all(self, nodes: Sequence[Any]) -> list[Any]:
        return [None if node is None else self.visit(node) for node in nodes]

    def block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in statements:
            new = self.visit(statement)
            result.extend(new if isinstance(new, list) else [new])
        return result

    def refused(self, node: ast.stmt, why: str) -> list[ast.stmt]:
        """A statement that refuses; the names it would bind stay local to the function."""
        names = [name for name in sorted(bindings([node]).names) if self.where(name) == "local"]
        result: list[ast.stmt] = [ast.Expr(self.ask("refuse", ast.Constant(why)))]
        if names:
            targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
            result.append(ast.If(ast.Constant(False), [ast.Assign(targets, ast.Constant(None))], []))
        return result

    # -- expressions

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "__class__" or not isinstance(node.ctx, ast.Load):
            return node
        where = self.where(node.id)
        if where == "local":
            return node
        return self.ask("cell" if where == "cell" else "load_global", ast.Constant(node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return self.ask("attribute", self.visit(node.value), ast.Constant(node.attr))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return self.ask("item", self.visit(node.value), self.key(node.slice))

    def key(self, node: ast.expr) -> ast.expr:
        """An index: slices in it become `slice` objects."""
        if isinstance(node, ast.Slice):
            bounds = [ast.Constant(None) if b is None else self.visit(b) for b in (node.lower, node.upper, node.step)]
            return _locate(self.ask("slice", *bounds), node)
        if isinstance(node, ast.Tuple):
            return _locate(ast.Tuple([self.key(e) for e in node.elts], ast.Load()), node)
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
        keywords = [
            ast.keyword(k.arg, self.visit(k.value) if k.arg else _locate(self.ask("mapping", self.visit(k.value)), node))
            for k in node.keywords
        ]
        return self.ask("call", self.visit(node.func), *self.visit_all(node.args), keywords=keywords)

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        return ast.Starred(self.ask("iterate", self.visit(node.value)), node.ctx)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.operand, ast.Constant):
            return node
        return self.ask("unary", ast.Constant(_UNARY[type(node.op)]), self.visit(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        return self.ask("binary", ast.Constant(_BINARY[type(node.op)]), self.visit(node.left), self.visit(node.right))

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

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.condition(node.test), self.visit(node.body), self.visit(node.orelse))

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
            self.visit(v) if k is not None else _locate(self.ask("mapping", self.visit(v)), v)
            for k, v in zip(node.keys, node.values, strict=True)
        ]
        return self.ask("adopt", ast.Dict(self.visit_all(node.keys), values))

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        spec = self.visit(node.format_spec) if node.format_spec is not None else ast.Constant("")
        text = self.ask("format", self.visit(node.value), spec, ast.Constant(node.conversion))
        return ast.FormattedValue(text, -1, None)

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
            generator.iter = _locate(values, generator.target)
            generator.ifs = [_locate(self.ask("test", self.visit(test)), test) for test in generator.ifs]
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
        first = _first(node.args)
        self.scopes.append(Scope(parameter_names(node.args) | bindings([node.body]).names, first=first))
        node.body = self.visit(node.body)
        self.scopes.pop()
        return node

    # -- functions

    def defaults(self, args: ast.arguments) -> None:
        args.defaults = self.visit_all(args.defaults)
        args.kw_defaults = self.visit_all(args.kw_defaults)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        decorators = self.visit_all(node.decorator_list)
        self.defaults(node.args)
        new = self.function(node)
        if not decorators and self.where(node.name) == "local":
            return [new]
        value: ast.expr = ast.Name(node.name, ast.Load())
        for decorator in reversed(decorators):
            value = self.ask("call", decorator, value)
        return [new, self.store(ast.Name(node.name, ast.Store()), value)]

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """The definition with its body rewritten, without decorators and annotations."""
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        found = bindings(node.body)
        names = found.names - found.declared.keys()
        self.scopes.append(Scope(names | parameter_names(node.args), found.declared, _first(node.args)))
        body = self.block(node.body)
        if node.args.kwarg is not None:
            keywords = ast.Name(node.args.kwarg.arg, ast.Load())
            body.insert(0, ast.Expr(self.ask("adopt", keywords)))
        self.scopes.pop()
        # What a nested function declares nonlocal is a variable of an enclosing rewritten function, or a cell.
        outer = [n for n, d in found.declared.items() if d == "nonlocal" and self.where(n) == "local"]
        declarations: list[ast.stmt] = [ast.Nonlocal(outer)] if outer else []
        new = source.function_definition(node.name, node.args, declarations + body)
        assert isinstance(new, ast.FunctionDef)
        return new

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> list[ast.stmt]:
        return self.refused(node, "an async function")

    def visit_ClassDef(self, node: ast.ClassDef) -> list[ast.stmt]:
        return self.refused(node, "a class statement inside of a compiled function")

    # -- statements

    def visit_Match(self, node: ast.Match) -> list[ast.stmt]:
        return self.refused(node, "a match statement")

    def visit_TryStar(self, node: Any) -> list[ast.stmt]:
        return self.refused(node, "except*")

    def visit_TypeAlias(self, node: Any) -> list[ast.stmt]:
        return self.refused(node, "a type statement")

    def condition(self, test: ast.expr) -> ast.expr:
        return test if isinstance(test, ast.Constant) else self.ask("test", self.visit(test))

    def visit_If(self, node: ast.If) -> ast.stmt:
        return ast.If(self.condition(node.test), self.block(node.body), self.block(node.orelse))

    def visit_While(self, node: ast.While) -> ast.stmt:
        return ast.While(self.condition(node.test), self.block(node.body), self.block(node.orelse))

    def visit_For(self, node: ast.For) -> ast.stmt:
        values = self.ask("iterate", self.visit(node.iter))
        target, after = self.bound(node.target)
        return ast.For(target, values, after + self.block(node.body), self.block(node.orelse))

    def bound(self, target: ast.expr) -> tuple[ast.expr, list[ast.stmt]]:
        """A plain name for a loop or a context manager to bind, and the assignments that follow it."""
        if isinstance(target, ast.Name) and self.where(target.id) == "local":
            return target, []
        name = self.temporary()
        after = self.assign(target, ast.Name(name, ast.Load()))
        return ast.copy_location(ast.Name(name, ast.Store()), target), after

    def visit_AsyncFor(self, node: ast.AsyncFor) -> list[ast.stmt]:
        raise Unsupported("async for")

    def visit_AsyncWith(self, node: ast.AsyncWith) -> list[ast.stmt]:
        raise Unsupported("async with")

    def visit_With(self, node: ast.With) -> ast.stmt:
        item, *others = node.items
        manager = self.ask("context", self.visit(item.context_expr))
        target, after = (None, []) if item.optional_vars is None else self.bound(item.optional_vars)
        if not others:
            return ast.With([ast.withitem(manager, target)], after + self.block(node.body))
        # A name bound by one item may be read by the next: one statement each.
        inner = ast.copy_location(ast.With(others, node.body), node)
        return ast.With([ast.withitem(manager, target)], [*after, self.visit(inner)])

    def visit_Try(self, node: ast.Try) -> ast.stmt | list[ast.stmt]:
        if leaves(node.finalbody):
            return self.refused(node, "return, break or continue in a finally block")
        handlers = [self.handler(handler) for handler in node.handlers]
        if handlers:
            # A handler of everything must not swallow a refusal.
            refusal = ast.Attribute(ast.Name(PROTOCOL, ast.Load()), "Refuse", ast.Load())
            handlers.insert(0, ast.ExceptHandler(refusal, None, [ast.Raise()]))
        return ast.Try(self.block(node.body), handlers, self.block(node.orelse), self.block(node.finalbody))

    def handler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        kind = None if node.type is None else self.visit(node.type)
        if node.name is not None and self.where(node.name) != "local":
            raise Unsupported("an except clause that binds a global or outer variable")
        return ast.copy_location(ast.ExceptHandler(kind, node.name, self.block(node.body)), node)

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        message = None if node.msg is None else self.visit(node.msg)
        return ast.Assert(self.condition(node.test), message)

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        return [
            self.store(
                ast.Name(alias.asname or alias.name.split(".")[0], ast.Store()),
                self.ask("load_module", ast.Constant(alias.name), ast.Constant(alias.asname is None)),
            )
            for alias in node.names
        ]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        module, level = ast.Constant(node.module or ""), ast.Constant(node.level)
        return [
            self.store(
                ast.Name(alias.asname or alias.name, ast.Store()),
                self.ask("load_from", module, level, ast.Constant(alias.name)),
            )
            for alias in node.names
        ]

    def visit_Global(self, node: ast.Global) -> list[ast.stmt]:
        return []

    def visit_Nonlocal(self, node: ast.Nonlocal) -> list[ast.stmt]:
        return []

    # -- stores

    def setter(self, name: str) -> str:
        return "set_cell" if self.where(name) == "cell" else "set_global"

    def store(self, target: ast.expr, value: ast.expr) -> ast.stmt:
        """One assignment to a name, attribute or item."""
        match target:
            case ast.Attribute():
                name = ast.Constant(target.attr)
                new: ast.stmt = ast.Expr(self.ask("set_attribute", self.visit(target.value), name, value))
            case ast.Subscript():
                new = ast.Expr(self.ask("set_item", self.visit(target.value), self.key(target.slice), value))
            case ast.Name():
                if self.where(target.id) == "local":
                    new = ast.Assign([ast.Name(target.id, ast.Store())], value)
                else:
                    new = ast.Expr(self.ask(self.setter(target.id), ast.Constant(target.id), value))
            case _:
                raise Unsupported(f"an assignment to {type(target).__name__}")
        if hasattr(target, "lineno"):
            _locate(new, target)
        return new

    def target(self, target: ast.expr, after: list[ast.stmt]) -> ast.expr:
        """A target that Python itself unpacks into; what needs the protocol is stored ``after``wards."""
        match target:
            case ast.Tuple() | ast.List():
                nested: list[ast.expr] = []
                for element in target.elts:
                    if isinstance(element, (ast.Tuple, ast.List)):
                        # Unpacked in its own step: its iteration is asked for, too.
                        name = self.temporary()
                        after.extend(self.assign(element, ast.Name(name, ast.Load())))
                        nested.append(ast.Name(name, ast.Store()))
                    else:
                        nested.append(self.target(element, after))
                return ast.copy_location(ast.Tuple(nested, ast.Store()), target)
            case ast.Starred():
                name = self.temporary()
                after.append(self.store(target.value, self.ask("adopt", ast.Name(name, ast.Load()))))
                return ast.copy_location(ast.Starred(ast.Name(name, ast.Store()), ast.Store()), target)
            case ast.Name() if self.where(target.id) == "local":
                return ast.copy_location(ast.Name(target.id, ast.Store()), target)
        name = self.temporary()
        after.append(self.store(target, ast.Name(name, ast.Load())))
        return ast.copy_location(ast.Name(name, ast.Store()), target)

    def assign(self, target: ast.expr, value: ast.expr) -> list[ast.stmt]:
        if not isinstance(target, (ast.Tuple, ast.List)):
            return [self.store(target, value)]
        after: list[ast.stmt] = []
        unpacked = self.target(target, after)
        new: ast.stmt = ast.Assign([unpacked], self.ask("iterate", value))
        return [_locate(new, target), *after]

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        value = self.visit(node.value)
        if len(node.targets) == 1:
            return self.assign(node.targets[0], value)
        name = self.temporary()
        result: list[ast.stmt] = [ast.Assign([ast.Name(name, ast.Store())], value)]
        for target in node.targets:
            result += self.assign(target, ast.Name(name, ast.Load()))
        return result

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        return ast.Pass() if node.value is None else self.store(node.target, self.visit(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        """``x.name op= value``: the object and the index are evaluated once, before the value."""
        operator = ast.Constant(_BINARY[type(node.op)])
        if isinstance(node.target, ast.Name):
            load = self.visit(ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target))
            return [self.store(node.target, self.ask("inplace", operator, load, self.visit(node.value)))]
        base, key = self.temporary(), self.temporary()
        holder, index = ast.Name(base, ast.Load()), ast.Name(key, ast.Load())
        if isinstance(node.target, ast.Attribute):
            get, put = "attribute", "set_attribute"
            index_value: ast.expr = ast.Constant(node.target.attr)
        else:
            get, put = "item", "set_item"
            index_value = self.key(node.target.slice)
        changed = self.ask("inplace", operator, self.ask(get, holder, index), self.visit(node.value))
        return [
            ast.Assign([ast.Name(base, ast.Store())], self.visit(node.target.value)),
            ast.Assign([ast.Name(key, ast.Store())], index_value),
            ast.Expr(self.ask(put, holder, index, changed)),
        ]

    def visit_Delete(self, node: ast.Delete) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for target in node.targets:
            match target:
                case ast.Attribute():
                    name = ast.Constant(target.attr)
                    result.append(ast.Expr(self.ask("delete_attribute", self.visit(target.value), name)))
                case ast.Subscript():
                    result.append(ast.Expr(self.ask("delete_item", self.visit(target.value), self.key(target.slice))))
                case ast.Name() if self.where(target.id) == "local":
                    result.append(ast.Delete([ast.Name(target.id, ast.Del())]))
                case ast.Tuple() | ast.List():
                    result += self.visit_Delete(ast.Delete(target.elts))
                case _:
                    result.append(ast.Expr(self.ask("refuse", ast.Constant("del of a global or outer variable"))))
        return result


def _structure(target: ast.expr) -> Any:
    """The nesting of a target: ``a, (b, c)`` is ``(None, (None, None))``."""
    return tuple(map(_structure, target.elts)) if isinstance(target, (ast.Tuple, ast.List)) else None


def _first(args: ast.arguments) -> str | None:
    positional = args.posonlyargs + args.args
    return positional[0].arg if positional else None


def _locate(new: Any, at: ast.AST) -> Any:
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
