"""What patterns of ``match`` ask of their subjects, under the protocol; `match_statement` makes the rest of them."""

from __future__ import annotations

from typing import Any

from jitorch.frontend.python import paths
from jitorch.frontend.python.flow import Flow
from jitorch.frontend.python.lookup import may_change

# Of `PyTypeObject.tp_flags`: what PEP 634 asks of a class.
_SEQUENCE, _MAPPING, _MATCHES_ITSELF = 1 << 5, 1 << 6, 1 << 22


class Matching(Flow):
    """Patterns with parts."""

    def match_sequence(self, subject: Any, least: int, exactly: bool) -> Any:
        """Whether it is a sequence of so many elements, or of more."""
        if not self._is_marked(self.python_type(subject), _SEQUENCE):
            return False
        return self.compare("eq" if exactly else "ge", self.call(len, subject), least)

    def _is_marked(self, kind: type, flag: int) -> bool:
        """Whether a class has a flag, which registering it with an abstract base class gives it."""
        found = kind.__flags__ & flag
        if may_change(kind):
            flags = paths.attr(paths.const(kind), "__flags__")
            self.guard(paths.expression(paths.OPERATIONS["and_"], flags, flag), "eq", found)
        return bool(found)

    def match_rest_of_sequence(self, subject: Any, start: int, stop: int | None) -> list[Any]:
        """What a star takes."""
        return self.adopt(list(self.iterate(subject))[start:stop])

    def match_mapping(self, subject: Any, *keys: Any) -> tuple[Any, ...] | None:
        """The values under these keys; None if it is no mapping or lacks one.  ValueError for a key given twice."""
        if not self._is_marked(type(subject), _MAPPING):
            return None
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise ValueError(f"mapping pattern checks duplicate key ({key!r})")
        if not all(self.test(self.contains(subject, key)) for key in keys):
            return None
        return tuple(self.item(subject, key) for key in keys)

    def match_rest_of_mapping(self, subject: Any, *keys: Any) -> dict[Any, Any]:
        """What two stars take."""
        return self.adopt({key: value for key, value in self.pairs(subject) if key not in keys})

    def match_class(self, subject: Any, kind: Any) -> bool:
        """Whether it is an instance."""
        if not isinstance(kind, type):
            raise TypeError("called match pattern must be a class")
        return bool(self.call(isinstance, subject, kind))

    def match_parts(self, subject: Any, kind: Any, positional: int, *names: str) -> tuple[Any, ...] | None:
        """The attributes of so many positional patterns and of these names; None if it is no instance or lacks one.

        All are asked for before any pattern is tried.  TypeError if the class does not take so many positional
        patterns, or an attribute is asked for twice.
        """
        if not self.match_class(subject, kind):
            return None
        first = self._match_names(kind, positional)
        found = [subject] if first is None else []
        seen = set[str]()
        for name in (*(first or ()), *names):
            if type(name) is not str:
                raise TypeError(f"__match_args__ elements must be strings (got {type(name).__name__})")
            if name in seen:
                raise TypeError(f"{kind.__name__}() got multiple sub-patterns for attribute {name!r}")
            seen.add(name)
            try:
                found.append(self.attribute(subject, name))
            except AttributeError:
                return None
        return tuple(found)

    def _match_names(self, kind: type, positional: int) -> tuple[Any, ...] | None:
        """The attributes of positional patterns; None where the only one is the subject itself."""
        if positional == 0:
            return ()
        is_subject, names = False, ()
        if self.has_attribute(kind, "__match_args__"):
            names = self.attribute(kind, "__match_args__")
            if type(names) is not tuple:
                raise TypeError(f"{kind.__name__}.__match_args__ must be a tuple (got {type(names).__name__})")
            names = self.contents(names)
        else:
            is_subject = bool(kind.__flags__ & _MATCHES_ITSELF)
        taken = 1 if is_subject else len(names)
        if positional > taken:
            plural = "" if taken == 1 else "s"
            raise TypeError(f"{kind.__name__}() accepts {taken} positional sub-pattern{plural} ({positional} given)")
        return None if is_subject else names[:positional]
