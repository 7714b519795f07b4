"""Every op with samples is exported, run in onnxruntime and compared with eager execution.

`jitorch_onnx.export` itself runs and compares; here it is only told to.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from jitorch_onnx import OPSETS, export
from jitorch_onnx.arguments import bind, described, leaves
from jitorch_onnx.tracing import trace

import jitorch
from jitorch import Tensor
from jitorch.errors import ShapeError, StagingError, UnsupportedError, UserError, ValueRangeError
from jitorch.ops import OPS, PUBLIC

ENTRIES: dict[str, Any] = {f"op.{name}": entry for name, entry in OPS.items()}
ENTRIES |= {name: entry for name, entry in PUBLIC.items() if entry not in OPS.values()}
CONTROL = ("cond", "recomputed", "scan", "while_loop")
"""Their samples hold graphs of one dtype; that they are refused is a test of its own."""
SAMPLED = sorted(n for n, entry in ENTRIES.items() if "samples" in entry.rules and n.removeprefix("op.") not in CONTROL)

REFUSED = {
    # What the error says: the ops that have a sample of that kind.
    "writes to tensors that it does not own": """
        Tensor.bernoulli Tensor.cauchy Tensor.exponential Tensor.geometric Tensor.log_normal Tensor.normal
        Tensor.random Tensor.uniform bernoulli dropout multinomial nn.functional.alpha_dropout nn.functional.dropout
        nn.functional.dropout1d nn.functional.dropout2d nn.functional.dropout3d nn.functional.feature_alpha_dropout
        nn.functional.gumbel_softmax nn.functional.multi_head_attention_forward
        normal rand_like randint_like randn_like set_rng_state""",
    "needs a value that is computed by the traced program": """
        allclose argwhere bincount equal is_nonzero masked_select nn.functional.ctc_loss
        nn.functional.one_hot nonzero repeat_interleave unique
        unique_consecutive Tensor.resize_""",
    "the function returns no tensor": "equal is_complex is_floating_point is_tensor numel result_type",
    "random_bits: has no counterpart in ONNX": "op.random_bits op.random_integers op.random_normal op.random_uniform",
    "random_advance: has no counterpart in ONNX": "op.random_advance",
    "output has unsupported type tensor(complex": "Tensor.cdouble Tensor.cfloat",
    "export: complex numbers": "Tensor.cdouble Tensor.cfloat resolve_conj resolve_neg",
    "from_numpy: expected a NumPy array": "from_numpy",
}

WITHOUT_KERNEL = {
    # Operators that onnxruntime has no kernel for in float64; ONNX's reference evaluator runs them.
    "Acos", "Asin", "Atan", "AveragePool", "Conv", "Cosh", "Erf", "Sinh",
}  # fmt: skip

ROUNDS_INTEGERS = {"op.zeta"}
"""Ops that truncate a float to an integer: a last digit decides."""


def as_argument(value: Any, dtype: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(as_argument(item, dtype) for item in value)
    if not isinstance(value, np.ndarray):
        return value
    with np.errstate(invalid="ignore"):
        return jitorch.from_numpy(np.array(value, dtype if value.dtype.kind == "f" else None, order="C"))


def calls(name: str, dtype: Any) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]:
    """The op and the arguments of each sample that has a tensor among them."""
    entry = ENTRIES[name]

    def function(*args: Any, **kwargs: Any) -> Any:
        return entry(*args, **kwargs)

    for sample in entry.rules["samples"](np.random.default_rng(0)):
        args = tuple(as_argument(value, dtype) for value in sample.args)
        kwargs = {key: as_argument(value, dtype) for key, value in sample.kwargs.items()}
        if any(isinstance(leaf, Tensor) for _, leaf in leaves((args, kwargs))):
            yield function, args, kwargs


def missing_kernel(caught: list[warnings.WarningMessage]) -> set[str]:
    """The operators that onnxruntime was said to lack."""
    texts = [str(warning.message) for warning in caught]
    found = {match[1] for text in texts if (match := re.search(r"implementation for (\w+)\(", text))}
    assert len(found) == len([t for t in texts if "bfloat16" not in t]), texts
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", SAMPLED)
def test_sample(name, dtype):
    for function, args, kwargs in calls(name, dtype):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            error = refusal(function, args, kwargs)
        if error is not None and not extern_without_counterpart(error):
            reasons = [reason for reason in REFUSED if reason in str(error)]
            assert reasons, error
            assert name in REFUSED[reasons[0]].split(), error
        assert missing_kernel(caught) <= (WITHOUT_KERNEL if dtype is np.float64 else set())


def refusal(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], **options: Any
) -> UserError | None:
    """The error that exporting gives, if any."""
    try:
        export(function, args, kwargs=kwargs, **options)
    except UserError as error:
        return error
    return None


def extern_without_counterpart(error: UserError) -> bool:
    """Whether all that could not be written are routines of a library."""
    names = re.findall(r"^  (\w+): has no counterpart in ONNX$", error.what, re.MULTILINE)
    return bool(names) and all(OPS[name].lowering == "extern" for name in names)


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.int64, np.float16], ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", [n for n in SAMPLED if n.startswith("op.") and n not in ROUNDS_INTEGERS])
def test_sample_in_another_dtype(name, dtype):
    for function, args, kwargs in calls(name, dtype):
        if not is_valid(function, args, kwargs):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            error = refusal(function, args, kwargs)
        assert error is None or isinstance(error, UnsupportedError)


def grown(tree: Any, size: int) -> Any:
    """``tree`` with every axis of ``size`` one longer: the last element is repeated, so what was sorted still is."""
    if isinstance(tree, (list, tuple)):
        return type(tree)(grown(item, size) for item in tree)
    if isinstance(tree, dict):
        return {key: grown(item, size) for key, item in tree.items()}
    if not isinstance(tree, Tensor):
        return tree
    array = tree.numpy()
    for axis, d in enumerate(array.shape):
        if d == size:
            array = np.take(array, np.minimum(np.arange(d + 1), d - 1), axis)
    return jitorch.from_numpy(np.array(array, order="C"))


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
@pytest.mark.parametrize("name", [n for n in SAMPLED if n.startswith("op.")])
def test_sample_in_the_oldest_and_the_newest_opset(name, opset):
    for function, args, kwargs in calls(name, np.float32):
        error = refusal(function, args, kwargs, opset_version=opset)
        assert error is None or isinstance(error, UnsupportedError)


def is_valid(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        function(*args, **kwargs)
    except (UserError, ValueError):
        return False
    return True


def dynamic(function: Callable[..., Any], args: Any, kwargs: Any, size: int) -> dict[str, dict[int, str]]:
    """``dynamic_axes`` that make every axis of ``size`` symbolic."""
    tensors = [(path, leaf) for path, leaf in leaves(bind(function, args, kwargs)) if isinstance(leaf, Tensor)]
    axes = {path: {i: f"s{size}" for i, d in enumerate(t.shape) if d == size} for path, t in tensors}
    return {path: named for path, named in axes.items() if named}


def with_symbols(name: str) -> int:
    """Export the samples with each of their sizes symbolic, and run them at two sizes; returns how many could."""
    done = 0
    for function, args, kwargs in calls(name, np.float32):
        tensors = [leaf for _, leaf in leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        for size in sorted({d for t in tensors for d in t.shape if d > 1}):
            axes = dynamic(function, args, kwargs, size)
            larger = grown(args, size)
            has_tensor_keywords = any(isinstance(leaf, Tensor) for _, leaf in leaves(kwargs))
            more = [larger] if not has_tensor_keywords and is_valid(function, grown(args, size), kwargs) else []
            try:
                limits = trace(function, args, kwargs, described(function, args, kwargs, None, axes)).limits
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "the exported model is valid only where", UserWarning)
                    warnings.filterwarnings("ignore", ".* no bfloat16", UserWarning)
                    export(function, args, kwargs=kwargs, dynamic_axes=axes, check_inputs=[] if limits else more)
            except (ShapeError, StagingError, UnsupportedError, ValueRangeError):
                continue
            done += len(more)
    return done


@pytest.mark.parametrize("name", [n for n in SAMPLED if not any(n in names.split() for names in REFUSED.values())])
def test_sample_with_symbolic_sizes(name):
    done = with_symbols(name)
    assert done > 0 or name.removeprefix("op.") not in ALWAYS_SYMBOLIC


ALWAYS_SYMBOLIC = set(
    """abs add amax argmax argsort_axis avg_pool batch_norm_eval cast concatenate conv1d conv2d conv3d
    cross_entropy diagonal_of embedding flip_axes gather_axis gelu layer_norm linear log_softmax matmul_batched max_pool
    mean mode_axis mul pad_axes put reduce_max reduce_sum relu scan_sum scatter_axis sigmoid slice_axes softmax sum take
    transpose_axes tril where windows""".split()
)
"""Ops whose samples must be exportable with some axis of any size."""


def test_tables_name_ops_that_exist():
    listed = {name for names in REFUSED.values() for name in names.split()} | ROUNDS_INTEGERS
    assert listed <= set(SAMPLED)
    assert {f"op.{name}" for name in ALWAYS_SYMBOLIC} <= set(SAMPLED)
