"""Read the text of dims and guards; ``str`` writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from jitorch.dims.facts import Guard
from jitorch.dims.polynomial import Dim, Symbol, dim_max, dim_min, floordiv, mod
from jitorch.errors import ParseError

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_]\w*)|(//|[-+*%(),])|(\S))")
_FUNCTIONS: dict[str, Callable[..., Dim]] = {"floordiv": floordiv, "mod": mod, "min": dim_min, "max": dim_max}


def parse(text: str, known: Mapping[str, Symbol]) -> Dim:
    """Read what ``str`` writes: ``4*T + 1``, ``floordiv(T + 1, 2)``; infix ``//`` and ``%`` as well.

    ``known`` gives the symbols by name.  ParseError where the text is not a size.
    """
    return _Parser(text, known).whole()


def parse_guard(text: str, known: Mapping[str, Symbol]) -> Guard:
    """Read what ``str(guard)`` writes."""
    match = re.fullmatch(r"([^=!<]*)(==|!=|<=|<)([^=!<]*)", text)
    if match is None:
        raise ParseError(f"not a guard: {text!r}", expected="size, then one of == != < <=, then size")
    return Guard(match[2], parse(match[1], known), parse(match[3], known))


class _Parser:
    """Recursive descent: sum of products of (signed) numbers, names, calls and parentheses."""

    def __init__(self, text: str, known: Mapping[str, Symbol]):
        self.text, self.known, self.next = text, known, 0
        self.tokens = [m[1] or m[2] or m[3] or m[4] for m in _TOKEN.finditer(text.rstrip())] + [""]

    def whole(self) -> Dim:
        result = self.sum()
        if self.token:
            raise self.error("the end")
        return result

    @property
    def token(self) -> str:
        return self.tokens[self.next]

    def take(self, *choices: str) -> str:
        """The next token if it is one of ``choices``, else nothing."""
        found = self.token if self.token in choices else ""
        self.next += bool(found)
        return found

    def need(self, choice: str) -> None:
        if not self.take(choice):
            raise self.error(repr(choice))

    def error(self, expected: str) -> ParseError:
        return ParseError(f"not a size: {self.text!r}", expected=expected, actual=repr(self.token or "the end"))

    def sum(self) -> Dim:
        result = self.product()
        while sign := self.take("+", "-"):
            term = self.product()
            result = result + term if sign == "+" else result - term
        return result

    def product(self) -> Dim:
        result = self.unary()
        while fn := self.take("*", "//", "%"):
            operand = self.unary()
            result = (
                result * operand if fn == "*" else floordiv(result, operand) if fn == "//" else mod(result, operand)
            )
        return result

    def unary(self) -> Dim:
        if self.take("-"):
            return -self.unary()
        token = self.token
        if token.isdecimal():
            self.next += 1
            return int(token)
        if self.take("("):
            result = self.sum()
            self.need(")")
            return result
        if not token.isidentifier():
            raise self.error("a number, a name or '('")
        self.next += 1
        return self.call(token) if self.take("(") else self.name(token)

    def name(self, name: str) -> Dim:
        if name not in self.known:
            self.next -= 1
            raise self.error(f"one of the symbols {', '.join(self.known) or '(none)'}")
        return self.known[name].dim

    def call(self, fn: str) -> Dim:
        args = [self.sum()]
        while self.take(","):
            args.append(self.sum())
        self.need(")")
        if fn not in _FUNCTIONS or (fn in ("floordiv", "mod") and len(args) != 2):
            raise ParseError(f"not a size: {self.text!r}", expected="floordiv(a, b), mod(a, b), min(...) or max(...)")
        return _FUNCTIONS[fn](*args)
