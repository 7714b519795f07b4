"""The rewriter's control flow: bodies become functions, which the protocol calls once, twice or many times.

    if x: A             ->  def then(): A
    else: B                 def orelse(): B
                            _jt.branch(x, then, orelse, None, _jt_variables)
    while x: A          ->  _jt.while_loop(lambda: x, body, None, _jt_variables)
    for a in x: A       ->  _jt.for_loop(x, body, None, _jt_variables)
    x if t else y       ->  _jt.ternary(t, lambda: x, lambda: y)
    assert x, y         ->  assert _jt.holds(x), y

Variables that a body binds are ``nonlocal`` in it, so they are cells, which the protocol can save and put back
(``_jt_variables`` knows all cells of the function).

A body that leaves (``return``, ``break``, ``continue``) gives a *signal* instead; one that runs to its end gives None.
What follows a statement that may leave becomes a function, too, so that it can run under the condition that the
statement did not:

    if x: return a      ->  def then(): return _jt.returning(a)
    R                       def rest(): R
                            return _jt.finish(_jt.branch(x, then, None, rest, _jt_variables))

Statements that hold a ``yield`` cannot become functions: they stay Python's own, and a test in them has to be plain.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from jitorch.frontend.python import source
from jitorch.frontend.python.expressions import Expressions, locate
from jitorch.frontend.python.scopes import bindings, contains, leaves

VARIABLES = "_jt_variables"
BODY = "_jt_body"
_YIELDS = (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)
_LOOPS = (ast.For, ast.While)
_COMPOUND = (ast.If, *_LOOPS, ast.With, ast.Try)


class ControlFlow(Expressions):
    """Blocks, branches, loops and the ways out of them."""

    def __init__(self, free: Sequence[str]):
        super().__init__(free)
        # For each function being written, innermost last: whether it is a body, how many loops of its own are around
        # here, and how many statements that may leave and yet had to stay Python's own.
        self.bodies: list[bool] = []
        self.loops: list[int] = []
        self.kept: list[int] = []

    # -- blocks

    def block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for index, statement in enumerate(statements):
            leaving = self._leaves(statement)
            if leaving and self._movable(statements[index:]):
                return result + self._leaving(statement, statements[index + 1 :])
            self.kept[-1] += leaving
            result.extend(_list(self.visit(statement)))
            self.kept[-1] -= leaving
        return result

    def _leaves(self, statement: ast.stmt) -> bool:
        return isinstance(statement, _COMPOUND) and leaves([statement])

    def _movable(self, statements: Sequence[ast.stmt]) -> bool:
        """Whether these statements can become functions."""
        if any(contains(s, _YIELDS) for s in statements):
            return False
        # What leaves to a statement that stays Python's own must stay with it.
        if self.kept[-1] and leaves(statements):
            return False
        return not self.loops[-1] or not _leaves_loop(statements)

    def _leaving(self, statement: ast.stmt, rest: Sequence[ast.stmt]) -> list[ast.stmt]:
        """A statement that may leave, and what follows it: the last of a block."""
        if not rest and self.bodies[-1] and isinstance(statement, (ast.With, ast.Try)):
            return [*_list(self.visit(statement))]
        definitions: list[ast.stmt] = []
        following = self._body(rest, definitions, "rest") if rest else ast.Constant(None)
        if isinstance(statement, ast.If):
            call = self._branch(statement, definitions, following)
        elif not rest and isinstance(statement, _LOOPS):
            call = self._loop(statement, definitions)
        else:
            first = self._body([statement], definitions, "first", alone=True)
            call = self.ask("sequence", first, following, _variables())
        if not self.bodies[-1]:
            call = self.ask("finish", call)
        return [*definitions, locate(ast.Return(call), _head(statement))]

    def _body(
        self, statements: Sequence[ast.stmt], definitions: list[ast.stmt], name: str, alone: bool = False,
        parameter: str | None = None, before: Sequence[ast.stmt] = (),
    ) -> ast.expr:  # fmt: skip
        """Define a function of these statements; gives the expression for it.

        ``alone``: the statement itself, not once more as one that leaves.  ``before``: what is written already.
        """
        self._temporaries += 1
        full = f"{BODY}_{name}_{self._temporaries}"
        self.bodies.append(True)
        self.loops.append(0)
        self.kept.append(0)
        if not alone:
            inner = [*before, *self.block(statements)]
        elif isinstance(statements[0], _LOOPS):
            made: list[ast.stmt] = []
            call = self._loop(statements[0], made)
            inner = [*made, locate(ast.Return(call), statements[0])]
        else:
            inner = _list(self.visit(statements[0]))
        self.bodies.pop()
        self.loops.pop()
        self.kept.pop()
        bound = self._bound([*statements, *before])
        body: list[ast.stmt] = [ast.Nonlocal(bound)] if bound else []
        args = source.parameters(*([parameter] if parameter else []))
        definition = source.function_definition(full, args, body + (inner or [ast.Pass()]))
        place = statements[0] if statements else before[0] if before else None
        definitions.append(locate(definition, place) if place is not None else definition)
        return ast.Name(full, ast.Load())

    def _bound(self, nodes: Sequence[ast.AST]) -> list[str]:
        """The variables of enclosing functions that these nodes bind."""
        found = bindings(nodes)
        return sorted(n for n in found.names if self.where(n) == "local" and not n.startswith("_jt_"))

    # -- statements

    def visit_If(self, node: ast.If) -> list[ast.stmt]:
        if isinstance(node.test, ast.Constant) or not self._movable([node]):
            return [ast.If(self.condition(node.test), self.block(node.body), self.block(node.orelse))]
        definitions: list[ast.stmt] = []
        call = self._branch(node, definitions, ast.Constant(None))
        return [*definitions, ast.Expr(call)]

    def _branch(self, node: ast.If, definitions: list[ast.stmt], rest: ast.expr) -> ast.expr:
        test = self.truth(node.test)
        then = self._body(node.body, definitions, "then")
        orelse = self._body(node.orelse, definitions, "else") if node.orelse else ast.Constant(None)
        return locate(self.ask("branch", test, then, orelse, rest, _variables()), node.test)

    def visit_While(self, node: ast.While) -> list[ast.stmt]:
        if not self._movable([node]):
            self.loops[-1] += 1
            body = self.block(node.body)
            self.loops[-1] -= 1
            return [ast.While(self.condition(node.test), body, self.block(node.orelse))]
        definitions: list[ast.stmt] = []
        return [*definitions_and(definitions, self._loop(node, definitions))]

    def visit_For(self, node: ast.For) -> list[ast.stmt]:
        if not self._movable([node]):
            values = self.ask("iterate", self.visit(node.iter))
            target, after = self.bound(node.target)
            self.loops[-1] += 1
            body = self.block(node.body)
            self.loops[-1] -= 1
            return [ast.For(target, values, after + body, self.block(node.orelse))]
        definitions: list[ast.stmt] = []
        return [*definitions_and(definitions, self._loop(node, definitions))]

    def _loop(self, node: ast.stmt, definitions: list[ast.stmt]) -> ast.expr:
        assert isinstance(node, (ast.For, ast.While))
        orelse = self._body(node.orelse, definitions, "else") if node.orelse else ast.Constant(None)
        if isinstance(node, ast.While):
            body = self._body(node.body, definitions, "loop")
            return locate(
                self.ask("while_loop", self._test(node.test, definitions), body, orelse, _variables()), node.test
            )
        values = self.visit(node.iter)
        parameter = self.temporary()
        before = self.assign(node.target, locate(ast.Name(parameter, ast.Load()), node.target))
        name = self._body_of_for(node, definitions, parameter, before)
        return locate(self.ask("for_loop", values, name, orelse, _variables()), node.iter)

    def _body_of_for(
        self, node: ast.For, definitions: list[ast.stmt], parameter: str, before: list[ast.stmt]
    ) -> ast.expr:
        return self._body(node.body, definitions, "loop", parameter=parameter, before=before)

    def _test(self, test: ast.expr, definitions: list[ast.stmt]) -> ast.expr:
        """A test that is evaluated again and again."""
        if not self.needs_place(test):
            return self.later(self.truth(test))
        self._temporaries += 1
        name = f"{BODY}_test_{self._temporaries}"
        bound = self._bound([test])
        body: list[ast.stmt] = [ast.Nonlocal(bound)] if bound else []
        definition = source.function_definition(name, source.parameters(), [*body, ast.Return(self.truth(test))])
        definitions.append(locate(definition, test))
        return ast.Name(name, ast.Load())

    def bound(self, target: ast.expr) -> tuple[ast.expr, list[ast.stmt]]:
        """A plain name for a loop or a context manager to bind, and the assignments that follow it."""
        if isinstance(target, ast.Name) and self.where(target.id) == "local":
            return target, []
        name = self.temporary()
        after = self.assign(target, ast.Name(name, ast.Load()))
        return ast.copy_location(ast.Name(name, ast.Store()), target), after

    def assign(self, target: ast.expr, value: ast.expr) -> list[ast.stmt]:
        """Statements that assign ``value`` to any target."""
        raise NotImplementedError

    # -- ways out

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        value = ast.Constant(None) if node.value is None else self.visit(node.value)
        return ast.Return(self.ask("returning", value) if self.bodies[-1] else value)

    def visit_Break(self, node: ast.Break) -> ast.stmt:
        return node if self.loops[-1] else self._signal(node, "BREAK")

    def visit_Continue(self, node: ast.Continue) -> ast.stmt:
        return node if self.loops[-1] else self._signal(node, "CONTINUE")

    def _signal(self, node: ast.stmt, name: str) -> ast.stmt:
        from_protocol = self.ask("signal", ast.Constant(name))
        return locate(ast.Return(from_protocol), node)

    # -- tests

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        message = None if node.msg is None else self.visit(node.msg)
        if isinstance(node.test, ast.Constant):
            return ast.Assert(node.test, message)
        return ast.Assert(locate(self.ask("holds", self.truth(node.test)), node.test), message)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        if isinstance(node.test, ast.Constant) or self.needs_place(node.body) or self.needs_place(node.orelse):
            return ast.IfExp(self.condition(node.test), self.visit(node.body), self.visit(node.orelse))
        then, orelse = self.later(self.visit(node.body)), self.later(self.visit(node.orelse))
        return self.ask("ternary", self.truth(node.test), then, orelse)


def definitions_and(definitions: list[ast.stmt], call: ast.expr) -> list[ast.stmt]:
    """The definitions of bodies, then the call that runs them."""
    return [*definitions, ast.Expr(call)]


def _head(statement: ast.stmt) -> ast.AST:
    """The part of a statement that errors point at."""
    if isinstance(statement, (ast.If, ast.While)):
        return statement.test
    return statement.iter if isinstance(statement, ast.For) else statement


def _list(statements: ast.stmt | list[ast.stmt]) -> list[ast.stmt]:
    return statements if isinstance(statements, list) else [statements]


def _variables() -> ast.expr:
    return ast.Name(VARIABLES, ast.Load())


def _leaves_loop(statements: Sequence[ast.stmt]) -> bool:
    """Whether these statements may break or continue a loop around them."""
    for statement in statements:
        if isinstance(statement, (ast.Break, ast.Continue)):
            return True
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        loop = isinstance(statement, (*_LOOPS, ast.AsyncFor))
        for name in ("body", "orelse", "finalbody"):
            if (name != "body" or not loop) and _leaves_loop(getattr(statement, name, [])):
                return True
        if any(_leaves_loop(part.body) for part in getattr(statement, "handlers", [])):
            return True
    return False


def rebound(nodes: Sequence[ast.AST]) -> set[str]:
    """The names that branches and loops among these statements bind, or a ``del`` takes: they may have no value."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.If, *_LOOPS, ast.Delete)):
            found |= bindings([node]).names
        elif isinstance(node, ast.stmt):
            if isinstance(node, _COMPOUND) and leaves([node]):
                found |= bindings([node]).names
            found |= rebound([c for c in ast.iter_child_nodes(node) if isinstance(c, (ast.stmt, ast.ExceptHandler))])
        elif isinstance(node, ast.ExceptHandler):
            found |= rebound(node.body)
    return found
