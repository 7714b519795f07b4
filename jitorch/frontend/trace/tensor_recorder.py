"""What the protocol of `jitorch.frontend.python` asks about tensors while a function is traced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jitorch import dims
from jitorch.devices import Device
from jitorch.dims import SymDim
from jitorch.dtypes import Category, DType
from jitorch.errors import ValueRangeError
from jitorch.frontend.python import RuntimeScalar, TensorKey
from jitorch.frontend.python.calls import NativeFunction, handles
from jitorch.frontend.python.journal import MISSING, Effect
from jitorch.frontend.python.paths import attr
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.trace.arithmetic import arithmetic, check_range, compared
from jitorch.frontend.trace.choices import number_of
from jitorch.frontend.trace.loops import TracedRange, fix_size
from jitorch.frontend.trace.rolling import Rolling
from jitorch.frontend.trace.staging import kind_text
from jitorch.frontend.trace.varying import differ, is_bound_inside, shrinking_axis, varying
from jitorch.ir.types import BOOL, FLOAT, INT, PYTHON_TYPES, TensorType
from jitorch.ops import OPS, PUBLIC, Function, dispatch
from jitorch.ops import Op as RegisteredOp
from jitorch.tensor import Number, Tensor

if TYPE_CHECKING:
    from jitorch.frontend.trace.tracer import TraceBuilder

TRACED_PACKAGES = ("jitorch.nn", "jitorch.optim", "jitorch.utils", "jitorch.models")
"""Parts of jitorch that are plain Python over Tensor: they are traced like the user's own code."""
_SET_FOR_A_PART = "use `with` to set it for a part"


class SymbolicKey:
    """Equals the signature of every tensor that fits a type with symbolic sizes."""

    __slots__ = ("rest", "type")

    def __init__(self, type_: TensorType, rest: tuple[Any, ...]):
        self.type, self.rest = type_, rest

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SymbolicKey):
            return self.type == other.type and self.rest == other.rest
        if not isinstance(other, tuple) or other[1:] != self.rest:
            return False
        type_ = other[0]
        return (
            type_.dtype is self.type.dtype
            and len(type_.shape) == len(self.type.shape)
            and all(isinstance(d, SymDim) or d == n for d, n in zip(self.type.shape, type_.shape))
        )

    def __hash__(self) -> int:
        return hash(self.rest)

    def __repr__(self) -> str:
        return f"({self.type}, {', '.join(map(repr, self.rest))})"


@dataclass(frozen=True)
class Looks:
    """Gives a result without history the looks of a tensor with one; ``grad_fn`` is the text of that."""

    grad_fn: str | None

    def __call__(self, tensor: Tensor) -> Tensor:
        if self.grad_fn is None:
            tensor._requires_grad = True
        else:
            tensor._node = Named(self.grad_fn)  # type: ignore[assignment]
        return tensor


@dataclass(frozen=True, repr=False)
class Named:
    """Stands for a history that is only shown."""

    name: str

    def __repr__(self) -> str:
        return self.name


class TensorRecorder:
    """Implements `jitorch.frontend.python.Recorder`."""

    def __init__(self, builder: TraceBuilder):
        self.builder = builder
        self.tensor_keys = TensorKey(self.tensor_key, "_signature", other_signature)
        self.inputs = builder.paths
        self.stager = Rolling(builder)
        self._trace: Any = None

    def begin(self, trace: Any) -> None:
        self._trace = self.builder.trace = trace
        self._enabled = dispatch.is_grad_enabled()

    def end(self) -> None:
        enabled, journal = dispatch.is_grad_enabled(), self._trace.journal
        if enabled is self._enabled:
            return
        if not journal.is_replayed:
            raise Refuse("gradient-mode", "the gradient mode differs after the call", hint=_SET_FOR_A_PART)
        journal.effects.append(Effect(dispatch.set_grad_enabled_flag, (enabled,), {}, ()))

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, Tensor)

    def is_traced(self, value: Any) -> bool:
        return isinstance(value, (Number, SymDim)) or id(value) in self.builder.traced

    def python_type(self, value: Any) -> type:
        if isinstance(value, Number):
            return next(kind for kind, type_ in PYTHON_TYPES.items() if type_ is value.type)
        if isinstance(value, SymDim):
            return int
        return range if isinstance(value, TracedRange) else type(value)

    def kind_of(self, value: Any) -> Any:
        """What two values must agree in for a branch to choose between them; None for what is no tensor or number."""
        return "int" if isinstance(value, SymDim) else kind_text(value)

    def row(self, tensor: Any, key: Any) -> Any:
        return self.stager.row(tensor, key)

    def fill(self, tensor: Any, key: Any, value: Any) -> bool:
        if not isinstance(key, Tensor) or key.dtype is not BOOL.dtype or not (1 <= key.ndim <= tensor.ndim):
            return False
        if isinstance(value, Tensor) and (value.ndim or value.dtype is not tensor.dtype):
            return False
        if isinstance(value, float) and tensor.dtype.category < Category.FLOAT:
            return False
        if not all(dims.equal(a, b) for a, b in zip(key._type.shape, tensor._type.shape)):
            return False
        tensor.masked_fill_(key.reshape((*key._type.shape, *[1] * (tensor.ndim - key.ndim))), value)
        return True

    def is_computed_size(self, value: Any) -> bool:
        return isinstance(value, SymDim) and not dims.is_known(value)

    def is_bound_inside(self, value: Any) -> bool:
        return is_bound_inside(self.builder, value)

    def varies(self, a: Any, b: Any) -> bool:
        return differ(self.builder, a, b) and varying(self.builder, 0, (a, b)) is not None

    def shrinks(self, before: Any, after: Any) -> bool:
        return shrinking_axis(self.builder, before, after) is not None

    def length(self, tensor: Any) -> Any:
        return tensor._type.shape[0] if tensor._type.shape else len(tensor)

    def index(self, key: Any) -> Any:
        return OPS["cast"](key, dtype=INT.dtype) if isinstance(key, Number) and key.type is INT else key

    def decided(self, value: Any) -> bool:
        known = self.predicate(value)
        return known if isinstance(known, bool) else self.stager.decided(known)

    def predicate(self, value: Any) -> Any:
        if isinstance(value, SymDim):
            return bool(fix_size(value)) if dims.is_known(value) else compared("ne", value, 0)
        if isinstance(value, Number):
            known = self.builder._expression(value._value)
            if known is not None:
                return bool(known.concrete("a test") if isinstance(known, RuntimeScalar) else known)
            return value if value.type is BOOL else OPS["ne"](value, 0)
        if value.numel() != 1:
            raise ValueRangeError(
                "the truth value of a tensor with other than one element is ambiguous", expected="1 element",
                actual=value.type, hint="use x.any() or x.all()",
            )  # fmt: skip
        scalar = self.item(value)
        return scalar if scalar.type is BOOL else OPS["ne"](scalar, 0)

    def item(self, value: Any) -> Any:
        """``tensor.item()`` as a number of run time."""
        if value.numel() != 1:
            raise ValueRangeError(
                "item(): only a tensor of one element is a Python number", expected="1 element", actual=value.type
            )
        if value.dtype.category > Category.FLOAT:
            raise Refuse("data", "item() of a complex tensor", hint="use x.real and x.imag")
        scalar = value.reshape(()) if value._type.shape else value
        dtype = (BOOL, INT, FLOAT)[value.dtype.category].dtype
        return OPS["number_of"](scalar if value.dtype is dtype else OPS["cast"](scalar, dtype=dtype))

    def convert(self, value: Any, kind: type) -> Any:
        """``int(value)``, ``float(value)`` or ``bool(value)`` of a tensor or a number of run time."""
        if kind is bool:
            return self.predicate(value)
        if isinstance(value, SymDim):
            return value if kind is int else OPS["cast"](OPS["size_of"](size=value), dtype=FLOAT.dtype, number=True)
        number = self.item(value) if isinstance(value, Tensor) else value
        if number.type is PYTHON_TYPES[kind]:
            return number
        if kind is int and number.type is FLOAT and self._trace.journal.is_replayed:
            check_range(number, self.check)  # plain Python can serve the call
        return OPS["cast"](number, dtype=PYTHON_TYPES[kind].dtype, number=True)

    def range(self, bounds: Sequence[Any]) -> Any:
        """A range with bounds that the program knows, or NotImplemented where all are plain numbers."""
        start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
        bounds = first, last = [self.item(x) if isinstance(x, Tensor) else x for x in (start, stop)]
        if isinstance(step, (Number, Tensor)) or not any(isinstance(x, (Number, SymDim)) for x in bounds):
            return NotImplemented
        if not isinstance(step, int) or step == 0 or any(isinstance(x, Number) and x.type is FLOAT for x in bounds):
            return NotImplemented
        if not any(isinstance(x, SymDim) for x in bounds) and all(
            not isinstance(x, Number) or self.builder._expression(x._value) is not None for x in bounds
        ):
            return NotImplemented
        return self.builder.adopt(TracedRange(first, last, step))

    def codes(self, a: Any, b: Any) -> tuple[Any, Any] | None:
        return self.builder.choices.codes(a, b)

    def chosen(self, value: Any, code: Any) -> Any:
        return self.builder.choices.add(value, code)

    def choice(self, value: Any, results: Sequence[Any]) -> tuple[Any, list[tuple[int, Any]]] | None:
        return self.builder.choices.result(value, results) if isinstance(value, Tensor) else None

    @staticmethod
    def number_of(code: Any) -> int:
        return number_of(code)

    def is_same(self, a: Any, b: Any) -> Any:
        return self.builder.choices.is_same(a, b)

    def check_results(self, results: Sequence[Any]) -> None:
        self.builder.choices.check_results(results)

    def check(self, predicate: Any) -> None:
        self.builder.check(predicate)

    @property
    def has_checks(self) -> bool:
        return self.builder.token is not None

    def negate(self, predicate: Any) -> Any:
        return OPS["logical_not"](predicate)

    def is_constant(self, value: Any) -> bool:
        return isinstance(value, (DType, Device))

    def is_internal(self, function: Any) -> bool:
        if isinstance(function, (RegisteredOp, Function)):
            return True
        module = getattr(function, "__module__", None)
        if not isinstance(module, str) or not (module == "jitorch" or module.startswith("jitorch.")):
            return False
        return not module.startswith(TRACED_PACKAGES)

    def unwrap(self, function: Any) -> Any:
        return getattr(function, "__jit_wrapped__", function) if not isinstance(function, type) else function

    def tensor_key(self, tensor: Any) -> Hashable:
        signature = tensor._signature
        if any(isinstance(d, SymDim) for d in tensor._type.shape):
            return SymbolicKey(tensor._type, signature[1:])
        return signature

    def tensor_attribute(self, tensor: Any, name: str) -> Any:
        if name == "grad":
            self.builder.choices.check_attribute(tensor, "the gradient")
            return self.builder.get_grad(tensor)
        if name == "item":
            return NativeFunction(functools.partial(self.item, tensor))
        if name in ("device", "dtype") or not self.builder.is_stored(tensor):
            return getattr(tensor, name)
        if name in tensor.__dict__ or self._trace.journal.attribute(tensor, name) is not MISSING:
            return self._trace.read_attribute(tensor, name)
        return getattr(tensor, name)

    def set_tensor_attribute(self, tensor: Any, name: str, value: Any) -> None:
        self.builder.choices.check_attribute(tensor, f"an assignment to .{name}")
        if name == "grad":
            tensor.grad = value
        elif not self.builder.is_stored(tensor):
            setattr(tensor, name, value)
        elif name in ("data", "requires_grad"):
            raise Refuse("outside-tensor", f"assignment to .{name} of a tensor that exists outside")
        else:
            self._trace.write_attribute(tensor, name, value)

    def snapshot(self, value: Any) -> tuple[Any, Any]:
        if isinstance(value, SymDim):
            return OPS["size_of"](size=value), None
        if not isinstance(value, Tensor):
            return value, None
        if type(value) is not Tensor:
            raise Refuse("data", f"text of a {type(value).__name__}", hint="print its detach()")
        token = dispatch.set_grad_enabled_flag(False)
        try:
            copy = OPS["copy"](value.detach())
        finally:
            dispatch.reset_grad_enabled(token)
        if not value.requires_grad:
            return copy, None
        return copy, Looks(None if value.grad_fn is None else repr(value.grad_fn))

    def arithmetic(self, name: str, *operands: Any) -> Any:
        if any(isinstance(x, Tensor) for x in operands):
            return NotImplemented
        return arithmetic(name, [self.number(x) if type(x) is RuntimeScalar else x for x in operands], self.check)

    def number(self, scalar: RuntimeScalar) -> Any:
        return self.builder.number_of(scalar) if scalar.has_64_bits else scalar.concrete("an operand")

    def lend(self, scalar: RuntimeScalar) -> Any:
        # Integers are sizes, axes and counts more often than operands: there they must be known.
        return self.builder.number_of(scalar) if scalar.python_type is float else scalar.concrete("an argument")

    def concretize(self, value: Any, why: str) -> Any:
        if isinstance(value, SymDim):
            return fix_size(value)
        return self.builder.concretize(value, why)

    def freeze(self, why: str) -> bool:
        return self.builder.freeze(why)

    def written(self) -> Sequence[Any]:
        """Writes go by memory, not by object: the guard is that all memories are still different ones."""
        for value, _ in self._trace.known():
            if isinstance(value, Tensor) and any(isinstance(d, SymDim) for d in value._type.shape):
                self.builder.cell(value)  # an input for its sizes at least
        roots = list(self.builder.roots.values())
        if self.builder.written() and len(roots) > 1:
            first, *rest = (attr(root.path, "_storage") for root in roots if not root.path.is_constant)
            if rest:
                self._trace.guard(first, "distinct", tuple(rest))
        return ()


def other_signature(value: str, expected: Any, constant: Callable[[Any], str]) -> str | None:
    """Source of a condition that holds when the tensor called ``value`` has another `Tensor._signature`.

    Only for what most tensors are: of fixed size, in row-major order, no view, without hooks, of a class of jitorch's.
    """
    if not isinstance(expected, tuple) or len(expected) != 5 or expected[3:] != (None, None):
        return None
    type_, requires_grad, is_leaf, _, _ = expected
    node = "not None" if is_leaf else "None"
    return (
        f"({value}._type is not {constant(type_)} and {value}._type != {constant(type_)})"
        f" or {value}._requires_grad is not {constant(requires_grad)} or {value}._node is {node}"
        f" or {value}._root is not None or {value}._hooks or {value}._user_class is not None"
        f" or (({value}_ := {value}._array) is not None and not {value}_.flags.c_contiguous)"
    )


@handles(PUBLIC["stack"])
def _stack(trace: Any, *args: Any, **keywords: Any) -> Any:
    """``stack`` of all rows of a tensor, in order, is that tensor."""
    tensors, dim = _list_and_axis(*args, **keywords)
    found = _joined(trace, tensors, dim, True)
    if found is None and type(tensors) is list and dim == 0:
        whole = trace.recorder.stager.unstack(trace.contents(tensors))
        found = None if whole is None else OPS["copy"](whole)
    return trace.call_library(PUBLIC["stack"], args, keywords) if found is None else found


@handles(PUBLIC["cat"])
def _cat(trace: Any, *args: Any, **keywords: Any) -> Any:
    """``cat`` of the rows of a tensor joins its first axis with another."""
    found = _joined(trace, *_list_and_axis(*args, **keywords), False)
    return trace.call_library(PUBLIC["cat"], args, keywords) if found is None else found


def _list_and_axis(tensors: Any = None, dim: Any = 0, *rest: Any, axis: Any = None, **others: Any) -> tuple[Any, Any]:
    """The arguments of ``stack`` or ``cat``; no list where there are others."""
    dim = dim if axis is None else axis
    return (tensors, dim) if type(dim) is int and not rest and not others else (None, None)


def _joined(trace: Any, tensors: Any, dim: Any, is_new: bool) -> Tensor | None:
    if type(tensors) is not list or not trace.has_stretches or trace.growing or not trace.is_created(tensors):
        return None
    return trace.recorder.stager.joined(trace.held(tensors), dim, is_new)
