"""Complex numbers and their parts.

A gradient of a complex tensor is ``dL/d(real) + 1j * dL/d(imag)``, as in PyTorch, so a vjp multiplies by the
*conjugate* of a derivative.  No kernel holds complex numbers: these ops run by their NumPy meaning.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.errors import DTypeError
from jitorch.ops.batching import leading, register
from jitorch.ops.registry import Sample, primitive
from jitorch.ops.structure import cast

Tensor = Any


def complex_of(dtype: DType) -> DType:
    """The complex dtype of two parts of ``dtype``."""
    return dtypes.complex128 if dtype in (dtypes.float64, dtypes.complex128) else dtypes.complex64


def real_of(dtype: DType) -> DType:
    """The dtype of the parts of a complex one."""
    return {dtypes.complex64: dtypes.float32, dtypes.complex128: dtypes.float64}.get(dtype, dtype)


def _check_complex(name: str, x: Any) -> None:
    if not x.dtype.is_complex:
        raise DTypeError(f"{name}: needs a complex tensor", expected="complex64 or complex128", actual=x)


def _complex(rng: Any, *shape: int) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@primitive(lowering="extern")
def real_part(x: Tensor) -> Tensor:
    """The real parts of complex numbers."""


@real_part.type_rule
def _(x):
    _check_complex("real", x)
    return x.with_dtype(real_of(x.dtype))


@real_part.numpy
def _(x):
    return x.real.copy()


@real_part.vjp
def _(g, out, x):
    return (cast(g, dtype=x.dtype),)


@primitive(lowering="extern")
def imag_part(x: Tensor) -> Tensor:
    """The imaginary parts of complex numbers."""


@imag_part.type_rule
def _(x):
    _check_complex("imag", x)
    return x.with_dtype(real_of(x.dtype))


@imag_part.numpy
def _(x):
    return x.imag.copy()


@imag_part.vjp
def _(g, out, x):
    return (complex_from(g * 0.0, g),)


@primitive(lowering="extern")
def complex_from(real: Tensor, imag: Tensor) -> Tensor:
    """``real + 1j * imag``, of one dtype and shape."""


@complex_from.type_rule
def _(real, imag):
    if real != imag or real.dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError("complex: the parts are float32 or float64 alike", expected=real, actual=imag)
    return real.with_dtype(complex_of(real.dtype))


@complex_from.numpy
def _(real, imag):
    result = np.empty(real.shape, complex_of(dtypes.from_numpy(real.dtype)).numpy)
    result.real, result.imag = real, imag
    return result


@complex_from.vjp
def _(g, out, real, imag):
    return real_part(g), imag_part(g)


@primitive(lowering="extern")
def conjugate(x: Tensor) -> Tensor:
    """``a - b * 1j`` for ``a + b * 1j``."""


@conjugate.type_rule
def _(x):
    _check_complex("conj", x)
    return x


@conjugate.numpy
def _(x):
    return np.conjugate(x)


@conjugate.vjp
def _(g, out, x):
    return (conjugate(g),)


for _entry in (real_part, imag_part, conjugate):

    @_entry.samples
    def _(rng):
        yield Sample(_complex(rng, 2, 3))


@complex_from.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)))


def conj(x: Tensor) -> Tensor:
    """The conjugate of a complex tensor; a real one is its own."""
    return conjugate(x) if x.type.dtype.is_complex else x


register(leading, real_part, imag_part, complex_from, conjugate)
