"""Control flow that depends on data: `cond`, `while_loop`, `scan`, and the effect `check`.

Each holds closed Graphs in its attributes and is an op like any other: eager runs the graphs by NumPy, a builder
appends one node, a kernel backend makes branches and loops of one native function.  Operands are tensors, Python
numbers (int, float, bool) and effect tokens.  The ops give a bare result where there is just one; the functions
`run_cond`, `run_while` and `run_scan` always give a tuple.

An effect token orders what is observable.  ``begin()`` makes one, `check` takes and gives one, and a loop or branch
whose graphs hold checks carries it like any other value.  No pass merges, moves or drops a check.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dims import Dim, symbol
from jitorch.errors import ArgumentError, CheckFailed, CompilerBug
from jitorch.ir.graph import Graph, Node
from jitorch.ir.interpret import interpret
from jitorch.ir.types import BOOL, EFFECT, FLOAT, INT, EffectType, ScalarType, TensorType, Token, Type
from jitorch.ops import dispatch
from jitorch.ops.batching import repeated
from jitorch.ops.registry import OPS, Sample, op, primitive

Tensor = Any

_above: dict[str, Callable[..., Any]] = {}


def install(**functions: Callable[..., Any]) -> None:
    """Give the rules of this module what stands above it: ``expand(node) -> Graph`` (a composite's body) and
    ``vjp(op) -> rule`` and ``jvp(op) -> rule``, which differentiate inner graphs."""
    _above.update(functions)


def _installed(name: str) -> Callable[..., Any]:
    if name not in _above:
        raise CompilerBug(f"control flow needs {name}, which was not installed; import jitorch, not a part of it")
    return _above[name]


def evaluate(graph: Graph, operands: Sequence[Any]) -> list[Any]:
    """The outputs of ``graph`` for tensors, numbers and tokens, op by op, by the interpreter in force."""
    found = dict(zip(graph.inputs, operands, strict=True))
    for node in graph.nodes:
        # Each node has inner graphs of its own: passes change them in place.
        attrs = {name: a.copy() if isinstance(a, Graph) else a for name, a in node.attrs.items()}
        out = dispatch.current().apply(node.op, [None if v is None else found[v] for v in node.inputs], attrs)
        found.update(zip(node.outputs, out if isinstance(out, tuple) else (out,), strict=True))
    return [found[v] for v in graph.outputs]


def expand(node: Node) -> Graph:
    """The body of a composite node that an inner graph holds."""
    return _installed("expand")(node)


@primitive(lowering="control")
def cond(pred: Tensor, operands: Sequence[Tensor], *, then: Graph, orelse: Graph) -> Any:
    """``then(*operands)`` if ``pred`` (one bool) holds, else ``orelse(*operands)``, which gives the same types."""


@primitive(lowering="control")
def while_loop(operands: Sequence[Tensor], *, test: Graph, body: Graph, constants: int = 0) -> Any:
    """``while test(*operands): operands = body(*operands)``; gives the values carried last.

    The last ``constants`` operands do not change: ``body`` takes them and gives only the others.
    """


@primitive(lowering="control")
def scan(
    operands: Sequence[Tensor], *, body: Graph, carried: int, stacked: int, length: Dim, reverse: bool = False
) -> Any:
    """A loop of ``length`` steps: ``body(*carried, *rows, *constants) -> (*carried, *outputs)``.

    The operands are ``carried`` values, then ``stacked`` tensors whose first axis is ``length`` (a step sees one row
    of each), then constants.  Gives the values carried last, then each output with the steps as a new first axis.
    ``reverse`` goes from the last row to the first; the rows of results stand where those of the operands do.
    """


@primitive(lowering="effect")
def begin() -> Any:
    """The first effect token."""


@primitive(lowering="effect")
def check(ok: Tensor, token: Operand, *, code: int = 0) -> Any:  # type: ignore[name-defined]  # noqa: F821
    """Stop unless ``ok`` (one bool) holds: raises `CheckFailed`, whose ``code`` is this one; gives the next token."""


@primitive(lowering="control")
def steps(count: Tensor, *, size: Dim) -> Any:
    """``0, 1, ..., count - 1``: binds ``size``, one symbol, to a count that is known at run time only."""


_numbers = count()


def count_up(count: Tensor) -> Tensor:
    """``0, 1, ..., count - 1``: its size is bound to ``count``, an int64 of a graph under construction."""
    return steps(count, size=new_size())


def new_size() -> Dim:
    """A symbol of its own, for `steps` to bind."""
    return symbol(f"count{next(_numbers)}", computed=True)


@op(places=())
def recomputed(operands: Sequence[Tensor], *, body: Graph) -> Any:
    """``body(*operands)``, of which a gradient keeps the operands only and computes the rest again."""
    results = evaluate(body, operands)
    return results[0] if len(results) == 1 else tuple(results)


@primitive
def after(x: Tensor, y: Tensor) -> Any:
    """``x``, not before ``y`` is known: what is computed from it is not what is computed from ``x`` elsewhere."""


@primitive
def number_of(x: Tensor) -> Any:
    """The element of a 0-d tensor (int64, float64 or bool) as a Python number."""


# -- types -----------------------------------------------------------------------------------------------------
def listed(types: Sequence[Any]) -> str:
    """Types as they stand in messages."""
    return f"({', '.join(map(str, types))})"


def input_types(graph: Graph) -> tuple[Type, ...]:
    """The types that ``graph`` takes."""
    return tuple(v.type for v in graph.inputs)


def output_types(graph: Graph) -> tuple[Type, ...]:
    """The types that ``graph`` gives."""
    return tuple(v.type for v in graph.outputs)


def _check_takes(name: str, what: str, graph: Graph, types: Sequence[Type | None]) -> None:
    for type_ in types:
        if not isinstance(type_, (TensorType, ScalarType, EffectType)):
            raise ArgumentError(f"{name}: operands are tensors, numbers and tokens", actual=type_)
    if input_types(graph) != tuple(types):
        raise ArgumentError(
            f"{name}: {what} takes other types than the operands'", expected=listed(types),
            actual=listed(input_types(graph)),
        )  # fmt: skip
    if graph.writes:
        raise ArgumentError(f"{name}: {what} must not write to its inputs", actual=graph.writes)


def _check_gives(name: str, what: str, graph: Graph, types: Sequence[Type]) -> None:
    if output_types(graph) != tuple(types):
        raise ArgumentError(
            f"{name}: {what} gives wrong types", expected=listed(types), actual=listed(output_types(graph))
        )


def _is_one_bool(type_: Type | None) -> bool:
    return type_ == BOOL or (isinstance(type_, TensorType) and type_.dtype is BOOL.dtype and type_.shape == ())


def _check_bool(name: str, what: str, type_: Type | None) -> None:
    if not _is_one_bool(type_):
        raise ArgumentError(f"{name}: {what} must be one bool", expected="bool or bool[]", actual=type_)


@cond.type_rule
def _(pred, operands, *, then, orelse):
    _check_bool("cond", "the predicate", pred)
    _check_takes("cond", "then", then, operands)
    _check_takes("cond", "orelse", orelse, operands)
    _check_gives("cond", "orelse", orelse, output_types(then))
    return output_types(then)


@while_loop.type_rule
def _(operands, *, test, body, constants):
    if not 0 <= constants <= len(operands):
        raise ArgumentError("while_loop: constants", expected=f"0 to {len(operands)}", actual=constants)
    _check_takes("while_loop", "test", test, operands)
    _check_takes("while_loop", "body", body, operands)
    if len(test.outputs) != 1:
        raise ArgumentError("while_loop: test must give one bool", actual=listed(output_types(test)))
    _check_bool("while_loop", "the test", test.outputs[0].type)
    carried = tuple(operands[: len(operands) - constants])
    _check_gives("while_loop", "body", body, carried)
    return carried


@scan.type_rule
def _(operands, *, body, carried, stacked, length, reverse):
    if carried < 0 or stacked < 0 or carried + stacked > len(operands):
        raise ArgumentError("scan: carried and stacked", expected=f"up to {len(operands)}", actual=(carried, stacked))
    for type_ in operands[carried : carried + stacked]:
        if not isinstance(type_, TensorType) or type_.shape[:1] != (length,):
            raise ArgumentError("scan: the first axis of a stacked tensor", expected=f"{length} rows", actual=type_)
    rows = [t.with_shape(t.shape[1:]) for t in operands[carried : carried + stacked]]
    _check_takes("scan", "body", body, [*operands[:carried], *rows, *operands[carried + stacked :]])
    if len(body.outputs) < carried:
        raise ArgumentError("scan: body gives too few values", expected=f"{carried} or more", actual=len(body.outputs))
    given = output_types(body)
    if given[:carried] != tuple(operands[:carried]):
        raise ArgumentError(
            "scan: body gives wrong types", expected=listed(operands[:carried]), actual=listed(given[:carried])
        )
    return (*given[:carried], *(stack_type(t, length) for t in given[carried:]))


def stack_type(type_: Type, length: Dim) -> TensorType:
    """The type of ``length`` values of a type, one behind the other."""
    if not isinstance(type_, (TensorType, ScalarType)):
        raise ArgumentError("scan: an output of a step must be a tensor or a number", actual=type_)
    return TensorType(type_.dtype, (length, *type_.shape))


@steps.type_rule
def _(count, *, size):
    if count != TensorType(dtypes.int64, ()):
        raise ArgumentError("steps: count", expected="i64[]", actual=count)
    return TensorType(dtypes.int64, (size,))


@number_of.type_rule
def _(x):
    found = next((t for t in (INT, FLOAT, BOOL) if isinstance(x, TensorType) and x == TensorType(t.dtype, ())), None)
    if found is None:
        raise ArgumentError("number_of: x", expected="i64[], f64[] or bool[]", actual=x)
    return found


@after.type_rule
def _(x, y):
    return x


@begin.type_rule
def _():
    return EFFECT


@check.type_rule
def _(ok, token, *, code):
    _check_bool("check", "what is checked", ok)
    if token != EFFECT:
        raise ArgumentError("check: token", expected=EFFECT, actual=token)
    return EFFECT


# -- meaning ---------------------------------------------------------------------------------------------------
def _owned(results: Sequence[Any], given: Sequence[Any]) -> tuple[Any, ...]:
    """Results in memory of their own: one may be an operand, a part of another array, or stand there twice."""
    seen = {id(x) for x in given}
    owned: list[Any] = []
    for r in results:
        if isinstance(r, np.ndarray) and (r.base is not None or id(r) in seen):
            r = r.copy()
        seen.add(id(r))
        owned.append(r)
    return tuple(owned)


@cond.numpy
def _(pred, operands, *, then, orelse):
    return _owned(interpret(then if pred else orelse, operands, expand), operands)


@while_loop.numpy
def _(operands, *, test, body, constants):
    count = len(operands) - constants
    state, fixed = list(operands[:count]), list(operands[count:])
    while interpret(test, [*state, *fixed], expand)[0]:
        state = interpret(body, [*state, *fixed], expand)
    return _owned(state, operands)


@scan.numpy
def _(operands, *, body, carried, stacked, length, reverse):
    state, constants = list(operands[:carried]), operands[carried + stacked :]
    stacks = operands[carried : carried + stacked]
    count = len(stacks[0]) if stacks else int(length)
    rows: list[list[Any]] = [[] for _ in body.outputs[carried:]]
    for i in reversed(range(count)) if reverse else range(count):
        results = interpret(body, [*state, *(s[i] for s in stacks), *constants], expand)
        state = results[:carried]
        for one, row in zip(rows, results[carried:]):
            one.append(row)
    made = [_stack(one[::-1] if reverse else one, v.type) for one, v in zip(rows, body.outputs[carried:])]
    return (*_owned(state, operands), *made)


def _stack(rows: list[Any], type_: Any) -> Any:
    dtype = type_.dtype.numpy
    return np.stack([np.asarray(r, dtype) for r in rows]) if rows else np.empty((0, *type_.shape), dtype)


@steps.numpy
def _(count, *, size):
    return np.arange(int(count))


@steps.pull
def _(index, count, *, size):
    return index[0]


@number_of.numpy
def _(x):
    return x.item()


@number_of.pull
def _(index, x):
    return x.at(index)


@after.numpy
def _(x, y):
    return x.copy()


@after.pull
def _(index, x, y):
    return x.at(index)


@begin.numpy
def _():
    return Token()


@check.numpy
def _(ok, token, *, code):
    if not ok:
        raise CheckFailed(code)
    return Token()


# -- gradients -------------------------------------------------------------------------------------------------
@cond.vjp
def _(g, out, pred, operands, **attrs):
    return _installed("vjp")("cond")(g, out, pred, operands, **attrs)


@while_loop.vjp
def _(g, out, operands, **attrs):
    return _installed("vjp")("while_loop")(g, out, operands, **attrs)


@scan.vjp
def _(g, out, operands, **attrs):
    return _installed("vjp")("scan")(g, out, operands, **attrs)


@recomputed.vjp
def _(g, out, operands, **attrs):
    return _installed("vjp")("recomputed")(g, out, operands, **attrs)


@after.vjp
def _(g, out, x, y):
    return g, None


@after.batch
def _(size, batched, x, y):
    return after(repeated(size, batched[0], x), y)


@recomputed.jvp
def _(tangents, operands, **attrs):
    return _installed("jvp")("recomputed")(tangents, operands, **attrs)


@cond.jvp
def _(tangents, pred, operands, **attrs):
    return _installed("jvp")("cond")(tangents, pred, operands, **attrs)


@while_loop.jvp
def _(tangents, operands, **attrs):
    return _installed("jvp")("while_loop")(tangents, operands, **attrs)


@scan.jvp
def _(tangents, operands, **attrs):
    return _installed("jvp")("scan")(tangents, operands, **attrs)


# -- calls -----------------------------------------------------------------------------------------------------
def _tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def run_cond(pred: Any, operands: Sequence[Any], then: Graph, orelse: Graph) -> tuple[Any, ...]:
    """Run or record `cond`; ``pred`` is a bool, or a tensor of one bool."""
    return _tuple(cond(pred, list(operands), then=then, orelse=orelse))


def run_while(operands: Sequence[Any], test: Graph, body: Graph, constants: int = 0) -> tuple[Any, ...]:
    """Run or record `while_loop`; gives the carried values."""
    return _tuple(while_loop(list(operands), test=test, body=body, constants=constants))


def run_scan(
    carried: Sequence[Any],
    stacked: Sequence[Any],
    constants: Sequence[Any],
    body: Graph,
    length: Dim,
    reverse: bool = False,
) -> tuple[Any, ...]:
    """Run or record `scan`; gives the carried values, then the stacked outputs."""
    operands = [*carried, *stacked, *constants]
    return _tuple(scan(operands, body=body, carried=len(carried), stacked=len(stacked), length=length, reverse=reverse))


CONTROL = ("cond", "while_loop", "scan")
"""The ops that hold graphs."""


def has_effect(node: Node) -> bool:
    """Whether a node does more than give values: it is a check, or a graph in it holds one."""
    if node.op.name == "check":
        return True
    return any(has_effect(inner) for graph in inner_graphs(node) for inner in graph.nodes)


def inner_graphs(node: Node) -> tuple[Graph, ...]:
    """The graphs that a node holds."""
    return tuple(a for a in node.attrs.values() if isinstance(a, Graph)) if node.op.name in CONTROL else ()


# -- samples ---------------------------------------------------------------------------------------------------
def _graph(text: str) -> Graph:
    return Graph.parse(text, OPS)


@cond.samples
def _(rng):
    then = _graph("graph @then(%x: f64[3], %y: f64[3]) { %0: f64[3] = mul(%x, %y) return %0, %x }")
    orelse = _graph("graph @orelse(%x: f64[3], %y: f64[3]) { %0: f64[3] = sin(%x) return %0, %y }")
    for pred in (True, False):
        operands = [rng.normal(size=3), rng.normal(size=3)]
        yield Sample(np.asarray(pred), operands, then=then, orelse=orelse)


@recomputed.samples
def _(rng):
    body = _graph(
        "graph @body(%x: f64[3], %y: f64[3]) {"
        " %0: f64[3] = mul(%x, %y) %1: f64[3] = sin(%0) %2: f64[3] = mul(%1, %0) return %2, %1 }"
    )
    yield Sample([rng.normal(size=3), rng.normal(size=3)], body=body)


@after.samples
def _(rng):
    yield Sample(rng.normal(size=3), rng.normal(size=2))


@while_loop.samples
def _(rng):
    test = _graph(
        "graph @test(%i: i64[], %x: f64[2], %c: f64[2]) {"
        " %0: i64[] = constant(value=3, dtype=i64) %1: bool[] = lt(%i, %0) return %1 }"
    )
    body = _graph(
        "graph @body(%i: i64[], %x: f64[2], %c: f64[2]) {"
        " %0: i64[] = constant(value=1, dtype=i64) %1: i64[] = add(%i, %0)"
        " %2: f64[2] = sin(%x) %3: f64[2] = mul(%2, %c) return %1, %3 }"
    )
    for start in (0, 3):
        operands = [np.asarray(start), rng.normal(size=2), rng.normal(size=2)]
        yield Sample(operands, test=test, body=body, constants=1)


@scan.samples
def _(rng):
    body = _graph(
        "graph @body(%h: f64[2], %x: f64[2], %w: f64[2]) {"
        " %0: f64[2] = mul(%h, %w) %1: f64[2] = add(%0, %x) %2: f64[2] = tanh(%1) %3: f64[2] = mul(%2, %x)"
        " return %2, %3 }"
    )
    for length, reverse in ((4, False), (4, True), (0, False)):
        operands = [rng.normal(size=2), rng.normal(size=(length, 2)), rng.normal(size=2)]
        yield Sample(operands, body=body, carried=1, stacked=1, length=length, reverse=reverse)
