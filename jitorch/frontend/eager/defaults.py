"""What runs where nothing else was entered: eager under the tape, and the default random generator."""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import count
from typing import Any

from jitorch.frontend.eager import direct, in_place, shortcut
from jitorch.frontend.eager.interpreter import Eager
from jitorch.frontend.eager.large import LargeTape
from jitorch.ir.op import Op
from jitorch.ops import control, dispatch
from jitorch.ops.generator import install_default

_CALLS_BEFORE_CODE = {True: 32, False: 2000}
"""Short operations before machine code takes them over, where LLVM is loaded already, and where it is not:
to load it takes as long as some thousand of them."""

_tape = LargeTape(Eager())
_calls = count()


def _warming(op: Op, args: tuple[Any, ...]) -> Any:
    """`shortcut.elementwise`, until machine code is worth its loading; both give the same results."""
    if next(_calls) >= _CALLS_BEFORE_CODE["llvmlite.binding" in sys.modules]:
        dispatch.install(_tape, shortcut.elementwise, in_place.write)
        import_module("jitorch.frontend.eager.native").install()
    return shortcut.elementwise(op, args)


def _control_vjp(name: str) -> Any:
    """The gradient rule of an op that holds graphs; passes are loaded when one is asked for."""
    return import_module("jitorch.passes.control_vjp").RULES[name]


def _control_jvp(name: str) -> Any:
    """The tangent rule of an op that holds graphs."""
    return import_module("jitorch.passes.control_jvp").RULES[name]


dispatch.install(_tape, _warming, in_place.write)
control.install(vjp=_control_vjp, jvp=_control_jvp)
direct.install()

default_generator = install_default()
"""The generator that random functions use where they are given none."""
