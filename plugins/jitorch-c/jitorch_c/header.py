"""The ``.h`` of a program: the prototype, and what each argument is."""

from __future__ import annotations

from jitorch.ir.graph import Graph
from jitorch.ir.program import Program
from jitorch.ir.types import TensorType
from jitorch.lower import CSource


def header(region: Graph, program: Program) -> str:
    """Declares the function of ``program``, which was lowered from ``region``."""
    c = CSource()
    symbol = c.symbol(program)
    written = {o for _, o in region.writes}
    changed = {region.inputs[i] for i, _ in region.writes}
    tensors = [v for v in region.inputs if isinstance(v.type, TensorType)]
    numbers = [v for v in region.inputs if v not in tensors]
    results = [v for o, v in enumerate(region.outputs) if o not in written]
    pointers = [f"{v.type}  {'in and out' if v in changed else 'in'}" for v in tensors]
    pointers += [f"{v.type}  out" for v in results]
    slots = [f"{s.name}: int64_t, a size" for s in region.symbols]
    slots += [f"{v.type}{', the bits of a double' if str(v.type) == 'float' else ', an int64_t'}" for v in numbers]
    lines = [f"{region.name}: arrays are contiguous, the last axis fastest.", ""]
    lines += [f"args[{i}]     {text}" for i, text in enumerate(pointers)]
    lines += [f"scalars[{i}]  {text}" for i, text in enumerate(slots)]
    lines += [f"arena       {program.arena} bytes, aligned to 64", ""]
    lines += ["Returns 0, 1 if an index from data was out of range, -1 without memory."]
    guard = f"{symbol.upper()}_H"
    comment = "\n".join(f" * {line}".rstrip() for line in lines)
    return (
        f"#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n/*\n{comment}\n */\n"
        f"{c.declaration(program)};\n\n#endif\n"
    )
