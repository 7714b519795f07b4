"""What the rewritten Python needs of a tracer: a small protocol, and the way to refuse.

`jitorch.frontend.python` knows nothing of tensors.  It reads, guards, journals and calls; whatever
is a tensor, or was made while tracing, belongs to a `Recorder`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from jitorch.errors import Location, user_location

if TYPE_CHECKING:
    from jitorch.frontend.python.guards import TensorKey
    from jitorch.frontend.python.paths import Path
    from jitorch.frontend.python.scalars import RuntimeScalar
    from jitorch.frontend.python.state import State


class Refuse(BaseException):
    """This call cannot be staged: ``why`` in words, ``where`` the user's line; ``reason`` is a key of `errors.STAGING`.

    ``places``: the tests that would have to come out in one way for it (empty: that would not help; None: not known).

    Not an `Exception`, so that no handler of the user's own code swallows it.
    """

    def __init__(
        self, reason: str, why: str, where: Location | None = None, hint: str | None = None,
        places: frozenset[Location] | None = None,
    ):  # fmt: skip
        self.reason, self.why, self.hint, self.places = reason, why, hint, places
        self.where = where if where is not None else user_location(columns=True)
        super().__init__(why)

    def __str__(self) -> str:
        return self.why if self.where is None else f"{self.why} ({self.where})"


class Recorder(Protocol):
    """The tracer's side.  One recorder serves one run of the user's function.

    ``inputs``: the paths whose values the program takes, in order; it fills while operations are
    recorded (of a stored tensor: ``trace.path_of(tensor)``; of a run-time scalar: ``scalar.path``).

    ``tensor_keys``: how guards ask for ``tensor_key(tensor)``; a guard on a tensor may be an attribute
    read, or a condition in line, instead of a Python call.
    """

    @property
    def inputs(self) -> Sequence[Path]: ...

    @property
    def tensor_keys(self) -> TensorKey: ...

    def begin(self, trace: State) -> None:
        """Called once before the user's function runs: ``trace`` answers `path_of`, `guard`, `concretize`."""
        ...

    def end(self) -> None:
        """Called once when the user's function has returned: journal what it left behind that is no object."""
        ...

    def is_tensor(self, value: Any) -> bool:
        """Whether ``value`` is a tensor, stored (it exists outside of the trace) or traced."""
        ...

    def is_traced(self, value: Any) -> bool:
        """Whether ``value`` was made by recorded operations in this trace: a tensor, a symbolic size, ..."""
        ...

    def python_type(self, value: Any) -> type:
        """The class that plain Python sees in something traced: ``int`` for a symbolic size."""
        ...

    def is_constant(self, value: Any) -> bool:
        """Whether ``value`` is an immutable object of the library (dtype, device), guarded by ``==``."""
        ...

    def is_internal(self, function: Any) -> bool:
        """Whether the function or class is the library's own and is run as it is, not rewritten."""
        ...

    def unwrap(self, function: Any) -> Any:
        """What calling ``function`` means inside of a trace: a jitted function gives what it wraps."""
        ...

    def tensor_key(self, tensor: Any) -> Hashable:
        """What of a stored tensor the trace depends on: dtype, shape, layout class, requires_grad, ...

        Called by guards on whatever stands at the path, so it must also answer (anything unequal), or
        raise AttributeError, TypeError or ValueError, for what is no tensor.
        """
        ...

    def tensor_attribute(self, tensor: Any, name: str) -> Any:
        """``tensor.name``.  For plain attributes of stored tensors (``grad``) use ``trace.read_attribute``."""
        ...

    def is_computed_size(self, value: Any) -> bool:
        """Whether ``value`` is a size that only the program knows: a bound of a slice as it is."""
        ...

    def is_bound_inside(self, value: Any) -> bool:
        """Whether ``value`` is a tensor of a size that only a branch or loop that is over knows."""
        ...

    def varies(self, a: Any, b: Any) -> bool:
        """Whether a branch may give one tensor or the other, whose sizes along one axis differ; one may be dead."""
        ...

    def shrinks(self, before: Any, after: Any) -> bool:
        """Whether ``after`` is a tensor like ``before`` that is not longer, but for one axis of the same type."""
        ...

    def length(self, tensor: Any) -> Any:
        """``len(tensor)``, which may be a size that is a symbol."""
        ...

    def set_tensor_attribute(self, tensor: Any, name: str, value: Any) -> None:
        """``tensor.name = value``.  ``trace.write_attribute`` journals a plain attribute."""
        ...

    def snapshot(self, value: Any) -> tuple[Any, Any]:
        """What a tensor or number of run time holds now, and what makes of that result what is shown of it."""
        ...

    def arithmetic(self, name: str, *operands: Any) -> Any:
        """``operator.<name>(*operands)`` of numbers of which one is known at run time only; else NotImplemented."""
        ...

    def number(self, scalar: RuntimeScalar) -> Any:
        """What stands for a run-time scalar as the operand of a tensor."""
        ...

    def lend(self, scalar: RuntimeScalar) -> Any:
        """What stands for a run-time scalar as an argument of a function of the library."""
        ...

    def concretize(self, value: Any, why: str) -> Any:
        """The Python value of something traced, with a guard, or `Refuse`; ``why`` names the use."""
        ...

    @property
    def stager(self) -> Any:
        """Traces branches and loops whose tests are known at run time only; see `Flow` for what is asked of it."""
        ...

    def decided(self, value: Any) -> bool:
        """The truth of something traced or of a tensor, in the course that this trace follows; else `Refuse`."""
        ...

    def predicate(self, value: Any) -> Any:
        """The truth of something traced or of a tensor: a bool, or what stands for one in the program."""
        ...

    def convert(self, value: Any, kind: type) -> Any:
        """``kind(value)`` of something traced or of a tensor, where ``kind`` is int, float or bool."""
        ...

    def row(self, tensor: Any, key: Any) -> Any:
        """``tensor[key]`` where a rolled loop has it at hand, else NotImplemented."""
        ...

    def fill(self, tensor: Any, key: Any, value: Any) -> bool:
        """``tensor[key] = value`` where the key is a mask, if that can be done for masks of any contents."""
        ...

    def index(self, key: Any) -> Any:
        """A number of run time as an index of a tensor."""
        ...

    def range(self, bounds: Sequence[Any]) -> Any:
        """``range(*bounds)`` for a staged loop; NotImplemented if the bounds have Python values."""
        ...

    def kind_of(self, value: Any) -> Any:
        """What two tensors or numbers of run time must agree in to be joined; None for anything else."""
        ...

    def codes(self, a: Any, b: Any) -> tuple[Any, Any] | None:
        """Numbers of the objects from outside that two values to be joined are, where it matters which."""
        ...

    def chosen(self, value: Any, code: Any) -> Any:
        """Remember the number of what a branch chose; gives the value."""
        ...

    def choice(self, value: Any, results: Sequence[Any]) -> tuple[Any, list[tuple[int, Any]]] | None:
        """Of one of the ``results`` that a branch chose: its number, as a result, and the object for each number."""
        ...

    def number_of(self, code: Any) -> int:
        """The number in what the program gave for the first part of a `choice`."""
        ...

    def is_same(self, a: Any, b: Any) -> Any:
        """``a is b`` of two objects that differ now: a bool, or what stands for one in the program."""
        ...

    def check_results(self, results: Sequence[Any]) -> None:
        """Refuse results that cannot be told apart after the call."""
        ...

    def check(self, predicate: Any) -> None:
        """Go on only where ``predicate`` holds; else the call is run again, by plain Python."""
        ...

    @property
    def has_checks(self) -> bool:
        """Whether anything was checked so far."""
        ...

    def negate(self, predicate: Any) -> Any:
        """``not predicate``, as a Python bool of run time."""
        ...

    def freeze(self, why: str) -> bool:
        """Whether the trace may take what differs from call to call, which ``why`` names, as it is now."""
        ...

    def written(self) -> Sequence[Any]:
        """The stored tensors whose contents this trace changes (asked once, at the end)."""
        ...
