"""A recurrent layer here and in PyTorch: equal weights, outputs, states and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.nn.oracle import close, copy_state, numbers, ours, theirs


def leaves(values: Any) -> list[Any]:
    """The tensors of nested tuples, in order."""
    if isinstance(values, tuple):
        return [leaf for value in values for leaf in leaves(value)]
    return [] if values is None else [values]


def check_recurrent(mine: Any, reference: torch.nn.Module, *inputs: Any) -> None:
    """``inputs`` are arrays, or tuples of arrays."""

    def convert(value: Any, make: Any) -> Any:
        return tuple(make(v, True) for v in value) if isinstance(value, tuple) else make(value, True)

    assert list(mine.state_dict()) == list(reference.state_dict())
    assert repr(mine) == repr(reference)
    copy_state(reference, mine)
    my_inputs, their_inputs = (tuple(convert(x, make) for x in inputs) for make in (ours, theirs))
    results, expected = leaves(mine(*my_inputs)), leaves(reference(*their_inputs))
    assert len(results) == len(expected)
    for i, (a, b) in enumerate(zip(results, expected, strict=True)):
        close(a, b, f"output {i}")
    weights = [numbers(*b.shape, seed=i) for i, b in enumerate(expected)]
    sum((a * ours(w)).sum() for a, w in zip(results, weights)).backward()
    sum((b * theirs(w)).sum() for b, w in zip(expected, weights)).backward()
    for a, b in zip(leaves(my_inputs), leaves(their_inputs), strict=True):
        close(a.grad, b.grad, "gradient of an input")
    gradients = {name: parameter.grad for name, parameter in reference.named_parameters()}
    for name, parameter in mine.named_parameters():
        close(parameter.grad, gradients[name], f"gradient of {name}")


def sequence(batch_first: bool = False, batch: int | None = 2, steps: int = 4, size: int = 3) -> np.ndarray:
    """An input of a layer; ``batch`` None leaves that axis out."""
    if batch is None:
        return numbers(steps, size)
    return numbers(batch, steps, size) if batch_first else numbers(steps, batch, size)
