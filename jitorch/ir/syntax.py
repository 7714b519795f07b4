"""The syntax of graph text: text -> parse tree, and errors that point into the text.

Nothing here knows what the words mean; `jitorch.ir.parser` does.  Text may come from anywhere, so it
is bounded: `MAX_LENGTH` characters, brackets nested `MAX_DEPTH` deep.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeAlias

from jitorch.errors import Location, ParseError

if TYPE_CHECKING:
    from lark import Lark

# lark's; its own annotations do not say which children of a tree are trees.
Tree: TypeAlias = Any
Token: TypeAlias = Any

MAX_LENGTH = 1 << 26
"""The greatest number of characters; a node takes about a hundred."""

MAX_DEPTH = 100
"""How deep brackets may nest; a graph inside of a graph takes two."""

_EXCERPT = 100
_BRACKET = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|([(\[{<])|([)\]}>])')
_WORDS = {
    "ABSENT": "none",
    "BOUND": "an integer",
    "DIGEST": "a digest",
    "FLOAT": "a number",
    "GRAPH_NAME": "a graph's name (@main)",
    "INTEGER": "an integer",
    "NAME": "a name",
    "STRING": "a string",
    "VALUE": "a value (%0)",
    "$END": "the end",
}


class Place(Location):
    """Characters ``start`` to ``stop`` of ``text``; lines count from 1, columns from 0 as in `Location`."""

    __slots__ = ("text",)

    def __init__(self, text: str, start: int, stop: int):
        begin = text.rfind("\n", 0, start) + 1
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        stop = max(min(stop, end), start + 1)
        super().__init__("<graph>", text.count("\n", 0, start) + 1, start - begin, stop - begin)
        self.text = text[begin:end]

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column + 1}"

    def excerpt(self) -> list[str]:
        first = max(0, self.column - _EXCERPT // 2)
        shown = self.text[first : first + _EXCERPT].replace("\t", " ")
        stripped = shown.lstrip()
        column = self.column - first - (len(shown) - len(stripped))
        if column < 0:
            return [stripped]
        width = min(self.end_column - self.column, max(len(stripped) - column, 1))
        return [stripped, " " * column + "^" * width]


class Source:
    """A text that is being read: gives its tree, and errors at places of it."""

    def __init__(self, text: str):
        self.text = text

    def tree(self, start: str) -> Tree:
        """The parse tree of the whole text as a ``start`` (``graph`` or ``type``)."""
        from lark import UnexpectedInput

        if len(self.text) > MAX_LENGTH:
            raise self.error("the text is too long", expected=f"at most {MAX_LENGTH} characters", actual=len(self.text))
        self._check_depth()
        try:
            return _lark().parse(self.text, start=start)
        except UnexpectedInput as error:
            raise self._syntax_error(error) from None

    def slice(self, place: Token | Tree) -> str:
        """The characters of a token or tree."""
        return self.text[slice(*_span(place))]

    def after(self, tree: Tree) -> int:
        """The offset of the first character after ``tree``."""
        return _span(tree)[1]

    def error(
        self,
        what: str,
        place: Token | Tree | int = 0,
        *,
        expected: object = None,
        actual: object = None,
        hint: str | None = None,
    ) -> ParseError:
        """A `ParseError` at a token, a tree or an offset."""
        start, stop = (place, place + 1) if isinstance(place, int) else _span(place)
        return ParseError(what, expected=expected, actual=actual, hint=hint, where=Place(self.text, start, stop))

    def unknown(self, kind: str, place: Token, known: Iterable[str]) -> ParseError:
        """The error for a name that is not among ``known``; its hint is the closest of them."""
        names = sorted(known)
        close = get_close_matches(place, names, 3)
        return self.error(
            f"unknown {kind} {str(place)!r}",
            place,
            expected=(", ".join(names) or "none is known") if len(names) <= 20 else None,
            hint=f"did you mean {' or '.join(close)}?" if close else None,
        )

    def _check_depth(self) -> None:
        depth = 0
        for match in _BRACKET.finditer(self.text):
            depth += (match[1] is not None) - (match[2] is not None)
            if depth > MAX_DEPTH:
                raise self.error("nested too deeply", match.start(), expected=f"at most {MAX_DEPTH} open brackets")

    def _syntax_error(self, error: Any) -> ParseError:
        token = getattr(error, "token", None)
        if token is None:
            allowed, place = error.allowed, error.pos_in_stream
            actual = repr(self.text[place])
        else:
            allowed = error.accepts or error.expected
            at_end = token.type == "$END"
            place = len(self.text.rstrip()) if at_end else token
            actual = "the end of the text" if at_end else repr(str(token))
        words = sorted({_word(name) for name in allowed or ()})
        return self.error("this is not graph text", place, expected=", ".join(words) or None, actual=actual)


def _span(place: Token | Tree) -> tuple[int, int]:
    position: Any = getattr(place, "meta", place)
    return position.start_pos, position.end_pos


def _word(terminal: str) -> str:
    """How a terminal of the grammar is called in a message."""
    if terminal in _WORDS:
        return _WORDS[terminal]
    return repr(_lark().get_terminal(terminal).pattern.value)


@cache
def _lark() -> Lark:
    from lark import Lark

    grammar = resources.files("jitorch.ir").joinpath("graph.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", start=["graph", "type"], propagate_positions=True)
