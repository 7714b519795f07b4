from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.errors import ArgumentError, ShapeError, TensorIndexError
from jitorch.ir.interpret import interpret
from jitorch.passes.decompose import expand
from tests.ops.oracle import agree, array
from tests.samples import trace

X, Y = array(2, 3), array(2, 3, seed=1)

AGREE = [
    lambda lib, x, y: [lib.cat([x, y]), lib.cat((x, y), -1), lib.concat([x, y.int()], dim=1), lib.cat([x])],
    lambda lib, x, y: [lib.cat([x, lib.empty(0)]), lib.cat([x[:0], y]), lib.cat([lib.empty(0), lib.empty(0)])],
    lambda lib, x, y: [lib.stack([x, y]), lib.stack([x, y.long()], -1), lib.stack((x[0, 0], y[0, 0]))],
    lambda lib, x, y: [
        f(v) for f in (lib.hstack, lib.vstack, lib.dstack, lib.column_stack) for v in ([x, y], [x[0], y[0]])
    ],
    lambda lib, x, y: [x.repeat(2, 1), x.repeat(3, 1, 2), x.repeat((2, 2)), x.repeat(0, 1), x[0, 0].repeat(2)],
    lambda lib, x, y: [x.tile(2), x.tile((2, 1, 2)), lib.tile(x, (2,)), x[0, 0].tile(())],
    lambda lib, x, y: [x.repeat_interleave(2), x.repeat_interleave(3, 1), x.repeat_interleave(lib.tensor([0, 2]), 0)],
    lambda lib, x, y: [lib.repeat_interleave(lib.tensor([1, 0, 3])), x[0, 0].repeat_interleave(2)],
    lambda lib, x, y: [x.flip(0), x.flip(0, 1), x.flip((-1,)), lib.flip(x, [1, 0]), x.fliplr(), x.flipud(), x.flip(())],
    lambda lib, x, y: [x.roll(1), x.roll(-4), x.roll((1, 2), (0, 1)), x.roll(7, -1), x[:0].roll(1, 0), x[0, 0].roll(1)],
    lambda lib, x, y: [x.rot90(k, d) for k in range(-1, 5) for d in ((0, 1), (1, 0))],
    lambda lib, x, y: lib.meshgrid(x[0], y[:, 0], x[0, 0], indexing="ij"),
    lambda lib, x, y: lib.meshgrid([x[0], y[:, 0], y[0]], indexing="xy"),
    lambda lib, x, y: [lib.cartesian_prod(x[0], y[:, 0]), lib.cartesian_prod(x[0])],
    lambda lib, x, y: [
        lib.combinations(x[0]),
        lib.combinations(x[0], 3, True),
        lib.combinations(x[0], 5),
        lib.combinations(x[0], 0),
    ],
    lambda lib, x, y: [lib.block_diag(x, y[0], y[0, 0]), lib.block_diag(x)],
    lambda lib, x, y: [lib.vander(x[0]), lib.vander(x[0], 2, increasing=True)],
]


@pytest.mark.parametrize("call", AGREE)
def test_agrees_with_pytorch(call):
    agree(call, X, Y)


ERRORS = [
    (lambda x: jitorch.cat([]), ShapeError, "at least one"),
    (lambda x: jitorch.cat(x), ArgumentError, "sequence"),
    (lambda x: jitorch.cat([x, 1]), ArgumentError, "tensor"),
    (lambda x: jitorch.cat([x, x[:, :2]]), ShapeError, "outside of axis 0"),
    (lambda x: jitorch.cat([x.sum(), x.sum()]), ShapeError, "stack"),
    (lambda x: jitorch.cat([x], 2), TensorIndexError, "axis"),
    (lambda x: jitorch.stack([x, x[0]]), ShapeError, "shapes differ"),
    (lambda x: x.repeat(2), ShapeError, "one count"),
    (lambda x: x.repeat(-1, 1), ShapeError, "negative"),
    (lambda x: x.repeat_interleave(-1), ShapeError, "negative"),
    (lambda x: x.repeat_interleave(jitorch.tensor([1, 2, 3]), 0), ShapeError, "one count"),
    (lambda x: x.flip(0, 0), ShapeError, "more than once"),
    (lambda x: x[0].fliplr(), ShapeError, "2 axes"),
    (lambda x: x.roll((1, 2), 0), ShapeError, "one shift"),
    (lambda x: x.sum().roll(1, 0), TensorIndexError, "0-d"),
    (lambda x: x.rot90(1, (0, 0)), ShapeError, "differ"),
    (lambda x: jitorch.meshgrid(x), ShapeError, "vectors"),
    (lambda x: jitorch.meshgrid(x[0], indexing="yx"), ShapeError, "indexing"),
    (lambda x: jitorch.combinations(x), ShapeError, "vector"),
    (lambda x: jitorch.vander(x), ShapeError, "vector"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call(jitorch.from_numpy(X.copy()))


@pytest.mark.parametrize(
    ("counts", "total"), [([1, 2], None), ([0, 0], None), ([3, 0], None), ([3, 0], 3), ([0, 3], 3)]
)
def test_counts_that_are_data_are_added_up_by_the_program(counts, total):
    graph = trace(lambda x, n: x.repeat_interleave(n, 0, output_size=total), [X, np.array(counts)])
    (found,) = interpret(graph, [X, np.array(counts)], expand)
    np.testing.assert_array_equal(found, X.repeat(counts, 0))


@pytest.mark.parametrize(("counts", "total"), [([-1, 2], None), ([1, 1], 3)])
def test_counts_that_do_not_fit_are_out_of_range(counts, total):
    graph = trace(lambda x, n: x.repeat_interleave(n, 0, output_size=total), [X, np.array(counts)])
    with pytest.raises(TensorIndexError):
        interpret(graph, [X, np.array(counts)], expand)
