"""The rewriter: every load, call, operator, test and store of a function goes through ``_jt``.

    x                ->  x (a local), _jt.cell("x"), _jt.load_global("x")
    x.name, x[i]     ->  _jt.attribute(x, "name"), _jt.item(x, i)
    f(x)             ->  _jt.call(f, x)
    x + y, x < y     ->  _jt.binary("add", x, y), _jt.compare("lt", x, y)
    x.name = y       ->  _jt.set_attribute(x, "name", y)
    [x, y]           ->  _jt.adopt([x, y])

Branches and loops are the matter of `control`; other statements stay Python's own.
``match`` statements are branches (`match_statement`), and so are parts of other statements (`simpler_statements`).
Whatever could not be seen through the protocol (class statements, coroutines) becomes a refusal *where it is reached*.
All new nodes carry the line and columns of the node they replace, so tracebacks point at the user's source.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from jitorch.frontend.python import source
from jitorch.frontend.python.control import VARIABLES, ControlFlow, rebound
from jitorch.frontend.python.expressions import BINARY, PROTOCOL, Unsupported, first_parameter, locate
from jitorch.frontend.python.match_statement import Asked, MatchStatements
from jitorch.frontend.python.scopes import Scope, bindings, clone, leaves, mangle, parameter_names
from jitorch.frontend.python.simpler_statements import SimplerStatements

MAKER = "_jt_maker"
_BRANCHING = (ast.If, ast.While, ast.For, ast.With, ast.Try)


def rewrite(node: source.FunctionNode, class_name: str | None, free: Sequence[str]) -> tuple[str, ast.Module]:
    """A module that defines `MAKER`, which defines the rewritten function; and that function's name.

    ``free``: the free variables of the function's code, which are read through the protocol.
    """
    if isinstance(node, ast.AsyncFunctionDef):
        raise Unsupported("an async function")
    node = SimplerStatements().visit(MatchStatements().visit(clone(node)))
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
    locate(module, node)
    return new.name, module


class Rewriter(ControlFlow):
    """Statements other than branches and loops: stores go through the protocol."""

    def refused(self, node: ast.stmt, why: str) -> list[ast.stmt]:
        """A statement that refuses; the names it would bind stay local to the function."""
        names = [name for name in sorted(bindings([node]).names) if self.where(name) == "local"]
        result: list[ast.stmt] = [ast.Expr(self.ask("refuse", ast.Constant(why)))]
        if names:
            targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
            result.append(ast.If(ast.Constant(False), [ast.Assign(targets, ast.Constant(None))], []))
        return result

    # -- functions

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
        names |= parameter_names(node.args)
        scope = Scope(names, found.declared, first_parameter(node.args), rebound(node.body))
        self.scopes.append(scope)
        self.bodies.append(False)
        self.loops.append(0)
        self.kept.append(0)
        body = self.block(node.body)
        body[:0] = self.variables(node, sorted(names))
        self.bodies.pop()
        self.loops.pop()
        self.kept.pop()
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

    def variables(self, node: ast.FunctionDef, names: list[str]) -> list[ast.stmt]:
        """What tells the protocol the function's variables, where branches or loops may change them."""
        inner = [n for n in ast.walk(node) if isinstance(n, (*_BRANCHING, ast.Nonlocal))]
        if not inner:
            return []
        # Functions inside that bind variables of this one may run in a branch of somebody else.
        shared = any(isinstance(n, ast.Nonlocal) for n in inner)
        values = ast.Tuple([ast.Name(n, ast.Load()) for n in names], ast.Load())
        call = self.ask("variables", self.later(values), ast.Constant(shared))
        found: list[ast.stmt] = [ast.Assign([ast.Name(VARIABLES, ast.Store())], call)]
        own = [n for n in names if n not in parameter_names(node.args)]
        if own:  # bound here, though only the functions inside may store to them
            targets: list[ast.expr] = [ast.Name(n, ast.Store()) for n in own]
            found.append(ast.If(ast.Constant(False), [ast.Assign(targets, ast.Constant(None))], []))
        return found

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> list[ast.stmt]:
        return self.refused(node, "an async function")

    def visit_ClassDef(self, node: ast.ClassDef) -> list[ast.stmt]:
        return self.refused(node, "a class statement inside of a compiled function")

    # -- statements

    def visit_Asked(self, node: Asked) -> ast.expr:
        return self.ask(node.method, *self.visit_all(node.arguments))

    def visit_TryStar(self, node: Any) -> list[ast.stmt]:
        return self.refused(node, "except*")

    def visit_TypeAlias(self, node: Any) -> list[ast.stmt]:
        return self.refused(node, "a type statement")

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

    def store(self, target: ast.expr, value: ast.expr) -> ast.stmt:
        """One assignment to a name, attribute or item: the value is evaluated before them."""
        match target:
            case ast.Attribute():
                parts = {"value": value, "target": self.visit(target.value), "name": ast.Constant(target.attr)}
                new: ast.stmt = ast.Expr(self.ask_in_order("set_attribute", parts))
            case ast.Subscript():
                parts = {"value": value, "target": self.visit(target.value), "key": self.key(target.slice)}
                new = ast.Expr(self.ask_in_order("set_item", parts))
            case ast.Name():
                if self.where(target.id) == "local":
                    new = ast.Assign([ast.Name(target.id, ast.Store())], value)
                else:
                    new = ast.Expr(self.ask(self.setter(target.id), ast.Constant(target.id), value))
            case _:
                raise Unsupported(f"an assignment to {type(target).__name__}")
        if hasattr(target, "lineno"):
            locate(new, target)
        return new

    def target(self, target: ast.expr, after: list[ast.stmt]) -> ast.expr:
        """A target that Python itself unpacks into; what needs the protocol is stored ``after``wards.

        So is what stands behind it: targets are stored to from left to right, and one may decide where the next is.
        """
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
                return locate(ast.Tuple(nested, ast.Store()), target)
            case ast.Starred():
                name = self.temporary()
                after.append(self.store(target.value, self.ask("adopt", ast.Name(name, ast.Load()))))
                return locate(ast.Starred(ast.Name(name, ast.Store()), ast.Store()), target)
            case ast.Name() if self.where(target.id) == "local" and not after:
                return locate(ast.Name(target.id, ast.Store()), target)
        name = self.temporary()
        after.append(self.store(target, ast.Name(name, ast.Load())))
        return locate(ast.Name(name, ast.Store()), target)

    def assign(self, target: ast.expr, value: ast.expr) -> list[ast.stmt]:
        if not isinstance(target, (ast.Tuple, ast.List)):
            return [self.store(target, value)]
        after: list[ast.stmt] = []
        unpacked = self.target(target, after)
        new: ast.stmt = ast.Assign([unpacked], self.ask("iterate", value))
        return [locate(new, target), *after]

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
        operator = ast.Constant(BINARY[type(node.op)])
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
