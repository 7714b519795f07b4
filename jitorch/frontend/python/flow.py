"""Branches and loops under the protocol: which bodies run, and what runs after them.

A body gives a *signal*: None if it ran to its end, `Left` if it left by ``return``, ``break`` or ``continue``, and
`Mixed` if only the compiled program will know which of these.  Where a test is plain, bodies run as Python would run
them.  Where it is known at run time only, the recorder's `Stager` traces both sides.
"""

from __future__ import annotations

import types
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jitorch.errors import Location
from jitorch.frontend.python.calls import Calls
from jitorch.frontend.python.iterators import TracedIterator
from jitorch.frontend.python.journal import MISSING
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.python.scalars import RuntimeScalar

Body = Callable[[], Any]

NEXT, BREAK, CONTINUE, RETURN = range(4)
_NAMES = {"BREAK": BREAK, "CONTINUE": CONTINUE}


@dataclass(frozen=True, slots=True)
class Left:
    """A body left in one way; ``value`` is what a ``return`` returns."""

    kind: int
    value: Any = None


@dataclass(frozen=True, slots=True)
class Mixed:
    """A body left in one of several ``kinds``; ``selector`` is the kind at run time, ``value`` the returned one.

    ``places``: the tests that decide.
    """

    selector: Any
    kinds: frozenset[int]
    value: Any = None
    places: frozenset[Location] = frozenset()


Signal = Left | Mixed | None


class Poison:
    """Stands for the value of a variable after paths that do not agree on one; reading it is refused.

    ``places``: the tests that decide which.
    """

    def __init__(self, why: str, hint: str = "", places: frozenset[Location] = frozenset()):
        self.why, self.hint, self.places = why, hint, places


class Maybe:
    """Stands for a variable that has the ``value`` only where ``present`` holds; reading it elsewhere is an error."""

    def __init__(self, value: Any, present: Any):
        self.value, self.present = value, present


class Variables:
    """The cells of a running function's variables."""

    __slots__ = ("cells",)

    def __init__(self, reader: types.FunctionType):
        self.cells: dict[str, types.CellType] = dict(zip(reader.__code__.co_freevars, reader.__closure__ or ()))

    def read(self) -> dict[str, Any]:
        """The variables that have a value."""
        found: dict[str, Any] = {}
        for name, cell in self.cells.items():
            try:
                found[name] = cell.cell_contents
            except ValueError:
                continue
        return found

    def write(self, values: dict[str, Any]) -> None:
        """Give each variable its value among these, or none."""
        for name, cell in self.cells.items():
            if name in values:
                cell.cell_contents = values[name]
            else:
                cell.cell_contents = None
                del cell.cell_contents


def kinds_of(signal: Signal) -> frozenset[int]:
    """The ways in which a body may have ended."""
    if signal is None:
        return frozenset((NEXT,))
    return frozenset((signal.kind,)) if isinstance(signal, Left) else signal.kinds


def value_of(signal: Signal) -> Any:
    """What is returned if the signal is a return; MISSING if it never is."""
    return MISSING if signal is None or RETURN not in kinds_of(signal) else signal.value


def only(signal: Mixed, kinds: frozenset[int]) -> Signal:
    """The signal where it is known to be one of these kinds."""
    kinds &= signal.kinds
    if len(kinds) > 1:
        return Mixed(signal.selector, kinds, signal.value if RETURN in kinds else None, signal.places)
    (kind,) = kinds
    return None if kind == NEXT else Left(kind, signal.value if kind == RETURN else None)


class Flow(Calls):
    """What the rewritten code asks instead of ``if``, ``while`` and ``for``."""

    def variables(self, reader: types.FunctionType, shared: bool) -> Variables:
        """Called where a function begins; ``reader`` closes over its variables."""
        found = Variables(reader)
        if shared:
            self.shared_variables.append(found)
        return found

    def value(self, value: Any) -> Any:
        """A variable's value, which may be none that all paths agree on, or none on some paths."""
        if type(value) is Maybe:
            self.recorder.check(value.present)  # plain Python raises what it raises
            return value.value
        if type(value) is Poison:
            raise Refuse("join", value.why, hint=value.hint or None, places=value.places)
        return value

    def local(self, reader: Body, name: str) -> Any:
        """The value of a variable of the running function: in a body it is the variable of another for Python."""
        try:
            value = reader()
        except NameError:
            raise UnboundLocalError(
                f"cannot access local variable {name!r} where it is not associated with a value", name=name
            ) from None
        return self.value(value)

    def returning(self, value: Any) -> Left:
        return Left(RETURN, value)

    def signal(self, name: str) -> Left:
        return Left(_NAMES[name])

    def finish(self, signal: Signal) -> Any:
        """What the function returns."""
        if signal is None:
            return None
        if isinstance(signal, Left):
            return signal.value
        if NEXT in signal.kinds and signal.value is not None:
            raise Refuse(
                "join",
                "a function that returns a value on one path and ends without one on another",
                hint="return a value at the end of the function, too",
                places=signal.places,
            )
        return signal.value

    # -- tests

    def decide(self, value: Any) -> Any:
        """The truth of ``value`` as a plain bool, or what stands for it where only the program will know it."""
        if type(value) is RuntimeScalar or not (self.recorder.is_traced(value) or self.recorder.is_tensor(value)):
            return self.test(value)
        return self.recorder.predicate(value)

    def holds(self, value: Any) -> bool:
        """The test of an ``assert``: where only the program knows it, a check in the program."""
        known = self.decide(value)
        if isinstance(known, bool):
            return known
        self.recorder.check(known)
        return True

    def unary(self, name: str, a: Any) -> Any:
        if name == "not_" and type(a) is not RuntimeScalar:
            known = self.decide(a)
            return not known if isinstance(known, bool) else self.recorder.negate(known)
        return super().unary(name, a)

    def ternary(self, test: Any, then: Body, orelse: Body) -> Any:
        """``then if test else orelse``"""
        known = self.decide(test)
        if isinstance(known, bool):
            return then() if known else orelse()
        return self._choose(known, then, orelse)

    def boolean(self, name: str, first: Any, *rest: Body) -> Any:
        """``a and b and c``, or the same with ``or``."""
        if not rest:
            return first
        known = self.decide(first)
        if isinstance(known, bool):
            return self.boolean(name, rest[0](), *rest[1:]) if known == (name == "and") else first
        following, stay = (lambda: self.boolean(name, rest[0](), *rest[1:])), (lambda: first)
        then, orelse = (following, stay) if name == "and" else (stay, following)
        return self._choose(known, then, orelse)

    def joined_truth(self, name: str, first: Any, *rest: Body) -> Any:
        """The truth of ``a and b and c``, or the same with ``or``."""
        known = self.decide(first)
        if not rest:
            return known
        if isinstance(known, bool):
            return self.joined_truth(name, rest[0](), *rest[1:]) if known == (name == "and") else known
        following, stay = (lambda: self.joined_truth(name, rest[0](), *rest[1:])), (lambda: known)
        then, orelse = (following, stay) if name == "and" else (stay, following)
        return self._choose(known, then, orelse)

    def chain(self, names: tuple[str, ...], first: Any, *rest: Body, truth: bool = False) -> Any:
        """``a < b < c``: each operand evaluated once, and only if the comparisons before it hold.

        ``truth``: only the truth of it matters.
        """
        right = rest[0]()
        result = self.compare(names[0], first, right)
        if len(names) == 1:
            return result
        join = self.joined_truth if truth else self.boolean
        return join("and", result, lambda: self.chain(names[1:], right, *rest[1:], truth=truth))

    def _choose(self, predicate: Any, then: Body, orelse: Body) -> Any:
        signal = self.recorder.stager.branch(
            self, predicate, lambda: Left(RETURN, then()), lambda: Left(RETURN, orelse()), None, None
        )
        return signal.value

    # -- branches

    def branch(
        self, test: Any, then: Body, orelse: Body | None, rest: Body | None, variables: Variables | None
    ) -> Signal:
        """``if test: then() else: orelse()``, then ``rest()`` where neither left."""
        known = self.decide(test)
        if not isinstance(known, bool):
            return self.recorder.stager.branch(self, known, then, orelse or _nothing, rest, variables)
        signal = then() if known else orelse() if orelse is not None else None
        return signal if rest is None else self.follow(signal, rest, variables)

    def sequence(self, first: Body, rest: Body | None, variables: Variables) -> Signal:
        """``first()``, then ``rest()`` where it did not leave."""
        signal = first()
        return signal if rest is None else self.follow(signal, rest, variables)

    def follow(self, signal: Signal, rest: Body, variables: Variables | None) -> Signal:
        """``rest()`` where the signal says to go on."""
        if signal is None:
            return rest()
        if isinstance(signal, Left) or NEXT not in signal.kinds:
            return signal
        return self.under(signal, rest, variables)

    def under(self, signal: Mixed, rest: Body, variables: Variables | None) -> Signal:
        """``rest()`` where the signal says to go on, else the signal itself."""
        stager = self.recorder.stager
        left = only(signal, signal.kinds - {NEXT})
        return stager.branch(self, stager.is_kind(signal, NEXT), rest, lambda: left, None, variables)

    # -- loops

    def for_loop(self, values: Any, body: Callable[[Any], Signal], orelse: Body | None, variables: Variables) -> Signal:
        """``for value in values: body(value)``; then ``orelse()`` where nothing broke out of it."""
        rolled = self.recorder.stager.for_loop(self, values, body, variables)
        signal = self._iterate(self.iterate(values), body, variables) if rolled is NotImplemented else rolled
        return self._after_loop(signal, orelse, variables)

    def _iterate(self, values: Iterator[Any], body: Callable[[Any], Signal], variables: Variables) -> Signal:
        pending: Signal = None
        with self.doubting() as doubt:
            for value in values:
                pending = self.iteration(pending, lambda value=value: body(value), variables)
                if pending is not None and NEXT not in kinds_of(pending):
                    break
                if pending is not None:
                    doubt()
        return pending

    @contextmanager
    def doubting(self) -> Iterator[Callable[[], None]]:
        """From the call of what this gives to the end of the block, only the program knows whether iterators go on."""
        positions: dict[TracedIterator, Any] = {}
        yield lambda: positions.update((x, x.position) for x in self.iterators() if x not in positions)
        for iterator, position in positions.items():
            if iterator.position != position:
                iterator.position = None

    def iteration(self, pending: Signal, body: Body, variables: Variables | None) -> Signal:
        """One more iteration, where ``pending`` says to go on; a ``continue`` ends it like its end."""
        if pending is None:
            signal = body()
        else:
            assert isinstance(pending, Mixed)
            signal = self.under(pending, body, variables)
        return self.without(signal, CONTINUE)

    def without(self, signal: Signal, kind: int) -> Signal:
        """``kind`` counts as going on: a loop has been continued, or left."""
        if signal is None or kind not in kinds_of(signal):
            return signal
        if isinstance(signal, Left):
            return None
        kinds = (signal.kinds - {kind}) | {NEXT}
        if kinds == {NEXT}:
            return None
        return Mixed(self.recorder.stager.without(signal, kind), kinds, signal.value, signal.places)

    def _after_loop(self, signal: Signal, orelse: Body | None, variables: Variables | None) -> Signal:
        if orelse is None or NEXT not in kinds_of(signal):
            return self.without(signal, BREAK)
        if not isinstance(signal, Mixed):
            return orelse()
        # A break of this loop is over; one in its else clause is for the loop around it.
        left = only(signal, signal.kinds - {NEXT})
        stager = self.recorder.stager
        going = stager.is_kind(signal, NEXT)
        return stager.branch(self, going, orelse, lambda: self.without(left, BREAK), None, variables)

    def while_loop(self, test: Body, body: Body, orelse: Body | None, variables: Variables) -> Signal:
        """``while test(): body()``; then ``orelse()`` where nothing broke out of it."""
        pending: Signal = None
        while pending is None:
            known = self.decide(test())
            if not isinstance(known, bool):
                pending = self.recorder.stager.while_loop(self, test, body, variables)
                break
            if not known:
                break
            pending = self.iteration(None, body, variables)
        else:
            if isinstance(pending, Mixed) and NEXT in pending.kinds:
                pending = self.recorder.stager.while_loop(self, test, body, variables, pending)
        return self._after_loop(pending, orelse, variables)

    @abstractmethod
    def frame(self, function: types.FunctionType) -> Any: ...


def _nothing() -> None:
    return None
