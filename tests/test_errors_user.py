"""Wrong calls, at every level: each raises the class it should and says what is wrong; none stops the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import errors, nn, optim
from jitorch.nn import functional as F

z = jitorch.zeros

WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: z(2, 3) + z(4), errors.ShapeError, "shapes do not broadcast"),
    (lambda: z(2, 3) @ z(2, 3), errors.ShapeError, "inner dimensions differ"),
    (lambda: z(2, 3) @ z(2), errors.ShapeError, "inner dimensions differ"),
    (lambda: jitorch.mm(z(2), z(2, 3)), errors.ShapeError, "wrong number of axes"),
    (lambda: jitorch.bmm(z(2, 3), z(2, 3)), errors.ShapeError, "wrong number of axes"),
    (lambda: z(2, 3)[5], errors.TensorIndexError, "index out of range for axis 0"),
    (lambda: z(2, 3)[0, 0, 0], errors.TensorIndexError, "too many indices"),
    (lambda: z(2, 3)["a"], errors.TensorIndexError, "not an index"),
    (lambda: z(2, 3)[1.5], errors.TensorIndexError, "not an index"),
    (lambda: z(2, 3)[::-1], errors.UnsupportedError, "slices with a negative step"),
    (lambda: z(2, 3)[jitorch.tensor([0, 7])], errors.TensorIndexError, "index out of range"),
    (lambda: z(2, 3)[jitorch.tensor([0.5])], errors.TensorIndexError, "tensors as indices hold integers or bools"),
    (lambda: z(2, 3)[[0, 1], [0, 1, 2]], errors.ShapeError, "shapes do not broadcast"),
    (
        lambda: z(2, 3)[jitorch.zeros(2, 2).bool()],
        errors.TensorIndexError,
        "a mask has the sizes of the axes that it indexes",
    ),
    (lambda: z(2, 3).sum(5), errors.TensorIndexError, "axis out of range"),
    (lambda: z(2, 3).sum((0, 0)), errors.ShapeError, "an axis appears more than once"),
    (lambda: z(2, 3).sum("x"), errors.ArgumentError, "an axis is an int"),
    (lambda: z(2, 3).mean(dim=2), errors.TensorIndexError, "axis out of range"),
    (lambda: jitorch.arange(3).mean(), errors.DTypeError, "the result would not be an integer"),
    (lambda: z(2, 3).reshape(5), errors.ShapeError, "the number of elements differs"),
    (lambda: z(2, 3).reshape(-1, -1), errors.ShapeError, "not a shape"),
    (lambda: z(2, 3).reshape(-1, 4), errors.ShapeError, "the number of elements differs"),
    (lambda: z(2, 3).view(7), errors.ShapeError, "the number of elements differs"),
    (lambda: z(2, 3).t().view(6), errors.ShapeError, "the strides cannot show this shape without a copy"),
    (lambda: z(2, 3).transpose(0, 5), errors.TensorIndexError, "axis out of range"),
    (lambda: z(2, 3).permute(0, 0), errors.ShapeError, "not a permutation of the axes"),
    (lambda: z(2, 3).permute(0), errors.ShapeError, "one entry an axis"),
    (lambda: z(2, 3, 4).t(), errors.ShapeError, "expected at most 2 axes"),
    (lambda: z(2, 3).expand(4, 3), errors.ShapeError, "only an axis of size 1 can be expanded"),
    (lambda: z(2, 3).expand(3), errors.ShapeError, "fewer sizes than axes"),
    (lambda: z(2, 3).squeeze(9), errors.TensorIndexError, "axis out of range"),
    (lambda: z(2, 3).unsqueeze(9), errors.TensorIndexError, "axis out of range"),
    (lambda: jitorch.cat([z(2), z(2, 3)]), errors.ShapeError, "sizes differ outside of axis 0"),
    (lambda: jitorch.cat([]), errors.ShapeError, "expected at least one tensor"),
    (lambda: jitorch.cat(z(2)), errors.ArgumentError, "expected a sequence of tensors"),
    (lambda: jitorch.cat([z(2, 3), z(3, 2)], 1), errors.ShapeError, "sizes differ outside of axis 1"),
    (lambda: jitorch.stack([z(2), z(3)]), errors.ShapeError, "shapes differ"),
    (lambda: jitorch.stack([]), errors.ShapeError, "expected at least one tensor"),
    (lambda: z(6).split(0), errors.ShapeError, "split_size is 0"),
    (lambda: z(6).chunk(0), errors.ShapeError, "chunks must be positive"),
    (lambda: z(6).split([1, 2]), errors.ShapeError, "the sizes do not sum to the axis"),
    (lambda: jitorch.tensor([[1], [1, 2]]), errors.ValueRangeError, "not a rectangular array of numbers"),
    (lambda: jitorch.tensor("abc"), errors.ArgumentError, "not numbers"),
    (lambda: jitorch.tensor(object()), errors.ArgumentError, "not numbers"),
    (lambda: jitorch.tensor({1: 2}), errors.ArgumentError, "not numbers"),
    (lambda: jitorch.zeros(-1), errors.ShapeError, "a size is negative"),
    (lambda: jitorch.zeros(2.5), errors.ArgumentError, "a size is an int"),
    (lambda: jitorch.zeros("a"), errors.ArgumentError, "a size is an int"),
    (lambda: jitorch.zeros(2, dtype="float99"), errors.DTypeError, "no dtype"),
    (lambda: jitorch.zeros(2, dtype=int, device="cuda"), errors.DeviceError, "device cuda cannot hold tensors yet"),
    (lambda: jitorch.zeros(2, device="tpu"), errors.DeviceError, "unknown device 'tpu'"),
    (lambda: z(2).to("nope"), errors.DeviceError, "unknown device 'nope'"),
    (lambda: z(2).to("cuda"), errors.DeviceError, "device cuda cannot hold tensors yet"),
    (lambda: jitorch.ones(2, 3).add(1, 2, 3), errors.ArgumentError, "too many positional arguments"),
    (lambda: jitorch.add(z(2)), errors.ArgumentError, "missing a required argument: 'other'"),
    (lambda: jitorch.add(), errors.ArgumentError, "missing a required argument: 'input'"),
    (lambda: jitorch.add(z(2), "a"), errors.ArgumentError, "y must be a tensor or a number"),
    (lambda: jitorch.add(z(2), z(2), foo=1), errors.ArgumentError, "got an unexpected keyword argument 'foo'"),
    (lambda: jitorch.relu(), errors.ArgumentError, "missing argument 'input'"),
    (lambda: jitorch.relu(3), errors.ArgumentError, "input must be a tensor"),
    (lambda: jitorch.exp("x"), errors.ArgumentError, "input must be a tensor or a number"),
    (lambda: jitorch.sum([1, 2]), errors.ArgumentError, "expected a tensor"),
    (lambda: jitorch.where(z(2), z(2), z(2)), errors.DTypeError, "the condition must be bool"),
    (lambda: jitorch.where(z(2) > 0, z(3), z(2)), errors.ShapeError, "shapes do not broadcast"),
    (lambda: jitorch.gather(z(2, 3), 0, z(2, 3)), errors.DTypeError, "the index must be int64 or int32"),
    (lambda: jitorch.gather(z(2, 3), 0, z(2).long()), errors.ShapeError, "index and input need as many axes"),
    (lambda: jitorch.gather(z(2, 3), 0, jitorch.full((2, 3), 9)), errors.TensorIndexError, "index out of range"),
    (lambda: z(2, 3).scatter_(0, jitorch.full((2, 3), 9), 1.0), errors.TensorIndexError, "index out of range"),
    (lambda: z(2, 3).index_select(0, jitorch.tensor([9])), errors.TensorIndexError, "index out of range"),
    (lambda: z(2, 3).index_select(0, z(1)), errors.DTypeError, "the index must be int64 or int32"),
    (lambda: z(2, 3).index_add_(0, jitorch.tensor([9]), z(1, 3)), errors.TensorIndexError, "index out of range"),
    (lambda: F.embedding(jitorch.tensor([9]), z(3, 2)), errors.TensorIndexError, "index out of range"),
    (lambda: F.one_hot(jitorch.tensor([5]), 3), errors.ValueRangeError, "a class is out of range"),
    (
        lambda: F.cross_entropy(z(2, 3), jitorch.tensor([0, 9])),
        errors.TensorIndexError,
        "a target class is out of range",
    ),
    (lambda: F.cross_entropy(z(2, 3), jitorch.tensor([0, 1, 2])), errors.ShapeError, "input and target do not fit"),
    (lambda: F.cross_entropy(z(2, 3), z(2)), errors.DTypeError, "class indices must be int64"),
    (lambda: F.nll_loss(z(2, 3), jitorch.tensor([0, 9])), errors.TensorIndexError, "a target class is out of range"),
    (lambda: F.mse_loss(z(2), z(2), reduction="foo"), errors.ValueRangeError, "unknown reduction"),
    (lambda: F.linear(z(2, 3), z(4, 5)), errors.ShapeError, "inner dimensions differ"),
    (lambda: F.linear(z(2, 3), z(4, 3), z(5)), errors.ShapeError, "shapes do not broadcast"),
    (lambda: F.conv2d(z(1, 3, 8, 8), z(4, 2, 3, 3)), errors.ShapeError, "channels do not fit"),
    (lambda: F.conv2d(z(3, 8), z(4, 3, 3, 3)), errors.ShapeError, "wrong number of axes"),
    (lambda: F.conv2d(z(1, 3, 2, 2), z(4, 3, 3, 3)), errors.ShapeError, "the kernel does not fit"),
    (
        lambda: F.conv2d(z(1, 3, 8, 8), z(4, 3, 3, 3), stride=0),
        errors.ShapeError,
        "stride, dilation, groups and the sizes of the kernel must be positive",
    ),
    (
        lambda: F.conv2d(z(1, 3, 8, 8), z(4, 3, 3, 3), padding=-1),
        errors.ValueRangeError,
        "padding must not be negative",
    ),
    (
        lambda: F.conv2d(z(1, 3, 8, 8), z(4, 3, 3, 3), dilation=0),
        errors.ShapeError,
        "stride, dilation, groups and the sizes of the kernel must be positive",
    ),
    (lambda: F.conv2d(z(1, 3, 8, 8), z(4, 3, 3, 3), groups=2), errors.ShapeError, "channels do not fit"),
    (lambda: F.conv2d(z(1, 3, 8, 8), z(4, 3, 3, 3), bias=z(5)), errors.ShapeError, "the number of elements differs"),
    (
        lambda: F.conv2d(z(1, 3, 8, 8).double(), z(4, 3, 3, 3)),
        errors.DTypeError,
        "input and weight must have one dtype",
    ),
    (
        lambda: F.max_pool2d(z(1, 1, 4, 4), 0),
        errors.ValueRangeError,
        "kernel size, stride and dilation must be positive",
    ),
    (lambda: F.max_pool2d(z(1, 1, 4, 4), 5), errors.ShapeError, "a window does not fit into its axes"),
    (lambda: F.max_pool2d(z(4, 4), 2), errors.ShapeError, "wrong number of axes"),
    (
        lambda: F.max_pool2d(z(1, 1, 4, 4), 2, padding=2),
        errors.ValueRangeError,
        "padding is at most half of the kernel",
    ),
    (
        lambda: F.avg_pool2d(z(1, 1, 4, 4), (2, 2, 2)),
        errors.ShapeError,
        "expected one number, or one for each of 2 axes",
    ),
    (lambda: F.batch_norm(z(2, 3), z(4), z(4)), errors.ShapeError, "one element a channel"),
    (
        lambda: F.batch_norm(z(1, 3), z(3), z(3), training=True),
        errors.ValueRangeError,
        "training needs more than one value a channel",
    ),
    (lambda: F.layer_norm(z(2, 3), (4,)), errors.ShapeError, "the last axes are not normalized_shape"),
    (lambda: F.group_norm(z(2, 3), 2), errors.ShapeError, "the channels do not split into equal groups"),
    (lambda: F.dropout(z(2), 1.5), errors.ValueRangeError, "the probability p is out of range"),
    (lambda: F.softmax(z(2), 5), errors.TensorIndexError, "axis out of range"),
    (lambda: F.softmax(jitorch.arange(3), 0), errors.DTypeError, "needs a floating point tensor"),
    (lambda: F.pad(z(2), (1,)), errors.ShapeError, "two numbers for each padded axis"),
    (lambda: F.pad(z(2), (1, 1, 1, 1)), errors.ShapeError, "two numbers for each padded axis"),
    (lambda: F.pad(z(2), (-3, 0)), errors.ShapeError, "a size would be negative"),
    (lambda: F.interpolate(z(1, 1, 4, 4)), errors.ArgumentError, "give either size or scale_factor"),
    (
        lambda: F.scaled_dot_product_attention(z(2, 3, 4), z(2, 3, 5), z(2, 3, 4)),
        errors.ShapeError,
        "inner dimensions differ",
    ),
    (lambda: nn.Linear(2, 3)(z(4, 5)), errors.ShapeError, "inner dimensions differ"),
    (lambda: nn.Linear(2, 3)(jitorch.zeros(4, 2).double()), errors.DTypeError, "operands must have one dtype"),
    (lambda: nn.Linear(2, 3)(3), errors.ArgumentError, "input must be a tensor"),
    (lambda: nn.Linear(-2, 3), errors.ShapeError, "a size is negative"),
    (lambda: nn.Linear("a", 3), errors.ArgumentError, "a size is an int"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), errors.ValueRangeError, "in_channels must be divisible by groups"),
    (lambda: nn.Embedding(3, 2)(jitorch.tensor([3])), errors.TensorIndexError, "index out of range"),
    (lambda: nn.BatchNorm2d(3)(z(2, 3)), errors.ValueRangeError, "expected 4D input (got 2D input)"),
    (lambda: nn.BatchNorm2d(3)(z(1, 4, 2, 2)), errors.ShapeError, "one element a channel"),
    (lambda: nn.Sequential(3), errors.ArgumentError, "int is not a Module subclass"),
    (lambda: nn.Module()(z(2)), errors.UnsupportedError, 'Module [Module] is missing the required "forward" function'),
    (lambda: nn.Linear(2, 3).load_state_dict({}), errors.StateDictError, "Error(s) in loading state_dict for Linear:"),
    (
        lambda: nn.Linear(2, 3).load_state_dict({"weight": z(3, 3), "bias": z(3)}),
        errors.StateDictError,
        "Error(s) in loading state_dict for Linear:",
    ),
    (
        lambda: nn.Linear(2, 3).load_state_dict({"weight": z(3, 2), "bias": z(3), "x": z(1)}),
        errors.StateDictError,
        "Error(s) in loading state_dict for Linear:",
    ),
    (lambda: nn.Linear(2, 3).to("cuda"), errors.DeviceError, "device cuda cannot hold tensors yet"),
    (
        lambda: nn.Linear(2, 3).register_parameter("w", z(2)),
        errors.ArgumentError,
        "cannot register a Tensor as parameter 'w'",
    ),
    (lambda: nn.Parameter("a"), errors.ArgumentError, "a Parameter is made of a tensor"),
    (
        lambda: nn.Parameter(jitorch.arange(3)),
        errors.AutogradError,
        "only floating point and complex tensors can require gradients",
    ),
    (lambda: optim.SGD([], lr=0.1), errors.ValueRangeError, "optimizer got an empty parameter list"),
    (lambda: optim.SGD(nn.Linear(2, 3).parameters(), lr=-1), errors.ValueRangeError, "Invalid lr value: -1"),
    (
        lambda: optim.SGD([z(2) * jitorch.ones(2, requires_grad=True)], lr=0.1),
        errors.ValueRangeError,
        "can't optimize a non-leaf Tensor",
    ),
    (
        lambda: optim.Adam(nn.Linear(2, 3).parameters(), betas=(2, 0)),
        errors.ValueRangeError,
        "Invalid betas[0] value: 2",
    ),
    (lambda: optim.SGD("ab", lr=0.1), errors.ArgumentError, "optimizer can only optimize Tensors"),
    (lambda: jitorch.linalg.inv(z(2, 3)), errors.ShapeError, "needs square matrices"),
    (lambda: jitorch.linalg.solve(z(2, 2), z(3)), errors.ShapeError, "sizes do not fit"),
    (lambda: jitorch.linalg.cholesky(-jitorch.eye(2)), errors.LinAlgError, "matrix is not positive definite"),
    (lambda: jitorch.linalg.inv(z(2, 2)), errors.LinAlgError, "singular matrix"),
    (lambda: jitorch.linalg.det(z(2)), errors.ShapeError, "needs at least two axes"),
    (lambda: jitorch.linalg.norm(z(2), ord="x"), errors.ValueRangeError, "this order is for matrices"),
    (lambda: z(2, 3).sort(5), errors.TensorIndexError, "axis out of range"),
    (lambda: z(2, 3).topk(9), errors.ShapeError, "k out of range"),
    (lambda: z(2, 3).topk(-1), errors.ShapeError, "k out of range"),
    (lambda: z(0).max(), errors.TensorIndexError, "a tensor without elements has none"),
    (lambda: z(0, 3).max(0), errors.TensorIndexError, "a reduction over no elements has no value"),
    (lambda: z(0).argmax(), errors.TensorIndexError, "a reduction over no elements has no value"),
    (lambda: jitorch.randint(5, 3, (2,)), errors.ValueRangeError, "no integer lies between the bounds"),
    (lambda: jitorch.rand(-1), errors.ShapeError, "a size is negative"),
    (lambda: jitorch.normal(0.0, -1.0, (2,)), errors.ValueRangeError, "std must not be negative"),
    (lambda: jitorch.multinomial(z(3), 2), errors.ValueRangeError, "the weights of a row sum to 0"),
    (
        lambda: jitorch.multinomial(-jitorch.ones(3), 2),
        errors.ValueRangeError,
        "weights must be finite and not negative",
    ),
    (lambda: jitorch.arange(0, 5, 0), errors.ValueRangeError, "step must not be 0"),
    (lambda: jitorch.arange(5, 0, 1), errors.ValueRangeError, "the bounds lie against the sign of step"),
    (lambda: jitorch.linspace(0, 1, -1), errors.ShapeError, "steps must not be negative"),
    (lambda: jitorch.eye(-1), errors.ShapeError, "a size is negative"),
    (lambda: jitorch.full((2,), "a"), errors.ArgumentError, "expected a number"),
    (lambda: jitorch.einsum("ij,jk", z(2, 3), z(4, 5)), errors.ShapeError, "sizes of one label differ"),
    (lambda: jitorch.einsum("i", z(2, 3)), errors.ShapeError, "'i' does not fit an operand"),
    (lambda: jitorch.einsum("ij->k", z(2, 3)), errors.ArgumentError, "an output label is unknown or occurs twice"),
    (lambda: jitorch.tensordot(z(2, 3), z(2, 3), 1), errors.ShapeError, "sizes of paired axes differ"),
    (lambda: jitorch.meshgrid(z(2, 3)), errors.ShapeError, "expected vectors"),
    (lambda: jitorch.clamp(z(2)), errors.ArgumentError, "needs min, max or both"),
    (lambda: z(2).pow(z(3)), errors.ShapeError, "shapes do not broadcast"),
    (lambda: jitorch.bitwise_and(z(2), z(2)), errors.DTypeError, "does not take float32"),
    (lambda: ~z(2), errors.DTypeError, "does not take float32"),
    (lambda: z(2) << 1, errors.DTypeError, "does not take float32"),
    (
        lambda: jitorch.ones(2, requires_grad=True).numpy(),
        errors.AutogradError,
        "numpy() of a tensor that requires grad",
    ),
    (
        lambda: (jitorch.ones(2, requires_grad=True) * 2).backward(),
        errors.AutogradError,
        "a gradient is implied only for a tensor of one element",
    ),
    (lambda: z(2).backward(), errors.AutogradError, "the tensor does not require grad and has no grad_fn"),
    (lambda: jitorch.autograd.grad(z(2).sum(), z(2)), errors.AutogradError, "an input does not require grad"),
    (
        lambda: jitorch.autograd.grad(jitorch.ones(1, requires_grad=True).sum(), "a"),
        errors.ArgumentError,
        "expected tensors",
    ),
    (
        lambda: jitorch.ones(2, requires_grad=True).sum().backward(z(3)),
        errors.AutogradError,
        "the gradient must have the tensor's type",
    ),
    (
        lambda: jitorch.set_default_dtype(jitorch.int32),
        errors.DTypeError,
        "the default dtype must be a floating point one",
    ),
    (lambda: jitorch.manual_seed("a"), errors.ArgumentError, "a seed is an int"),
    (lambda: jitorch.from_numpy([1, 2]), errors.ArgumentError, "expected a NumPy array"),
    (lambda: z(2).reshape(z(2)), errors.ArgumentError, "only integer tensors of one element can be an index"),
    (lambda: z(2, 3).flatten(1, 0), errors.ShapeError, "start_dim is after end_dim"),
    (lambda: z(2, 3).narrow(0, 1, 5), errors.ShapeError, "start + length exceeds the axis"),
    (lambda: z(2, 3).roll(1, 9), errors.TensorIndexError, "axis out of range"),
    (lambda: z(2, 3).flip(9), errors.TensorIndexError, "axis out of range"),
    (lambda: z(2, 3).cumsum(9), errors.TensorIndexError, "axis out of range"),
    (lambda: z(2, 3).repeat(2), errors.ShapeError, "one count an axis"),
    (lambda: z(2, 3).tile(-1), errors.ShapeError, "a size is negative"),
    (lambda: z(2, 3).masked_fill(z(2, 3), 1), errors.DTypeError, "the mask must be bool"),
    (lambda: z(2, 3).masked_fill(z(5) > 0, 1), errors.ShapeError, "shapes do not broadcast"),
    (lambda: z(2, 3).masked_select(z(5) > 0), errors.ShapeError, "shapes do not broadcast"),
    (lambda: z(2, 3).diagonal(0, 0, 0), errors.ShapeError, "dim1 and dim2 are the same axis"),
    (lambda: z(2, 3).unfold(0, 5, 1), errors.ShapeError, "the window is larger than the axis"),
    (lambda: z(2, 3).copy_("a"), errors.DTypeError, "NumPy dtype <U1 has no tensor dtype"),
    (lambda: z(2, 3).copy_(z(5)), errors.ShapeError, "shapes do not broadcast"),
    (lambda: z(2, 3).fill_("a"), errors.ArgumentError, "expected a number"),
    (lambda: z(2, 3).fill_(z(2)), errors.ValueRangeError, "expected a number"),
    (lambda: z(2, 3).item(), errors.ValueRangeError, "only a tensor of one element is a Python number"),
    (lambda: int(z(2, 3)), errors.ValueRangeError, "only a tensor of one element is a Python number"),
    (lambda: jitorch.from_numpy(np.array(["a"])), errors.DTypeError, "no tensor dtype"),
    (lambda: jitorch.jit(3), errors.ArgumentError, "can be called"),
    (lambda: jitorch.jit(jitorch.relu, backend="nope")(z(2)), errors.BackendError, "unknown backend"),
]

COMPILED: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda x: x @ x, errors.ShapeError, "inner dimensions"),
    (lambda x: x[5], errors.TensorIndexError, "out of range"),
    (lambda x: x.reshape(5), errors.ShapeError, "number of elements"),
    (lambda x: x.add_(jitorch.zeros(4)), errors.ShapeError, "broadcast"),
    (lambda x: x.item(), errors.ValueRangeError, "item()"),
    (lambda x: float(x) + 1, errors.ValueRangeError, "only a tensor of one element"),
    (lambda x: jitorch.cat([x, x], 5), errors.TensorIndexError, "axis out of range"),
    (lambda x: x.to("cuda"), errors.DeviceError, "cuda"),
    (lambda x: x.sum().backward(), errors.AutogradError, "does not require grad"),
    (lambda x: x[jitorch.tensor([7])], errors.TensorIndexError, "out of range"),
    (lambda x: F.embedding(jitorch.tensor([5]), x), errors.TensorIndexError, "out of range"),
    (lambda x: F.cross_entropy(x, jitorch.tensor([0, 9])), errors.TensorIndexError, "out of range"),
    (lambda x: x.expand(4, 3), errors.ShapeError, "expanded"),
    (lambda x: F.dropout(x, 1.5), errors.ValueRangeError, "probability"),
    (lambda x: x.nothing, AttributeError, "nothing"),
    (lambda x: undefined_name, NameError, "undefined_name"),  # noqa: F821
    (lambda x: F.conv2d(x, x), errors.ShapeError, "axes"),
    (lambda x: x.fill_("a"), errors.ArgumentError, "expected a number"),
    (lambda x: jitorch.relu(3), errors.ArgumentError, "must be a tensor"),
    (lambda x: x.detach()[0].expand(2, 3).zero_(), errors.ShapeError, "cannot write"),
]


@pytest.mark.parametrize("case", WRONG, ids=[part for _, _, part in WRONG])
def test_wrong_calls(case: tuple[Callable[[], Any], type[Exception], str]) -> None:
    call, kind, part = case
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert part in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


@pytest.mark.parametrize("case", COMPILED, ids=[part for _, _, part in COMPILED])
def test_wrong_calls_in_compiled_functions(case: tuple[Callable[[Any], Any], type[Exception], str]) -> None:
    function, kind, part = case
    x = z(2, 3)
    with pytest.raises(kind) as caught:
        jitorch.jit(function, fullgraph=True)(x)
    assert type(caught.value) is kind
    assert part in str(caught.value)
    if isinstance(caught.value, errors.UserError):
        assert caught.value.where is not None
        assert caught.value.where.file == __file__
    assert x._version == 0


def take(x: Any, i: Any) -> Any:
    return x[i]


def look_up(x: Any, i: Any) -> Any:
    return F.embedding(i, x)


def choose(x: Any, i: Any) -> Any:
    return F.nll_loss(x, i)


def put(x: Any, i: Any) -> Any:
    return x.index_add(0, i, jitorch.ones(2, 3))


@pytest.mark.parametrize("function", [take, look_up, choose, put])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_indices_out_of_range_at_run_time(function: Callable[..., Any], backend: str) -> None:
    """The trace is right; the data of a later call is not."""
    compiled = jitorch.jit(function, fullgraph=True, backend=backend)
    x = z(2, 3)
    compiled(x, jitorch.tensor([0, 1]))
    for bad in ([0, 9], [2**40, 0], [-(2**40), 0]):
        with pytest.raises(IndexError):
            compiled(x, jitorch.tensor(bad))
    np.testing.assert_array_equal(x.numpy(), 0)
    compiled(x, jitorch.tensor([1, 1]))


def test_out_of_range_writes_what_eager_writes_before_it() -> None:
    @jitorch.jit(fullgraph=True)
    def step(x: Any, i: Any) -> None:
        x.add_(1)
        x.copy_(x[i])

    x = z(2, 3)
    step(x, jitorch.tensor([0, 1]))
    np.testing.assert_array_equal(x.numpy(), 1)
    with pytest.raises(IndexError):
        step(x, jitorch.tensor([0, 7]))
    np.testing.assert_array_equal(x.numpy(), 2)
