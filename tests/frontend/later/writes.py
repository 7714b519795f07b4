"""In-place writes, to shapes and histories of all kinds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jitorch
from tests.frontend.later.memory import matrix
from tests.frontend.later.table import attempt, later, tensor

WRITES = "in-place writes"


def _with_written(name: str, body: Any, *shapes: tuple[int, ...]) -> None:
    def play(jit):
        f = jit(body)
        for shape in shapes or ((3,), (3,), (4,), (2, 3), (3,)):
            x = jitorch.arange(jitorch.Size(shape).numel(), dtype=jitorch.float32).reshape(shape)
            y = attempt(f, x)
            yield y, x, y is x

    play.__name__ = name
    later(WRITES)(play)


_with_written("add_", lambda x: x.add_(1))
_with_written("chain_of_writes", lambda x: x.add_(1).mul_(2).clamp_(0, 5))
_with_written("item_written", lambda x: x.__setitem__(0, 7))
_with_written("slice_written", lambda x: _set_slice(x))
_with_written("mask_written", lambda x: _set_mask(x))
_with_written("view_written", lambda x: (x.view(-1)[1:].mul_(3), x.sum())[1])
_with_written("written_and_read_before", lambda x: (x.sum(), x.add_(1), x.sum()))
_with_written("filled_and_zeroed", lambda x: (x.fill_(2).sum(), x.zero_()))
_with_written("augmented", lambda x: _augmented(x))
_with_written("transposed_write", lambda x: x.T.add_(1), (2, 3), (3, 2), (3, 3), (2, 3))
_with_written("random_write", lambda x: x.uniform_(0, 1))
_with_written("nothing_written_on_one_path", lambda x: x.add_(1).sum() if x.sum() > 3 else x.sum())
_with_written("exponent_written", lambda x: jitorch.exp(x, out=x))


def _set_slice(x: Any) -> Any:
    x[1:] = 5
    x[:1] += 2
    return x


def _set_mask(x: Any) -> Any:
    x[x > 1] = 0
    return x.sum()


def _augmented(x: Any) -> Any:
    y = x
    x += 1
    x *= y
    x -= 0.5
    return y


@later(WRITES)
def write_with_a_gradient(jit):
    def f(x):
        y = x * 2
        y.add_(1)
        y[0] = 5
        return y * y

    g = jit(f)
    for _ in range(2):
        x = tensor(1, 2, grad=True)
        y = g(x)
        y.sum().backward()
        yield y, x.grad


@later(WRITES)
def write_to_a_leaf(jit):
    f = jit(lambda x: x.add_(1))
    yield attempt(f, tensor(1, 2, grad=True))[:2]
    yield f(tensor(1, 2))
    with jitorch.no_grad():
        yield f(tensor(1, 2, grad=True))


@later(WRITES)
def write_that_fails_later(jit):
    h = SimpleNamespace(n=0)

    def f(x, bad):
        y = x * 2
        if bad:
            raise KeyError("bad")
        h.n += 1
        return y

    g = jit(f)
    for bad in (False, True, False):
        yield attempt(g, tensor(1), bad), h.n


@later(WRITES)
def write_seen_through_a_view(jit):
    m = matrix()
    row = m[0]
    f = jit(lambda: (row.add_(1), m.sum())[1])
    yield f(), m
    row = m[1]
    yield f(), m
    m = matrix()
    yield f(), m, row


@later(WRITES)
def write_to_an_element_of_a_list(jit):
    values = [tensor(1), tensor(2)]
    f = jit(lambda: [v.add_(1) for v in values])
    yield f()
    values[1] = values[0]
    yield f()
    values.append(tensor(5))
    yield f()


@later(WRITES)
def write_of_another_dtype(jit):
    f = jit(lambda x, y: x.add_(y))
    yield f(tensor(1, 2), tensor(1, 1))
    yield f(tensor(1, 2), jitorch.tensor([1, 2]))
    yield attempt(f, jitorch.tensor([1, 2]), tensor(0.5, 0.5))[:2]
    yield f(tensor(1, 2).double(), tensor(1, 1))


@later(WRITES)
def resized_and_set(jit):
    f = jit(lambda x: x.unsqueeze_(0) if hasattr(x, "unsqueeze_") else x)
    x = tensor(1, 2)
    yield attempt(f, x), x
