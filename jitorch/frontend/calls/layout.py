"""The layout of a plan: what `jitorch.frontend.calls.plan` writes and the code in `jitorch.frontend.calls.code` reads.

A plan is an array of 64-bit words:

    CALLS                how many calls it served
    NEXT                 address of the plan to try if this one does not fit, or 0
    ARGUMENTS            the number of positional arguments
    REGISTERS            how many references a run holds: values on the way to guards and inputs, arrays of inputs
    HELD                 the first register for the arrays of inputs
    INSTRUCTIONS         address of the instructions
    INPUTS, INPUT_TABLE  their number; address of (kind, value) for each
    OUTPUTS, OUTPUT_TABLE  their number; address of an `Output` for each that the program gives
    RESULTS              how many outputs are results: the first ones
    WRITES, WRITE_TABLE  their number; registers of the tensors that the program writes
    PROGRAM, ARENA, RELEASE  the program's function; bytes of scratch memory; whether to release the GIL
    FINISH               a callable that makes what the user gets, or 0: the one result itself

An instruction is an operation and four operands (INSTRUCTION words).  Registers own references.
"""

from __future__ import annotations

from enum import IntEnum


class Word(IntEnum):
    """Positions in a plan."""

    CALLS = 0
    NEXT = 1
    ARGUMENTS = 2
    REGISTERS = 3
    HELD = 4
    INSTRUCTIONS = 5
    INPUTS = 6
    INPUT_TABLE = 7
    OUTPUTS = 8
    OUTPUT_TABLE = 9
    RESULTS = 10
    WRITES = 11
    WRITE_TABLE = 12
    PROGRAM = 13
    ARENA = 14
    RELEASE = 15
    FINISH = 16


class Code(IntEnum):
    """Operations; a register ``a``, and what else."""

    END = 0  # all guards hold
    ARGUMENT = 1  # a = argument number b
    OBJECT = 2  # a = the object b
    ATTRIBUTE = 3  # a = getattr(register b, the name c)
    ITEM = 4  # a = (register b)[the object c]
    APPLY = 5  # a = (the function b)(register c, register d)
    IS = 6  # a is the object b
    TYPE = 7  # type(a) is the type b
    SAME = 8  # a is register b
    OTHER = 9  # a is not register b
    LENGTH = 10  # len(a) == b
    LACKS = 11  # the object b is not in a
    HAS = 12  # the object b is in a
    EQUAL = 13  # a is of the type of the object b and equals it
    MODE = 14  # the context variable b is c; 0: it is not set
    TENSOR = 15  # a is a tensor of the type b in row-major order, requires_grad is c, without history if d
    KEYS = 16  # tuple(a) == the tuple b


class Input(IntEnum):
    """Kinds of inputs and their value: a register, or for ADDRESS what the program gets."""

    TENSOR = 0
    FLOAT = 1
    INT = 2
    ADDRESS = 3


class Kind(IntEnum):
    """Kinds of outputs."""

    TENSOR = 0  # of a known type
    INT = 1
    FLOAT = 2
    BOOL = 3
    COUNT = 4  # no result, but an i64 that sizes of results refer to
    COUNTED = 5  # a tensor with such sizes


class Output(IntEnum):
    """What a plan knows of an output, by position."""

    KIND = 0
    DTYPE = 1  # NumPy's
    RANK = 2
    SIZES = 3  # address of one for each axis; of a COUNTED output, ``~n`` where it is what output n counts
    ASKED = 4  # the arguments of the allocator, or 0: NumPy's own memory will do
    TEMPLATE = 5  # the tensor of which a TENSOR is a copy
    PLACE = 6  # where in scratch memory the elements of a COUNTED output go
    ITEM = 7  # bytes of an element


INSTRUCTION = 5
OUTPUT = len(Output)
MOST_AXES = 8
"""Of a COUNTED output."""


def words(base: str, positions: type[IntEnum]) -> dict[str, str]:
    """LLVM text that loads ``%name`` from a table at ``base``: ``word_NAME``, ``pointer_NAME`` for each position."""
    return {
        f"{how}_{word.name}": f"""
  %{word.name.lower()}.at = getelementptr i64, ptr {base}, i64 {word.value}
  %{word.name.lower()} = load {kind}, ptr %{word.name.lower()}.at"""
        for word in positions
        for how, kind in (("word", "i64"), ("pointer", "ptr"))
    }
