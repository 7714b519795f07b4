"""What patterns of ``match`` ask of their subjects, under the protocol; `match_statement` makes the rest of them."""

from __future__ import annotations

from typing import Any

from jitorch.frontend.python.flow import Flow
from jitorch.frontend.python.journal import MISSING

# Of `PyTypeObject.tp_flags`: what PEP 634 asks of a class.
_SEQUENCE, _MAPPING, _MATCHES_ITSELF = 1 << 5, 1 << 6, 1 << 22


class Matching(Flow):
    """Patterns with parts."""

    def match_sequence(self, subject: Any, least: int, exactly: bool) -> Any:
        """Whether it is a sequence of so many elements, or of more."""
        if not type(subject).__flags__ & _SEQUENCE:
            return False
        return self.compare("eq" if exactly else "ge", self.call(len, subject), least)

    def match_rest_of_sequence(self, subject: Any, start: int, stop: int | None) -> list[Any]:
        """What a star takes."""
        return self.adopt(list(self.iterate(subject))[start:stop])

    def match_mapping(self, subject: Any, *keys: Any) -> bool:
        """Whether it is a mapping with these keys."""
        if not type(subject).__flags__ & _MAPPING:
            return False
        return all(self.test(self.contains(subject, key)) for key in keys)

    def match_rest_of_mapping(self, subject: Any, *keys: Any) -> dict[Any, Any]:
        """What two stars take."""
        return self.adopt({key: value for key, value in self.pairs(subject) if key not in keys})

    def match_class(self, subject: Any, kind: Any, positional: int) -> bool:
        """Whether it is an instance; TypeError if the class does not take so many positional patterns."""
        if not isinstance(kind, type):
            raise TypeError("called match pattern must be a class")
        if not self.call(isinstance, subject, kind):
            return False
        names = self._match_names(kind) if positional else ()
        if positional > (taken := 1 if names is None else len(names)):
            plural = "" if taken == 1 else "s"
            raise TypeError(f"{kind.__name__}() accepts {taken} positional sub-pattern{plural} ({positional} given)")
        return True

    def match_attribute(self, subject: Any, kind: Any, which: int | str) -> Any:
        """The attribute of this name, or of a positional pattern; or MISSING."""
        names = self._match_names(kind) if isinstance(which, int) else ()
        if names is None:
            return subject
        name = names[which] if isinstance(which, int) else which
        try:
            return self.attribute(subject, name)
        except AttributeError:
            return MISSING

    def match_found(self, value: Any) -> bool:
        """Whether there was an attribute."""
        return value is not MISSING

    def _match_names(self, kind: type) -> Any:
        """The attributes of positional patterns; None where the only one is the subject itself."""
        if self.has_attribute(kind, "__match_args__"):
            return self.contents(self.attribute(kind, "__match_args__"))
        return None if kind.__flags__ & _MATCHES_ITSELF else ()
