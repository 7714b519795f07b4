"""Random functions with nested branches and loops over tensors and numbers, as Python source.

All arithmetic is on integers, so a compiled program has to be equal to the last bit, and takes the same branches.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import strategies as st

import jitorch

_serial = count()
TENSORS, NUMBERS = ("x", "y", "z"), ("i", "j")

_tensor_expressions = st.sampled_from(
    [
        "{a} * 3 - 1", "({a} + {b}) % 17", "{a} - {b}", "-{a}", "{a} + {n}", "{a} % 11 + {b}", "{a}.flip(0)",
        "({a} if {c} else {b})", "{a}[0] + {b}", "jitorch.where({a} > 2, {a}, {b})", "{a} * {n} % 13", "half({a}, {n})",
    ]
)  # fmt: skip
_number_expressions = st.sampled_from(
    [
        "{n} + 1",
        "{n} * 2 - {m}",
        "{n} % 5",
        "({n} if {c} else {m})",
        "int({a}.sum()) % 7",
        "-{n}",
        "{n} // 2",
        "pick({n}, {a})",
    ]
)
_conditions = st.sampled_from(
    [
        "{a}.sum() > {n}", "{a}[1] > 3", "{n} > 2", "{n} < {m}", "{a}[0] > {b}[0] and {n} < 4", "not {a}[2] > 0",
        "{n} or {a}[0] > 1", "0 < {a}[0] < 9", "({a} == {b}).all()", "{n} % 2 == 0",
    ]
)  # fmt: skip

HELPERS = """
def half(v, n):
    if v.sum() > 4:
        return v // 2
    for k in range(2):
        if n > k:
            v = v + k
        else:
            return v - 1
    return v

def pick(n, v):
    while n < 3:
        n += 2
        if v[0] > n:
            break
    else:
        n -= 1
    return n
"""


class _Writer:
    """Grows one function."""

    def __init__(self, draw: Callable[[Any], Any]):
        self.draw = draw
        self.budget = draw(st.integers(3, 12))
        self.loops = 0

    def fill(self, template: str) -> str:
        names: dict[str, str] = {}
        if "{c}" in template:
            names["c"] = self.fill(self.draw(_conditions))
        for key in "ab":
            names[key] = self.draw(st.sampled_from(TENSORS))
        for key in "nm":
            names[key] = self.draw(st.sampled_from((*NUMBERS, "3", "1")))
        return template.format(**names)

    def block(self, depth: int, in_loop: bool) -> list[str]:
        lines: list[str] = []
        for _ in range(self.draw(st.integers(1, 3))):
            lines += self.statement(depth, in_loop)
            if lines[-1].split()[0] in ("break", "continue", "return"):
                break
        return lines

    def statement(self, depth: int, in_loop: bool) -> list[str]:
        self.budget -= 1
        simple = ["tensor", "tensor", "number", "item", "append"]
        kinds = simple if depth > 2 or self.budget < 0 else [*simple, "if", "if", "while", "for", "rows"]
        if depth:
            kinds = [*kinds, "return", *(["break", "continue"] if in_loop else [])]
        kind = self.draw(st.sampled_from(kinds))
        match kind:
            case "tensor":
                return [f"{self.draw(st.sampled_from(TENSORS))} = {self.fill(self.draw(_tensor_expressions))}"]
            case "number":
                return [f"{self.draw(st.sampled_from(NUMBERS))} = {self.fill(self.draw(_number_expressions))}"]
            case "item":
                return [self.fill("state[0] = {a} % 23"), self.fill("state[1] = {n}")]
            case "append":
                return [self.fill("log['last'] = {a} + state[1]")]
            case "return":
                return [self.fill("return {a}, {b}, z, {n}, {m}, state, log")]
            case "break" | "continue":
                return [kind]
            case "if":
                return self._if(depth, in_loop)
        return self._loop(kind, depth, in_loop)

    def _indented(self, depth: int, in_loop: bool) -> list[str]:
        return ["    " + line for line in self.block(depth + 1, in_loop)]

    def _if(self, depth: int, in_loop: bool) -> list[str]:
        lines = [f"if {self.fill(self.draw(_conditions))}:", *self._indented(depth, in_loop)]
        if self.draw(st.booleans()):
            lines += [f"elif {self.fill(self.draw(_conditions))}:", *self._indented(depth, in_loop)]
        if self.draw(st.booleans()):
            lines += ["else:", *self._indented(depth, in_loop)]
        return lines

    def _loop(self, kind: str, depth: int, in_loop: bool) -> list[str]:
        self.loops += 1
        counter = f"k{self.loops}"
        if kind == "while":
            head = [f"{counter} = 0", f"while {counter} < 4 and ({self.fill(self.draw(_conditions))}):"]
            body = [f"    {counter} += 1"]
        elif kind == "for":
            length = self.draw(st.sampled_from(["3", "0", "20", "int(x[0]) % 4", "i % 3"]))
            head, body = [f"for {counter} in range({length}):"], [f"    x = (x + {counter}) % 29"]
        else:
            head, body = [f"for {counter} in m:"], [f"    y = (y + {counter}) % 31"]
        lines = [*head, *body, *self._indented(depth, True)]
        if self.draw(st.booleans()):
            lines += ["else:", *self._indented(depth, in_loop)]
        return lines


@st.composite
def sources(draw: Callable[[Any], Any]) -> str:
    """The source of a function ``program(x, y, m, i)``."""
    writer = _Writer(draw)
    lines = ["z = x + y", "j = 2", "state = [x, 1]", "log = {'last': y}"]
    while writer.budget > 0:
        lines += writer.statement(0, False)
    lines.append("return x, y, z, i, j, state, log")
    body = "\n".join("    " + line for line in lines)
    return f"{HELPERS}\ndef program(x, y, m, i):\n{body}\n"


def function(source: str) -> Callable[..., Any]:
    """The function of a source, which tracebacks and the rewriter can read."""
    name = f"<random control {next(_serial)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    namespace: dict[str, Any] = {"jitorch": jitorch}
    exec(compile(source, name, "exec"), namespace)
    return namespace["program"]
