"""Where a kernel's iterations run."""

import pytest

from jitorch.errors import ValueRangeError
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Var, verify
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.gpu.launch import Geometry, geometry


def of(body: str) -> Geometry:
    return geometry(verify(parse_kernel(f"kernel @f(y: f32*, z: i64*, n: i64) {{ {body} }}")))


def test_innermost_is_x() -> None:
    found = of(
        """
        shared t: f64[10]
        local u: f32[10]
        for a in block(n) { for b in block(4) { for c in thread(2) { for d in thread(32) { y[a] = 0.0 } } } }
        """
    )
    assert found == Geometry((k.const(4), Var("n")), (32, 2), 80)
    assert found.threads == 64


def test_a_block_is_as_large_as_its_largest_nest() -> None:
    assert of("for a in block(2) { for c in thread(8) { y[c] = 0.0 } for d in thread(32) { y[d] = 0.0 } }").block == (
        32,
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("for a in block(2) { y[a] = 0.0 } for b in block(2) { y[b] = 0.0 }", "one nest"),
        ("for a in block(z[0]) { y[a] = 0.0 }", "scalar parameters"),
        ("for a in block(2) { for b in thread(n) { y[b] = 0.0 } }", "number of threads must be constant"),
        ("for a in thread(64) { for b in thread(32) { y[b] = 0.0 } }", "at most 1024 threads"),
        ("for a in thread(2) { for b in thread(2) { y[b] = 0.0 } } for c in thread(4) { y[c] = 0.0 }", "one depth"),
        (
            "for a in thread(2) { for b in thread(2) { for c in thread(2) { for d in thread(2) { y[d] = 0.0 } } } }",
            "at most 3 deep",
        ),
        ("for a in serial(2) { for b in block(4) { y[b] = 0.0 } }", "inside other loops"),
        ("for b in block(4) { y[b] = 0.0 for t in thread(4) { y[t] = 0.0 } }", "made by every thread"),
    ],
)
def test_refused(body: str, what: str) -> None:
    with pytest.raises(ValueRangeError, match=what):
        of(body)
