"""Each feature of the language, scripted, gives what plain Python gives."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Tuple, Union

import pytest

import jitorch as torch
import jitorch.nn.functional as F
from tests.frontend.script.check import compare

T = torch.tensor
A, B = torch.arange(6.0).reshape(2, 3), -torch.ones(2, 3)
SCALE = 2.5
SIZES = (2, 3)


def arithmetic(x: torch.Tensor, n: int, f: float):
    a = n // 2 + n % 3 - n * 2 + 2**n
    b = f / 2 + n - -f
    c = (n & 3) | (n << 1) ^ (n >> 1)
    return x * a + b, a, b, c, ~n, not n, abs(-f), round(f, 1), divmod(n, 2)


def unannotated(x, y):
    return x @ y.mT + x.sum() / y.numel()


def operands_of_and_or(n: int, m: int, s: str, x: torch.Tensor, some: Optional[int]):
    most = (some is not None and some > 1) or n > 100
    return n or 5, m or 5, n and 7, m and 7, n or m or 9, s or "empty", (n and m) or 3, 0 or n, 4 and m, most


def if_elif(x: torch.Tensor, n: int) -> torch.Tensor:
    if n > 2:
        y = x + 1
    elif n == 0:
        y = x * 0
    else:
        y = -x
    return y


def early_return(x: torch.Tensor, n: int) -> int:
    if n < 0:
        return -1
    for i in range(n):
        if i == 3:
            return i * 10
    return n


def while_loop(n: int) -> int:
    total = 0
    while True:
        n -= 1
        if n < 0:
            break
        if n % 2:
            continue
        total += n
    return total


def ternary(x: torch.Tensor, flag: bool):
    y = x if flag else -x
    return y + (1 if flag and x.dim() == 2 else 2.5)


def logic(a: int, b: int):
    return a > 1 and b > 1, a > 1 or b > 1, not a, a < b < 10, a == b != 3, a in [1, 2], b not in (1, 5)


def loops(xs: List[torch.Tensor], names: List[str]):
    total = torch.zeros(())
    for x in xs:
        total = total + x.sum()
    for i, x in enumerate(xs):
        total = total + x.mean() * i
    text = ""
    for name, x in zip(names, xs):
        text += name + str(x.size(0))
    for i in reversed(range(3)):
        text += str(i)
    for i in range(1, 10, 3):
        text += str(i)
    return total, text


def nested_loops(n: int):
    found: List[Tuple[int, int]] = []
    for i in range(n):
        for j in range(i):
            if j == 2:
                break
            found.append((i, j))
    return found


def rows(x: torch.Tensor):
    outs = []
    for row in x:
        outs.append(row * row.sum())
    return torch.stack(outs)


def containers(n: int):
    xs = [1, 2, 3]
    xs.append(n)
    xs.extend([7, 8])
    xs.insert(0, -1)
    last = xs.pop()
    xs[0] = 5
    xs[1] += 10
    del xs[2]
    xs.reverse()
    ys = xs + [n] * 2
    return xs, ys, last, xs[1:3], xs[-1], xs.index(n), len(ys), sorted(ys), min(ys), max(ys), sum(ys)


def empty_list_gets_its_type(n: int):
    xs = []
    for i in range(n):
        xs.append(i * 0.5)
    names = []
    names.append("a")
    return xs, names, sum(xs)


def dicts(n: int):
    d = {"a": 1, "b": n}
    d["c"] = 3
    d["a"] += 5
    del d["b"]
    keys = [k for k in d.keys()]
    pairs = [(k, v * 2) for k, v in d.items()]
    counts: Dict[int, List[str]] = {}
    for word in ["x", "yy", "z"]:
        if len(word) not in counts:
            counts[len(word)] = []
        counts[len(word)].append(word)
    total = 0
    for k in d:
        total += d[k]
    return d, keys, pairs, counts, d.get("zz"), d.get("c", 9), d.pop("c"), "a" in d, len(d), total


def dict_comprehension(xs: List[int]):
    return {str(x): x * x for x in xs if x > 1}


def tuples(x: torch.Tensor, p: Tuple[int, str]):
    n, name = p
    (a, b), c = (x, n), name
    first, *rest = [n, n + 1, n + 2]
    q = p + (1.5,)
    return a, b, c, first, rest, q, q[0], p[1], q[1:]


def swap(n: int):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def optional(x: Optional[torch.Tensor], n: Optional[int] = None):
    if x is None:
        return torch.zeros(2), -1
    k = n if n is not None else x.size(0)
    y = x + 1
    if n is not None and n > 2:
        y = y * n
    return y, k


def optional_loop(xs: List[torch.Tensor]) -> torch.Tensor:
    best: Optional[torch.Tensor] = None
    for x in xs:
        if best is None:
            best = x
        elif bool((x.sum() > best.sum()).item()):
            best = x
    assert best is not None, "no tensors"
    return best


def unions(x: Union[int, str, List[int]]) -> str:
    if isinstance(x, int):
        return str(x + 1)
    elif isinstance(x, str):
        return x.upper()
    return str(len(x) + x[0])


def anything(x: Any) -> int:
    if isinstance(x, int):
        return x
    if isinstance(x, str):
        return len(x)
    return -1


def strings(s: str, n: int, f: float):
    words = s.split(" ")
    t = "-".join([w.capitalize() for w in words])
    u = f"{s!r:>10}|{n:03d}|{f:.2f}|{n}"
    return (
        t, u, s.upper().lower(), s.replace("a", "b"), s.startswith("x"), s.find("b"), s[0], s[1:], s * 2, len(s),
        "{} and {}".format(n, f), "%d-%s" % (n, s), s.strip(), int("12") + n, float("1.5"), ord(s[0]), chr(65 + n % 26),
        [c for c in s], "a" < s,
    )  # fmt: skip


def builtins(xs: List[float], n: int):
    return (
        any([x > 0 for x in xs]), all(x > 0 for x in xs), sum(x * 2 for x in xs), sorted(xs, reverse=True),
        max(n, 3), min(1.5, xs[0]), int(2.7), float(n), bool(n), str(n), list(range(n)), list(reversed(xs)),
        list(zip(xs, xs)), round(2.567, 2), abs(-n), len(xs),
    )  # fmt: skip


def maths(f: float):
    return math.sqrt(f), math.floor(f), math.pi, math.log(f + 1, 2), math.isnan(f), math.inf, math.ceil(f)


def shapes(x: torch.Tensor):
    b, n = x.shape
    size = x.size()
    return x.view(b * n), x.view(size), x.reshape(-1, 1), x.shape[0], x.size(1), len(x.shape), x.ndim, size[-1]


def slices(x: torch.Tensor, n: int):
    y = x.clone()
    y[0] = 1.0
    y[:, 1:] += 10
    y[..., -1] = y[..., 0]
    return y[n], y[:, n], list(y[None].shape), y[y > 2], y[[0, 0]], y[0, 1:n], y[::2]


def in_place(x: torch.Tensor):
    x += 1
    x.mul_(2)
    y = x.t()
    y[0] = 0
    return y


def library(x: torch.Tensor, w: torch.Tensor):
    a = F.softmax(F.linear(x, w), dim=-1)
    v, i = torch.topk(a, 2)
    r = torch.sort(a, dim=1)
    parts = torch.split(a, 1)
    z = torch.zeros([2, 3], dtype=torch.float64, device=x.device)
    return a, v, i, r.values, r.indices, len(parts), parts[0], torch.cat([a, a]), z, torch.max(a), a.argmax(dim=1)


def types_of_numbers(x: torch.Tensor):
    n = int(x.sum().item())
    f = float(x.mean())
    return n + 1, f * 2, x.dtype == torch.float32, x.to(torch.int64), x.device, bool(x.sum() > 0)


def constants_outside(x: torch.Tensor):
    return x * SCALE + SIZES[0], torch.ones(SIZES)


def no_grad(x: torch.Tensor):
    with torch.no_grad():
        y = x * 2
    return y + x, torch.is_grad_enabled()


def helper(x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    return x * scale


def factorial(n: int) -> int:
    return 1 if n <= 1 else n * factorial(n - 1)


def calls(x: torch.Tensor, n: int):
    return helper(x) + helper(x, 2.0) + helper(scale=0.5, x=x), factorial(n)


def nested(x: torch.Tensor, n: int):
    def add(y):
        return y + n

    def twice(k: int) -> int:
        return k * 2

    double = lambda y: y * 2  # noqa: E731
    return double(add(x)), twice(n), add(1)


def raises(n: int):
    if n < 0:
        raise ValueError(f"negative: {n}")
    assert n < 5, "too large"
    return n


def annotated(n: int):
    xs = torch.jit.annotate(List[int], [])
    xs.append(n)
    y: Optional[int] = None
    if n > 1:
        y = n
    return xs, y


def scripting(x: torch.Tensor):
    if torch.jit.is_scripting():
        y = x
    else:
        y = this_name_does_not_exist(x) if x.numel() == -1 else x  # noqa: F821
    return y


def complex_numbers(f: float):
    z = complex(f, 2.0)
    return z * z, z.real, abs(f)


def devices(x: torch.Tensor):
    d = torch.device("cpu")
    y = torch.ones(2, device=d, dtype=x.dtype)
    return y.to(d), d.type, y.dtype == torch.float32


def augmented(n: int, f: float):
    n += 1
    n *= 3
    n -= 2
    n //= 2
    n %= 7
    f /= 2
    f **= 2
    s = "a"
    s += "b"
    xs = [1]
    xs += [2]
    return n, f, s, xs


def chained_assignment(x: torch.Tensor):
    a = b = x + 1
    xs = [0, 0]
    xs[0] = c = 5
    return a, b, xs, c


def deletes(n: int):
    x = n + 1
    y = x * 2
    del x
    return y


def docstring(x):
    """Says what it does."""
    return x


def tolist(x: torch.Tensor):
    rows: List[List[float]] = x.tolist()
    return rows


def starred(x: torch.Tensor):
    shape = (3, 2)
    return x.view(*shape), torch.zeros(*shape)


def mixed_int_float(n: int, flag: bool):
    x = 0.0
    for i in range(n):
        x = x + i
    return x


def tensor_condition(x: torch.Tensor):
    if bool(x.sum() > 0):
        y = x * 2
    else:
        y = x - 1
    steps = 0
    while bool(y.sum() < 100) and steps < 20:
        y = y * 2 + 1
        steps += 1
    return y, steps


PROGRAMS = [
    (arithmetic, (A, 3, 1.25), (B, 5, -2.0)),
    (unannotated, (A, B), (B, A)),
    (operands_of_and_or, (3, 0, "", A, None), (0, 2, "s", A, 2), (0, 0, "", A, 1)),
    (if_elif, (A, 3), (A, 0), (A, 1)),
    (early_return, (A, -2), (A, 2), (A, 7)),
    (while_loop, (5,), (0,), (12,)),
    (ternary, (A, True), (A[0], True), (A, False)),
    (logic, (1, 2), (3, 3), (0, 5)),
    (loops, ([A, B], ["p", "q"]), ([A], ["z"]), ([], [])),
    (nested_loops, (5,), (0,)),
    (rows, (A,), (torch.ones(4, 2),)),
    (containers, (4,), (9,)),
    (empty_list_gets_its_type, (3,), (0,)),
    (dicts, (4,)),
    (dict_comprehension, ([1, 2, 3],), ([],)),
    (tuples, (A, (3, "n"))),
    (swap, (10,), (0,)),
    (optional, (None,), (A,), (A, 3), (A, 1)),
    (optional_loop, ([A, B],), ([B],), ([],)),
    (unions, (3,), ("abc",), ([4, 5],)),
    (anything, (3,), ("abc",), (A,), (None,)),
    (strings, ("abc def", 5, 1.239), ("xbz", 12, -3.0)),
    (builtins, ([1.0, -2.5, 3.0], 4), ([0.5], 0)),
    (maths, (2.5,), (9.0,)),
    (shapes, (A,), (torch.ones(3, 4),)),
    (slices, (A, 1), (torch.ones(2, 4), 0)),
    (in_place, (A,), (B,)),
    (library, (A, torch.ones(4, 3)), (B, torch.eye(3))),
    (types_of_numbers, (A,), (B,)),
    (constants_outside, (A,)),
    (no_grad, (A,)),
    (calls, (A, 5), (B, 1)),
    (nested, (A, 3), (B, 0)),
    (raises, (1,), (-3,), (9,)),
    (annotated, (1,), (4,)),
    (scripting, (A,)),
    (complex_numbers, (1.5,)),
    (devices, (A,)),
    (augmented, (5, 3.0)),
    (chained_assignment, (A,)),
    (deletes, (3,)),
    (docstring, (A,)),
    (tolist, (A,), (torch.ones(1, 1),)),
    (starred, (A,)),
    (mixed_int_float, (3, True), (0, False)),
    (tensor_condition, (A,), (B,)),
]


def sizes_are_lists(x: torch.Tensor):
    size = x.size()
    size.append(1)
    return x.view(size), x.shape + [1]


def test_sizes_are_lists_as_in_torchscript():
    scripted = torch.jit.script(sizes_are_lists)
    y, size = scripted(A)
    assert y.shape == (2, 3, 1) and size == [2, 3, 1] and type(size) is list


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0].__name__)
def test_script_equals_python(program):
    function, *calls = program
    compare(function, *calls)
