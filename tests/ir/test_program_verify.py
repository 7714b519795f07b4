"""What a program must keep to."""

from dataclasses import replace

import pytest

from jitorch.errors import CompilerBug, VerifyError
from jitorch.ir.kernel_text import parse_program
from jitorch.ir.program_verify import verify_program

ADD = "kernel @add(x: f32*, y: f32*, n: i64) { for i in parallel(n) { y[i] = x[i] } }\n"
HEAD = "program @p { input x: f32* of n output y: f32* of n scalar n: i64 "


def verify(body: str, head: str = HEAD) -> None:
    verify_program(parse_program(f"{ADD}{head}{body} }}"))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "launch @add(x, y, n + 1)",
        "alloc t: f32* of n launch @add(x, t, n) free t",
        "alloc t: f32* of n free t alloc t: f32* of n free t",
        "if n < 2 { return } alloc t: f32* of n free t",
        "if n < 2 { alloc t: f32* of n } else { alloc t: f32* of n } free t",
        "if n < 2 { let m: i64 = 1 } else { let m: i64 = 2 } copy y = x of m",
        "let m: i64 = n loop { let c: bool = m > 0 while c alloc t: f32* of n free t let m: i64 = m - 1 }",
        "loop { alloc t: f32* of n while true free t } free t",
        "let m: i64 = cast(x[0], i64)",
        "view v: f32* of 1 in x at 0 view v: f32* of 1 in x at 1 launch @add(v, y, 1)",
        "view v: f32* of n in x at 0 if n < 2 { view v: f32* of 1 in x at 1 } launch @add(v, y, 1)",
        "for s in parallel(n) { launch @add(x, y, s) }",
        "for s in parallel(2) { let m: i64 = n } for s in parallel(m) { launch @add(x, y, s) }",
        "view v: f32* of n in x at 0 for s in parallel(2) { view v: f32* of 1 in x at 1 } launch @add(v, y, 1)",
    ],
)
def test_right(body: str) -> None:
    verify(body)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("alloc t: f32* of n", "t is never freed"),
        ("alloc t: f32* of n return", "t is never freed"),
        ("alloc t: f32* of n free t free t", "t is freed, but"),
        ("free x", "x is freed, but"),
        ("alloc t: f32* of n free t launch @add(t, y, n)", "t is used before"),
        ("alloc t: f32* of n alloc t: f32* of n", "t is allocated while"),
        ("alloc x: f32* of n", "x is allocated while"),
        ("alloc t: f32* of n view t: f32* of n in x at 0 free t", "t is allocated while"),
        ("view v: f32* of n in x at 0 alloc v: f32* of n free v", "v is allocated while"),
        ("if n < 2 { alloc t: f32* of n }", "different buffers alive"),
        ("loop { while n < 2 alloc t: f32* of n }", "a turn of a loop"),
        ("place t: f32* of n at 0", "no arena"),
        ("launch @add(x, y)", "launch of add"),
        ("launch @add(x, n, n)", "argument y of add"),
        ("launch @add(x, y, 1.0)", "argument n of add"),
        ("launch @add(x, x, n)", "names one buffer twice"),
        ("alloc t: f64* of n launch @add(x, t, n) free t", "argument y of add"),
        ("copy x = x of n", "copy of"),
        ("alloc t: f64* of n copy t = x of n free t", "copy of"),
        ("copy y = x of 1.0", "dtype of 1.0"),
        ("if n { return }", "dtype of n"),
        ("if n < 2 { let m: i64 = 1 } copy y = x of m", "scalar m is not defined"),
        ("let m: i64 = 1 let m: f32 = 1.0", "changes its dtype"),
        ("let m: f32 = 1", "dtype of 1"),
        ("return return", "after return"),
        ("alloc t: f32* of n free t let m: f32 = t[0]", "t is used before"),
        ("for s in parallel(1.0) { }", "dtype of 1.0"),
        ("for n in parallel(2) { }", "is not its own"),
        ("for s in parallel(2) { let s: i64 = 0 }", "is not its own"),
        ("for s in parallel(2) { let m: i64 = s }", "scalar s is not defined"),
        ("for s in parallel(2) { copy y = x of s }", "scalar s is not defined"),
        ("for s in parallel(2) { loop { while s < 1 } }", "scalar s is not defined"),
        ("let m: i64 = 0 for s in parallel(2) { let m: i64 = m + 1 }", "scalar m is not defined"),
        ("view v: f32* of 1 in x at 0 for s in parallel(2) { copy y = v of 1 view v: f32* of 1 in x at 1 }", "v is u"),
        ("for s in parallel(2) { view v: f32* of 1 in x at 1 } copy y = v of 1", "v is used before"),
        ("for s in parallel(2) { alloc t: f32* of n free t }", "in a parallel statement: alloc"),
        ("for s in parallel(2) { return }", "in a parallel statement: return"),
        ("for s in parallel(2) { for r in parallel(2) { } }", "in a parallel statement: for r"),
    ],
)
def test_wrong(body: str, what: str) -> None:
    with pytest.raises(VerifyError) as caught:
        verify(body)
    assert what in caught.value.what
    assert "program @p" in str(caught.value)


def test_parameters() -> None:
    with pytest.raises(VerifyError, match="parameter y has no size"):
        verify("", "program @p { input x: f32* of 1 output y: f32* ")
    with pytest.raises(VerifyError, match="share a name"):
        verify("", "program @p { input x: f32* of 1 output x: f32* of 1 ")
    program = parse_program(f"{HEAD} }}".replace("of n", "of m").replace("scalar n", "scalar m"))
    with pytest.raises(VerifyError, match="scalar m is not defined"):
        verify_program(replace(program, scalars=()))
    with pytest.raises(VerifyError, match="status buffer"):
        verify("", f"{HEAD} status s: i64* of 1 ")


def test_a_launch_that_may_stop_is_in_no_parallel_statement() -> None:
    check = "kernel @check(s: i32*) { s[0] = cast(1, i32) }\n"
    with pytest.raises(VerifyError, match="a launch of check, which may stop"):
        verify("for i in parallel(2) { launch @check(s) }", f"{check}program @p {{ status s: i32* of 1 ")


def test_kernels_are_verified() -> None:
    with pytest.raises(CompilerBug, match="expected f32, got i64"):
        verify_program(parse_program("kernel @k(x: f32*) { x[0] = 1 } program @p { input x: f32* of 1 launch @k(x) }"))
