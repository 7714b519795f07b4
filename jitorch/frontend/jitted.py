"""The compiled function that users hold.

A call looks for a trace whose guards hold, runs its program, and replays what the function wrote.
If there is none, the function is traced again; the reason is kept for `explain`.
"""

from __future__ import annotations

import functools
import sys
import threading
import types
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jitorch import dims
from jitorch.backends import cache, registry
from jitorch.backends.cpu import extension
from jitorch.backends.kernels import release_arena
from jitorch.dims import SymDim
from jitorch.errors import PACKAGE, CheckFailed, CompilerBug, Location, StagingError, TensorIndexError
from jitorch.frontend.calls import plan as call_plan
from jitorch.frontend.calls.courses import Courses
from jitorch.frontend.calls.layout import Word
from jitorch.frontend.calls.modes import Modes, disabled, modes
from jitorch.frontend.calls.modes import disable as disabling
from jitorch.frontend.donation import Loan, donate, places
from jitorch.frontend.eager.differentiable import GraphFunction
from jitorch.frontend.entry import Entry
from jitorch.frontend.python import Path, changed_paths, first_failure, store
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.records import record as records
from jitorch.frontend.shown.check import TOLERANCE, Report, check_graph, compare_results
from jitorch.frontend.shown.code import python_code
from jitorch.frontend.shown.explain import explain_entry
from jitorch.frontend.shown.listing import listing
from jitorch.frontend.trace.course import Outcomes, corrected
from jitorch.frontend.trace.tensor_recorder import TensorRecorder
from jitorch.frontend.trace.tracer import TraceBuilder, Traced, trace
from jitorch.frontend.tuning import tune
from jitorch.ir.graph import Graph
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.tensor import Tensor

# Rewriting a function's source takes milliseconds; the result is kept beside the compiled objects.
store.load = lambda key: cache.get(cache.key_of("rewritten", key))
store.save = lambda key, data: cache.put(cache.key_of("rewritten", key), data)


@dataclass
class Statistics:
    """Counts of one compiled function; ``recalled`` are traces that another process made."""

    traces: int = 0
    recalled: int = 0
    compiled: int = 0
    calls: int = 0
    native: int = 0
    eager: int = 0
    causes: list[str] = field(default_factory=list)


class Raised(Exception):
    """The user's function raised ``error`` while it was traced."""

    def __init__(self, error: Exception):
        self.error = error
        found = getattr(error, "where", None)
        self.where = found if isinstance(found, Location) else None
        texts = [getattr(error, "what", ""), *(a for a in error.args if type(a) is str)]
        super().__init__(f"{type(error).__name__}: {max(texts, key=bool)}")


class Jitted:
    """A function compiled by `jitorch.jit`; call it like the function.

    ``fullgraph``: what cannot be staged is an error, never run eagerly.  ``backend``: by name, else
    the default in force.  ``dynamic``: None makes an axis symbolic when its second size is seen,
    True all axes from the start, False none.  ``checks``: "first" compares each new program with its meaning (`check`).
    ``donate``: arguments whose memory results may take (`jitorch.frontend.donation`).  ``tune``: the first call of a
    signature measures whether its program is faster than its ops one by one (`jitorch.frontend.tuning`).
    """

    __slots__ = ("__dict__", "__weakref__", "_plan")

    def __init__(
        self,
        function: Any,
        *,
        fullgraph: bool = False,
        backend: str | None = None,
        dynamic: bool | None = None,
        checks: str | None = None,
        donate: str | int | Sequence[str | int] = (),
        tune: bool = False,
    ):
        self.__jit_wrapped__ = function
        self.tune = tune
        self.donated = places(function, donate)
        self.fullgraph, self.backend, self.dynamic, self.checks = fullgraph, backend, dynamic, checks
        self.entries: list[Entry] = []
        self._statistics = Statistics()
        self._retired: list[Entry] = []
        self._plan: np.ndarray[Any, Any] | None = None
        self._dynamic: frozenset[Path] = frozenset()
        self._shapes: dict[Path, list[tuple[Any, ...]]] = {}
        self.origins: tuple[types.CodeType, ...] = ()  # the functions of which ``function`` is the captured graph
        self._reasons: list[str] = []  # why records on the disk were not used
        self._lock = threading.RLock()
        self._courses = Courses()
        if isinstance(function, (types.FunctionType, types.MethodType)):
            functools.update_wrapper(self, function)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "__jit_wrapped__" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.__jit_wrapped__, name)

    def __repr__(self) -> str:
        return f"<jitted {getattr(self.__jit_wrapped__, '__qualname__', self.__jit_wrapped__)!s}>"

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        if (dispatch.entered() is not None and _is_tracing()) or disabled.get():
            return self.__jit_wrapped__(*args, **kwargs)
        self._statistics.calls += 1
        return self._call_in_course((), args, kwargs)

    def _call_in_course(self, known: Outcomes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Serve a call of which the outcomes of the first tests are known."""
        try:
            found: Any = self._find(args, kwargs, known)
        except Raised as error:
            found = error
        # Not in the handler: what Python raises has nothing to do with what was raised here.
        if isinstance(found, Raised):
            return self._raise(found, args, kwargs)
        entry, inputs = found
        return self._run(entry, inputs, args, kwargs)

    def _raise(self, raised: Raised, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The function raised while it was traced, which wrote nothing: let Python do the same, writes and all."""
        self._statistics.eager += 1
        result = self.__jit_wrapped__(*args, **kwargs)
        refused = Refuse("raises", f"tracing it raises {raised}", raised.where)
        if self.fullgraph:
            raise self._staging_error(refused) from raised.error
        self._warn(refused)
        return result

    def _find(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], known: Outcomes = ()
    ) -> tuple[Entry, tuple[Any, ...]]:
        """The trace that serves a call, made if there is none, and the program's inputs."""
        now = modes()
        for entry in self.entries:
            if entry.modes == now and entry.serves(known) and (inputs := entry.inputs(args, kwargs)) is not None:
                return entry, inputs
        with self._lock:
            entry = self._recall(args, kwargs, now, known) or self._trace(args, kwargs, now, known)
        inputs = entry.inputs(args, kwargs)
        if inputs is None:
            raise CompilerBug(
                "the guards of a new trace do not hold for the call that made it",
                actual=self._why_not(entry, args, kwargs),
            )
        return entry, inputs

    def _run(self, entry: Entry, inputs: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if entry.refused is not None:
            if self.fullgraph and not entry.is_left_to_python:
                raise self._staging_error(entry.refused)
            self._statistics.eager += 1
            return self.__jit_wrapped__(*args, **kwargs)
        planned = entry.calls and not entry.is_planned and dispatch.is_plain()
        planned = planned and self._make_plan(entry, inputs, args, kwargs)
        other: Outcomes | None = None
        try:
            if entry.calls == 0 and self.checks == "first":
                self._refuse_difference(entry, self._check(entry, inputs, args, kwargs))
            if self.tune and entry.computes and not entry.is_tuned and dispatch.is_plain():
                self._tune(entry, inputs)
            result = entry.run(inputs, args, kwargs)
        except CheckFailed as error:
            failed, other = True, corrected(entry.traced.outcomes, error.code)
        except TensorIndexError:
            if entry.loan is not None:
                raise  # what was donated may be overwritten
            failed = True
        else:
            failed = False
        if other is not None:
            return self._call_in_course(other, args, kwargs)
        if failed:
            # Nothing was written: Python raises, or catches, what the program only knows to be an exception.
            self._statistics.eager += 1
            return self.__jit_wrapped__(*args, **kwargs)
        if planned:
            release_arena()  # from now on machine code uses its own
        if entry.draft is not None and entry.function is not None:
            entry.note = entry.draft.save(entry.function) or ""
            entry.draft = None
        self._statistics.native += entry.function is not None and entry.function.is_native
        return result

    # Machine code takes this name's place once there is a plan; what no plan serves comes back to `_call`.
    __call__ = _call

    def _tune(self, entry: Entry, inputs: tuple[Any, ...]) -> None:
        """Choose between the program and its ops one by one, once for an entry."""
        with self._lock:
            if entry.is_tuned or entry.function is None:
                return
            compiled = entry.function
            token = dispatch.set_grad_enabled_flag(entry.enables_grad or dispatch.is_grad_enabled())
            try:
                entry.choice, function = tune(compiled, inputs)
            finally:
                dispatch.reset_grad_enabled(token)
            if function is not compiled and entry.draft is not None:
                # What the record knows is the program; the choice is kept apart.
                entry.note = entry.draft.save(compiled) or ""
                entry.draft = None
            entry.function, entry.is_tuned = function, True

    def _make_plan(self, entry: Entry, inputs: tuple[Any, ...], args: tuple[Any, ...], kwargs: Any) -> bool:
        """Let machine code serve the calls after this one, if it can; says whether it does from now on."""
        if kwargs or not _install_machine_code():
            return False
        if entry.enables_grad:
            return False
        with self._lock:
            # Once for an entry: another thread may be in machine code that reads the plan.
            if entry.is_planned:
                return False
            entry.is_planned = True
            try:
                entry.plan = call_plan.make(entry, inputs, args)
            except call_plan.NoPlan:
                return False
            self._link_plans()
        return True

    def _link_plans(self) -> None:
        """Let machine code try the plans of the present entries, in their order; the lock is held."""
        plans = [e.plan for e in self.entries if e.plan is not None]
        for plan, following in zip(plans, [*plans[1:], None]):
            plan.words[Word.NEXT] = 0 if following is None else following.words.ctypes.data
        self._plan = plans[0].words if plans else None

    @property
    def statistics(self) -> Statistics:
        """Counts so far, those of machine code included."""
        found = self._statistics
        for entry in self.entries:
            calls = entry.plan.take_calls() if entry.plan is not None else 0
            if calls and entry.function is not None:
                found.calls += calls
                found.native += calls * entry.function.is_native
                entry.calls += calls
                entry.function.plain.calls += calls
        return found

    # -- records ---------------------------------------------------------------------------------
    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any], now: Modes) -> str | None:
        """What a record of such a call is kept under; None where no records are kept."""
        return records.key_of(self.__jit_wrapped__, self._backend(), now, self.dynamic, args, kwargs, self.donated)

    def _recall(self, args: tuple[Any, ...], kwargs: dict[str, Any], now: Modes, known: Outcomes) -> Entry | None:
        """A trace from the disk that is for this call, of a course that begins with the ``known`` outcomes."""
        key = self._key(args, kwargs, now)
        if key is None:
            return None
        for found in records.recall(key, self.__jit_wrapped__, self._backend(), args, kwargs, self._reasons):
            function = GraphFunction(
                found.traced.signature, found.traced.differentiable, self._backend(), found.programs
            )
            entry = Entry(found.traced, now, "first call", function, loan=Loan.of(found.traced, self._name))
            if not entry.serves(known) or entry.inputs(args, kwargs) is None:
                continue
            if found.traced.outcomes and not self._courses.adopt(found.places):
                continue
            if self.entries:
                entry.cause = self._cause(args, kwargs, now)
            for place, x in (*enumerate(args), *kwargs.items()):
                self._see(place, x)
            self._statistics.recalled += 1
            self._statistics.causes.append(entry.cause)
            self.entries.insert(0, entry)
            return entry
        return None

    @property
    def _name(self) -> str:
        return getattr(self.__jit_wrapped__, "__name__", type(self.__jit_wrapped__).__name__)

    def _backend(self) -> str:
        return self.backend or registry.default_backend()

    # -- tracing ---------------------------------------------------------------------------------
    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any], now: Modes, known: Outcomes = ()) -> Entry:
        registry.get(self._backend())
        places = self._courses.places
        cause = "another outcome of a test" if known else self._cause(args, kwargs, now)
        for entry in self.entries:
            self._dynamic |= changed_paths(entry.traced.staged.guards, args, kwargs)
        traced = self._trace_symbolic(args, kwargs, known)
        if traced is None or traced.staged.check(args, kwargs) is None:
            # Stand-ins are objects of their own: they do not serve arguments that share memory with something else.
            try:
                traced = self._trace_once(args, kwargs, known)
            except CompilerBug:
                raise
            except Exception as error:
                raise Raised(error) from error
        if self._courses.places != places:
            # Outcomes were of other tests.  Another thread may be in machine code that reads a plan: it is kept.
            self._retired += [e for e in self.entries if e.traced.outcomes and e.plan is not None]
            self.entries = [e for e in self.entries if not e.traced.outcomes]
            self._link_plans()
        function = None
        if traced.staged.refused is None:
            function = GraphFunction(traced.graph, traced.differentiable, self._backend(), constants=traced.constants)
            self._statistics.compiled += 1
        entry = Entry(traced, now, cause, function, loan=Loan.of(traced, self._name))
        if entry.refused is not None and not entry.is_left_to_python:
            if self.fullgraph:
                raise self._staging_error(entry.refused)
            self._warn(entry.refused)
        key = self._key(args, kwargs, now) if function is not None else None
        if key is not None:
            written = records.draft(key, self.__jit_wrapped__, traced, self._courses.places, args, kwargs)
            entry.draft, entry.note = (None, written) if isinstance(written, str) else (written, "")
        self._statistics.traces += 1
        self._statistics.causes.append(cause)
        self.entries.insert(0, entry)
        return entry

    def _trace_once(self, args: tuple[Any, ...], kwargs: dict[str, Any], known: Outcomes) -> Traced:
        safe = "".join(c if c.isalnum() or c == "_" else "_" for c in self._name)
        count = sum(bool(entry.traced.outcomes) for entry in self.entries)
        run = functools.partial(trace, self.__jit_wrapped__, args, kwargs, self._dynamic, safe)
        return donate(self._courses.trace(lambda course: run(course=course), known, count), self.donated)

    def _trace_symbolic(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], known: Outcomes, pinned: frozenset[int] = frozenset()
    ) -> Traced | None:
        """With stand-ins of symbolic size for arguments whose sizes were seen to change; not for ``pinned`` sizes."""
        if self.dynamic is False:
            return None
        symbols: dict[int, SymDim] = {}
        tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
        if len({id(x._storage) for x in tensors}) != len(tensors):
            return None
        stood = [self._stand_in(i, x, symbols, pinned) for i, x in enumerate(args)]
        named = {k: self._stand_in(k, x, symbols, pinned) for k, x in kwargs.items()}
        if not symbols:
            return None
        try:
            traced = self._trace_once(tuple(stood), named, known)
        except CompilerBug:
            raise
        except Exception:  # noqa: BLE001 - sizes that must be known: the trace for just these says so, or works
            return None
        if traced.staged.refused is not None:
            return None
        # A size that must equal another one is no symbol of its own: what the program computes depends on it.
        equal = [s for fact in traced.facts if fact.relation == "==" for s in dims.symbols(fact.left, fact.right)]
        if equal:
            names = {symbol.name for symbol in equal}
            sizes = {size for size, symbol in symbols.items() if str(symbol) in names}
            return self._trace_symbolic(args, kwargs, known, pinned | sizes)
        return traced

    def _stand_in(self, place: int | str, x: Any, symbols: dict[int, SymDim], pinned: frozenset[int]) -> Any:
        """``x`` itself, or a tensor like it in which changed sizes are symbols; equal sizes share one."""
        if not isinstance(x, Tensor) or x._root is not None or x._layout is not None:
            return x
        shape = tuple(x._type.shape)
        others = [s for s in self._see(place, x) if len(s) == len(shape)]
        changed = [i for i, d in enumerate(shape) if d > 1 and (self.dynamic or any(s[i] != d for s in others))]
        axes = [i for i in changed if shape[i] not in pinned]
        if not axes:
            return x
        sizes: list[Any] = list(shape)
        for i in axes:
            sizes[i] = symbols.setdefault(sizes[i], dims.symbol(f"s{len(symbols)}", 2, None, sizes[i]))  # type: ignore[arg-type]
        stand_in = Tensor._traced(TensorType(x.dtype, tuple(sizes)))
        stand_in._requires_grad = x.requires_grad if x._node is None else False
        return stand_in

    def _see(self, place: int | str, x: Any) -> list[tuple[Any, ...]]:
        """Remember the shape of an argument; gives those seen there before."""
        if not isinstance(x, Tensor) or x._root is not None or x._layout is not None:
            return []
        seen = self._shapes.setdefault(Path("arg", None, place), [])
        before = list(seen)
        if (shape := tuple(x._type.shape)) not in seen:
            seen.append(shape)
        return before

    # -- reasons ---------------------------------------------------------------------------------
    def _cause(self, args: tuple[Any, ...], kwargs: dict[str, Any], now: Modes) -> str:
        if not self.entries:
            return "first call"
        nearest = self.entries[0]
        if nearest.modes != now:
            names = ("gradients enabled", "default dtype", "default backend")
            changed = [f"{n}: {a} -> {b}" for n, a, b in zip(names, nearest.modes, now) if a != b]
            return "; ".join(changed)
        return self._why_not(nearest, args, kwargs)

    def _why_not(self, entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        keys = TensorRecorder(TraceBuilder(Graph())).tensor_keys
        failure = first_failure(entry.traced.staged.guards, args, kwargs, keys)
        return str(failure) if failure is not None else "the number or names of arguments changed"

    def _staging_error(self, refused: Refuse) -> StagingError:
        return StagingError(
            f"cannot compile {getattr(self.__jit_wrapped__, '__qualname__', 'the function')}: {refused.why}",
            where=refused.where,
            reason=refused.reason,
            hint=refused.hint or "change that line, or leave out fullgraph=True to run such calls eagerly",
        )

    def _warn(self, refused: Refuse) -> None:
        warnings.warn(
            f"{self.__qualname__ if hasattr(self, '__qualname__') else 'a function'} runs eagerly: {refused.why}"
            + (f" ({refused.where})" if refused.where is not None else ""),
            RuntimeWarning,
            stacklevel=_depth(),
        )

    # -- checking --------------------------------------------------------------------------------
    def check(self, *args: Any, tolerance: float = TOLERANCE, **kwargs: Any) -> Report:
        """Run the compiled program for these arguments beside what it means, and say which op differs first.

        Each op's compiled result is compared with its NumPy meaning on the same operands; then the whole program, and,
        where the function writes nothing outside, the result of the function run as plain Python.  ``tolerance`` is in
        units in the last place.  Nothing is changed.  The `Report` is true if all agree; print it to see op, line and
        size of the first difference.
        """
        known: Outcomes | None = ()
        while True:
            try:
                entry, inputs = self._find(args, kwargs, known)
            except Raised as raised:
                raise raised.error from None
            if entry.refused is not None:
                raise self._staging_error(entry.refused)
            try:
                return self._check(entry, inputs, args, kwargs, tolerance)
            except CheckFailed as failed:
                known = corrected(entry.traced.outcomes, failed.code)
                if known is None:
                    raise

    def _check(self, entry: Entry, inputs: Any, args: Any, kwargs: Any, tolerance: float = TOLERANCE) -> Report:
        graph, backend = entry.traced.graph, self._backend()
        report = check_graph(graph, inputs, backend, tolerance)
        if not report or not entry.traced.staged.is_pure or graph.writes:
            return report
        with disabling():
            expected = self.__jit_wrapped__(*args, **kwargs)
        actual = entry.run(inputs, args, kwargs)
        allowed = tolerance * max(len(graph), 1)
        return replace(report, difference=compare_results(actual, expected, allowed))

    def _refuse_difference(self, entry: Entry, report: Report) -> None:
        if not report:
            raise CompilerBug(f"compiled code differs from what it means: {report}", ir=entry.traced.graph)

    # -- looking ---------------------------------------------------------------------------------
    @property
    def graph(self) -> Graph:
        """The graph of the latest trace."""
        if not self.entries:
            raise StagingError("the function was not called yet, so there is no graph", hint="call it once")
        return self.entries[0].traced.graph

    @property
    def code(self) -> str:
        """The latest trace as Python, op by op; it runs, and computes the same."""
        return python_code(self.graph)

    def explain(self, *, source: bool = False) -> str:
        """What was compiled, why each time, who runs which part, and what guards protect it.

        With ``source``, also each line of yours that the latest trace ran: the kernels that do it, a branch, loop or
        check of the program, plain Python while tracing, or why it is not compiled; then each kernel with the bytes it
        reads and writes, each guard with its line, and what caused each trace.
        """
        found = self.statistics
        lines = [f"{self!r}: {found.traces} traces, {found.calls} calls, {found.native} native, {found.eager} eager"]
        lines += [f"a record on the disk was not used: {reason}" for reason in self._reasons[:3]]
        for number, entry in enumerate(reversed(self.entries), 1):
            lines += explain_entry(number, entry)
        if source and self.entries:
            lines += ["", *listing(self.entries, self._backend(), self.origins)]
        return "\n".join(lines)

    def sources(self) -> dict[str, str]:
        """Texts of the latest trace by stage: ``graph``, ``kernels``, ``program``, ``llvm``, or the backend's own.

        A second program (backward) has its name before the stage: ``"f_backward llvm"``.
        """
        entry = self.entries[0] if self.entries else None
        texts = {"graph": str(self.graph)}
        programs = entry.function.compiled if entry is not None and entry.function is not None else []
        for number, compiled in enumerate(programs):
            prefix = f"{compiled.graph.name} " if number else ""
            for step in compiled.steps:
                texts.update({prefix + stage: text for stage, text in step.artifact.sources.items()})
        return texts


def _is_tracing() -> bool:
    current: Any = dispatch.current()
    return isinstance(getattr(current, "inner", None), TraceBuilder)


def _depth() -> int:
    """How many frames up the user's call is."""
    frame, depth = sys._getframe(1), 1
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    return depth


@functools.cache
def _install_machine_code() -> bool:
    """Make machine code what calls compiled functions; False where the twin in Python stays."""
    install = functools.partial(call_plan.install, Jitted, Jitted._call, "_plan")
    return extension.attempt(install) is not None
