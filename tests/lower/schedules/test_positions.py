"""Which arithmetic finds elements."""

import pytest

from jitorch.ir.kernel import Kernel, verify
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.schedules.positions import Positions, limited_extents


def kernel(body: str) -> Kernel:
    return verify(parse_kernel(f"kernel @f(x: f32*, y: f32*, z: i64*, n: i64, s: i64) {{ {body} }}"))


@pytest.mark.parametrize(
    ("body", "lets"),
    [
        ("for i in serial(n) { let j: i64 = i * s + 1 y[j] = x[j - 1] }", {"j"}),  # only finds elements
        ("for i in serial(n) { let j: i64 = i * s + 1 z[i] = j }", set()),  # is a value
        ("for i in serial(n) { let j: i64 = i * s + 1 if j < n { y[j] = 0.0 } }", set()),  # is compared
        ("for i in serial(n) { let j: i64 = i + 1 z[i] = j }", {"j"}),  # stays near the loop's extent
        ("for i in serial(n) { let j: i64 = i * 8 z[i] = j }", set()),  # may not
        ("for b in serial(n // 8) { let j: i64 = b * 8 + 7 if j < n { z[j] = j } }", {"j"}),
        ("for i in serial(n) { let j: i64 = i + 1 let l: i64 = j * s y[l] = 0.0 z[i] = j }", {"j", "l"}),
        ("for i in serial(n) { let j: i64 = z[i] y[j] = 0.0 }", set()),  # is loaded
        ("for i in serial(n) { let j: i64 = s y[j] = 0.0 } var j: i64 = 0 z[j] = j", set()),  # means two things
    ],
)
def test_lets(body: str, lets: set[str]) -> None:
    assert Positions(kernel(body)).lets == lets


@pytest.mark.parametrize(
    ("body", "extents"),
    [
        ("for i in serial(n) { for j in serial(n * 2) { y[i + j] = 0.0 } }", ["n", "n * 2"]),
        ("for i in serial(9) { for j in serial(i + 1) { y[j] = 0.0 } }", []),
        ("for i in serial(z[0]) { y[i] = 0.0 }", None),
        ("for i in serial(n) { for j in serial(i * s) { y[j] = 0.0 } }", None),
    ],
)
def test_limited_extents(body: str, extents: list[str] | None) -> None:
    found = limited_extents(kernel(body))
    assert (found if found is None else [str(e) for e in found]) == extents
