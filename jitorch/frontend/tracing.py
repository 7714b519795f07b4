"""Traced functions: one captured graph, called with other tensors.

The graph is compiled by `Jitted` like any function: `GraphCall` applies its nodes one after the other, so layouts,
sizes, gradients of any order and calls from other compiled functions are what they are everywhere.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from jitorch import dims
from jitorch.dims import Dim, Facts, Guard, SymDim
from jitorch.errors import ArgumentError, CheckFailed, CompilerBug, UserError, located
from jitorch.frontend.jitted import Jitted, Statistics
from jitorch.frontend.shown.check import Report
from jitorch.frontend.shown.code import python_code
from jitorch.frontend.trace.capture import Captured, Slot, capture, leaves, replaced
from jitorch.ir.graph import Graph, Value, map_dims
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.tensor import Tensor

Held = tuple[dict[str, Any], str]
"""Where a tensor that the function read is found: a table, such as the parameters of a module, and a name in it."""


class GraphCall:
    """A captured graph as a function of the tensors among the arguments and of the tensors that were read.

    The first ``count`` inputs of ``graph`` are arguments, called ``names`` in messages; ``result`` is what is returned,
    with a `Slot` for each output; ``facts`` must hold for the symbolic sizes.
    """

    def __init__(
        self, name: str, graph: Graph, count: int, result: Any, facts: Sequence[Guard] = (), names: Sequence[str] = ()
    ):
        self.__name__ = self.__qualname__ = name
        self.graph, self.count, self.result, self.facts = graph, count, result, tuple(facts)
        self.names = list(names) or [f"argument {i}" for i in range(count)]

    @property
    def __jit_arguments__(self) -> int:
        """How many arguments are the caller's; what follows belongs to the function, and may be frozen."""
        return self.count

    @cached_property
    def __record_key__(self) -> str:
        text = "\n".join([str(self.graph), repr(self.result), *map(str, self.facts), *self.names])
        return hashlib.sha256(text.encode()).hexdigest()

    def __call__(self, *tensors: Any) -> Any:
        graph = self._sized(tensors)
        values: dict[Value, Any] = dict(zip(graph.inputs, tensors))
        for node in graph.nodes:
            operands = tuple(None if v is None else values[v] for v in node.inputs)
            try:
                with located(node.loc):
                    made = dispatch.current().apply(node.op, operands, node.attrs)
            except CheckFailed as error:
                raise CheckFailed(error.code, node.loc) from None
            values.update(zip(node.outputs, made if isinstance(made, tuple) else (made,)))
        for i, o in graph.writes:
            # What shows the new contents afterwards is the tensor itself.
            values[graph.outputs[o]] = tensors[i].copy_(values[graph.outputs[o]])
        results = [values[v] for v in graph.outputs]
        return replaced(self.result, lambda leaf: results[leaf.number] if isinstance(leaf, Slot) else leaf)

    def _sized(self, tensors: Sequence[Any]) -> Graph:
        """The graph for the sizes of ``tensors``, which may be symbols of another trace.  Raises ArgumentError."""
        sizes: dict[str, Dim] = {}
        for i, (value, tensor) in enumerate(zip(self.graph.inputs, tensors, strict=True)):
            if not _fits(value.type, tensor, sizes):
                name = self.names[i] if i < self.count else "a tensor that the function read"
                raise ArgumentError(
                    f"{self.__name__}: {name} is not as it was traced", expected=value.type,
                    actual=tensor.type if isinstance(tensor, Tensor) else type(tensor).__name__,
                    hint="trace the function for such arguments, or use @jit, which does so by itself",
                )  # fmt: skip
        for fact in self.facts:
            if not _holds(fact, sizes):
                raise ArgumentError(
                    f"{self.__name__}: the trace does not hold for these sizes", expected=fact,
                    actual=", ".join(f"{name} = {size}" for name, size in sizes.items()),
                )  # fmt: skip
        if not sizes:
            return self.graph
        graph = self.graph.copy()
        map_dims(graph, lambda d: dims.substitute(d, sizes))
        return graph


def _fits(type_: Any, tensor: Any, sizes: dict[str, Dim]) -> bool:
    """Whether ``tensor`` is of ``type_``; the sizes of the symbols in it go to ``sizes``."""
    if not isinstance(tensor, Tensor) or tensor.dtype is not type_.dtype or len(tensor.shape) != len(type_.shape):
        return False
    for expected, actual in zip(type_.shape, tensor._type.shape):
        size = sizes.setdefault(str(expected), actual) if isinstance(expected, SymDim) else expected
        if size is not actual and not dims.equal(size, actual):
            return False
    return True


def _holds(fact: Guard, sizes: Mapping[str, Dim]) -> bool:
    left, right = dims.substitute(fact.left, sizes), dims.substitute(fact.right, sizes)
    match fact.relation:
        case "==":
            return dims.equal(left, right)
        case "!=":
            return not dims.equal(left, right)
        case "<":
            return dims.less(left, right)
        case "<=":
            return dims.less_equal(left, right)
    raise CompilerBug(f"no relation {fact.relation}")


class TracedFunction:
    """What `jit.trace` makes of a function: one program for the types of the example arguments.

    Call it like the function, with tensors of the dtypes traced; sizes may differ where the program allows it.
    Whatever else the function read, arguments that are no tensors included, is what it was.  ``graph`` and ``code``
    show the program, `save` writes it to a file.
    """

    def __init__(
        self, call: GraphCall, arguments: tuple[Any, ...], keywords: Mapping[str, Any], held: Sequence[Held],
        backend: str | None = None,
    ):  # fmt: skip
        self.program, self.arguments, self.keywords, self.held = call, arguments, dict(keywords), list(held)
        self.__name__ = self.__qualname__ = call.__name__
        self.compiled = Jitted(call, backend=backend)
        self.parameter_names: list[str] = []
        self._is_flat = not keywords and all(isinstance(x, Slot) for x in arguments)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._is_flat or kwargs or len(args) != len(self.arguments):
            args = self._flat(args, kwargs)
        return self.compiled(*args, *[table[name] for table, name in self.held])

    def _flat(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """The tensors among the arguments, in order."""
        named = dict(kwargs)
        missing = self.parameter_names[len(args) : len(self.arguments)]
        args = (*args, *(named.pop(name) for name in missing if name in named))
        found: list[Any] = []
        if not _collect((self.arguments, self.keywords), (args, named), found):
            raise ArgumentError(
                f"{self.__name__}: the arguments are not as they were traced",
                expected=_text(self.arguments, self.keywords), actual=_text(args, named),
            )  # fmt: skip
        return tuple(found)

    def __repr__(self) -> str:
        return f"<traced {self.__name__}>"

    @property
    def name(self) -> str:
        """The function's name."""
        return self.__name__

    @property
    def graph(self) -> Graph:
        """The program as it was traced: the tensors of the arguments, then those that the function read."""
        return self.program.graph

    @property
    def code(self) -> str:
        """The program as Python."""
        return python_code(self.graph)

    @property
    def statistics(self) -> Statistics:
        """Counts of the calls, and of the programs that were compiled for them."""
        return self.compiled.statistics

    def explain(self, *, source: bool = False) -> str:
        """As for `jit`: what was compiled for the calls so far."""
        return self.compiled.explain(source=source)

    def sources(self) -> dict[str, str]:
        """Texts of the latest program by stage; see `Jitted.sources`."""
        return self.compiled.sources()

    def check(self, *args: Any, **kwargs: Any) -> Report:
        """Run the compiled program beside what each op means; see `Jitted.check`."""
        return self.compiled.check(*self._flat(args, kwargs), *[table[name] for table, name in self.held])

    def moved(self, old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> TracedFunction:
        """The same program over the tensors of other tables, each in the place of an old one."""
        tables = {id(a): b for a, b in zip(old, new, strict=True)}
        held = [(tables.get(id(table), table), name) for table, name in self.held]
        made = TracedFunction(self.program, self.arguments, self.keywords, held, self.compiled.backend)
        made.parameter_names = self.parameter_names
        return made

    def save(self, f: Any, **kwargs: Any) -> None:
        """Write the program and its tensors to a path or binary file, as `jit.save` does."""
        save[0](self, f, **kwargs)


save: list[Callable[..., None]] = []
"""What writes a traced function to a file: set by `jitorch.saved`, which stands above."""


def _collect(expected: Any, given: Any, found: list[Any]) -> bool:
    """Whether ``given`` is built like ``expected``; its tensors go to ``found``, by the numbers of the slots."""
    if isinstance(expected, Slot):
        found.append(given)
        return isinstance(given, Tensor)
    if isinstance(expected, Mapping):
        return (
            isinstance(given, Mapping)
            and set(given) == set(expected)
            and all(_collect(x, given[key], found) for key, x in expected.items())
        )
    if isinstance(expected, (tuple, list)):
        return (
            isinstance(given, type(expected))
            and len(given) == len(expected)
            and all(_collect(a, b, found) for a, b in zip(expected, given))
        )
    return type(given) is type(expected) and bool(given == expected)


def _text(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    def shown(x: Any) -> Any:
        return str(x.type) if isinstance(x, Tensor) else "tensor" if isinstance(x, Slot) else repr(x)

    parts = [str(replaced(x, shown)).replace("'", "") for x in args]
    return f"({', '.join([*parts, *(f'{k}={replaced(v, shown)}' for k, v in kwargs.items())])})"


# -- sizes -----------------------------------------------------------------------------------------------------
Pattern = tuple[tuple[str | None, ...], ...]
"""For each tensor among the arguments, for each of its axes, the name of its size; None: it stays what it is."""


def typed(tensors: Sequence[Tensor], pattern: Pattern) -> list[TensorType]:
    """The types of ``tensors`` with symbols for the sizes that have a name; the sizes at hand are the hints."""
    types = []
    made: dict[str, SymDim] = {}
    for tensor, names in zip(tensors, pattern, strict=True):
        shape: list[Dim] = list(tensor.shape)
        for axis, name in enumerate(names):
            if name is not None:
                shape[axis] = made.setdefault(name, dims.symbol(name, 1, None, shape[axis]))  # type: ignore[arg-type]
        types.append(tensor.type.with_shape(shape))
    return types


def capture_sized(
    function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str, frozen: bool
) -> tuple[Captured, Pattern]:
    """The function with every size a symbol that decides nothing; and which those are.

    A size that must equal another one gets its name, a size that must be a number stays it.  Where sizes decide more
    than that, all stay what they are.
    """
    tensors = [x for x in leaves((args, kwargs)) if isinstance(x, Tensor)]
    fixed: Pattern = tuple((None,) * x.ndim for x in tensors)
    names = iter(range(sum(x.ndim for x in tensors)))
    pattern: Pattern = tuple(tuple(f"s{next(names)}" if n else None for n in x.shape) for x in tensors)
    while not frozen and pattern != fixed:
        facts = Facts()
        try:
            found = capture(function, args, kwargs, typed(tensors, pattern), name, facts=facts)
        except UserError:
            # With the sizes at hand it works, or says what is wrong in their terms.
            found = None
        equal = [fact for fact in facts.guards if fact.relation == "=="]
        if not equal and found is not None:
            return found, pattern
        if not equal:
            break
        pattern = _equated(pattern, equal)
    return capture(function, args, kwargs, typed(tensors, fixed), name, frozen), fixed


def _equated(pattern: Pattern, equal: Sequence[Guard]) -> Pattern:
    """``pattern`` with what was found to be equal made so."""
    renamed: dict[str, str | None] = {}
    involved: dict[str, None] = {}
    for fact in equal:
        found = [s.name for s in dims.symbols(fact.left, fact.right)]
        sides = [str(side) for side in (fact.left, fact.right)]
        if sorted(found) == sorted(sides):
            renamed[max(found)] = min(found)
        elif len(found) == 1 and found[0] in sides:
            renamed[found[0]] = None
        involved.update(dict.fromkeys(found))
    # What follows from those that are simple is seen when they are so.
    renamed = renamed or dict(involved)
    return tuple(tuple(renamed.get(n, n) if n is not None else None for n in names) for names in pattern)


def trace_function(
    function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], held: Callable[[Tensor], Held | None], frozen: bool
) -> tuple[TracedFunction, Captured, Pattern]:
    """Trace ``function``; ``held`` says where a tensor that it reads is kept, if it has a place."""
    name = _name_of(function)
    found, pattern = capture_sized(function, args, kwargs, name, frozen)
    numbers = iter(range(len(pattern)))
    arguments, keywords = replaced((args, dict(kwargs)), lambda x: Slot(next(numbers)) if isinstance(x, Tensor) else x)
    names = parameter_names(function)
    call = GraphCall(
        name, found.graph, len(pattern), found.result, found.facts, _leaf_names(names, arguments, keywords)
    )
    places = [held(x) or ({"": x}, "") for x in found.tensors]
    traced = TracedFunction(call, arguments, keywords, places)
    traced.compiled.origins = found.functions
    traced.parameter_names = names
    return traced, found, pattern


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name)


def parameter_names(function: Any) -> list[str]:
    """The names of the positional parameters; none where they are not known."""
    target = function.forward if hasattr(function, "forward") else function
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]


def _leaf_names(names: Sequence[str], arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> list[str]:
    given = [*names, *(f"argument {i}" for i in range(len(names), len(arguments)))]
    found = [(name, x) for name, tree in zip(given, arguments) for x in leaves(tree)]
    found += [(name, x) for name, tree in keywords.items() for x in leaves(tree)]
    return [name for name, x in found if isinstance(x, Slot)]
