"""Statements that become simpler ones before they are rewritten.

The ``else`` of a ``try`` whose body may leave becomes a branch after it.  What follows a statement that may leave runs
in a function (`control`), which ends by ``return``: Python would never come to the ``else``.

    try: A                  try:
    except E: B                 ended = False
    else: C                     try: A; ended = True
    finally: D                  except E: B
                                if ended: C
                            finally: D

The test of a ``while`` that binds a name becomes a branch in it: a test is evaluated once more than the body is run,
and what the two bind could not be carried from one to the other.

    while (n := f()) > 1: A         ended = False
    else: B                         while True:
                                        if not (n := f()) > 1: ended = True; break
                                        A
                                    if ended: B

The new variables have names with a dot, which no variable of the user's has.
"""

from __future__ import annotations

import ast
from itertools import count
from typing import Any

from jitorch.frontend.python.expressions import locate
from jitorch.frontend.python.scopes import contains, leaves


class SimplerStatements(ast.NodeTransformer):
    """Rewrites them all below a node."""

    def __init__(self) -> None:
        self._numbers = count()

    def visit_Try(self, node: ast.Try) -> Any:
        self.generic_visit(node)
        if not node.orelse or not leaves(node.body):
            return node
        ended = self._name()
        tried = ast.Try([*node.body, _assign(ended, True)], node.handlers, [], [])
        new: list[ast.stmt] = [_assign(ended, False), tried, _if(ended, node.orelse)]
        if node.finalbody:
            new = [ast.Try(new, [], [], node.finalbody)]
        return [locate(statement, node) for statement in new]

    def visit_While(self, node: ast.While) -> Any:
        self.generic_visit(node)
        if not contains(node.test, (ast.NamedExpr,)):
            return node
        ended = self._name()
        left: list[ast.stmt] = [_assign(ended, True)] if node.orelse else []
        test = ast.If(ast.UnaryOp(ast.Not(), node.test), [*left, ast.Break()], [])
        loop = ast.While(ast.Constant(True), [locate(test, node.test), *node.body], [])
        new = [_assign(ended, False), loop, _if(ended, node.orelse)] if node.orelse else [loop]
        return [locate(statement, node) for statement in new]

    def _name(self) -> str:
        return f"ended.{next(self._numbers)}"


def _if(name: str, body: list[ast.stmt]) -> ast.stmt:
    return locate(ast.If(ast.Name(name, ast.Load()), body, []), body[0])


def _assign(name: str, value: bool) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))
