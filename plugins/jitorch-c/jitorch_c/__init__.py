"""jitorch's ``c`` backend: readable C99, compiled by the system's C compiler or by the package ``ziglang``.

    @jitorch.jit(backend="c")
    def step(x): ...

    jitorch_c.write_sources(step, "out")       # the .c and .h of a jitted function that has run, or of a graph
    with jitorch_c.keep("out"): ...            # the same for everything that is loaded in the block

It imports jitorch's public names only.
"""

from jitorch_c.backend import CBackend, backend, keep, write_sources
from jitorch_c.compiler import Compiler, find_compiler
from jitorch_c.header import header

__all__ = ["CBackend", "Compiler", "backend", "find_compiler", "header", "keep", "write_sources"]
