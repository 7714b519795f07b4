"""Internal functions that a module gets when one of its words asks for them.

Each returns ``(name, build)`` for `text.Module.helper`.
"""

from __future__ import annotations

from collections.abc import Callable

from jitorch.backends.cpu.text import Function, Module, vector
from jitorch.dtypes import DType

Helper = tuple[str, Callable[[Module, str], str]]

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF


def philox(lanes: int) -> Helper:
    """Philox4x32-10 as `jitorch.ir.scalars.philox` defines it, over int64 lanes.

    The four 32-bit words are held in 64-bit lanes, whose upper halves the optimiser knows to be zero.
    """
    type = vector("i64", lanes)

    def splat(value: int) -> str:
        return str(value) if lanes == 1 else f"splat (i64 {value})"

    def build(module: Module, symbol: str) -> str:
        function = Function(module)

        def op(instruction: str, x: str, y: str | int) -> str:
            return function.op(f"{instruction} {type} {x}, {splat(y) if isinstance(y, int) else y}")

        counter = op("add", "%offset", "%index")
        c = [op("and", counter, _LOW), op("lshr", counter, 32), splat(0), splat(0)]
        k = [op("and", "%seed", _LOW), op("lshr", "%seed", 32)]
        for round_ in range(10):
            p0, p1 = op("mul", c[0], _MULTIPLIERS[0]), op("mul", c[2], _MULTIPLIERS[1])
            c = [
                op("xor", op("xor", op("lshr", p1, 32), c[1]), k[0]),
                op("and", p1, _LOW),
                op("xor", op("xor", op("lshr", p0, 32), c[3]), k[1]),
                op("and", p0, _LOW),
            ]
            if round_ < 9:
                k = [op("and", op("add", key, step), _LOW) for key, step in zip(k, _WEYL)]
        function.do(f"ret {type} {c[0]}")
        return function.text(f"internal {type} {symbol}({type} %seed, {type} %offset, {type} %index) #2")

    return f"jitorch.philox.{lanes}", build


def integer_power(dtype: DType) -> Helper:
    """``x`` to the power ``y`` by squaring, wrapping; a negative power is the truncated reciprocal."""
    type, bits = f"i{dtype.bits}", dtype.bits

    def build(module: Module, symbol: str) -> str:
        function = Function(module)
        start = "entry"
        if dtype.is_signed:
            function.branch(function.op(f"icmp slt {type} %y, 0"), "reciprocal", "positive")
            function.start("reciprocal")
            odd = function.op(f"trunc {type} %y to i1")
            minus = function.op(f"select i1 {odd}, {type} -1, {type} 1")
            is_minus = function.op(f"icmp eq {type} %x, -1")
            is_one = function.op(f"icmp eq {type} %x, 1")
            result = function.op(f"select i1 {is_minus}, {type} {minus}, {type} 0")
            function.do(f"ret {type} {function.op(f'select i1 {is_one}, {type} 1, {type} {result}')}")
            start = "positive"
            function.start(start)
        function.jump("loop")
        function.start("loop")
        function.do(f"%power = phi {type} [ 1, %{start} ], [ %next, %loop ]")
        function.do(f"%base = phi {type} [ %x, %{start} ], [ %square, %loop ]")
        function.do(f"%left = phi {type} [ %y, %{start} ], [ %rest, %loop ]")
        function.do(f"%odd = trunc {type} %left to i1")
        function.do(f"%product = mul {type} %power, %base")
        function.do(f"%next = select i1 %odd, {type} %product, {type} %power")
        function.do(f"%square = mul {type} %base, %base")
        function.do(f"%rest = lshr {type} %left, 1")
        function.branch(function.op(f"icmp eq {type} %rest, 0"), "done", "loop")
        function.start("done")
        function.do(f"ret {type} %next")
        return function.text(f"internal {type} {symbol}({type} %x, {type} %y) #1")

    return f"jitorch.power.{'i' if dtype.is_signed else 'u'}{bits}", build


def allocate() -> Helper:
    """``i1 (ptr slot, i64 bytes)``: free what the slot holds, put 64-byte aligned memory there; false if there is none.

    The address that ``free`` needs stands in the eight bytes before the block.
    """

    def build(module: Module, symbol: str) -> str:
        malloc = module.declare("malloc", "noalias ptr", "i64")
        release = module.helper(*free())
        function = Function(module)
        function.do(f"call void {release}(ptr %slot)")
        total = function.op("add i64 %bytes, 64")
        raw = function.op(f"call ptr {malloc}(i64 {total})")
        function.branch(function.op(f"icmp eq ptr {raw}, null"), "none", "some")
        function.start("none")
        function.do("ret i1 false")
        function.start("some")
        # malloc aligns to 8 at least, so this leaves room for the address.
        end = function.op(f"getelementptr i8, ptr {raw}, i64 64")
        block = function.op(f"call ptr {module.declare('llvm.ptrmask.p0.i64', 'ptr', 'ptr, i64')}(ptr {end}, i64 -64)")
        function.do(f"store ptr {raw}, ptr {function.op(f'getelementptr i8, ptr {block}, i64 -8')}, align 8")
        function.do(f"store ptr {block}, ptr %slot, align 8")
        function.do("ret i1 true")
        return function.text(f"internal i1 {symbol}(ptr %slot, i64 %bytes) #3")

    return "jitorch.allocate", build


def free() -> Helper:
    """``void (ptr slot)``: free what the slot holds, if anything, and empty it."""

    def build(module: Module, symbol: str) -> str:
        release = module.declare("free", "void", "ptr")
        function = Function(module)
        block = function.op("load ptr, ptr %slot, align 8")
        function.branch(function.op(f"icmp eq ptr {block}, null"), "done", "some")
        function.start("some")
        raw = function.op(f"load ptr, ptr {function.op(f'getelementptr i8, ptr {block}, i64 -8')}, align 8")
        function.do(f"call void {release}(ptr {raw})")
        function.do("store ptr null, ptr %slot, align 8")
        function.jump("done")
        function.start("done")
        function.do("ret void")
        return function.text(f"internal void {symbol}(ptr %slot) #3")

    return "jitorch.free", build
