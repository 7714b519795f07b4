"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import jitorch
from jitorch.errors import ArgumentError, ShapeError
from jitorch.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements in one vector, in order; differentiable."""
    return jitorch.cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give each parameter its part of the vector as data (the parts are views of it)."""
    if not isinstance(vec, Tensor):
        raise ArgumentError("expected a vector", expected="Tensor", actual=type(vec).__name__)
    parameters = list(parameters)
    needed = sum(parameter.numel() for parameter in parameters)
    if vec.ndim != 1 or vec.numel() < needed:
        raise ShapeError("the vector does not fit the parameters", expected=(needed,), actual=tuple(vec.shape))
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.data = vec[start:stop].view(parameter.shape).data
        start = stop
