"""Classes that scripts know: enums, named tuples, dataclasses, classes, interfaces; overloads and marks."""

from __future__ import annotations

import dataclasses
import enum
from typing import Dict, List, NamedTuple, Optional

import pytest

import jitorch as torch
from jitorch.errors import CompileError
from tests.frontend.script.check import compare

A = torch.arange(6.0).reshape(2, 3)


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Point(NamedTuple):
    x: torch.Tensor
    n: int = 3


@dataclasses.dataclass
class Config:
    scale: float
    names: List[str] = dataclasses.field(default_factory=list)
    shift: int = 1

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.shift

    @property
    def double(self) -> float:
        return self.scale * 2


class Stack:
    """A stack of ints."""

    def __init__(self, limit: int):
        self.items: List[int] = []
        self.limit = limit
        self.name: Optional[str] = None

    def push(self, item: int) -> None:
        assert len(self.items) < self.limit, "full"
        self.items.append(item)

    def pop(self) -> int:
        return self.items.pop()

    def __len__(self) -> int:
        return len(self.items)

    def __add__(self, other: Stack) -> Stack:
        made = Stack(self.limit + other.limit)
        for item in self.items + other.items:
            made.push(item)
        return made

    @staticmethod
    def twice(n: int) -> int:
        return n * 2


def enums(c: Color, n: int):
    if c == Color.RED:
        return n, c.value, c.name, Color.BLUE
    return n + Color.BLUE.value, c.value, c.name, c


def named_tuples(p: Point, x: torch.Tensor):
    q = Point(x, 5)
    r = Point(n=1, x=x * 2)
    a, n = q
    return p.x + a + r[0], p.n + n + r.n, q, Point(x)


def dataclass_methods(c: Config, x: torch.Tensor):
    d = Config(0.5, ["a"])
    d.shift += 3
    c.names.append("new")
    return c.apply(x) + d.apply(x), d, c.double, len(c.names)


def classes(n: int):
    s = Stack(10)
    for i in range(n):
        s.push(i * i)
    if s.name is None:
        s.name = "stack"
    t = s + Stack(1)
    last = t.pop()
    return last, len(s), len(t), s.items, Stack.twice(n), s.twice(n), s.name


def class_as_argument(s: Stack, counts: Dict[str, Stack]):
    counts["new"] = s
    s.push(4)
    return counts["new"].items


PROGRAMS = [
    (enums, (Color.RED, 3), (Color.BLUE, 4)),
    (named_tuples, (Point(A, 2), A), (Point(A), A * 2)),
    (dataclass_methods, (Config(2.0), A), (Config(1.5, ["z"], 4), A)),
    (classes, (4,), (0,)),
    (class_as_argument, (Stack(3), {})),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0].__name__)
def test_script_equals_python(program):
    function, *calls = program
    if function is classes:
        calls = [(4,), (12,)]
    compare(function, *calls)


def test_script_of_a_class_is_the_class():
    assert torch.jit.script(Stack) is Stack


@torch.jit.interface
class Layer:
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Doubling(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class WithInterface(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Doubling()
        self.second = torch.nn.Linear(3, 3)

    def run(self, layer: Layer, x: torch.Tensor) -> torch.Tensor:
        return layer.forward(x) + 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(self.first, x)


def test_interfaces_take_what_has_the_methods():
    module = WithInterface()
    assert torch.equal(torch.jit.script(module)(A), module(A))


@torch.jit.interface
class Wide:
    def missing(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Bad(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = Doubling()

    def run(self, layer: Wide, x: torch.Tensor) -> torch.Tensor:
        return layer.missing(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(self.layer, x)


def test_an_interface_refuses_what_lacks_the_methods():
    with pytest.raises(CompileError, match="argument layer of run has the wrong type"):
        torch.jit.script(Bad())


@torch.jit._overload
def pick(x: int) -> int: ...


@torch.jit._overload
def pick(x: str) -> str: ...


def pick(x):
    return x + x


def overloads(n: int, s: str):
    return pick(n), pick(s)


def test_overloads():
    compare(overloads, (2, "a"))


def test_overloads_refuse_other_types():
    def wrong(x: float):
        return pick(x)

    with pytest.raises(CompileError, match="no overload of pick takes these arguments"):
        torch.jit.script(wrong)


@torch.jit.ignore
def in_python(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(sorted(x.flatten().tolist(), key=lambda v: -v))


def calls_python(x: torch.Tensor):
    return in_python(x) + 1


def test_ignored_functions_run_as_python():
    compare(calls_python, (A,))


def test_a_script_with_python_in_it_cannot_be_saved(tmp_path):
    scripted = torch.jit.script(calls_python)
    with pytest.raises(CompileError, match="in_python is left to Python") as caught:
        torch.jit.save(scripted, tmp_path / "x")
    assert caught.value.code == "not-saveable"


class Marked(torch.nn.Module):
    def forward(self, x: torch.Tensor, bad: bool = False) -> torch.Tensor:
        if bad:
            return self.never(x)
        return self.python(x)

    @torch.jit.unused
    def never(self, x: torch.Tensor) -> torch.Tensor:
        import nothing_of_this_name  # noqa: PLC0415

        return nothing_of_this_name.f(x)

    @torch.jit.ignore
    def python(self, x: torch.Tensor) -> torch.Tensor:
        return x + max([1, 2], key=lambda v: -v)

    @torch.jit.export
    def extra(self, n: int) -> int:
        return n + 1


def test_marks():
    scripted = torch.jit.script(Marked())
    assert torch.equal(scripted(A), A + 1)
    assert scripted.extra(2) == 3
    with pytest.raises(RuntimeError, match="never is marked unused"):
        scripted(A, True)
