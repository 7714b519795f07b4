"""Every feature of the language, compiled as one native program: values and gradients are those of plain Python.

One case a feature; the names are those of the list in docs/script.md.  `DYNAMIC` are the features that Python runs
around the native parts: lists, dicts and strings whose length or content the values of tensors decide.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any, Dict, Final, List, NamedTuple, Optional, Tuple, Union

import pytest

import jitorch as torch
import jitorch.nn.functional as F
from jitorch import Tensor, nn
from tests.frontend.script.check import compare, compare_native


def leaf(*shape: int, scale: float = 1.0) -> Tensor:
    """A tensor that wants a gradient, of numbers that are not equal."""
    count = math.prod(shape)
    return (torch.sin(torch.arange(float(count)) + 0.5) * scale).reshape(shape).detach().requires_grad_()


FEATURES: Dict[str, Tuple[Any, ...]] = {}


def feature(name: str, *calls: Any):
    """Add a case: a function, or a class of modules of which an instance is made, with what it is called with."""

    def add(thing: Any) -> Any:
        FEATURES[name] = (thing, *calls)
        return thing

    return add


# -- types


@feature("Tensor", (leaf(2, 3), leaf(3)))
def tensors(x, y):
    return x @ x.mT, (x * y).relu(), x.shape[0] * y.sum()


@feature("int float bool", (leaf(3), 3, 2.5, True), (leaf(3), 7, -1.0, False))
def numbers(x: Tensor, n: int, f: float, flag: bool):
    m = n // 2 + n % 3 - (n << 1)
    y = x * m + f / n if flag and n > 2 else x - f**2
    return y, m, not flag, abs(-f), n == 3 or flag, round(f), int(f), float(n), bool(n)


@feature("str", (leaf(3), "sum"), (leaf(3), "mean"))
def strings(x: Tensor, mode: str):
    if mode == "sum":
        return x.sum() * len(mode), mode + "!", mode[0], mode[1:], "u" in mode
    return x.mean(), mode * 2, mode[-1], mode[:2], mode not in ("max", "mean")


@feature("string methods", (leaf(2), " A-b "))
def string_methods(x: Tensor, s: str):
    t = s.strip().lower().replace("-", "_")
    parts = t.split("_")
    return x * len(parts), t.upper(), "+".join(parts), t.startswith("a"), t.find("b"), "{}:{}".format(t, 3), "%d" % 4


@feature("f-strings", (leaf(2), 3, 1.239))
def f_strings(x: Tensor, n: int, f: float):
    return x * n, f"{n:03d}|{f:.2f}|{x.shape[0]!r:>4}|{'a' if n > 2 else 'b'}"


@feature("None", (leaf(2), None), (leaf(2), leaf(2, scale=2.0)))
def nones(x: Tensor, y: Optional[Tensor]):
    if y is None:
        return x * 2, None
    return x * y, y


@feature("complex", (leaf(2), 1.5))
def complex_numbers(x: Tensor, f: float):
    z = complex(f, 2.0) * 2
    return x * z.real + z.imag, z * z, abs(z)


@feature("device dtype", (leaf(2),))
def devices_and_dtypes(x: Tensor):
    device, dtype = torch.device("cpu"), x.dtype
    y = torch.ones(2, device=device, dtype=dtype)
    return x * y, y.to(torch.float64), dtype == torch.float32, device.type, x.device == device


@feature("List", ([leaf(2), leaf(2, scale=3.0)], 2))
def lists(xs: List[Tensor], n: int):
    ys = [x * i for i, x in enumerate(xs)]
    ys.append(xs[0])
    ys.extend(xs)
    ys.insert(0, xs[-1] * n)
    last = ys.pop()
    ys.reverse()
    numbers = [3, 1, 2]
    numbers.sort()
    del numbers[0]
    return torch.stack(ys), last, numbers, numbers.index(3), len(ys), ys[1:3], [0] * n + [1]


@feature("Tuple", ((leaf(2), 3), leaf(2)))
def tuples(pair: Tuple[Tensor, int], y: Tensor) -> Tuple[Tensor, Tuple[int, Tensor]]:
    x, n = pair
    joined = pair + (y,)
    return x * n + joined[2], (len(joined), joined[0] * pair[1])


class Pair(NamedTuple):
    """Two fields, one of them with a default."""

    value: Tensor
    weight: int = 2


@feature("NamedTuple", (Pair(leaf(2), 3), leaf(2)))
def named_tuples(p: Pair, y: Tensor):
    q = Pair(y)
    value, weight = q
    return Pair(p.value * p.weight + value * weight, q.weight), q[0]


@feature("Dict", ({"a": leaf(2), "b": leaf(2, scale=2.0)}, "a"))
def dicts(d: Dict[str, Tensor], key: str):
    d["c"] = d[key] * 2
    total = d["b"]
    for name, x in d.items():
        total = total + x * len(name)
    counts = {n: i for i, n in enumerate(d.keys())}
    counts["a"] += 5
    return total, counts, counts.get("z", 7), "c" in d, len(d), [x.sum() for x in d.values()]


@feature("Optional", (leaf(2), None, None), (leaf(2), 3, [leaf(2)]))
def optionals(x: Tensor, n: Optional[int] = None, xs: Optional[List[Tensor]] = None):
    k = n if n is not None else x.size(0)
    best: Optional[Tensor] = None
    if xs is not None and len(xs) > 0:
        best = xs[0] * k
    return x * k if best is None else best + x


@feature("Union", (leaf(2), 3), (leaf(2), leaf(2)), (leaf(2), [leaf(2)]))
def unions(x: Tensor, other: Union[int, Tensor, List[Tensor]]) -> Tensor:
    if isinstance(other, int):
        return x * other
    elif isinstance(other, Tensor):
        return x - other
    return x + other[0]


@feature("Any", (leaf(2), 3), (leaf(2), "abc"), (leaf(2), None))
def anything(x: Tensor, value: Any):
    if isinstance(value, int):
        return x * value
    if isinstance(value, str):
        return x + len(value)
    return x


@feature("Final", (leaf(2, 3),))
class Finals(nn.Module):
    """Constants of a module: by annotation, and by PyTorch's older list."""

    scale: Final[float]
    depth: torch.jit.Final[int]
    __constants__ = ["shift"]

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.depth, self.shift = 0.5, 2, 1

    def forward(self, x):
        for _ in range(self.depth):
            x = torch.tanh(x) * self.scale + self.shift
        return x


class Mode(enum.Enum):
    """How to reduce."""

    SUM = 1
    MEAN = 2


@feature("Enum", (leaf(3), Mode.SUM), (leaf(3), Mode.MEAN))
def enums(x: Tensor, mode: Mode):
    if mode == Mode.SUM:
        return x.sum() * mode.value, mode.name
    return x.mean() * Mode.MEAN.value, mode.name


@dataclasses.dataclass
class Settings:
    """Numbers, with a method and a property."""

    scale: float
    names: List[str] = dataclasses.field(default_factory=list)
    shift: int = 1

    def apply(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift

    @property
    def double(self) -> float:
        return self.scale * 2


@feature("dataclasses", (Settings(2.0, ["a"]), leaf(2)))
def dataclass_methods(c: Settings, x: Tensor):
    d = Settings(0.5, ["b"])
    d.shift += 3
    c.names.append("new")
    return c.apply(x) + d.apply(x) * c.double, d.shift, len(c.names), c.names[-1]


class Accumulator:
    """Adds what it is given."""

    def __init__(self, start: Tensor, limit: int):
        self.total = start
        self.count: int = 0
        self.limit = limit

    def add(self, x: Tensor) -> None:
        if self.count < self.limit:
            self.total = self.total + x
            self.count += 1

    def __len__(self) -> int:
        return self.count

    def __add__(self, other: Accumulator) -> Accumulator:
        return Accumulator(self.total + other.total, self.limit)

    @staticmethod
    def scaled(x: Tensor, n: int) -> Tensor:
        return x * n


@feature("script classes", (leaf(2), 3))
def classes(x: Tensor, n: int):
    a = Accumulator(torch.zeros(2), 2)
    for i in range(n):
        a.add(x * i)
    b = a + Accumulator(x, 1)
    return a.total, b.total, len(a), Accumulator.scaled(x, n)


# -- refinement and inference


@feature("refinement by is None", (leaf(2), None), (leaf(2), leaf(2)))
def refined_by_none(x: Tensor, y: Optional[Tensor]):
    if y is not None and y.size(0) == 2:
        x = x * y
    z = y if y is not None else x + 1
    while y is None:
        y = x.sum()
    return x + z, y


@feature("refinement by isinstance", (leaf(2), 2.5), (leaf(2), [1, 2]))
def refined_by_isinstance(x: Tensor, v: Union[float, List[int]]):
    if torch.jit.isinstance(v, List[int]):
        return x * sum(v)
    assert isinstance(v, float)
    return x / v


@feature("inference", (leaf(2, 3), 2), (leaf(2, 3), 0))
def inferred(x, n: int):
    outs = []
    table = {}
    for i in range(n):
        outs.append(x * i)
        table[i] = x.sum()
    size = x.size()
    first = (outs[0] if n > 0 else x, n)
    return first[0], len(outs), size[0] + 1, len(table)


# -- statements and expressions


@feature("slicing", (leaf(3, 4), 1))
def slices(x: Tensor, n: int):
    y = x[1:, ::2] * x[n, :2].unsqueeze(0)
    numbers = [1, 2, 3, 4][n:]
    return y, x[..., -1], x[None].shape[0], x[x.size(0) - 1, 0], numbers, "abc"[:n], (1, 2, 3)[1:]


@feature("comprehension", ([leaf(2), leaf(2)], 3))
def comprehensions(xs: List[Tensor], n: int):
    ys = [x * i for i, x in enumerate(xs)]
    squares = {str(i): i * i for i in range(n) if i != 1}
    return torch.stack([y + 1 for y in ys]), squares, [[i] * i for i in range(n)], sum(i * i for i in range(n))


@feature("enumerate zip range reversed", ([leaf(2), leaf(2, scale=2.0)], [2, 3]))
def iterables(xs: List[Tensor], ns: List[int]):
    total = torch.zeros(2)
    for i, (x, n) in enumerate(zip(xs, ns)):
        total = total + x * n * i
    for i, x in enumerate(xs, 5):
        total = total - x * i
    for i in reversed(range(0, 6, 2)):
        total = total * 0.5 + i
    for x in reversed(xs):
        total = total * x
    return total


@feature("sorted min max sum any all len", (leaf(3), [3, 1, 2]))
def reductions(x: Tensor, ns: List[int]):
    ordered = sorted(ns, reverse=True)
    picked = max(ns) + min(ns[0], 2) + sum(ns) + len(ns)
    flags = any([n > 2 for n in ns]), all(n > 0 for n in ns)
    return x * picked, ordered, sorted(ns), flags, min(ns), max(1.5, 2.0)


@feature("unpacking", (leaf(4), (1, (2, "a"))))
def unpacked(x: Tensor, nested: Tuple[int, Tuple[int, str]]):
    a, (b, c) = nested
    first, *rest = [a, b, 3]
    p, q = x.chunk(2)
    p, q = q * 2, p
    (values, indices) = x.topk(2)
    size = (2, 2)
    return p - q, values, first, rest, c, x.view(*size)


@feature("augmented assignment", (leaf(2), 5))
def augmented(x: Tensor, n: int):
    n += 1
    n *= 3
    n -= 2
    n //= 2
    f = 1.5
    f /= 2
    f **= 2
    xs = [n]
    xs[0] += 3
    xs += [1]
    s = "a"
    s += "b"
    y = x * 2
    y *= n
    y += x
    y /= 2
    return y, n, f, xs, s


@feature("in-place assignment", (leaf(2, 3), torch.ones(2, 3)))
def in_place(x: Tensor, target: Tensor):
    y = x * 2
    y[0] = 1.0
    y[1, 1:] += x[0, 0]
    y.mul_(3).add_(x)
    y[y > 100] = 0.0
    target += 1
    target[:, 0] = -1.0
    return y


@feature("with no_grad", (leaf(2),))
def without_gradients(x: Tensor):
    with torch.no_grad():
        scale = x.abs().max()
        inside = torch.is_grad_enabled()
        with torch.enable_grad():
            y = x * 3
    return x / scale, y, inside, torch.is_grad_enabled()


@feature("nested functions", (leaf(2), 3))
def nested_functions(x: Tensor, n: int):
    def add(y: Tensor, by: int = 1) -> Tensor:
        return y * n + by

    double = lambda y: y * 2  # noqa: E731
    return add(x) + add(double(x), 4), double(n)


def helper(x: Tensor, scale: float = 2.0, *, shift: int = 0) -> Tensor:
    return x * scale + shift


def power(x: Tensor, n: int) -> Tensor:
    return torch.ones_like(x) if n == 0 else x * power(x, n - 1)


@feature("calls and recursion", (leaf(2), 3))
def calls(x: Tensor, n: int):
    pair = (x, 3.0)
    return helper(x), helper(scale=0.5, x=x), helper(x, shift=n), helper(*pair), power(x, n)


@feature("if elif else, ternaries", (leaf(2), 1), (leaf(2), 2), (leaf(2), 9))
def branches(x: Tensor, n: int):
    if n == 1:
        y = x * 2
    elif n < 5 and not n == 3:
        return -x
    else:
        y = x - 1 if n > 8 else x
    return y


@feature("branches on the values of tensors", (leaf(3),), (leaf(3, scale=-2.0),))
def tensor_branches(x: Tensor):
    y = x * 2 if bool(x.sum() > 0) else x - 1
    if bool((y > 1).any()):
        y = y / y.max()
    elif x[0] < 0:
        return -y
    return y + 1


@feature("while break continue else", (leaf(2), 7), (leaf(2), 0))
def loops(x: Tensor, n: int):
    total = x
    while True:
        n -= 1
        if n < 0:
            break
        if n % 2:
            continue
        total = total * 2 + n
    for i in range(3):
        if i == n:
            break
        total = total + i
    else:
        total = total * x
    return total, n


@feature("loops on the values of tensors", (leaf(3),), (leaf(3, scale=30.0),))
def tensor_loops(x: Tensor):
    y, steps = x, 0
    while bool(y.abs().sum() < 40.0):
        y = y * 1.5 + 0.1
        steps += 1
        if steps > 8:
            break
    return y * x, steps


@feature("rows of a tensor", (leaf(4, 3), leaf(3)))
def rows(x: Tensor, h: Tensor):
    outs = []
    for row in x:
        h = torch.tanh(row + h * 0.5)
        outs.append(h)
    return torch.stack(outs), h


@feature("raise and assert", (leaf(2), 1))
def raising(x: Tensor, n: int):
    assert n > 0, f"too small: {n}"
    if n > 5:
        raise ValueError("too large")
    assert bool(x.abs().sum() > 0), "nothing there"
    return x * n


@feature("math and the library", (leaf(2, 3), leaf(4, 3)))
def library(x: Tensor, w: Tensor):
    a = F.softmax(F.linear(x, w), dim=-1)
    values, indices = torch.sort(a, dim=1)
    parts = torch.split(a, 1)
    return values, indices, torch.cat([p * math.sqrt(2.0) for p in parts]), a.max(dim=1).values, math.pi


# -- modules


class Step(nn.Module):
    """A linear map, with a bias or without."""

    def __init__(self, size: int, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(leaf(size, size).detach() * 0.3)
        self.bias = nn.Parameter(torch.ones(size)) if bias else None

    def forward(self, x):
        y = x @ self.weight
        if self.bias is not None:
            y = y + self.bias
        return y


@feature("submodules", (leaf(2, 3),))
class Submodules(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Step(3), Step(3, bias=False)
        self.sequence = nn.Sequential(Step(3), nn.Tanh(), nn.Linear(3, 2))
        with torch.no_grad():
            self.sequence[2].weight.fill_(0.25)
            self.sequence[2].bias.zero_()

    def twice(self, x):
        return self.second(self.second(x))

    def forward(self, x):
        return self.sequence(self.twice(self.first(x))) * self.second.weight.sum()


@feature("ModuleList iteration", (leaf(2, 3), 1), (leaf(2, 3), 7))
class Lists(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList([Step(3), nn.ReLU(), Step(3, bias=False)])
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(3) * (i + 1)) for i in range(3)])

    def forward(self, x, skipped: int):
        for i, step in enumerate(self.steps):
            if i == skipped:
                continue
            x = step(x) + i
        for step, weight in zip(self.steps, self.weights):
            x = step(x) * weight
        for step in reversed(self.steps[1:]):
            x = step(x)
        outs = [step(x) for step in self.steps]
        return self.steps[0](x) + outs[1] + self.steps[-1](x), len(self.steps)


@feature("ModuleDict iteration", (leaf(2, 3), "b"))
class Dicts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({"a": Step(3), "b": nn.Tanh()})

    def forward(self, x, key: str):
        total = x
        for name, module in self.branches.items():
            if name == key:
                total = total + module(x)
        for module in self.branches.values():
            x = module(x)
        for name in self.branches:
            x = x * len(name)
        return total, self.branches["a"](x), "a" in self.branches


@feature("parameters buffers attributes", (leaf(2, 3),), (leaf(4, 3),))
class State(nn.Module):
    cache: Optional[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(leaf(3).detach())
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("nothing", None)
        self.cache = None
        self.calls = 0
        self.table: Dict[str, int] = {"seen": 0}
        self.sizes = (2, 3)
        self.act = F.relu

    def forward(self, x):
        self.mean = self.mean * 0.5 + x.detach().mean(dim=0) * 0.5
        if self.training:
            self.calls += 1
        self.table["seen"] += x.size(0)
        if self.nothing is not None:
            x = x * self.nothing
        cache = self.cache
        if cache is None:
            cache = x.detach() * 0 + 2
            self.cache = None
        return self.act(x * self.weight + self.mean * cache), self.calls, self.table["seen"], self.sizes[1]


@feature("export and unused", (leaf(2),))
class Marked(nn.Module):
    def forward(self, x, bad: bool = False):
        if bad:
            return self.never(x)
        return self.extra(x, 2)

    @torch.jit.unused
    def never(self, x):
        raise NotImplementedError(os.getcwd())  # noqa: F821

    @torch.jit.export
    def extra(self, x, n: int):
        return x * n


@torch.jit.interface
class Layer:
    def forward(self, x: Tensor) -> Tensor:
        return x


@feature("interfaces", (leaf(2, 3),))
class WithInterface(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Step(3), Step(3, bias=False)

    def run(self, layer: Layer, x: Tensor) -> Tensor:
        return layer.forward(x) + 1

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.first, x) * self.run(self.second, x)


@torch.jit._overload
def pick(x: Tensor, n: int) -> Tensor: ...


@torch.jit._overload
def pick(x: Tensor, n: str) -> Tensor: ...


def pick(x, n):
    if isinstance(n, int):
        return x * n
    return x + len(n)


@feature("overloads", (leaf(2), 3, "ab"))
def overloads(x: Tensor, n: int, s: str):
    return pick(x, n), pick(x, s)


@feature("is_scripting and annotate", (leaf(2), 3))
def spellings(x: Tensor, n: int):
    xs = torch.jit.annotate(List[Tensor], [])
    if torch.jit.is_scripting() or not torch.jit.is_tracing():
        xs.append(x * n)
    else:
        xs.append(this_name_does_not_exist(x))  # noqa: F821
    return xs[0]


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_is_native_and_equals_python(name):
    thing, *calls = FEATURES[name]
    compare_native(thing() if isinstance(thing, type) else thing, *calls)


# -- what Python runs around the native parts


def words_of_values(x: Tensor):
    return f"{x.sum().item():.3f}", [float(v) for v in x]


def list_of_values(x: Tensor):
    kept: List[int] = []
    for i in range(x.size(0)):
        if bool(x[i] > 0):
            kept.append(i)
    return kept


def dict_of_values(x: Tensor):
    counts: Dict[int, int] = {}
    for i in range(x.size(0)):
        key = int(x[i] * 2)
        counts[key] = counts.get(key, 0) + 1
    return counts


@torch.jit.ignore
def in_python(x: Tensor) -> Tensor:
    return torch.tensor(sorted(x.tolist(), key=lambda v: -v))


def ignored(x: Tensor):
    return in_python(x) + 1


DYNAMIC = (words_of_values, list_of_values, dict_of_values, ignored)


@pytest.mark.parametrize("function", DYNAMIC, ids=lambda function: function.__name__)
def test_a_dynamic_container_or_string_equals_python(function):
    scripted = compare(function, (torch.tensor([0.5, -1.0, 2.0]),), (torch.tensor([-0.5]),))
    assert "eager" in scripted.explain()
