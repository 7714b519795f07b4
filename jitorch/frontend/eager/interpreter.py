"""Eager execution: an op call runs at once, by the op's NumPy meaning.

The type rule runs first, so eager and compiled code accept and refuse the same operands with the
same words.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from jitorch.errors import ArgumentError, AutogradError, CompilerBug, Location, ShapeError, UnsupportedError
from jitorch.ir.op import Op
from jitorch.ir.types import EFFECT, PYTHON_TYPES, EffectType, ScalarType, Token, Type
from jitorch.tensor import Storage, Tensor


def _switch() -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Functions that turn NumPy's floating-point warnings off, and back to what they were.

    They do what ``numpy.errstate(all="ignore")`` does in a fifth of its time.  NumPy keeps the state in a
    context variable without a public name; where that cannot be found, ``errstate`` itself is entered.
    """
    core = sys.modules.get("numpy._core.umath")
    variable, make = getattr(core, "_extobj_contextvar", None), getattr(core, "_make_extobj", None)
    if isinstance(variable, ContextVar) and callable(make):
        return functools.partial(variable.set, make(all="ignore")), variable.reset

    def enter() -> Any:
        state = np.errstate(all="ignore")
        state.__enter__()
        return state

    return enter, lambda state: state.__exit__(None, None, None)


quieten, restore = _switch()


class StaleTensor(Tensor):
    """Stands for a saved tensor whose memory was overwritten since: it has a type but no data.

    What is computed from it is stale, too; only a gradient that somebody needs may not be.
    """

    __slots__ = ()

    @classmethod
    def of(cls, type_: Type) -> StaleTensor:
        stale = cls.__new__(cls)
        stale._set(None, type_, Storage())  # type: ignore[arg-type]
        return stale

    @classmethod
    def results(cls, types: Type | tuple[Type, ...]) -> Any:
        """Stale results of the given types."""
        return tuple(map(cls.of, types)) if isinstance(types, tuple) else cls.of(types)


class DonatedTensor(Tensor):
    """What is left of a tensor whose memory a compiled function took for a result: it has a type but no data."""

    __slots__ = ()

    _donated: tuple[str, Location | None]

    @staticmethod
    def replace(tensor: Tensor, call: str, where: Location | None) -> None:
        """Make ``tensor`` one whose use is an error that names ``call`` and its line."""
        tensor._array = None
        tensor.__dict__["_donated"] = call, where
        tensor.__class__ = DonatedTensor

    def _alias(self) -> Tensor:
        raise donated_error(self)

    def __repr__(self) -> str:
        return f"<{self._type} that was donated to {self._donated[0]}>"


def donated_error(tensor: DonatedTensor) -> ArgumentError:
    call, where = tensor._donated
    return ArgumentError(
        f"this tensor was donated to {call}, which took its memory for a result",
        actual=tensor.type if where is None else f"{tensor.type}, donated at {where}",
        hint="use the result of that call, or give the call a clone()",
    )


def read_only_error(tensor: Tensor) -> ShapeError:
    hint = "clone() it first"
    if tensor._is_frozen:
        hint += ", or name it in preserved_attrs of jit.freeze"
    return ShapeError("cannot write to memory that is read-only", actual=tensor.type, hint=hint)


def stale_error(tensor: Tensor) -> AutogradError:
    return AutogradError(
        "a tensor needed for gradient computation was modified by an in-place operation",
        actual=tensor.type,
        hint="use the out-of-place form of the operation, or clone() the tensor before it is modified",
    )


def type_of(operand: Any) -> Type | None:
    if isinstance(operand, Tensor):
        return operand._type
    if isinstance(operand, Token):
        return EFFECT
    return None if operand is None else PYTHON_TYPES[type(operand)]


class Eager:
    """Implements `jitorch.ops.dispatch.Interpreter` on NumPy arrays."""

    def apply(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        rules = op.rules
        rule = rules.get("numpy")
        if rule is None:
            if op.body is None:
                raise CompilerBug(f"op {op.name} has neither a body nor a numpy rule")
            return op.body(*op.group(operands), **attrs)
        types = rules["type"](*op.group([type_of(x) for x in operands]), **attrs)
        arrays: list[Any] = []
        for x in operands:
            if isinstance(x, Tensor):
                if x._array is None and isinstance(x, StaleTensor):
                    return StaleTensor.results(types)
                arrays.append(self.array(x))
            else:
                arrays.append(x)
        token = quieten()
        try:
            result = rule(*op.group(arrays), **attrs)
        finally:
            restore(token)
        if isinstance(types, tuple):
            return tuple(_wrap(r, t) for r, t in zip(result, types, strict=True))
        out = _wrap(result, types)
        if op.is_view:
            out._as_view_of(operands[0], op, attrs)
        return out

    def array(self, tensor: Tensor) -> np.ndarray[Any, Any]:
        array = tensor._array
        if array is None:
            if isinstance(tensor, StaleTensor):
                raise stale_error(tensor)
            if isinstance(tensor, DonatedTensor):
                raise donated_error(tensor)
            raise UnsupportedError(
                "a tensor of a trace, or of a transformed function, that is over has no data", actual=tensor.type,
                hint="let the function return it",
            )  # fmt: skip
        return array

    def from_array(self, array: np.ndarray[Any, Any]) -> Tensor:
        return Tensor._from_array(array)

    def write(self, target: Tensor, value: Tensor) -> None:
        array = self.array(target)
        if array.size and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape)):
            raise ShapeError(
                "cannot write to a tensor whose elements share memory", actual=target.type, hint="clone() it first"
            )
        if not array.flags.writeable:
            raise read_only_error(target)
        np.copyto(array, self.array(value), casting="unsafe")
        target._storage.version += 1

    def version(self, tensor: Tensor) -> int:
        return tensor._storage.version

    def concretize(self, value: Any, why: str) -> Any:
        return self.array(value)

    def binds_size(self, data: Tensor, why: str) -> bool:
        return False

    def detach(self, tensor: Tensor) -> Tensor:
        return tensor._alias()

    def alter(self, tensor: Tensor, what: str) -> None:
        return

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    def get_grad(self, tensor: Tensor) -> Tensor | None:
        return tensor._grad

    def set_grad(self, tensor: Tensor, grad: Tensor | None) -> None:
        tensor._grad = grad


def _wrap(result: Any, type_: Type) -> Any:
    if isinstance(type_, ScalarType):
        return np.asarray(result, type_.dtype.numpy).item()
    if isinstance(type_, EffectType):
        return result
    return Tensor._from_array(np.asarray(result, type_.dtype.numpy))  # type: ignore[attr-defined]
