"""The courses of one compiled function: which tests have a program for each outcome, found by tracing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from jitorch.frontend.trace.course import MOST_COURSES, Course, Outcomes, Places, TooLong
from jitorch.frontend.trace.tracer import Traced


class Courses:
    """``places``: the tests of the function whose paths are kept apart, since they could not be joined."""

    def __init__(self) -> None:
        self.places: Places = frozenset()

    def adopt(self, places: Places) -> bool:
        """Take over the tests of a course that another process traced; False if they are not the same as here."""
        if not self.places:
            self.places = places
        return self.places == places

    def trace(self, run: Callable[[Course | None], Traced], known: Outcomes, count: int) -> Traced:
        """What ``run`` traces in the course that begins with the ``known`` outcomes.

        It may be of another course, where other tests turn out to have paths that cannot be joined: then outcomes known
        before are of no use.  A refused trace has just the known outcomes.  There are ``count`` courses so far.
        """
        if count >= MOST_COURSES:
            return replace(run(None), outcomes=known)
        before, first, attempt = self.places, known, known
        while True:
            course = Course(self.places, attempt)
            traced = run(course)
            refused = traced.staged.refused
            if refused is None:
                return traced
            more = (refused.places or frozenset()) - self.places
            if more:
                self.places |= more
                known = attempt = ()
                continue
            following = None if isinstance(refused, TooLong) else course.other(len(known))
            if following is None:
                break
            attempt = following
        if self.places != before:  # to no avail
            self.places = before
            return replace(run(Course(before, first)), outcomes=first)
        return replace(run(None) if isinstance(refused, TooLong) else traced, outcomes=known)
