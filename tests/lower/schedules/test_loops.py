"""Finding and replacing loops."""

import pytest

from jitorch.errors import ValueRangeError
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.schedules.loops import changes, find, fresh, put

KERNEL = parse_kernel(
    """
    kernel @f(y: f32*, n: i64) {
      var s: i64 = n
      for i in serial(n) { if i < 3 { for j in serial(s) { y[j] = 1.0 } } }
      for k in serial(2) { y[k] = 0.0 }
      for k in serial(n) { y[k] = 0.0 }
    }"""
)


def test_find() -> None:
    assert str(find(KERNEL, "j").extent) == "s"
    for name, found in [("k", "2 (loops: i, j, k)"), ("n", "0 (loops: i, j, k)")]:
        with pytest.raises(ValueRangeError) as caught:
            find(KERNEL, name)
        assert caught.value.actual == found


def test_put() -> None:
    inner = find(KERNEL, "j")
    assert "if i < 3 {\n      y[j] = 1.0" not in str(KERNEL)
    assert "for j" not in str(put(KERNEL, inner, lambda loop: ()))
    assert str(put(KERNEL, inner, lambda loop: (loop, loop))).count("for j") == 2


def test_fresh() -> None:
    assert [fresh(KERNEL, name) for name in ("m", "n", "i", "y", "s")] == ["m", "n2", "i2", "y2", "s2"]


def test_changes() -> None:
    assert changes(find(KERNEL, "j").extent, KERNEL)
    assert not changes(find(KERNEL, "i").extent, KERNEL)
