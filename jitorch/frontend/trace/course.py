"""Courses: tests of which a program takes the outcome for granted, each outcome having a program of its own.

Where the paths of a branch leave things that cannot be joined (a tensor and None, lists of two lengths, an iterator
that only one of them advanced), they are kept apart up to the end of the function: a trace goes on by one path, and its
program *checks* that the test came out so.  Where the check fails, nothing is written, and the program of the other
path serves the call; it is traced when it is first needed.  So a call costs no more than the programs that stop at a
test, and a function gets as many programs as courses are taken.

None of the ten nouns will do: a course is to the tests of one trace what a signature is to its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jitorch.errors import Location
from jitorch.frontend.python.recorder import Refuse

Places = frozenset[Location]
Outcomes = tuple[bool, ...]

MOST_TESTS = 16
"""Of one course."""
MOST_COURSES = 32
"""Of one function."""
CODE = 1 << 10
"""The code of the check of the first test; those of others follow."""


class TooLong(Refuse):
    """A course of too many tests."""


@dataclass(eq=False)
class Course:
    """The tests at ``places`` are not staged.  The first come out as ``known``; of the rest, True is tried first."""

    places: Places = frozenset()
    known: Outcomes = ()
    taken: list[bool] = field(default_factory=list)

    def next(self) -> tuple[bool, int]:
        """The outcome of the next test, and the code of its check.  Raises `TooLong`."""
        number = len(self.taken)
        if number == MOST_TESTS:
            raise TooLong("join", f"more than {MOST_TESTS} tests whose paths must be kept apart")
        self.taken.append(self.known[number] if number < len(self.known) else True)
        return self.taken[-1], CODE + number

    def other(self, fixed: int) -> Outcomes | None:
        """The next course to try where this one cannot be compiled; its first ``fixed`` outcomes stay."""
        for number in range(len(self.taken) - 1, fixed - 1, -1):
            if self.taken[number]:
                return (*self.taken[:number], False)
        return None


def corrected(outcomes: Outcomes, code: int) -> Outcomes | None:
    """The outcomes up to the test whose check, of this code, failed; None if the check belongs to no test."""
    number = code - CODE
    if not 0 <= number < len(outcomes):
        return None
    return (*outcomes[:number], not outcomes[number])
