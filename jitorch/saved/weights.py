"""Tensors in the layout of safetensors: the length of a JSON header, the header, and the numbers.

Source: the format section of the safetensors documentation, https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.errors import SavedModelError
from jitorch.saved.container import parse_json

_NAMES = {
    "BOOL": dtypes.bool_, "U8": dtypes.uint8, "I8": dtypes.int8, "I16": dtypes.int16, "U16": dtypes.uint16,
    "I32": dtypes.int32, "U32": dtypes.uint32, "I64": dtypes.int64, "U64": dtypes.uint64, "F16": dtypes.float16,
    "BF16": dtypes.bfloat16, "F32": dtypes.float32, "F64": dtypes.float64, "C64": dtypes.complex64,
}  # fmt: skip
_SPELLED = {dtype: name for name, dtype in _NAMES.items()}
_ALIGNMENT = 8
_MAX_RANK = 64


def storable(dtype: DType) -> bool:
    """Whether the layout has a name for ``dtype``; complex128 has none."""
    return dtype in _SPELLED


def pack(arrays: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """The section that holds ``arrays``, in order."""
    header: dict[str, Any] = {}
    position = 0
    chunks = []
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        dtype = _SPELLED[dtypes.from_numpy(array.dtype)]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [position, position + len(data)]}
        position += len(data)
        chunks.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text + b"".join(chunks)


def unpack(section: memoryview) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays, copied; every bound is checked.  Raises SavedModelError."""
    if len(section) < 8:
        raise SavedModelError("the weights have no header")
    (length,) = struct.unpack_from("<Q", section)
    if length > len(section) - 8:
        raise SavedModelError("the header of the weights is longer than the section", actual=length)
    header = parse_json(section[8 : 8 + length], "the header of the weights")
    data = section[8 + length :]
    found: dict[str, np.ndarray[Any, Any]] = {}
    position = 0
    for name, entry in header.items():
        dtype, shape, begin, end = _entry(name, entry)
        size = int(np.dtype(dtype.numpy).itemsize)
        for n in shape:
            size *= n
        if begin != position or end - begin != size or end > len(data):
            raise SavedModelError(f"weight {name}: its bytes do not lie where they must", expected=[position, size],
                                  actual=[begin, end - begin])  # fmt: skip
        position = end
        if dtype is dtypes.bool_ and bytes(data[begin:end]).strip(b"\0\1"):
            raise SavedModelError(f"weight {name}: a bool is neither 0 nor 1")
        found[name] = np.frombuffer(bytes(data[begin:end]), dtype.numpy).reshape(shape).copy()
    if position != len(data):
        raise SavedModelError("the weights do not end where they must", expected=position, actual=len(data))
    return found


def _entry(name: str, entry: Any) -> tuple[DType, list[int], int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise SavedModelError(f"weight {name} is not described", actual=str(entry)[:80])
    dtype, shape, offsets = _NAMES.get(str(entry["dtype"])), entry["shape"], entry["data_offsets"]
    if dtype is None:
        raise SavedModelError(f"weight {name} has an unknown dtype", expected=", ".join(_NAMES), actual=entry["dtype"])
    numbers = isinstance(shape, list) and isinstance(offsets, list) and len(shape) <= _MAX_RANK and len(offsets) == 2
    if not numbers or not all(type(n) is int and 0 <= n < 1 << 62 for n in (*shape, *offsets)):
        raise SavedModelError(f"weight {name} has no shape or place", actual=str(entry)[:80])
    return dtype, shape, *offsets
