"""Attention without the matrix of scores: the recipe of `jitorch.ops.attention.blockwise_attention`.

A task has a block of queries and goes over the keys block by block; the scores of one pair of blocks are all there
ever is.  The greatest score and the sum of each row so far are kept (online softmax: Milakov and Gimelshein,
arXiv:1805.02867), and what was added up is scaled down when a greater score comes (FlashAttention: Dao et al.,
arXiv:2205.14135, algorithm 1).

Scores lie with the queries along vectors, so that maximum, exponential and sum of a row go up and down, never
across lanes; keys and values are read where they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.sizes import size_expr
from jitorch.ir.types import TensorType
from jitorch.lower.contractions.panels import Batch, split_task
from jitorch.lower.contractions.register_tiles import BlockProduct, count_tiles, lane_split, vectors
from jitorch.lower.contractions.tiles import USUAL_ROWS, Tile, choose_tile
from jitorch.lower.index import Index
from jitorch.lower.nests import kernel_of
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made
from jitorch.lower.target import Target

QUERIES, KEYS = 64, 128
"""Of a block: its scores and the operands of both products stay in the second-level cache."""
BLOCK_BYTES = 160 * 1024
"""What the scratch memory of a task may take."""
MOST_BYTES = 4096
"""The longest a query and a value may be together, so that the smallest blocks still fit."""


def fits_blocks(node: Node) -> bool:
    """Whether a node of blockwise attention, or of its gradients, has sizes and dtypes that blocks are made for."""
    types = dict(zip((p.name for p in node.op.operands), (None if v is None else v.type for v in node.inputs)))
    tensors = {name: t for name, t in types.items() if isinstance(t, TensorType)}
    query, key, value = tensors["query"], tensors["key"], tensors["value"]
    sizes = (query.shape[-2], *key.shape[-2:], value.shape[-1])
    if not all(isinstance(d, int) and d > 0 for d in sizes) or query.dtype not in (dtypes.float32, dtypes.float64):
        return False
    if any(t.dtype is not query.dtype and name != "mask" for name, t in tensors.items()):
        return False
    mask = tensors.get("mask")
    if mask is not None and mask.dtype not in (dtypes.bool_, query.dtype):
        return False
    return (sizes[2] + sizes[3]) * query.dtype.itemsize <= MOST_BYTES  # type: ignore[operator]


@dataclass(frozen=True)
class Scores:
    """What both directions know: the operands, their sizes, and what is done to a score.

    ``queries``, ``keys``, ``size`` and ``width`` are L, S, E and V of the operands ``[*batch, L, E]``,
    ``[*batch, S, E]`` and ``[*batch, S, V]``.
    """

    job: Job
    query: Value
    key: Value
    value: Value
    mask: Value | None
    scale: Value
    causal: bool

    @classmethod
    def of(cls, job: Job, first: int) -> Scores:
        """The scores of a node whose query is operand ``first``."""
        query, key, value, mask, scale = job.node.inputs[first : first + 5]
        if query is None or key is None or value is None or scale is None:
            raise CompilerBug("attention without an operand", ir=job.node)
        return cls(job, query, key, value, mask, scale, job.node.attrs["causal"])

    @property
    def batch(self) -> tuple[Dim, ...]:
        return _shape(self.query)[:-2]

    @property
    def queries(self) -> int:
        return _shape(self.query)[-2]  # type: ignore[return-value]

    @property
    def keys(self) -> int:
        return _shape(self.key)[-2]  # type: ignore[return-value]

    @property
    def size(self) -> int:
        return _shape(self.key)[-1]  # type: ignore[return-value]

    @property
    def width(self) -> int:
        return _shape(self.value)[-1]  # type: ignore[return-value]

    @property
    def dtype(self) -> DType:
        return self.query.type.dtype  # type: ignore[union-attr]

    def number(self) -> tuple[tuple[k.Stmt, ...], k.Expr]:
        """Statements, and the scale that they compute."""
        puller, scale = Puller(self.job.buffers, self.job.scalars), k.Var("scale", self.dtype)
        puller.emit(k.Let(scale, k.cast(puller.pull(self.scale, Index((), ())), self.dtype)))
        return tuple(puller.block.statements), scale

    def at(self, value: Value, batch: Batch, *place: k.Expr) -> k.Expr:
        """The element of an operand in memory, at ``place`` along its last axes."""
        puller = Puller(self.job.buffers, self.job.scalars)
        return puller.load(value, Index.of(_shape(value), [*batch, *place]))

    def masked(self, batch: Batch, query: k.Expr, key: k.Expr, score: k.Expr) -> tuple[tuple[k.Stmt, ...], k.Expr]:
        """Statements, and a scaled score with the mask added, or minus infinity where that forbids it."""
        if self.mask is None:
            return (), score
        puller = Puller(self.job.buffers, self.job.scalars)
        element = puller.pull(self.mask, Index.of(_shape(self.mask), [*batch, query, key]))
        is_bool = element.dtype is dtypes.bool_
        found = k.where(element, score, k.const(-math.inf, self.dtype)) if is_bool else score + element
        return tuple(puller.block.statements), found

    def result(self, output: int, batch: Batch, place: Sequence[k.Expr], element: k.Expr) -> k.Stmt:
        """The statement that stores an element of a result of the node."""
        value = self.job.node.outputs[output]
        return k.Store(self.job.buffers[value], Index.of(_shape(value), [*batch, *place]).flat(), element)


def _shape(value: Value) -> tuple[Dim, ...]:
    return value.type.shape  # type: ignore[union-attr]


def inside(place: k.Expr, size: int, step: int) -> k.Expr:
    """``place``, or the last place where blocks of ``step`` reach over ``size``; nobody uses what is read again."""
    return place if size % step == 0 else k.call("minimum", place, k.const(size - 1))


def at_most(block: int, size: int, first: k.Expr) -> k.Expr:
    """The elements of a block that begins at ``first``: the last may have fewer."""
    return k.const(block) if size % block == 0 else k.call("minimum", k.const(block), k.const(size) - first)


def rows_that_divide(target: Target, dtype: DType, rows: int, lanes: int) -> Tile:
    """The best tile of which whole ones make ``rows``; lanes are read in place."""
    found = choose_tile(target, dtype, rows, lanes, True, USUAL_ROWS)
    return found if rows % found.rows == 0 else Tile(math.gcd(rows, found.rows), found.lanes, found.width)


def attention(job: Job) -> Made:
    """``[*B, L, E]``, ``[*B, S, E]``, ``[*B, S, V]`` to ``[*B, L, V]`` and the logarithms of sums ``[*B, L]``."""
    return Made((_Forward(job).kernel(),))


class _Forward:
    def __init__(self, job: Job):
        self.job = job
        self.scores = s = Scores.of(job, 0)
        target, dtype = job.target, s.dtype
        self.lanes = target.lanes(dtype)
        block = min(QUERIES, -(-s.queries // self.lanes) * self.lanes)
        keys = min(KEYS, s.keys)
        while self._bytes(block, keys) > BLOCK_BYTES and block > self.lanes:
            block //= 2
        self.block = max(block // self.lanes * self.lanes, self.lanes)
        self.tile = choose_tile(target, dtype, keys, self.block, True, USUAL_ROWS)
        self.keys = -(-keys // self.tile.rows) * self.tile.rows
        self.out_tile = rows_that_divide(target, dtype, self.block, s.width)
        self.scratch: list[k.Buffer] = []
        self.turned = self._scratch("turned", s.size * self.block)
        self.found = self._scratch("scores", self.keys * self.block)
        self.out = self._scratch("out", self.block * s.width)
        self.greatest, self.total, self.less = (
            self._scratch(name, self.block) for name in ("greatest", "total", "less")
        )

    def _bytes(self, block: int, keys: int) -> int:
        s = self.scores
        return block * (s.size + s.width + keys) * s.dtype.itemsize

    def _scratch(self, name: str, size: int) -> k.Buffer:
        buffer = k.Buffer(name, self.scores.dtype, "local", size)
        self.scratch.append(buffer)
        return buffer

    def kernel(self) -> k.Kernel:
        s, task, first = self.scores, k.Var("task"), k.Var("first")
        head, scale = s.number()
        body: list[k.Stmt] = []
        sizes = (*s.batch, -(-s.queries // self.block), 1)
        *batch, block, _ = split_task(task, sizes, body)
        at = tuple(batch)
        body += [k.Let(first, block * self.block), *self.begin(at, first)]
        body += [self.over_keys(at, first, scale), *self.end(at, first)]
        tasks = k.For(task, size_expr(dims.prod(sizes)), tuple(body), "parallel")
        return kernel_of(self.job.name, (*head, tasks), tuple(self.scratch))

    def begin(self, batch: Batch, first: k.Expr) -> list[k.Stmt]:
        """Turn the queries, so that they lie along vectors, and set out with nothing."""
        s, e, zero = self.scores, k.Var("e"), k.const(0, self.scores.dtype)

        def turn(lane: k.Expr) -> tuple[k.Stmt, ...]:
            query = inside(first + lane, s.queries, self.block)
            return (k.Store(self.turned, e * self.block + lane, s.at(s.query, batch, query, e)),)

        c, v = k.Var("c"), k.Var("v")
        columns = k.For(v, k.const(self.lanes), turn(c * self.lanes + v), "vector")
        turned = k.For(c, k.const(self.block // self.lanes), (k.For(e, k.const(s.size), (columns,)),))

        def nothing(lane: k.Expr) -> tuple[k.Stmt, ...]:
            least = k.const(-math.inf, s.dtype)
            return k.Store(self.greatest, lane, least), k.Store(self.total, lane, zero)

        def clear(place: k.Expr) -> tuple[k.Stmt, ...]:
            return (k.Store(self.out, place, zero),)

        return [
            turned,
            *vectors(self.block, self.lanes, nothing),
            *vectors(self.block * s.width, self.lanes, clear),
        ]

    def over_keys(self, batch: Batch, first: k.Expr, scale: k.Expr) -> k.Stmt:
        """All blocks of keys, but those that every row of the block is forbidden."""
        s, number, start, count = self.scores, k.Var("number"), k.Var("start"), k.Var("count")
        limit: k.Expr = k.const(s.keys)
        if s.causal:
            limit = k.call("minimum", limit, first + self.block)
        blocks = count_tiles(limit, self.keys)
        # A causal block is as long as its last row needs.
        left = k.call("minimum", k.const(self.keys), limit - start) if s.causal else at_most(self.keys, s.keys, start)
        body = (
            k.Let(start, number * self.keys),
            k.Let(count, left),
            *self.score(batch, first, start, count, scale),
            *self.forbid(first, start, count),
            *self.soften(count),
            *self.add_values(batch, start, count),
        )
        return k.For(number, blocks, body)

    def score(self, batch: Batch, first: k.Expr, start: k.Expr, count: k.Expr, scale: k.Expr) -> tuple[k.Stmt, ...]:
        s = self.scores

        def key(row: k.Expr) -> k.Expr:
            return inside(start + row, s.keys, self.tile.rows) if self.overlaps else start + row

        def store(row: k.Expr, lane: k.Expr, total: k.Expr) -> tuple[k.Stmt, ...]:
            query = inside(first + lane, s.queries, self.block)
            before, element = s.masked(batch, query, key(row), total * scale)
            return (*before, k.Store(self.found, row * self.block + lane, element))

        product = BlockProduct(
            "score", s.dtype, self.tile, count_tiles(count, self.tile.rows), *lane_split(self.block, self.tile),
            k.const(s.size),
            lambda row, e: s.at(s.key, batch, key(row), e),
            lambda e, lane: k.Load(self.turned, e * self.block + lane),
            store,
        )  # fmt: skip
        return product.statements(self.scratch)

    @property
    def overlaps(self) -> bool:
        """Whether a tile of keys may reach over the last of them."""
        return self.scores.keys % self.tile.rows != 0

    def forbid(self, first: k.Expr, start: k.Expr, count: k.Expr) -> tuple[k.Stmt, ...]:
        """Minus infinity for the keys that come after a query, in blocks that have any."""
        if not self.scores.causal:
            return ()
        row, least = k.Var("row"), k.const(-math.inf, self.scores.dtype)

        def test(lane: k.Expr) -> tuple[k.Stmt, ...]:
            place = row * self.block + lane
            kept = k.where(start + row <= first + lane, k.Load(self.found, place), least)
            return (k.Store(self.found, place, kept),)

        rows = k.For(row, count, tuple(vectors(self.block, self.lanes, test)))
        return (k.If(start + count > first + 1, (rows,)),)

    def soften(self, count: k.Expr) -> tuple[k.Stmt, ...]:
        """Turn scores into weights less the greatest so far, and note by how much what came before is too large."""
        s, width = self.scores, self.lanes * (2 if self.block % (2 * self.lanes) == 0 else 1)
        largest, sums = self._scratch("largest", width), self._scratch("sums", width)
        c, row, v = k.Var("c"), k.Var("row"), k.Var("v")
        lane = c * width + v
        least, zero = k.const(-math.inf, s.dtype), k.const(0, s.dtype)
        score = k.Load(self.found, row * self.block + lane)

        def each(*body: k.Stmt) -> k.Stmt:
            return k.For(v, k.const(width), body, "vector")

        shift = k.Var("shift", s.dtype)
        before, weight = k.Var("before", s.dtype), k.Var("weight", s.dtype)
        statements = (
            each(k.Store(largest, v, k.Load(self.greatest, lane))),
            k.For(
                row, count,
                (each(k.Store(largest, v, k.call("maximum", k.Load(largest, v), score, reassociate=True))),),
            ),
            each(
                # Where all is forbidden so far, nothing is subtracted: infinities would make a NaN.
                k.Let(shift, k.where(k.Load(largest, v).eq(least), zero, k.Load(largest, v))),
                k.Let(before, k.call("exp", k.Load(self.greatest, lane) - shift)),
                k.Store(self.greatest, lane, k.Load(largest, v)),
                k.Store(self.less, lane, before),
                k.Store(sums, v, k.Load(self.total, lane) * before),
                k.Store(largest, v, shift),
            ),
            k.For(
                row, count,
                (each(
                    k.Let(weight, k.call("exp", score - k.Load(largest, v))),
                    k.Store(self.found, row * self.block + lane, weight),
                    k.Store(sums, v, k.Load(sums, v) + weight),
                ),),
            ),
            each(k.Store(self.total, lane, k.Load(sums, v))),
        )  # fmt: skip
        return (k.For(c, k.const(self.block // width), statements),)

    def add_values(self, batch: Batch, start: k.Expr, count: k.Expr) -> tuple[k.Stmt, ...]:
        s = self.scores
        product = BlockProduct(
            "value", s.dtype, self.out_tile, k.const(self.block // self.out_tile.rows),
            *lane_split(s.width, self.out_tile), count,
            lambda row, key: k.Load(self.found, key * self.block + row),
            lambda key, lane: s.at(s.value, batch, start + key, lane),
            lambda row, lane, total: (k.Store(self.out, row * s.width + lane, total),),
            lambda row, lane: k.Load(self.out, row * s.width + lane) * k.Load(self.less, row),
        )  # fmt: skip
        return product.statements(self.scratch)

    def end(self, batch: Batch, first: k.Expr) -> list[k.Stmt]:
        """Divide by the sums of the weights; a row that is forbidden altogether is 0."""
        s, row = self.scores, k.Var("row")
        zero, one = k.const(0, s.dtype), k.const(1, s.dtype)

        def finish(lane: k.Expr) -> tuple[k.Stmt, ...]:
            total = k.Load(self.total, lane)
            logarithm = k.Load(self.greatest, lane) + k.call("log", total)
            factor = one / total
            if s.mask is not None:
                logarithm = k.where(total.eq(zero), zero, logarithm)
                factor = k.where(total.eq(zero), zero, factor)
            return k.Store(self.greatest, lane, logarithm), k.Store(self.less, lane, factor)

        def store(lane: k.Expr) -> tuple[k.Stmt, ...]:
            element = k.Load(self.out, row * s.width + lane) * k.Load(self.less, row)
            return (s.result(0, batch, [first + row, lane], element),)

        one_row = (
            s.result(1, batch, [first + row], k.Load(self.greatest, row)),
            *vectors(s.width, 2 * self.lanes, store),
        )
        rows = k.For(row, at_most(self.block, s.queries, first), one_row)
        return [*vectors(self.block, self.lanes, finish), rows]
