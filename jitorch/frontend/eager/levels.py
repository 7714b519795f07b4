"""Levels: transforms of what eager code does, one inside of the other.

A level is the interpreter that runs ops while a function is differentiated forward or vectorised: its tensors stand for
the values of a transform (`jitorch.passes.jvp`, `jitorch.passes.vmap`), and what the transform computes is run by the
interpreter outside of the level, which may be another level.  A tape of its own stands above each, so gradients taken
inside are transformed, and gradients taken outside see what the transform did.

A tensor of outside is a constant inside.  A view of it stays one, so a write reaches its memory, at once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from jitorch.builder import Cell, Memory, infer
from jitorch.errors import AutogradError, UserError, VmapError
from jitorch.frontend.eager.interpreter import StaleTensor
from jitorch.frontend.eager.tape import Tape
from jitorch.ir.graph import Graph
from jitorch.ir.op import Op
from jitorch.ir.types import EffectType, ScalarType
from jitorch.ops import dispatch
from jitorch.passes.jvp import Dual, Forward, is_float, jvp
from jitorch.passes.lanes import Lanes, alike
from jitorch.passes.vmap import Batching, vmap
from jitorch.tensor import Number, Tensor


class Level(Memory):
    """See the module's docstring; implements `jitorch.ops.dispatch.Interpreter`."""

    transform: Any

    def __init__(self) -> None:
        super().__init__()
        self.cells = WeakKeyDictionary()
        # Tensors of outside, by the memory of what stands for them here.
        self.shown: WeakKeyDictionary[Any, Tensor] = WeakKeyDictionary()
        self.outer = dispatch.entered()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Run ops as outside of the level in this block."""
        token = dispatch.enter(self.outer)  # type: ignore[arg-type]  # None: what is installed
        try:
            yield
        finally:
            dispatch.leave(token)

    # -- what the transform's values are ---------------------------------------------------------
    @abstractmethod
    def plain(self, value: Any) -> Any:
        """What stands for ``value`` outside, or None if it is more than one tensor or number of outside."""

    @abstractmethod
    def transformed(self, graph: Graph, values: Sequence[Any]) -> tuple[Any, Callable[[], Graph]]:
        """What ``graph`` is for such ``values``, and a key that says which ``values`` are such.

        `call_transformed` knows what the new graph takes and gives.
        """

    @abstractmethod
    def call_transformed(
        self, function: Callable[[Sequence[Any]], list[Any]], values: Sequence[Any], types: Sequence[Any]
    ) -> list[Any]:
        """The results, of these types, of a graph that `transformed` gave, as tensors of this level."""

    @abstractmethod
    def requires_grad(self, value: Any) -> bool:
        """Whether somebody asks for derivatives of what becomes of ``value``: the tape outside, or the level."""

    def follows(self, tensor: Tensor) -> bool:
        """Whether outside asks for the derivatives of what is done with ``tensor`` here."""
        return dispatch.is_grad_enabled() and self.requires_grad(self.value(tensor))

    @abstractmethod
    def refuse_write(self, target: Tensor) -> UserError:
        """The error of a write that outside could not take."""

    # -- interpreter -----------------------------------------------------------------------------
    def apply(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        values = [self.lift(x) for x in operands]
        if any(isinstance(x, StaleTensor) for x in operands):
            types = infer(op, [None if v is None else v.type for v in values], attrs)
            return StaleTensor.results(types[0] if len(types) == 1 else types)
        with self.outside():
            results = self.transform.apply(op, values, attrs)
        if op.is_view:
            return self._shown_view(op, operands[0], attrs, results[0])
        made = tuple(map(self.wrap, results))
        return made[0] if len(made) == 1 else made

    def _shown_view(self, op: Op, source: Tensor, attrs: dict[str, Any], result: Any) -> Tensor:
        if source._storage in self.cells:
            return self._view(op, source, attrs, result)
        made = self.wrap(result)
        self.shown[made._storage] = self.plain(result)
        del self.cells[made._storage]
        return made

    def _emit(self, op: Op, inputs: list[Any], attrs: dict[str, Any]) -> Any:
        with self.outside():
            (result,) = self.transform.apply(op, inputs, attrs)
        return result

    def from_array(self, array: Any) -> Tensor:
        with self.outside():
            return self.wrap(self.transform.constant(dispatch.current().from_array(array)))

    def write(self, target: Tensor, value: Tensor) -> None:
        if target._storage in self.cells:
            super().write(target, value)
            return
        new = self.plain(self.value(value))
        if new is None:
            raise self.refuse_write(target)
        with self.outside():
            dispatch.current().write(self.shown.get(target._storage, target), new)

    def version(self, tensor: Tensor) -> int:
        if tensor._storage in self.cells:
            return super().version(tensor)
        with self.outside():
            return dispatch.current().version(self.shown.get(tensor._storage, tensor))

    def detach(self, tensor: Tensor) -> Tensor:
        if tensor._storage in self.cells:
            return super().detach(tensor)
        with self.outside():
            return dispatch.current().detach(self.shown.get(tensor._storage, tensor))

    @abstractmethod
    def concretize(self, value: Any, why: str) -> Any:
        """The array or number behind ``value``."""

    @abstractmethod
    def binds_size(self, data: Tensor, why: str) -> bool:
        """See `jitorch.ops.dispatch.Interpreter`."""

    # -- tensors and values ----------------------------------------------------------------------
    def wrap(self, value: Any) -> Any:
        type_ = value.type
        if isinstance(type_, EffectType):
            return self.plain(value)
        if isinstance(type_, ScalarType):
            known = self.plain(value)
            return Number(value, type_) if known is None else known
        tensor = Tensor._traced(type_)
        self.cells[tensor._storage] = Cell(value)
        return tensor

    def capture(self, tensor: Tensor) -> Cell:
        return Cell(self.transform.constant(self.shown.get(tensor._storage, tensor)))

    def lift(self, operand: Any) -> Any:
        """The transform's value of an operand."""
        if operand is None:
            return None
        if isinstance(operand, Tensor):
            return self.value(operand)
        if isinstance(operand, Number) and isinstance(operand._value, (Lanes, Dual)):
            return operand._value
        return self.transform.constant(operand)

    def value(self, tensor: Tensor) -> Any:
        if tensor._storage in self.cells:
            return super().value(tensor)
        return self.transform.constant(self.shown.get(tensor._storage, tensor))


class ForwardLevel(Level):
    """Tensors with tangents."""

    def __init__(self) -> None:
        super().__init__()
        self.transform = Forward()

    def plain(self, value: Dual) -> Any:
        return value.primal if value.tangent is None else None

    def transformed(self, graph: Graph, values: Sequence[Dual]) -> tuple[Any, Callable[[], Graph]]:
        wrt = tuple(i for i, v in enumerate(values) if v.tangent is not None)

        def make() -> Graph:
            plain = graph.copy()
            plain.writes = ()
            return jvp(plain, wrt, [i for i, v in enumerate(graph.outputs) if is_float(v.type)])

        return ("jvp", wrt), make

    def call_transformed(self, function: Any, values: Sequence[Dual], types: Sequence[Any]) -> list[Any]:
        with self.outside():
            results = function([*(v.primal for v in values), *(v.tangent for v in values if v.tangent is not None)])
        tangents = iter(results[len(types) :])
        return [self.wrap(Dual(x, next(tangents) if is_float(t) else None)) for x, t in zip(results, types)]

    def follows(self, tensor: Tensor) -> bool:
        return self.value(tensor).tangent is not None or super().follows(tensor)

    def requires_grad(self, value: Dual) -> bool:
        return value.tangent is not None or _requires_grad(value.primal)

    def concretize(self, value: Any, why: str) -> Any:
        with self.outside():
            return dispatch.current().concretize(self.lift(value).primal, why)

    def binds_size(self, data: Tensor, why: str) -> bool:
        with self.outside():
            return dispatch.current().binds_size(self.lift(data).primal, why)

    def refuse_write(self, target: Tensor) -> UserError:
        return AutogradError(
            "jvp: a tensor from outside of the function is overwritten by one that has a tangent", actual=target.type,
            hint="let the function return the new value",
        )  # fmt: skip


class BatchLevel(Level):
    """Tensors of which each lane has its own."""

    def __init__(self, size: Any, randomness: str) -> None:
        super().__init__()
        self.transform = Batching(size, randomness)

    def plain(self, value: Lanes) -> Any:
        return None if value.is_batched else value.x

    def transformed(self, graph: Graph, values: Sequence[Lanes]) -> tuple[Any, Callable[[], Graph]]:
        flags = tuple(v.is_batched for v in values)
        size, randomness = self.transform.size, self.transform.randomness
        written = [o for _, o in graph.writes]
        return ("vmap", flags, size, randomness), lambda: vmap(graph, flags, size, randomness, written)

    def call_transformed(self, function: Any, values: Sequence[Lanes], types: Sequence[Any]) -> list[Any]:
        with self.outside():
            results = function([v.x for v in values])
        return [self.wrap(_lanes_like(x, t)) for x, t in zip(results, types)]

    def requires_grad(self, value: Lanes) -> bool:
        return _requires_grad(value.x)

    def refuse_write(self, target: Tensor) -> UserError:
        return VmapError(
            "vmap: a tensor from outside of the function is overwritten by one that differs from lane to lane",
            actual=target.type, hint="make it an argument of the function, or let the function return the value",
        )  # fmt: skip

    def concretize(self, value: Any, why: str) -> Any:
        known = self.plain(self.lift(value))
        if known is not None:
            with self.outside():
                return dispatch.current().concretize(known, why)
        raise VmapError(
            f"vmap: {why} needs one value, and the tensor's differs from lane to lane", actual=value.type,
            hint="use where() for a choice by element, or @jit the vmapped function: branches and loops are staged",
        )  # fmt: skip

    def binds_size(self, data: Tensor, why: str) -> bool:
        known = self.plain(self.lift(data))
        if known is None:
            raise VmapError(
                f"vmap: the size of {why} differs from lane to lane", actual=data.type,
                hint="use where(), masked_fill() or a product with the mask, whose results have one size",
            )  # fmt: skip
        with self.outside():
            return dispatch.current().binds_size(known, why)


def _lanes_like(x: Any, type_: Any) -> Lanes:
    """A result of which each lane has a value of this type, or all have one; it knows the sizes that are symbols."""
    if not isinstance(x, Tensor) or x.ndim == len(getattr(type_, "shape", ())):
        return alike(x)
    return Lanes(x, True, type_ if isinstance(type_, ScalarType) else x._type.with_shape(x._type.shape[1:]))


def _requires_grad(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def current_level() -> Level | None:
    """The innermost level, if ops are run by one."""
    entered: Any = dispatch.entered()
    inner = getattr(entered, "inner", None)
    return inner if isinstance(inner, Level) else None


def through(level: Level, function: Callable[[list[Tensor]], Sequence[Tensor]], values: Sequence[Any]) -> list[Any]:
    """What ``function``, run by ``level``, makes of the transform's ``values``."""
    with dispatch.interpreting(Tape(level)):
        results = function([level.wrap(v) for v in values])
        return [level.value(t) for t in results]
