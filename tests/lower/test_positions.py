"""Which arithmetic finds elements, and when 32 bits are enough for it."""

import pytest

from jitorch.ir.kernel import Kernel, verify
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.positions import Positions, fits_in_32_bits


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
    ("body", "fits"),
    [
        ("for i in serial(n) { y[i * s + 5] = x[s * s * i] }", True),
        ("for i in serial(n) { y[i // 4] = x[i % s] }", True),
        ("for i in serial(n) { y[(i * 4) // 3] = 0.0 }", False),  # the product may not fit
        ("for i in serial(n // 4) { y[(i * 4) // 3] = 0.0 }", True),
        ("for i in serial(9) { y[(i * 4) // 3] = 0.0 }", True),
        ("for i in serial(n) { y[(i + s) % n] = 0.0 }", False),  # s is any integer
        ("for i in serial(n) { y[maximum(i - 1, 0)] = 0.0 }", True),
        ("for i in serial(n) { y[minimum(i, s)] = 0.0 }", False),
        ("for i in serial(n) { y[i + 3000000000] = 0.0 }", False),
        ("for i in serial(n) { y[z[i]] = 0.0 }", True),  # computed in full
        ("for i in serial(n) { let j: i64 = (i * s) // 2 y[j] = 0.0 }", False),
    ],
)
def test_fits_in_32_bits(body: str, fits: bool) -> None:
    assert fits_in_32_bits(kernel(body)) is fits
