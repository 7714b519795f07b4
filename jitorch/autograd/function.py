"""Function: an operation with a gradient written by hand."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from jitorch.autograd.grad_mode import no_grad
from jitorch.dtypes import Category
from jitorch.errors import AutogradError, CompilerBug, UnsupportedError
from jitorch.frontend.eager.interpreter import stale_error
from jitorch.frontend.eager.tape import GradNode
from jitorch.ops import dispatch
from jitorch.ops.create import constant
from jitorch.ops.registry import Op
from jitorch.ops.structure import broadcast_to, cast
from jitorch.tensor import Tensor


def _custom(tensors: Sequence[Tensor]) -> Any:
    """A call of a `Function`."""


CUSTOM = Op("custom", "primitive", _custom, None)


class FunctionCtx:
    """What ``forward`` leaves for ``backward``; any attribute may be set on it, too."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._to_save: tuple[Any, ...] = ()
        self._saved: tuple[Any, ...] | None = None
        self._versions: tuple[int, ...] = ()
        self._node: weakref.ref[CustomNode] | None = None
        self._output_index: dict[int, int] = {}
        self._tensor_arguments: tuple[bool, ...] = ()
        self._non_differentiable: tuple[int, ...] = ()
        self._dirty: tuple[int, ...] = ()
        self._materialize = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for backward, where `saved_tensors` gives them back."""
        self._to_save = tensors

    save_for_forward = save_for_backward

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """These outputs have no gradient."""
        self._non_differentiable = tuple(map(id, outputs))

    def mark_dirty(self, *inputs: Tensor) -> None:
        """``forward`` wrote to these inputs, and returns them."""
        self._dirty = tuple(map(id, inputs))

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros (the default) or None for an output that has no gradient."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given; an error if it was modified or freed since."""
        if self._saved is None:
            raise AutogradError(
                "saved tensors were freed by an earlier backward", hint="pass retain_graph=True to the first backward()"
            )
        version = dispatch.current().version
        for t, old in zip(self._saved, self._versions):
            if isinstance(t, Tensor) and version(t) != old:
                raise stale_error(t)
        return tuple(self._with_history(t) for t in self._saved)

    def _with_history(self, t: Any) -> Any:
        # An output was saved without history: a node that held its own result would never be freed.
        node, output = self._node and self._node(), self._output_index.get(id(t))
        if node is None or output is None or not dispatch.is_grad_enabled():
            return t
        again = t._alias()
        again._node, again._output = node, output
        return again

    def _finish(self, outputs: Sequence[Tensor], node: CustomNode) -> None:
        self._node = weakref.ref(node)
        indices = {id(t): i for i, t in enumerate(outputs)}
        saved = []
        for t in self._to_save:
            index = indices.get(id(t))
            if index is not None:
                t = t._alias()
                self._output_index[id(t)] = index
            saved.append(t)
        self._saved, self._to_save = tuple(saved), ()
        version = dispatch.current().version
        self._versions = tuple(version(t) if isinstance(t, Tensor) else 0 for t in saved)


class CustomNode(GradNode):
    """The call of a `Function`."""

    __slots__ = ("context", "label")

    def __init__(self, call: Backward, tensors: Sequence[Tensor], owner: Any):
        super().__init__(CUSTOM, tensors, {}, call, owner)
        self.context, self.label = call.context, call.name

    def name(self) -> str:
        return self.label

    def release(self) -> None:
        super().release()
        self.context._saved = None


class Backward:
    """The vjp rule of one call.  It does not hold the call's node, which holds it.

    ``places``: for each result of ``forward`` its number among the outputs with a gradient, or its
    type if it has none.
    """

    def __init__(self, function: type[Function], context: FunctionCtx, places: Sequence[Any]):
        self.function, self.context, self.places = function, context, places
        self.name = f"{function.__name__}Backward"

    def __call__(self, g: Any, out: Any, tensors: list[Tensor]) -> tuple[list[Any]]:
        cotangents = g if isinstance(g, tuple) else (g,)
        results = self.function.backward(self.context, *(self._cotangent(p, cotangents) for p in self.places))
        results = results if isinstance(results, tuple) else (results,)
        expected = len(self.context.needs_input_grad)
        if len(results) > expected and all(r is None for r in results[expected:]):
            results = results[:expected]
        if len(results) != expected:
            raise AutogradError(
                f"{self.name}: backward must return one gradient an argument of forward", expected=expected,
                actual=len(results),
            )  # fmt: skip
        by_tensor = [r for r, is_tensor in zip(results, self.context._tensor_arguments) if is_tensor]
        return ([self._checked(r, t) for r, t in zip(by_tensor, tensors)],)

    def _cotangent(self, place: Any, cotangents: Sequence[Tensor]) -> Any:
        if isinstance(place, int):
            return cotangents[place]
        if place is None or not self.context._materialize:
            return None
        return broadcast_to(constant(value=0, dtype=place.dtype), shape=place.shape)

    def _checked(self, gradient: Any, tensor: Tensor) -> Any:
        if gradient is None:
            return None
        if not isinstance(gradient, Tensor) or gradient.shape != tensor.shape:
            actual = gradient.type if isinstance(gradient, Tensor) else type(gradient).__name__
            raise AutogradError(f"{self.name}: a gradient has another shape", expected=tensor.type, actual=actual)
        return gradient if gradient.dtype is tensor.dtype else cast(gradient, dtype=tensor.dtype)


class Function:
    """Derive from it, define ``forward`` and ``backward``, and call ``apply``.

        class Square(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, grad):
                (x,) = ctx.saved_tensors
                return 2 * x * grad

    ``backward`` returns one gradient (or None) an argument of ``forward``.  It is differentiable
    itself if it is made of differentiable operations.  A class that defines ``setup_context(ctx,
    inputs, output)`` has a ``forward`` without ``ctx``.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The results, computed without recording."""
        raise UnsupportedError("a Function must define forward")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments of ``forward``."""
        raise UnsupportedError("a Function must define backward", hint="or detach() its result")

    vjp = backward
    setup_context: Callable[..., Any] | None = None

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call ``forward`` and record the call."""
        context = FunctionCtx()
        tensors = [a for a in args if isinstance(a, Tensor)]
        wanted = dispatch.is_grad_enabled()
        # A level of a transform has it, see `jitorch.frontend.eager.levels`.
        follows = getattr(getattr(dispatch.entered(), "inner", None), "follows", None)
        if follows is not None and any(map(follows, tensors)):
            raise UnsupportedError(
                f"{cls.__name__}: the derivative of an autograd.Function from outside of the transform it is called in",
                hint="take the gradient inside, as vmap(grad(f)) does",
            )
        context.needs_input_grad = tuple(wanted and isinstance(a, Tensor) and a.requires_grad for a in args)
        context._tensor_arguments = tuple(isinstance(a, Tensor) for a in args)
        with no_grad():
            if cls.setup_context is None:
                result = cls.forward(context, *args, **kwargs)
            else:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(context, args, result)
        if not any(context.needs_input_grad):
            context._saved = context._to_save
            return result
        return cls._record(context, tensors, result)

    @classmethod
    def _record(cls, context: FunctionCtx, tensors: list[Tensor], result: Any) -> Any:
        tape: Any = dispatch.current()
        inner = getattr(tape, "inner", None)
        if inner is None:
            raise CompilerBug("a Function was applied outside of the tape")
        results = result if isinstance(result, tuple) else (result,)
        given, dirty = set(map(id, tensors)), set(context._dirty)
        if any(id(t) in dirty and t._requires_grad and t._node is None for t in tensors):
            raise AutogradError(
                "a leaf tensor that requires grad is used in an in-place operation",
                hint="do it under jitorch.no_grad()",
            )
        # A result that is an argument must not become the argument's own history.
        outputs = [t._alias() if id(t) in given and id(t) not in dirty else t for t in results]
        made: list[Tensor] = []
        places: list[Any] = []
        for t, original in zip(outputs, results):
            if not isinstance(t, Tensor):
                places.append(None)
            elif t.dtype.category < Category.FLOAT or id(original) in context._non_differentiable:
                places.append(t.type)
            else:
                places.append(len(made))
                made.append(t)
        for t in made:
            inner.alter(t, "a backward of its own")  # a graph does not hold it
        node = CustomNode(Backward(cls, context, places), tensors, inner)
        context._finish(made, node)
        node.finish(made, tape.version)
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator for ``backward``: its result is not differentiable."""

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        with no_grad():
            return function(*args, **kwargs)

    return inner
