"""Questions about tensors and dtypes, and process-wide settings under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import config, devices, dtypes
from jitorch.devices import Device
from jitorch.dtypes import DType
from jitorch.errors import ValueRangeError
from jitorch.ops import normalize
from jitorch.ops.arguments import check_tensor
from jitorch.ops.registry import Sample, function

Tensor = Any

query = function(places=("torch",))


@query
def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype that arithmetic between two tensors or numbers gives."""
    return normalize.result_type((tensor1, tensor2))


@query
def promote_types(type1: DType, type2: DType) -> DType:
    """The smallest dtype that both dtypes convert to."""
    return dtypes.promote_types(dtypes.as_dtype(type1), dtypes.as_dtype(type2))


@query
def can_cast(from_: DType, to: DType) -> bool:
    """Whether a result of one dtype may be stored in another: whether its category does not fall."""
    return dtypes.can_cast(dtypes.as_dtype(from_), dtypes.as_dtype(to))


@query
def get_default_dtype() -> DType:
    """The dtype of floating point tensors made without one."""
    return dtypes.get_default()


@query
def set_default_dtype(d: DType) -> None:
    """Change what `get_default_dtype` gives."""
    dtypes.set_default(dtypes.as_dtype(d))


@query
def get_default_device() -> Device:
    """Where tensors are made: the CPU."""
    return devices.CPU


@query
def set_default_device(device: Any) -> None:
    """Accepts the CPU; another device is an error (see `jitorch.devices`)."""
    devices.check(device)


@query
def get_num_threads() -> int:
    """How many threads one compiled program uses."""
    return config.current().num_threads


@query
def set_num_threads(int: int) -> None:
    """Change how many threads one compiled program uses."""
    if int < 1:
        raise ValueRangeError("set_num_threads: expected a positive number", actual=int)
    config.set_default(num_threads=int)


@query
def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a tensor."""
    return hasattr(obj, "requires_grad") and hasattr(obj, "grad_fn")


@query
def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating point one."""
    check_tensor("is_floating_point", input)
    return input.dtype.is_floating_point


@query
def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    check_tensor("is_complex", input)
    return input.dtype.is_complex


@query
def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not 0."""
    check_tensor("is_nonzero", input)
    return bool(input)


@query
def numel(input: Tensor) -> int:
    """The number of elements."""
    check_tensor("numel", input)
    return input.numel()


def _two(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2,)).astype(np.float32), rng.integers(0, 3, size=(2,)), trace=False)


result_type.samples(_two)
for _entry in (promote_types, can_cast):
    _entry.samples(lambda rng: [Sample(dtypes.float32, dtypes.int64, trace=False)])
for _entry in (get_default_dtype, get_default_device, get_num_threads):
    _entry.samples(lambda rng: [Sample(trace=False)])
for _entry in (is_tensor, is_floating_point, is_complex, numel):
    _entry.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), trace=False)])
set_default_dtype.samples(lambda rng: [Sample(dtypes.get_default(), trace=False)])
set_default_device.samples(lambda rng: [Sample("cpu", trace=False)])
set_num_threads.samples(lambda rng: [Sample(config.current().num_threads, trace=False)])
is_nonzero.samples(lambda rng: [Sample(np.array([2]), trace=False)])
