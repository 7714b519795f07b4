"""Traces kept on disk: what another process finds, and that it never finds what no longer holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import config
from jitorch.backends import cache
from jitorch.backends.cpu import extension
from jitorch.frontend.jitted import Jitted

HELPER = "records_helper"
PROGRAM = "records_program"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path) -> Iterator[None]:
    with config.override(records=True, cache=True, cache_dir=tmp_path / "cache"):
        yield


def play(folder: Path, program: str, helper: str = "") -> tuple[Any, list[Jitted]]:
    """Run ``main(jit)`` of a program as a new process would: its modules are new ones, at the same places."""
    made: list[Jitted] = []

    def jit(function: Any, **settings: Any) -> Jitted:
        made.append(Jitted(function, **settings))
        return made[-1]

    for name, text in ((HELPER, helper), (PROGRAM, program)):
        source = textwrap.dedent(text)
        file = folder / f"{name}.py"
        file.write_text(source)
        module = types.ModuleType(name)
        module.__file__ = str(file)
        module.__dict__["jit"] = jit
        sys.modules[name] = module
        exec(compile(source, str(file), "exec"), module.__dict__)
    try:
        return _plain(sys.modules[PROGRAM].main(jit)), made
    finally:
        del sys.modules[HELPER], sys.modules[PROGRAM]


def _plain(value: Any) -> Any:
    if isinstance(value, jitorch.Tensor):
        return value.detach().numpy().tolist()
    return [_plain(x) for x in value] if isinstance(value, (list, tuple)) else value


def traces(made: list[Jitted]) -> tuple[int, int]:
    """How many traces were made, and how many were found on the disk."""
    return sum(f.statistics.traces for f in made), sum(f.statistics.recalled for f in made)


X = "import jitorch\nx = jitorch.tensor([1.0, 2.0, 3.0])\n"

# Each program, and what is changed in it or in its helper; the results must be those of the changed program.
STALE: dict[str, tuple[str, str, str, str]] = {
    "the function": ("def main(jit):\n    return jit(lambda v: v * 2 + 1)(x)\n", "", "v * 2 + 1", "v * 2 + 2"),
    "a helper in another file": (
        f"from {HELPER} import f\ndef main(jit):\n    return jit(lambda v: f(v))(x)\n",
        "def f(v):\n    return v + 1\n",
        "v + 1",
        "v + 2",
    ),
    "a helper of a helper": (
        f"import {HELPER}\ndef main(jit):\n    return jit(lambda v: {HELPER}.f(v))(x)\n",
        "def g(v):\n    return v * 3\ndef f(v):\n    return g(v)\n",
        "v * 3",
        "v * 4",
    ),
    "a global": ("n = 2\ndef main(jit):\n    return jit(lambda v: v * n)(x)\n", "", "n = 2", "n = 3"),
    "a global of the helper": (
        f"from {HELPER} import f\ndef main(jit):\n    return jit(lambda v: f(v))(x)\n",
        "mode = 'sum'\ndef f(v):\n    return v.sum() if mode == 'sum' else v.mean()\n",
        "mode = 'sum'",
        "mode = 'mean'",
    ),
    "a variable of the closure": (
        "def make(n):\n    return lambda v: v ** n\ndef main(jit):\n    return jit(make(2))(x)\n",
        "",
        "make(2)",
        "make(3)",
    ),
    "a function in the closure": (
        "def wrap(f):\n    def inner(v):\n        return f(v) + 1\n    return inner\n"
        "@wrap\ndef f(v):\n    return v * 2\ndef main(jit):\n    return jit(f)(x)\n",
        "",
        "v * 2",
        "v * 5",
    ),
    "a default": ("def f(v, n=2):\n    return v * n\ndef main(jit):\n    return jit(f)(x)\n", "", "n=2", "n=7"),
    "an argument": ("def main(jit):\n    return jit(lambda v, n: v * n)(x, 2)\n", "", "(x, 2)", "(x, 4)"),
    "an attribute": (
        "class A:\n    def __init__(self):\n        self.n = 2\n"
        "a = A()\ndef main(jit):\n    return jit(lambda v: v * a.n)(x)\n",
        "",
        "self.n = 2",
        "self.n = 3",
    ),
    "an attribute of a class": (
        "class A:\n    n = 2\na = A()\ndef main(jit):\n    return jit(lambda v: v * a.n)(x)\n",
        "",
        "n = 2",
        "n = 3",
    ),
    "a method": (
        f"from {HELPER} import A\na = A()\ndef main(jit):\n    return jit(lambda v: a.f(v))(x)\n",
        "class A:\n    def f(self, v):\n        return v * 2\n",
        "v * 2",
        "v * 3",
    ),
    "a method of a base": (
        f"from {HELPER} import B\na = B()\ndef main(jit):\n    return jit(lambda v: a.f(v))(x)\n",
        "class A:\n    def f(self, v):\n        return v * 2\nclass B(A):\n    pass\n",
        "v * 2",
        "v * 3",
    ),
    "a method that comes in between": (
        f"from {HELPER} import B\na = B()\ndef main(jit):\n    return jit(lambda v: a.f(v))(x)\n",
        "class A:\n    def f(self, v):\n        return v * 2\nclass B(A):\n    pass\n",
        "(A):\n    pass",
        "(A):\n    f = lambda self, v: v * 5",
    ),
    "the compiled method": (
        f"from {HELPER} import A\na = A()\ndef main(jit):\n    return jit(a.f)(x)\n",
        "class A:\n    def f(self, v):\n        return self.g(v)\n    def g(self, v):\n        return v * 2\n",
        "v * 2",
        "v * 3",
    ),
    "a property": (
        "class A:\n    @property\n    def n(self):\n        return 2\n"
        "a = A()\ndef main(jit):\n    return jit(lambda v: v * a.n)(x)\n",
        "",
        "return 2",
        "return 3",
    ),
    "a truth value that a class gets": (
        "class A:\n    def f(self):\n        return 1\na = A()\n"
        "def main(jit):\n    return jit(lambda v: v * 2 if a else v * 3)(x)\n",
        "",
        "    def f(self):\n        return 1",
        "    def __bool__(self):\n        return False",
    ),
    "a field of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int = 2\n"
        "def f(v):\n    return v * A().n\ndef main(jit):\n    return jit(f)(x)\n",
        "",
        "n: int = 2",
        "n: int = 3",
    ),
    "a default of a named tuple": (
        "from typing import NamedTuple\nclass A(NamedTuple):\n    n: int = 2\n"
        "def f(v):\n    return v * A().n\ndef main(jit):\n    return jit(f)(x)\n",
        "",
        "n: int = 2",
        "n: int = 3",
    ),
    "a member of an enumeration": (
        "from enum import Enum\nclass A(Enum):\n    n = 2\n"
        "def f(v, a=A.n):\n    return v * a.value\ndef main(jit):\n    return jit(f)(x)\n",
        "",
        "n = 2",
        "n = 3",
    ),
    "a cached function": (
        "from functools import lru_cache\n@lru_cache\ndef n():\n    return 2\n"
        "def main(jit):\n    return jit(lambda v: v * n())(x)\n",
        "",
        "return 2",
        "return 3",
    ),
    "an inner compiled function": (
        f"import {HELPER}\ndef main(jit):\n    return jit(lambda v: {HELPER}.f(v))(x)\n",
        "@jit\ndef f(v):\n    return v + 1\n",
        "v + 1",
        "v + 9",
    ),
    "a compiled method": (
        f"from {HELPER} import A\na = A()\ndef main(jit):\n    return jit(lambda v: a.f(v))(x)\n",
        "class A:\n    @jit\n    def f(self, v):\n        return v + 1\n",
        "v + 1",
        "v + 9",
    ),
    "a partial function": (
        "from functools import partial\ndef f(n, v):\n    return v * n\n"
        "def main(jit):\n    return jit(partial(f, 2))(x)\n",
        "",
        "(f, 2)",
        "(f, 3)",
    ),
    "the function of a partial one": (
        f"from functools import partial\nfrom {HELPER} import f\ndef main(jit):\n    return jit(partial(f, 2))(x)\n",
        "def f(n, v):\n    return v * n\n",
        "v * n",
        "v + n",
    ),
    "a key that is there": (
        "d = {'a': 1}\ndef main(jit):\n    return jit(lambda v: v * 2 if 'b' in d else v)(x)\n",
        "",
        "{'a': 1}",
        "{'a': 1, 'b': 1}",
    ),
    "a length": (
        "d = [1, 2]\ndef main(jit):\n    return jit(lambda v: v * len(d))(x)\n",
        "",
        "[1, 2]",
        "[1, 2, 3]",
    ),
    "a module": (
        "import jitorch\nm = jitorch.nn.Sequential(jitorch.nn.ReLU(), jitorch.nn.Flatten(0))\n"
        "def main(jit):\n    return jit(m)(x - 2)\n",
        "",
        "ReLU()",
        "Tanh()",
    ),
    "a flag of a module": (
        "import jitorch\nm = jitorch.nn.Dropout(1.0)\ndef main(jit):\n    m.eval()\n    return jit(m)(x)\n",
        "",
        "m.eval()",
        "m.train()",
    ),
    "a replaced method of the library": (
        "import jitorch\nm = jitorch.nn.ReLU()\ndef main(jit):\n    return jit(m)(x)\n",
        "",
        "def main(jit):\n",
        "class R(jitorch.nn.ReLU):\n    def forward(self, v):\n        return v - 7\nm.__class__ = R\ndef main(jit):\n",
    ),
    "an array": (
        "import numpy as np\ndef f(v):\n    return v + jitorch.tensor(np.array([1.0, 2.0, 3.0], np.float32))\n"
        "def main(jit):\n    return jit(f)(x)\n",
        "",
        "2.0, 3.0]",
        "2.0, 4.0]",
    ),
}


# The same, of what may be kept or not: what matters is that the changed program's results are its own.
NEVER_STALE: dict[str, tuple[str, str, str, str]] = {
    "a scripted function": (
        f"from {HELPER} import f\ndef main(jit):\n    return jit(lambda v: f(v))(x)\n",
        "import jitorch\n@jitorch.jit.script\ndef f(v: jitorch.Tensor) -> jitorch.Tensor:\n    return v + 1\n",
        "v + 1",
        "v + 9",
    ),
    "a gradient of one's own": (
        f"from {HELPER} import F\ndef f(v):\n    F.apply(v).sum().backward()\n    return v.grad\n"
        "def main(jit):\n    return jit(f)(x.clone().requires_grad_())\n",
        "import jitorch\nclass F(jitorch.autograd.Function):\n    @staticmethod\n    def forward(ctx, v):\n"
        "        return v * 2\n    @staticmethod\n    def backward(ctx, g):\n        return g * 5\n",
        "g * 5",
        "g * 7",
    ),
    "a function of NumPy's kind": (
        "import numpy as np\nu = np.frompyfunc(lambda a: a + 1, 1, 1)\n"
        "def main(jit):\n    return jit(lambda v: v * int(u(2)))(x)\n",
        "",
        "a + 1",
        "a + 4",
    ),
    "a branch of the program": (
        f"from {HELPER} import f\ndef main(jit):\n    return jit(lambda v: f(v) if v.sum() > 0 else v)(x)\n",
        "def f(v):\n    return v + 1\n",
        "v + 1",
        "v + 9",
    ),
    "a partial function with a tensor": (
        "from functools import partial\ndef f(n, v):\n    return v * n\n"
        "def main(jit):\n    return jit(partial(f, jitorch.tensor(2.0)))(x)\n",
        "",
        "(2.0)",
        "(3.0)",
    ),
    "an instance that is called": (
        f"from {HELPER} import a\ndef main(jit):\n    return jit(a)(x)\n",
        "class A:\n    def __call__(self, v):\n        return v + 1\na = A()\n",
        "v + 1",
        "v + 9",
    ),
}


@pytest.mark.filterwarnings("ignore:.*runs eagerly")
@pytest.mark.parametrize("what", NEVER_STALE)
def test_what_changed_is_never_found(what: str, tmp_path: Path) -> None:
    program, helper, old, new = NEVER_STALE[what]
    program = X + program
    before = [play(tmp_path, program, helper)[0] for _ in range(2)]
    assert before[0] == before[1]
    changed = program.replace(old, new), helper.replace(old, new)
    after = play(tmp_path, *changed)[0]
    with config.override(records=False):
        assert after == play(tmp_path, *changed)[0]
    assert after != before[0]


@pytest.mark.parametrize("what", STALE)
def test_what_changed_is_traced_again(what: str, tmp_path: Path) -> None:
    program, helper, old, new = STALE[what]
    program = X + program
    changed, changed_helper = program.replace(old, new), helper.replace(old, new)
    assert (changed, changed_helper) != (program, helper)
    before, made = play(tmp_path, program, helper)
    assert traces(made) == (1, 0), [f.explain() for f in made]
    again, made = play(tmp_path, program, helper)
    assert traces(made) == (0, 1), [f.explain() for f in made]
    assert again == before
    after, made = play(tmp_path, changed, changed_helper)
    assert traces(made) == (1, 0)
    with config.override(records=False):
        assert after == play(tmp_path, changed, changed_helper)[0]
    assert after != before
    # Both are kept now.
    assert play(tmp_path, changed, changed_helper)[0] == after
    assert play(tmp_path, program, helper)[0] == before


# What a second process need not trace.
WARM: dict[str, tuple[str, int]] = {
    "floats are run-time values": ("def main(jit):\n    return jit(lambda v, a: v * a)(x, 2.5)\n", 1),
    "keywords": ("def main(jit):\n    return jit(lambda v, *, a: v + a)(x, a=x)\n", 1),
    "several results": ("def main(jit):\n    return jit(lambda v: (v, {'a': [v + 1]}, 3))(x)[0:3:2]\n", 1),
    "constants": ("def main(jit):\n    return jit(lambda v: v + jitorch.tensor([0.5, 1.5, 2.5]))(x)\n", 1),
    "views of arguments": ("def main(jit):\n    return jit(lambda v: v[1:])(x)\n", 1),
    "writes": (
        "state = {'n': 0}\ndef f(v):\n    state['n'] += 1\n    v.add_(1)\n    return v * state['n']\n"
        "def main(jit):\n    return jit(f)(x), x, state['n']\n",
        1,
    ),
    "random numbers": (
        "def main(jit):\n    jitorch.manual_seed(3)\n    f = jit(lambda v: v + jitorch.rand(3))\n"
        "    return f(x), f(x)\n",
        1,
    ),
    "a local class": (
        "def main(jit):\n    class A:\n        n = 3\n        def f(self, v):\n            return v * self.n\n"
        "    a = A()\n    return jit(lambda v: a.f(v))(x)\n",
        1,
    ),
    "symbolic sizes": (
        "def main(jit):\n    f = jit(lambda v: v.cumsum(0) / v.shape[0])\n"
        "    return [f(jitorch.ones(n)) for n in (3, 4, 5, 6)]\n",
        2,
    ),
    "gradients outside": (
        "def main(jit):\n    v = x.clone().requires_grad_()\n    f = jit(lambda v: (v ** 3).sin())\n"
        "    f(v).sum().backward()\n    return v.grad\n",
        1,
    ),
    "second derivatives": (
        "def main(jit):\n    v = x.clone().requires_grad_()\n    f = jit(lambda v: v ** 3)\n"
        "    (g,) = jitorch.autograd.grad(f(v).sum(), v, create_graph=True)\n"
        "    return jitorch.autograd.grad(g.sum(), v)\n",
        1,
    ),
    "a training step": (
        "def main(jit):\n    jitorch.manual_seed(0)\n    nn = jitorch.nn\n"
        "    m = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))\n"
        "    o = jitorch.optim.Adam(m.parameters(), lr=0.1)\n"
        "    def step(v):\n        o.zero_grad()\n        loss = m(v).square().mean()\n        loss.backward()\n"
        "        o.step()\n        return loss\n"
        "    s = jit(step)\n    return [s(x) for _ in range(4)], [p for p in m.parameters()]\n",
        1,
    ),
    "keys that are tensors": (
        "p = jitorch.ones(3)\nstate = {p: jitorch.ones(3)}\n"
        "def f(v):\n    return v + p + sum(state[k] for k in state)\ndef main(jit):\n    return jit(f)(x)\n",
        1,
    ),
}


@pytest.mark.parametrize("what", WARM)
def test_what_did_not_change_is_found(what: str, tmp_path: Path) -> None:
    program, count = WARM[what]
    with config.override(records=False):
        expected = play(tmp_path, X + program)[0]
    first, made = play(tmp_path, X + program)
    assert traces(made) == (count, 0)
    graphs = [str(entry.traced.graph) for f in made for entry in f.entries]
    second, made = play(tmp_path, X + program)
    assert traces(made) == (0, count), [f.explain() for f in made]
    assert first == second == expected
    assert [str(entry.traced.graph) for f in made for entry in f.entries] == graphs
    assert all("from the disk" in f.explain() for f in made)


@pytest.mark.skipif(not extension.enabled(), reason="calls go through the twin in Python here")
def test_machine_code_serves_a_recalled_trace(tmp_path: Path) -> None:
    program = (
        X + "class A:\n    sizes = (3, 1)\ndef main(jit):\n"
        "    f = jit(lambda v: v.reshape(A.sizes) * 2)\n    return [f(x) for _ in range(4)]\n"
    )
    play(tmp_path, program)
    _, made = play(tmp_path, program)
    plan = made[0].entries[0].plan
    assert plan is not None
    assert plan.take_calls() == 2
    assert traces(made) == (0, 1)


def test_a_recalled_trace_keeps_no_argument_alive(tmp_path: Path) -> None:
    program = (
        "import jitorch, weakref\n"
        "class Settings:\n    def __init__(self):\n        self.scale = 2.0\n"
        "def main(jit):\n"
        "    f = jit(lambda v, s, *, bias: v * s.scale + bias)\n"
        "    def call():\n"
        "        arguments = [jitorch.ones(3), Settings(), jitorch.ones(3)]\n"
        "        f(arguments[0], arguments[1], bias=arguments[2])\n"
        "        return [weakref.ref(x) for x in arguments]\n"
        "    references = call() + call()\n"
        "    return [str(f.explain())[:7], *[r() is None for r in references]]\n"
    )
    play(tmp_path, program)
    result, made = play(tmp_path, program)
    assert traces(made) == (0, 1)
    assert result == ["<jitted", *[True] * 6]
    assert all(guard.kind for guard in made[0].entries[0].traced.staged.guards)
    assert str(made[0].graph).startswith("graph")


def test_a_recalled_trace_is_checked_by_the_facts_of_its_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import jitorch\nimport jitorch.nn.functional as F\n"
        "def pooled(x):\n    return F.avg_pool1d(x, 2, 3, ceil_mode=True)\n"
        "def main(jit):\n"
        "    f = jit(pooled, dynamic=True)\n"
        "    xs = [jitorch.ones(1, 1, n) for n in (9, 8)]\n"
        "    return [f(x) for x in xs] + [bool(f.check(x)) for x in xs]\n"
    )
    play(tmp_path, program)
    monkeypatch.setattr("jitorch.builder._bodies", {})
    result, made = play(tmp_path, program)
    assert traces(made) == (0, 2)
    assert result[2:] == [True, True]


CHECKED = {
    "an assertion": (
        "def f(v):\n    assert v.sum() > 0, 'negative'\n    return v * 2\n"
        "def main(jit):\n    g = jit(f)\n    found = [g(x), g(x + 1)]\n"
        "    try:\n        g(-x)\n    except AssertionError as error:\n        found.append(str(error))\n"
        "    return found\n"
    ),
    "an index": (
        "i = jitorch.tensor([0, 2])\n"
        "def main(jit):\n    g = jit(lambda v, i: v[i] + 1)\n    found = [g(x, i), g(x, i + 0)]\n"
        "    try:\n        g(x, i + 7)\n    except IndexError:\n        found.append('out of range')\n"
        "    return found\n"
    ),
    "courses": (
        "def f(v):\n    best = None\n    if v.sum() > 0:\n        best = v * 2\n    return best\n"
        "def main(jit):\n    g = jit(f)\n    return [g(x), g(-x), g(x), g(-x * 2)]\n"
    ),
    "courses in another order": (
        "def f(v):\n    if v[0] > 0:\n        a = [v]\n    else:\n        a = [v, v + 1]\n"
        "    if v[1] > 0:\n        a.append(v * 3)\n    return a\n"
        "def main(jit):\n    g = jit(f)\n"
        "    signs = [jitorch.tensor([a, b, 1.0]) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]\n"
        "    return [g(x * s) for s in signs + signs[::-1]]\n"
    ),
    "a computed size": (
        "def main(jit):\n    g = jit(lambda v, m: (v[m], m.nonzero()))\n"
        "    return [g(x, x > 1), g(x, x > 9), g(x, x < 9)]\n"
    ),
    "a counter": (
        "def f(v):\n    n = 0\n    while v.sum() < 100:\n        v = v * 2\n        n += 1\n    return v, n\n"
        "def main(jit):\n    g = jit(f)\n    return [g(x), g(x * 3)]\n"
    ),
}


@pytest.mark.parametrize("what", CHECKED)
def test_programs_with_checks_are_found(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = X + CHECKED[what]
    before, first = play(tmp_path, program)
    made, recalled = traces(first)
    assert made > 0
    assert recalled == 0
    monkeypatch.setattr("jitorch.compiler.pipeline.run", None)  # nothing is compiled
    after, second = play(tmp_path, program)
    assert after == before
    assert traces(second) == (0, made)
    assert [f.statistics.eager for f in second] == [f.statistics.eager for f in first]


def test_tests_that_are_kept_apart_later_make_records_of_their_own(tmp_path: Path) -> None:
    program = (
        X + "def f(v):\n    a = None\n    if v[0] > 0:\n        a = v\n"
        "    if a is not None:\n        if v[1] > 0:\n            a = [a]\n    return a\n"
        "def main(jit):\n    g = jit(f)\n    y = jitorch.tensor([1.0, -1.0, 1.0])\n"
        "    return [g(v) for v in (-x, x, y, x, -x)]\n"
    )
    plain, _ = play(tmp_path, program.replace("jit(f)", "f"))
    for _ in range(3):
        found, made = play(tmp_path, program)
        assert found == plain
    assert traces(made)[0] == 0


def test_a_new_float_is_no_new_record(tmp_path: Path) -> None:
    program = X + "def main(jit):\n    return jit(lambda v, a: v * a)(x, 2.5)\n"
    play(tmp_path, program)
    result, made = play(tmp_path, program.replace("2.5", "3.5"))
    assert (result, traces(made)) == ([3.5, 7.0, 10.5], (0, 1))


def test_another_version_of_the_package_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = X + "def main(jit):\n    return jit(lambda v: v * 2)(x)\n"
    play(tmp_path, program)
    monkeypatch.setattr(cache, "stamp", lambda: "another")
    assert traces(play(tmp_path, program)[1]) == (1, 0)


def test_programs_that_are_gone_are_compiled_from_the_kept_graph(tmp_path: Path, monkeypatch: Any) -> None:
    program = X + "def main(jit):\n    return jit(lambda v: v * 2 + 1)(x)\n"
    before, _ = play(tmp_path, program)
    monkeypatch.setattr("jitorch.compiler._from_cache", lambda key: None)
    after, made = play(tmp_path, program)
    assert traces(made) == (0, 1)
    assert after == before


def test_the_number_of_records_is_bounded(tmp_path: Path) -> None:
    program = X + "def main(jit):\n    return jit(lambda v, n: v * n)(x, 1)\n"
    for n in range(12):
        play(tmp_path, program.replace("(x, 1)", f"(x, {n})"))
    found = [traces(play(tmp_path, program.replace("(x, 1)", f"(x, {n})"))[1])[1] for n in (11, 0)]
    assert found == [1, 0]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("class A:\n    f = staticmethod(lambda v: v)\ndef main(jit):\n    a = A()\n    h = []\n"
         "    v = x.clone().requires_grad_()\n    v.register_hook(lambda g: g)\n"
         "    return jit(lambda v: v * 1)(v)\n", "lambda"),
    ],
)  # fmt: skip
def test_what_has_no_name_is_not_kept_and_explain_says_why(program: str, reason: str, tmp_path: Path) -> None:
    play(tmp_path, X + program)
    _, made = play(tmp_path, X + program)
    assert traces(made) == (1, 0)
    assert "not kept on the disk: " in made[0].explain()
    assert reason in made[0].explain()


def test_no_record_is_read_while_stages_are_dumped(tmp_path: Path) -> None:
    program = X + "def main(jit):\n    return jit(lambda v: v * 2)(x)\n"
    play(tmp_path, program)
    with config.override(dump=frozenset({"nothing"})):
        assert traces(play(tmp_path, program)[1]) == (1, 0)


SCRIPT = """
import json, sys
import jitorch
from helper import scale

net = jitorch.nn.Sequential(jitorch.nn.Linear(4, 4), jitorch.nn.GELU())
for p in net.parameters():
    p.requires_grad_(False).fill_(0.5)

@jitorch.jit
def f(x):
    return scale(net(x))

result = f(jitorch.ones(2, 4)).numpy().tolist()
found = f.statistics
late = [m for m in ("lark", "jitorch.ir.grammar") if m in sys.modules]
print(json.dumps([result, found.traces, found.recalled, late]))
"""


def process(folder: Path, factor: float) -> Any:
    (folder / "helper.py").write_text(f"def scale(x):\n    return (x * {factor!r}).sum(1)\n")
    (folder / "script.py").write_text(SCRIPT)
    package = str(Path(jitorch.__file__).parents[1])
    settings = {"JITORCH_RECORDS": "1", "JITORCH_CACHE_DIR": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, str(folder / "script.py")],
        env={**os.environ, "PYTHONPATH": package, **settings}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_a_new_process_does_not_trace_and_an_edit_makes_it_trace(tmp_path: Path) -> None:
    result, *counts = process(tmp_path, 2.0)
    assert counts == [1, 0, []]
    again, *counts = process(tmp_path, 2.0)
    assert counts == [0, 1, []]
    assert again == result
    changed, *counts = process(tmp_path, 4.0)
    assert counts == [1, 0, []]
    np.testing.assert_allclose(changed, np.array(result) * 2, rtol=1e-6)
