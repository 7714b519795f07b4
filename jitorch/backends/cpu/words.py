"""The scalar functions of `jitorch.ir.scalars` as LLVM instructions, on one element or on lanes.

One function here for each name; its operands are texts of one register type.  All are total, as
`scalars` says.  Half-precision types compute in ``float`` and round after every function.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jitorch import dtypes
from jitorch.backends.cpu import helpers, integers, mathematics
from jitorch.backends.cpu.at import At
from jitorch.backends.cpu.text import memory_type, register_type, unsupported, vector
from jitorch.dtypes import Category, DType
from jitorch.ir import scalars

# Functions whose result on half-precision operands is one of the operands, or a small integer, or exact.
_EXACT = {"neg", "abs", "sign", "maximum", "minimum", "where", "floor", "ceil", "trunc", "round", "fmod", "bits"}

# Exact to 2 units in the last place; everything else is exact.
TRANSCENDENTAL = {
    "pow", "atan2", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "erf",
}  # fmt: skip
_INTRINSIC = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "roundeven", "sqrt": "sqrt"}

_FLOAT_TESTS = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_SIGNED_TESTS = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
_UNSIGNED_TESTS = {"eq": "eq", "ne": "ne", "lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge"}


Word = Callable[..., str]
WORDS: dict[str, Word] = {}


def say(at: At, fn: str, *args: str) -> str:
    """Write ``fn`` of the texts ``args``; gives the text of its result."""
    if at.dtype.is_complex:
        raise unsupported(f"{fn} over {at.dtype.name}")
    if fn not in scalars.TABLE or at.dtype.category not in scalars.TABLE[fn].accepts:
        raise unsupported(f"{fn} over {at.dtype.name}")
    result = WORDS[fn](at, *args)
    if at.dtype.bits == 16 and at.dtype.is_floating_point and fn not in _EXACT and not scalars.TABLE[fn].to_bool:
        return round_half(at, result, at.dtype)
    return result


def cast(at: At, x: str, target: DType) -> str:
    """Convert a value of ``at.dtype`` to ``target``: see `scalars.cast`."""
    source = at.dtype
    if source.is_complex or target.is_complex:
        raise unsupported(f"cast from {source.name} to {target.name}")
    if source is target:
        return x
    from_type, to_type = at.type, register_type(target, at.lanes)
    if target.category is Category.BOOL:
        return at.test("une" if source.is_floating_point else "ne", x, at.const(0))
    if not source.is_floating_point:
        if target.is_floating_point:
            value = at.op(f"{'sitofp' if source.is_signed else 'uitofp'} {from_type} {x} to {to_type}")
            return round_half(at, value, target)
        bits = 1 if source.category is Category.BOOL else source.bits
        if bits == target.bits:
            return x
        widen = "sext" if source.is_signed else "zext"
        return at.op(f"{'trunc' if bits > target.bits else widen} {from_type} {x} to {to_type}")
    if target.category is Category.INT:
        return integers.truncated(at, x, target)
    if target is dtypes.float64:
        return at.op(f"fpext {from_type} {x} to {to_type}")
    if source is dtypes.float64:
        x = _double_to_half_way(at, x) if target is dtypes.float16 else at.op(f"fptrunc {from_type} {x} to {to_type}")
    return round_half(at, x, target)


def round_half(at: At, x: str, dtype: DType) -> str:
    """Round a ``float`` to the nearest value that ``dtype`` has, halves to even; other dtypes stay."""
    single = register_type(dtypes.float32, at.lanes)
    if dtype is dtypes.float16:
        half = memory_type(dtype, at.lanes)
        return at.op(f"fpext {half} {at.op(f'fptrunc {single} {x} to {half}')} to {single}")
    if dtype is dtypes.bfloat16:
        bits = at.op(f"shl {vector('i32', at.lanes)} {_bfloat16_bits(at, x)}, {_bits(at, 16)}")
        return at.op(f"bitcast {vector('i32', at.lanes)} {bits} to {single}")
    return x


def from_memory(at: At, x: str) -> str:
    """A loaded value in its register type."""
    memory, register = memory_type(at.dtype, at.lanes), at.type
    if at.dtype is dtypes.bool_:
        return at.op(f"icmp ne {memory} {x}, {at.const(0, dtypes.int8)}")
    if at.dtype is dtypes.float16:
        return at.op(f"fpext {memory} {x} to {register}")
    if at.dtype is dtypes.bfloat16:
        wide = vector("i32", at.lanes)
        bits = at.op(f"shl {wide} {at.op(f'zext {memory} {x} to {wide}')}, {_bits(at, 16)}")
        return at.op(f"bitcast {wide} {bits} to {register}")
    return x


def to_memory(at: At, x: str) -> str:
    """A value in the type it is stored in."""
    memory, register = memory_type(at.dtype, at.lanes), at.type
    if at.dtype is dtypes.bool_:
        return at.op(f"zext {register} {x} to {memory}")
    if at.dtype is dtypes.float16:
        return at.op(f"fptrunc {register} {x} to {memory}")
    if at.dtype is dtypes.bfloat16:
        # The value is representable: the upper half of its bits is all of it.
        wide = vector("i32", at.lanes)
        bits = at.op(f"lshr {wide} {at.op(f'bitcast {register} {x} to {wide}')}, {_bits(at, 16)}")
        return at.op(f"trunc {wide} {bits} to {memory}")
    return x


def _bits(at: At, value: int) -> str:
    return at.const(value, dtypes.int32)


def _bfloat16_bits(at: At, x: str) -> str:
    """The upper 16 bits of a ``float`` rounded to nearest even; as integers, because AVX-512's instruction
    flushes subnormals."""
    single, wide = register_type(dtypes.float32, at.lanes), vector("i32", at.lanes)
    raw = at.op(f"bitcast {single} {x} to {wide}")
    upper = at.op(f"lshr {wide} {raw}, {_bits(at, 16)}")
    odd = at.op(f"and {wide} {upper}, {_bits(at, 1)}")
    bias = at.op(f"add {wide} {odd}, {_bits(at, 0x7FFF)}")
    rounded = at.op(f"lshr {wide} {at.op(f'add {wide} {raw}, {bias}')}, {_bits(at, 16)}")
    quiet = at.op(f"or {wide} {upper}, {_bits(at, 0x40)}")
    is_nan = at.op(f"fcmp uno {single} {x}, {x}")
    return at.op(f"select {at.test_type} {is_nan}, {wide} {quiet}, {wide} {rounded}")


def _double_to_half_way(at: At, x: str) -> str:
    """A double as a float that rounds to the same half: truncated, with the lost bits or-ed into the last
    ("rounding to odd", Boldo and Melquiond, "When double rounding is odd", 2005)."""
    double, single, wide = (vector(t, at.lanes) for t in ("double", "float", "i64"))
    lost = at.const((1 << 29) - 1, dtypes.int64)
    raw = at.op(f"bitcast {double} {x} to {wide}")
    carried = at.op(f"add {wide} {at.op(f'and {wide} {raw}, {lost}')}, {lost}")
    odd = at.op(f"and {wide} {carried}, {at.const(1 << 29, dtypes.int64)}")
    kept = at.op(f"and {wide} {raw}, {at.const(-(1 << 29), dtypes.int64)}")
    exact = at.op(f"bitcast {wide} {at.op(f'or {wide} {kept}, {odd}')} to {double}")
    return at.op(f"fptrunc {double} {exact} to {single}")


def _word(*names: str) -> Callable[[Word], Word]:
    def register(word: Word) -> Word:
        for name in names:
            WORDS[name] = word
        return word

    return register


def _arithmetic(name: str, float_instruction: str, int_instruction: str, bool_instruction: str = "") -> None:
    def word(at: At, x: str, y: str) -> str:
        if at.dtype.category is Category.BOOL:
            return at.binary(bool_instruction, x, y)
        if at.dtype.category is Category.INT:
            return at.binary(int_instruction, x, y)
        flags = "reassoc contract" if at.reassociate else "contract"
        return at.binary(f"{float_instruction} {flags}", x, y)

    WORDS[name] = word


_arithmetic("add", "fadd", "add", "or")
_arithmetic("sub", "fsub", "sub")
_arithmetic("mul", "fmul", "mul", "and")


@_word("div")
def _div(at: At, x: str, y: str) -> str:
    return at.binary("fdiv", x, y)


@_word("floordiv")
def _floordiv(at: At, x: str, y: str) -> str:
    if at.dtype.is_floating_point:
        return _float_divmod(at, x, y)[0]
    if (shift := _power_of_two(y)) is not None:
        return at.binary("ashr" if at.dtype.is_signed else "lshr", x, str(shift))
    divisor = _safe_divisor(at, x, y)
    quotient = integers.divided(at, x, divisor, is_floor=True).quotient
    if divisor == y:
        return quotient
    return at.select(at.test("eq", y, at.const(0)), at.const(0), quotient)


@_word("mod")
def _mod(at: At, x: str, y: str) -> str:
    if at.dtype.is_floating_point:
        return _float_divmod(at, x, y)[1]
    if (shift := _power_of_two(y)) is not None:
        return at.binary("and", x, str((1 << shift) - 1))
    return integers.divided(at, x, _safe_divisor(at, x, y), is_floor=True).remainder


@_word("fmod")
def _fmod(at: At, x: str, y: str) -> str:
    if at.dtype.is_floating_point:
        return _float_remainder(at, x, y)
    return integers.divided(at, x, _safe_divisor(at, x, y), is_floor=False).remainder


def _power_of_two(y: str) -> int | None:
    """The exponent, where ``y`` is the literal of a power of two."""
    if not y.isdigit() or int(y) == 0 or int(y) & (int(y) - 1):
        return None
    return int(y).bit_length() - 1


def _safe_divisor(at: At, x: str, y: str) -> str:
    """``y``, or 1 where the machine would trap: zero, and the smallest integer over -1 (which wraps to itself)."""
    if y.isdigit() and y != "0":
        return y
    trap = at.test("eq", y, at.const(0))
    if at.dtype.is_signed:
        least = at.test("eq", x, at.const(-(1 << (at.dtype.bits - 1))))
        overflow = at.op(f"and {at.test_type} {least}, {at.test('eq', y, at.const(-1))}")
        trap = at.op(f"or {at.test_type} {trap}, {overflow}")
    return at.select(trap, at.const(1), y)


def _float_remainder(at: At, x: str, y: str) -> str:
    return mathematics.say(at, "fmod", x, y) if mathematics.has("fmod", at.dtype) else at.binary("frem", x, y)


def _float_divmod(at: At, x: str, y: str) -> tuple[str, str]:
    """Quotient and remainder of Python's ``divmod``, with its care for rounding; a zero divisor gives
    ``x / y`` and NaN."""
    zero = at.const(0.0)
    remainder = _float_remainder(at, x, y)
    exact = at.test("oeq", remainder, zero)
    y_negative, r_negative = at.test("olt", y, zero), at.test("olt", remainder, zero)
    differ = at.op(f"xor {at.test_type} {y_negative}, {r_negative}")
    differ = at.op(f"and {at.test_type} {differ}, {at.test('une', remainder, zero)}")
    moved = at.select(differ, at.binary("fadd", remainder, y), remainder)
    modulo = at.select(exact, at.intrinsic("copysign", zero, y), moved)
    quotient = at.binary("fdiv", at.binary("fsub", x, remainder), y)
    quotient = at.select(differ, at.binary("fsub", quotient, at.const(1.0)), quotient)
    floor = at.intrinsic("floor", quotient)
    low = at.test("ogt", at.binary("fsub", quotient, floor), at.const(0.5))
    floor = at.select(low, at.binary("fadd", floor, at.const(1.0)), floor)
    plain = at.binary("fdiv", x, y)
    floor = at.select(at.test("oeq", quotient, zero), at.intrinsic("copysign", zero, plain), floor)
    no_divisor = at.test("oeq", y, zero)
    return at.select(no_divisor, plain, floor), at.select(no_divisor, remainder, modulo)


@_word("pow")
def _pow(at: At, x: str, y: str) -> str:
    if at.dtype.is_floating_point:
        return _mathematics(at, "pow", x, y)
    return at.each(at.function.module.helper(*helpers.integer_power(at.dtype)), x, y)


def _mathematics(at: At, name: str, *args: str) -> str:
    """A function of our own, or the C library's where we have none."""
    if mathematics.has(name, at.dtype):
        return mathematics.say(at, name, *args)
    return mathematics.c_library(at, name, *args)


def _mathematics_word(name: str) -> Word:
    return lambda at, *args: _mathematics(at, name, *args)


for _name in TRANSCENDENTAL - {"pow"}:
    WORDS[_name] = _mathematics_word(_name)


def _intrinsic_word(intrinsic: str) -> Word:
    return lambda at, x: at.intrinsic(intrinsic, x)


for _name, _intrinsic in _INTRINSIC.items():
    WORDS[_name] = _intrinsic_word(_intrinsic)


def _extreme(name: str, bool_instruction: str, relation: str, intrinsic: str) -> None:
    def word(at: At, x: str, y: str) -> str:
        if at.dtype.category is Category.BOOL:
            return at.binary(bool_instruction, x, y)
        if at.dtype.category is Category.INT:
            return at.intrinsic(f"{'s' if at.dtype.is_signed else 'u'}{intrinsic[:3]}", x, y)
        if at.reassociate:
            # What the loop vectoriser knows as a reduction.  Of zeros of both signs either will do: to tell them
            # apart takes longer than all the rest.
            return at.intrinsic(intrinsic, y, x, flags="nsz")
        # A NaN in x is taken by the second test; one in y makes the first false.
        take = at.op(f"or {at.test_type} {at.test(relation, x, y)}, {at.test('uno', x, x)}")
        return at.select(take, x, y)

    WORDS[name] = word


_extreme("maximum", "or", "ogt", "maximum")
_extreme("minimum", "and", "olt", "minimum")


def _comparison(name: str) -> Word:
    def word(at: At, x: str, y: str) -> str:
        if at.dtype.is_floating_point:
            return at.test(_FLOAT_TESTS[name], x, y)
        return at.test((_SIGNED_TESTS if at.dtype.is_signed else _UNSIGNED_TESTS)[name], x, y)

    return word


for _name in _FLOAT_TESTS:
    WORDS[_name] = _comparison(_name)


def _bitwise(name: str) -> Word:
    return lambda at, x, y: at.binary(name, x, y)


for _name in ("and", "or", "xor"):
    WORDS[_name] = _bitwise(_name)


@_word("shl")
def _shl(at: At, x: str, y: str) -> str:
    # As an unsigned number, a negative count is a large one.
    wide = at.test("uge", y, at.const(at.dtype.bits))
    count = at.select(wide, at.const(0), y)
    return at.select(wide, at.const(0), at.binary("shl", x, count))


@_word("shr")
def _shr(at: At, x: str, y: str) -> str:
    wide = at.test("uge", y, at.const(at.dtype.bits))
    count = at.select(wide, at.const(at.dtype.bits - 1), y)
    if at.dtype.is_signed:
        return at.binary("ashr", x, count)
    return at.select(wide, at.const(0), at.binary("lshr", x, count))


@_word("not")
def _not(at: At, x: str) -> str:
    return at.binary("xor", x, at.const(True if at.dtype is dtypes.bool_ else -1))


@_word("neg")
def _neg(at: At, x: str) -> str:
    return at.op(f"fneg {at.type} {x}") if at.dtype.is_floating_point else at.binary("sub", at.const(0), x)


@_word("abs")
def _abs(at: At, x: str) -> str:
    if at.dtype.is_floating_point:
        return at.intrinsic("fabs", x)
    return at.intrinsic("abs", x, extra="i1 false") if at.dtype.is_signed else x


@_word("sign")
def _sign(at: At, x: str) -> str:
    if at.dtype.category is Category.BOOL:
        return x
    if not at.dtype.is_signed:
        return at.select(at.test("ne", x, at.const(0)), at.const(1), at.const(0))
    ordered = "o" if at.dtype.is_floating_point else "s"
    above = at.select(at.test(ordered + "gt", x, at.const(0)), at.const(1), x)  # what is left: 0 or NaN
    result = at.select(at.test(ordered + "lt", x, at.const(0)), at.const(-1), above)
    if not at.dtype.is_floating_point:
        return result
    return at.select(at.test("oeq", x, at.const(0)), at.const(0), result)  # -0 gives 0


@_word("where")
def _where(at: At, test: str, x: str, y: str) -> str:
    return at.select(test, x, y)


@_word("bits")
def _float_bits(at: At, x: str) -> str:
    plain = at.select(at.test("uno", x, x), at.const(math.nan), x)
    return at.op(f"bitcast {at.type} {plain} to {register_type(scalars.TABLE['bits'].result(at.dtype), at.lanes)}")


@_word("philox")
def _philox(at: At, seed: str, offset: str, index: str) -> str:
    if at.dtype is not dtypes.int64:
        raise unsupported(f"philox over {at.dtype.name}")
    callee = at.function.module.helper(*helpers.philox(at.lanes))
    return at.op(f"call {at.type} {callee}({', '.join(f'{at.type} {a}' for a in (seed, offset, index))})")
