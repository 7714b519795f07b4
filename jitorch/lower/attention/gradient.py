"""The gradients of attention without the matrix of scores: `jitorch.ops.attention.attention_gradients`.

The weights are computed again from the scores and the logarithm of each row's sum (Dao, arXiv:2307.08691, algorithm 2).
A task has a run of blocks of keys, adds up what is theirs in scratch memory, and goes over the queries block by
block.  What it adds to the gradient of the queries is a part of its own where several tasks have the same queries;
a second kernel adds the parts in their order, so the result is the same on any number of threads.

Scores lie with the keys along vectors here: what is known of a row is then one number.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.graph import Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.attention.forward import BLOCK_BYTES, QUERIES, Scores, at_most, inside, rows_that_divide
from jitorch.lower.contractions.panels import Batch, ceil_div, split_task
from jitorch.lower.contractions.register_tiles import BlockProduct, count_tiles, lane_split, vectors
from jitorch.lower.contractions.tiles import USUAL_ROWS, choose_tile
from jitorch.lower.nests import kernel_of
from jitorch.lower.recipe import Job, Made

KEYS = 64
"""Of a block: twice as many scores as in the other direction are kept, and the gradients of keys and values."""
TASKS = 8
"""Where there are fewer matrices, their keys are cut into runs; each run has a gradient of the queries of its own."""


def attention_gradients(job: Job) -> Made:
    """``g: [*B, L, V]`` and the operands of attention to the gradients of query, key and value."""
    return _Backward(job).made()


class _Backward:
    def __init__(self, job: Job):
        self.job = job
        self.scores = s = Scores.of(job, 1)
        self.g, *_, self.logarithm, self.common = job.node.operands
        target, dtype = job.target, s.dtype
        self.lanes = target.lanes(dtype)
        rows, keys = min(QUERIES, s.queries), min(KEYS, -(-s.keys // self.lanes) * self.lanes)
        while self._bytes(rows, keys) > BLOCK_BYTES and max(rows, keys) > self.lanes:
            rows, keys = (rows, keys // 2) if keys >= rows and keys > self.lanes else (rows // 2, keys)
        self.keys = max(keys // self.lanes * self.lanes, self.lanes)
        self.tile = choose_tile(target, dtype, rows, self.keys, True, USUAL_ROWS)
        self.rows = -(-rows // self.tile.rows) * self.tile.rows
        self.blocks = -(-s.keys // self.keys)
        self.runs = self._run_count()
        self.scratch: list[k.Buffer] = []
        self.key_lanes = self._scratch("key_lanes", s.size * self.keys)
        self.value_lanes = self._scratch("value_lanes", s.width * self.keys)
        self.weights, self.found = (self._scratch(n, self.rows * self.keys) for n in ("weights", "scores"))
        self.d_key = self._scratch("d_key", self.keys * s.size)
        self.d_value = self._scratch("d_value", self.keys * s.width)
        # Whole tiles of rows are added to it.
        self.padded = -(-s.queries // self.tile.rows) * self.tile.rows
        self.is_direct = self.runs == 1 and self.padded == s.queries
        self.part = job.buffers[job.node.outputs[0]]
        if not self.is_direct:
            self.part = k.Buffer(f"{job.name}_part", dtype)

    def _bytes(self, rows: int, keys: int) -> int:
        s = self.scores
        return 2 * keys * (s.size + s.width + rows) * s.dtype.itemsize

    def _scratch(self, name: str, size: int) -> k.Buffer:
        buffer = k.Buffer(name, self.scores.dtype, "local", size)
        self.scratch.append(buffer)
        return buffer

    def _run_count(self) -> int:
        matrices = dims.prod(self.scores.batch)
        if not isinstance(matrices, int) or not 0 < matrices < TASKS:
            return 1
        return min(self.blocks, -(-TASKS // matrices))

    def made(self) -> Made:
        kernel = self.kernel()
        if self.is_direct:
            return Made((kernel,))
        s = self.scores
        size: Dim = dims.prod((self.runs, *s.batch, self.padded, s.size))
        return Made((kernel, self.sum_of_parts()), ((self.part, size),))

    # -- the kernel over keys ----------------------------------------------------------------------
    def kernel(self) -> k.Kernel:
        s, task = self.scores, k.Var("task")
        head, scale = s.number()
        body: list[k.Stmt] = []
        sizes = (*s.batch, self.runs, 1)
        *batch, run, _ = split_task(task, sizes, body)
        at, start, count = tuple(batch), k.Var("start"), k.Var("count")
        each = -(-self.blocks // self.runs)
        number = k.Var("number")
        blocks = at_most(each, self.blocks, run * each)
        body.append(k.Let(k.Var("queries"), self._queries_at(at, run)))
        inner = (
            k.Let(start, (run * each + number) * self.keys),
            k.Let(count, at_most(self.keys, s.keys, start)),
            *self.begin(at, start),
            self.over_queries(at, start, count, scale),
            *self.end(at, start, count),
        )
        body += [*self.clear_queries(), k.For(number, blocks, inner)]
        tasks = k.For(task, size_expr(dims.prod(sizes)), tuple(body), "parallel")
        return kernel_of(self.job.name, (*head, tasks), tuple(self.scratch))

    def _queries_at(self, batch: Batch, run: k.Expr) -> k.Expr:
        """Where the gradient of this task's queries begins."""
        s, flat = self.scores, run
        for size, at in zip(s.batch, batch, strict=True):
            flat = flat * size_expr(size) + at
        return flat * (self.padded * s.size)

    def clear_queries(self) -> list[k.Stmt]:
        zero, begin = k.const(0, self.scores.dtype), k.Var("queries")
        return list(
            vectors(self.padded * self.scores.size, self.lanes, lambda at: (k.Store(self.part, begin + at, zero),))
        )

    def begin(self, batch: Batch, start: k.Expr) -> list[k.Stmt]:
        """Turn keys and values, so that they lie along vectors, and set out with nothing."""
        s, zero = self.scores, k.const(0, self.scores.dtype)
        return [
            self._turned(batch, start, s.key, self.key_lanes, s.size),
            self._turned(batch, start, s.value, self.value_lanes, s.width),
            *vectors(self.keys * s.size, self.lanes, lambda at: (k.Store(self.d_key, at, zero),)),
            *vectors(self.keys * s.width, self.lanes, lambda at: (k.Store(self.d_value, at, zero),)),
        ]

    def _turned(self, batch: Batch, start: k.Expr, value: Value, to: k.Buffer, size: int) -> k.Stmt:
        e, c, v = k.Var("e"), k.Var("c"), k.Var("v")
        lane = c * self.lanes + v
        key = inside(start + lane, self.scores.keys, self.keys)
        copy = k.Store(to, e * self.keys + lane, self.scores.at(value, batch, key, e))
        columns = k.For(v, k.const(self.lanes), (copy,), "vector")
        return k.For(c, k.const(self.keys // self.lanes), (k.For(e, k.const(size), (columns,)),))

    def over_queries(self, batch: Batch, start: k.Expr, count: k.Expr, scale: k.Expr) -> k.Stmt:
        """All blocks of queries, but those that may not look at any of these keys."""
        s, number, first, rows = self.scores, k.Var("block"), k.Var("first"), k.Var("rows")
        blocks = -(-s.queries // self.rows)
        skipped = k.call("minimum", start // self.rows, k.const(blocks)) if s.causal else k.const(0)
        body = (
            k.Let(first, (skipped + number) * self.rows),
            k.Let(rows, at_most(self.rows, s.queries, first)),
            *self.score(batch, first, start, rows, scale),
            *self.toward_weights(batch, first, rows),
            *self.forbid(first, start, rows, count),
            *self.soften(batch, first, rows, scale),
            *self.to_keys(batch, first, rows, count),
            *self.to_queries(batch, first, start, rows, count),
        )
        return k.For(number, k.const(blocks) - skipped, body)

    def _query(self, place: k.Expr) -> k.Expr:
        return inside(place, self.scores.queries, self.tile.rows)

    def score(self, batch: Batch, first: k.Expr, start: k.Expr, rows: k.Expr, scale: k.Expr) -> tuple[k.Stmt, ...]:
        s = self.scores

        def store(row: k.Expr, lane: k.Expr, total: k.Expr) -> tuple[k.Stmt, ...]:
            key = inside(start + lane, s.keys, self.keys)
            before, element = s.masked(batch, self._query(first + row), key, total * scale)
            return (*before, k.Store(self.weights, row * self.keys + lane, element))

        return self._along_keys("score", s.query, self.key_lanes, s.size, batch, first, rows, store)

    def toward_weights(self, batch: Batch, first: k.Expr, rows: k.Expr) -> tuple[k.Stmt, ...]:
        def store(row: k.Expr, lane: k.Expr, total: k.Expr) -> tuple[k.Stmt, ...]:
            return (k.Store(self.found, row * self.keys + lane, total),)

        width = self.scores.width
        return self._along_keys("toward", self.g, self.value_lanes, width, batch, first, rows, store)

    def _along_keys(
        self, name: str, value: Value, lanes: k.Buffer, size: int, batch: Batch, first: k.Expr, rows: k.Expr,
        store: Callable[[k.Expr, k.Expr, k.Expr], tuple[k.Stmt, ...]],
    ) -> tuple[k.Stmt, ...]:  # fmt: skip
        """A product of rows of ``value``, one a query, with what was turned."""
        product = BlockProduct(
            name, self.scores.dtype, self.tile, count_tiles(rows, self.tile.rows), *lane_split(self.keys, self.tile),
            k.const(size),
            lambda row, e: self.scores.at(value, batch, self._query(first + row), e),
            lambda e, lane: k.Load(lanes, e * self.keys + lane),
            store,
        )  # fmt: skip
        return product.statements(self.scratch)

    def forbid(self, first: k.Expr, start: k.Expr, rows: k.Expr, count: k.Expr) -> tuple[k.Stmt, ...]:
        """Minus infinity for the keys that come after a query, in blocks that have any."""
        if not self.scores.causal:
            return ()
        row, least = k.Var("row"), k.const(-math.inf, self.scores.dtype)

        def test(lane: k.Expr) -> tuple[k.Stmt, ...]:
            place = row * self.keys + lane
            kept = k.where(start + lane <= first + row, k.Load(self.weights, place), least)
            return (k.Store(self.weights, place, kept),)

        each = k.For(row, rows, tuple(vectors(self.keys, self.lanes, test)))
        return (k.If(start + count > first + 1, (each,)),)

    def soften(self, batch: Batch, first: k.Expr, rows: k.Expr, scale: k.Expr) -> tuple[k.Stmt, ...]:
        """Scores to weights, and the gradients of weights to those of products."""
        s, row = self.scores, k.Var("row")
        logarithm, common, weight = (k.Var(n, s.dtype) for n in ("logarithm", "common", "weight"))

        def each(lane: k.Expr) -> tuple[k.Stmt, ...]:
            place = row * self.keys + lane
            return (
                k.Let(weight, k.call("exp", k.Load(self.weights, place) - logarithm)),
                k.Store(self.weights, place, weight),
                k.Store(self.found, place, weight * (k.Load(self.found, place) - common) * scale),
            )

        body = (
            k.Let(logarithm, s.at(self.logarithm, batch, first + row)),
            k.Let(common, s.at(self.common, batch, first + row)),
            *vectors(self.keys, 2 * self.lanes, each),
        )
        return (k.For(row, rows, body),)

    def to_keys(self, batch: Batch, first: k.Expr, rows: k.Expr, count: k.Expr) -> tuple[k.Stmt, ...]:
        """What the rows of a block add to the gradients of values and keys."""
        s = self.scores
        return (
            *self._added("value", self.weights, self.g, self.d_value, s.width, batch, first, rows, count),
            *self._added("key", self.found, s.query, self.d_key, s.size, batch, first, rows, count),
        )

    def _added(
        self, name: str, factors: k.Buffer, value: Value, to: k.Buffer, size: int, batch: Batch, first: k.Expr,
        rows: k.Expr, count: k.Expr,
    ) -> tuple[k.Stmt, ...]:  # fmt: skip
        tile = rows_that_divide(self.job.target, self.scores.dtype, self.keys, size)
        product = BlockProduct(
            name, self.scores.dtype, tile, count_tiles(count, tile.rows), *lane_split(size, tile), rows,
            lambda key, row: k.Load(factors, row * self.keys + key),
            lambda row, lane: self.scores.at(value, batch, first + row, lane),
            lambda key, lane, total: (k.Store(to, key * size + lane, total),),
            lambda key, lane: k.Load(to, key * size + lane),
        )  # fmt: skip
        return product.statements(self.scratch)

    def to_queries(self, batch: Batch, first: k.Expr, start: k.Expr, rows: k.Expr, count: k.Expr) -> tuple[k.Stmt, ...]:
        """What a block of keys adds to the gradients of its queries."""
        s, begin = self.scores, k.Var("queries")
        tile = rows_that_divide(self.job.target, s.dtype, self.tile.rows, s.size)

        def place(row: k.Expr, lane: k.Expr) -> k.Expr:
            return begin + (first + row) * s.size + lane

        product = BlockProduct(
            "query", s.dtype, tile, count_tiles(rows, tile.rows), *lane_split(s.size, tile), count,
            lambda row, key: k.Load(self.found, row * self.keys + key),
            lambda key, lane: s.at(s.key, batch, start + key, lane),
            lambda row, lane, total: (k.Store(self.part, place(row, lane), total),),
            lambda row, lane: k.Load(self.part, place(row, lane)),
        )  # fmt: skip
        return product.statements(self.scratch)

    def end(self, batch: Batch, start: k.Expr, count: k.Expr) -> list[k.Stmt]:
        """Store the gradients of keys and values."""
        s, row = self.scores, k.Var("row")

        def key(lane: k.Expr) -> tuple[k.Stmt, ...]:
            return (s.result(1, batch, [start + row, lane], k.Load(self.d_key, row * s.size + lane)),)

        def value(lane: k.Expr) -> tuple[k.Stmt, ...]:
            return (s.result(2, batch, [start + row, lane], k.Load(self.d_value, row * s.width + lane)),)

        stored = (*vectors(s.size, 2 * self.lanes, key), *vectors(s.width, 2 * self.lanes, value))
        return [k.For(row, count, stored)]

    # -- the kernel over parts ---------------------------------------------------------------------
    def sum_of_parts(self) -> k.Kernel:
        """The gradient of the queries out of the parts of all runs."""
        s, task, row = self.scores, k.Var("task"), k.Var("row")
        body: list[k.Stmt] = []
        sizes = (*s.batch, ceil_div(s.queries, QUERIES), 1)
        *batch, block, _ = split_task(task, sizes, body)
        at = tuple(batch)

        def add(lane: k.Expr) -> tuple[k.Stmt, ...]:
            place = row * s.size + lane
            parts = (k.Load(self.part, self._queries_at(at, k.const(run)) + place) for run in range(self.runs))
            total = next(parts)
            for part in parts:
                total = total + part
            return (s.result(0, at, [row, lane], total),)

        line = k.Var("line")
        one = (k.Let(row, block * QUERIES + line), *vectors(s.size, 2 * self.lanes, add))
        body.append(k.For(line, at_most(QUERIES, s.queries, block * QUERIES), one))
        tasks = k.For(task, size_expr(dims.prod(sizes)), tuple(body), "parallel")
        return kernel_of(f"{self.job.name}_sum", (tasks,), ())
