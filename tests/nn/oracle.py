"""The same layer here and in PyTorch: equal weights, equal outputs, equal gradients."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch

import jitorch


def array(tensor: Any) -> np.ndarray:
    """A copy of a tensor of either kind."""
    return np.array(tensor.detach().numpy())


def ours(values: np.ndarray, requires_grad: bool = False) -> jitorch.Tensor:
    tensor = jitorch.tensor(values)
    return tensor.requires_grad_(requires_grad) if requires_grad else tensor


def theirs(values: np.ndarray, requires_grad: bool = False) -> torch.Tensor:
    return torch.tensor(values).requires_grad_(requires_grad)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers, float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def copy_state(source: torch.nn.Module, target: Any) -> None:
    """Give ``target`` the parameters and buffers of ``source``."""
    target.load_state_dict({name: ours(array(value)) for name, value in source.state_dict().items()})


def close(actual: Any, expected: Any, what: str = "", rtol: float = 2e-5, atol: float = 2e-6) -> None:
    actual, expected = array(actual), array(expected)
    assert actual.dtype == expected.dtype, (what, actual.dtype, expected.dtype)
    # A small element may be what is left of large terms: rounding is in proportion to those.
    scale = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol * scale, err_msg=what)


def check_module(mine: Any, reference: torch.nn.Module, *inputs: np.ndarray, train: bool = True) -> None:
    """Keys of the state, repr, outputs, gradients of inputs and parameters, and the buffers after the call agree."""
    assert list(mine.state_dict()) == list(reference.state_dict())
    assert repr(mine) == repr(reference)
    copy_state(reference, mine)
    mine.train(train)
    reference.train(train)
    mine_inputs = [ours(x, x.dtype.kind == "f") for x in inputs]
    their_inputs = [theirs(x, x.dtype.kind == "f") for x in inputs]
    out, expected = mine(*mine_inputs), reference(*their_inputs)
    close(out, expected, "output")
    weights = numbers(*expected.shape, seed=7)
    (out * ours(weights)).sum().backward()
    (expected * theirs(weights)).sum().backward()
    for i, (x, y) in enumerate(zip(mine_inputs, their_inputs, strict=True)):
        if y.grad is not None:
            close(x.grad, y.grad, f"gradient of input {i}")
    expected_grads = {name: p.grad for name, p in reference.named_parameters()}
    for name, parameter in mine.named_parameters():
        close(parameter.grad, expected_grads[name], f"gradient of {name}")
    for name, value in reference.state_dict().items():
        close(mine.state_dict()[name], value, name)


def check_signature(mine: type, reference: type, leave_out: tuple[str, ...] = ()) -> None:
    """The constructor's parameters: names, order, kinds and defaults are PyTorch's."""

    def described(cls: type) -> list[tuple[str, Any, Any]]:
        parameters = inspect.signature(cls.__init__).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters if p.name not in leave_out]

    assert described(mine) == described(reference), mine.__name__
