"""`jit.trace` and `jit.trace_module`: one run of a function, or of methods of a module, as programs of their own."""

from __future__ import annotations

import copy
import types
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jitorch.errors import ArgumentError, TracerWarning, UnsupportedError
from jitorch.frontend.jitted import Statistics
from jitorch.frontend.script.modules import INTERNAL
from jitorch.frontend.trace.capture import Frozen
from jitorch.frontend.tracing import Held, TracedFunction, trace_function
from jitorch.frontend.tracing import save as savers
from jitorch.frontend.tracing_check import check_traced
from jitorch.ir.graph import Graph
from jitorch.nn.module import Module
from jitorch.ops import dispatch
from jitorch.tensor import Tensor


class TracedModule(Module):
    """What `jit.trace` makes of a module: its parameters and buffers, and one program for each method traced.

    The programs are what the module did when it was traced: `train` and `eval` change nothing.  Parameters are those of
    the module; buffers, too, until one of the two is converted.
    """

    def __init__(self, name: str):
        super().__init__()
        self.__dict__["original_name"] = name
        self.__dict__["_traced"] = {}

    def _method(self, name: str) -> TracedFunction:
        found = self.__dict__["_traced"].get(name)
        if found is None:
            raise UnsupportedError(f"{name} was not traced", hint="name it in the inputs of jit.trace_module")
        return found

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The program traced for ``forward``."""
        return self._method("forward")(*args, **kwargs)

    @property
    def graph(self) -> Graph:
        """The program of ``forward``."""
        return self._method("forward").graph

    @property
    def code(self) -> str:
        """The program of ``forward`` as Python."""
        return self._method("forward").code

    @property
    def statistics(self) -> Statistics:
        """Counts of the calls of ``forward``, and of the programs that were compiled for them."""
        return self._method("forward").statistics

    def explain(self, *, source: bool = False) -> str:
        """What was compiled for the calls of each method."""
        return "\n".join(method.explain(source=source) for method in self.__dict__["_traced"].values())

    def save(self, f: Any, **kwargs: Any) -> None:
        """Write the module to a path or binary file, as `jit.save` does."""
        savers[0](self, f, **kwargs)

    def attach(self, name: str, method: TracedFunction) -> None:
        """Give the module a method."""
        self.__dict__["_traced"][name] = method
        if name != "forward":
            self.__dict__[name] = method

    def _get_name(self) -> str:
        return self.__dict__["original_name"]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        new: Any = object.__new__(type(self))
        memo[id(self)] = new
        methods = self.__dict__["_traced"]
        own = {n: v for n, v in self.__dict__.items() if n != "_traced" and n not in methods}
        new.__dict__.update(copy.deepcopy(own, memo), _traced={})
        for name, method in methods.items():
            new.attach(name, method.moved(_places(self), _places(new)))
        return new

    def __reduce__(self) -> Any:
        raise UnsupportedError("a traced module cannot be pickled", hint="use jit.save and jit.load")


def _places(module: Module) -> list[dict[str, Any]]:
    """The tables of parameters and buffers of a tree of modules, in order."""
    return [table for m in module.modules() for table in (m.__dict__["_parameters"], m.__dict__["_buffers"])]


def find_held(module: Module) -> Callable[[Tensor], Held | None]:
    """Where a module holds a tensor."""
    places: dict[int, Held] = {}
    for table in _places(module):
        for name, tensor in table.items():
            if tensor is not None:
                places.setdefault(id(tensor), (table, name))
    return lambda tensor: places.get(id(tensor))


def _twin(module: Module, made: dict[int, Module]) -> Module:
    """A module without code that shares parameters and buffers."""
    if id(module) in made:
        return made[id(module)]
    twin = made[id(module)] = TracedModule(type(module).__name__)
    for name in ("_parameters", "_buffers", "_non_persistent_buffers_set"):
        twin.__dict__[name] = copy.copy(module.__dict__[name])
    children = {n: None if m is None else _twin(m, made) for n, m in module._modules.items()}
    twin.__dict__["_modules"] = children
    plain = (bool, int, float, str, type(None), tuple)
    twin.__dict__.update({n: v for n, v in module.__dict__.items() if n not in INTERNAL and isinstance(v, plain)})
    twin.__dict__["training"] = module.training
    return twin


def trace(
    func: Any,
    example_inputs: Any = None,
    optimize: None = None,
    check_trace: bool = True,
    check_inputs: Iterable[Any] | None = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    *,
    example_kwarg_inputs: Mapping[str, Any] | None = None,
    allow_frozen: bool = False,
) -> Any:
    """Trace a function or module: run it once on ``example_inputs`` (a tensor, or a tuple as in the call).

    Gives a `TracedFunction`, or for a module a `TracedModule`: one program for arguments of these dtypes, which calls
    no Python.  Sizes may differ from those of the example, unless they decided something.  Branches and loops that
    depend on data are part of the program.  Objects outside, arguments that are no tensors, and the training mode stay
    what they were; parameters and buffers are shared with the module.

    A value that would be frozen (``x.tolist()``, a size that data decides, NumPy, Python's random numbers, the clock)
    is a StagingError with its line; with ``allow_frozen`` it is taken as it is, with a `TracerWarning`.  So is a write
    to a Python object outside, which is then left out.

    ``check_trace``: trace again, on the example and on each of ``check_inputs``, compare the programs, and the results
    with those of plain Python, to ``check_tolerance`` (relative and absolute).  A difference is a TracingCheckError
    that names the first op, or constant, with its line.

    ``optimize`` and ``strict`` are PyTorch's; containers of every kind may be returned.
    """
    if isinstance(func, Module):
        inputs = {"forward": example_inputs if example_kwarg_inputs is None else example_kwarg_inputs}
        more = None if check_inputs is None else [{"forward": x} for x in check_inputs]
        is_kwarg = example_kwarg_inputs is not None
        return trace_module(
            func, inputs, optimize, check_trace, more, check_tolerance, strict,
            example_inputs_is_kwarg=is_kwarg, allow_frozen=allow_frozen,
        )  # fmt: skip
    if not callable(func):
        raise ArgumentError("jit.trace: only what can be called can be traced", actual=type(func).__name__)
    examples = [_arguments(example_inputs, example_kwarg_inputs), *(_arguments(x, None) for x in check_inputs or ())]
    if isinstance(func, types.MethodType) and isinstance(func.__self__, Module):
        held = find_held(func.__self__)
        return _traced(func, examples, held, check_trace, check_tolerance, allow_frozen)
    return _traced(func, examples, lambda x: None, check_trace, check_tolerance, allow_frozen)


def trace_module(
    mod: Module,
    inputs: Mapping[str, Any],
    optimize: None = None,
    check_trace: bool = True,
    check_inputs: Iterable[Mapping[str, Any]] | None = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    *,
    example_inputs_is_kwarg: bool = False,
    allow_frozen: bool = False,
) -> TracedModule:
    """Trace methods of a module: ``inputs`` gives the example arguments of each by name.

    ``check_inputs``: further examples, each a dict like ``inputs``.  The rest is as for `trace`.
    """
    if not isinstance(mod, Module):
        raise ArgumentError("jit.trace_module: expected a module", actual=type(mod).__name__)
    if not isinstance(inputs, Mapping) or not inputs:
        raise ArgumentError("jit.trace_module: inputs", expected="example arguments by method", actual=inputs)
    made = _twin(mod, {})
    assert isinstance(made, TracedModule)
    held = find_held(made)
    more = list(check_inputs or ())
    for name in inputs:
        method = mod if name == "forward" else getattr(mod, name, None)
        if not callable(method):
            raise ArgumentError(f"jit.trace_module: {type(mod).__name__} has no method {name!r}")
        given = [x[name] for x in (inputs, *more) if name in x]
        examples = [_arguments((), x) if example_inputs_is_kwarg else _arguments(x, None) for x in given]
        found = _traced(method, examples, held, check_trace, check_tolerance, allow_frozen)
        made.attach(name, found)
    return made


def _arguments(positional: Any, keywords: Mapping[str, Any] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if positional is None:
        positional = ()
    if isinstance(positional, list):
        positional = tuple(positional)
    return positional if isinstance(positional, tuple) else (positional,), dict(keywords or {})


def _traced(
    function: Any, examples: list[Any], held: Callable[[Tensor], Held | None], check: bool, tolerance: float,
    allow_frozen: bool,
) -> TracedFunction:  # fmt: skip
    args, kwargs = examples[0]
    # A program has its gradients whatever mode it was traced in.
    token = dispatch.set_grad_enabled_flag(True)
    try:
        traced, found, pattern = trace_function(function, args, kwargs, held, allow_frozen)
        for frozen in found.frozen:
            _warn(frozen)
        for positional, keywords in examples if check else ():
            check_traced(function, traced, pattern, positional, keywords, tolerance, allow_frozen)
    finally:
        dispatch.reset_grad_enabled(token)
    return traced


def _warn(frozen: Frozen) -> None:
    where = frozen.where
    text = f"the trace keeps a value as it is now: {frozen.what}"
    if where is None:
        warnings.warn(text, TracerWarning, stacklevel=4)
    else:
        warnings.warn_explicit(f"{text} ({where})", TracerWarning, where.file, where.line)
