"""Python's arithmetic and types of numbers that only the program knows, and of sizes and arguments that become some."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jitorch
from tests.frontend.later.table import attempt, later, tensor

NUMBERS = "numbers of the program"

INTEGERS = {
    "floor_division": lambda n: (n // 2, n // -2, -n // 2, n // 2.5, 7 // n, -7 // n),
    "remainders": lambda n: (n % 3, n % -3, -n % 3, n % 2.5, 7 % n, -7 % n, divmod(n, 3), divmod(-7, n)),
    "true_division": lambda n: (n / 2, 1 / n),
    "bits": lambda n: (n & 3, n | 3, n ^ 5, ~n, 3 & n),
    "shift_to_the_left": lambda n: (n << 2, n << 0),
    "shift_to_the_right": lambda n: (n >> 1, n >> 70),
    "shift_by": lambda n: (5 << n, -5 >> n),
    "positive_power": lambda n: (n**2, n**0, (-n) ** 3),
    "negative_power": lambda n: n**-1,
    "power_with_a_fraction": lambda n: n**0.5,
    "power_of": lambda n: (2**n, (-3) ** n, 2.5**n),
    "signs": lambda n: (-n, +n, abs(n)),
    "kind_of_int": lambda n: (isinstance(n, int), isinstance(n, (float, str)), type(n) is int, n.__class__.__name__),
    "attributes_that_ints_lack": lambda n: (hasattr(n, "shape"), hasattr(n, "dtype"), getattr(n, "value", 1)),
    "with_true": lambda n: (n * True, n + True, True - n),
}
FLOATS = {
    "floats_divided": lambda a: (a // 2, a % 2, a % -2, divmod(a, 2), a // 0.3),
    "float_squared": lambda a: (a**2, a**3),
    "float_inverted": lambda a: a**-1,
    "float_root": lambda a: a**0.5,
    "float_to_itself": lambda a: a**a,
    "float_of_a_large_power": lambda a: a**400,
    "kind_of_float": lambda a: (isinstance(a, float), isinstance(a, int), type(a).__name__, hasattr(a, "item")),
}
BOOLS = {
    "sums_of_bools": lambda b: (b + b, b - b, b * b, sum([b, b, True]), b + 1),
    "bools_divided": lambda b: (b // True, b % 2, b / 1),
    "signs_of_bools": lambda b: (-b, +b, ~b, abs(b)),
    "bits_of_bools": lambda b: (b & True, b | b, b ^ b, b << 1, b >> 1, b & 3),
    "powers_of_bools": lambda b: (b**2, 2**b, b**b),
    "kind_of_bool": lambda b: (isinstance(b, bool), isinstance(b, int), type(b) is bool, isinstance(b, float)),
    "bools_compared": lambda b: (b == 1, b < 1, b is True, not b, [1, 2].count(b)),
}


def _of_the_program(table: dict[str, Any], kind: Any, numbers: tuple[float, ...]) -> None:
    """A case of each: with ``kind`` of an element of a tensor that holds one of the numbers."""
    for name, expression in table.items():

        def play(jit: Any, name: str = name, expression: Any = expression) -> Any:
            def f(x):
                return expression(kind(x[0]))

            f.__qualname__ = name  # traces are kept by the names of functions
            g = jit(f)
            for number in numbers:
                yield attempt(g, tensor(number))

        play.__name__ = name
        later(NUMBERS)(play)


_of_the_program(INTEGERS, int, (3, -3, 1, 0, 70))
_of_the_program(FLOATS, float, (0.5, -3.5, 2, 0, -8, 1e6))
_of_the_program(BOOLS, bool, (1, 0))


@later(NUMBERS)
def numbers_that_are_arguments(jit):
    def f(x, n):
        scale = n.value if hasattr(n, "value") else n
        owner = getattr(n, "owner", 3)
        return x * scale, owner, isinstance(n, (int, float)), type(n).__name__

    g = jit(f)
    for n in (0.5, 0.75, SimpleNamespace(value=2.5), 3, 4, 5, True):
        yield attempt(g, tensor(1, 2), n)


@later(NUMBERS)
def sizes_as_numbers(jit):
    def f(x):
        n = x.shape[0]
        kinds = isinstance(n, int), type(n) is int, hasattr(n, "terms"), n.__class__.__name__
        return kinds, n**-1, n**0.5, n << 1, n >> 1, n & 3, -n // 2, 7 // n, divmod(n, 3), n / 2, f"{n}", abs(n), +n

    g = jit(f)
    for size in (2, 3, 5, 7, 8):
        yield g(jitorch.zeros(size))


@later(NUMBERS)
def sizes_that_the_program_computes(jit):
    def f(x):
        n = len(x[x > 1])
        return isinstance(n, int), hasattr(n, "terms"), n << 1, n >> 1, n * n, n // 2, n % 2, -n, abs(n), n & 1

    g = jit(f)
    for size in (2, 3, 5, 7, 8):
        yield g(jitorch.arange(size))


@later(NUMBERS)
def patterns_of_numbers(jit):
    def f(x):
        match int(x[0]):
            case bool():
                return x
            case int(n):
                x = x * n
        match float(x[0]), x:
            case [float(a), jitorch.Tensor()]:
                return x * a
        return x

    g = jit(f)
    for n in (1, 2, -3):
        yield g(tensor(n, n + 1))


@later(NUMBERS)
def text_of_numbers(jit):
    def f(x):
        text = f"{float(x[0])}"
        return text, isinstance(text, str), type(text).__name__

    g = jit(f)
    yield g(tensor(1)), g(tensor(2.5))


@later(NUMBERS)
def counted_truths(jit):
    def f(x):
        n = 0
        while x.sum() < 40:
            n = n + bool(x[0] > 2) + bool(x[1] > 1)
            n += bool(x[0] > 5)
            x = x + 3
        return n

    g = jit(f)
    for n in (1, -3, 20):
        yield g(tensor(n, n + 1))
