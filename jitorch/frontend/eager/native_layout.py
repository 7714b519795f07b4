"""The layout of an entry, which describes one op to the short way in machine code, and words of its text.

ptr op, ptr vjp rule, ptr twin, i64 operands, i64 differentiable, ptr known type, ptr its result type,
and for each dtype of the table: ptr NumPy's loop, ptr its data, ptr result dtype, i64 size, i64 result size
"""

from __future__ import annotations

from jitorch.backends.cpu.extension import slot_offset
from jitorch.tensor import Tensor

LIMIT = 4096
"""Elements; of more the time is spent in the loop, and the ordinary way costs nothing."""

MAX_RANK = 8
OP, VJP, TWIN, ARITY, DIFFERENTIABLE, KNOWN_TYPE, RESULT_TYPE, LOOPS = range(0, 64, 8)
LOOP_SIZE = 40
DTYPE_NAMES = ("float32", "float64", "int64", "int32", "bool")

OBJECTS = (
    "Tensor", "Storage", "ElementNode", "slot", "grad_enabled", "installed", "tape", "inner", "sequence", "no_attrs",
    "empty", "zero", "type_of_array", "op_twin", *(f"dtype_{name}" for name in DTYPE_NAMES),
)  # fmt: skip
"""The Python objects that the text names."""


def field(name: str, entry: str, offset: int, type_: str = "ptr") -> str:
    """Lines that load ``%name`` from a place in memory."""
    return f"""  %{name}.at = getelementptr i8, ptr {entry}, i64 {offset}
  %{name} = load {type_}, ptr %{name}.at"""


def slot(name: str) -> int:
    """Where a tensor has a slot."""
    return slot_offset(Tensor, name)


def in_class(cls: type, pairs: dict[str, tuple[str, str]], target: str) -> str:
    """Fill slots of a new object: ``give`` a reference or ``set`` one of its own."""
    lines = []
    for name, (how, value) in pairs.items():
        owner = next(c for c in cls.__mro__ if name in c.__dict__)
        lines.append(f"  call void @{how}(ptr {target}, i64 {slot_offset(owner, name)}, ptr {value})")
    return "\n".join(lines)
