"""Statements other than assignments, branches and loops; and which there are none of in scripts."""

from __future__ import annotations

import ast
from abc import abstractmethod
from typing import Any

from jitorch.frontend.script import relations, tables
from jitorch.frontend.script.frame import Known
from jitorch.frontend.script.loops import Loops
from jitorch.frontend.script.spelling import spell
from jitorch.ir.graph import Value
from jitorch.ir.types import Type

_REFUSED = {
    "Try": ("try", "test for the error before it happens, or handle it outside of the script"),
    "TryStar": ("try", "test for the error before it happens, or handle it outside of the script"),
    "ClassDef": ("class statements inside of functions", "define the class outside of the function"),
    "Global": ("global", "pass the value as an argument and return the new one"),
    "Nonlocal": ("nonlocal", "return the new value"),
    "Import": ("import", "import at the top of the module"),
    "ImportFrom": ("import", "import at the top of the module"),
    "Match": ("match", "use if and elif"),
    "TypeAlias": ("type statements", "define the alias outside of the function"),
    "AsyncFunctionDef": ("coroutines", "leave async and await out"),
    "AsyncFor": ("coroutines", "leave async and await out"),
    "AsyncWith": ("coroutines", "leave async and await out"),
}
"""The class of a syntax tree: how to call it, and what to write instead."""


class Statements(Loops):
    """See the module's docstring."""

    returns: Type | None  # what was declared
    found_returns: Type | None  # what was returned so far

    def body(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if self.left:
                return
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        """Compile one statement."""
        self.at = node
        name = type(node).__name__
        if name in _REFUSED:
            what, hint = _REFUSED[name]
            raise self.error(f"scripts have no {what}", node=node, hint=hint)
        getattr(self, f"_do_{name.lower()}")(node)

    def _do_pass(self, node: ast.Pass) -> None:
        """Nothing to do."""

    def _do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.meaning(node.value)

    def _do_functiondef(self, node: ast.FunctionDef) -> None:
        if node.decorator_list:
            raise self.error(
                "scripts have no decorators of nested functions", node=node.decorator_list[0], hint="leave it out"
            )
        self.variables[node.name] = Known(node, node.name)

    # -- errors

    def _do_assert(self, node: ast.Assert) -> None:
        test = self.condition(node.test)
        if test.value is None and test.decided:
            return
        value = self.constant(False) if test.value is None else test.value
        message = None if node.msg is None else self.expr(node.msg)
        self.emit("assert", [value, message])
        self.variables |= test.true

    def _do_raise(self, node: ast.Raise) -> None:
        cause = node.cause
        if cause is not None and not (isinstance(cause, ast.Constant) and cause.value is None):
            raise self.error("scripts have no raise with a cause", node=cause, hint="put what it says into the message")
        if node.exc is None:
            raise self.error("scripts have no raise without an exception", node=node, hint="raise ValueError(...)")
        call = node.exc if isinstance(node.exc, ast.Call) else None
        named = self.meaning(node.exc if call is None else call.func)
        name = self.exception_name(named.object) if isinstance(named, Known) else None
        if name is None:
            hint = "raise a built-in exception, or a class made of one"
            raise self.error(f"{ast.unparse(node.exc)} is no exception of scripts", node=node.exc, hint=hint)
        if call is not None and call.keywords:
            hint = "pass it by position"
            raise self.error(
                "scripts have no keyword arguments of exceptions", "arguments", call.keywords[0].value, hint=hint
            )
        args = [] if call is None else [self.expr(arg) for arg in call.args]
        self.emit("raise", args, name=name)
        self.left = True

    @abstractmethod
    def exception_name(self, found: Any) -> str | None:
        """The name by which a script raises this class; None for what is no class of exceptions."""

    # -- results

    def _do_return(self, node: ast.Return) -> None:
        value = self.constant(None) if node.value is None else self.expr(node.value, self.returns)
        self.check_return(value, node.value or node)
        self.emit("finish", [value])
        self.left = True

    def check_return(self, value: Value, node: ast.AST) -> None:
        """The value must be of the declared type, or have one in common with what was returned before."""
        if self.returns is not None:
            self.expect(value, self.returns, "the returned value", node)
            return
        found, before = value.type, self.found_returns
        joined = found if before is None else relations.join(before, found, self.program.inherits)
        if joined is None:
            spelled = "" if before is None else spell(before)
            raise self.error(
                "returns of different types", "type-mismatch", node, expected=spelled, actual=spell(found),
                hint=f"annotate the function with -> Union[{spelled}, {spell(found)}], or return one type",
            )  # fmt: skip
        self.found_returns = joined

    # -- contexts

    def _do_with(self, node: ast.With) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                raise self.error("scripts have no with ... as", node=item.optional_vars, hint="leave the name out")
        first, *rest = node.items
        manager = self.expr(first.context_expr)
        name = manager.node.attrs.get("name") if manager.node is not None else None
        if name not in tables.CONTEXTS:
            what = f"{ast.unparse(first.context_expr)} is no context of scripts"
            raise self.error(what, node=first.context_expr, hint="scripts know torch.no_grad() and enable_grad()")
        with self.region("body") as body:
            if rest:
                self.statement(ast.copy_location(ast.With(rest, node.body), node))
            else:
                self.body(node.body)
        self.at = node
        self.emit("with", [manager], body=body)
