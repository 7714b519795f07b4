"""Gradients against finite differences, in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.autograd.engine import grad
from jitorch.autograd.grad_mode import no_grad
from jitorch.errors import AutogradError, DTypeError
from jitorch.ops import dispatch
from jitorch.tensor import Tensor


class GradcheckError(AutogradError):
    """A gradient differs from what finite differences say."""


def _inputs(inputs: Any) -> tuple[Any, ...]:
    return (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)


def _outputs(result: Any) -> list[Tensor]:
    results = result if isinstance(result, (tuple, list)) else (result,)
    return [t for t in results if isinstance(t, Tensor) and t.dtype.is_floating_point]


def _numerical(function: Callable[..., Any], inputs: tuple[Any, ...], at: int, count: int, eps: float) -> list[Any]:
    """Central differences: for each output the Jacobian ``[input elements, output elements]``."""
    array = inputs[at].detach().numpy()
    rows: list[list[Any]] = [[] for _ in range(count)]
    for position in np.ndindex(array.shape):
        kept = array[position]
        sides = []
        for value in (kept + eps, kept - eps):
            array[position] = value
            with no_grad():
                sides.append([t.detach().numpy().astype(np.float64).ravel() for t in _outputs(function(*inputs))])
        array[position] = kept
        for row, above, below in zip(rows, *sides):
            row.append((above - below) / (2 * eps))
    return [np.array(row).reshape(array.size, -1) for row in rows]


def _analytical(output: Tensor, wanted: Sequence[Tensor]) -> list[Any]:
    """For each input the Jacobian ``[input elements, output elements]``, a backward an output element."""
    columns: list[list[Any]] = [[] for _ in wanted]
    for position in np.ndindex(tuple(output.shape)):
        weights = np.zeros(tuple(output.shape), output.dtype.numpy)
        weights[position] = 1
        weight = dispatch.current().from_array(weights)
        found = grad(output, wanted, weight, retain_graph=True, allow_unused=True)
        for column, t, g in zip(columns, wanted, found):
            column.append(np.zeros(t.numel()) if g is None else g.detach().numpy().astype(np.float64).ravel())
    return [np.array(column).reshape(output.numel(), t.numel()).T for column, t in zip(columns, wanted)]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    check_undefined_grad: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
) -> bool:
    """Compare the gradients of ``func`` with central differences of step ``eps``.

    The inputs that require grad must be float64.  Returns True, or raises `GradcheckError` (returns
    False unless ``raise_exception``) where an entry of a Jacobian is off by more than
    ``atol + rtol * |numerical|``.  ``nondet_tol`` and ``fast_mode`` are accepted and change nothing.
    """
    given = _inputs(inputs)
    checked = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise AutogradError("gradcheck: no input requires grad", hint="call requires_grad_() on what is to be checked")
    for i in checked:
        if given[i].dtype is not dtypes.float64:
            raise DTypeError("gradcheck: differences need double precision", expected="float64", actual=given[i].type)
    outputs = _outputs(func(*given))
    numerical = {i: _numerical(func, given, i, len(outputs), eps) for i in checked}
    for number, output in enumerate(outputs):
        if not output.requires_grad:
            found = [np.zeros((given[i].numel(), output.numel())) for i in checked]
        else:
            found = _analytical(output, [given[i] for i in checked])
        for i, analytical in zip(checked, found):
            expected = numerical[i][number]
            if np.allclose(analytical, expected, rtol, atol, equal_nan=True):
                continue
            if not raise_exception:
                return False
            raise GradcheckError(
                f"gradcheck: the Jacobian of output {number} by input {i} is off by "
                f"{np.abs(analytical - expected).max():.3g}",
                expected=f"numerical\n{expected}", actual=f"analytical\n{analytical}",
            )  # fmt: skip
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
) -> bool:
    """`gradcheck` of the gradient of ``func``: checks second derivatives.

    ``grad_outputs`` weight the outputs; random ones if left out.
    """
    given = _inputs(inputs)
    wanted = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    outputs = [t for t in _outputs(func(*given)) if t.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        from_array = dispatch.current().from_array
        weights = [from_array(np.asarray(rng.normal(size=tuple(t.shape)), t.dtype.numpy)) for t in outputs]
        weights = [w.requires_grad_() for w in weights]
    else:
        weights = list(_inputs(grad_outputs))

    def gradient(*values: Any) -> tuple[Tensor, ...]:
        arguments, cotangents = values[: len(given)], values[len(given) :]
        # Differences are taken under no_grad; the gradient itself is needed there, too.
        token = dispatch.set_grad_enabled_flag(True)
        try:
            results = [t for t in _outputs(func(*arguments)) if t.requires_grad]
            found = grad(
                results, [arguments[i] for i in wanted], cotangents, create_graph=True, allow_unused=True,
                materialize_grads=True,
            )  # fmt: skip
        finally:
            dispatch.reset_grad_enabled(token)
        return tuple(g.detach() if not dispatch.is_grad_enabled() else g for g in found if g is not None)

    return gradcheck(
        gradient, (*given, *weights), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception
    )  # fmt: skip
