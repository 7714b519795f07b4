from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jitorch
from jitorch import dims
from jitorch.errors import ArgumentError, ShapeError, TensorIndexError, UnsupportedError
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.tensor import Tensor
from tests.ops.oracle import agree, array
from tests.samples import trace, trace_types

X = array(2, 3, 4)


def t(value: np.ndarray = X) -> jitorch.Tensor:
    return jitorch.from_numpy(value.copy())


VIEWS = {
    "reshape": lambda x: x.reshape(3, 8),
    "view": lambda x: x.view(-1),
    "view of a slice": lambda x: x[:, :, :2].view(2, 3, 2, 1),
    "flatten": lambda x: x.flatten(1),
    "unflatten": lambda x: x.unflatten(2, (2, -1)),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "squeeze": lambda x: x[:, :1].squeeze(),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, -1),
    "T": lambda x: x[0].T,
    "mT": lambda x: x.mT,
    "movedim": lambda x: x.movedim(0, 2),
    "expand same": lambda x: x.expand(1, 2, 3, 4),
    "narrow": lambda x: x.narrow(2, 1, 2),
    "select": lambda x: x.select(1, -1),
    "unbind": lambda x: x.unbind(1)[2],
    "split": lambda x: x.split(2, dim=2)[1],
    "chunk": lambda x: x.chunk(3, 1)[0],
    "tensor_split": lambda x: x.tensor_split([1], 1)[1],
    "diagonal": lambda x: x.diagonal(dim1=1, dim2=2),
    "as_strided": lambda x: x.as_strided((2, 3), (3, 2), 1),
    "detach": lambda x: x.detach(),
    "steps": lambda x: x[:, ::2, 1:].transpose(1, 2)[0],
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory_in_eager(name):
    x = t()
    view = VIEWS[name](x)
    view.fill_(7)
    expected = X.copy()
    changed = x.numpy() == 7
    assert changed.sum() == view.numel()
    np.testing.assert_array_equal(x.numpy()[~changed], expected[~changed])
    x.zero_()
    assert view.abs().sum().item() == 0


@pytest.mark.parametrize("name", [n for n in VIEWS if n != "detach"])
def test_writes_through_views_are_seen_in_graphs(name):
    from jitorch.ir.interpret import interpret
    from jitorch.passes.decompose import expand

    def step(x: Tensor) -> Any:
        y = x * 1
        view = VIEWS[name](y)
        view.mul_(2)
        return y, view

    graph = trace(step, [X])
    got = interpret(graph, [X], expand)
    want = step(t())
    for a, b in zip(got, want):
        np.testing.assert_array_equal(a, b.numpy())


@pytest.mark.parametrize("name", VIEWS)
def test_gradients_flow_through_written_views(name):
    x = t().requires_grad_()
    y = x * 1
    if name != "detach":
        VIEWS[name](y).mul_(3)
        y.sum().backward()
        assert x.grad.sum().item() == X.size + 2 * VIEWS[name](t()).numel()


COPIES = {
    "reshape of a transpose": lambda x: x.transpose(0, 1).reshape(-1),
    "flatten of a slice": lambda x: x[:, :, :3].flatten(),
    "clone": lambda x: x.clone(),
    "contiguous": lambda x: x.transpose(0, 1).contiguous(),
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(0),
    "repeat": lambda x: x.repeat(1, 1, 1),
    "cat": lambda x: jitorch.cat([x]),
    "stack": lambda x: jitorch.stack([x]),
    "rot90": lambda x: x.rot90(0),
    "to copy": lambda x: x.to(x.dtype, copy=True),
    "sum": lambda x: x.sum(()),
    "unfold": lambda x: x.unfold(2, 2, 1),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_have_memory_of_their_own(name):
    x = t()
    made = COPIES[name](x)
    assert not np.shares_memory(made.numpy(), x.numpy())
    made.zero_()
    np.testing.assert_array_equal(x.numpy(), X)


def test_what_returns_its_operand():
    x = t()
    assert x.contiguous() is x and x.to(x.dtype) is x and x.double() is x and x.view(-1).flatten() is not None
    assert jitorch.atleast_1d(x) is x


@given(st.data())
def test_reshape_decides_as_numpy_does(data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    x = np.arange(np.prod(shape)).reshape(shape)
    perm = data.draw(st.permutations(range(len(shape))))
    steps = data.draw(st.lists(st.integers(1, 2), min_size=len(shape), max_size=len(shape)))
    view = x.transpose(perm)[tuple(slice(None, None, s) for s in steps)]
    factors = [f for d in view.shape for f in ((2, d // 2) if d % 2 == 0 else (d,))]
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(factors) - 1, 1)))) | {0, len(factors)})
    target = tuple(int(np.prod(factors[a:b])) for a, b in pairwise(cuts))
    ours = jitorch.from_numpy(x).permute(*perm)[tuple(slice(None, None, s) for s in steps)].reshape(target)
    theirs = view.reshape(target)
    np.testing.assert_array_equal(ours.numpy(), theirs)
    assert np.shares_memory(ours.numpy(), x) == np.shares_memory(theirs, x)


def test_views_of_traced_tensors_decide_by_the_same_rule():
    def step(x: Tensor) -> Tensor:
        assert x.transpose(0, 1).contiguous() is not x
        with pytest.raises(ShapeError, match="strides"):
            x.transpose(0, 1).view(-1)
        return x.view(-1)

    trace(step, [X])


def test_symbolic_sizes():
    batch = dims.symbol("B", low=2)

    def step(x: Tensor) -> Any:
        reshaped = x.view(batch, -1), x.flatten(), x.unsqueeze(0).squeeze(0), x.transpose(0, 1).reshape(-1, 2)
        parts = x.chunk(2, 1)[0], x.expand(3, batch, 4, 6), x.unflatten(2, (2, 3)), x.narrow(0, 1, batch - 1)
        return *reshaped, *parts, x.select(0, -1), x[:, 0].t()

    graph = trace_types(step, [TensorType(jitorch.float32, (batch, 4, 6))])
    assert [str(v.type) for v in graph.outputs] == [
        "f32[B, 24]", "f32[24*B]", "f32[B, 4, 6]", "f32[12*B, 2]", "f32[B, 2, 6]", "f32[3, B, 4, 6]",
        "f32[B, 4, 2, 3]", "f32[B - 1, 4, 6]", "f32[4, 6]", "f32[6, B]",
    ]  # fmt: skip


AGREE = [
    lambda lib, x: [x.reshape(a) for a in ((-1,), (4, -1), (2, 3, 4), (1, 24, 1))],
    lambda lib, x: [x.flatten(), x.flatten(1), x.flatten(0, 1), x.flatten(-2, -1), x.flatten(1, 1)],
    lambda lib, x: [x.unflatten(-1, (2, 2)), x.unflatten(dim=0, sizes=(-1, 1))],
    lambda lib, x: [x[:1].squeeze(), x[:1].squeeze(0), x[:1].squeeze(1), x[:1, :, :1].squeeze((0, -1))],
    lambda lib, x: [x.permute(2, 0, 1), x.permute((-1, 0, 1)), lib.permute(x, (0, 2, 1)), x.permute(dims=(1, 0, 2))],
    lambda lib, x: [x.transpose(0, 2), x.swapaxes(0, 1), x.swapdims(-1, 0), x.mT, x.mH, x.adjoint(), x[0].T, x[0].H],
    lambda lib, x: [x.movedim(0, -1), x.movedim((0, 1), (1, 2)), lib.moveaxis(x, 2, 0)],
    lambda lib, x: [x.expand(5, -1, -1, 4), x[:1].expand(3, 3, 4), lib.broadcast_to(x, (1, 2, 3, 4))],
    lambda lib, x: lib.broadcast_tensors(x, x[0], x[:, :1]),
    lambda lib, x: [x.view_as(x.flatten()), x.reshape_as(x[0].expand(2, 3, 4)), x.expand_as(x[None])],
    lambda lib, x: [lib.atleast_3d(x[0, 0]), lib.atleast_2d(x[0, 0, 0]), *lib.atleast_1d(x[0, 0, 0], x)],
    lambda lib, x: tuple(lib.broadcast_shapes((3, 1), (4,), 1)),
    lambda lib, x: x[0, 0, 0].unsqueeze(0).transpose(0, 0).squeeze(-1).permute(()),
]


@pytest.mark.parametrize("call", AGREE)
def test_agrees_with_pytorch(call):
    agree(call, X)


ERRORS = [
    (lambda x: x.reshape(5, 5), ShapeError, "elements"),
    (lambda x: x.reshape(-1, -1), ShapeError, "at most one"),
    (lambda x: x.reshape(7, -1), ShapeError, "divisor"),
    (lambda x: x.reshape(-2, 12), ShapeError, "not a shape"),
    (lambda x: x[:0].reshape(0, -1), ShapeError, "ambiguous"),
    (lambda x: x.reshape(2.0, 12), ArgumentError, "size is an int"),
    (lambda x: x.reshape("a"), ArgumentError, "size is an int"),
    (lambda x: x.reshape((2, 12), shape=(2,)), ArgumentError, "twice"),
    (lambda x: x.transpose(0, 1).view(-1), ShapeError, "reshape"),
    (lambda x: x.view(jitorch.int64), UnsupportedError, "another dtype"),
    (lambda x: x.permute(0, 1), ShapeError, "one entry"),
    (lambda x: x.permute(0, 1, 1), ShapeError, "permutation"),
    (lambda x: x.transpose(0, 3), TensorIndexError, "axis out of range"),
    (lambda x: x.transpose(0.0, 1), ArgumentError, "axis is an int"),
    (lambda x: x.flatten(2, 1), ShapeError, "start_dim"),
    (lambda x: x.unflatten(2, ()), ShapeError, "empty"),
    (lambda x: x.unflatten(2, (3, 2)), ShapeError, "elements"),
    (lambda x: x.t(), ShapeError, "2 axes"),
    (lambda x: x[0, 0].mT, ShapeError, "2 axes"),
    (lambda x: x.H, ShapeError, "matrix"),
    (lambda x: x.expand(3, 4), ShapeError, "fewer"),
    (lambda x: x.expand(2, 5, 4), ShapeError, "size 1"),
    (lambda x: x.expand(-1, 2, 3, 4), ShapeError, "-1"),
    (lambda x: x.movedim((0, 1), (1,)), ShapeError, "length"),
    (lambda x: x.movedim((0, 0), (1, 2)), ShapeError, "more than once"),
    (lambda x: x.squeeze(5), TensorIndexError, "axis"),
    (lambda x: x.unsqueeze(5), TensorIndexError, "axis"),
    (lambda x: jitorch.reshape([1, 2], (2,)), ArgumentError, "tensor"),
    (lambda x: jitorch.broadcast_shapes((2,), (3,)), ShapeError, "broadcast"),
    (lambda x: jitorch.broadcast_shapes((-2,)), ShapeError, "negative"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call(t())


def test_expanded_memory_is_not_written():
    with pytest.raises(ShapeError, match="share memory"):
        t()[:, :1].expand(2, 3, 4).zero_()


def test_the_interpreter_in_force_decides():
    assert dispatch.current().version(t()) == 0
