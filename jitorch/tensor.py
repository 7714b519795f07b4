"""Tensor: the one class users hold.

A tensor is a *view of a storage*.  An eager tensor holds a NumPy array (views share its memory); a
tensor of a graph under construction holds its type, and the builder that made it knows which value
its storage has now.  Which of the two an operation makes is decided by the interpreter in force
(`jitorch.ops.dispatch`), never by what its operands hold.

Methods and operators are attached from the op registry at the end of this module's import, so an
op's one definition is also its method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from jitorch import dtypes, printing
from jitorch.devices import CPU, Device, Layout, MemoryFormat, channels_last, channels_last_3d, strided
from jitorch.dims import SymDim
from jitorch.dtypes import DType
from jitorch.errors import ArgumentError, AutogradError, DTypeError, ShapeError, UnsupportedError, ValueRangeError
from jitorch.ir.op import Op
from jitorch.ir.types import BOOL, INT, ScalarType, TensorType
from jitorch.ops import PUBLIC, Function, dispatch, registry
from jitorch.ops.factory import constructed
from jitorch.ops.index import fit, getitem, setitem
from jitorch.ops.registry import OPS
from jitorch.ops.registry import Op as RegisteredOp


class Size(tuple[Any, ...]):
    """The sizes of a tensor's axes."""

    def numel(self) -> Any:
        total: Any = 1
        for size in self:
            total = total * size
        return total

    def __repr__(self) -> str:
        return f"jitorch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, key: Any) -> Any:
        item = tuple.__getitem__(self, key)
        return Size(item) if isinstance(key, slice) else item


class Storage:
    """The identity of a piece of memory, and how often it was written."""

    __slots__ = ("__weakref__", "version")

    def __init__(self) -> None:
        self.version = 0


class FrozenStorage(Storage):
    """Memory that nobody can write: a compiled program may keep what it makes of the elements."""

    __slots__ = ()


_types: dict[tuple[np.dtype[Any], tuple[int, ...]], TensorType] = {}
"""The types of arrays met so far: most tensors of one type hold the same object, which compares quickly."""


def type_of_array(array: np.ndarray[Any, Any]) -> TensorType:
    """The IR type of a tensor over ``array``."""
    found = _types.get((array.dtype, array.shape))
    if found is not None:
        return found
    if len(_types) >= 4096:
        _types.clear()
    type_ = TensorType(dtypes.from_numpy(array.dtype), array.shape)
    # Two threads may get here; the first one's object is everybody's.
    return _types.setdefault((array.dtype, array.shape), type_)


def type_of(dtype: DType, shape: tuple[Any, ...]) -> TensorType:
    """The type of tensors of this dtype and shape: the object that they hold, where all sizes are known."""
    if not all(type(size) is int for size in shape):
        return TensorType(dtype, shape)
    return _types.setdefault((dtype.numpy, shape), TensorType(dtype, shape))


Step = tuple[Op, dict[str, Any]]
"""One view op and its attributes; a view is its base and the steps that lead to it."""


class Tensor:
    """An n-dimensional array with automatic differentiation.

    Made by `jitorch.tensor`, `jitorch.zeros`, `jitorch.from_numpy` and the like.  ``Tensor(data)`` is
    ``tensor(data)`` in the default dtype, ``Tensor(2, 3)`` a `jitorch.empty` one of those sizes.
    """

    __slots__ = (
        "__dict__", "__weakref__", "_array", "_base", "_dtype", "_grad", "_hooks", "_node", "_output", "_requires_grad",
        "_retains_grad", "_root", "_shape", "_steps", "_storage", "_strides", "_type", "_view_version",
    )  # fmt: skip

    if TYPE_CHECKING:
        # Attached from the registry below: every public op that is a method, and the operators.
        def __getattr__(self, name: str) -> Any: ...

        __add__: Any
        __radd__: Any
        __iadd__: Any
        __sub__: Any
        __rsub__: Any
        __mul__: Any
        __rmul__: Any
        __truediv__: Any
        __rtruediv__: Any
        __floordiv__: Any
        __mod__: Any
        __pow__: Any
        __rpow__: Any
        __and__: Any
        __or__: Any
        __xor__: Any
        __lt__: Any
        __le__: Any
        __gt__: Any
        __ge__: Any
        __neg__: Any
        __abs__: Any
        __invert__: Any
        __matmul__: Any
        __rmatmul__: Any

    _array: np.ndarray[Any, Any] | None
    _storage: Storage
    _root: Tensor | None  # the tensor from whose memory ``_steps`` lead to this one; None: itself
    _base: Tensor | None  # the tensor whose history this view follows; a detached alias follows none
    _steps: tuple[Step, ...]
    _node: Any
    _hooks: dict[int, Callable[..., Any]] | None
    _user_class: type | None = None  # the class itself where it is the user's

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        cls._user_class = None if cls.__module__.partition(".")[0] == "jitorch" else cls

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # `Tensor(...)` is a tensor of the interpreter in force; what subclasses are made of is their affair.
        return constructed(*args, **kwargs) if cls is Tensor else object.__new__(cls)

    # -- construction ----------------------------------------------------------------------------
    def _set(self, array: np.ndarray[Any, Any] | None, type_: TensorType, storage: Storage) -> None:
        self._array, self._type, self._storage = array, type_, storage
        self._strides: tuple[Any, ...] | None = None
        self._root, self._base, self._steps = None, None, ()
        self._requires_grad = self._retains_grad = False
        self._grad: Tensor | None = None
        self._node, self._output, self._hooks = None, 0, None
        self._view_version = 0

    @classmethod
    def _from_array(cls, array: np.ndarray[Any, Any]) -> Tensor:
        """Wrap ``array`` itself (no copy) as a tensor with a storage of its own."""
        tensor = object.__new__(cls)
        tensor._set(array, type_of_array(array), Storage())
        return tensor

    @staticmethod
    def _of(array: np.ndarray[Any, Any], type_: TensorType, storage: Storage | None = None) -> Tensor:
        """A plain tensor over all of ``storage`` (default: one of its own), whose type is known."""
        tensor = object.__new__(Tensor)
        tensor._set(array, type_, Storage() if storage is None else storage)
        return tensor

    @staticmethod
    def _frozen(tensor: Tensor) -> Tensor:
        """A copy without history in memory that is read-only for all, by whatever array it is reached."""
        array = tensor._data("freeze")
        copy = np.ascontiguousarray(array).reshape(-1).copy()
        if copy.size:
            # An array over a read-only buffer cannot be made writeable again.
            copy = np.frombuffer(copy.view(np.uint8).data.toreadonly(), copy.dtype)
        copy.flags.writeable = False
        return Tensor._of(copy.reshape(array.shape), tensor._type, FrozenStorage())

    @property
    def _is_frozen(self) -> bool:
        return isinstance(self._storage, FrozenStorage)

    @classmethod
    def _traced(cls, type_: TensorType, storage: Storage | None = None) -> Tensor:
        """A tensor without data, of a graph under construction."""
        tensor = object.__new__(cls)
        tensor._set(None, type_, storage or Storage())
        return tensor

    def _as_view_of(self, source: Tensor, op: Op, attrs: dict[str, Any]) -> Tensor:
        """Mark this tensor as ``op(source, **attrs)``, sharing its memory."""
        self._storage = source._storage
        self._root = source if source._root is None else source._root
        self._base = source if source._base is None else source._base
        self._steps = (*source._steps, (op, attrs))
        return self

    @classmethod
    def _make_subclass(cls, data: Tensor, requires_grad: bool = False) -> Any:
        """A ``cls`` that shares the memory of ``data`` and starts an autograd graph of its own."""
        tensor = object.__new__(cls)
        tensor._share(data)
        tensor._requires_grad = requires_grad
        return tensor

    def _share(self, data: Tensor) -> None:
        """Set up this tensor as one with the memory of ``data`` and no history."""
        self._set(data._array, data._type, data._storage)
        self._strides = data._strides
        self._root, self._steps = data._root, data._steps

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        if self._is_frozen:
            return self
        if self._node is not None:
            raise AutogradError(
                "only leaf tensors can be deep-copied", hint="copy x.detach(), or the parameters it was computed from"
            )
        array = self._data("deepcopy")
        new = type(self)._from_array(array.copy())
        new._requires_grad = self._requires_grad
        memo[id(self)] = new
        if self._grad is not None:
            new._grad = self._grad.__deepcopy__(memo)
        new.__dict__.update(self.__dict__)
        return new

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), self._data("pickle"), self._requires_grad)

    # -- what it is ------------------------------------------------------------------------------
    @property
    def type(self) -> TensorType:
        """The IR type: dtype and shape."""
        return self._type

    @property
    def shape(self) -> Size:
        """The sizes of the axes; under `@jit` some may be symbolic."""
        return Size(self._type.shape)

    @property
    def dtype(self) -> DType:
        """The type of the elements, such as `jitorch.float32`."""
        return self._type.dtype

    @property
    def device(self) -> Device:
        """Where the elements are: always ``cpu`` so far."""
        return CPU

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._type.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self._type.dtype.itemsize

    @property
    def nbytes(self) -> Any:
        """Bytes of all elements."""
        return self.numel() * self.itemsize

    @property
    def is_cuda(self) -> bool:
        """Whether the elements are on a GPU: never so far."""
        return False

    is_sparse = is_quantized = is_meta = is_mps = is_xpu = is_cuda

    @property
    def layout(self) -> Layout:
        """How elements are laid out: always `jitorch.strided`."""
        return strided

    def dim(self) -> int:
        """The number of axes."""
        return len(self._type.shape)

    def size(self, dim: int | None = None) -> Any:
        """All sizes, or that of axis ``dim``."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> Any:
        """The number of elements."""
        return self._type.size

    nelement = numel

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._type.dtype.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """Elements from one index of an axis to the next."""
        strides = self._element_strides()
        return strides if dim is None else strides[dim]

    def _element_strides(self) -> tuple[Any, ...]:
        if self._array is not None:
            return tuple(s // self._array.itemsize for s in self._array.strides)
        return self._strides if self._strides is not None else contiguous_strides(self._type.shape)

    def is_contiguous(self, memory_format: MemoryFormat | None = None) -> bool:
        """Whether the elements lie in row-major order (or that of ``memory_format``) without gaps."""
        if memory_format in (channels_last, channels_last_3d):
            order = (0, *range(2, self.ndim), 1)
            strides = self._element_strides()
            return _without_gaps(tuple(self.shape[i] for i in order), tuple(strides[i] for i in order))
        if self._array is not None:
            return bool(self._array.flags.c_contiguous)
        return self._strides is None or _without_gaps(self._type.shape, self._strides)

    def storage_offset(self) -> int:
        """Elements from the start of the memory to the first element."""
        array, root = self._data("storage_offset"), self if self._root is None else self._root
        return (array.ctypes.data - root._data("storage_offset").ctypes.data) // array.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._data("data_ptr").ctypes.data

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers, complex ones excluded."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the elements are complex numbers."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype has negative numbers."""
        return self.dtype.is_signed

    @property
    def _version(self) -> int:
        return dispatch.current().version(self)

    # -- to Python and NumPy ---------------------------------------------------------------------
    def _data(self, why: str) -> np.ndarray[Any, Any]:
        """The array behind an eager tensor; refused while tracing."""
        return dispatch.current().concretize(self, why)

    def item(self) -> Any:
        """The one element as a Python number."""
        array = self._data("item()")
        if array.size != 1:
            raise ValueRangeError(
                "item(): only a tensor of one element is a Python number", expected="1 element", actual=self.type
            )
        return array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._data("tolist()").tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """The data as a NumPy array that shares this tensor's memory."""
        if self.requires_grad and not force:
            raise AutogradError("numpy() of a tensor that requires grad", hint="use x.detach().numpy()")
        return self._data("numpy()")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        if dtype is None or array.dtype == dtype:
            return array.copy() if copy else array
        return array.astype(dtype)

    __array_priority__ = 1000

    def __bool__(self) -> bool:
        array = self._data("bool()")
        if array.size != 1:
            raise ValueRangeError(
                "the truth value of a tensor with other than one element is ambiguous", expected="1 element",
                actual=self.type, hint="use x.any() or x.all()",
            )  # fmt: skip
        return bool(array.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.category > dtypes.Category.INT:
            raise ArgumentError("only integer tensors of one element can be an index", actual=self.type)
        return int(self.item())

    def __len__(self) -> int:
        if not self._type.shape:
            raise ArgumentError("len() of a 0-d tensor")
        size: Any = self._type.shape[0]
        if not isinstance(size, int):
            raise ShapeError("len() of a tensor whose size is a symbol", actual=self.type, hint="use x.shape[0]")
        return size

    def __iter__(self) -> Iterator[Tensor]:
        if not self._type.shape:
            raise ArgumentError("iteration over a 0-d tensor")
        return iter([self[i] for i in range(len(self))])

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return printing.tensor_text(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else format(str(self), spec)

    @property
    def _signature(self) -> tuple[Any, ...]:
        """What of this tensor a compiled function depends on."""
        hooks = tuple(self._hooks.values()) if self._hooks else None
        root, kind = self._root, () if self._user_class is None else (self._user_class,)
        if root is None:
            return self._type, self._requires_grad, self.is_leaf, hooks, self._layout, *kind
        steps = tuple((op.name, *attrs.items()) for op, attrs in self._steps)
        return self._type, self._requires_grad, self.is_leaf, hooks, root._layout, root._type, steps, *kind

    @property
    def _layout(self) -> tuple[int, ...] | None:
        """The strides in bytes of stored elements that are not in row-major order, else None."""
        array = self._array
        return None if array is None or array.flags.c_contiguous else array.strides

    # -- autograd --------------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded for `backward`."""
        return self._requires_grad or not self.is_leaf

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Mark this leaf as one whose gradient is wanted."""
        if not self.is_leaf and not requires_grad:
            raise AutogradError("requires_grad can only be switched off on leaf tensors", hint="use x.detach()")
        if requires_grad and self.dtype.category < dtypes.Category.FLOAT:
            raise AutogradError("only floating point and complex tensors can require gradients", actual=self.dtype.name)
        if requires_grad != self.requires_grad:
            dispatch.current().alter(self, "requires_grad")
            self._requires_grad = requires_grad
        return self

    @property
    def grad_fn(self) -> Any:
        """The node that made this tensor, or None for a leaf."""
        return dispatch.current().grad_node(self)  # type: ignore[attr-defined]

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor; `backward` fills ``.grad`` of such tensors only."""
        if self._base is not None and self._view_version != self._base._view_version:
            return self.grad_fn is None
        return self._node is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by `backward`, or None."""
        return dispatch.current().get_grad(self)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and value.type != self.type:
            raise AutogradError("a gradient has its tensor's type", expected=self.type, actual=value.type)
        dispatch.current().set_grad(self, value)

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradient of this tensor to ``.grad`` of every leaf it was computed from.

        ``gradient`` (this tensor's type) is needed unless the tensor has one element.
        """
        dispatch.current().backward(self, gradient, retain_graph, create_graph, inputs)  # type: ignore[attr-defined]

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Any:
        """Call ``hook(grad)`` when this tensor's gradient is computed; a result replaces it."""
        if not self.requires_grad:
            raise AutogradError("cannot register a hook on a tensor that does not require grad")
        dispatch.current().alter(self, "a hook")
        hooks = self._node.hooks_of(self._output) if self._node is not None else self._own_hooks()
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        return handle

    def _own_hooks(self) -> dict[int, Callable[..., Any]]:
        if self._hooks is None:
            self._hooks = {}
        return self._hooks

    def retain_grad(self) -> None:
        """Keep ``.grad`` of this non-leaf tensor, too."""
        if not self.requires_grad:
            raise AutogradError("can't retain_grad on a tensor that does not require grad")
        if self._node is not None and not self._retains_grad:
            dispatch.current().alter(self, "retain_grad()")
            self._retains_grad = True
            self._node.retain(self)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on this tensor, which is no leaf."""
        return self._retains_grad

    def detach(self) -> Tensor:
        """A tensor that shares this one's memory and is outside of its autograd graph."""
        return dispatch.current().detach(self)

    def _alias(self) -> Tensor:
        """Another tensor object over the same memory, without history."""
        return Tensor._make_subclass(self)

    def detach_(self) -> Tensor:
        """Take this tensor out of its autograd graph."""
        if self._base is not None and not self.is_leaf:
            raise AutogradError("a view cannot be detached in place", hint="use detach(), which gives a new tensor")
        if self.requires_grad:
            dispatch.current().alter(self, "detach_()")
            self._node, self._output, self._requires_grad = None, 0, False
        return self

    @property
    def data(self) -> Tensor:
        """The same memory, without history."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if self._array is None or value._array is None:
            raise UnsupportedError("assignment to .data of a traced tensor", hint="use x.copy_(value) under no_grad()")
        self._array, self._type, self._storage = value._array, value._type, value._storage
        self._strides, self._root, self._steps, self._base = None, value._root, value._steps, None

    # -- assignment ------------------------------------------------------------------------------
    def _replace(self, value: Tensor) -> Tensor:
        """Write ``value``, which has this tensor's type, into this tensor's memory."""
        dispatch.current().write(self, value)
        return self

    def copy_(self, src: Any, non_blocking: bool = False) -> Tensor:
        """Overwrite the elements with those of ``src``, cast and broadcast."""
        return self._replace(fit(src, self))

    def fill_(self, value: Any) -> Tensor:
        """Set every element to ``value``, a number or a 0-d tensor."""
        return self._replace(fit(value, self))

    def zero_(self) -> Tensor:
        """Set every element to 0."""
        return self.fill_(0)

    def __getitem__(self, key: Any) -> Tensor:
        return getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        setitem(self, key, value)


class RemovableHandle:
    """Undoes a registration: ``handle.remove()``."""

    _next = 0

    def __init__(self, hooks: dict[int, Any]):
        self.hooks, self.id = hooks, RemovableHandle._next
        RemovableHandle._next += 1

    def remove(self) -> None:
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Number:
    """A Python int, float or bool that is known only at run time: a value of a graph under construction.

    None of the ten nouns will do: unlike a Tensor it promotes weakly, has Python's arithmetic and no
    memory of its own; unlike a Value it is what user code holds while its function is traced.
    """

    __slots__ = ("_value", "type")
    __array_priority__ = 1000

    def __init__(self, value: Any, type_: ScalarType):
        self._value, self.type = value, type_

    @property
    def shape(self) -> Size:
        return Size()

    def _concrete(self, why: str) -> Any:
        return dispatch.current().concretize(self, why)

    def __bool__(self) -> bool:
        return bool(self._concrete("bool()"))

    def __int__(self) -> int:
        return int(self._concrete("int()"))

    def __float__(self) -> float:
        return float(self._concrete("float()"))

    def __index__(self) -> int:
        if self.type not in (INT, BOOL):
            raise ArgumentError("a float cannot be an index")
        return int(self._concrete("an index or size"))

    def __round__(self, digits: int | None = None) -> Any:
        return round(self._concrete("round()"), digits)  # type: ignore[call-overload]

    def __hash__(self) -> int:
        return hash(self._concrete("hash()"))

    def __repr__(self) -> str:
        return f"<{self.type} known at run time>"

    def __format__(self, spec: str) -> str:
        return format(self._concrete("formatting"), spec)


def contiguous_strides(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """Row-major strides, in elements, as NumPy gives them."""
    strides: list[Any] = []
    step: Any = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


def _without_gaps(shape: tuple[Any, ...], strides: tuple[Any, ...]) -> bool:
    """Whether ``strides`` are row-major; those of axes with one element do not matter."""
    return all(
        step == expected or (isinstance(size, int) and size == 1)
        for size, step, expected in zip(shape, strides, contiguous_strides(shape))
    )


def _rebuild(cls: type[Tensor], array: np.ndarray[Any, Any], requires_grad: bool) -> Tensor:
    tensor = cls._from_array(array)
    tensor._requires_grad = requires_grad
    return tensor


# -- methods from the registry ---------------------------------------------------------------------
_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "pow", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}  # fmt: skip
_COMPARE = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}
_UNARY = {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}


def _is_operand(x: Any) -> bool:
    return isinstance(x, (Tensor, Number, bool, int, float, complex, np.generic, SymDim))


def _plain(x: Any) -> Any:
    if isinstance(x, SymDim):
        return OPS["size_of"](size=x)
    return x.item() if isinstance(x, np.generic) else x


def _operator(entry: Callable[..., Any], swapped: bool = False) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, (Tensor, float, int)) or isinstance(other, np.generic):
            if not _is_operand(other):
                return NotImplemented
            other = _plain(other)
        return entry(other, self) if swapped else entry(self, other)

    return operator


def _method(entry: RegisteredOp | Function) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return entry(self, *args, **kwargs)

    method.__doc__, method.__name__ = entry.__doc__, entry.name
    method.__wrapped__ = entry  # type: ignore[attr-defined]  # whose signature it has
    return method


def in_place(name: str, target: Tensor, result: Tensor) -> Tensor:
    """Store ``result`` in ``target``; its dtype may not be of a higher category, its shape must be the same."""
    if not dtypes.can_cast(result.dtype, target.dtype):
        raise DTypeError(
            f"{name}_: the result does not fit the tensor's dtype", expected=target.dtype, actual=result.dtype,
            hint=f"use {name}(), which gives a new tensor",
        )  # fmt: skip
    if result.shape != target.shape:
        raise ShapeError(f"{name}_: the result has another shape", expected=target.shape, actual=result.shape)
    return target._replace(result if result.dtype is target.dtype else OPS["cast"](result, dtype=target.dtype))


_READ_NOTHING = frozenset(("add", "sub"))
"""Operations whose gradient does not depend on the tensor that their in-place form overwrites."""


def _before_the_write(target: Tensor, others: tuple[Any, ...]) -> Tensor:
    """What an in-place operation computes from: a copy if a gradient may ask for it after the write."""
    if not dispatch.is_grad_enabled():
        return target
    recorded = target.requires_grad or any(isinstance(x, Tensor) and x.requires_grad for x in others)
    return OPS["copy"](target) if recorded else target


def _in_place_method(name: str, entry: RegisteredOp | Function) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and dispatch.in_place(entry, self, args):
            return self
        before = self if name in _READ_NOTHING else _before_the_write(self, args)
        return in_place(name, self, entry(before, *args, **kwargs))

    method.__doc__, method.__name__ = f"In-place form of `{name}`.", f"{name}_"
    return method


def attach(key: str, entry: RegisteredOp | Function) -> None:
    """Give `Tensor` the methods that ``entry``, published as ``key``, asks for."""
    name = key.removeprefix("Tensor.")
    if "property" in entry.places:
        setattr(Tensor, name, property(_method(entry)))
    if "method" not in entry.places or "." in name:
        return
    if not hasattr(Tensor, name) and entry.inplace != "only":
        setattr(Tensor, name, _method(entry))
    if entry.inplace:
        setattr(Tensor, f"{name}_", _in_place_method(name, entry))


def _attach() -> None:
    for key, entry in PUBLIC.items():
        attach(key, entry)
    registry.listeners.append(attach)
    for cls in (Tensor, Number):
        for symbol, name in {**_BINARY, **_COMPARE}.items():
            setattr(cls, f"__{symbol}__", _operator(OPS[name]))
        for symbol, name in _BINARY.items():
            setattr(cls, f"__r{symbol}__", _operator(OPS[name], swapped=True))
        for symbol, name in _UNARY.items():
            setattr(cls, f"__{symbol}__", _method(OPS[name]))
    for symbol, name in _BINARY.items():
        setattr(Tensor, f"__i{symbol}__", _in_place_method(name, OPS[name]))
    Tensor.__abs__ = _method(PUBLIC["abs"])
    Tensor.__rdiv__ = Tensor.__rtruediv__  # type: ignore[attr-defined]
    Tensor.__matmul__ = _method(PUBLIC["matmul"])  # type: ignore[attr-defined]
    Tensor.__rmatmul__ = lambda self, other: PUBLIC["matmul"](other, self)  # type: ignore[attr-defined]
    Tensor.__pos__ = lambda self: self  # type: ignore[attr-defined]


_attach()
