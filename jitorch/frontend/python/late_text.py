"""Text of what only the program computes: it can be printed, logged, raised and returned, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from jitorch.frontend.python.recorder import Refuse


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A replacement field: ``value`` is computed by the program; ``show`` makes of it what is formatted."""

    value: Any
    show: Callable[[Any], Any] | None
    spec: str
    conversion: int


class LateText:
    """Strings and fields, to be joined after the program has run.

    None of the ten nouns will do: to the user's code this is a `str` whose characters are not known yet.
    """

    def __init__(self, parts: tuple[str | Field, ...]):
        self.parts = parts

    def __add__(self, other: Any) -> Any:
        return join(self, other) if isinstance(other, (str, LateText)) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return join(other, self) if isinstance(other, str) else NotImplemented

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()

    def _refuse(self, *_: Any) -> NoReturn:
        raise Refuse(
            "data", "formatting needs a value that is computed by the traced program", hint="print or return the text"
        )


def _refuse_the_rest() -> None:
    names = "str repr format bool len iter contains getitem eq ne lt le gt ge hash mul mod rmul rmod"
    for name in names.split():
        setattr(LateText, f"__{name}__", LateText._refuse)


_refuse_the_rest()


def join(*texts: str | LateText) -> str | LateText:
    """The texts joined: plain text where all are."""
    if all(isinstance(t, str) for t in texts):
        return "".join(texts)  # type: ignore[arg-type]
    return LateText(tuple(part for t in texts for part in (t.parts if isinstance(t, LateText) else (t,))))
