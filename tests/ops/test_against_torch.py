"""Every published name against the function of the same name in PyTorch, on the registry's samples."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.errors import UserError
from jitorch.frontend.eager.tape import run_backward
from jitorch.ops import PUBLIC
from jitorch.ops.registry import Sample
from jitorch.tensor import Tensor

UNDETERMINED = {
    "empty", "empty_like", "empty_strided", "new_empty", "Tensor.new", "Tensor.new_empty", "Tensor.new_empty_strided",
}  # fmt: skip
"""Memory as it is found: only type and shape are compared."""

FREE = {"linalg.eig", "linalg.svd", "svd", "linalg.qr", "qr", "linalg.eigh", "linalg.lstsq"}
"""Factors up to signs that both choose freely: shapes here, their products in `tests/ops/test_matrix.py`."""

APART = {
    "jitorch.ops.random": "another stream of random numbers",
    "jitorch.ops.generator": "another stream of random numbers",
    "from_numpy": "takes an array, not a tensor",
    "get_default_device": "each library has its own devices",
    "nn.functional.gumbel_softmax": "another stream of random numbers",
    "Tensor.cuda": "there is no GPU",
    "Tensor.byte": "a negative float saturates to 0, where PyTorch leaves the result open",
}
"""Names, or modules, that cannot be compared so, and why."""

GRADIENT = {
    "nn.functional.ctc_loss": "PyTorch's holds only under a log_softmax: see `tests/ops/test_ctc.py`",
    "as_strided_scatter": "PyTorch's fails PyTorch's own gradcheck",
    "cholesky_inverse": "PyTorch gives the other triangle, which is not read, a gradient",
    "cholesky_solve": "PyTorch gives the other triangle, which is not read, a gradient",
}
"""Names whose gradient differs on purpose, and why."""

WITHOUT_GRADIENT = "not differentiable|derivative for|in-?place|cannot resize"
"""What PyTorch says where it has no gradient."""

DIFFERENTIABLE = {torch.float64, torch.complex128, dtypes.float64, dtypes.complex128}

TOLERANCE = {"float64": 1e-9, "float32": 2e-4, "bfloat16": 5e-2, "float16": 1e-2}


def torch_function(key: str) -> Any:
    """The function, or method, that ``key`` names in PyTorch; a method that exists in place only by that."""
    found: Any = torch
    for part in key.split("."):
        found = getattr(found, part, None) or getattr(found, f"{part}_", None)
    return found.__get__ if type(found).__name__ in ("getset_descriptor", "property") else found


def cases() -> Iterator[Any]:
    for key, entry in sorted(PUBLIC.items()):
        if key in APART or entry.__module__ in APART:
            continue
        for i, sample in enumerate(entry.rules.get("samples", lambda rng: ())(np.random.default_rng(0))):
            yield pytest.param(key, sample, id=f"{key}-{i}")


CASES = list(cases())


def converted(value: Any, tensor: Callable[[np.ndarray], Any], dtype: Callable[[DType], Any]) -> Any:
    """A sample's argument with arrays and dtypes as one of the two libraries has them."""
    if isinstance(value, np.ndarray):
        return tensor(value.copy())
    if isinstance(value, (list, tuple)):
        return type(value)(converted(v, tensor, dtype) for v in value)
    if isinstance(value, dict):
        return {k: converted(v, tensor, dtype) for k, v in value.items()}
    return dtype(value) if isinstance(value, DType) else value


def as_name(array: np.ndarray, name: str) -> np.ndarray:
    return array.astype(dtypes.by_name(name).numpy) if array.dtype == np.float64 else array


def ours(array: np.ndarray, name: str) -> Tensor:
    return Tensor._from_array(as_name(array, name))


def theirs(array: np.ndarray, name: str) -> torch.Tensor:
    if array.dtype != np.float64:
        return torch.from_numpy(array)
    # Rounded as ours, then exact: NumPy has no bfloat16 that PyTorch reads.
    exact = as_name(array, name).astype(np.float64)
    return torch.from_numpy(exact).to(getattr(torch, name))


def leaves(value: Any) -> Iterator[Any]:
    """The tensors in a structure of arguments or results, in order."""
    if isinstance(value, (Tensor, torch.Tensor)):
        yield value
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from leaves(v)


def compare(got: Any, want: Any, tolerance: float | None) -> None:
    """Equal structure, dtypes and shapes; equal values, within ``tolerance``, unless that is None."""
    if isinstance(want, torch.Tensor):
        assert isinstance(got, Tensor)
        assert (got.dtype.name, tuple(got.shape)) == (str(want.dtype).removeprefix("torch."), tuple(want.shape))
        if tolerance is not None:
            # A function may work in a narrower dtype than its operands'.
            tolerance = max(tolerance, TOLERANCE.get(got.dtype.name, 0.0))
            wide = want.detach().to(torch.float64) if want.dtype.is_floating_point else want.detach().resolve_conj()
            array = got.detach().numpy()
            actual = array.astype(np.float64) if got.dtype.is_floating_point else array
            np.testing.assert_allclose(actual, wide.numpy(), rtol=tolerance, atol=tolerance)
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want)
        assert getattr(got, "_fields", None) == getattr(want, "_fields", getattr(got, "_fields", None))
        for g, w in zip(got, want):
            compare(g, w, tolerance)
    elif isinstance(want, torch.dtype):
        assert got.name == str(want).removeprefix("torch.")
    else:
        assert got == want


def call_both(key: str, sample: Sample, name: str, grad: bool) -> tuple[Any, Any, list[Any], list[Any]]:
    """Results and argument tensors of both libraries."""
    mine = converted((sample.args, sample.kwargs), lambda a: ours(a, name), lambda d: d)
    reference = converted((sample.args, sample.kwargs), lambda a: theirs(a, name), lambda d: getattr(torch, d.name))
    for t in (*leaves(mine), *leaves(reference)):
        if grad and t.dtype in DIFFERENTIABLE:
            t.requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = torch_function(key)(*reference[0], **reference[1])
    got = PUBLIC[key](*mine[0], **mine[1])
    return got, want, list(leaves(mine)), list(leaves(reference))


def tolerance_of(key: str, name: str) -> float | None:
    return None if key in UNDETERMINED or key in FREE else TOLERANCE[name]


@pytest.mark.parametrize(("key", "sample"), CASES)
def test_values_and_gradients(key: str, sample: Sample) -> None:
    tolerance = tolerance_of(key, "float64")
    grad = sample.grad and tolerance is not None and key not in GRADIENT
    try:
        got, want, mine, reference = call_both(key, sample, "float64", grad)
        outputs = [(g, w) for g, w in zip(leaves(got), leaves(want)) if w.requires_grad]
        seeds, grads = reference_gradients([w for _, w in outputs], reference)
    except RuntimeError as error:
        if isinstance(error, UserError) or not re.search(WITHOUT_GRADIENT, str(error)):
            raise
        # PyTorch has no gradient here: values alone.
        got, want, _, _ = call_both(key, sample, "float64", False)
        return compare(got, want, tolerance)
    compare(got, want, tolerance)
    made = [(g, s) for (g, _), s in zip(outputs, seeds) if g.requires_grad]
    actual = run_backward(
        [g for g, _ in made], [as_ours(s) for _, s in made], None, False, [t for t in mine if t.requires_grad],
        accumulate=False,
    )  # fmt: skip
    for g, w in zip(actual, grads):
        # Where PyTorch has no gradient (weights of classes, running statistics), there may be one here.
        if w is not None:
            zero = np.zeros(tuple(w.shape))
            expected = w.detach().resolve_conj().numpy()
            np.testing.assert_allclose(zero if g is None else g.numpy(), expected, rtol=1e-8, atol=1e-8)
    return None


def reference_gradients(outputs: list[torch.Tensor], inputs: list[torch.Tensor]) -> tuple[list[Any], list[Any]]:
    """PyTorch's gradients of the inputs that require one, and the cotangents of the outputs they belong to."""
    rng = np.random.default_rng(1)
    seeds = [torch.from_numpy(rng.normal(size=(2, *w.shape))) for w in outputs]
    seeds = [(s[0] + 1j * s[1] if w.dtype.is_complex else s[0]).to(w.dtype) for s, w in zip(seeds, outputs)]
    wanted = [t for t in inputs if t.requires_grad]
    if not outputs or not wanted:
        return seeds, []
    return seeds, list(torch.autograd.grad(outputs, wanted, seeds, allow_unused=True))


def as_ours(x: torch.Tensor) -> Tensor:
    """A tensor of PyTorch's as one of ours."""
    if x.dtype is torch.bfloat16:
        return ours(x.to(torch.float64).numpy(), "bfloat16")
    return Tensor._from_array(x.numpy())


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
@pytest.mark.parametrize(("key", "sample"), CASES)
def test_narrow_dtypes(key: str, sample: Sample, name: str) -> None:
    if not any(a.dtype == np.float64 for a in arrays_of(sample)):
        return
    try:
        got, want, _, _ = call_both(key, sample, name, grad=False)
    except (RuntimeError, NotImplementedError, TypeError):
        if name == "float32":
            raise
        return
    compare(got, want, tolerance_of(key, name))


def arrays_of(sample: Sample) -> Iterator[np.ndarray]:
    found: list[np.ndarray] = []
    converted((sample.args, sample.kwargs), lambda a: found.append(a), lambda d: d)
    return iter(found)


def test_every_published_name_is_pytorch_s_and_has_samples() -> None:
    assert [key for key in PUBLIC if torch_function(key) is None] == []
    assert [key for key, entry in PUBLIC.items() if "samples" not in entry.rules] == []
