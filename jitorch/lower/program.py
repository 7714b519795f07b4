"""Graph -> Program: `program(graph)` is what kernel backends call.

One kernel for each stored value, or for several that share a domain; then memory is planned.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from jitorch.dims import Symbol, symbols
from jitorch.errors import BackendError, CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.sizes import size_expr
from jitorch.ir.types import ScalarType, TensorType
from jitorch.lower import control, fuse, groups
from jitorch.lower.alike import Cone, Kernels, Shared, cone
from jitorch.lower.attention.forward import attention, fits_blocks
from jitorch.lower.attention.gradient import attention_gradients
from jitorch.lower.common import common_kernels
from jitorch.lower.compaction import compaction
from jitorch.lower.contractions.matmul import matmul, packed_operand, stores_in_order
from jitorch.lower.convolutions.convolution import convolution
from jitorch.lower.convolutions.weight_gradient import convolution_weight
from jitorch.lower.epilogue import Columns, Sink, merge, merge_columns
from jitorch.lower.groups import Group
from jitorch.lower.index import Index
from jitorch.lower.memory.arena import plan_memory
from jitorch.lower.memory.constants import split
from jitorch.lower.memory.copies import order_copies, share_copies
from jitorch.lower.memory.recompute import recompute
from jitorch.lower.memory.reuse import reuse_operands, reuse_written
from jitorch.lower.names import Names, Origins
from jitorch.lower.nests import Buffers, Scalars, map_kernel, row_reduction_kernel
from jitorch.lower.pull import STATUS, Puller
from jitorch.lower.recipe import Job, Recipe
from jitorch.lower.rows.abreast import abreast
from jitorch.lower.rows.joined import row_groups
from jitorch.lower.rows.kernel import row_kernels
from jitorch.lower.rows.layout import Layout, layout
from jitorch.lower.rows.long import long_kernels, long_layout
from jitorch.lower.scans import scan_kernels
from jitorch.lower.scatters import fill_kernel, index_kernel, scatter_kernels
from jitorch.lower.schedules.borders import cut_borders
from jitorch.lower.schedules.checks import gather_checks, hoist_checks
from jitorch.lower.schedules.crosswise import tile
from jitorch.lower.schedules.quotients import cut_quotients
from jitorch.lower.schedules.stream import stream_results
from jitorch.lower.sorting.nth import nth
from jitorch.lower.sorting.search import search
from jitorch.lower.sorting.sort import argsort
from jitorch.lower.sorting.top import top
from jitorch.lower.strands import cut_into_strands
from jitorch.lower.target import Target, target_of

Given = control.Given

RECIPES: dict[str, Recipe] = {
    "matmul_batched": matmul,
    "convolution": convolution,
    "convolution_weight": convolution_weight,
    "blockwise_attention": attention,
    "attention_gradients": attention_gradients,
    "positions": compaction,
    "argsort_axis": argsort,
    "top_axis": top,
    "nth_axis": nth,
    "search_sorted": search,
}


def takes_whole(node: Node) -> bool:
    """Whether there is a recipe, for processors, that makes a composite node as it is."""
    return node.op.name in RECIPES and node.op.body is not None and fits_blocks(node)


def can_lower(op_name: str, lowering: str | None) -> bool:
    """Whether `program` makes kernels for a primitive, or control flow, whose graphs must be asked for as well."""
    if lowering == "recipe":
        return op_name in RECIPES
    return lowering in ("scalar", "pull", "reduce", "scan", "scatter", "control", "effect")


def program(
    graph: Graph, name: str | None = None, target: Target | str = "cpu", origins: Origins | None = None
) -> host.Program:
    """Lower ``graph``, which holds primitives only, to a host program over kernels.

    Inputs of tensor type become the program's inputs, outputs that are no write-back its outputs (a
    write-back is stored into its input); sizes and Python numbers its scalars, in that order.
    ``target`` is what recipes schedule for; "cpu" and "gpu" stand for a common one.  ``origins`` takes the lines that
    the kernels come from.
    """
    return programs(graph, (), name, target, origins)[0]


def programs(
    graph: Graph,
    constants: Sequence[int],
    name: str | None = None,
    target: Target | str = "cpu",
    origins: Origins | None = None,
) -> tuple[host.Program, host.Program | None]:
    """Like `program`, where the inputs ``constants`` are the same in every call: see `jitorch.lower.memory.constants`.

    The second program, if there is one, takes those inputs, and gives what the first takes behind all its inputs.
    """
    chosen = target_of(target)
    lowering = Lowering(graph, name or graph.name, chosen)
    main, prepare = split(*lowering.run(constants))

    def finish(made: host.Program) -> host.Program:
        made = reuse_operands(made)
        if chosen.is_cpu:
            made = common_kernels(stream_results(share_copies(made), chosen), lowering.names.origins)
            made = cut_into_strands(made, lowering.names.origins)
        return plan_memory(made)

    finished = finish(main), None if prepare is None else finish(prepare)
    if origins is not None:
        origins.update(lowering.names.origins)
    return finished


class Lowering:
    """Makes the statements of one graph: of a whole program, or of a graph that a control node holds."""

    def __init__(
        self,
        graph: Graph,
        name: str,
        target: Target,
        names: Names | None = None,
        outputs: Sequence[Value] | None = None,
        known: Iterable[Symbol] = (),
        fixed: Iterable[Given] = (),
    ):
        """``fixed``: what is the same in every turn of the loop around, if this is the body of one, or in all calls."""
        self.graph, self.name, self.target = graph, name, target
        self.names = names or Names()
        self.is_outermost = names is None
        self.known = {*graph.symbols, *known}
        self.plan = fuse.plan(graph, outputs)
        self.layouts: dict[Group, Layout] = {}
        self.buffers: Buffers = {}
        self.scalars: Scalars = {}
        self.sizes: dict[str, k.Expr] = {}
        self.body: list[host.Stmt] = []
        self.shared: dict[Hashable, Shared] = {}
        self.fixed = frozenset(fixed)
        self.once: list[host.Stmt] = []  # what stands before the loop around, or before all else

    def run(self, constants: Sequence[int] = ()) -> tuple[host.Program, frozenset[k.Buffer]]:
        """The whole program, and which of its inputs are constants; every temporary is still an `Alloc`."""
        graph = self.graph
        inputs = [self._declare(v, f"in{i}") for i, v in enumerate(graph.inputs) if isinstance(v.type, TensorType)]
        self.fixed = frozenset(self.buffers[graph.inputs[i]] for i in constants)
        for i, v in enumerate(graph.inputs):
            if isinstance(v.type, ScalarType):
                self.scalars[v] = k.Var(f"number{i}", v.type.dtype)
        outputs, copies = self._outputs()
        self._statements()
        self.body = [*self.once, *self.body, *order_copies(copies), *self._numbers(outputs)]
        self.body = reuse_written(self.body, frozenset(inputs))
        symbols = tuple(k.Var(s.name) for s in graph.symbols)
        numbers = tuple(self.scalars[v] for v in graph.inputs if isinstance(v.type, ScalarType))
        made = host.Program(
            self.name,
            tuple(inputs),
            tuple(outputs),
            (*symbols, *numbers),
            tuple(self.body),
            STATUS if _can_fail(self.body) else None,
            None,
            {b.name: self.sizes[b.name] for b in (*inputs, *outputs)},
        )
        return made, self.fixed

    def block(self, inputs: Sequence[Given], targets: Sequence[Given]) -> tuple[host.Stmt, ...]:
        """The statements of an inner graph: its inputs are in the buffers and scalars given, and its outputs go to
        ``targets``, of which an input may be one: that is then replaced when nothing reads it any more."""
        for value, given in zip(self.graph.inputs, inputs, strict=True):
            if isinstance(given, k.Buffer):
                self.buffers[value] = given
                self.sizes[given.name] = size_expr(value.type.size)  # type: ignore[union-attr]
            elif given is not None:
                self.scalars[value] = given
        taken = {g for g in inputs if isinstance(g, k.Buffer)}
        copies: list[host.Stmt] = []
        for value, target in zip(self.graph.outputs, targets, strict=True):
            if not isinstance(target, k.Buffer):
                continue
            size = self.sizes[target.name] = size_expr(value.type.size)  # type: ignore[union-attr]
            if isinstance(value.type, ScalarType):
                continue
            value = fuse.behind_flat_views(value)
            if value not in self.buffers:
                if target not in taken:
                    self.buffers[value] = target
                    continue
                source = self._declare(value, self.names.fresh("next"))
                self.body.append(host.Alloc(source, self.sizes[source.name]))
            if self.buffers[value] != target:
                copies.append(host.Copy(target, self.buffers[value], size))
        self._statements()
        changed: list[host.Stmt] = []
        for value, target in zip(self.graph.outputs, targets, strict=True):
            if isinstance(target, k.Var):
                new = k.Var(self.names.fresh("new"), target.dtype)
                self.body.append(host.Scalar(new, self.number(value)))
                changed.append(host.Scalar(target, new))
            elif target is not None and isinstance(value.type, ScalarType):
                self.body.append(self._store_number(value, target))
        self.body += [*order_copies(copies), *changed]
        return tuple(reuse_written(self.body))

    def _statements(self) -> None:
        """Allocate what is stored and append the kernels and control flow of the graph."""
        found = self._groups()
        hidden = {v for group in found for v in group.hidden}
        later: set[Value] = set()
        for i, v in enumerate(self.plan.stored):
            if not isinstance(v.type, TensorType) or v in self.buffers or v in hidden:
                continue
            buffer = self._declare(v, f"buf{i}" if self.is_outermost else self.names.fresh("inner"))
            if self.known.issuperset(symbols(v.type.size)):
                self.body.append(host.Alloc(buffer, self.sizes[buffer.name]))
            else:
                later.add(v)
        checks = self._index_checks(found)
        self.body += map(self._index_check, checks.get(-1, ()))
        for place, group in enumerate(found):
            node = group.values[0].node
            # Sizes that a node before this one has bound.
            for v in (*group.values, *group.columns):
                if v in later and self.known.issuperset(symbols(v.type.size)):  # type: ignore[union-attr]
                    self.body.append(host.Alloc(self.buffers[v], self.sizes[self.buffers[v].name]))
            if node is not None and node.op.lowering in ("control", "effect"):
                self.body += control.statements(self, node)
            else:
                self.body += self._launches(group)
            self.body += map(self._index_check, checks.get(place, ()))

    def _index_checks(self, found: Sequence[Group]) -> dict[int, list[Node]]:
        """The scatters whose index is there after each group, -1 for inputs: it is checked then.

        A step that cannot fail any more may change its operands in place, be it a scatter or what comes before it.
        """
        made = {value: place for place, group in enumerate(found) for value in group.values}
        checks: dict[int, list[Node]] = {}
        for group in found:
            node = group.values[0].node
            if node is not None and node.op.lowering == "scatter" and not self.checks_late:
                read = groups.leaves(self.plan, node.operands[1])
                checks.setdefault(max((made[v] for v in read if v in made), default=-1), []).append(node)
        return checks

    @property
    def checks_late(self) -> bool:
        """Whether scatters check their indices on their way: where one fails, nothing of the caller's has changed."""
        return self.target.is_cpu and self.is_outermost and not self.graph.writes

    def _index_check(self, node: Node) -> host.Stmt:
        kernel = index_kernel(self.names.kernel(f"{node.op.name}_index"), node, self.buffers, self.scalars)
        return host.Launch(kernel, kernel.params)

    def inner(
        self, graph: Graph, inputs: Sequence[Given], targets: Sequence[Given], fixed: Sequence[Given] = ()
    ) -> tuple[host.Stmt, ...]:
        """The `block` of a graph that a node of this one holds, a loop that does not change ``fixed``.

        What needs to be done but once goes to the end of the statements of this graph, or further out.
        """
        stored: list[Value] = []
        for value, target in zip(graph.outputs, targets, strict=True):
            in_memory = isinstance(target, k.Buffer) and isinstance(value.type, TensorType)
            stored += [fuse.behind_flat_views(value)] if in_memory else fuse.host_leaves(value)
        lowering = Lowering(graph, graph.name, self.target, self.names, stored, self.known, fixed)
        block = lowering.block(inputs, targets)
        self.body += lowering.once
        return block

    def given(self, value: Value) -> Given:
        """Where an inner graph finds ``value``: a buffer, a scalar, or None for an effect token."""
        if isinstance(value.type, ScalarType):
            return self.variable(value)
        if not isinstance(value.type, TensorType):
            return None
        buffer = self._memory(value)
        if buffer is None:
            raise CompilerBug("an operand of control flow has no memory", ir=self.graph)
        return buffer

    def _memory(self, value: Value) -> k.Buffer | None:
        """Where the elements of ``value`` are, if they are anywhere: a view may be in memory, and what it shows not."""
        while value not in self.buffers and value.node is not None and value.node.op.name in fuse.FLAT_VIEWS:
            value = value.node.operands[0]
        return self.buffers.get(value)

    def fill(self, target: k.Buffer, value: Value) -> None:
        """Append what puts ``value`` into ``target``."""
        source = self._memory(value)
        if source is not None:
            self.body.append(host.Copy(target, source, size_expr(value.type.size)))  # type: ignore[union-attr]
        else:
            self.body.append(self._store_number(value, target))

    def variable(self, value: Value) -> k.Var:
        """A host scalar that holds the number ``value``."""
        known = self.scalars.get(value)
        if known is None:
            number = self.number(value)
            known = number if isinstance(number, k.Var) else k.Var(self.names.fresh("value"), number.dtype)
            if known is not number:
                self.body.append(host.Scalar(known, number))
        return known

    def number(self, value: Value) -> k.Expr:
        """The one element of ``value`` for the host, which is all computed when this is called.

        A few scalar operations are done by the host; a kernel does what loops.
        """
        puller = Puller(self.buffers, self.scalars)
        element = puller.pull(value, Index((), ()))
        steps = puller.block.statements
        if not all(isinstance(s, k.Let) for s in steps):
            buffer = k.Buffer(self.names.fresh("cell"), element.dtype)
            self.body += [host.Alloc(buffer, k.const(1)), self._store_number(value, buffer)]
            return k.Load(buffer, k.const(0))
        named: dict[k.Var, k.Expr] = {}
        for step in steps:
            if isinstance(step, k.Let):
                var = named[step.var] = k.Var(self.names.fresh("value"), step.var.dtype)
                self.body.append(host.Scalar(var, k.transform(step.value, lambda e: _renamed(e, named))))
        return k.transform(element, lambda e: _renamed(e, named))

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
            if value.node is not None and value not in self.buffers and not _is_host_number(value):
                outputs.append(self._declare(value, name))
                continue
            source = self.buffers.get(value)
            target = k.Buffer(name, value.type.dtype)  # type: ignore[union-attr]
            self.sizes[name] = size_expr(value.type.size)  # type: ignore[union-attr]
            outputs.append(target)
            if source is not None:
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
        return outputs, copies

    def _numbers(self, outputs: Sequence[k.Buffer]) -> list[host.Stmt]:
        """The stores of outputs that are host scalars: Python numbers from outside or from control flow."""
        written = {o for _, o in self.graph.writes}
        values = [v for o, v in enumerate(self.graph.outputs) if o not in written]
        return [self._store_number(v, b) for v, b in zip(values, outputs, strict=True) if v in self.scalars]

    def _store_number(self, value: Value, target: k.Buffer) -> host.Stmt:
        kernel = map_kernel(self.names.kernel("number"), [value], {**self.buffers, value: target}, self.scalars)
        return host.Launch(kernel, kernel.params)

    # -- kernels ---------------------------------------------------------------------------------
    def _groups(self) -> list[Group]:
        """The kernels to make, in order, and the layouts of those that go row by row."""
        found = merge(self.plan, groups.groups(self.plan), stores_in_order)
        if not self.target.is_cpu:
            return found
        if self.fixed and not self.is_outermost:
            # In a loop a step is short: what follows a product is done by the tasks that have it.
            found = merge_columns(self.plan, found)
        found = row_groups(found, self.plan)
        if not self.fixed:
            recompute(found, self.plan, packed_operand)
        wanted = {*self.plan.outputs}.union(*(g.reads.difference(g.values) for g in found))
        for group in found:
            if group.split is not None:
                plan = self.layouts[group] = layout(group, self.plan, wanted.intersection(group.values))
                group.hidden = set(group.values) - plan.memory
            elif not group.is_recipe and (plan := long_layout(group, self.plan)) is not None:
                self.layouts[group] = plan
            elif group.is_map:
                # Steps of one kernel, which none but it reads.
                group.hidden |= set(group.values) - wanted
        return found

    def _launches(self, group: Group) -> list[host.Stmt]:
        """What computes ``group``: kernels of its own, or those of a group like it."""
        node = group.values[0].node
        if node is None:
            raise CompilerBug("an input needs no kernel", ir=self.graph)
        name = self.names.kernel(node.op.name if len(group.values) == 1 or group.is_recipe else "fused")
        buffers = self.buffers
        if group.recomputed:
            buffers = {v: b for v, b in buffers.items() if v not in group.recomputed}
        here = cone(group, buffers, self.scalars)
        fixed = frozenset(v for v in node.operands if self._is_fixed(v)) if group.is_recipe else frozenset[Value]()
        key = None if here.key is None else (here.key, tuple(v in fixed for v in node.operands))
        shared = self.shared.get(key)
        if shared is None:
            shared = Shared(name, here, *self._kernels(name, group, node, here, fixed))
            if key is not None:
                self.shared[key] = shared
        for kernel in (*shared.once.kernels, *shared.always.kernels):
            self.names.origins.setdefault(kernel.name, {}).update(dict.fromkeys(here.lines))
        once, always = shared.statements(name, here)
        self.once += once
        base = self._base(node) if node.op.lowering == "scatter" else None
        if base is not None:
            target = self.buffers[group.values[0]]
            always.insert(0, host.Copy(target, base, self.sizes[target.name]))
        return always

    def _base(self, node: Node) -> k.Buffer | None:
        """The memory of what a scatter changes a copy of, if it has any."""
        return self._memory(node.operands[0])

    def _is_fixed(self, value: Value) -> bool:
        """Whether ``value`` is a view of memory that no turn of the loop around changes, or joined of such views."""
        if value in self.buffers:
            return self.buffers[value] in self.fixed
        node = value.node
        is_view = node is not None and (node.op.name in fuse.VIEWS or node.op.name == "concatenate")
        return is_view and all(map(self._is_fixed, node.operands))  # type: ignore[union-attr]

    def _kernels(self, name: str, group: Group, node: Node, here: Cone, fixed: frozenset[Value]) -> tuple[Kernels, ...]:
        """The kernels of a group, and those of them that run but once."""
        value, kind = group.values[0], node.op.lowering
        if group in self.layouts:
            make = row_kernels if group.split is not None else long_kernels
            kernels, temporaries = make(name, self.layouts[group], here.buffers, here.scalars)
            return (Kernels(tuple(map(abreast, kernels)), temporaries),)
        if kind == "recipe":
            return self._recipe(name, group, node, here, fixed)
        if kind == "scatter":
            made = scatter_kernels(name, value, node, here.buffers, here.scalars, self.target.is_cpu, self.checks_late)
            if self._base(node) is not None:
                return (made,)
            fill = fill_kernel(name, value, node, here.buffers, here.scalars)
            return (Kernels((fill, *made.kernels), made.temporaries),)
        if kind == "scan":
            return (scan_kernels(name, group.values, here.buffers, here.scalars, self.target),)
        if kind == "reduce" and fuse.keeps_last_axis(node):
            return (Kernels((row_reduction_kernel(name, value, node, here.buffers, here.scalars),)),)
        if kind in ("scalar", "pull", "reduce"):
            kernel = map_kernel(name, group.values, here.buffers, here.scalars, group.hidden)
            if self.target.is_cpu:
                sizes = {symbol.name: symbol.dim for symbol in self.known}
                kernel = tile(cut_borders(cut_quotients(abreast(kernel), sizes), sizes), self.target)
                kernel = gather_checks(hoist_checks(kernel))
            return (Kernels((kernel,)),)
        raise BackendError(f"{node.op.name} ({kind}) has no kernel")

    def _recipe(self, name: str, group: Group, node: Node, here: Cone, fixed: frozenset[Value]) -> tuple[Kernels, ...]:
        recipe = RECIPES.get(node.op.name)
        if recipe is None:
            raise BackendError(f"no recipe lowers {group.values[0]}")
        values = tuple(v for v in group.values if v not in group.hidden)
        sink = Sink(group.values[0], values, here.buffers, here.scalars)
        columns = None
        if group.columns:
            count = node.output.type.shape[1] // group.columns[0].type.shape[1]  # type: ignore[union-attr,operator]
            columns = Columns(tuple(group.columns), count, here.buffers, here.scalars)
        in_turn = bool(fixed) and not self.is_outermost
        made = recipe(Job(name, node, here.buffers, here.scalars, self.target, sink, fixed, columns, in_turn))
        parts = (made,) if made.once is None else (made, made.once)
        return tuple(Kernels(m.kernels, [(b, size_expr(size)) for b, size in m.temporaries]) for m in parts)


def _renamed(e: k.Expr, names: dict[k.Var, k.Expr]) -> k.Expr:
    return names.get(e, e) if isinstance(e, k.Var) else e


def _is_host_number(value: Value) -> bool:
    """Whether control flow leaves ``value`` in a host scalar."""
    return isinstance(value.type, ScalarType) and value.node is not None and value.node.op.lowering == "control"


def _can_fail(body: Sequence[host.Stmt]) -> bool:
    """Whether a statement may set the status."""
    return any(
        isinstance(s, host.Stop) or (isinstance(s, host.Launch) and STATUS in s.kernel.params) for s in host.walk(body)
    )
