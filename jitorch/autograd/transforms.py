"""Functions that make functions: gradients, tangents, Jacobians, and one function for many inputs at once.

The interface is that of ``torch.func``, which is published as `jitorch.func`.  Eager, a transform is a level
(`jitorch.frontend.eager.levels`) or the tape; in a compiled function it is a transform of the graph of what it is given
(`jitorch.frontend.trace.closing`), branches and loops included.  They nest in any order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from jitorch.dtypes import Category
from jitorch.errors import ArgumentError, AutogradError, ShapeError
from jitorch.frontend.eager import levels
from jitorch.frontend.eager.tape import GradNode, run_backward
from jitorch.frontend.pytree import flatten, map_tree, unflatten
from jitorch.frontend.trace import closing
from jitorch.ops import dispatch
from jitorch.ops.create import constant
from jitorch.ops.structure import broadcast_to, copy
from jitorch.passes.jvp import Dual, zeros
from jitorch.tensor import Tensor

Function = Callable[..., Any]


def call(function: Function, args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> Any:
    """Call a user's function: a trace runs it like the rest of the user's code."""
    return dispatch.current().call(function, *args, **(kwargs or {}))


def named(function: Function, wrapper: Function) -> Function:
    """``wrapper`` under the name and with the documentation of ``function``, where it has them."""
    functools.update_wrapper(wrapper, function, functools.WRAPPER_ASSIGNMENTS[1:], updated=())
    del wrapper.__wrapped__  # type: ignore[attr-defined]  # it has another result
    return wrapper


def tensors_of(what: str, tree: Any) -> tuple[list[Tensor], Any]:
    """The leaves, which must be tensors, and the structure."""
    leaves, structure = flatten(tree)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise ArgumentError(f"{what} must be tensors", expected="Tensor", actual=type(leaf).__name__)
    return leaves, structure


def tensors_like(what: str, tree: Any, structure: Any, of: str) -> list[Tensor]:
    """The leaves, which must be tensors in the structure of something called ``of``."""
    leaves, found = tensors_of(what, tree)
    if found != structure:
        raise ArgumentError(f"{what} have another structure than the {of}", expected=structure, actual=found)
    return leaves


def chosen(name: str, args: Sequence[Any], argnums: int | tuple[int, ...]) -> tuple[int, ...]:
    """The positions that ``argnums`` names, from the start."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in numbers:
        if isinstance(n, bool) or not isinstance(n, int) or not -len(args) <= n < len(args):
            raise ArgumentError(
                f"{name}: argnums names no argument", expected=f"{-len(args)} to {len(args) - 1}", actual=argnums
            )
    found = tuple(n % len(args) for n in numbers)
    if not found or len(set(found)) != len(found):
        raise ArgumentError(f"{name}: argnums must name arguments, each once", actual=argnums)
    return found


def parted(name: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    """What a function gives, and what it gives besides."""
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            f"{name}: with has_aux the function gives two things",
            expected="(output, aux)",
            actual=type(result).__name__,
        )
    return result


def one_of_many(
    function: Function, args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int]
) -> Callable[..., Any]:
    """``function`` of the arguments at ``positions`` alone."""

    def of(*given: Any) -> Any:
        whole = list(args)
        for i, value in zip(positions, given):
            whole[i] = value
        return call(function, whole, kwargs)

    return of


# -- reverse mode --------------------------------------------------------------------------------------------------
class Pullback:
    """Cotangents of outputs to cotangents of inputs: how `vjp` leaves a function, which it ran."""

    def __init__(self, name: str, function: Function, primals: Sequence[Any], has_aux: bool):
        given, self.structure = tensors_of(f"{name}: the arguments", tuple(primals))
        token = dispatch.set_grad_enabled_flag(True)
        try:
            self.inputs = [_start(name, t) for t in given]
            result = function(*unflatten(self.inputs, self.structure))
        finally:
            dispatch.reset_grad_enabled(token)
        output, aux = parted(name, result, has_aux)
        self.outputs, self.output_structure = flatten(output)
        for t in self.outputs:
            if not isinstance(t, Tensor):
                raise ArgumentError(f"{name}: the function must give tensors", actual=type(t).__name__)
        # What somebody else may differentiate keeps its history.
        is_seen = any(t.requires_grad for t in given) or _reaches_others(self.outputs, self.inputs)
        self.keeps_history = is_seen and dispatch.is_grad_enabled()
        self.owner = dispatch.current().inner  # type: ignore[attr-defined]
        self.output = unflatten([self.finished(t) for t in self.outputs], self.output_structure)
        self.aux = map_tree(lambda x: self.finished(x) if isinstance(x, Tensor) else x, aux)

    def finished(self, t: Tensor) -> Tensor:
        """A result as the caller gets it: without the history that ends at the inputs, which are no concern of his."""
        if self.keeps_history or not t.requires_grad:
            return t
        own = copy(t)
        own._node, own._output = None, 0
        return own

    def pull(self, cotangents: Sequence[Tensor]) -> list[Tensor]:
        """Cotangents of all inputs, in order."""
        pairs = [(o, g) for o, g in zip(self.outputs, cotangents, strict=True) if o.requires_grad]
        if not pairs:
            return [zeros(t.type) for t in self.inputs]
        # Levels outside differentiate what runs here, too: their tapes must not be switched off.
        create = self.keeps_history or dispatch.entered() is not None
        found = run_backward(
            [o for o, _ in pairs], [g for _, g in pairs], True, create, self.inputs, accumulate=False, owner=self.owner
        )
        return [zeros(t.type) if g is None else self.finished(g) for t, g in zip(self.inputs, found)]

    def __call__(self, *cotangents: Any) -> Any:
        """Cotangents of the outputs (in their structure) to those of the inputs."""
        given = cotangents[0] if len(cotangents) == 1 else tuple(cotangents)
        flat = tensors_like("vjp: the cotangents", given, self.output_structure, "outputs")
        return unflatten(self.pull(flat), self.structure)


def _start(name: str, t: Tensor) -> Tensor:
    """What the function gets for ``t``: the end of the history that is looked at, or a step of a longer one."""
    if t.dtype.category < Category.FLOAT:
        raise AutogradError(f"{name}: only floating point and complex tensors have gradients", actual=t.type)
    own = copy(t)
    own._requires_grad = own._node is None
    return own


def _reaches_others(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Whether the history of ``outputs`` leads to other leaves than ``inputs``."""
    own = {id(t._node or t) for t in inputs}
    seen: set[GradNode] = set()
    pending: list[Any] = [t._node if t._node is not None else t for t in outputs if t.requires_grad]
    while pending:
        node = pending.pop()
        if node in seen or id(node) in own:
            continue
        if isinstance(node, Tensor):
            return True
        seen.add(node)
        pending += [e[0] if isinstance(e, tuple) else e for e in node.edges if e is not None]
    return False


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """``(func(*primals), pull)``, with ``aux`` behind them if ``func`` gives ``(output, aux)`` and ``has_aux`` is set.

    ``pull(cotangents)`` takes cotangents in the structure of the output and gives those of the primals, a tuple; it may
    be called any number of times.
    """
    pullback = Pullback("vjp", functools.partial(_called, func), primals, has_aux)
    return (pullback.output, pullback, pullback.aux) if has_aux else (pullback.output, pullback)


def _called(function: Function, *args: Any) -> Any:
    return call(function, args)


def grad_and_value(func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """A function that gives the gradient of ``func``, whose result has one element, and that result.

    ``argnums``: the arguments, trees of tensors, to differentiate by; the gradient is in the structure of that
    argument, a tuple of them for a tuple.  ``has_aux``: ``func`` gives ``(output, aux)`` and the new function
    ``(gradient, (output, aux))``.
    """

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        positions = chosen("grad", args, argnums)
        of = one_of_many(func, args, kwargs, positions)
        pullback = Pullback("grad", of, [args[i] for i in positions], has_aux)
        output = pullback.output
        if not isinstance(output, Tensor):
            raise ArgumentError("grad: the function must give one tensor", actual=type(output).__name__)
        if output.ndim:
            raise ShapeError(
                "grad: the function must give a tensor without axes", expected="a tensor of shape ()",
                actual=output.type, hint="sum it, or use vjp or jacrev",
            )  # fmt: skip
        (cotangent,) = [broadcast_to(constant(value=1, dtype=output.dtype), shape=())]
        found = unflatten(pullback.pull([cotangent]), pullback.structure)
        gradient = found[0] if isinstance(argnums, int) else found
        return gradient, ((output, pullback.aux) if has_aux else output)

    return named(func, wrapper)


def grad(func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """A function that gives the gradient of ``func``, whose result has one element; see `grad_and_value`.

    ``has_aux``: ``func`` gives ``(output, aux)`` and the new function ``(gradient, aux)``.
    """
    both = grad_and_value(func, argnums, has_aux)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return named(func, wrapper)


# -- forward mode ----------------------------------------------------------------------------------------------------
def jvp(func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """``(func(*primals), jacobian @ tangents)``, with ``aux`` behind them if ``has_aux`` is set.

    ``primals`` and ``tangents`` are tuples of trees of tensors with the same types.  ``strict``: an output that does
    not depend on the primals is an error, else its tangent is zero.
    """
    if not isinstance(primals, tuple) or not primals:
        raise ArgumentError("jvp: primals is a tuple of arguments", expected="tuple", actual=type(primals).__name__)
    given, structure = tensors_of("jvp: the primals", primals)
    along = tensors_like("jvp: the tangents", tangents, structure, "primals")
    for x, t in zip(given, along):
        if x.type != t.type:
            raise ShapeError("jvp: a tangent has the type of its primal", expected=x.type, actual=t.type)
    made: list[Any] = []

    def function(args: list[Tensor]) -> list[Tensor]:
        output, aux = parted("jvp", call(func, unflatten(args, structure)), has_aux)
        outputs, output_structure = tensors_of("jvp: what the function gives", output)
        besides, aux_structure = flatten(aux)
        kept = [x for x in besides if isinstance(x, Tensor)]
        made[:] = [output_structure, len(outputs), besides, aux_structure]
        return [*outputs, *kept]

    found = _forward(function, [Dual(x, t) for x, t in zip(given, along)])
    output_structure, count, besides, aux_structure = made
    results = found[:count]
    if strict and any(d.tangent is None for d in results):
        raise AutogradError("jvp: an output does not depend on the primals", hint="pass strict=False to get zeros")
    primal = unflatten([d.primal for d in results], output_structure)
    tangent = unflatten([zeros(d.type) if d.tangent is None else d.tangent for d in results], output_structure)  # type: ignore[arg-type]
    if not has_aux:
        return primal, tangent
    rest = iter(d.primal for d in found[count:])
    return primal, tangent, unflatten([next(rest) if isinstance(x, Tensor) else x for x in besides], aux_structure)


def _forward(function: Callable[[list[Tensor]], Sequence[Tensor]], values: Sequence[Dual]) -> list[Dual]:
    level, builder = levels.ForwardLevel(), closing.tracing()
    if builder is None:
        return levels.through(level, function, values)
    return closing.through(builder, level, function, values)


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """``(func(*primals), push)``: ``push(*tangents)`` is ``jacobian @ tangents``, without running ``func`` again.

    The product with the Jacobian is what `vjp` gives, transposed: it is linear in the cotangents, so its own gradient
    with regard to them is the product from the other side.
    """
    pullback = Pullback("linearize", functools.partial(_called, func), primals, False)
    is_seen, pullback.keeps_history = pullback.keeps_history, True
    token = dispatch.set_grad_enabled_flag(True)
    try:
        cotangents = [zeros(t.type) for t in pullback.outputs]  # type: ignore[arg-type]
        back = Pullback("linearize", lambda *given: tuple(pullback.pull(given)), cotangents, False)
    finally:
        dispatch.reset_grad_enabled(token)
    back.keeps_history = is_seen

    def push(*tangents: Any) -> Any:
        flat = tensors_like("linearize: the tangents", tuple(tangents), pullback.structure, "primals")
        return unflatten(back.pull(flat), pullback.output_structure)

    return pullback.output, push
