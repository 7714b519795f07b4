"""Whether a kernel reads an element only where it stores it."""

from __future__ import annotations

import pytest

from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.memory.meetings import Accesses

ONE = "for i in parallel(8) { let t: f32 = w[i] out[i] = t }"
PIECES = """for i in parallel(8) {
  for v in vector(4) { let a: f32 = w[i * 6 + v] out[i * 6 + v] = a }
  for v in vector(2) { let b: f32 = w[i * 6 + v + 4] out[i * 6 + v + 4] = b }
}"""
BRANCHES = """for i in parallel(8) {
  if i < 7 {
    for v in vector(4) { let a: f32 = w[i * 4 + v] out[i * 4 + v] = a }
  } else {
    for v in vector(2) { let b: f32 = w[i * 4 + v] out[i * 4 + v] = b }
  }
}"""
LAST = """for i in parallel(8) {
  for c in serial(3) {
    if c < 2 { other[i] = 1.0 } else { let t: f32 = w[i] out[i] = t }
  }
}"""


def meets(body: str) -> bool:
    kernel = parse_kernel(f"kernel @main(w: f32*, out: f32*, other: f32*) {{ {body} }}")
    read, written, _ = kernel.params
    return Accesses(kernel).meet(read, written)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [ONE, PIECES, BRANCHES, LAST], ids=["one", "pieces", "branches", "the last turn"])
def test_each_element_is_read_where_it_is_stored(body: str) -> None:
    assert meets(body)


@pytest.mark.parametrize(
    "body",
    [
        ONE.replace("out[i]", "out[i + 1]"),
        ONE.replace("let t: f32 = w[i] out[i] = t", "out[i] = 1.0 other[i] = w[i]"),
        PIECES.replace("out[i * 6 + v + 4]", "out[i * 6 + v + 3]").replace("w[i * 6 + v + 4]", "w[i * 6 + v + 3]"),
        PIECES.replace("i * 6 + v + 4", "i * 7 + v + 4"),
        BRANCHES.replace("} else {", "} if i < 9 {"),
        LAST.replace("c < 2", "c < 1"),
        LAST.replace("if c < 2 { other[i] = 1.0 } else {", "if c < 2 {"),
        f"{ONE} for j in parallel(8) {{ other[j] = w[j] }}",
        "for i in parallel(8) { other[i] = w[i] }",
    ],
    ids=[
        "elsewhere", "after it", "pieces that overlap", "pieces of other places", "branches that both run",
        "the last turns", "the first turns", "read again", "never stored",
    ],
)  # fmt: skip
def test_elements_that_may_be_read_after_they_are_stored(body: str) -> None:
    assert not meets(body)
