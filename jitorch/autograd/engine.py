"""`grad` and `backward`: the engine of ``Tensor.backward`` under PyTorch's functions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from jitorch.errors import ArgumentError, AutogradError
from jitorch.frontend.eager.tape import run_backward
from jitorch.ops import dispatch
from jitorch.ops.create import constant
from jitorch.ops.structure import broadcast_to
from jitorch.tensor import Tensor

Tensors = Tensor | Sequence[Tensor]


def _tuple(name: str, tensors: Any) -> tuple[Tensor, ...]:
    found = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    for t in found:
        if not isinstance(t, Tensor):
            raise ArgumentError(f"{name}: expected tensors", actual=type(t).__name__)
    return found


def _gradients(name: str, outputs: Sequence[Tensor], given: Any) -> list[Tensor | None]:
    if given is None:
        return [None] * len(outputs)
    found: list[Tensor | None] = [given] if isinstance(given, Tensor) else list(given)
    if len(found) != len(outputs):
        raise AutogradError(f"{name}: one gradient an output", expected=len(outputs), actual=len(found))
    return found


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs``, weighted by ``grad_outputs``, with respect to ``inputs``.

    ``grad_outputs`` may be left out for outputs of one element.  ``create_graph``: the result is
    differentiable itself.  An input that the outputs do not depend on is an error, unless
    ``allow_unused`` (then None) or ``materialize_grads`` (then zeros).  ``is_grads_batched``: ``grad_outputs`` have one
    more axis in front, and so have the gradients.
    """
    out, wanted = _tuple("grad", outputs), _tuple("grad", inputs)
    for t in wanted:
        if not t.requires_grad:
            raise AutogradError("grad: an input does not require grad", actual=t.type, hint="requires_grad_() first")
    given = _gradients("grad", out, grad_outputs)
    if is_grads_batched:
        found = _batched(out, given, retain_graph, create_graph, wanted)
    else:
        found = run_backward(out, given, retain_graph, create_graph, wanted, accumulate=False)
    results: list[Tensor | None] = []
    for t, g in zip(wanted, found):
        if g is None and materialize_grads:
            lanes = (given[0].shape[0],) if is_grads_batched and given[0] is not None else ()
            g = broadcast_to(constant(value=0, dtype=t.dtype), shape=(*lanes, *t.shape))
        elif g is None and not allow_unused:
            raise AutogradError(
                "grad: an input was not used to compute the outputs", actual=t.type,
                hint="pass allow_unused=True to get None, or materialize_grads=True to get zeros",
            )  # fmt: skip
        results.append(g)
    return tuple(results)


def _batched(
    outputs: Sequence[Tensor], gradients: Sequence[Tensor | None], retain_graph: bool | None, create_graph: bool,
    inputs: Sequence[Tensor],
) -> list[Tensor | None]:  # fmt: skip
    """The gradients for each row of ``gradients``, by one pass that is vectorised."""
    owner = dispatch.current().inner  # type: ignore[attr-defined]
    reached: list[bool] = []

    def one(*rows: Tensor) -> tuple[Tensor, ...]:
        found = run_backward(outputs, rows, retain_graph, create_graph, inputs, accumulate=False, owner=owner)
        reached[:] = [g is not None for g in found]
        return tuple(g for g in found if g is not None)

    rows = iter(import_module("jitorch.autograd.vmap").vmap(one)(*gradients))
    return [next(rows) if flag else None for flag in reached]


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of ``tensors``, weighted by ``grad_tensors``, to ``.grad`` of the leaves (or of ``inputs``)."""
    out = _tuple("backward", tensors)
    gradients = _gradients("backward", out, grad_tensors if grad_variables is None else grad_variables)
    wanted = None if inputs is None else _tuple("backward", inputs)
    if wanted is not None and not wanted:
        raise AutogradError("backward: inputs must not be empty")
    run_backward(out, gradients, retain_graph, create_graph, wanted, accumulate=True)
