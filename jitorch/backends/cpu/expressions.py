"""Kernel expressions as LLVM instructions, on one element or on the lanes of a vector loop.

A `Value` is one of three things:

    uniform   the same in every lane: a scalar register or literal
    affine    ``text + stride * lane``, an int64; what indices are, and why no analysis is needed to
              see that an access moves by one element a lane
    lanes     a vector register

Arithmetic keeps the first two as long as it can; only real data becomes vectors.  A constant in a sum of indices
becomes part of the address, as LLVM would make it: so what reads neighbours shares one address.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jitorch import dtypes
from jitorch.backends.cpu import squares, words
from jitorch.backends.cpu.text import Function, literal, memory_type, register_type, unsupported
from jitorch.dtypes import Category, DType
from jitorch.errors import CompilerBug
from jitorch.ir import scalars
from jitorch.ir.kernel import INDEX, Buffer, Call, Const, Expr, Load, Var


@dataclass(frozen=True, slots=True)
class Value:
    """``number`` is the value of ``text`` where that is an int64 literal.

    ``offset`` is still to be added to ``text``: `settled` does so, and addresses do without.
    """

    text: str
    dtype: DType
    lanes: int = 1
    stride: int = 0
    number: int | None = None
    offset: int = 0

    @property
    def is_uniform(self) -> bool:
        return self.lanes == 1 and self.stride == 0


@dataclass(frozen=True, slots=True)
class Slot:
    """A mutable variable: stack memory that the optimiser turns into registers."""

    pointer: str
    dtype: DType
    lanes: int = 1


@dataclass
class Scope:
    """What names mean at one place: values and slots by variable, pointers by buffer."""

    variables: dict[str, Value | Slot] = field(default_factory=dict)
    pointers: dict[str, str] = field(default_factory=dict)
    lanes: int = 1  # of the vector loop around, or 1

    def inner(self, lanes: int | None = None) -> Scope:
        return Scope(dict(self.variables), self.pointers, self.lanes if lanes is None else lanes)


def index(number: int) -> Value:
    return Value(str(number), INDEX, number=number)


def at(function: Function, dtype: DType, lanes: int = 1, reassociate: bool = False) -> words.At:
    return words.At(function, dtype, lanes, reassociate)


def evaluate(function: Function, scope: Scope, expr: Expr) -> Value:
    """Write the instructions that compute ``expr``; each shared subexpression once."""
    return settled(function, evaluate_place(function, scope, expr))


def evaluate_place(function: Function, scope: Scope, expr: Expr) -> Value:
    """`evaluate` for an index, which may come with an ``offset``."""
    return _Evaluation(function, scope).value(expr)


def settled(function: Function, value: Value) -> Value:
    """``value`` without an ``offset``."""
    if not value.offset:
        return value
    return Value(function.op(f"add i64 {value.text}, {value.offset}"), value.dtype, 1, value.stride)


def element(function: Function, scope: Scope, buffer: Buffer, place: Value, number: int = 0) -> str:
    """The address of the element at an index, in the lane with this number."""
    pointer = scope.pointers.get(buffer.name)
    if pointer is None:
        raise CompilerBug(f"buffer {buffer.name} has no memory here")
    step = f"getelementptr inbounds {memory_type(buffer.dtype)}"
    offset = place.offset + place.stride * number
    if place.number is not None:
        offset += place.number
        return function.op(f"{step}, ptr {pointer}, i64 {offset}") if offset else pointer
    if not offset:
        return function.op(f"{step}, ptr {pointer}, i64 {place.text}")
    step = f"getelementptr {memory_type(buffer.dtype)}"  # without its offset the index may lie outside
    start = function.op(f"{step}, ptr {pointer}, i64 {place.text}")
    return function.op(f"{step}, ptr {start}, i64 {offset}")


def widen(function: Function, value: Value, lanes: int) -> str:
    """``value`` as a vector of ``lanes`` lanes."""
    value = settled(function, value)
    if value.lanes == lanes:
        return value.text
    if value.lanes != 1:
        raise CompilerBug(f"a value of {value.lanes} lanes in a loop of {lanes}")
    scalar, type = register_type(value.dtype), register_type(value.dtype, lanes)
    if _is_literal(value.text):
        base = f"splat ({scalar} {value.text})"
    else:
        first = function.op(f"insertelement {type} poison, {scalar} {value.text}, i64 0")
        base = function.op(f"shufflevector {type} {first}, {type} poison, <{lanes} x i32> zeroinitializer")
    if value.stride == 0:
        return base
    steps = ", ".join(f"i64 {value.stride * lane}" for lane in range(lanes))
    return function.op(f"add {type} {base}, <{steps}>")


def lane(function: Function, value: Value, number: int) -> Value:
    """The element of ``value`` in one lane, as a scalar."""
    if value.lanes > 1:
        vector = register_type(value.dtype, value.lanes)
        return Value(function.op(f"extractelement {vector} {value.text}, i64 {number}"), value.dtype)
    if value.number is not None:
        return index(value.number + value.stride * number)
    return Value(value.text, value.dtype, offset=value.offset + value.stride * number)


def load(function: Function, scope: Scope, buffer: Buffer, place: Value) -> Value:
    """The elements of ``buffer`` at index ``place``: one, a vector, or gathered lane by lane."""
    dtype = buffer.dtype
    if place.is_uniform or (place.lanes == 1 and place.stride == 1):
        lanes = 1 if place.is_uniform else scope.lanes
        pointer = element(function, scope, buffer, place)
        raw = function.op(f"load {memory_type(dtype, lanes)}, ptr {pointer}, align {dtype.itemsize}")
        return Value(words.from_memory(at(function, dtype, lanes), raw), dtype, lanes)
    raw = _gathered(function, scope, buffer, place)
    return Value(words.from_memory(at(function, dtype, scope.lanes), raw), dtype, scope.lanes)


def _gathered(function: Function, scope: Scope, buffer: Buffer, place: Value) -> str:
    """As they are in memory: elements that are no neighbours there."""
    dtype, lanes = buffer.dtype, scope.lanes
    memory, type = memory_type(dtype), memory_type(dtype, lanes)
    if place.lanes == 1 and place.stride == -1:
        last = element(function, scope, buffer, lane(function, place, lanes - 1))
        raw = function.op(f"load {type}, ptr {last}, align {dtype.itemsize}")
        return squares.shuffled(function, type, raw, "poison", range(lanes - 1, -1, -1))
    number = place.number
    if buffer.space == "local" and number is not None and squares.is_column(lanes, place.stride, number, buffer.size):
        return squares.column(function, scope.pointers[buffer.name], memory, dtype.itemsize, lanes, number)
    result = "poison"
    for i in range(lanes):
        pointer = element(function, scope, buffer, lane(function, place, i))
        part = function.op(f"load {memory}, ptr {pointer}, align {dtype.itemsize}")
        result = function.op(f"insertelement {type} {result}, {memory} {part}, i64 {i}")
    return result


def prefetch(function: Function, scope: Scope, buffer: Buffer, place: Value, written: bool) -> None:
    """Ask for the cache line of the element at index ``place``; ``written``: to be changed."""
    callee = function.module.declare("llvm.prefetch.p0", "void", "ptr, i32, i32, i32")
    pointer = element(function, scope, buffer, place)
    function.do(f"call void {callee}(ptr {pointer}, i32 {int(written)}, i32 3, i32 1)")  # into all caches, data


def store(function: Function, scope: Scope, buffer: Buffer, place: Value, value: Value, streamed: bool = False) -> None:
    """Store ``value`` at index ``place``: `load`, the other way.  Only vectors can be ``streamed``."""
    dtype = buffer.dtype
    function.columns.pop(scope.pointers.get(buffer.name, ""), None)
    if place.is_uniform:
        if not value.is_uniform:
            raise CompilerBug(f"the lanes of a vector loop store to one element of {buffer.name}")
        _store_one(function, scope, buffer, place, value.text)
        return
    vector = widen(function, value, scope.lanes)
    if place.lanes > 1 or place.stride != 1:
        whole = Value(vector, dtype, scope.lanes)
        for number in range(scope.lanes):
            _store_one(function, scope, buffer, lane(function, place, number), lane(function, whole, number).text)
        return
    raw = words.to_memory(at(function, dtype, scope.lanes), vector)
    pointer = element(function, scope, buffer, place)
    if streamed and scope.lanes & (scope.lanes - 1) == 0:
        _stream(function, f"store {memory_type(dtype, scope.lanes)} {raw}, ptr {pointer}", pointer, dtype, scope.lanes)
    else:
        function.do(f"store {memory_type(dtype, scope.lanes)} {raw}, ptr {pointer}, align {dtype.itemsize}")


def _stream(function: Function, instruction: str, pointer: str, dtype: DType, lanes: int) -> None:
    """A store that goes past the caches where the address is a multiple of its size, as processors ask."""
    size = dtype.itemsize * lanes
    address = function.op(f"ptrtoint ptr {pointer} to i64")
    is_aligned = function.op(f"icmp eq i64 {function.op(f'and i64 {address}, {size - 1}')}, 0")
    past, through, end = function.name("past"), function.name("through"), function.name("stored")
    function.branch(is_aligned, past, through)
    function.start(past)
    function.do(f"{instruction}, align {size}, !nontemporal {function.module.nontemporal()}")
    function.jump(end)
    function.start(through)
    function.do(f"{instruction}, align {dtype.itemsize}")
    function.jump(end)
    function.start(end)
    function.streams = True


def _store_one(function: Function, scope: Scope, buffer: Buffer, place: Value, value: str) -> None:
    raw = words.to_memory(at(function, buffer.dtype), value)
    pointer = element(function, scope, buffer, place)
    function.do(f"store {memory_type(buffer.dtype)} {raw}, ptr {pointer}, align {buffer.dtype.itemsize}")


def _literal(number: int, stride: int) -> Value:
    number = _wrapped(number)
    return Value(str(number), INDEX, 1, stride, number)


def _wrapped(number: int) -> int:
    """As the machine holds it in 64 bits."""
    return (number + 2**63) % 2**64 - 2**63


def _is_literal(text: str) -> bool:
    return not text.startswith("%")


@dataclass(slots=True)
class _Evaluation:
    """One statement's expressions; nothing is stored in between, so a subexpression has one value."""

    function: Function
    scope: Scope
    known: dict[int, Value] = field(default_factory=dict)

    def value(self, expr: Expr) -> Value:
        found = self.known.get(id(expr))
        if found is None:
            found = self.known[id(expr)] = self._compute(expr)
        return found

    def _compute(self, expr: Expr) -> Value:
        match expr:
            case Const(value, dtype):
                number = int(value) if dtype is INDEX else None  # type: ignore[arg-type]
                return Value(literal(value, dtype), dtype, number=number)
            case Var(name):
                return self._variable(name)
            case Load(buffer, place):
                return load(self.function, self.scope, buffer, self.value(place))
            case Call("cast", (x,), dtype):
                return self._cast(self.value(x), dtype)
            case Call(fn, args, dtype, reassociate):
                return self._call(fn, [self.value(a) for a in args], dtype, reassociate)
        raise unsupported(f"expression {type(expr).__name__}")

    def _variable(self, name: str) -> Value:
        found = self.scope.variables.get(name)
        if found is None:
            raise CompilerBug(f"variable {name} is not defined here")
        if isinstance(found, Value):
            return found
        type = register_type(found.dtype, found.lanes)
        return Value(self.function.op(f"load {type}, ptr {found.pointer}"), found.dtype, found.lanes)

    def _cast(self, x: Value, dtype: DType) -> Value:
        if x.dtype is dtype:
            return x
        lanes = 1 if x.is_uniform else self.scope.lanes
        x = settled(self.function, x)
        text = x.text if x.is_uniform else widen(self.function, x, lanes)
        return Value(words.cast(at(self.function, x.dtype, lanes), text, dtype), dtype, lanes)

    def _call(self, fn: str, args: list[Value], dtype: DType, reassociate: bool) -> Value:
        if dtype is INDEX and all(a.dtype is INDEX and a.lanes == 1 for a in args):
            result = self._affine(fn, args)
            if result is not None:
                return result
        args = [settled(self.function, a) for a in args]
        operand = args[-1].dtype
        if all(a.is_uniform for a in args):
            return Value(words.say(at(self.function, operand, 1, reassociate), fn, *(a.text for a in args)), dtype)
        lanes = self.scope.lanes
        texts = [widen(self.function, a, lanes) for a in args]
        return Value(words.say(at(self.function, operand, lanes, reassociate), fn, *texts), dtype, lanes)

    def _affine(self, fn: str, args: list[Value]) -> Value | None:
        """Index arithmetic that keeps its stride, folded where it is constant."""
        if fn not in ("add", "sub", "mul") or len(args) != 2:
            return self._folded(fn, args)
        x, y = args
        if fn != "sub" and x.number is not None and not x.stride:
            x, y = y, x
        if fn == "mul":
            return None if y.number is None or y.stride else self._multiple(x, y.number)
        sign = 1 if fn == "add" else -1
        stride = x.stride + sign * y.stride
        if y.number is None:
            text = self.function.op(f"{fn} i64 {x.text}, {y.text}")
            return Value(text, INDEX, 1, stride, offset=_wrapped(x.offset + sign * y.offset))
        if x.number is None:
            return Value(x.text, INDEX, 1, stride, offset=_wrapped(x.offset + sign * y.number))
        return _literal(x.number + sign * y.number, stride)

    def _multiple(self, x: Value, factor: int) -> Value:
        stride = x.stride * factor
        if x.number is not None:
            return _literal(x.number * factor, stride)
        text = x.text if factor == 1 else self.function.op(f"mul i64 {x.text}, {factor}")
        return Value(text, INDEX, 1, stride, offset=_wrapped(x.offset * factor))

    def _folded(self, fn: str, args: list[Value]) -> Value | None:
        if fn == "philox" or any(a.number is None or a.stride for a in args):
            return None
        scalar = scalars.TABLE.get(fn)
        if scalar is None or Category.INT not in scalar.accepts:
            return None
        numbers = [dtypes.int64.numpy.type(a.number) for a in args]
        return index(int(scalar.numpy(*numbers)))
