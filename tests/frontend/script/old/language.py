"""Uses of the language itself, written as TorchScript programs of their time are."""

import enum
from typing import Any, Dict, List, Optional, Tuple, Union

import torch
from torch import Tensor, nn


class Kind(enum.Enum):
    PUSH = 0
    ADD = 1
    MUL = 2


class Machine(object):
    """A machine with a stack."""

    def __init__(self):
        self.stack: List[float] = []
        self.steps: int = 0

    def run(self, kind: Kind, value: float):
        self.steps += 1
        if kind == Kind.PUSH:
            self.stack.append(value)
        elif kind == Kind.ADD:
            self.stack.append(self.stack.pop() + self.stack.pop())
        else:
            self.stack.append(self.stack.pop() * self.stack.pop())


def calculate(values: List[float]) -> Tuple[float, int]:
    machine = Machine()
    for i, value in enumerate(values):
        machine.run(Kind.PUSH, value)
        if i > 0:
            machine.run(Kind.ADD if i % 2 == 1 else Kind.MUL, 0.0)
    return machine.stack[-1], machine.steps


class Range(object):
    def __init__(self, low: float, high: float, name: str = "range"):
        self.low = low
        self.high = high
        self.name = name

    def width(self) -> float:
        return self.high - self.low


def normalise(x: Tensor, low: float, high: float) -> Tuple[Tensor, str]:
    limits = Range(low, high)
    if limits.width() <= 0.0:
        raise ValueError("{} is empty".format(limits.name))
    return (x - limits.low) / limits.width(), limits.name


class NegativeError(ValueError):
    pass


def checked_sqrt(x: Tensor, strict: bool) -> Tensor:
    if bool((x < 0).any()):
        if strict:
            raise NegativeError("a negative number")
        x = x.clamp(min=0)
    return torch.sqrt(x + 1)


def primes(n: int) -> List[int]:
    found: List[int] = []
    candidate = 2
    while len(found) < n:
        prime = True
        for p in found:
            if p * p > candidate:
                break
            if candidate % p == 0:
                prime = False
                break
        if prime:
            found.append(candidate)
        candidate += 1
    return found


def collatz(n: int) -> Tuple[int, int]:
    steps, largest = 0, n
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
        largest = max(largest, n)
    return steps, largest


def describe(value: Union[int, float, str, List[int]]) -> str:
    if isinstance(value, str):
        return "text of " + str(len(value))
    elif torch.jit.isinstance(value, List[int]):
        return "list with sum %d" % sum(value)
    elif isinstance(value, float):
        return f"float {value}"
    return f"int {value}"


def transform_text(text: str) -> Tuple[str, List[str], int, bool]:
    words = text.split()
    title = [w.capitalize() for w in words]
    joined = "-".join(title)
    reversed_text = text[::-1]
    count = 0
    for c in text:
        if c in "aeiou":
            count += 1
    return joined + "|" + reversed_text.upper(), words, count, text.endswith("x") and not text.startswith("y")


def parse_config(text: str) -> Dict[str, Tuple[str, int]]:
    out: Dict[str, Tuple[str, int]] = {}
    for number, line in enumerate(text.splitlines()):
        line = line.strip()
        if line == "" or line[0] == "#":
            continue
        at = line.find("=")
        if at < 0:
            raise RuntimeError("line {} has no =".format(number + 1))
        key, value = line[:at].rstrip(), line[at + 1 :].lstrip()
        out[key] = (value, number)
    return out


class Counter(nn.Module):
    """State in attributes, methods that call each other, constants of several kinds."""

    count: int
    names: List[str]
    limits: Tuple[int, int]

    def __init__(self):
        super().__init__()
        self.count = 0
        self.names = []
        self.limits = (2, 5)
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("total", torch.zeros(2))

    @torch.jit.export
    def reset(self) -> None:
        self.count = 0
        self.names.clear()
        self.total.zero_()

    @property
    def is_full(self) -> bool:
        return self.count >= self.limits[1]

    def register(self, name: str):
        self.count += 1
        self.names.append(name + str(self.count))

    @torch.jit.ignore
    def log(self, message: str) -> None:
        assert isinstance(message, str)

    @torch.jit.unused
    def never(self, x: Tensor) -> Tensor:
        return torch.tensor(sorted(x.tolist(), key=lambda v: -v))

    def forward(self, x: Tensor, names: List[str]) -> Tuple[Tensor, List[str], bool]:
        if not torch.jit.is_scripting():
            x = self.never(x)
        if self.count > self.limits[0]:
            self.reset()
        for name in names:
            self.register(name)
            self.log("one more")
        self.total += x.detach().sum(dim=0)
        return x * self.scale + self.total, self.names, self.is_full


@torch.jit.interface
class Transform(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


class Chooses(nn.Module):
    """One of several modules by a number that is known at run time, through an interface."""

    def __init__(self):
        super().__init__()
        self.transforms = nn.ModuleList([Double(), Shift()])

    def forward(self, x: Tensor, which: List[int]) -> Tensor:
        for i in which:
            transform: Transform = self.transforms[i]
            x = transform.forward(x)
        return x


def matrix_power(x: Tensor, n: int) -> Tensor:
    result = torch.eye(x.size(0))
    base = x
    while n > 0:
        if n & 1:
            result = result @ base
        base = base @ base
        n >>= 1
    return result


def gram_schmidt(vectors: Tensor) -> List[Tensor]:
    basis: List[Tensor] = []
    for i in range(vectors.shape[0]):
        v = vectors[i]
        for b in basis:
            v = v - torch.dot(v, b) * b
        norm = v.norm()
        if float(norm) > 1e-6:
            basis.append(v / norm)
    return basis


def merge(a: Dict[str, List[int]], b: Dict[str, List[int]]) -> List[Tuple[str, int]]:
    out: Dict[str, List[int]] = {}
    for k, v in a.items():
        out[k] = list(v)
    for k in b.keys():
        if k in out:
            out[k].extend(b[k])
        else:
            out[k] = b[k]
    pairs = [(k, sum(out[k])) for k in sorted(list(out.keys()))]
    for i in range(len(pairs)):
        for j in range(len(pairs) - 1 - i):
            if pairs[j][1] > pairs[j + 1][1]:
                pairs[j], pairs[j + 1] = pairs[j + 1], pairs[j]
    return pairs


def containers_of_anything(xs: List[Any], d: Dict[str, Any]) -> Tuple[int, int]:
    total = 0
    for x in xs:
        if isinstance(x, int):
            total += x
    found = 0
    for key in d:
        if isinstance(d[key], str):
            found += 1
    return total, found


def first_or(xs: Optional[List[Optional[int]]], default: int = -1) -> int:
    if xs is not None and len(xs) > 0:
        value = xs[0]
        if value is not None:
            return value
    return default
