"""Export: trace, write the nodes, check, run and compare, and only then put the file in its place."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper

from jitorch import Tensor
from jitorch.errors import ArgumentError, UnsupportedError, ValueRangeError
from jitorch.ir.graph import Graph
from jitorch.ops import dispatch
from jitorch.ops.control import inner_graphs
from jitorch.passes.clean import dce
from jitorch.passes.control import prune, strip_checks
from jitorch_onnx import check
from jitorch_onnx.arguments import Argument, DynamicAxes, bind, check_dynamic_axes, described, leaves, named, rebuilt
from jitorch_onnx.context import Context, Known, Problem
from jitorch_onnx.file import File
from jitorch_onnx.tracing import Traced, trace

OPSETS = range(13, 24)
"""The versions of the ONNX operators that can be written."""

_LIMIT_OF_PROTOBUF = 2**31 - 1


def export(
    model: Callable[..., Any],
    args: Any = (),
    path: str | os.PathLike[str] | None = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_axes: DynamicAxes | None = None,
    opset_version: int = 18,
    check_inputs: Iterable[Any] = (),
    verify: bool = True,
    tolerance: float | None = None,
) -> onnx.ModelProto:
    """Write ``model``, a function or a `jitorch.nn.Module`, as an ONNX file; returns the model.

    ``args`` (a tensor, or a tuple as in the call) and ``kwargs`` are example arguments: tensors among
    them, also in tuples, lists and dicts, become inputs of the file, everything else is fixed.  Tensors
    that the model holds become initializers under their ``state_dict`` names.  A module is exported in
    the mode it is in, without gradients; one that writes to its buffers is refused, so call
    ``model.eval()`` first.  What the model writes to an argument is seen in its results only.

    ``input_names`` and ``output_names`` name the tensors in order; without them inputs are called like the
    parameters, outputs ``output`` or ``output_0``, ...
    ``dynamic_axes`` gives, for an input, axes of any size: ``{"x": {0: "batch"}}`` or ``{"x": [0]}``; axes
    of one name have one size.  Those of outputs follow from it.  Sizes are at least 1.

    ``path``: the file; it is written under another name and then renamed, so that it is whole or not
    there.  Without it the model is only returned.

    Every model passes ONNX's checker.  With ``verify``, and where onnxruntime is installed, it is also run on
    the example and on each of ``check_inputs`` (arguments like ``args``), and must agree with eager
    execution to ``tolerance`` (see `jitorch_onnx.check.compare`).

    Raises UnsupportedError with everything that has no counterpart in ONNX, by line of your source;
    ValueRangeError where the model fixes the size of a dynamic axis; ArgumentError for names that do not fit.

    Source: the ONNX specification, https://onnx.ai/onnx/operators/.
    """
    if opset_version not in OPSETS:
        raise ValueRangeError(
            "export: unknown opset_version", expected=f"{OPSETS[0]} to {OPSETS[-1]}", actual=opset_version
        )
    positional, keywords = _as_tuple(args), dict(kwargs or {})
    axes = dynamic_axes or {}
    arguments = described(model, positional, keywords, input_names, axes)
    traced = trace(model, positional, keywords, arguments)
    checks = _without_checks(traced.graph)
    outputs = named("output_names", output_names, _output_names(traced.outputs))
    tensors = named("input_names and output_names", None, [*(a.name for a in arguments), *outputs])
    check_dynamic_axes(axes, tensors)
    result = _written(traced, arguments, outputs, opset_version)
    check.refuse_complex(result)
    check.check_model(result)
    if verify:
        examples = [positional, *map(_as_tuple, check_inputs)]
        _compare(result, model, traced.outputs, [(example, keywords) for example in examples], tolerance)
    if traced.limits:
        warnings.warn(f"the exported model is valid only where {' and '.join(traced.limits)}", stacklevel=2)
    if checks:
        warnings.warn(f"ONNX has no checks, these are left out: {', '.join(checks)}", stacklevel=2)
    if path is not None:
        _save(result, Path(path))
    return result


def _without_checks(graph: Graph) -> list[str]:
    """Take out the checks that ``assert`` and ``raise`` became; the lines where they were."""
    found = list(dict.fromkeys(_checks(graph)))
    strip_checks(graph)
    for clean in (prune, dce) if found else ():
        clean(graph)
    return found


def _checks(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.op.name == "check":
            yield str(node.loc or "a check")
        for inner in inner_graphs(node):
            yield from _checks(inner)


def _as_tuple(args: Any) -> tuple[Any, ...]:
    return tuple(args) if isinstance(args, (tuple, list)) else (args,)


def _output_names(paths: Sequence[str]) -> list[str]:
    if not paths:
        raise ArgumentError("export: the function returns no tensor", expected="tensors, also in a tuple, list or dict")
    return [f"output_{p}" if p.isdigit() else p or "output" for p in paths]


def _written(traced: Traced, arguments: Sequence[Argument], outputs: Sequence[str], opset: int) -> onnx.ModelProto:
    """The graph as an ONNX model."""
    file, problems = File(opset, reserved=outputs), dict[Problem, None]()
    inputs = [Known(a.type, name=file.add_input(a.name, a.type)) for a in arguments]
    for name, tensor in traced.parameters:
        inputs.append(Known(tensor.type, name=file.add_parameter(name, tensor.numpy(force=True))))
    names = Context(file, problems).run(traced.graph, inputs)
    if problems:
        raise UnsupportedError(
            "cannot be exported to ONNX:\n  " + "\n  ".join(map(str, problems)), where=next(iter(problems)).where
        )
    types = [value.type for value in traced.graph.outputs]
    result = file.finish(traced.graph.name, list(zip(outputs, names, types)))  # type: ignore[arg-type]
    result.producer_name, result.producer_version = "jitorch", _version()
    if traced.limits:
        onnx.helper.set_model_props(result, {"jitorch.limits": "; ".join(traced.limits)})
    if result.ByteSize() > _LIMIT_OF_PROTOBUF:
        raise UnsupportedError("export: models of more than 2 GiB", actual=f"{result.ByteSize()} bytes")
    return result


def _version() -> str:
    try:
        return metadata.version("jitorch")
    except metadata.PackageNotFoundError:
        # A source tree that was not installed.
        return ""


def _compare(
    result: onnx.ModelProto, model: Callable[..., Any], paths: Sequence[str],
    examples: Iterable[tuple[tuple[Any, ...], dict[str, Any]]], tolerance: float | None,
) -> None:  # fmt: skip
    runner = check.runner(result)
    if runner is None:
        return
    inputs, outputs = ([v.name for v in values] for values in (result.graph.input, result.graph.output))
    for args, kwargs in examples:
        tensors = [leaf for _, leaf in leaves(bind(model, args, kwargs)) if isinstance(leaf, Tensor)]
        feeds = dict(zip(inputs, (np.array(t.numpy(force=True)) for t in tensors), strict=True))
        check.compare(outputs, runner.run(feeds), _eager(model, args, kwargs, paths), tolerance)


def _eager(
    model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], paths: Sequence[str]
) -> list[np.ndarray[Any, Any]]:
    """What ``model`` returns at ``paths``, without gradients; what it writes to its arguments goes to copies."""
    copies = (t.detach().clone() for _, t in leaves((args, kwargs)) if isinstance(t, Tensor))
    args, kwargs = rebuilt((args, kwargs), copies)
    token = dispatch.set_grad_enabled_flag(False)
    try:
        found = dict(leaves(model(*args, **kwargs)))
        return [np.asarray(x.numpy(force=True) if isinstance(x, Tensor) else x) for x in map(found.__getitem__, paths)]
    finally:
        dispatch.reset_grad_enabled(token)


def _save(model: onnx.ModelProto, path: Path) -> None:
    """Write next to ``path`` and rename, so that no reader ever sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(model.SerializeToString())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
