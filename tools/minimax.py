"""Minimax polynomials: the tables of `jitorch.backends.cpu.mathematics.tables`, from nothing but definitions.

    python tools/minimax.py                  # prints the whole module
    python tools/minimax.py sine arctangent  # prints some of its tables

Method: Remez's exchange on a dense Chebyshev grid (Cheney, "Introduction to Approximation Theory", 1966,
chapter 3), in 60 decimal digits.  Coefficients are rounded to the format one after the other from the lowest
power on, and those that are left are fitted again each time, so that the later take up the rounding of the
earlier.  Needs mpmath, which the library does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mpmath import mp, mpf

mp.dps = 60

_GRID = 600
_EXCHANGES = 40
_SINGLE, _DOUBLE = 24, 53

Real = Any  # mpmath's numbers have no types
Function = Callable[[Real], Real]


@dataclass(frozen=True)
class Table:
    """``function`` on ``[low, high]`` as a polynomial of ``count`` coefficients; the error is counted ``weight`` times.

    Neither is asked at 0.
    """

    name: str
    bits: int
    function: Function
    weight: Function
    low: Real
    high: Real
    count: int


def remez(values: Sequence[Real], weights: Sequence[Real], points: Sequence[Real], powers: Sequence[int]) -> list[Real]:
    """Coefficients of ``powers`` that make the greatest of ``weights * |values - polynomial|`` least."""
    count = len(powers)
    columns = [[point**power for point in points] for power in powers]
    last = len(points) - 1
    chosen = [round(last * k / count) for k in range(count + 1)]
    solution: list[Real] = []
    for _ in range(_EXCHANGES):
        matrix, right = mp.matrix(count + 1, count + 1), mp.matrix(count + 1, 1)
        for row, place in enumerate(chosen):
            for column in range(count):
                matrix[row, column] = columns[column][place]
            matrix[row, count] = (-1) ** row / weights[place]
            right[row] = values[place]
        solution = list(mp.lu_solve(matrix, right))
        errors = [
            weight * (value - mp.fdot(solution[:count], terms))
            for value, weight, terms in zip(values, weights, zip(*columns, strict=True), strict=True)
        ]
        following = _alternation(errors, count + 1)
        if following is None or following == chosen:
            break
        chosen = following
        found = [abs(errors[place]) for place in chosen]
        if max(found) < min(found) * mpf("1.0001"):
            break
    return solution[:count]


def _greatest(
    values: Sequence[Real], weights: Sequence[Real], points: Sequence[Real], powers: Sequence[int], c: Sequence[Real]
) -> Real:
    """The greatest weighted error of coefficients ``c`` of ``powers``."""
    return max(
        weight * abs(value - point ** powers[0] * mp.polyval(list(reversed(c)), point))
        for value, weight, point in zip(values, weights, points, strict=True)
    )


def _alternation(errors: Sequence[Real], count: int) -> list[int] | None:
    """Places of the greatest errors of alternating sign, ``count`` of them; None if there are fewer."""
    peaks: list[int] = []
    for place, error in enumerate(errors):
        if peaks and (error > 0) == (errors[peaks[-1]] > 0):
            if abs(error) > abs(errors[peaks[-1]]):
                peaks[-1] = place
        else:
            peaks.append(place)
    while len(peaks) > count:
        # The least of all: at an end alone, inside together with its smaller neighbour.
        least = min(range(len(peaks)), key=lambda k: abs(errors[peaks[k]]))
        if least in (0, len(peaks) - 1) or len(peaks) == count + 1:
            del peaks[0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1]
            continue
        other = min(least - 1, least + 1, key=lambda k: abs(errors[peaks[k]]))
        del peaks[max(least, other)], peaks[min(least, other)]
    return peaks if len(peaks) == count else None


def rounded(value: Real, bits: int) -> Real:
    """To the nearest number of ``bits`` bits."""
    with mp.workprec(bits):
        return +value


def fit(table: Table) -> list[Real]:
    """The coefficients, lowest power first, each a number of ``table.bits`` bits."""
    middle, half = (table.low + table.high) / 2, (table.high - table.low) / 2
    points = [middle - half * mp.cos(mp.pi * k / (_GRID - 1)) for k in range(_GRID)]
    points = [point for point in points if point != 0]
    values, weights = [table.function(p) for p in points], [abs(table.weight(p)) for p in points]
    coefficients: list[Real] = []
    best: list[Real] = []
    for power in range(table.count):
        powers = range(power, table.count)
        again = remez(values, weights, points, powers)
        # Without the lowest powers the exchange need not converge around 0: then the last fit's stay.
        best = min((c for c in (again, best[1:]) if c), key=lambda c: _greatest(values, weights, points, powers, c))
        coefficients.append(rounded(best[0], table.bits))
        values = [value - coefficients[-1] * point**power for value, point in zip(values, points, strict=True)]
    return coefficients


def parts(value: Real, bits: Sequence[int]) -> list[Real]:
    """``value`` as a sum of numbers of so many bits."""
    found: list[Real] = []
    for width in bits:
        found.append(rounded(value - sum(found), width))
    return found


def places(value: Real, grid: Sequence[int], bits: int) -> list[Real]:
    """``value`` as a sum of multiples of ``2**-place`` for each place of ``grid``, and a rest of so many bits."""
    found: list[Real] = []
    for place in grid:
        found.append(mp.ldexp(mp.nint(mp.ldexp(value - sum(found), place)), -place))
    return [*found, rounded(value - sum(found), bits)]


def _exponential(r: Real) -> Real:
    return (mp.expm1(r) - r) / r**2


def _logarithm(f: Real) -> Real:
    return (mp.log1p(f) - f + f**2 / 2) / f**3


def _area_tangent(z: Real) -> Real:
    root = mp.sqrt(z)
    return (2 * mp.atanh(root) / root - 2) / z


# A little more on one side: on a symmetric interval the best reference may be singular.
REST = mpf("0.347"), mpf("0.35")


def _odd(function: Function) -> Function:
    """``q`` of ``function(x) = x + x*x*x * q(x*x)``."""

    def quotient(z: Real) -> Real:
        root = mp.sqrt(z)
        return (function(root) / root - 1) / z

    return quotient


def _error(z: Real) -> Real:
    root = mp.sqrt(z)
    return mp.erf(root) / root - 1


def _complement(t: Real) -> Real:
    return -mp.log(mp.erfc(t)) / t


def _log2_ratio(f: Real) -> Real:
    return mp.log(1 + f, 2) / f


def _power_of_two(r: Real) -> Real:
    return (mp.mpf(2) ** r - 1) / r


ONE = mpf(1)
LN2 = mp.log(2)

TABLES = (
    Table("EXPONENTIAL_32", _SINGLE, _exponential, lambda r: r, -REST[0], REST[1], 5),
    Table("EXPONENTIAL_64", _DOUBLE, _exponential, lambda r: r, -REST[0], REST[1], 10),
    Table("LOGARITHM_32", _SINGLE, _logarithm, lambda f: f**3 / mp.log1p(f), -ONE / 3, ONE / 3, 8),
    Table("LOGARITHM_64", _DOUBLE, _area_tangent, lambda z: z, mpf(0), ONE / 25, 7),
    Table("SINE_32", _SINGLE, _odd(mp.sin), lambda z: z**1.5 / mp.sin(mp.sqrt(z)), mpf(0), (mp.pi / 2) ** 2, 5),
    Table("SINE_64", _DOUBLE, _odd(mp.sin), lambda z: z**1.5 / mp.sin(mp.sqrt(z)), mpf(0), (mp.pi / 2) ** 2, 9),
    Table("TANGENT_32", _SINGLE, _odd(mp.tan), lambda z: z**1.5 / mp.tan(mp.sqrt(z)), mpf(0), (mp.pi / 4) ** 2, 7),
    Table("TANGENT_64", _DOUBLE, _odd(mp.tan), lambda z: z**1.5 / mp.tan(mp.sqrt(z)), mpf(0), (mp.pi / 4) ** 2, 14),
    Table("ARCSINE_32", _SINGLE, _odd(mp.asin), lambda z: z**1.5 / mp.asin(mp.sqrt(z)), mpf(0), ONE / 4, 5),
    Table("ARCSINE_64", _DOUBLE, _odd(mp.asin), lambda z: z**1.5 / mp.asin(mp.sqrt(z)), mpf(0), ONE / 4, 12),
    Table("ARCTANGENT_32", _SINGLE, _odd(mp.atan), lambda z: z**1.5 / mp.atan(mp.sqrt(z)), mpf(0), ONE, 8),
    Table("ARCTANGENT_64", _DOUBLE, _odd(mp.atan), lambda z: z**1.5 / mp.atan(mp.sqrt(z)), mpf(0), ONE, 20),
    Table(
        "HYPERBOLIC_TANGENT_32",
        _SINGLE,
        _odd(mp.tanh),
        lambda z: z**1.5 / mp.tanh(mp.sqrt(z)),
        mpf(0),
        ONE / 3,
        5,
    ),
    Table(
        "HYPERBOLIC_TANGENT_64",
        _DOUBLE,
        _odd(mp.tanh),
        lambda z: z**1.5 / mp.tanh(mp.sqrt(z)),
        mpf(0),
        ONE / 3,
        11,
    ),
    Table("ERROR_32", _SINGLE, _error, lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)), mpf(0), ONE, 7),
    Table("ERROR_64", _DOUBLE, _error, lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)), mpf(0), ONE, 14),
    Table("COMPLEMENT_32", _SINGLE, _complement, lambda t: t * mp.erfc(t), mpf(1), mpf(4), 7),
    Table("POWER_LOGARITHM", _DOUBLE, _log2_ratio, lambda f: f / mp.log(1 + f, 2), -ONE / 3, ONE / 3, 13),
    Table("POWER_OF_TWO", _DOUBLE, _power_of_two, lambda r: r, -ONE / 2, ONE * 51 / 100, 6),
    Table("COMPLEMENT_64", _DOUBLE, _complement, lambda t: t * mp.erfc(t), mpf(1), mpf(6), 17),
)


# Sums: of the first part the product with a whole number of so many bits less is exact.
SUMS = (
    ("LOG_OF_2_32", LN2, (15, 24)),
    ("LOG_OF_2_64", LN2, (40, 53)),
    ("LOG2_OF_E_32", 1 / LN2, (24, 24)),
    ("LOG2_OF_E_64", 1 / LN2, (53, 53)),
    ("LOG10_OF_E_32", 1 / mp.log(10), (24, 24)),
    ("LOG10_OF_E_64", 1 / mp.log(10), (53, 53)),
    ("LOG10_OF_2_32", LN2 / mp.log(10), (15, 24)),
    ("LOG10_OF_2_64", LN2 / mp.log(10), (40, 53)),
    ("HALF_PI_32", mp.pi / 2, (24, 24)),
    ("HALF_PI_64", mp.pi / 2, (53, 53)),
)

# Sums of multiples of ``2**-place``, and what is left in so many bits: where ``x - n * pi`` is below 2, it is
# exact up to the second place.
PLACES = (
    ("PI_32", mp.pi, (10, 22, 34), _SINGLE),
    ("PI_64", mp.pi, (31, 51, 84), _DOUBLE),
)

HEADER = '''"""Coefficients, the lowest power first, and constants as sums.  Written by tools/minimax.py."""

from __future__ import annotations
'''


def error(table: Table, coefficients: Sequence[Real]) -> Real:
    """The greatest weighted error of ``coefficients``."""
    middle, half = (table.low + table.high) / 2, (table.high - table.low) / 2
    points = (middle - half * mp.cos(mp.pi * (k + mpf(1) / 2) / 996) for k in range(996))
    return max(
        abs(table.weight(p)) * abs(table.function(p) - mp.polyval(list(reversed(coefficients)), p)) for p in points
    )


def source(name: str, values: Sequence[Real]) -> str:
    return f"{name} = (\n" + "".join(f"    {float(value)!r},\n" for value in values) + ")"


def text(table: Table) -> str:
    """The table as Python source, with its greatest error in a comment."""
    coefficients = fit(table)
    bound = mp.nstr(mp.log(error(table, coefficients), 2), 4)
    interval = f"[{mp.nstr(table.low, 5)}, {mp.nstr(table.high, 5)}]"
    return f"# On {interval}; weighted error 2**{bound}.\n{source(table.name, coefficients)}"


def main(names: Sequence[str]) -> None:
    """Print the tables whose names start with one of ``names``, or the whole module."""

    def wanted(name: str) -> bool:
        return not names or any(name.startswith(start.upper()) for start in names)

    if not names:
        print(HEADER)
    for name, value, bits in SUMS:
        if wanted(name):
            print(source(name, parts(value, bits)))
    for name, value, grid, bits in PLACES:
        if wanted(name):
            print(source(name, places(value, grid, bits)))
    for table in TABLES:
        if wanted(table.name):
            print(text(table), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
