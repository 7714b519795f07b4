"""Conversions: `to` and the methods named after dtypes."""

from __future__ import annotations

from typing import Any

from jitorch import devices, dtypes
from jitorch.devices import Device
from jitorch.dtypes import DType
from jitorch.errors import ArgumentError
from jitorch.ops.arguments import is_tensor
from jitorch.ops.registry import Sample, function
from jitorch.ops.structure import cast
from jitorch.ops.structure import copy as copied

Tensor = Any


def converted(x: Tensor, dtype: DType, force_copy: bool = False) -> Tensor:
    """``x`` in ``dtype``: ``x`` itself where it has that dtype already."""
    if x.dtype is not dtype:
        return cast(x, dtype=dtype)
    return copied(x) if force_copy else x


@function(places=("method",))
def to(
    input: Tensor, *args: Any, dtype: Any = None, device: Any = None, other: Any = None, non_blocking: bool = False,
    copy: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Another dtype or device: ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(other)``.

    The tensor itself where nothing changes, unless ``copy``.
    """
    rest = list(args)
    if rest and is_tensor(rest[0]):
        other = rest.pop(0)
    elif rest and (isinstance(rest[0], Device) or (isinstance(rest[0], str) and rest[0] not in _NAMES)):
        device = rest.pop(0)
        if rest and (isinstance(rest[0], DType) or rest[0] in (float, int, bool, complex)):
            dtype = rest.pop(0)
    elif rest and rest[0] is None:
        rest.pop(0)
        if rest:
            dtype = rest.pop(0)
    elif rest:
        dtype = rest.pop(0)
    # What is left are non_blocking and copy.
    if rest:
        non_blocking = rest.pop(0)
    if rest:
        copy = rest.pop(0)
    if rest or not isinstance(copy, bool) or not isinstance(non_blocking, bool):
        raise ArgumentError("to: arguments do not fit", expected="to(dtype), to(device, dtype), to(other)", actual=args)
    devices.check(device)
    if other is not None:
        dtype = other.dtype
    return converted(input, input.dtype if dtype is None else dtypes.as_dtype(dtype), copy)


_NAMES = {d.name for d in dtypes.ALL}


@to.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), dtypes.float32)
    yield Sample(rng.normal(size=(2, 3)), "cpu", dtypes.int64)
    yield Sample(rng.normal(size=(2, 3)), dtype=dtypes.float16, copy=True)


@function(places=("method",))
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """``input`` in the dtype of ``other``."""
    return converted(input, other.dtype)


type_as.samples(lambda rng: [Sample(rng.normal(size=(2,)), rng.integers(0, 2, size=(1,)))])


@function(places=("method",))
def cpu(input: Tensor, memory_format: Any = None) -> Tensor:
    """``input`` itself: tensors are in the memory of the CPU."""
    return input


@function(places=("method",))
def cuda(input: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """An error: no tensor can be on a GPU (see `jitorch.devices`)."""
    devices.check("cuda" if device is None else device if not isinstance(device, int) else f"cuda:{device}")
    return input


cpu.samples(lambda rng: [Sample(rng.normal(size=(2,)))])
cuda.samples(lambda rng: [Sample(rng.normal(size=(2,)), "cpu")])


def _converter(name: str, dtype: DType) -> Any:
    def convert(input: Tensor, memory_format: Any = None) -> Tensor:
        return converted(input, dtype)

    convert.__doc__ = f"``input.to(jitorch.{dtype.name})``."
    entry = function(convert, name=name, places=("method",))
    entry.samples(lambda rng: [Sample(rng.normal(size=(2, 3)) * 3), Sample(rng.normal(size=(2,)) > 0)])
    return entry


CONVERTERS = {
    name: _converter(name, dtype)
    for name, dtype in {
        "float": dtypes.float32, "double": dtypes.float64, "half": dtypes.float16, "bfloat16": dtypes.bfloat16,
        "int": dtypes.int32, "long": dtypes.int64, "short": dtypes.int16, "char": dtypes.int8, "byte": dtypes.uint8,
        "bool": dtypes.bool_, "cfloat": dtypes.complex64, "cdouble": dtypes.complex128,
    }.items()
}  # fmt: skip
"""``Tensor.float()`` and the like, by name."""
