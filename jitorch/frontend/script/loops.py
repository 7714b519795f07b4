"""Branches and loops: what is known of each variable where they end, over all the ways that lead there."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jitorch.frontend.script.assignments import Assignments
from jitorch.frontend.script.frame import Conflict, Variables
from jitorch.frontend.script.relations import iterator
from jitorch.ir.graph import Graph
from jitorch.ir.types import BOOL, INT

Ends = list[tuple[Variables, str]]
"""Ways to a place in the program: what is known of the variables on each, and how to call it in a message."""

_ROUNDS = 4  # the type of a variable widens at most from a type to its optional, and to what was declared


@dataclass
class Loop:
    """An open loop: how it was left so far, and how its next turn was reached early."""

    breaks: Ends = field(default_factory=list)
    continues: Ends = field(default_factory=list)


class Loops(Assignments):
    """See the module's docstring."""

    loops: list[Loop]

    @abstractmethod
    def body(self, statements: list[ast.stmt]) -> None:
        """Statements in order; what cannot be reached is not compiled."""

    def _do_if(self, node: ast.If) -> None:
        test = self.condition(node.test)
        if test.value is None:
            self.body(node.body if test.decided else node.orelse)
            return
        before = dict(self.variables)
        then, after_then = self._branch("then", node.body, test.true)
        self.variables = dict(before)
        orelse, after_else = self._branch("orelse", node.orelse, test.false)
        condition = ast.unparse(node.test)
        self._go_on(before, _reached((after_then, condition), (after_else, f"not ({condition})")))
        self.at = node
        self.emit("if", [test.value], then=then, orelse=orelse)

    def _branch(self, name: str, statements: list[ast.stmt], known: Variables) -> tuple[Graph, Variables | None]:
        """The region, and what is known at its end; None if the end is not reached."""
        with self.region(name) as region:
            self.variables |= known
            self.body(statements)
        return region, self._end_of_region()

    def _end_of_region(self) -> Variables | None:
        reached = None if self.left else self.variables
        self.left = False
        return reached

    def _go_on(self, before: Variables, ends: Ends) -> None:
        """What comes next is reached by ``ends``; by none of them, it is not compiled."""
        self.variables = self.merge(before, ends)
        self.left = not ends

    # -- loops

    def _do_while(self, node: ast.While) -> None:
        def turn() -> tuple[Graph, Graph, Variables | None]:
            with self.region("test") as head:
                test = self.condition(node.test)
                head.outputs = [self.constant(bool(test.decided)) if test.value is None else test.value]
            endless = test.value is None and test.decided
            ends = None if endless else self.variables | test.false
            self.variables = self.variables | test.true
            with self.region("body") as body:
                self.body(node.body)
            return head, body, ends

        test, body, orelse = self._loop(turn, node.orelse)
        self.at = node
        self.emit("while", [], test=test, body=body, orelse=orelse)

    def _do_for(self, node: ast.For) -> None:
        makers = self.unrolled(node.iter)
        if makers is not None:
            self._for_modules(node, makers)
            return
        source = self.expr(node.iter)
        element = self.iterated(source, node.iter)

        def turn() -> tuple[Any, Graph, Variables]:
            before = dict(self.variables)
            with self.region("body") as body:
                target = self.bind(node.target, element)
                self.body(node.body)
            return target, body, before

        target, body, orelse = self._loop(turn, node.orelse)
        self.at = node
        self.emit("for", [source], target=target, body=body, orelse=orelse)

    def _loop(
        self, turn: Callable[[], tuple[Any, Graph, Variables | None]], otherwise: list[ast.stmt]
    ) -> tuple[Any, Graph, Graph | None]:
        """Compile a loop's body until the types of its variables do not change from turn to turn, then its ``else``.

        ``turn`` gives the loop's head, its body, and what is known where its test fails; None if that never happens.
        """
        skipped = "the loop runs no turn"
        for _ in range(_ROUNDS):
            before = dict(self.variables)
            loop = Loop()
            self.loops.append(loop)
            head, body, ends = turn()
            self.loops.pop()
            again = [*_reached((self._end_of_region(), "the loop goes on")), *loop.continues]
            # What the body alone sets has no value when the next turn begins.
            turns = [({n: v[n] for n in before if n in v}, w) for v, w in again]
            merged = self.merge(before, [(before, skipped), *turns])
            if merged == before or any(isinstance(v, Conflict) for v in merged.values()):
                break
            self.variables = merged
        exits = [] if ends is None else [(ends, skipped), *again]
        region, exits = self._otherwise(before, exits, otherwise)
        self._go_on(before, [*exits, *loop.breaks])
        return head, body, region

    def _otherwise(self, before: Variables, exits: Ends, statements: list[ast.stmt]) -> tuple[Graph | None, Ends]:
        """The ``else`` of a loop that ends by ``exits``, and the ways that lead out of it."""
        if not statements or not exits:
            return None, exits
        self.variables = self.merge(before, exits)
        region, after = self._branch("orelse", statements, {})
        return region, _reached((after, "the loop does not break"))

    def _do_break(self, node: ast.Break) -> None:
        self.loops[-1].breaks.append((dict(self.variables), "the loop breaks"))
        self.emit("break", [])
        self.left = True

    def _do_continue(self, node: ast.Continue) -> None:
        self.loops[-1].continues.append((dict(self.variables), "the loop continues"))
        self.emit("continue", [])
        self.left = True

    # -- loops over modules, whose turns are written out

    @abstractmethod
    def substitute(self, target: ast.expr, make: Any) -> None:
        """Let the names of ``target`` stand for what ``make`` gives, made anew at each use."""

    def _for_modules(self, node: ast.For, makers: list[Any]) -> None:
        if any(_jumps(node.body)):
            self._numbered_turns(node, makers)
        else:
            for make in makers:
                self.substitute(node.target, make)
                self.body(node.body)
            self.body(node.orelse)
        for name in (n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)):
            self.variables.pop(name, None)

    def _numbered_turns(self, node: ast.For, makers: list[Any]) -> None:
        """A loop over numbers with a branch for each turn, so that ``break`` and ``continue`` have a loop."""
        number = self.free_variable("_turn")
        before = dict(self.variables)
        loop = Loop()
        self.loops.append(loop)
        ends: Ends = [(before, "the loop runs no turn")]
        with self.region("body") as body:
            for i, make in enumerate(makers):
                self.substitute(node.target, make)
                loop.continues = []
                then, after = self._branch("then", node.body, {})
                is_turn = [self.emit("local", [], INT, name=number), self.constant(i)]
                test = self.emit("compare", is_turn, BOOL, names=("eq",))
                self.emit("if", [test], then=then, orelse=Graph("orelse"))
                ends = [*_reached((after, "the loop goes on")), *loop.continues]
                if not ends:
                    break
                self.variables = self.merge(before, ends)
        self.loops.pop()
        orelse, exits = self._otherwise(before, ends, node.orelse)
        self._go_on(before, [*exits, *loop.breaks])
        self.at = node
        turns = self.emit("call", [self.constant(len(makers))], iterator(INT), name="range")
        self.emit("for", [turns], target=number, body=body, orelse=orelse)

    @abstractmethod
    def free_variable(self, wanted: str) -> str:
        """A name for a variable that the function does not have."""


def _reached(*ends: tuple[Variables | None, str]) -> Ends:
    """Those of ``ends`` that are reached."""
    return [(variables, where) for variables, where in ends if variables is not None]


def _jumps(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Each ``break`` and ``continue`` that is of the loop whose body this is."""
    for statement in statements:
        match statement:
            case ast.Break() | ast.Continue():
                yield statement
            case ast.If():
                yield from _jumps([*statement.body, *statement.orelse])
            case ast.With():
                yield from _jumps(statement.body)
            case ast.For() | ast.While():
                yield from _jumps(statement.orelse)
