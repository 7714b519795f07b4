"""Making tensors: from data, filled, ramps, and like another tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from jitorch import devices, dims, dtypes
from jitorch.dims import SymDim
from jitorch.dtypes import Category, DType
from jitorch.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from jitorch.ops import dispatch
from jitorch.ops.arguments import check_tensor, is_tensor, number_of, one_size, shape_of, sizes_of
from jitorch.ops.arrange import stack
from jitorch.ops.create import constant, iota, size_number
from jitorch.ops.math import where
from jitorch.ops.normalize import category_default, is_number, number_as
from jitorch.ops.registry import Sample, function
from jitorch.ops.structure import broadcast_to, cast, copy, reshape_to

Tensor = Any


def _dtype(dtype: Any, default: DType) -> DType:
    return default if dtype is None else dtypes.as_dtype(dtype)


# ---- from data --------------------------------------------------------------------------------------
def _contains_tensor(data: Any) -> bool:
    return isinstance(data, (tuple, list)) and any(is_tensor(x) or _contains_tensor(x) for x in data)


def _leaves(data: Any) -> Iterator[Any]:
    """The numbers in nested sequences."""
    if isinstance(data, (tuple, list)):
        for item in data:
            yield from _leaves(item)
    else:
        yield data


def _is_late(number: Any) -> bool:
    """Whether a number is known only at run time."""
    return hasattr(number, "type") and not isinstance(number, (np.ndarray, np.generic))


def _common_dtype(data: Any) -> DType:
    """The dtype of nested sequences of numbers of which some are known only at run time."""
    floats = any(isinstance(x, float) or (_is_late(x) and x.type.dtype.is_floating_point) for x in _leaves(data))
    if floats:
        return dtypes.get_default()
    return dtypes.bool_ if all(isinstance(x, bool) for x in _leaves(data)) else dtypes.int64


def _stacked(data: Any, dtype: DType | None) -> Tensor:
    """Nested sequences that hold tensors."""
    if isinstance(data, (tuple, list)):
        return stack([_stacked(x, dtype) for x in data])
    if is_tensor(data):
        return data if dtype is None or data.dtype is dtype else cast(data, dtype=dtype)
    return _from_data("tensor", data, dtype)


def _from_data(name: str, data: Any, dtype: DType | None) -> Tensor:
    """A new tensor with the values of numbers, nested sequences, an array or anything NumPy can read."""
    if isinstance(data, np.ndarray):
        array = np.array(data, None if dtype is None else dtype.numpy)
    elif _is_late(data):
        return cast(data, dtype=dtype or category_default(data.type.dtype.category))
    else:
        array = _array_of(name, data, dtype)
    return dispatch.current().from_array(array)


def _array_of(name: str, data: Any, dtype: DType | None) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(data)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueRangeError(
            f"{name}: not a rectangular array of numbers", expected="numbers, or sequences of one length",
            actual=str(error),
        ) from None  # fmt: skip
    if array.dtype == object:
        array = _oversized(name, data, array)
    if array.dtype.kind in "USOMmV" and array.size:
        raise ArgumentError(f"{name}: not numbers", expected="int, float, bool, complex", actual=type(data).__name__)
    if dtype is not None:
        return np.array(array, dtype.numpy)
    if isinstance(data, np.generic) or hasattr(data, "__array__") or hasattr(data, "__array_interface__"):
        return np.array(array)
    if array.size == 0:
        return array.astype(dtypes.get_default().numpy)
    # Python numbers: float and complex take the default dtype, int is int64.
    return np.array(array, category_default(dtypes.from_numpy(array.dtype).category).numpy)


def _oversized(name: str, data: Any, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if all(isinstance(x, (bool, int, float)) for x in array.ravel()):
        raise ValueRangeError(f"{name}: an int does not fit int64", expected="-2**63 to 2**63 - 1", actual=data)
    raise ArgumentError(f"{name}: not numbers", expected="int, float, bool, complex", actual=type(data).__name__)


@function(places=("torch",))
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new tensor with the values of ``data``: a number, nested sequences, an array, or tensors among them.

    The data is always copied.  Floats take the default dtype, ints int64, unless ``dtype`` is given.
    """
    devices.check(device)
    wanted = None if dtype is None else dtypes.as_dtype(dtype)
    if is_tensor(data):
        data = data.detach()
        result = copy(data) if wanted is None or data.dtype is wanted else cast(data, dtype=wanted)
    elif _contains_tensor(data):
        result = _stacked(data, wanted)
    elif isinstance(data, (tuple, list)) and any(map(_is_late, _leaves(data))):
        result = _stacked(data, wanted or _common_dtype(data))
    else:
        result = _from_data("tensor", data, wanted)
    return result.requires_grad_() if requires_grad else result


@tensor.samples
def _(rng):
    yield Sample([[1, 2], [3, 4]])
    yield Sample(1.5)
    yield Sample([True, False])
    yield Sample([], dtype=dtypes.int32)
    yield Sample(rng.normal(size=(2, 3)), dtype=dtypes.float16)


def constructed(*args: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """What ``Tensor(...)`` means: data (float if no dtype is given), or sizes of an `empty` tensor."""
    wanted = _dtype(dtype, dtypes.get_default())
    if all(type(a) is int or isinstance(a, SymDim) for a in args):
        return empty(tuple(args) if args else (0,), dtype=wanted, device=device)
    if len(args) != 1:
        raise ArgumentError("Tensor: expected data, or sizes", expected="Tensor(data) or Tensor(2, 3)", actual=args)
    data = args[0]
    if hasattr(data, "numel") and not is_tensor(data):
        # A Size.
        return empty(data, dtype=wanted, device=device)
    return tensor(data, dtype=wanted, device=device)


@function(places=("method",), name="new")
def new_like(input: Tensor, *args: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``Tensor(...)`` in the dtype of ``input``: of data, or an `empty` one of the given sizes."""
    return constructed(*args, dtype=_dtype(dtype, input.dtype), device=device)


new_like.samples(lambda rng: [Sample(rng.normal(size=(2,)), [[1.5, 2.0]])])


@function(places=("torch",), aliases=("asarray",))
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, sharing its memory where it is a tensor or NumPy array of that dtype already."""
    devices.check(device)
    wanted = None if dtype is None else dtypes.as_dtype(dtype)
    if is_tensor(data):
        return data if wanted is None or data.dtype is wanted else cast(data, dtype=wanted)
    if isinstance(data, np.ndarray) and (wanted is None or data.dtype == wanted.numpy):
        return from_numpy(data)
    return tensor(data, dtype=wanted)


as_tensor.samples(lambda rng: [Sample([1, 2, 3]), Sample(rng.normal(size=(2,)), dtype=dtypes.float32)])


@function(places=("torch",))
def from_numpy(ndarray: Any) -> Tensor:
    """A tensor over the memory of a NumPy array: a write to one is seen in the other.

    A read-only array is copied, as is one whose byte order is not the machine's.
    """
    if not isinstance(ndarray, np.ndarray):
        raise ArgumentError("from_numpy: expected a NumPy array", actual=type(ndarray).__name__)
    dtype = dtypes.from_numpy(ndarray.dtype)
    if ndarray.dtype != dtype.numpy or not ndarray.flags.writeable:
        ndarray = np.array(ndarray, dtype.numpy)
    return dispatch.current().from_array(ndarray)


from_numpy.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), trace=False)])


@function(places=("torch",))
def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A vector over the memory of an object with the buffer protocol; ``offset`` is in bytes."""
    wanted = dtypes.as_dtype(dtype)
    try:
        array = np.frombuffer(buffer, wanted.numpy, count, offset)
    except ValueError as error:
        raise ValueRangeError("frombuffer: the buffer does not fit", actual=str(error)) from None
    result = from_numpy(array)
    return result.requires_grad_() if requires_grad else result


@frombuffer.samples
def _(rng):
    yield Sample(bytearray(16), dtype=dtypes.float32)
    yield Sample(bytearray(8), dtype=dtypes.int8, offset=2)


@function(places=("torch",))
def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor; without ``dtype`` it has the default dtype."""
    return tensor(s, dtype=_dtype(dtype, dtypes.get_default()), device=device, requires_grad=requires_grad)


scalar_tensor.samples(lambda rng: [Sample(2), Sample(1.5, dtype=dtypes.float64)])


# ---- filled -----------------------------------------------------------------------------------------
def filled(value: Any, shape: tuple[Any, ...], dtype: DType) -> Tensor:
    """A new tensor with ``value`` (a number, also one of run time, or a 0-d tensor) everywhere."""
    if isinstance(value, (bool, int, float, complex)):
        scalar = constant(value=number_as(value, dtype), dtype=dtype)
    else:
        scalar = cast(value, dtype=dtype)
    return copy(broadcast_to(scalar, shape=shape))


def _finish(result: Tensor, device: Any, requires_grad: bool) -> Tensor:
    devices.check(device)
    return result.requires_grad_() if requires_grad else result


def _filler(name: str, value: Any, doc: str) -> Any:
    """``name(*size)``, ``name_like(input)`` and ``Tensor.new_name(*size)`` for a fixed fill value."""

    @function(name=name, places=("torch",))
    def fill_sizes(
        *sizes: Any, size: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None,
    ) -> Tensor:  # fmt: skip
        wanted = _dtype(dtype, dtypes.get_default())
        return _finish(filled(value, shape_of(name, sizes, size), wanted), device, requires_grad)

    @function(name=f"{name}_like", places=("torch",))
    def fill_like(
        input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
        pin_memory: bool = False, memory_format: Any = None,
    ) -> Tensor:  # fmt: skip
        check_tensor(f"{name}_like", input)
        return _finish(filled(value, tuple(input.shape), _dtype(dtype, input.dtype)), device, requires_grad)

    @function(name=f"new_{name}", places=("method",))
    def fill_new(
        input: Tensor, *sizes: Any, size: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        shape = shape_of(f"new_{name}", sizes, size)
        return _finish(filled(value, shape, _dtype(dtype, input.dtype)), device, requires_grad)

    _document(fill_sizes, f"A tensor of the given sizes, {doc}.")
    _document(fill_like, f"A tensor of the shape and dtype of ``input``, {doc}.")
    _document(fill_new, f"A tensor of the given sizes and the dtype of ``input``, {doc}.")
    fill_sizes.samples(lambda rng: [Sample(2, 3), Sample((0, 2), dtype=dtypes.int8), Sample(())])
    fill_like.samples(lambda rng: [Sample(rng.normal(size=(2, 3))), Sample(rng.normal(size=()), dtype=dtypes.int64)])
    fill_new.samples(lambda rng: [Sample(rng.normal(size=(2,)), 2, 3), Sample(rng.normal(size=(2,)), (2,))])
    return fill_sizes, fill_like, fill_new


def _document(entry: Any, doc: str) -> None:
    entry.doc = entry.__doc__ = entry.call.__doc__ = doc


zeros, zeros_like, new_zeros = _filler("zeros", 0, "filled with 0")
ones, ones_like, new_ones = _filler("ones", 1, "filled with 1")
# Memory that was never written would differ from run to run: what PyTorch leaves undefined is 0 here.
empty, empty_like, new_empty = _filler("empty", 0, "whose values are not to be relied on (they are 0)")


@function(places=("torch",))
def full(
    size: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor with ``fill_value`` everywhere; without ``dtype`` it has that of the value."""
    value = number_of("full", fill_value)
    default = value.type.dtype if hasattr(value, "type") else dtypes.as_dtype(type(value))
    if not is_tensor(value):
        default = category_default(default.category)
    return _finish(filled(value, shape_of("full", (size,)), _dtype(dtype, default)), device, requires_grad)


@full.samples
def _(rng):
    yield Sample((2, 3), 1.5)
    yield Sample((2,), 7)
    yield Sample((), True)
    yield Sample((2,), -1, dtype=dtypes.uint8)


@function(places=("torch",))
def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of the shape and dtype of ``input`` with ``fill_value`` everywhere."""
    check_tensor("full_like", input)
    value = number_of("full_like", fill_value)
    return _finish(filled(value, tuple(input.shape), _dtype(dtype, input.dtype)), device, requires_grad)


full_like.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), 2)])


@function(places=("method",))
def new_full(
    input: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    layout: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of the given sizes and the dtype of ``input`` with ``fill_value`` everywhere."""
    value, shape = number_of("new_full", fill_value), shape_of("new_full", (size,))
    return _finish(filled(value, shape, _dtype(dtype, input.dtype)), device, requires_grad)


new_full.samples(lambda rng: [Sample(rng.normal(size=(2,)), (2, 3), 2)])


@function(places=("method",))
def new_tensor(
    input: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with the values of ``data`` and, without ``dtype``, the dtype of ``input``."""
    return tensor(data, dtype=_dtype(dtype, input.dtype), device=device, requires_grad=requires_grad)


new_tensor.samples(lambda rng: [Sample(rng.normal(size=(2,)), [1, 2])])


@function(places=("torch",))
def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """As `empty`; the strides are not kept: new tensors are always row-major."""
    shape, strides = shape_of("empty_strided", (size,)), sizes_of("empty_strided", (stride,))
    if len(shape) != len(strides):
        raise ShapeError("empty_strided: one stride an axis", expected=len(shape), actual=len(strides))
    return empty(shape, dtype=dtype, device=device, requires_grad=requires_grad)


empty_strided.samples(lambda rng: [Sample((2, 3), (1, 2))])


# ---- ramps ------------------------------------------------------------------------------------------
def _number(value: Any) -> Any:
    """A bound for arithmetic with tensors."""
    return size_number(value) if isinstance(value, SymDim) else value


def _of_dtype(value: Any) -> int | float:
    """A tensor, run-time number or NumPy scalar as the Python number that its dtype stands for."""
    kind = (value.type if hasattr(value, "type") else value).dtype
    is_float = kind.category is Category.FLOAT if isinstance(kind, DType) else kind.kind == "f"
    return float(value) if is_float else value.__index__()


def _bound(name: str, value: Any) -> Any:
    """A bound of a ramp: a Python number or a size."""
    if isinstance(value, (int, float, SymDim)) and not isinstance(value, bool):
        return value
    if is_tensor(value) or hasattr(value, "type") or isinstance(value, np.generic):
        return _of_dtype(value)
    if isinstance(value, bool):
        return int(value)
    raise ArgumentError(f"{name}: expected a number", expected="int or float", actual=type(value).__name__)


@function(places=("torch",))
def arange(
    start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """``start, start + step, ...`` up to, and without, ``end``; ``arange(end)`` starts at 0.

    Without ``dtype``: int64 if all arguments are ints, else the default dtype.
    """
    if end is None:
        start, end = 0, start
    start, end, step = _bound("arange", start), _bound("arange", end), _bound("arange", step)
    count = _arange_count(start, end, step, None if dtype is None else dtypes.as_dtype(dtype))
    is_float = any(isinstance(v, float) for v in (start, end, step))
    wanted = _dtype(dtype, dtypes.get_default() if is_float else dtypes.int64)
    if wanted is dtypes.bool_ or wanted.is_complex:
        raise DTypeError("arange: not a dtype of a ramp", expected="an int or float dtype", actual=wanted.name)
    if wanted.category is Category.INT and is_float:
        # PyTorch truncates each bound first.
        start, step = int(start), int(step)
    exact = dtypes.float64 if wanted.category is Category.FLOAT and is_float else dtypes.int64
    ramp = iota(size=count, dtype=exact)
    if not (isinstance(step, int) and step == 1):
        ramp = ramp * _number(step)
    if not (isinstance(start, int) and start == 0):
        ramp = ramp + _number(start)
    return _finish(ramp if ramp.dtype is wanted else cast(ramp, dtype=wanted), device, requires_grad)


def _arange_count(start: Any, end: Any, step: Any, dtype: DType | None) -> Any:
    if is_number(step) and step == 0:
        raise ValueRangeError("arange: step must not be 0", actual=step)
    if isinstance(start, float) or isinstance(end, float) or isinstance(step, float):
        values = [float(v) for v in (start, end, step)]
        if not all(map(math.isfinite, values)):
            raise ValueRangeError("arange: bounds and step must be finite", actual=values)
        if dtype is not None and dtype.category is Category.INT:
            values = [float(int(v)) for v in values]
        start, end, step = values
        count = math.ceil((end - start) / step)
        if count < 0:
            raise ValueRangeError("arange: the bounds lie against the sign of step", actual=(start, end, step))
        return count
    if dims.less(0, step):
        if dims.less(end, start):
            raise ValueRangeError("arange: the bounds lie against the sign of step", actual=(start, end, step))
        return dims.floordiv(end - start + step - 1, step)
    if dims.less(start, end):
        raise ValueRangeError("arange: the bounds lie against the sign of step", actual=(start, end, step))
    return dims.floordiv(start - end - step - 1, -step)


@arange.samples
def _(rng):
    yield Sample(5)
    yield Sample(2, 9, 3)
    yield Sample(5, 1, -1, dtype=dtypes.int32)
    yield Sample(0, 1, 0.3)
    yield Sample(0)


@function(places=("torch",), name="range")
def closed_range(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Tensor:
    """As `arange`, but ``end`` is included; of the default dtype."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise ValueRangeError("range: the bounds lie against the sign of step", actual=(start, end, step))
    count = math.floor((end - start) / step) + 1
    ramp = iota(size=count, dtype=dtypes.float64) * float(step) + float(start)
    return _finish(cast(ramp, dtype=_dtype(dtype, dtypes.get_default())), device, False)


closed_range.samples(lambda rng: [Sample(1, 4), Sample(0, 1, 0.5)])


def _evenly(name: str, start: Any, end: Any, steps: Any, dtype: DType) -> Tensor:
    """``steps`` values from ``start`` to ``end``, both included, in double precision.

    The second half counts down from ``end``, so that it is met exactly.
    """
    count = one_size(name, steps)
    if dims.less(count, 0):
        raise ShapeError(f"{name}: steps must not be negative", actual=count)
    start, end = (cast(number_of(name, v), dtype=dtypes.float64) if hasattr(v, "type") else v for v in (start, end))
    if dtype.category is Category.INT and isinstance(start, float):
        start = int(start)
    if dtype.category is Category.INT and isinstance(end, float):
        end = int(end)
    position = iota(size=count, dtype=dtypes.float64)
    if dims.less_equal(count, 1):
        return position * 0.0 + start
    last = size_number(count) - 1
    step = (end - start) / (last * 1.0)
    return where(position * 2.0 < last, position * step + start, (position - last) * step + end)


@function(places=("torch",))
def linspace(
    start: Any, end: Any, steps: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """``steps`` evenly spaced values from ``start`` to ``end``, both included."""
    wanted = _dtype(dtype, dtypes.get_default())
    return _finish(cast(_evenly("linspace", start, end, steps, wanted), dtype=wanted), device, requires_grad)


@linspace.samples
def _(rng):
    yield Sample(0, 1, 5)
    yield Sample(3.0, -2.0, 4, dtype=dtypes.float64)
    yield Sample(1, 2, 1)
    yield Sample(0, 1, 0)


@function(places=("torch",))
def logspace(
    start: Any, end: Any, steps: Any, base: float = 10.0, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """``base`` to the power of ``steps`` evenly spaced exponents from ``start`` to ``end``."""
    wanted = _dtype(dtype, dtypes.get_default())
    exponents = _evenly("logspace", start, end, steps, dtypes.float64)
    return _finish(cast(float(base) ** exponents, dtype=wanted), device, requires_grad)


logspace.samples(lambda rng: [Sample(0, 2, 3), Sample(0, 3, 4, base=2.0)])


@function(places=("torch",))
def eye(
    n: Any, m: Any = None, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A matrix with 1 on its diagonal, 0 elsewhere."""
    rows, columns = shape_of("eye", (n, n if m is None else m))
    diagonal = reshape_to(iota(size=rows), shape=(rows, 1)) == iota(size=columns)
    return _finish(cast(diagonal, dtype=_dtype(dtype, dtypes.get_default())), device, requires_grad)


eye.samples(lambda rng: [Sample(3), Sample(2, 4, dtype=dtypes.int64), Sample(0)])
