"""Products with Jacobians and Hessians, and whole ones, of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jitorch.autograd.engine import grad
from jitorch.autograd.grad_mode import enable_grad
from jitorch.autograd.jacobians import jacfwd, jacrev
from jitorch.errors import AutogradError, ShapeError, UnsupportedError
from jitorch.ops.arrange import stack
from jitorch.ops.create import constant
from jitorch.ops.structure import broadcast_to, copy, reshape_to
from jitorch.tensor import Tensor

Function = Callable[..., Any]


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return (x,) if isinstance(x, Tensor) else tuple(x)


def _like(values: Sequence[Any], model: Any) -> Any:
    """A single tensor for a single tensor, else a tuple."""
    return values[0] if isinstance(model, Tensor) else tuple(values)


def _fresh(inputs: Any, create_graph: bool) -> list[Tensor]:
    """Inputs that gradients are taken by, connected to the caller's graph only if it is to be differentiated."""
    tensors = _as_tuple(inputs)
    if create_graph:
        return [copy(t) if t.requires_grad else copy(t).requires_grad_() for t in tensors]
    return [copy(t.detach()).requires_grad_() for t in tensors]


def _done(values: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
    return list(values) if create_graph else [t.detach() for t in values]


def _zeros(t: Tensor) -> Tensor:
    return broadcast_to(constant(value=0, dtype=t.dtype), shape=tuple(t.shape))


def _vectors(v: Any, like: Sequence[Tensor], name: str) -> list[Tensor]:
    if v is None:
        if len(like) == 1 and like[0].numel() == 1:
            return [broadcast_to(constant(value=1, dtype=like[0].dtype), shape=tuple(like[0].shape))]
        raise AutogradError(f"{name}: v may be left out only where it would have one element")
    vectors = list(_as_tuple(v))
    if len(vectors) != len(like) or any(a.shape != b.shape for a, b in zip(vectors, like)):
        raise ShapeError(f"{name}: v has other shapes than what it multiplies", expected=[str(t.type) for t in like])
    return vectors


def _pulled(outputs: Any, inputs: Sequence[Tensor], v: Sequence[Tensor], create: bool, strict: bool) -> list[Tensor]:
    """``v @ jacobian`` for each input."""
    pairs = [(o, w) for o, w in zip(_as_tuple(outputs), v) if o.requires_grad]
    if not pairs and strict:
        raise AutogradError("an output does not depend on the inputs", hint="pass strict=False to get zeros")
    if not pairs:
        return [_zeros(t) for t in inputs]
    found = grad([o for o, _ in pairs], inputs, [w for _, w in pairs], create_graph=create, allow_unused=True)
    if strict and any(g is None for g in found):
        raise AutogradError("an output does not depend on an input", hint="pass strict=False to get zeros")
    return [_zeros(t) if g is None else g for t, g in zip(inputs, found)]


@enable_grad
def vjp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """``(func(inputs), v @ jacobian)``."""
    arguments = _fresh(inputs, create_graph)
    outputs = func(*arguments)
    vectors = _vectors(v, _as_tuple(outputs), "vjp")
    found = _pulled(outputs, arguments, vectors, create_graph, strict)
    return _like(_done(_as_tuple(outputs), create_graph), outputs), _like(_done(found, create_graph), inputs)


@enable_grad
def jvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """``(func(inputs), jacobian @ v)``, by differentiating ``u @ jacobian``, which is linear in ``u``, by ``u``."""
    arguments = _fresh(inputs, create_graph)
    outputs = func(*arguments)
    vectors = _vectors(v, arguments, "jvp")
    weights = [_zeros(o).clone().requires_grad_() for o in _as_tuple(outputs)]
    pulled = _pulled(outputs, arguments, weights, True, strict)
    found = _pulled(pulled, weights, vectors, create_graph, strict)
    return _like(_done(_as_tuple(outputs), create_graph), outputs), _like(_done(found, create_graph), outputs)


@enable_grad
def jacobian(
    func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """All partial derivatives: shape ``output.shape + input.shape``; tuples nest as outputs, then inputs.

    One backward an output element; with ``vectorize`` all at once by `vmap`, or, where ``strategy`` is
    ``"forward-mode"``, a tangent an input element.
    """
    arguments = _fresh(inputs, create_graph)
    if vectorize or strategy == "forward-mode":
        return _vectorized(func, inputs, arguments, create_graph, strict, strategy)
    outputs = func(*arguments)
    table = []
    for output in _as_tuple(outputs):
        flat = reshape_to(output, shape=(output.numel(),))
        rows: list[list[Tensor]] = [[] for _ in arguments]
        for i in range(output.numel()):
            one = _pulled(flat[i], arguments, [constant(value=1, dtype=output.dtype)], True, strict)
            for row, g in zip(rows, one):
                row.append(g)
        found = [_rows(row, output, t) for row, t in zip(rows, arguments)]
        table.append(_like(_done(found, create_graph), inputs))
    return _like(table, outputs)


def _vectorized(
    func: Function, inputs: Any, arguments: Sequence[Tensor], create_graph: bool, strict: bool, strategy: str
) -> Any:
    if strict:
        raise UnsupportedError("jacobian: strict together with vectorize", hint="leave out one of them")
    transform = jacfwd if strategy == "forward-mode" else jacrev
    outputs: list[Any] = []

    def noting(*given: Tensor) -> Any:
        outputs[:] = [func(*given)]
        return _as_tuple(outputs[0])

    table = transform(noting, argnums=tuple(range(len(arguments))))(*arguments)
    return _like([_like(_done(row, create_graph), inputs) for row in table], outputs[0])


def _rows(rows: list[Tensor], output: Tensor, t: Tensor) -> Tensor:
    shape = (*output.shape, *t.shape)
    if not rows:
        return broadcast_to(constant(value=0, dtype=t.dtype), shape=shape)
    return reshape_to(stack(rows), shape=shape)


@enable_grad
def hessian(
    func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """All second derivatives of a function of one element: shape ``input.shape + input.shape``, tuples nested.

    ``vectorize`` and ``outer_jacobian_strategy`` are `jacobian`'s, of the gradient.
    """

    def gradient(*given: Tensor) -> Any:
        arguments = _fresh(given, True)
        output = _scalar(func(*arguments), "hessian")
        found = _pulled(output, arguments, [constant(value=1, dtype=output.dtype).reshape(output.shape)], True, strict)
        return _like(found, inputs)

    return jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def _scalar(output: Any, name: str) -> Tensor:
    if not isinstance(output, Tensor) or output.numel() != 1:
        raise ShapeError(f"{name}: the function must give one element", actual=getattr(output, "type", output))
    return output


@enable_grad
def vhp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """``(func(inputs), v @ hessian)`` of a function of one element."""
    arguments = _fresh(inputs, create_graph)
    output = _scalar(func(*arguments), "vhp")
    vectors = _vectors(v, arguments, "vhp")
    first = _pulled(output, arguments, [constant(value=1, dtype=output.dtype).reshape(output.shape)], True, strict)
    found = _pulled(first, arguments, vectors, create_graph, strict)
    return _done([output], create_graph)[0], _like(_done(found, create_graph), inputs)


def hvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """``(func(inputs), hessian @ v)``: the same as `vhp`, the Hessian being symmetric."""
    return vhp(func, inputs, v, create_graph, strict)
