"""Graph -> Program: `program(graph)` is what kernel backends call.

One kernel for each stored value, or for several that share a domain; then memory is planned.
"""

from __future__ import annotations

from jitorch.errors import BackendError, CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.graph import Graph, Value
from jitorch.ir.sizes import size_expr
from jitorch.ir.types import ScalarType, TensorType
from jitorch.lower import fuse
from jitorch.lower.abreast import abreast
from jitorch.lower.convolution import convolution
from jitorch.lower.crosswise import tile
from jitorch.lower.epilogue import Sink, merge
from jitorch.lower.groups import Group, groups
from jitorch.lower.inplace import reuse_operands, reuse_written_inputs
from jitorch.lower.layout import Layout, layout
from jitorch.lower.long import long_kernels, long_layout
from jitorch.lower.matmul import matmul
from jitorch.lower.memory import plan_memory
from jitorch.lower.nests import Buffers, Scalars, map_kernel, row_reduction_kernel, scan_kernel, scatter_kernels
from jitorch.lower.pull import STATUS
from jitorch.lower.recipe import Job, Recipe
from jitorch.lower.recompute import recompute
from jitorch.lower.row_kernel import row_kernels
from jitorch.lower.rows import row_groups
from jitorch.lower.target import Target, target_of
from jitorch.lower.weight_gradient import convolution_weight

RECIPES: dict[str, Recipe] = {
    "matmul_batched": matmul,
    "convolution": convolution,
    "convolution_weight": convolution_weight,
}


def can_lower(op_name: str, lowering: str | None) -> bool:
    """Whether `program` makes kernels for a primitive."""
    if lowering == "recipe":
        return op_name in RECIPES
    return lowering in ("scalar", "pull", "reduce", "scan", "scatter")


def program(graph: Graph, name: str | None = None, target: Target | str = "cpu") -> host.Program:
    """Lower ``graph``, which holds primitives only, to a host program over kernels.

    Inputs of tensor type become the program's inputs, outputs that are no write-back its outputs (a
    write-back is stored into its input); sizes and Python numbers its scalars, in that order.
    ``target`` is what recipes schedule for; "cpu" and "gpu" stand for a common one.
    """
    lowering = _Lowering(graph, name or graph.name, target_of(target))
    made = reuse_written_inputs(lowering.run())
    return plan_memory(reuse_operands(made, lowering.once))


class _Lowering:
    def __init__(self, graph: Graph, name: str, target: Target):
        self.graph, self.name, self.target = graph, name, target
        self.plan = fuse.plan(graph)
        self.layouts: dict[Group, Layout] = {}
        self.buffers: Buffers = {}
        self.scalars: Scalars = {}
        self.sizes: dict[str, k.Expr] = {}
        self.body: list[host.Stmt] = []
        self.kernel_names: dict[str, int] = {}
        self.once: set[str] = set()  # kernels that store each element once

    def run(self) -> host.Program:
        graph = self.graph
        inputs = [self._declare(v, f"in{i}") for i, v in enumerate(graph.inputs) if isinstance(v.type, TensorType)]
        for i, v in enumerate(graph.inputs):
            if isinstance(v.type, ScalarType):
                self.scalars[v] = k.Var(f"number{i}", v.type.dtype)
        outputs, copies = self._outputs()
        found = self._groups()
        hidden = {v for group in found for v in group.hidden}
        for i, v in enumerate(self.plan.stored):
            if v not in self.buffers and v not in hidden:
                buffer = self._declare(v, f"buf{i}")
                self.body.append(host.Alloc(buffer, self.sizes[buffer.name]))
        for group in found:
            for kernel in self._kernels(group):
                if group.is_elementwise:
                    self.once.add(kernel.name)
                self.body.append(host.Launch(kernel, kernel.params))
        self.body += copies
        uses_status = any(STATUS in kernel.params for kernel in self._launched())
        symbols = tuple(k.Var(s.name) for s in graph.symbols)
        return host.Program(
            self.name,
            tuple(inputs),
            tuple(outputs),
            (*symbols, *self.scalars.values()),
            tuple(self.body),
            STATUS if uses_status else None,
            None,
            {b.name: self.sizes[b.name] for b in (*inputs, *outputs)},
        )

    def _launched(self) -> list[k.Kernel]:
        return [s.kernel for s in self.body if isinstance(s, host.Launch)]

    def _declare(self, value: Value, name: str) -> k.Buffer:
        type_ = value.type
        if not isinstance(type_, (TensorType, ScalarType)):
            raise CompilerBug(f"a value of type {type_} has no memory", ir=self.graph)
        buffer = k.Buffer(name, type_.dtype)
        self.buffers[value] = buffer
        self.sizes[name] = size_expr(type_.size)
        return buffer

    def _outputs(self) -> tuple[list[k.Buffer], list[host.Stmt]]:
        """The output buffers, and the copies into outputs and written inputs that end the program."""
        written = {o for _, o in self.graph.writes}
        outputs: list[k.Buffer] = []
        copies: list[host.Stmt] = []
        for o, value in enumerate(self.graph.outputs):
            if o in written:
                continue
            name = f"out{o}"
            if value.node is not None and value not in self.buffers:
                outputs.append(self._declare(value, name))
                continue
            source = self.buffers.get(value)
            target = k.Buffer(name, value.type.dtype)  # type: ignore[union-attr]
            self.sizes[name] = size_expr(value.type.size)  # type: ignore[union-attr]
            outputs.append(target)
            if source is None:
                copies.append(self._store_number(value, target))
            else:
                copies.append(host.Copy(target, source, self.sizes[name]))
        # Reads of an input that another write-back overwrites must come first: stage through a copy.
        for i, o in self.graph.writes:
            value = self.graph.outputs[o]
            if value is self.graph.inputs[i]:
                continue
            source = self.buffers.get(value) or self._declare(value, f"new{i}")
            if value.node is not None and value in self.plan.stored and source.name == f"new{i}":
                self.body.append(host.Alloc(source, self.sizes[source.name]))
            copies.append(host.Copy(self.buffers[self.graph.inputs[i]], source, size_expr(value.type.size)))  # type: ignore[union-attr]
        return outputs, _order_copies(copies)

    def _store_number(self, value: Value, target: k.Buffer) -> host.Stmt:
        kernel = map_kernel(self._kernel_name("number"), [value], {value: target}, self.scalars)
        return host.Launch(kernel, kernel.params)

    def _kernel_name(self, base: str) -> str:
        count = self.kernel_names[base] = self.kernel_names.get(base, 0) + 1
        return f"{base}_{count}"

    # -- kernels ---------------------------------------------------------------------------------
    def _groups(self) -> list[Group]:
        """The kernels to make, in order, and the layouts of those that go row by row."""
        found = merge(self.plan, groups(self.plan))
        if not self.target.is_cpu:
            return found
        found = row_groups(found, self.plan)
        recompute(found, self.plan)
        wanted = {*self.graph.outputs}.union(*(g.reads.difference(g.values) for g in found))
        for group in found:
            if group.split is not None:
                plan = self.layouts[group] = layout(group, self.plan, wanted.intersection(group.values))
                group.hidden = set(group.values) - plan.memory
            elif not group.is_recipe and (plan := long_layout(group, self.plan)) is not None:
                self.layouts[group] = plan
        return found

    def _kernels(self, group: Group) -> tuple[k.Kernel, ...]:
        value = group.values[0]
        node = value.node
        if node is None:
            raise CompilerBug("an input needs no kernel", ir=self.graph)
        name = self._kernel_name(node.op.name if len(group.values) == 1 or group.is_recipe else "fused")
        kind = node.op.lowering
        if group in self.layouts:
            make = row_kernels if group.split is not None else long_kernels
            kernels, temporaries = make(name, self.layouts[group], self.buffers, self.scalars)
            self.body += [host.Alloc(buffer, size) for buffer, size in temporaries]
            return tuple(map(abreast, kernels))
        if kind == "recipe":
            return self._recipe(name, group)
        if kind == "scatter":
            return scatter_kernels(name, value, node, self.buffers, self.scalars)
        if kind == "scan":
            return (scan_kernel(name, value, node, self.buffers, self.scalars),)
        if kind == "reduce" and fuse.keeps_last_axis(node):
            return (row_reduction_kernel(name, value, node, self.buffers, self.scalars),)
        if kind in ("scalar", "pull", "reduce"):
            stored = {v: b for v, b in self.buffers.items() if v not in group.recomputed}
            kernel = map_kernel(name, group.values, stored, self.scalars)
            return (tile(abreast(kernel)) if self.target.is_cpu else kernel,)
        raise BackendError(f"{node.op.name} ({kind}) has no kernel")

    def _recipe(self, name: str, group: Group) -> tuple[k.Kernel, ...]:
        node = group.values[0].node
        recipe = RECIPES.get(node.op.name) if node is not None else None
        if node is None or recipe is None:
            raise BackendError(f"no recipe lowers {group.values[0]}")
        values = tuple(v for v in group.values if v not in group.hidden)
        sink = Sink(group.values[0], values, self.buffers, self.scalars)
        made = recipe(Job(name, node, self.buffers, self.scalars, self.target, sink))
        for buffer, size in made.temporaries:
            self.body.append(host.Alloc(buffer, size_expr(size)))
        return made.kernels


def _order_copies(copies: list[host.Stmt]) -> list[host.Stmt]:
    """Copies that read a buffer come before the copy that overwrites it; a circle of them is cut by one more copy."""
    ordered: list[host.Stmt] = []
    pending = list(copies)
    while pending:
        free = next((s for s in pending if not _overwrites_a_source(s, pending)), None)
        if free is None:
            free, pending = _cut(pending, ordered)
        ordered.append(free)
        pending.remove(free)
    return ordered


def _overwrites_a_source(statement: host.Stmt, pending: list[host.Stmt]) -> bool:
    if not isinstance(statement, host.Copy):
        return False
    return any(s is not statement and isinstance(s, host.Copy) and s.source == statement.target for s in pending)


def _cut(pending: list[host.Stmt], ordered: list[host.Stmt]) -> tuple[host.Copy, list[host.Stmt]]:
    """Save what the first copy overwrites, for those that read it."""
    first = next(s for s in pending if isinstance(s, host.Copy))
    saved = k.Buffer(f"old_{first.target.name}", first.target.dtype)
    ordered += [host.Alloc(saved, first.size), host.Copy(saved, first.target, first.size)]
    rest = [
        host.Copy(s.target, saved, s.size) if isinstance(s, host.Copy) and s.source == first.target else s
        for s in pending
    ]
    return first, rest
