"""Patterns of real scripts: refinement, nested containers, keyword-only parameters, tensors as masks, recursion."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Tuple, Union

import pytest

import jitorch as torch
from jitorch import Tensor
from tests.frontend.script.check import compare

A = torch.arange(6.0).reshape(2, 3)
NAMES = ("x", "y")
TABLE = {"x": 1, "y": 2}
BIG = 1e9


def masks(x: Tensor):
    keep = (x > 1) & (x < 4) | (x == 0)
    y = torch.where(keep, x, torch.zeros_like(x))
    y[keep] = -1.0
    return y, x.masked_fill(~keep, float("-inf")), keep.any(), x[keep].sum()


def refinements(x: Optional[Tensor], n: Optional[int], names: Optional[List[str]]):
    y = x if x is not None else torch.ones(1)
    if x is not None and x.dim() > 1 and n is not None:
        y = x * n
    if names is None or len(names) == 0:
        return y, "none"
    if n is None:
        n = 7
    first = names[0]
    return y + n, first


def refine_in_loop(xs: List[Optional[Tensor]]):
    total: Optional[Tensor] = None
    count = 0
    for x in xs:
        if x is None:
            continue
        if total is None:
            total = x
        else:
            total = total + x
        count += 1
    if total is not None:
        return total.sum().item(), count
    return 0.0, count


def until_none(n: int):
    current: Optional[int] = n
    steps: List[int] = []
    while current is not None:
        steps.append(current)
        current = current - 2 if current > 1 else None
    return steps


def nested(n: int):
    groups: Dict[str, List[Tuple[int, float]]] = {}
    for i in range(n):
        key = "even" if i % 2 == 0 else "odd"
        groups.setdefault(key, []).append((i, i / 2))
    flat = [(k, a, b) for k, pairs in groups.items() for a, b in pairs] if False else [0]
    total = 0.0
    for key, pairs in groups.items():
        for i, (a, b) in enumerate(pairs):
            total += a * b + i
    matrix = [[0] * n for _ in range(n)]
    for i in range(n):
        matrix[i][i] = i
        matrix[i][0] += 1
    return groups, total, matrix, flat


def keyword_only(x: Tensor, *, scale: float = 2.0, names: Tuple[str, str] = ("a", "b")):
    return x * scale, names[1]


def calls_keyword_only(x: Tensor):
    a, b = keyword_only(x, scale=3.0)
    c, d = keyword_only(x, names=("p", "q"))
    return a + c, b + d


def any_of(x: Union[Tensor, int, float]):
    if isinstance(x, (int, float)):
        return torch.ones(2) * x
    return x * 2


def asserts(x: Any):
    assert isinstance(x, Tensor), "no tensor"
    return x + 1


def container_isinstance(x: Union[List[int], List[str]]):
    if torch.jit.isinstance(x, List[int]):
        return sum(x)
    return -1


def constants(key: str, x: Tensor):
    return x * TABLE["y"] + len(NAMES), x.clamp(max=BIG), -math.inf < 0, key in ["x", "y"], NAMES[0] == key


def fibonacci(n: int) -> int:
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


def is_even(n: int) -> bool:
    return n == 0 or is_odd(n - 1)


def is_odd(n: int) -> bool:
    return n != 0 and is_even(n - 1)


def mutual(n: int):
    return is_even(n), is_odd(n)


def sorting(xs: List[int], words: List[str]):
    ys = xs.copy()
    ys.sort(reverse=True)
    return ys, sorted(words), max(xs), min(words), xs.count(1), [x for x in xs if x not in ys[1:]]


def slicing(xs: List[int], s: str):
    xs[1:3] = [9, 9, 9]
    return xs, xs[::-1], s[::-1], s[-3:], xs[:-1]


def tensor_factories(x: Tensor, n: int):
    return (
        x.new_zeros(n, 2), torch.full((n,), 1.5), torch.arange(n), torch.eye(n), torch.zeros_like(x, dtype=torch.int64),
        torch.tensor([1.0, float(n)]), torch.tensor(n), torch.stack([x] * n), torch.linspace(0.0, 1.0, steps=n),
    )  # fmt: skip


def in_place_arguments(xs: List[Tensor], d: Dict[str, int]):
    for i in range(len(xs)):
        xs[i] = xs[i] + i
    xs[0].add_(1)
    d["n"] = len(xs)
    return xs[0]


def numbers_of_tensors(x: Tensor):
    n = x.size(0)
    best, where = x.max(dim=1)
    total = 0
    for i in range(n):
        total += int(where[i])
    return total, float(best[0]), x[0, 0].item() + 1, int(x.sum()) % 3


def comparing_strings(mode: str, x: Tensor):
    if mode == "sum":
        return x.sum()
    elif mode in ("mean", "average"):
        return x.mean()
    raise ValueError("unknown mode: " + mode)


def lambdas(n: int):
    double = lambda v: v * 2  # noqa: E731
    return double(n), double("ab"), double(1.5)


def unpacked_calls(x: Tensor):
    pair = (x, 3)
    return two(*pair), two(*(x, 4))


def two(x: Tensor, n: int) -> Tensor:
    return x * n


def conditional_expressions(n: int, flag: bool):
    a = "big" if n > 5 else "middle" if n > 2 else "small"
    b = (n if flag else -n) * 2
    c = [1, 2] if flag else [3]
    return a, b, c, None if flag else n


def early_exit_of_two_loops(n: int):
    for i in range(n):
        for j in range(n):
            if i * j > 3:
                return i, j
    return -1, -1


def scan_like(x: Tensor, h: Tensor):
    outs: List[Tensor] = []
    for t in range(x.size(0)):
        h = torch.tanh(x[t] + h * 0.5)
        outs.append(h)
    return torch.stack(outs), h


def inner_function_with_state(x: Tensor, n: int):
    scale = 2

    def apply(v: Tensor, by: int = 3) -> Tensor:
        w = v * scale + by
        return w if n > 1 else -w

    y = apply(x)
    scale = 5
    return y, apply(x, 1)


PROGRAMS = [
    (masks, (A,), (-A,)),
    (refinements, (None, None, None), (A, 2, ["q"]), (A, None, []), (None, 3, ["z"])),
    (refine_in_loop, ([A, None, A],), ([None],), ([],)),
    (until_none, (5,), (0,)),
    (nested, (4,), (1,)),
    (calls_keyword_only, (A,)),
    (any_of, (3,), (2.5,), (A,)),
    (asserts, (A,), ("a",)),
    (container_isinstance, ([1, 2],), (["a"],)),
    (constants, ("x", A), ("z", A)),
    (fibonacci, (7,), (1,)),
    (mutual, (4,), (5,)),
    (sorting, ([3, 1, 2], ["b", "a"])),
    (slicing, ([1, 2, 3, 4], "abcdef")),
    (tensor_factories, (A, 2), (A, 3)),
    (in_place_arguments, ([A.clone(), A * 2], {})),
    (numbers_of_tensors, (A,), (A.flip(1),)),
    (comparing_strings, ("sum", A), ("average", A), ("max", A)),
    (lambdas, (4,)),
    (unpacked_calls, (A,)),
    (conditional_expressions, (9, True), (3, False), (0, True)),
    (early_exit_of_two_loops, (4,), (2,)),
    (scan_like, (A, torch.zeros(3)), (torch.ones(5, 3), torch.ones(3))),
    (inner_function_with_state, (A, 2), (A, 0)),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0].__name__)
def test_script_equals_python(program):
    function, *calls = program
    compare(function, *calls)


def test_keyword_only_parameters_are_called_by_name():
    scripted = torch.jit.script(keyword_only)
    assert scripted(A, scale=4.0)[0].equal(A * 4)
    with pytest.raises(TypeError):
        scripted(A, 4.0)


def test_gradients_of_scripts_with_loops():
    scripted = torch.jit.script(scan_like)
    x, h = torch.ones(4, 3, requires_grad=True), torch.zeros(3)
    (expected,) = torch.autograd.grad(scan_like(x, h)[0].sum(), [x])
    (actual,) = torch.autograd.grad(scripted(x, h)[0].sum(), [x])
    assert torch.allclose(actual, expected)
