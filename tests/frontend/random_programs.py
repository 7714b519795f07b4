"""Random functions over tensors as Python source, with what goes wrong in compilers: views, writes, branches of dtypes.

A program is grown statement by statement: a statement stays if it runs eagerly for every size of the inputs.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import jitorch
from jitorch.errors import UserError

SIZES = (4, 6, 5)
"""What the first axis of the inputs measures from call to call."""

PARAMETERS = "a, b, c, k, m, s"
"""Two f64 leaves with gradient, f32 without, int64, bool, and a Python float."""

FLOAT = (
    "{x}.sin()",
    "{x}.tanh()",
    "-{x}",
    "{x}.abs()",
    "{x}.sigmoid()",
    "jitorch.relu({x})",
    "{x} * s",
    "{x} / 3",
    "s - {x}",
    "{x}.mean()",
    "{x}.mean(-1, keepdim=True)",
    "{x}.softmax(-1)",
    "{x}.amax(0)",
    "{x} > 0.1234567",
    "jitorch.clamp({x}, -0.5, 0.75)",
    "{x} ** 2",
    "{x}.var(0)",
)
INTEGER = ("{x} * 3", "{x} // 3", "{x} % 4", "{x} - 1", "{x} & 5", "{x}.double()", "{x} > 1", "{x}.amax(0)", "-{x}")
BOOL = ("~{x}", "{x}.long()", "{x}.double()", "{x}.any(0)", "{x}.sum()")
ANY = (
    "{x}.sum()",
    "{x}.sum(0)",
    "{x}.sum(-1, keepdim=True)",
    "{x}.cumsum(0)",
    "{x}.t()",
    "{x}.transpose(0, -1)",
    "{x}.unsqueeze(0)",
    "{x}.reshape(-1)",
    "{x}.flatten()",
    "{x}.flip(0)",
    "{x}.clone()",
    "{x}.detach()",
    "{x}[0]",
    "{x}[-1]",
    "{x}[1:]",
    "{x}[:-1]",
    "{x}[:, 1:]",
    "{x}[::2]",
    "{x}[..., 0]",
    "{x}[None]",
    "{x}.expand(2, *{x}.shape)",
    "{x}[jitorch.tensor([1, 0, 1])]",
    "{x}.diagonal()",
    "{x} + {y}",
    "{x} * {y}",
    "{x} - {y}",
    "jitorch.maximum({x}, {y})",
    "jitorch.where({y} > 0.1234567, {x}, {z})",
    "jitorch.where(m[0, 0], {x}, {y})",
    "jitorch.cat([{x}, {y}], 0)",
    "jitorch.stack([{x}, {x}], -1)",
    "{x} @ {y}",
    "{x} @ {y}.t()",
    "jitorch.nn.functional.pad({x}, (1, 2))",
)
WRITES = (
    "{x}.add_({y})",
    "{x}.mul_(s)",
    "{x} += 1",
    "{x}[0] = {y}",
    "{x}[1:] = {y}[:-1]",
    "{x}[:, 0] = 1",
    "{x}[0].sub_(1)",
    "{x}[::2].mul_(2)",
    "{x}.t().add_({y})",
    "{x}.reshape(-1)[1:3] = 2",
    "{x}.zero_()",
    "{x}.copy_({y})",
    "{x}[jitorch.tensor([1, 0])] = 3",
    "{x}.masked_fill_({y} > 0.1234567, 0.5)",
    "{x}.detach().add_(1)",
    "{x}.diagonal().mul_(2)",
)
UNRECORDED = ("{x}.mul_(2)", "{x}[0].add_(1)", "{x}.copy_({y})")


@dataclass
class Program:
    """A function's source and, once compiled by `function`, the function."""

    statements: list[str]
    results: list[str]

    @property
    def source(self) -> str:
        lines = [f"def program({PARAMETERS}):", "    a, b = a * 1, b * 1", *(f"    {s}" for s in self.statements)]
        return "\n".join([*lines, f"    return ({', '.join(self.results)},)"]) + "\n"

    def function(self) -> Callable[..., Any]:
        """The program as a function whose source Python can find."""
        name = f"<random program {abs(hash(self.source))}>"
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(keepends=True), name)
        namespace: dict[str, Any] = {"jitorch": jitorch, "__name__": "random_program"}
        exec(compile(self.source, name, "exec"), namespace)
        return namespace["program"]

    def __repr__(self) -> str:
        return self.source


def inputs(size: int) -> list[Any]:
    """Arguments of a program, the same ones for the same size."""
    rng = np.random.default_rng(size)
    a, b = (jitorch.from_numpy(rng.normal(size=(size, 3))).requires_grad_() for _ in range(2))
    c = jitorch.from_numpy(rng.normal(size=(3,)).astype(np.float32))
    k = jitorch.from_numpy(rng.integers(-5, 9, size=(size, 3)))
    return [a, b, c, k, jitorch.from_numpy(rng.random((size, 3)) < 0.5), 0.75]


def _templates(dtype: Any) -> tuple[str, ...]:
    if dtype.is_floating_point:
        return FLOAT
    return BOOL if dtype is jitorch.bool else INTEGER


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Programs of up to ten statements and three results."""
    states = [dict(zip(PARAMETERS.split(", "), inputs(n)), jitorch=jitorch) for n in SIZES]
    for state in states:
        exec("a, b = a * 1, b * 1", state)
    statements: list[str] = []
    for _ in range(draw(st.integers(1, 10))):
        names = [n for n, v in states[0].items() if isinstance(v, jitorch.Tensor)]
        # Compilers go wrong in chains, so a statement mostly goes on from the last value.
        x = names[-1] if draw(st.integers(0, 2)) else draw(st.sampled_from(names))
        y, z = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        kind = draw(st.sampled_from(["own", "any", "any", "write", "write", "unrecorded"]))
        choice = {"own": _templates(states[0][x].dtype), "any": ANY, "write": WRITES, "unrecorded": UNRECORDED}[kind]
        text = draw(st.sampled_from(choice)).format(x=x, y=y, z=z)
        if kind == "unrecorded":
            text = f"with jitorch.no_grad(): {text}"
        elif kind != "write":
            text = f"v{len(statements)} = {text}"
        if _runs(text, states):
            statements.append(text)
    names = [n for n, v in states[0].items() if isinstance(v, jitorch.Tensor)]
    return Program(statements, draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)))


def _runs(text: str, states: list[dict[str, Any]]) -> bool:
    """Run the statement in every state, if it runs in all: a copy of each is tried first."""
    try:
        for state in states:
            exec(text, {n: v.detach().clone() if isinstance(v, jitorch.Tensor) else v for n, v in state.items()})
        for state in states:
            exec(text, state)
    except UserError:
        return False
    return all(_is_small(v) for v in states[0].values() if isinstance(v, jitorch.Tensor))


def _is_small(tensor: Any) -> bool:
    return tensor.numel() <= 400 and bool(np.all(np.abs(tensor.detach().numpy().astype(np.float64)) < 1e4))
