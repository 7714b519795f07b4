"""``match`` becomes ``if``: the tests and bindings of PEP 634, as statements that the rewriter knows.

    match s:                        subject = s
        case 1 | 2: A               if subject == 1 or subject == 2: A
        case [x, *_] if x > 0: B    else:
                                        done = False
                                        if <a sequence of one or more>:
                                            x = subject[0]
                                            if x > 0: done = True; B
                                        if not done: ...

What has no operator is asked of the protocol (`matching`), by an `Asked` expression.  The new variables have names with
a dot, which no variable of the user's has.  As in CPython, a name is bound when the whole pattern matched.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import count

from jitorch.frontend.python.expressions import locate
from jitorch.frontend.python.scopes import clone


class Asked(ast.expr):
    """``_jt.method(*arguments)``, before rewriting."""

    _fields = ("method", "arguments")
    _field_types = {"method": str, "arguments": list}  # noqa: RUF012 - as in `ast`
    method: str
    arguments: list[ast.expr]


class MatchStatements(ast.NodeTransformer):
    """Replaces all ``match`` statements below a node."""

    def __init__(self) -> None:
        self._numbers = count()

    def visit_Match(self, node: ast.Match) -> list[ast.stmt]:
        subject = self._name("subject")
        cases = [self._case(case) for case in node.cases]
        return [locate(_assign(subject, node.subject), node), *self._chain(subject, cases)]

    def _name(self, what: str) -> str:
        return f"{what}.{next(self._numbers)}"

    def _case(self, case: ast.match_case) -> ast.match_case:
        body = [new for old in case.body for new in _listed(self.visit(old))]
        return ast.match_case(case.pattern, case.guard, body)

    def _chain(self, subject: str, cases: Sequence[ast.match_case]) -> list[ast.stmt]:
        """The first of the cases that matches."""
        if not cases:
            return []
        case, *rest = cases
        test = _test(case.pattern, subject)
        if isinstance(test, ast.Constant) and case.guard is None:
            return case.body
        if test is not None:
            if case.guard is not None:
                test = ast.BoolOp(ast.And(), [test, case.guard])
            return [locate(ast.If(test, case.body, self._chain(subject, rest)), case.pattern)]
        done, captured = self._name("done"), dict[str, str]()
        taken: list[ast.stmt] = [_assign(done, ast.Constant(True)), *case.body]
        if case.guard is not None:
            taken = [locate(ast.If(case.guard, taken, []), case.guard)]
        inner = self._match(case.pattern, subject, [], captured)
        bound = [_assign(name, _load(value)) for name, value in captured.items()]
        _innermost(inner).extend([*bound, *taken])
        found = [_assign(done, ast.Constant(False)), *inner]
        if rest:
            found.append(ast.If(ast.UnaryOp(ast.Not(), _load(done)), self._chain(subject, rest), []))
        return [locate(statement, case.pattern) for statement in found]

    # -- patterns: statements that run ``inner`` where the pattern matches

    def _match(
        self, pattern: ast.pattern, subject: str, inner: list[ast.stmt], captured: dict[str, str]
    ) -> list[ast.stmt]:
        """``captured``: the variable that holds what a name will be bound to."""
        test = _test(pattern, subject)
        if test is not None:
            return _if(test, inner)
        match pattern:
            case ast.MatchAs(pattern=inside, name=name):
                assert name is not None
                variable = captured.setdefault(name, self._name(name))
                first = [] if inside is None else self._match(inside, subject, [], captured)
                return _within(first, [_assign(variable, _load(subject)), *inner])
            case ast.MatchOr():
                return self._or(pattern, subject, inner, captured)
            case ast.MatchSequence():
                return self._sequence(pattern, subject, inner, captured)
            case ast.MatchMapping():
                return self._mapping(pattern, subject, inner, captured)
            case ast.MatchClass():
                return self._class(pattern, subject, inner, captured)
        raise AssertionError(f"no pattern: {type(pattern).__name__}")

    def _or(
        self, pattern: ast.MatchOr, subject: str, inner: list[ast.stmt], captured: dict[str, str]
    ) -> list[ast.stmt]:
        found = self._name("found")
        new = [_assign(found, ast.Constant(False))]
        for alternative in pattern.patterns:
            part = self._match(alternative, subject, [_assign(found, ast.Constant(True))], captured)
            new.append(ast.If(ast.UnaryOp(ast.Not(), _load(found)), part, []))
        return [*new, ast.If(_load(found), inner, [])]

    def _sequence(
        self, pattern: ast.MatchSequence, subject: str, inner: list[ast.stmt], captured: dict[str, str]
    ) -> list[ast.stmt]:
        parts = pattern.patterns
        star = next((i for i, p in enumerate(parts) if isinstance(p, ast.MatchStar)), None)
        least = len(parts) - (star is not None)
        new = _if(_asked("match_sequence", subject, ast.Constant(least), ast.Constant(star is None)), [])
        for i, part in enumerate(parts):
            if isinstance(part, ast.MatchStar):
                if part.name is not None:
                    bounds = ast.Constant(i), ast.Constant(i + 1 - len(parts) or None)
                    rest = captured.setdefault(part.name, self._name(part.name))
                    _innermost(new).append(_assign(rest, _asked("match_rest_of_sequence", subject, *bounds)))
                continue
            place = i if star is None or i < star else i - len(parts)
            new = self._part(new, part, ast.Subscript(_load(subject), _number(place), ast.Load()), captured)
        return _within(new, inner)

    def _mapping(
        self, pattern: ast.MatchMapping, subject: str, inner: list[ast.stmt], captured: dict[str, str]
    ) -> list[ast.stmt]:
        found = _asked("match_mapping", subject, *map(clone, pattern.keys))
        new = self._parts(found, pattern.patterns, captured)
        if pattern.rest is not None:
            rest = captured.setdefault(pattern.rest, self._name(pattern.rest))
            keys = map(clone, pattern.keys)
            _innermost(new).append(_assign(rest, _asked("match_rest_of_mapping", subject, *keys)))
        return _within(new, inner)

    def _class(
        self, pattern: ast.MatchClass, subject: str, inner: list[ast.stmt], captured: dict[str, str]
    ) -> list[ast.stmt]:
        names = map(ast.Constant, (len(pattern.patterns), *pattern.kwd_attrs))
        found = _asked("match_parts", subject, pattern.cls, *names)
        return _within(self._parts(found, [*pattern.patterns, *pattern.kwd_patterns], captured), inner)

    def _parts(self, found: ast.expr, patterns: Sequence[ast.pattern], captured: dict[str, str]) -> list[ast.stmt]:
        """Match what was ``found``, all of it at once: a tuple with a value for each pattern, or None."""
        parts = self._name("parts")
        test = ast.Compare(_load(parts), [ast.IsNot()], [ast.Constant(None)])
        new = [_assign(parts, found), *_if(test, [])]
        for i, part in enumerate(patterns):
            new = self._part(new, part, ast.Subscript(_load(parts), ast.Constant(i), ast.Load()), captured)
        return new

    def _part(
        self, new: list[ast.stmt], pattern: ast.pattern, value: ast.expr, captured: dict[str, str]
    ) -> list[ast.stmt]:
        """Go on with the ``value`` of a part, where ``new`` got so far."""
        name = self._name("part")
        _innermost(new).append(_assign(name, value))
        return _within(new, self._match(pattern, name, [], captured))


def _test(pattern: ast.pattern, subject: str) -> ast.expr | None:
    """A pattern as an expression, where it binds nothing and has no parts."""
    match pattern:
        case ast.MatchValue():
            return ast.Compare(_load(subject), [ast.Eq()], [pattern.value])
        case ast.MatchSingleton():
            return ast.Compare(_load(subject), [ast.Is()], [ast.Constant(pattern.value)])
        case ast.MatchAs(pattern=None, name=None):
            return ast.Constant(True)
        case ast.MatchClass(patterns=[], kwd_patterns=[]):
            return _asked("match_class", subject, pattern.cls)
        case ast.MatchOr():
            tests = [_test(p, subject) for p in pattern.patterns]
            return None if None in tests else ast.BoolOp(ast.Or(), tests)  # type: ignore[arg-type]
    return None


def _asked(method: str, subject: str, *arguments: ast.expr) -> Asked:
    return Asked(method, [_load(subject), *arguments])  # pyright: ignore[reportCallIssue]


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _number(value: int) -> ast.expr:
    return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _if(test: ast.expr, inner: list[ast.stmt]) -> list[ast.stmt]:
    return [ast.If(test, inner, [])]


def _innermost(statements: list[ast.stmt]) -> list[ast.stmt]:
    """The block that runs where all tests of the last statements hold."""
    while statements and isinstance(statements[-1], ast.If):
        statements = statements[-1].body
    return statements


def _within(outer: list[ast.stmt], inner: list[ast.stmt]) -> list[ast.stmt]:
    """``outer``, with ``inner`` at the end of its innermost block."""
    _innermost(outer).extend(inner)
    return outer


def _listed(statements: ast.stmt | list[ast.stmt]) -> list[ast.stmt]:
    return statements if isinstance(statements, list) else [statements]
