"""Gradients where nothing is recorded are those of the ops' own rules."""

from __future__ import annotations

from typing import Any

import pytest

import jitorch
from jitorch.errors import AutogradError
from jitorch.frontend.eager.cotangents import RULES
from jitorch.ops import OPS
from tests.frontend.eager.test_native import ordinary, same, values


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(RULES))
def test_values_are_equal_bit_for_bit(name: str, dtype: str) -> None:
    op = OPS[name]
    arity = len(op.operands)

    def tensor(seed: int, wanted: bool) -> Any:
        return jitorch.from_numpy(abs(values(dtype, (3, 4), seed)) + 1).requires_grad_(wanted)

    def gradients(*operands: Any) -> list[Any]:
        weight = jitorch.from_numpy(values(dtype, (3, 4), 9))
        fresh = [x.detach().requires_grad_(x.requires_grad) if isinstance(x, jitorch.Tensor) else x for x in operands]
        wanted = [x for x in fresh if isinstance(x, jitorch.Tensor) and x.requires_grad]
        return list(jitorch.autograd.grad(op(*fresh), wanted, weight))

    if arity == 1:
        cases: list[tuple[Any, ...]] = [(tensor(1, True),)]
    else:
        x, y, constant = tensor(1, True), tensor(2, True), tensor(3, False)
        cases = [(x, y), (x, constant), (constant, x), (x, 2.5), (2, x), (x, x)]
    for case in cases:
        for got, want in zip(gradients(*case), ordinary(gradients, *case), strict=True):
            same(got, want)


def test_an_operand_that_was_overwritten_is_refused_only_if_it_is_needed() -> None:
    x = jitorch.ones(3, requires_grad=True)
    y = jitorch.ones(3)
    product, total = x * y, x + y
    y.mul_(2)
    total.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(AutogradError, match="in-place"):
        product.sum().backward()


def test_gradients_that_meet_are_added_and_owned() -> None:
    x = jitorch.ones(3, requires_grad=True)
    y = jitorch.ones(3, requires_grad=True)
    z = x + y
    (z * z + z).sum().backward()
    assert x.grad.tolist() == y.grad.tolist() == [5.0, 5.0, 5.0]
    x.grad.add_(1)
    assert y.grad.tolist() == [5.0, 5.0, 5.0]


def test_hooks_and_kept_gradients_see_every_step() -> None:
    seen: list[Any] = []
    x = jitorch.ones(2, requires_grad=True)
    y = x * 3.0
    y.retain_grad()
    y.register_hook(lambda g: seen.append(g.tolist()) or g * 2)
    (y * 2.0).sum().backward()
    assert seen == [[2.0, 2.0]] and y.grad.tolist() == [4.0, 4.0] and x.grad.tolist() == [12.0, 12.0]
