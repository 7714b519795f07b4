"""When the iterations of a loop are independent."""

import pytest

from jitorch.ir.kernel import For, verify
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.schedules.dependence import polynomial, why_dependent
from jitorch.lower.schedules.loops import find


def why(body: str) -> str | None:
    """The reason for loop i of a kernel with buffers x and y, sizes n and m."""
    kernel = verify(parse_kernel(f"kernel @f(x: f32*, y: f32*, z: i64*, n: i64, m: i64) {{ {body} }}"))
    loop = find(kernel, "i")
    assert isinstance(loop, For)
    return why_dependent(loop)


@pytest.mark.parametrize(
    "body",
    [
        "for i in serial(n) { y[i] = x[0] }",
        "for i in serial(n) { y[i] = y[i] + x[n - i] }",
        "for i in serial(n) { y[n - 1 - i] = 1.0 }",
        "for i in serial(n) { y[i * 3] = 1.0 y[i * 3 + 2] = 2.0 }",
        "for i in serial(n) { for j in serial(m) { y[i * m + j] = 1.0 } }",
        "for i in serial(n) { for j in serial(m) { y[i * m + m - 1 - j] = 1.0 } }",
        "for i in serial(n) { for j in serial(n * m) { y[i * n * m + j] = 1.0 } }",
        "for i in serial(n) { for j in serial(4) { y[i * 4 + j] = y[i * 4 + 3 - j] } }",
        "for i in serial(n) { for j in serial(4) { for k in serial(m) { y[i * 4 * m + j * m + k] = 1.0 } } }",
        "for j in serial(m) { for i in serial(n) { y[j * n * 7 + i] = y[j * n * 7 + i] } }",
        "for i in serial(n) { let p: i64 = i * 2 let q: i64 = p + 1 y[q] = y[p] }",
        "for i in serial(n) { var s: f32 = 0.0 s = s + 1.0 y[i] = s }",
        "for i in serial(n) { if x[i] < 1.0 { y[i] = x[i + 1] } }",
    ],
)  # fmt: skip
def test_independent(body: str) -> None:
    assert why(body) is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("for i in serial(n) { y[0] = x[i] }", "one element of y"),
        ("for i in serial(n) { y[i + 1] = y[i] }", "one element of y"),
        ("for i in serial(n) { y[i * 2] = 1.0 y[i * 2 + 2] = 2.0 }", "one element of y"),
        ("for i in serial(n) { y[i * m] = 1.0 }", "one element of y"),  # m may be 0
        ("for i in serial(n) { y[i * i] = 1.0 }", "one element of y"),
        ("for i in serial(n) { y[i // 2] = 1.0 }", "one element of y"),
        ("for i in serial(n) { y[z[i]] = 1.0 }", "one element of y"),
        ("for i in serial(n) { for j in serial(5) { y[i * 4 + j] = 1.0 } }", "one element of y"),
        ("for i in serial(n) { for j in serial(i) { y[i * 4 + j] = 1.0 } }", "one element of y"),
        ("for i in serial(n) { for j in serial(n * m) { y[i * m + j] = 1.0 } }", "one element of y"),
        ("for i in serial(n) { for j in serial(m) { y[j * n + i * 2] = 1.0 } }", "one element of y"),
        ("var s: f32 = 0.0 for i in serial(n) { s = s + x[i] }", "s is carried"),
        ("for i in thread(4) { barrier y[i] = 1.0 }", "barrier"),
        ("for i in serial(n) { let t: i64 = i if i < 2 { let t: i64 = 3 y[i] = 1.0 } }", "share a name"),
    ],
)
def test_dependent(body: str, reason: str) -> None:
    found = why(body)
    assert found is not None
    assert reason in found


def test_scratch_of_the_kernel_is_shared_by_iterations() -> None:
    kernel = parse_kernel("kernel @f(y: f32*) { local r: f32[4] for i in serial(4) { r[i] = 1.0 y[i] = r[i] } }")
    assert "r is scratch memory" in str(why_dependent(find(kernel, "i")))


def test_polynomials_are_multiplied_out() -> None:
    kernel = parse_kernel("kernel @f(n: i64, m: i64, y: i64*) { y[(n + 2) * (m - 1) - m * n] = 0 }")
    store = kernel.body[0]
    terms = {" ".join(map(str, m)): v for m, v in polynomial(store.index).items()}  # type: ignore[attr-defined]
    assert terms == {"n": -1, "m": 2, "": -2}
