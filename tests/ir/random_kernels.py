"""Random kernels that obey the rules of the language, never leave their buffers, and always end."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.ir import kernel as k
from jitorch.ir import scalars
from jitorch.ir.kernel import Buffer, Const, Expr, Kernel, Load, Var

SIZE = 7
"""Elements of every buffer; indices are taken modulo it."""

REAL = tuple(d for d in dtypes.ALL if not d.is_complex)

NATIVE = tuple(d for d in REAL if d not in (dtypes.float16, dtypes.bfloat16))
"""What every C-like target holds."""

EXACT = frozenset(
    "add sub mul div floordiv mod fmod eq ne lt le gt ge and or xor shl shr not neg abs sign floor ceil trunc round "
    "sqrt where philox".split()
)
"""Functions with one right answer on every machine; ``pow`` is one more for integers."""


def value(draw: st.DrawFn, dtype: DType) -> int | float | bool | complex:
    """A constant of ``dtype``, often an awkward one."""
    if dtype.category is Category.BOOL:
        return draw(st.booleans())
    if dtype.category is Category.INT:
        info = np.iinfo(dtype.numpy)
        return draw(st.integers(-4, 9).map(lambda v: max(v, int(info.min))) | st.integers(int(info.min), int(info.max)))
    if dtype.category is Category.COMPLEX:
        part = dtypes.float32 if dtype is dtypes.complex64 else dtypes.float64
        return complex(draw(floats(part)), draw(floats(part)))
    return draw(floats(dtype))


def floats(dtype: DType) -> st.SearchStrategy[Any]:
    """Every float of ``dtype``: plain, huge, tiny, infinite, NaN, either zero."""
    numbers = st.sampled_from([0.0, -0.0, 1.0, -2.5, 0.1]) | st.floats(width=64)
    return numbers.map(lambda number: k.const(number, dtype).value)


class _Generator:
    def __init__(self, draw: st.DrawFn, kinds: tuple[DType, ...], functions: frozenset[str]):
        self.draw, self.kinds, self.functions = draw, kinds, functions
        self.scope: list[Var] = []
        self.mutable: list[Var] = []
        self.count = 0
        pick = st.sampled_from(kinds)
        self.inputs = [Buffer(f"x{i}", draw(pick)) for i in range(2)]
        self.outputs = [Buffer(f"y{i}", draw(pick)) for i in range(2)]
        self.scratch = [Buffer("row", draw(pick), "local", SIZE)] if draw(st.booleans()) else []
        self.size = Var("n")

    def fresh(self, prefix: str, dtype: DType = dtypes.int64) -> Var:
        self.count += 1
        return Var(f"{prefix}{self.count}", dtype)

    def kernel(self) -> Kernel:
        self.scope.append(self.size)
        fill: list[k.Stmt] = []
        for buffer in self.scratch:
            i = self.fresh("i")
            fill.append(
                k.For(i, k.const(SIZE), (k.Store(buffer, i, Const(value(self.draw, buffer.dtype), buffer.dtype)),))
            )
        body = self.block(3)
        return Kernel("random", (*self.inputs, *self.outputs, self.size), tuple(self.scratch), (*fill, *body))

    def block(self, depth: int) -> tuple[k.Stmt, ...]:
        scope, mutable = list(self.scope), list(self.mutable)
        body = tuple(self.statement(depth) for _ in range(self.draw(st.integers(1, 3))))
        self.scope, self.mutable = scope, mutable
        return body

    def statement(self, depth: int) -> k.Stmt:
        choices = ["let", "local", "store", "store"]
        choices += ["assign"] if self.mutable else []
        choices += ["for", "for", "if"] if depth else []
        match self.draw(st.sampled_from(choices)):
            case "let":
                result = self.expr(self.draw(st.sampled_from(self.kinds)), 2)
                var = self.fresh("t", result.dtype)
                self.scope.append(var)
                return k.Let(var, result)
            case "local":
                result = self.expr(self.draw(st.sampled_from(self.kinds)), 2)
                var = self.fresh("m", result.dtype)
                self.scope.append(var)
                self.mutable.append(var)
                return k.Local(var, result)
            case "assign":
                var = self.draw(st.sampled_from(self.mutable))
                return k.Assign(var, self.expr(var.dtype, 2))
            case "for":
                var, kind = self.fresh("i"), self.draw(st.sampled_from(["serial", "serial", "unroll"]))
                extent = k.const(self.draw(st.integers(0, 3))) if kind == "unroll" else self.extent()
                self.scope.append(var)
                loop = k.For(var, extent, self.block(depth - 1), kind)
                self.scope.remove(var)
                return loop
            case "if":
                test = self.expr(dtypes.bool_, 2)
                return k.If(test, self.block(depth - 1), self.block(depth - 1) if self.draw(st.booleans()) else ())
        buffer = self.draw(st.sampled_from(self.outputs + self.scratch))
        return k.Store(buffer, self.index(), self.expr(buffer.dtype, 3), streamed=self.count % 2 == 0)

    def extent(self) -> Expr:
        return self.draw(st.sampled_from([k.const(2), k.const(3), self.size, self.size + 1]))

    def index(self) -> Expr:
        return k.call("mod", self.expr(dtypes.int64, 1), k.const(SIZE))

    def expr(self, dtype: DType, depth: int) -> Expr:
        known = [v for v in self.scope if v.dtype is dtype]
        buffers = [b for b in self.inputs + self.outputs + self.scratch if b.dtype is dtype]
        choices = ["const"] + ["var"] * 3 * bool(known)
        if depth:
            choices += ["load"] * 2 * bool(buffers) + ["call"] * 4 + ["cast", "where"]
        match self.draw(st.sampled_from(choices)):
            case "var":
                return self.draw(st.sampled_from(known))
            case "load":
                return Load(self.draw(st.sampled_from(buffers)), self.index())
            case "cast":
                source = self.draw(st.sampled_from([d for d in self.kinds if d.is_complex <= dtype.is_complex]))
                return k.cast(self.expr(source, depth - 1), dtype)
            case "where":
                return k.where(
                    self.expr(dtypes.bool_, depth - 1), self.expr(dtype, depth - 1), self.expr(dtype, depth - 1)
                )
            case "call":
                return self.call(dtype, depth)
        return Const(value(self.draw, dtype), dtype)

    def call(self, dtype: DType, depth: int) -> Expr:
        operand = dtype
        compare = dtype is dtypes.bool_ and self.draw(st.booleans())
        if compare:
            operand = self.draw(st.sampled_from(self.kinds))
        names = [
            f.name
            for f in scalars.TABLE.values()
            if operand.category in f.accepts and f.to_bool == compare and f.name in self.functions and f.name != "where"
            and not f.to_bits and (f.name != "philox" or dtype is dtypes.int64)
        ]  # fmt: skip
        if not names:
            return Const(value(self.draw, dtype), dtype)
        fn = self.draw(st.sampled_from(sorted(names)))
        args = tuple(self.expr(operand, depth - 1) for _ in range(scalars.TABLE[fn].arity))
        return k.Call(fn, args, dtype, reassociate=fn == "add" and self.draw(st.booleans()))


@st.composite
def runnable(draw: st.DrawFn, kinds: tuple[DType, ...] = NATIVE, functions: frozenset[str] = EXACT) -> Kernel:
    """A kernel of two inputs, two outputs and ``n`` (at most 3): run it with `arguments`."""
    return k.verify(_Generator(draw, (*kinds, dtypes.bool_), functions).kernel())


def anything() -> st.SearchStrategy[Kernel]:
    """A kernel over every dtype and function."""
    return runnable(dtypes.ALL, frozenset(scalars.TABLE))


def several(kernels: st.SearchStrategy[Kernel], count: int, seed: int) -> list[Kernel]:
    """The first ``count`` kernels that a strategy gives for ``seed``."""
    found: list[Kernel] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=count, phases=[hypothesis.Phase.generate], database=None, deadline=None)
    @hypothesis.given(kernels)
    def collect(kernel: Kernel) -> None:
        found.append(kernel)

    collect()
    return found


def arguments(kernel: Kernel, seed: int) -> list[np.ndarray | int]:
    """Random arrays of `SIZE` elements for the buffers and a small number for each scalar."""
    rng = np.random.default_rng(seed)
    return [_array(p.dtype, rng) if isinstance(p, Buffer) else int(rng.integers(0, 4)) for p in kernel.params]


def _array(dtype: DType, rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    if dtype.category is Category.BOOL:
        return rng.integers(0, 2, size).astype(bool)
    if dtype.category is Category.INT:
        info = np.iinfo(dtype.numpy)
        wide = rng.integers(info.min, info.max, size, dtype=dtype.numpy, endpoint=True)
        return np.where(rng.integers(0, 2, size) == 0, wide, rng.integers(0, 9, size).astype(dtype.numpy))
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -3.5, 1e9])
    plain, chosen = rng.normal(size=size) * 10, rng.choice(special, size)
    with np.errstate(over="ignore"):
        return np.where(rng.integers(0, 2, size) == 0, plain, chosen).astype(dtype.numpy)
