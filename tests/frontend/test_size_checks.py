"""Checks of sizes under symbolic sizes: what eager refuses for the sizes of a later call, compiled code refuses, too.

Each function is compiled with symbolic sizes for the first arguments; the second ones may be too small for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
import jitorch.nn.functional as F
from jitorch import ones
from jitorch.compiler import compile_graph
from jitorch.errors import UserError
from jitorch.ir.graph import Graph
from jitorch.ops import OPS


def _stored(x: Any) -> Any:
    y = x.clone()
    y[5] = 2.0
    return y


CASES: dict[str, tuple[Any, tuple[Any, ...], tuple[Any, ...]]] = {
    "index": (lambda x: x[5] + 1, (ones(9),), (ones(3),)),
    "index_neg": (lambda x: x[-5] + 1, (ones(9),), (ones(3),)),
    "select": (lambda x: x.select(0, 5) + 1, (ones(9),), (ones(3),)),
    "narrow": (lambda x: x.narrow(0, 2, 5) + 1, (ones(9),), (ones(3),)),
    "pool": (lambda x: F.max_pool2d(x, 5), (ones(1, 9, 9),), (ones(1, 2, 2),)),
    "avgpool": (lambda x: F.avg_pool1d(x, 5), (ones(1, 9),), (ones(1, 2),)),
    "conv": (
        lambda x, w: F.conv1d(x, w),
        (
            ones(1, 3, 9),
            ones(2, 3, 5),
        ),
        (
            ones(1, 3, 3),
            ones(2, 3, 5),
        ),
    ),
    "pad": (lambda x: F.pad(x, (-5, 0)), (ones(9),), (ones(3),)),
    "reflect": (lambda x: F.pad(x, (5, 0), mode="reflect"), (ones(1, 9),), (ones(1, 3),)),
    "unfold": (lambda x: x.unfold(0, 5, 1) + 1, (ones(9),), (ones(3),)),
    "chunkidx": (lambda x: x.chunk(3)[2] + 1, (ones(9),), (ones(4),)),
    "split": (lambda x: x.split([4, 5])[1] + 1, (ones(9),), (ones(4),)),
    "roll": (lambda x: x.roll(4), (ones(9),), (ones(3),)),
    "maxempty": (lambda x: x.max(), (ones(9),), (ones(0),)),
    "maxemptydim": (lambda x: x.amax(0), (ones(9, 2),), (ones(0, 2),)),
    "argmax": (lambda x: x.argmax(0), (ones(9, 2),), (ones(0, 2),)),
    "topk": (lambda x: x.topk(5)[0], (ones(9),), (ones(3),)),
    "kthvalue": (lambda x: x.kthvalue(5)[0], (ones(9),), (ones(3),)),
    "reshape": (lambda x: x.reshape(3, -1), (ones(9),), (ones(4),)),
    "view2": (lambda x: x.view(-1, 2, 3), (ones(12),), (ones(8),)),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), (ones(1, 8, 2, 2),), (ones(1, 6, 2, 2),)),
    "unflatten": (lambda x: x.unflatten(0, (3, -1)), (ones(9),), (ones(4),)),
    "diag": (lambda x: x.diagonal(5), (ones(9, 9),), (ones(3, 3),)),
    "embedding": (
        lambda i, w: F.embedding(i, w),
        (
            jitorch.tensor([8]),
            ones(9, 2),
        ),
        (
            jitorch.tensor([8]),
            ones(3, 2),
        ),
    ),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=0.5), (ones(1, 1, 9),), (ones(1, 1, 1),)),
    "groupnorm": (lambda x: F.group_norm(x, 3), (ones(2, 9, 4),), (ones(2, 4, 4),)),
    "adaptive": (lambda x: F.adaptive_avg_pool1d(x, 3), (ones(1, 9),), (ones(1, 2),)),
    "stft": (lambda x: jitorch.stft(x, 5, return_complex=True, window=jitorch.ones(5)).abs(), (ones(19),), (ones(2),)),
    "slice": (lambda x: x[2:7] + 1, (ones(9),), (ones(4),)),
    "expand": (lambda x: x.expand(9, 2) + 1, (ones(9, 2),), (ones(3, 2),)),
    "cat": (
        lambda x, y: jitorch.cat([x, y], 1),
        (
            ones(9, 2),
            ones(9, 3),
        ),
        (
            ones(3, 2),
            ones(4, 3),
        ),
    ),
    "matmul": (
        lambda x, y: x @ y,
        (
            ones(9, 2),
            ones(2, 3),
        ),
        (
            ones(9, 2),
            ones(4, 3),
        ),
    ),
    "bmm": (
        lambda x, y: jitorch.bmm(x, y),
        (
            ones(5, 9, 2),
            ones(5, 2, 3),
        ),
        (
            ones(5, 9, 2),
            ones(4, 2, 3),
        ),
    ),
    "cross_entropy": (
        lambda x, y: F.cross_entropy(x, y),
        (
            ones(9, 2),
            jitorch.zeros(9, dtype=jitorch.int64),
        ),
        (
            ones(9, 2),
            jitorch.zeros(8, dtype=jitorch.int64),
        ),
    ),
    "glu": (lambda x: F.glu(x), (ones(8),), (ones(7),)),
    "index_select": (lambda x: x.index_select(0, jitorch.tensor([5])), (ones(9),), (ones(3),)),
    "gather": (lambda x: x.gather(0, jitorch.tensor([5])), (ones(9),), (ones(3),)),
    "tril": (lambda x: x.tril(2), (ones(9, 9),), (ones(3, 2),)),
    "squeeze": (lambda x: x.squeeze(0) + 1, (ones(2, 9),), (ones(1, 3),)),
    "one_hot": (lambda x: F.one_hot(x, 5), (jitorch.tensor([4, 3]),), (jitorch.tensor([7]),)),
    "var1": (lambda x: x.var(0), (ones(9),), (ones(1),)),
    "cholesky": (lambda x: jitorch.linalg.cholesky(x), (jitorch.eye(4),), (ones(3, 4),)),
    "fft": (lambda x: jitorch.fft.rfft(x).abs(), (ones(9),), (ones(0),)),
    "cumsum": (lambda x: x.cumsum(0), (ones(9),), (ones(0),)),
    "conv_transpose": (
        lambda x, w: F.conv_transpose1d(x, w, padding=3),
        (
            ones(1, 3, 9),
            ones(3, 2, 5),
        ),
        (
            ones(1, 3, 1),
            ones(3, 2, 5),
        ),
    ),
    "lp_pool": (lambda x: F.lp_pool1d(x, 2.0, 5), (ones(1, 1, 9),), (ones(1, 1, 3),)),
    "cosine_similarity": (
        lambda x, y: F.cosine_similarity(x, y),
        (
            ones(9, 2),
            ones(9, 2),
        ),
        (
            ones(3, 2),
            ones(4, 2),
        ),
    ),
    "index_fill": (lambda x: x.clone().index_fill(0, jitorch.tensor([5]), 2.0), (ones(9),), (ones(3),)),
    "element_of_a_repeat": (lambda x: x.repeat_interleave(2)[10], (ones(9),), (ones(3),)),
    "where": (
        lambda x, y: jitorch.where(x > 0, x, y),
        (
            ones(9),
            ones(9),
        ),
        (
            ones(3),
            ones(4),
        ),
    ),
    "stack": (
        lambda x, y: jitorch.stack([x, y]),
        (
            ones(9),
            ones(9),
        ),
        (
            ones(3),
            ones(4),
        ),
    ),
    "median": (lambda x: x.median(), (ones(9),), (ones(0),)),
    "select_of_a_row": (lambda x: x.unsqueeze(0).select(1, 6), (ones(9),), (ones(3),)),
    "list_of_indices": (lambda x: x[[5, 2]], (ones(9),), (ones(3),)),
    "index_put": (lambda x: x.index_put((jitorch.tensor([6]),), jitorch.tensor([1.0])), (ones(9),), (ones(3),)),
    "slice_scatter": (lambda x: x.clone().slice_scatter(ones(4), 0, 2, 6), (ones(9),), (ones(3),)),
    "select_scatter": (lambda x: x.select_scatter(jitorch.tensor(1.0), 0, 6), (ones(9),), (ones(3),)),
    "diff0": (lambda x: x.diff(), (ones(9),), (ones(0),)),
    "roll0": (lambda x: x.roll(2), (ones(9),), (ones(0),)),
    "poolempty": (lambda x: F.max_pool2d(x, 2), (ones(1, 3, 9, 9),), (ones(1, 0, 9, 9),)),
    "interpolate_of_nothing": (lambda x: F.interpolate(x, size=(3, 3)), (ones(1, 1, 9, 9),), (ones(1, 1, 0, 9),)),
    "padding_index": (
        lambda i, w: F.embedding(i, w, padding_idx=5),
        (
            jitorch.tensor([1]),
            ones(9, 2),
        ),
        (
            jitorch.tensor([1]),
            ones(3, 2),
        ),
    ),
    "trapezoid": (lambda x: jitorch.trapezoid(x), (ones(9),), (ones(0),)),
    "hsplit": (lambda x: jitorch.hsplit(x, 3)[0] + 1, (ones(9),), (ones(4),)),
    "logsumexp": (lambda x: jitorch.logsumexp(x, 0), (ones(9),), (ones(0),)),
    "prod": (lambda x: x.prod(), (ones(9),), (ones(0),)),
    "std": (lambda x: x.std(), (ones(9),), (ones(0),)),
    "softmax": (lambda x: x.softmax(0), (ones(9),), (ones(0),)),
    "quantile": (lambda x: x.quantile(0.5), (ones(9),), (ones(0),)),
    "fold": (lambda x: F.fold(x, (4, 4), 2), (ones(1, 4, 9),), (ones(1, 4, 8),)),
    "unfold_images": (lambda x: F.unfold(x, 5), (ones(1, 1, 9, 9),), (ones(1, 1, 3, 9),)),
    "unfold_of_one_row": (lambda x: F.unfold(x, 2), (ones(1, 1, 9, 9),), (ones(1, 1, 1, 9),)),
    "avg_pool_ceil": (lambda x: F.avg_pool2d(x, 3, ceil_mode=True), (ones(1, 1, 9, 9),), (ones(1, 1, 1, 9),)),
    "cross": (
        lambda x, y: jitorch.linalg.cross(x, y, dim=0),
        (
            ones(3, 9),
            ones(3, 9),
        ),
        (
            ones(4, 9),
            ones(4, 9),
        ),
    ),
    "block_diag": (lambda x: jitorch.block_diag(x, x), (ones(3, 9),), (ones(0, 9),)),
    "row_of_a_reshape": (lambda x: x.reshape(-1, 3)[2], (ones(9),), (ones(6),)),
    "index_of_a_column": (lambda x: x[:, 7, ...] + 1, (ones(9, 9),), (ones(9, 3),)),
    "store_at_an_index": (lambda x: _stored(x), (ones(9),), (ones(3),)),
    "meanempty": (lambda x: x.mean(), (ones(9),), (ones(0),)),
    "argminall": (lambda x: x.argmin(), (ones(9),), (ones(0),)),
    "aminmax": (lambda x: x.aminmax()[0], (ones(9),), (ones(0),)),
    "cummax": (lambda x: x.cummax(0)[0], (ones(9),), (ones(0),)),
    "batchnorm1": (lambda x: F.batch_norm(x, None, None, training=True), (ones(9, 3),), (ones(1, 3),)),
    "instnorm": (lambda x: F.instance_norm(x), (ones(2, 3, 9),), (ones(2, 3, 1),)),
    "nll": (
        lambda x, y: F.nll_loss(x, y),
        (
            ones(9, 4),
            jitorch.full((9,), 3),
        ),
        (
            ones(9, 2),
            jitorch.full((9,), 3),
        ),
    ),
    "mse_loss": (
        lambda x, y: F.mse_loss(x, y),
        (
            ones(9),
            ones(9),
        ),
        (
            ones(3),
            ones(4),
        ),
    ),
    "bce": (
        lambda x, y: F.binary_cross_entropy(x, y),
        (
            ones(9),
            ones(9),
        ),
        (
            ones(3),
            ones(4),
        ),
    ),
    "dot": (
        lambda x, y: x.dot(y),
        (
            ones(9),
            ones(9),
        ),
        (
            ones(3),
            ones(4),
        ),
    ),
    "tensor_split": (lambda x: x.tensor_split(4)[3] + 1, (ones(9),), (ones(2),)),
}


def _outcome(function: Any, arguments: tuple[Any, ...]) -> Any:
    """The result's type, or the error with its message up to the line it is about."""
    try:
        return function(*arguments).type
    except (UserError, IndexError) as error:
        return type(error), str(error).split("\n  at:")[0]


@pytest.mark.parametrize("name", CASES)
def test_later_sizes_are_checked(name: str) -> None:
    function, first, second = CASES[name]
    compiled = jitorch.jit(function, dynamic=True, fullgraph=True)
    assert compiled(*first).type == function(*first).type
    assert _outcome(compiled, second) == _outcome(function, second)


def test_a_check_is_a_guard_of_each_function_that_makes_it() -> None:
    """The body of an op is recorded once; its questions about sizes are asked again for each function."""
    one = jitorch.jit(lambda x: F.max_pool2d(x, 5), dynamic=True)
    other = jitorch.jit(lambda x: F.max_pool2d(x, 5) + 1, dynamic=True)
    for function in (one, other):
        function(ones(1, 9, 9))
        with pytest.raises(UserError):
            function(ones(1, 2, 2))


def _pooled(x: Any) -> Any:
    """Whether there is a last window, which begins before the end, depends on the size."""
    return F.avg_pool1d(x, 2, 3, ceil_mode=True)


LONG, SHORT = (jitorch.arange(float(n)).reshape(1, 1, n).clone() for n in (9, 8))


def test_what_an_op_means_does_not_depend_on_the_last_trace() -> None:
    compiled = jitorch.jit(_pooled, dynamic=True, fullgraph=True)
    for x in (LONG, SHORT):
        assert compiled(x).equal(_pooled(x))
    assert compiled.statistics.traces == 2
    for x in (LONG, SHORT, LONG):
        assert compiled.check(x)


def test_a_graph_is_compiled_by_its_own_facts() -> None:
    compiled = jitorch.jit(_pooled, dynamic=True, fullgraph=True)
    graphs = []
    for x in (LONG, SHORT):
        compiled(x)
        graphs.append(compiled.graph)
    for x, graph in zip((LONG, SHORT), graphs):
        read = Graph.parse(str(graph), OPS)
        assert read == graph
        assert [str(fact) for fact in read.facts] == [str(fact) for fact in graph.facts] != []
        for backend in ("cpu", "reference"):
            (result,) = compile_graph(read, backend).run([x.numpy()])
            np.testing.assert_array_equal(result, _pooled(x).numpy())


@pytest.mark.parametrize("last", [LONG, SHORT], ids=["long", "short"])
def test_derivatives_keep_the_facts(last: Any) -> None:
    def cost(x: Any) -> Any:
        return (_pooled(x * x) ** 2).sum()

    compiled = jitorch.jit(cost, dynamic=True, fullgraph=True)
    for x in (LONG, SHORT, last):
        compiled(x.clone().requires_grad_())
    for x in (LONG, SHORT):
        for function in (compiled, cost):
            at = x.clone().requires_grad_()
            (first,) = jitorch.autograd.grad(function(at), at, create_graph=True)
            (second,) = jitorch.autograd.grad(first.sum(), at)
            if function is compiled:
                found = first.detach(), second
        np.testing.assert_allclose(found[0].numpy(), first.detach().numpy(), rtol=1e-5)
        np.testing.assert_allclose(found[1].numpy(), second.numpy(), rtol=1e-5)
