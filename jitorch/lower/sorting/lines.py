"""The lines of a recipe's operand: all elements along one axis, for one place in the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jitorch.ir import kernel as k
from jitorch.ir.graph import Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.index import Index
from jitorch.lower.nests import kernel_of
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job


class Lines:
    """The lines of a recipe's operand along ``axis``, each the work of one task."""

    def __init__(self, job: Job, axis: int):
        self.job, self.axis = job, axis
        self.operand: Value = job.node.operands[0]
        self.shape = job.types[0].shape
        self.puller = Puller(job.buffers, job.scalars)
        self.variables = [k.Var(f"i{a}") for a in range(len(self.shape))]

    @property
    def length(self) -> k.Expr:
        return size_expr(self.shape[self.axis])

    @property
    def number(self) -> k.Expr:
        """The line's number."""
        number: k.Expr = k.const(0)
        for a, d in enumerate(self.shape):
            if a != self.axis:
                number = number * size_expr(d) + self.variables[a]
        return number

    def place(self, along: k.Expr) -> list[k.Expr]:
        """The coordinates of element ``along`` of the line."""
        return [along if a == self.axis else v for a, v in enumerate(self.variables)]

    def element(self, along: k.Expr) -> k.Expr:
        return self.puller.pull(self.operand, Index.of(self.shape, self.place(along)))

    def kernel(self, body: Callable[[], None], scratch: Sequence[k.Buffer]) -> k.Kernel:
        """The kernel that does ``body`` for each line."""
        others = [a for a in range(len(self.shape)) if a != self.axis]

        def nest(j: int) -> None:
            if j == len(others):
                body()
            else:
                axis = others[j]
                self.puller.loop(self.variables[axis], size_expr(self.shape[axis]), lambda: nest(j + 1), "parallel")

        nest(0)
        return kernel_of(self.job.name, tuple(self.puller.block.statements), tuple(scratch))

    def store(self, along: k.Expr, element: k.Expr) -> None:
        """Give the result its ``element`` at ``along``."""
        for statement in self.job.sink.store(self.place(along), element):
            self.puller.emit(statement)

    def store_if(self, test: k.Expr, along: k.Expr, element: k.Expr) -> None:
        """The same where ``test`` holds."""
        statements, _ = self.puller.nested(lambda: self.store(along, element))
        self.puller.emit(k.If(test, statements))
