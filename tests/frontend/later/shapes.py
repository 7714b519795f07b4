"""Shapes, dtypes, values and layouts that differ from call to call."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import jitorch
from tests.frontend.later.table import attempt, later, tensor

SHAPES = "shapes and sizes"


def _with_shapes(name: str, body: Any, *shapes: tuple[int, ...], dynamic: bool | None = None) -> None:
    def play(jit):
        f = jit(body) if dynamic is None else jit(body, dynamic=dynamic)
        for shape in (*shapes, *shapes):
            n = math.prod(shape)
            yield attempt(f, jitorch.arange(n, dtype=jitorch.float32).reshape(shape) * 0.5 - 1)

    play.__name__ = name
    later(SHAPES)(play)


ROWS = ((3, 2), (4, 2), (1, 2), (0, 2), (5, 2), (2, 2))
for _dynamic in (None, True, False):
    _suffix = {None: "", True: "_dynamic", False: "_static"}[_dynamic]
    _with_shapes("rows" + _suffix, lambda x: (x * 2).sum(0) + x.shape[0], *ROWS, dynamic=_dynamic)
    _with_shapes("loop_over_rows" + _suffix, lambda x: sum(r * i for i, r in enumerate(x)), *ROWS, dynamic=_dynamic)
    _with_shapes("square_or_not" + _suffix, lambda x: x @ x.mT if x.shape[0] > 2 else x * 2, *ROWS, dynamic=_dynamic)
_with_shapes("both_axes", lambda x: x.T @ x + x.shape[0] / 2, (3, 3), (3, 4), (4, 3), (4, 4), (1, 4), (4, 1), (1, 1))
_with_shapes("rank", lambda x: x.sum(-1) * x.dim() if x.dim() else x, (3,), (3, 3), (2, 3, 3), (), (1,), (0,))
_with_shapes(
    "broadcast_with_a_constant", lambda x: x + jitorch.ones(3, 1), (3, 3), (3, 4), (1, 3), (3, 1), (1, 1), (3,)
)
_with_shapes(
    "size_in_arithmetic", lambda x: x.reshape(-1, 2).sum(0) * (x.shape[0] // 2), (2, 2), (4, 2), (6, 2), (8, 2)
)
_with_shapes("size_in_a_test", lambda x: x.sum() if len(x) % 2 else x.mean(0), (2, 3), (3, 3), (4, 3), (5, 3), (6, 3))
_with_shapes(
    "size_in_a_test_of_two_sizes", lambda x: x if x.shape[0] == x.shape[1] else x.T, (2, 3), (3, 3), (4, 3), (4, 4)
)
_with_shapes(
    "size_as_a_result", lambda x: (x.shape, x.numel(), x.size(0), len(x), list(x.shape)), (2, 3), (3, 3), (4, 5)
)
_with_shapes("size_in_a_text", lambda x: f"{x.shape[0]} rows, {tuple(x.shape)}", (2, 3), (3, 3), (4, 3))
_with_shapes("size_as_a_key", lambda x: x * {2: 1, 3: 2}.get(x.shape[0], 7), (2, 3), (3, 3), (4, 3), (5, 3))
_with_shapes("size_as_a_slice", lambda x: x[: x.shape[0] // 2] * 2, (2, 3), (3, 3), (5, 3), (1, 3), (0, 3))
_with_shapes("size_that_cannot_be", lambda x: x.reshape(2, 3) * 2, (2, 3), (6, 1), (4, 2), (3, 2))
_with_shapes("size_as_a_float", lambda x: x / x.shape[0] ** 0.5 + float(x.shape[0]), (2, 3), (3, 3), (5, 3), (1, 3))
_with_shapes(
    "new_tensor_of_the_size", lambda x: jitorch.arange(x.shape[0]) * x.sum(), (2, 3), (3, 3), (5, 3), (1, 3), (0, 3)
)
_with_shapes("concatenation", lambda x: jitorch.cat([x, x[:1], x]), (2, 3), (3, 3), (5, 3), (1, 3), (0, 3))
_with_shapes("while_over_rows", lambda x: _rows_above(x), (2, 3), (3, 3), (5, 3), (1, 3), (0, 3))


def _rows_above(x: Any) -> Any:
    total, n = x.sum() * 0, 0
    for row in x:
        if row.sum() > 0:
            total = total + row.sum()
            n += 1
    return total, n


@later(SHAPES)
def sizes_of_two_arguments(jit):
    f = jit(lambda x, y: x + y)
    for a, b in ((2, 2), (3, 3), (3, 1), (1, 3), (2, 3), (0, 1), (0, 0), (5, 5)):
        yield attempt(f, jitorch.ones(a), jitorch.ones(b) * 2)


@later(SHAPES)
def size_of_a_captured_tensor(jit):
    h = SimpleNamespace(w=jitorch.ones(2))
    f = jit(lambda x: x.sum() * h.w + h.w.shape[0])
    for n in (2, 3, 1, 0, 4):
        h.w = jitorch.ones(n)
        yield f(tensor(1, 2))


DTYPES = "dtypes and values"
_ALL = (jitorch.float32, jitorch.float64, jitorch.int64, jitorch.int32, jitorch.bool, jitorch.uint8, jitorch.float16)


def _with_dtypes(name: str, body: Any) -> None:
    def play(jit):
        f = jit(body)
        for dtype in (*_ALL, *_ALL):
            yield attempt(f, jitorch.tensor([0, 1, 3]).to(dtype))

    play.__name__ = name
    later(DTYPES)(play)


_with_dtypes("dtype_of_an_operand", lambda x: x * 2 + 1)
_with_dtypes("dtype_in_a_test", lambda x: x if x.dtype is jitorch.float32 else x.to(jitorch.float64) / 2)
_with_dtypes("dtype_in_a_staged_branch", lambda x: x + 1 if x.sum() > 3 else x * 1 + 0)
_with_dtypes("dtype_and_a_float", lambda x: x * 0.5)
_with_dtypes("item_of_a_dtype", lambda x: (x[1].item(), x.sum().item()))
_with_dtypes("in_place_of_a_dtype", lambda x: x.add_(1))


@later(DTYPES)
def values_decide(jit):
    f = jit(lambda x: x * 2 if x.sum() > 0 else x.exp() if x[0] == x[0] else x.nan_to_num())
    for values in ((1.0, 2.0), (-1.0, 0.5), (math.nan, 1.0), (math.inf, -math.inf), (0.0, 0.0), (-0.0, 0.0)):
        yield f(tensor(*values))


@later(DTYPES)
def values_in_comparison_chains(jit):
    f = jit(lambda x: (x[0] < x[1] < 3, x[0] > 0 and x[1], x[0] == x[1] or x[0] < 5.0))
    for values in ((1.0, 2.0), (2.0, 1.0), (math.nan, 1.0), (0.0, 0.0)):
        yield [bool(v) for v in f(tensor(*values))]


LAYOUTS = "strides and layouts"


def _with_layouts(name: str, body: Any) -> None:
    def play(jit):
        f = jit(body)
        base = jitorch.arange(24, dtype=jitorch.float32)
        made = (
            lambda: base.clone().reshape(4, 6)[:, :3], lambda: base[:12].clone().reshape(3, 4).T,
            lambda: base[:12].clone().reshape(4, 3), lambda: base.clone().reshape(4, 6)[:, ::2],
            lambda: base[:3].clone().expand(4, 3), lambda: base.clone()[6:18].reshape(4, 3),
            lambda: base[:4].clone().reshape(4, 1).expand(4, 3),
        )  # fmt: skip
        for make in (*made, *made):
            x = make()
            yield attempt(f, x), x

    play.__name__ = name
    later(LAYOUTS)(play)


_with_layouts("layout_of_an_operand", lambda x: (x * 2).sum(0))
_with_layouts("layout_reshaped", lambda x: x.reshape(-1) + 1)
_with_layouts("layout_viewed", lambda x: x.view(-1) + 1)
_with_layouts("layout_asked_for", lambda x: (x.is_contiguous(), x.stride(), x.contiguous()))
_with_layouts("layout_written_outside_of_overlap", lambda x: x.add_(1) if x.is_contiguous() else x + 1)
_with_layouts("layout_of_a_loop", lambda x: _scanned(x))


def _scanned(x: Any) -> Any:
    h = x[0] * 0
    for row in x:
        h = h * 0.5 + row
    return h


MODES = "modes"


@later(MODES)
def grad_mode(jit):
    w = tensor(1, 2, grad=True)
    f = jit(lambda x: (x * w, jitorch.is_grad_enabled()))
    yield f(tensor(1, 1))
    with jitorch.no_grad():
        yield f(tensor(1, 1))
    with jitorch.inference_mode():
        yield f(tensor(1, 1))
    with jitorch.enable_grad():
        yield f(tensor(1, 1))
    jitorch.set_grad_enabled(False)
    try:
        yield f(tensor(1, 1))
    finally:
        jitorch.set_grad_enabled(True)
    yield f(tensor(1, 1))


@later(MODES)
def grad_mode_set_inside(jit):
    w = tensor(1, 2, grad=True)

    def f(x, on):
        with jitorch.set_grad_enabled(on):
            y = x * w
        return y, y * w, jitorch.is_grad_enabled()

    g = jit(f)
    for on in (True, False, True):
        yield g(tensor(1, 1), on)
    with jitorch.no_grad():
        yield g(tensor(1, 1), True)


@later(MODES)
def grad_mode_left_behind(jit):
    w = tensor(1, 2, grad=True)

    def f(x, on):
        jitorch.set_grad_enabled(on)
        return x * w

    g = jit(f)
    try:
        for on in (True, False, False, True):
            yield g(tensor(1, 1), on), jitorch.is_grad_enabled()
    finally:
        jitorch.set_grad_enabled(True)


@later(MODES)
def default_dtype(jit):
    f = jit(lambda x: (jitorch.ones(2) * 2, jitorch.tensor(1.5), x * 1.5, jitorch.get_default_dtype()))
    yield f(tensor(1))
    jitorch.set_default_dtype(jitorch.float64)
    try:
        yield f(tensor(1))
    finally:
        jitorch.set_default_dtype(jitorch.float32)
    yield f(tensor(1))


@later(MODES)
def default_backend(jit):
    f = jit(lambda x: x.sum() * 2)
    yield f(tensor(1))
    before = jitorch.backends.registry.default_backend()
    jitorch.set_default_backend("reference")
    try:
        yield f(tensor(1))
    finally:
        jitorch.set_default_backend(before)
    yield f(tensor(1))


@later(MODES)
def threads_and_default_device(jit):
    f = jit(lambda x: (jitorch.zeros(2).device.type, x * 2))
    yield f(tensor(1))
    threads = jitorch.get_num_threads()
    jitorch.set_num_threads(1)
    yield f(tensor(1))
    jitorch.set_num_threads(threads)
    jitorch.set_default_device("cpu")
    yield f(tensor(1))


@later(MODES)
def requires_grad_of_an_argument(jit):
    x = tensor(1, 2)
    f = jit(lambda x: (x * 2, x.requires_grad))
    yield f(x)
    x.requires_grad_()
    yield f(x)
    y = f(x)[0].sum()
    y.backward()
    yield x.grad
    x.requires_grad_(False)
    yield f(x)
