"""Random well-typed programs: a script gives what plain Python gives, as it is and from a file."""

from __future__ import annotations

import io
import linecache
import random
from typing import Any

import pytest

import jitorch as torch
from tests.frontend.script.check import compare, same


class Writer:
    """Writes one random function of an int, a float, a tensor and a list of ints."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.loops = 0

    def integer(self, depth: int = 2) -> str:
        choice = self.random.randrange(7 if depth else 3)
        if choice < 2:
            return self.random.choice(["a", "b", "len(xs)", "int(f)"])
        if choice == 2:
            return str(self.random.randrange(-3, 7))
        left, right = self.integer(depth - 1), self.integer(depth - 1)
        if choice == 3:
            return f"({left} if {self.condition(depth - 1)} else {right})"
        if choice == 4:
            return f"max({left}, {right})"
        return f"({left} {self.random.choice('+-*')} {right}) % 97"

    def floating(self) -> str:
        return self.random.choice(["f", "f * 0.5", "float(a)", "f + b", "a / 4", "abs(f)", "min(f, 8.0)"])

    def condition(self, depth: int = 1) -> str:
        a, b = self.integer(0), self.integer(0)
        tests = [f"{a} < {b}", f"{a} % 2 == 0", f"{a} in xs", "f > 1.5", f"not {a} > {b} or f < 0.5"]
        if depth:
            tests.append(f"({self.condition(0)}) and ({self.condition(0)})")
        return self.random.choice(tests)

    def tensor(self) -> str:
        return self.random.choice(
            ["t * 2", "t + a", "torch.relu(t)", "t - f", "torch.tanh(t)", "t.clamp(min=-2.0)", "t.flip(0)",
             "t * t.mean()"]
        )  # fmt: skip

    def line(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def block(self, indent: int, depth: int) -> None:
        for _ in range(self.random.randrange(1, 4)):
            self.statement(indent, depth)

    def statement(self, indent: int, depth: int) -> None:
        choice = self.random.randrange(11 if depth else 6)
        match choice:
            case 0:
                self.line(indent, f"{self.random.choice('ab')} = {self.integer()}")
            case 1:
                self.line(indent, f"f = {self.floating()}")
            case 2:
                self.line(indent, f"xs.append({self.integer()})")
            case 3 | 4:
                self.line(indent, f"t = {self.tensor()}")
            case 5:
                self.line(
                    indent,
                    self.random.choice(["a += b % 7", "text += f'{a:d},'", "xs = [x + 1 for x in xs if x != a]"]),
                )
            case 6 | 7:
                self.line(indent, f"if {self.condition()}:")
                self.block(indent + 1, depth - 1)
                if self.random.random() < 0.6:
                    self.line(indent, "else:")
                    self.block(indent + 1, depth - 1)
                if self.random.random() < 0.2:
                    self.line(indent, f"if {self.condition()}:")
                    self.line(
                        indent + 1,
                        self.random.choice(["return a, f, t, xs, text", *["continue", "break"] * (self.loops > 0)]),
                    )
            case _:
                self.loop(indent, depth)

    def loop(self, indent: int, depth: int) -> None:
        self.loops += 1
        if self.random.random() < 0.6:
            source = self.random.choice(["range(3)", "range(b % 4)", "xs[:3]", "[1, 5, 2]"])
            self.line(indent, f"for i in {source}:")
            self.line(indent + 1, "a = (a + i) % 89")
        else:
            name = f"n{self.loops}_{len(self.lines)}"
            self.line(indent, f"{name} = 0")
            self.line(indent, f"while {name} < 4 and ({self.condition()}):")
            self.line(indent + 1, f"{name} += 1")
        self.block(indent + 1, depth - 1)
        self.loops -= 1

    def source(self) -> str:
        self.line(0, "def f(a: int, b: int, f: float, t: torch.Tensor, xs: List[int]):")
        self.line(1, "text = ''")
        for _ in range(4):
            self.block(1, 2)
        self.line(1, "return a, f, t, xs, text")
        return "\n".join(self.lines) + "\n"


def function_of(seed: int) -> Any:
    text, file = Writer(seed).source(), f"<random script {seed}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names: dict[str, Any] = {"torch": torch, "List": list}
    exec(compile(text, file, "exec", dont_inherit=True), names)
    return names["f"]


CALLS = [
    (3, 5, 0.75, torch.tensor([1.0, -2.0, 0.5]), [1, 2]),
    (0, -4, 2.5, torch.tensor([[0.25, 3.0]]), []),
    (8, 1, -1.0, torch.tensor([1.0, -2.0, 0.5]), [8, 8, 1, 0]),
]


@pytest.mark.parametrize("seed", range(20))
def test_random_programs(seed):
    function = function_of(seed)
    scripted = compare(function, *CALLS)
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    buffer.seek(0)
    loaded = torch.jit.load(buffer)
    a, b, f, t, xs = CALLS[0]
    same(loaded(a, b, f, t, list(xs)), function(a, b, f, t, list(xs)))
    assert loaded.code == scripted.code
