"""A small tensor, recorder and jit, enough to run the Python front end by itself.

The tensor wraps a NumPy array.  While a thread traces, its operations are recorded as a list of
``(name, operands, result)``; replaying that list is the "program".
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from jitorch.frontend.python import (
    Path,
    Refuse,
    RuntimeScalar,
    Staged,
    TensorKey,
    Trace,
    changed_paths,
    first_failure,
    stage,
)
from jitorch.frontend.python.guards import Failure

OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
    "floordiv": np.floor_divide, "mod": np.mod, "matmul": np.matmul, "neg": np.negative, "abs": np.abs,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "exp": np.exp, "relu": lambda a: np.maximum(a, 0), "sum": lambda a, axis=None: np.sum(a, axis=axis),
    "item": lambda a, key=None: np.asarray(a)[key], "stack": lambda *a: np.stack(a),
}  # fmt: skip

_active: list[ToyRecorder] = []


class Tensor:
    """A float64 array; ``data`` is None of a traced tensor, which has a ``sample`` of its value instead."""

    def __init__(self, data: Any, requires_grad: bool = False):
        self.data: Any = np.array(data, float)
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape if self.data is not None else self.sample.shape

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.data.shape, str(self.data.dtype), self.requires_grad)

    sample: Any = None

    def apply(self, name: str, *operands: Any, **attributes: Any) -> Tensor:
        if _active:
            return _active[-1].record(name, operands, attributes)
        values = [x.data if isinstance(x, Tensor) else x for x in operands]
        return Tensor(OPERATIONS[name](*values, **attributes))

    def sum(self, axis: int | None = None) -> Tensor:
        return self.apply("sum", self, axis=axis)

    def exp(self) -> Tensor:
        return self.apply("exp", self)

    def relu(self) -> Tensor:
        return self.apply("relu", self)

    def item(self) -> float:
        return float(self)

    def copy_(self, other: Any) -> Tensor:
        if _active:
            _active[-1].write(self, other)
        else:
            self.data[...] = other.data if isinstance(other, Tensor) else other
        return self

    def add_(self, other: Any) -> Tensor:
        return self.copy_(self + other)

    def mul_(self, other: Any) -> Tensor:
        return self.copy_(self * other)

    __iadd__ = add_
    __imul__ = mul_

    def __isub__(self, other: Any) -> Tensor:
        return self.copy_(self - other)

    def __neg__(self) -> Tensor:
        return self.apply("neg", self)

    def __abs__(self) -> Tensor:
        return self.apply("abs", self)

    def __getitem__(self, key: Any) -> Tensor:
        return self.apply("item", self, key=key)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Any:
        return iter([self[i] for i in range(len(self))])

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        return bool(_value(self, "bool()"))

    def __float__(self) -> float:
        return float(_value(self, "float()"))

    def __int__(self) -> int:
        return int(_value(self, "int()"))

    def __format__(self, spec: str) -> str:
        return format(_value(self, "formatting"), spec)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return _value(self, "a NumPy call")


def _value(tensor: Tensor, why: str) -> Any:
    return _active[-1].concretize(tensor, why) if _active else tensor.data


def _install_operators() -> None:
    def forward(name: str) -> Any:
        return lambda self, other: self.apply(name, self, other)

    def reflected(name: str) -> Any:
        return lambda self, other: self.apply(name, other, self)

    for name in "add sub mul truediv floordiv mod pow matmul".split():
        setattr(Tensor, f"__{name}__", forward(name))
        setattr(Tensor, f"__r{name}__", reflected(name))
    for name in "lt le gt ge eq ne".split():
        setattr(Tensor, f"__{name}__", forward(name))


_install_operators()


def stack(tensors: Any) -> Tensor:
    """A library function that takes a container."""
    first, *rest = tensors
    return first.apply("stack", first, *rest)


def tensor(data: Any) -> Tensor:
    """A library function that makes a tensor of constants."""
    result = Tensor(data)
    return result if not _active else _active[-1].record("add", (0.0, result.data), {})


def each(function: Any, value: Tensor) -> Tensor:
    """A library function that calls back."""
    return function(function(value))


class Elementwise:
    """Library functions that are objects."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, value: Tensor) -> Tensor:
        return value.apply(self.name, value)


_LIBRARY = {stack, tensor, each}


class ToyStager:
    """Stages nothing: Python runs every loop, and tests of traced values are refused."""

    def for_loop(self, *_: Any) -> Any:
        return NotImplemented


class ToyRecorder:
    """Records operations on `Tensor`; runs them again with `run`."""

    tensor_keys = TensorKey(lambda t: t.key, "key")
    stager = ToyStager()

    def __init__(self) -> None:
        self.inputs: list[Path] = []
        self.nodes: list[tuple[str, tuple[Any, ...], dict[str, Any], Tensor]] = []
        self.current: dict[int, Tensor] = {}  # stored tensor -> the traced tensor that holds its contents now
        self.kept: list[Tensor] = []
        self.slots: dict[int, int] = {}  # traced tensor that stands for an input -> position
        self.scalars: dict[Path, int] = {}
        self.targets: list[tuple[Path, Tensor]] = []
        self.concretized: list[str] = []

    def begin(self, trace: Trace) -> None:
        self.trace = trace

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, Tensor)

    def is_traced(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value.data is None

    def python_type(self, value: Any) -> type:
        return type(value)

    def is_constant(self, value: Any) -> bool:
        return isinstance(value, np.dtype)

    def is_internal(self, function: Any) -> bool:
        if isinstance(function, types.FunctionType):
            return function in _LIBRARY or function.__qualname__.startswith(("Tensor.", "Elementwise."))
        return function is Tensor or isinstance(function, Elementwise)

    def unwrap(self, function: Any) -> Any:
        return function.function if isinstance(function, Jitted) else function

    def tensor_key(self, value: Any) -> Any:
        return value.key

    def tensor_attribute(self, value: Tensor, name: str) -> Any:
        if name == "data":
            raise Refuse("data", ".data of a tensor")
        if name == "grad" and not self.is_traced(value):
            return self.trace.read_attribute(value, "grad")
        return getattr(value, name)

    def set_tensor_attribute(self, value: Tensor, name: str, new: Any) -> None:
        self.trace.write_attribute(value, name, new)

    def number(self, scalar: RuntimeScalar) -> RuntimeScalar:
        return scalar

    lend = number

    def concretize(self, value: Any, why: str) -> Any:
        raise Refuse("data", f"{why} of a traced tensor")

    def predicate(self, value: Any) -> bool:
        return bool(self.concretize(value, "a test"))

    decided = predicate

    def convert(self, value: Any, kind: type) -> Any:
        return kind(self.concretize(value, f"{kind.__name__}()"))

    def row(self, tensor: Any, key: Any) -> Any:
        return NotImplemented

    def fill(self, tensor: Any, key: Any, value: Any) -> bool:
        return False

    def index(self, key: Any) -> Any:
        return key

    def range(self, bounds: Any) -> Any:
        return NotImplemented

    def length(self, tensor: Any) -> int:
        return len(tensor)

    def is_computed_size(self, value: Any) -> bool:
        return False

    def is_bound_inside(self, value: Any) -> bool:
        return False

    def varies(self, a: Any, b: Any) -> bool:
        return False

    def shrinks(self, before: Any, after: Any) -> bool:
        return False

    def kind_of(self, value: Any) -> None:
        return None

    def snapshot(self, value: Any) -> Any:
        return self.concretize(value, "the text")

    def end(self) -> None:
        assert self.trace is not None

    def arithmetic(self, name: str, *operands: Any) -> Any:
        return NotImplemented

    def codes(self, a: Any, b: Any) -> None:
        return None

    def choice(self, value: Any, results: Any) -> None:
        return None

    def number_of(self, code: Any) -> int:
        return int(code)

    def is_same(self, a: Any, b: Any) -> bool:
        return False

    def check_results(self, results: Any) -> None:
        assert isinstance(results, list)

    def check(self, predicate: Any) -> None:
        raise Refuse("data", "a check")

    has_checks = False

    def negate(self, predicate: Any) -> Any:
        raise Refuse("data", "not of a traced tensor")

    def freeze(self, why: str) -> bool:
        return False

    def written(self) -> list[Any]:
        return [value for value in self.kept if id(value) in self.current]

    # -- recording

    def traced(self, sample: Any) -> Tensor:
        result = Tensor(0.0)
        result.data, result.sample = None, np.asarray(sample)
        return result

    def operand(self, value: Any) -> Any:
        if type(value) is RuntimeScalar:
            if value.path not in self.scalars:
                self.scalars[value.path] = len(self.inputs)
                self.inputs.append(value.path)
            return ("input", self.scalars[value.path], value.value)
        if not isinstance(value, Tensor) or self.is_traced(value):
            return value
        if id(value) in self.current:
            return self.current[id(value)]
        self.kept.append(value)
        if id(value) not in self.slots:
            self.slots[id(value)] = len(self.inputs)
            path = self.trace.path_of(value)
            assert path is not None
            self.inputs.append(path)
        return ("input", self.slots[id(value)], value.data)

    def record(self, name: str, operands: Any, attributes: dict[str, Any]) -> Tensor:
        known = (Tensor, RuntimeScalar, int, float, np.ndarray, np.generic)
        if not all(isinstance(x, known) for x in operands):
            raise TypeError(f"unsupported operand of {name}")
        values = tuple(self.operand(x) for x in operands)
        samples = [_sample(x) for x in values]
        with np.errstate(all="ignore"):
            result = self.traced(OPERATIONS[name](*samples, **attributes))
        self.nodes.append((name, values, attributes, result))
        return result

    def write(self, target: Tensor, value: Any) -> None:
        value = self.record("add", (target * 0.0, value), {})
        if self.is_traced(target):
            raise Refuse("data", "a write to a traced tensor")
        if id(target) not in self.current:
            path = self.trace.path_of(target)
            assert path is not None
            self.kept.append(target)
            self.targets.append((path, target))
        self.current[id(target)] = value

    def run(self, inputs: Any, outputs: Any) -> tuple[list[Tensor], list[tuple[Any, Any]]]:
        """The values of ``outputs``, and what to write into which input."""
        values: dict[int, Any] = {}

        def of(operand: Any) -> Any:
            if isinstance(operand, tuple):
                found = inputs[operand[1]]
                return found.data if isinstance(found, Tensor) else found
            return values[id(operand)] if isinstance(operand, Tensor) else operand

        for name, operands, attributes, result in self.nodes:
            values[id(result)] = OPERATIONS[name](*[of(x) for x in operands], **attributes)
        writes = [(inputs[self.slots[id(t)]], values[id(self.current[id(t)])]) for _, t in self.targets]
        return [Tensor(values[id(x)]) for x in outputs], writes


@contextmanager
def recording(recorder: ToyRecorder) -> Iterator[ToyRecorder]:
    """Operations go to ``recorder``."""
    _active.append(recorder)
    try:
        yield recorder
    finally:
        _active.pop()


def _sample(value: Any) -> Any:
    if isinstance(value, tuple):
        return value[2]
    return value.sample if isinstance(value, Tensor) else value


class Entry:
    def __init__(self, staged: Staged, recorder: ToyRecorder):
        self.staged, self.recorder = staged, recorder


class Jitted:
    """The least `jit`: a list of traces, tried in order."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self.entries: list[Entry] = []
        self.dynamic: frozenset[Path] = frozenset()
        self.failures: list[list[Failure | None]] = []

    @property
    def traces(self) -> int:
        return len(self.entries)

    @property
    def refusals(self) -> list[str]:
        return [str(e.staged.refused.why) for e in self.entries if e.staged.refused is not None]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for entry in self.entries:
            inputs = entry.staged.check(args, kwargs)
            if inputs is not None:
                return self.replay(entry, inputs, args, kwargs)
        for entry in self.entries:
            self.dynamic |= changed_paths(entry.staged.guards, args, kwargs)
        key = TensorKey(lambda t: t.key, "key")
        self.failures.append([first_failure(e.staged.guards, args, kwargs, key) for e in self.entries])
        entry = self.trace(args, kwargs)
        self.entries.append(entry)
        inputs = entry.staged.check(args, kwargs)
        assert inputs is not None, [
            str(first_failure(entry.staged.guards, args, kwargs, key)),
            entry.staged.check_source,
        ]
        return self.replay(entry, inputs, args, kwargs)

    def trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        with recording(ToyRecorder()) as recorder:
            return Entry(stage(self.function, args, kwargs, recorder, self.dynamic), recorder)

    def replay(self, entry: Entry, inputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        staged = entry.staged
        if staged.finish is None:
            return self.function(*args, **kwargs)
        results, writes = entry.recorder.run(inputs, staged.outputs)
        for target, value in writes:
            target.data[...] = value
        return staged.finish(results, args, kwargs)


def normal(value: Any) -> Any:
    """Results as nested plain data, for comparison."""
    if isinstance(value, Tensor):
        return ("tensor", value.data.shape, np.round(value.data, 9).tolist())
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [normal(x) for x in value])
    if isinstance(value, dict):
        return (
            type(value).__name__,
            [("a tensor" if isinstance(k, Tensor) else k, normal(v)) for k, v in value.items()],
        )
    return value
