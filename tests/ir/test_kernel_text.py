"""Text of kernels and programs: what is printed reads back as the same tree."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.errors import ParseError
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.kernel import Buffer, Call, Const, For, Kernel, Let, Load, Store, Var
from jitorch.ir.kernel_text import parse_kernel, parse_program
from tests.ir.random_kernels import anything, floats

SCALE = """\
kernel @scale(x: f32*, y: f32*, n: i64) {
  for i in parallel(n) {
    let t0: f32 = x[i] * 2.0
    y[i] = t0
  }
}"""

MAIN = """\
program @main {
  input x: f32* of n
  output y: f32* of n
  scalar n: i64
  status code: i32* of 1
  arena n * 4
  alloc t: f32* of n
  place u: f32* of n at 0
  launch @scale(x, t, n)
  launch @scale(t, u, n * 2 // 2)
  free t
  let m: i64 = n + 1
  if m < 3 {
    copy y = u of n
  } else {
    return
  }
  loop {
    let m: i64 = m - 1
    while m > 0
    launch @scale(x, y, n)
  }
  for part in parallel(n + 1) {
    let k: i64 = n
    launch @scale(x, y, part)
  }
}"""


def kernel_of(*body: k.Stmt) -> Kernel:
    return Kernel("f", (Buffer("x", dtypes.float32), Var("n")), (), body)


def round_trip(kernel: Kernel) -> None:
    assert parse_kernel(str(kernel)) == kernel


def test_print() -> None:
    x, y, n, i = Buffer("x", dtypes.float32), Buffer("y", dtypes.float32), Var("n"), Var("i")
    t0 = Var("t0", dtypes.float32)
    body = (Let(t0, k.call("mul", Load(x, i), 2.0)), Store(y, i, t0))
    kernel = Kernel("scale", (x, y, n), (), (For(i, n, body, "parallel"),))
    assert str(kernel) == SCALE
    assert parse_kernel(SCALE) == kernel


@given(anything())
@settings(max_examples=150, deadline=None)
def test_random_kernels_read_back(kernel: Kernel) -> None:
    round_trip(kernel)


@given(anything())
@settings(max_examples=30, deadline=None)
def test_programs_of_random_kernels_read_back(kernel: Kernel) -> None:
    buffers = {p.name: Buffer(p.name, p.dtype) for p in kernel.buffers}
    args = tuple(buffers[p.name] if isinstance(p, Buffer) else p + 1 for p in kernel.params)
    sizes = dict.fromkeys(buffers, k.const(7))
    program = host.Program("p", tuple(buffers.values()), (), (Var("n"),), (host.Launch(kernel, args),), sizes=sizes)
    assert parse_program(str(program)) == program


def test_program_reads_back() -> None:
    text = f"{SCALE}\n\n{MAIN}"
    program = parse_program(text)
    assert str(program) == text
    assert parse_program(str(program)) == program
    assert program.kernels == (parse_kernel(SCALE),)
    assert program.sizes == {"x": Var("n"), "y": Var("n"), "code": k.const(1)}


@given(st.sampled_from([d for d in dtypes.ALL if d.is_floating_point]), st.data())
def test_float_constants_are_exact(dtype: dtypes.DType, data: st.DataObject) -> None:
    value = data.draw(floats(dtype))
    constant = Const(value, dtype)
    read = parse_kernel(str(kernel_of(Let(Var("t", dtype), constant)))).body[0].value
    assert struct.pack("<d", read.value) == struct.pack("<d", value)
    assert read == constant


@pytest.mark.parametrize("bits", [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001, 0x7FF0000000000001])
def test_nan_keeps_its_bits(bits: int) -> None:
    nan = struct.unpack("<d", struct.pack("<Q", bits))[0]
    read = parse_kernel(str(kernel_of(Let(Var("t", dtypes.float64), Const(nan, dtypes.float64))))).body[0].value
    assert struct.unpack("<Q", struct.pack("<d", read.value))[0] == bits


@pytest.mark.parametrize(
    "constant",
    [
        Const(0.1, dtypes.float32),  # not a float32: kept as it is
        Const(-0.0, dtypes.float16),
        Const(complex(-0.0, float("inf")), dtypes.complex64),
        Const(2**64 - 1, dtypes.uint64),
        Const(-(2**63), dtypes.int64),
        Const(-5, dtypes.int8),
        Const(True, dtypes.bool_),
    ],
    ids=str,
)
def test_constants_read_back(constant: Const) -> None:
    round_trip(kernel_of(Let(Var("t", constant.dtype), constant)))


def test_zeros_differ_by_sign_and_nan_equals_itself() -> None:
    assert Const(0.0, dtypes.float32) != Const(-0.0, dtypes.float32)
    assert Const(float("nan"), dtypes.float64) == Const(float("nan"), dtypes.float64)
    assert hash(Const(float("nan"), dtypes.float64)) == hash(Const(float("nan"), dtypes.float64))
    assert Const(1, dtypes.float32) == Const(1.0, dtypes.float32)
    assert Const(1, dtypes.int32) != Const(1, dtypes.int64)


@pytest.mark.parametrize("name", ["let", "n.1", "two words", 'a"b', "für", "nan", "f32", "mul", "cast", "shared"])
def test_any_name_reads_back(name: str) -> None:
    var = Var(name)
    round_trip(Kernel(name, (var,), (Buffer("s", dtypes.int8, "shared", 4),), (Let(Var("t"), var + 1),)))


def test_grouping_reads_back() -> None:
    a, b, c = Var("n"), k.const(3), k.const(4)
    for outer in ("add", "sub", "mul", "floordiv", "mod", "lt", "and", "shl", "or", "xor"):
        for inner in ("add", "sub", "mul", "mod", "shr", "and", "or"):
            left = Call(outer, (Call(inner, (a, b), k.INDEX), c), k.INDEX)
            right = Call(outer, (c, Call(inner, (a, b), k.INDEX)), k.INDEX)
            round_trip(kernel_of(Let(Var("l"), left), Let(Var("r"), right)))


def test_what_cannot_be_inferred_is_written() -> None:
    call = Call("add", (Var("n"), Var("n")), dtypes.float64)
    assert str(call) == "add(n, n): f64"
    round_trip(kernel_of(Let(Var("t", dtypes.float64), call)))


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("kernel @f() {\n  let t: f32 =\n}", "line 3, column 1", "a number"),
        ("kernel @f(x: f31*) {}", "line 1, column 14: f31 is not a dtype", "f32"),
        ("kernel @f() {\n  y = 3 }", "line 2, column 3: no variable y", None),
        ("kernel @f(n: i64) {\n  n[0] = 3 }", "line 2, column 3: no buffer n", None),
        ("kernel @f(n: i64) { for i in sideways(n) { } }", "column 30: sideways is not a kind of loop", "parallel"),
        ("kernel @f(n: i64) { let t: i64 = sinus(n) }", "column 34: sinus is not a scalar function", None),
        ("kernel @f() {", "line 1", "'let'"),
        ("kernel $", "line 1, column 8", "'@'"),
        ("kernel @f() { let t: f64 = f64(true) }", "expected a number", None),
        ("kernel @f() { let t: i8 = i8(0.5) }", "takes an integer", None),
        ("kernel @f() { let t: i8 = cast(0) }", "cast takes", "cast(x, f32)"),
    ],
)
def test_wrong_text_says_where(text: str, place: str, expected: str | None) -> None:
    with pytest.raises(ParseError) as caught:
        parse_kernel(text)
    assert place in caught.value.what
    if expected is not None:
        assert expected in str(caught.value.expected)


def test_a_name_ends_with_its_block() -> None:
    with pytest.raises(ParseError, match="no variable t"):
        parse_kernel("kernel @f(x: i64*) { if true { let t: i64 = 1 } x[0] = t }")


def test_unknown_kernel() -> None:
    with pytest.raises(ParseError, match="no kernel @g"):
        parse_program("program @main { launch @g() }")
    with pytest.raises(ParseError, match="defined twice"):
        parse_program("kernel @g() { } kernel @g() { } program @main { launch @g() }")
