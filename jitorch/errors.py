"""Every error jitorch raises: what, expected / actual, where (the user's line), hint.

Two families.  A `UserError` is about what the caller passed; it points at the caller's own line.
A `CompilerBug` is about jitorch itself; it prints the IR that reproduces it.

Each user error is also the built-in exception that PyTorch raises in its place (`RuntimeError`,
`TypeError`, `IndexError`, ...), so code that catches those keeps working.
"""

from __future__ import annotations

import contextlib
import functools
import linecache
import os
import sys
from contextvars import ContextVar
from types import CodeType, FrameType

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
"""The folder of jitorch's own code: how the file names of its frames begin."""

_internal: tuple[str, ...] = (PACKAGE, "<jitorch", functools.__file__, contextlib.__file__)
"""How the file names of jitorch's own code begin, and those between it and the user's: cached properties, ``with``."""


class Location:
    """A place in the user's source: ``file``, ``line`` and, where known, the columns of the expression."""

    __slots__ = ("file", "line", "column", "end_column")

    def __init__(self, file: str, line: int, column: int = -1, end_column: int = -1):
        self.file, self.line, self.column, self.end_column = file, line, column, end_column

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Location) and (self.file, self.line) == (other.file, other.line)

    def __hash__(self) -> int:
        return hash((self.file, self.line))

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"

    def __repr__(self) -> str:
        return f"Location({self.file!r}, {self.line})"

    def excerpt(self) -> list[str]:
        """The source line and a line of carets under the expression, or nothing where there is no source."""
        source = linecache.getline(self.file, self.line).rstrip("\n")
        if not source.strip():
            return []
        text = source.lstrip()
        if self.column < 0:
            return [text]
        # Columns count UTF-8 bytes, carets count characters.
        encoded = source.encode()
        start = len(encoded[: self.column].decode(errors="replace")) - (len(source) - len(text))
        stop = len(encoded[: self.end_column].decode(errors="replace")) - (len(source) - len(text))
        if stop <= start or start < 0:
            return [text]
        return [text, " " * start + "^" * (stop - start)]


_internal_files: dict[str, bool] = {}
"""What `is_internal` said of the files asked for so far: a trace asks some hundred thousand times."""


def is_internal(code: CodeType) -> bool:
    """Whether ``code`` is part of jitorch or of a plugin rather than of the user's program."""
    file = code.co_filename
    known = _internal_files.get(file)
    if known is None:
        known = _internal_files[file] = file.startswith(_internal)
    return known


def mark_internal(file: str) -> None:
    """Called by a plugin with its ``__file__``: errors then point past its folder, at the user's line."""
    global _internal
    folder = os.path.dirname(os.path.abspath(file)) + os.sep
    if folder not in _internal:
        _internal = (*_internal, folder)
        _internal_files.clear()


_generated: dict[str, dict[int, Location]] = {}


def mark_generated(file: str, lines: dict[int, Location]) -> None:
    """Called for code that was made from a user's: errors in a line of ``file`` show the line that it came from."""
    _generated[file] = lines


def _columns(frame: FrameType) -> tuple[int, int]:
    for i, (line, end_line, column, end_column) in enumerate(frame.f_code.co_positions()):
        if i == frame.f_lasti // 2:
            if line == end_line and column is not None and end_column is not None:
                return column, end_column
            break
    return -1, -1


_place: ContextVar[Location | None] = ContextVar("place", default=None)


class located:
    """``with located(where):`` what is recorded in this block comes from ``where``; errors still point at the call."""

    def __init__(self, where: Location | None):
        self._where = where

    def __enter__(self) -> None:
        self._token = _place.set(self._where)

    def __exit__(self, *exc: object) -> None:
        _place.reset(self._token)


def user_location(columns: bool = False) -> Location | None:
    """The innermost frame outside of jitorch; ``columns`` costs more and is for errors."""
    if not columns and (place := _place.get()) is not None:
        return place
    frame: FrameType | None = sys._getframe(1)
    known = _internal_files.get
    while frame is not None:
        if not known(frame.f_code.co_filename) and not is_internal(frame.f_code):
            origin = _generated.get(frame.f_code.co_filename)
            if origin is not None and frame.f_lineno in origin:
                return origin[frame.f_lineno]
            column, end_column = _columns(frame) if columns else (-1, -1)
            return Location(frame.f_code.co_filename, frame.f_lineno, column, end_column)
        frame = frame.f_back
    return None


def location_of(error: BaseException) -> Location | None:
    """The user's line, the innermost one, that raised ``error``."""
    found: Location | None = None
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_internal(code):
            found = Location(code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


class JitorchError(Exception):
    """The base of all errors that jitorch raises on purpose.

    ``what`` says in one line what is wrong.  ``expected`` and ``actual`` are shown one under the
    other; ``hint`` says what to do; ``where`` is the user's line, found on the stack if not given.

    ``identifier``, such as ``JT0100``, tells the kind of error; it stays what it is from version to version.
    """

    identifier = "JT0000"

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        actual: object = None,
        hint: str | None = None,
        where: Location | None = None,
    ):
        self.what = what
        self.expected, self.actual, self.hint = expected, actual, hint
        self.where = where if where is not None else user_location(columns=True)
        super().__init__(what)

    @property
    def section(self) -> str:
        """The section of docs/errors.md about this error."""
        return type(self).__name__

    def __str__(self) -> str:
        lines = [self.what]
        if self.expected is not None:
            lines.append("  expected: " + str(self.expected))
        if self.actual is not None:
            lines.append("  actual:   " + str(self.actual))
        if self.where is not None:
            prefix = f"  at:       {self.where}   "
            excerpt = self.where.excerpt()
            lines.append((prefix + (excerpt[0] if excerpt else "")).rstrip())
            lines += [" " * len(prefix) + carets for carets in excerpt[1:]]
        if self.hint is not None:
            lines.append(f"  hint:     {self.hint}")
        lines.append(f"  see:      docs/errors.md#{self.section} ({self.identifier})")
        return "\n".join(lines)


class UserError(JitorchError):
    """The caller's code or data is at fault."""

    identifier = "JT0001"


class ShapeError(UserError, RuntimeError):
    """Sizes or ranks do not fit together."""

    identifier = "JT0100"


class DTypeError(UserError, RuntimeError):
    """A dtype that the operation does not take, or that a result cannot be stored in."""

    identifier = "JT0200"


class DeviceError(UserError, RuntimeError):
    """A device that is not there, or tensors on different devices."""

    identifier = "JT0300"


class ArgumentError(UserError, TypeError):
    """A missing, unknown or wrongly typed argument."""

    identifier = "JT0400"


class ValueRangeError(UserError, ValueError, RuntimeError):
    """An argument of the right type with a value outside of what is allowed."""

    identifier = "JT0500"


class TensorIndexError(UserError, IndexError):
    """An index or an axis out of range."""

    identifier = "JT0600"


class AutogradError(UserError, RuntimeError):
    """A gradient was asked for that cannot be computed."""

    identifier = "JT0700"


class VmapError(UserError, ValueError, RuntimeError):
    """A function cannot be computed for many lanes at once, or not in the way asked for."""

    identifier = "JT2100"


class StateDictError(UserError, RuntimeError):
    """A state dict that does not fit the module or the optimiser it is loaded into."""

    identifier = "JT0800"


class LinAlgError(UserError, RuntimeError):
    """A matrix without the inverse or the factors that were asked for."""

    identifier = "JT0900"


STAGING = {
    "data": "JT1001", "effect": "JT1002", "unknown-call": "JT1003", "source": "JT1004", "syntax": "JT1005",
    "ignored": "JT1006", "iterator": "JT1007", "numpy": "JT1008", "object": "JT1009", "escape": "JT1010",
    "join": "JT1011", "loop": "JT1012", "raises": "JT1013", "branch-write": "JT1014", "gradient-mode": "JT1015",
    "alias": "JT1016", "outside-tensor": "JT1017", "side-effect": "JT1018", "result": "JT1019",
}  # fmt: skip
"""Why a function cannot be staged: the reasons of a `StagingError`, with their identifiers."""


class StagingError(UserError, RuntimeError):
    """Something that cannot be staged, where nothing may run eagerly; ``reason`` is a key of `STAGING`, or None."""

    identifier = "JT1000"

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        actual: object = None,
        hint: str | None = None,
        where: Location | None = None,
        reason: str | None = None,
    ):
        super().__init__(what, expected=expected, actual=actual, hint=hint, where=where)
        self.reason = reason
        if reason is not None:
            self.identifier = STAGING[reason]

    @property
    def section(self) -> str:
        return type(self).__name__ if self.reason is None else self.identifier


COMPILE = {
    "type-mismatch": "JT1101", "undefined": "JT1102", "unsupported": "JT1103", "unknown-member": "JT1104",
    "arguments": "JT1105", "annotation": "JT1106", "no-source": "JT1107", "not-saveable": "JT1108",
}  # fmt: skip
"""The codes of a `CompileError`, with their identifiers."""


class CompileError(UserError, RuntimeError):
    """`jit.script` read Python that it cannot type, or that no script may hold.

    ``code`` is a stable word for the kind of mistake: ``type-mismatch``, ``undefined``, ``unsupported``,
    ``unknown-member``, ``arguments``, ``annotation``, ``no-source`` or ``not-saveable``.
    """

    identifier = "JT1100"

    def __init__(
        self,
        what: str,
        code: str,
        *,
        expected: object = None,
        actual: object = None,
        hint: str | None = None,
        where: Location | None = None,
    ):
        super().__init__(what, expected=expected, actual=actual, hint=hint, where=where)
        self.code = code
        self.identifier = COMPILE[code]

    @property
    def section(self) -> str:
        return self.identifier

    def __str__(self) -> str:
        return f"[{self.code}] {super().__str__()}"


class TracingCheckError(UserError, RuntimeError):
    """A second run of a traced function gave another program or another result than the first."""

    identifier = "JT1200"


class TracerWarning(Warning):
    """A value was taken as it was when a function was traced, as ``allow_frozen`` permits."""


class UnsupportedError(UserError, NotImplementedError):
    """A documented PyTorch feature that jitorch does not have (yet)."""

    identifier = "JT1300"


class BackendError(UserError, RuntimeError):
    """A backend is unknown, unavailable, or refused a graph."""

    identifier = "JT1400"


class PluginError(UserError, RuntimeError):
    """A plugin could not be loaded, or two plugins claim one name."""

    identifier = "JT1500"


class MissingExtraError(UserError, ImportError):
    """An optional package is not installed; the hint names the extra."""

    identifier = "JT1600"


class ParseError(UserError, ValueError):
    """Text that is not valid IR."""

    identifier = "JT1700"


class SavedModelError(UserError, ValueError, RuntimeError):
    """A file that `jit.load` refuses: damaged, of another version, or with what no script has."""

    identifier = "JT1800"


class KernelError(UserError, RuntimeError):
    """Native code stopped in good order, such as for want of memory."""

    identifier = "JT1900"


class CheckFailed(UserError, AssertionError):
    """A check in compiled code failed; ``code`` tells which.  Nothing was written by the program that made it."""

    identifier = "JT2000"

    def __init__(self, code: int, where: Location | None = None):
        self.code = code
        super().__init__(
            "a check failed", actual=f"check {code}", hint="run the code without @jit to see its own error", where=where
        )


class CompilerBug(JitorchError, RuntimeError):
    """jitorch broke one of its own rules.  ``ir`` reproduces it; please report it."""

    identifier = "JT9000"

    def __init__(self, what: str, *, ir: object = None, expected: object = None, actual: object = None):
        self.ir = ir
        super().__init__(what, expected=expected, actual=actual, hint="this is a bug in jitorch, not in your code")

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.ir is None else f"{text}\n  ir:\n{self.ir}"


class VerifyError(CompilerBug):
    """A graph, kernel or program that breaks the rules of its language."""

    identifier = "JT9100"
