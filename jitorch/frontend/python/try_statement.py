"""The ``else`` of a ``try`` whose body may leave becomes a branch after it.

    try: A                  try:
    except E: B                 ended = False
    else: C                     try: A; ended = True
    finally: D                  except E: B
                                if ended: C
                            finally: D

What follows a statement that may leave runs in a function (`control`), which ends by ``return``: Python would never
come to the ``else``.  The new variable has a name with a dot, which no variable of the user's has.
"""

from __future__ import annotations

import ast
from itertools import count
from typing import Any

from jitorch.frontend.python.expressions import locate
from jitorch.frontend.python.scopes import leaves


class TryStatements(ast.NodeTransformer):
    """Rewrites them all below a node."""

    def __init__(self) -> None:
        self._numbers = count()

    def visit_Try(self, node: ast.Try) -> Any:
        self.generic_visit(node)
        if not node.orelse or not leaves(node.body):
            return node
        ended = f"ended.{next(self._numbers)}"
        tried = ast.Try([*node.body, _assign(ended, True)], node.handlers, [], [])
        following = ast.If(ast.Name(ended, ast.Load()), node.orelse, [])
        new: list[ast.stmt] = [_assign(ended, False), tried, locate(following, node.orelse[0])]
        if node.finalbody:
            new = [ast.Try(new, [], [], node.finalbody)]
        return [locate(statement, node) for statement in new]


def _assign(name: str, value: bool) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))
