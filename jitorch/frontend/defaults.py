"""What runs where nothing else was entered: eager under the tape, and the default random generator."""

from __future__ import annotations

from jitorch.frontend.eager import Eager
from jitorch.frontend.tape import Tape
from jitorch.ops import dispatch
from jitorch.ops.generator import install_default

dispatch.install(Tape(Eager()))

default_generator = install_default()
"""The generator that random functions use where they are given none."""
