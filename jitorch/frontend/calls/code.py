"""The machine code of a call: one function for all compiled functions, which reads a plan.

`jitorch.frontend.calls.plan` makes plans; this module has their layout and the LLVM text that runs them.  A plan is
an array of 64-bit words:

    CALLS                how many calls it served
    NEXT                 address of the plan to try if this one does not fit, or 0
    ARGUMENTS            the number of positional arguments
    REGISTERS            how many references a run holds: values on the way to guards and inputs, arrays of inputs
    HELD                 the first register for the arrays of inputs
    INSTRUCTIONS         address of the instructions
    INPUTS, INPUT_TABLE  their number; address of (kind, value) for each
    RESULTS, RESULT_TABLE  their number; address of (dtype, rank, sizes, arguments of the allocator or 0, tensor)
    WRITES, WRITE_TABLE  their number; registers of the tensors that the program writes
    PROGRAM, ARENA, RELEASE  the program's function; bytes of scratch memory; whether to release the GIL
    FAIL                 a callable that raises the error of a status
    FINISH               a callable that makes what the user gets, or 0: the one result itself

An instruction is an operation and four operands (INSTRUCTION words).  Registers own references.  Wherever something
is not as the plan has it, the run leaves no trace and the next plan, at the end the twin in Python, is tried.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from jitorch import dtypes
from jitorch.backends.cpu import extension
from jitorch.ir.types import TensorType
from jitorch.tensor import Storage, Tensor


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
    RESULTS = 8
    RESULT_TABLE = 9
    WRITES = 10
    WRITE_TABLE = 11
    PROGRAM = 12
    ARENA = 13
    RELEASE = 14
    FAIL = 15
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


INSTRUCTION = 5
RESULT = 5

_SLOTS = ("_array", "_hooks", "_node", "_requires_grad", "_root", "_storage", "_type")

FUNCTIONS = {
    "PyObject_GetAttr": "ptr (ptr, ptr)",
    "PyObject_GetItem": "ptr (ptr, ptr)",
    "PyObject_Size": "i64 (ptr)",
    "PySequence_Contains": "i32 (ptr, ptr)",
    "PySequence_Tuple": "ptr (ptr)",
    "PyObject_RichCompareBool": "i32 (ptr, ptr, i32)",
    "PyType_IsSubtype": "i32 (ptr, ptr)",
    "PyErr_Clear": "void ()",
}
"""Of CPython's C API, what the code calls besides what every module may call."""


def template(type_: TensorType) -> Tensor:
    """A tensor of this type; all new ones have what its slots hold, besides array and storage."""
    tensor = object.__new__(Tensor)
    tensor._set(np.zeros(0, np.float32), type_, Storage())
    return tensor


def _filled() -> list[str]:
    """The slots that a new tensor copies from its template."""
    sample = template(TensorType(dtypes.float32, ()))
    own = ("__dict__", "__weakref__", "_array", "_storage")
    return [name for name in Tensor.__slots__ if name not in own and hasattr(sample, name)]


def _slot(name: str) -> int:
    return extension.slot_offset(Tensor, name)


def _word(number: Word, kind: str = "i64") -> str:
    """Lines that load a word of ``%plan`` into a variable of its name."""
    name = number.name.lower()
    return f"""
  %{name}.at = getelementptr i64, ptr %plan, i64 {number.value}
  %{name} = load {kind}, ptr %{name}.at"""


def text(plan_offset: int) -> str:
    """The module; `extension.load` puts its declarations before it.

    It exports ``jitted_call``, a method with positional and keyword arguments, and needs the objects ``Tensor Storage
    TensorType zero twin allocate no_names``, the address ``scratch`` of (address, bytes, busy), and `FUNCTIONS`.
    ``plan_offset``: where the method's object holds the array of its first plan, or None.
    """
    fill = "".join(
        f"""
  %value.{name} = call ptr @get(ptr %template, i64 {_slot(name)})
  call void @set(ptr %tensor, i64 {_slot(name)}, ptr %value.{name})"""
        for name in _filled()
    )
    common = extension.declarations()
    declared = "".join(
        f"declare {type_.replace(' ', f' @{name}', 1)}\n"
        for name, type_ in FUNCTIONS.items()
        if f"@{name}(" not in common
    )
    return declared + _TEXT.format_map({
        **{f"code_{code.name}": str(code.value) for code in Code},
        **{f"input_{kind.name}": str(kind.value) for kind in Input},
        **{f"word_{word.name}": _word(word) for word in Word},
        **{f"pointer_{word.name}": _word(word, "ptr") for word in Word},
        **{f"slot{name}": str(_slot(name)) for name in _SLOTS},
        "slot_plan": str(plan_offset),
        "slot_version": str(extension.slot_offset(Storage, "version")),
        "type_dtype": str(extension.slot_offset(TensorType, "dtype")),
        "type_shape": str(extension.slot_offset(TensorType, "shape")),
        "data": str(extension.ARRAY_DATA), "flags": str(extension.ARRAY_FLAGS), "plain": str(extension.PLAIN),
        "size": str(extension.TUPLE_SIZE), "items": str(extension.TUPLE_ITEMS),
        "instruction": str(INSTRUCTION * 8), "result": str(RESULT * 8), "fill": fill,
    })  # fmt: skip


_TEXT = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
@Tensor = external global i8
@Storage = external global i8
@TensorType = external global i8
@zero = external global i8
@twin = external global i8
@allocate = external global i8
@no_names = external global i8
@scratch = external global {{ ptr, i64, i64 }}

define ptr @jitted_call(ptr %self, ptr %args, i64 %count, ptr %names) {{
entry:
  %holder = call ptr @get(ptr %self, i64 {slot_plan})
  %unset = icmp eq ptr %holder, null
  br i1 %unset, label %other, label %set
set:
  %none = icmp eq ptr %holder, @None
  %named = icmp ne ptr %names, null
  %skip = or i1 %none, %named
  br i1 %skip, label %other, label %first
first:
  %head = call ptr @get(ptr %holder, i64 {data})
  br label %try
try:
  %plan = phi ptr [ %head, %first ], [ %next, %advance ]
  %made = call ptr @attempt(ptr %plan, ptr %args, i64 %count)
  %missed = icmp eq ptr %made, inttoptr (i64 1 to ptr)
  br i1 %missed, label %advance, label %done
advance:{pointer_NEXT}
  %last = icmp eq ptr %next, null
  br i1 %last, label %other, label %try
done:
  ret ptr %made
other:
  %result = call ptr @twin_call(ptr %self, ptr %args, i64 %count, ptr %names)
  ret ptr %result
}}

define internal ptr @twin_call(ptr %self, ptr %args, i64 %count, ptr %names) noinline {{
entry:
  %unnamed = icmp eq ptr %names, null
  %tuple = select i1 %unnamed, ptr @no_names, ptr %names
  %keywords.at = getelementptr i8, ptr %tuple, i64 {size}
  %keywords = load i64, ptr %keywords.at
  %values = add i64 %count, %keywords
  %all = add i64 %values, 1
  %buffer = alloca ptr, i64 %all
  store ptr %self, ptr %buffer
  %rest = getelementptr ptr, ptr %buffer, i64 1
  %bytes = shl i64 %values, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %rest, ptr %args, i64 %bytes, i1 false)
  %positional = add i64 %count, 1
  %result = call ptr @PyObject_Vectorcall(ptr @twin, ptr %buffer, i64 %positional, ptr %names)
  ret ptr %result
}}

define internal void @drop(ptr %references, i64 %count) noinline {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %more, %next ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %done, label %one
one:
  %at = getelementptr ptr, ptr %references, i64 %i
  %object = load ptr, ptr %at
  %empty = icmp eq ptr %object, null
  br i1 %empty, label %next, label %free
free:
  call void @decref(ptr %object)
  br label %next
next:
  %more = add i64 %i, 1
  br label %loop
done:
  ret void
}}

; Whether the object is a tensor over an array in row-major order.
define internal i1 @is_plain_array(ptr %array) alwaysinline {{
entry:
  %unset = icmp eq ptr %array, null
  br i1 %unset, label %no, label %look
look:
  %type = call ptr @type_of(ptr %array)
  %right = icmp eq ptr %type, @PyArray_Type
  br i1 %right, label %flagged, label %no
flagged:
  %flags.at = getelementptr i8, ptr %array, i64 {flags}
  %flags = load i32, ptr %flags.at
  %asked = and i32 %flags, {plain}
  %plain = icmp eq i32 %asked, {plain}
  ret i1 %plain
no:
  ret i1 false
}}

define internal i1 @is_tensor(ptr %object, ptr %type, ptr %requires_grad, i64 %leaf) noinline {{
entry:
  %class = call ptr @type_of(ptr %object)
  %exact = icmp eq ptr %class, @Tensor
  br i1 %exact, label %tensor, label %derived
derived:
  %below = call i32 @PyType_IsSubtype(ptr %class, ptr @Tensor)
  %is = icmp eq i32 %below, 1
  br i1 %is, label %tensor, label %no
tensor:
  %own = call ptr @get(ptr %object, i64 {slot_type})
  %same = icmp eq ptr %own, %type
  br i1 %same, label %typed, label %compare
compare:
  %kind = call ptr @type_of(ptr %own)
  %known = icmp eq ptr %kind, @TensorType
  br i1 %known, label %parts, label %no
parts:
  %dtype.own = call ptr @get(ptr %own, i64 {type_dtype})
  %dtype = call ptr @get(ptr %type, i64 {type_dtype})
  %dtypes = icmp eq ptr %dtype.own, %dtype
  br i1 %dtypes, label %shapes, label %no
shapes:
  %shape.own = call ptr @get(ptr %own, i64 {type_shape})
  %shape = call ptr @get(ptr %type, i64 {type_shape})
  %equal = call i32 @PyObject_RichCompareBool(ptr %shape.own, ptr %shape, i32 2)
  %fits = icmp eq i32 %equal, 1
  br i1 %fits, label %typed, label %failed
failed:
  call void @PyErr_Clear()
  br label %no
typed:
  %flag = call ptr @get(ptr %object, i64 {slot_requires_grad})
  %flag.right = icmp eq ptr %flag, %requires_grad
  %node = call ptr @get(ptr %object, i64 {slot_node})
  %node.none = icmp eq ptr %node, @None
  %wanted = icmp ne i64 %leaf, 0
  %node.right = icmp eq i1 %node.none, %wanted
  %root = call ptr @get(ptr %object, i64 {slot_root})
  %root.right = icmp eq ptr %root, @None
  %hooks = call ptr @get(ptr %object, i64 {slot_hooks})
  %hooks.right = icmp eq ptr %hooks, @None
  %first = and i1 %flag.right, %node.right
  %second = and i1 %root.right, %hooks.right
  %both = and i1 %first, %second
  br i1 %both, label %memory, label %no
memory:
  %array = call ptr @get(ptr %object, i64 {slot_array})
  %plain = call i1 @is_plain_array(ptr %array)
  ret i1 %plain
no:
  ret i1 false
}}

define internal ptr @new_tensor(ptr %array, ptr %template) noinline {{
entry:
  %tensor = call ptr @PyType_GenericAlloc(ptr @Tensor, i64 0)
  %failed = icmp eq ptr %tensor, null
  br i1 %failed, label %none, label %made
none:
  call void @decref(ptr %array)
  ret ptr null
made:{fill}
  call void @give(ptr %tensor, i64 {slot_array}, ptr %array)
  %storage = call ptr @PyType_GenericAlloc(ptr @Storage, i64 0)
  %short = icmp eq ptr %storage, null
  br i1 %short, label %undo, label %stored
undo:
  call void @decref(ptr %tensor)
  ret ptr null
stored:
  call void @set(ptr %storage, i64 {slot_version}, ptr @zero)
  call void @give(ptr %tensor, i64 {slot_storage}, ptr %storage)
  ret ptr %tensor
}}

; The storage of the tensor was written once more.
define internal i1 @written(ptr %tensor) noinline {{
entry:
  %storage = call ptr @get(ptr %tensor, i64 {slot_storage})
  %old = call ptr @get(ptr %storage, i64 {slot_version})
  %number = call i64 @PyLong_AsLongLong(ptr %old)
  %more = add i64 %number, 1
  %new = call ptr @PyLong_FromLongLong(i64 %more)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %no, label %swap
swap:
  call void @give(ptr %storage, i64 {slot_version}, ptr %new)
  call void @decref(ptr %old)
  ret i1 true
no:
  ret i1 false
}}

define internal ptr @tuple_of(ptr %objects, i64 %count) noinline {{
entry:
  %tuple = call ptr @PyTuple_New(i64 %count)
  %failed = icmp eq ptr %tuple, null
  br i1 %failed, label %done, label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %more, %one ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %done, label %one
one:
  %at = getelementptr ptr, ptr %objects, i64 %i
  %object = load ptr, ptr %at
  call void @incref(ptr %object)
  %items = getelementptr i8, ptr %tuple, i64 {items}
  %place = getelementptr ptr, ptr %items, i64 %i
  store ptr %object, ptr %place
  %more = add i64 %i, 1
  br label %loop
done:
  ret ptr %tuple
}}

; The result of a call by this plan; null: an exception is set; 1: the plan is not for this call.
define internal ptr @attempt(ptr %plan, ptr %args, i64 %count) noinline {{
entry:{word_ARGUMENTS}
  %counted = icmp eq i64 %count, %arguments
  br i1 %counted, label %start, label %skipped
skipped:
  ret ptr inttoptr (i64 1 to ptr)
start:{word_REGISTERS}{pointer_INSTRUCTIONS}
  %registers.file = alloca ptr, i64 %registers
  %registers.bytes = shl i64 %registers, 3
  call void @llvm.memset.p0.i64(ptr %registers.file, i8 0, i64 %registers.bytes, i1 false)
  %found = alloca ptr
  %pair = alloca [2 x ptr]
  br label %loop
loop:
  %pc = phi ptr [ %instructions, %start ], [ %pc.next, %next ]
  %op = load i64, ptr %pc
  %a.at = getelementptr i64, ptr %pc, i64 1
  %a = load i64, ptr %a.at
  %b.at = getelementptr i64, ptr %pc, i64 2
  %b = load i64, ptr %b.at
  %b.object = inttoptr i64 %b to ptr
  %c.at = getelementptr i64, ptr %pc, i64 3
  %c = load i64, ptr %c.at
  %c.object = inttoptr i64 %c to ptr
  %d.at = getelementptr i64, ptr %pc, i64 4
  %d = load i64, ptr %d.at
  %a.register = getelementptr ptr, ptr %registers.file, i64 %a
  %a.value = load ptr, ptr %a.register
  switch i64 %op, label %run [
    i64 {code_ARGUMENT}, label %argument
    i64 {code_OBJECT}, label %object
    i64 {code_ATTRIBUTE}, label %attribute
    i64 {code_ITEM}, label %item
    i64 {code_APPLY}, label %apply
    i64 {code_IS}, label %is
    i64 {code_TYPE}, label %type
    i64 {code_SAME}, label %same
    i64 {code_OTHER}, label %other
    i64 {code_LENGTH}, label %length
    i64 {code_LACKS}, label %lacks
    i64 {code_HAS}, label %has
    i64 {code_EQUAL}, label %equal
    i64 {code_MODE}, label %mode
    i64 {code_TENSOR}, label %tensor
    i64 {code_KEYS}, label %keys
  ]
next:
  %pc.next = getelementptr i8, ptr %pc, i64 {instruction}
  br label %loop
argument:
  %argument.at = getelementptr ptr, ptr %args, i64 %b
  %argument.value = load ptr, ptr %argument.at
  call void @incref(ptr %argument.value)
  store ptr %argument.value, ptr %a.register
  br label %next
object:
  call void @incref(ptr %b.object)
  store ptr %b.object, ptr %a.register
  br label %next
attribute:
  %attribute.at = getelementptr ptr, ptr %registers.file, i64 %b
  %attribute.base = load ptr, ptr %attribute.at
  %attribute.value = call ptr @PyObject_GetAttr(ptr %attribute.base, ptr %c.object)
  br label %keep
item:
  %item.at = getelementptr ptr, ptr %registers.file, i64 %b
  %item.base = load ptr, ptr %item.at
  %item.value = call ptr @PyObject_GetItem(ptr %item.base, ptr %c.object)
  br label %keep
apply:
  %apply.left.at = getelementptr ptr, ptr %registers.file, i64 %c
  %apply.left = load ptr, ptr %apply.left.at
  %apply.right.at = getelementptr ptr, ptr %registers.file, i64 %d
  %apply.right = load ptr, ptr %apply.right.at
  store ptr %apply.left, ptr %pair
  %pair.second = getelementptr ptr, ptr %pair, i64 1
  store ptr %apply.right, ptr %pair.second
  %apply.value = call ptr @PyObject_Vectorcall(ptr %b.object, ptr %pair, i64 2, ptr null)
  br label %keep
keep:
  %kept = phi ptr [ %attribute.value, %attribute ], [ %item.value, %item ], [ %apply.value, %apply ]
  store ptr %kept, ptr %a.register
  %raised = icmp eq ptr %kept, null
  br i1 %raised, label %clear, label %next
is:
  %is.holds = icmp eq ptr %a.value, %b.object
  br i1 %is.holds, label %next, label %miss
type:
  %type.own = call ptr @type_of(ptr %a.value)
  %type.holds = icmp eq ptr %type.own, %b.object
  br i1 %type.holds, label %next, label %miss
same:
  %same.at = getelementptr ptr, ptr %registers.file, i64 %b
  %same.value = load ptr, ptr %same.at
  %same.holds = icmp eq ptr %a.value, %same.value
  br i1 %same.holds, label %next, label %miss
other:
  %other.at = getelementptr ptr, ptr %registers.file, i64 %b
  %other.value = load ptr, ptr %other.at
  %other.holds = icmp ne ptr %a.value, %other.value
  br i1 %other.holds, label %next, label %miss
length:
  %length.value = call i64 @PyObject_Size(ptr %a.value)
  %length.holds = icmp eq i64 %length.value, %b
  br i1 %length.holds, label %next, label %clear
lacks:
  %lacks.value = call i32 @PySequence_Contains(ptr %a.value, ptr %b.object)
  %lacks.holds = icmp eq i32 %lacks.value, 0
  br i1 %lacks.holds, label %next, label %clear
has:
  %has.value = call i32 @PySequence_Contains(ptr %a.value, ptr %b.object)
  %has.holds = icmp eq i32 %has.value, 1
  br i1 %has.holds, label %next, label %clear
equal:
  %equal.own = call ptr @type_of(ptr %a.value)
  %equal.type = call ptr @type_of(ptr %b.object)
  %equal.typed = icmp eq ptr %equal.own, %equal.type
  br i1 %equal.typed, label %equal.compare, label %miss
equal.compare:
  %equal.value = call i32 @PyObject_RichCompareBool(ptr %a.value, ptr %b.object, i32 2)
  %equal.holds = icmp eq i32 %equal.value, 1
  br i1 %equal.holds, label %next, label %clear
mode:
  store ptr null, ptr %found
  %mode.status = call i32 @PyContextVar_Get(ptr %b.object, ptr null, ptr %found)
  %mode.failed = icmp slt i32 %mode.status, 0
  br i1 %mode.failed, label %clear, label %mode.read
mode.read:
  %mode.value = load ptr, ptr %found
  %mode.holds = icmp eq ptr %mode.value, %c.object
  %mode.unset = icmp eq ptr %mode.value, null
  br i1 %mode.unset, label %mode.done, label %mode.drop
mode.drop:
  call void @decref(ptr %mode.value)
  br label %mode.done
mode.done:
  br i1 %mode.holds, label %next, label %miss
tensor:
  %tensor.holds = call i1 @is_tensor(ptr %a.value, ptr %b.object, ptr %c.object, i64 %d)
  br i1 %tensor.holds, label %next, label %miss
keys:
  %keys.now = call ptr @PySequence_Tuple(ptr %a.value)
  %keys.failed = icmp eq ptr %keys.now, null
  br i1 %keys.failed, label %clear, label %keys.compare
keys.compare:
  %keys.value = call i32 @PyObject_RichCompareBool(ptr %keys.now, ptr %b.object, i32 2)
  call void @decref(ptr %keys.now)
  %keys.hold = icmp eq i32 %keys.value, 1
  br i1 %keys.hold, label %next, label %clear
clear:
  call void @PyErr_Clear()
  br label %miss
miss:
  call void @drop(ptr %registers.file, i64 %registers)
  ret ptr inttoptr (i64 1 to ptr)

run:{word_HELD}{word_INPUTS}{pointer_INPUT_TABLE}{word_RESULTS}{pointer_RESULT_TABLE}{word_ARENA}
  %pointers.count = add i64 %inputs, %results
  %pointers = alloca ptr, i64 %pointers.count
  %numbers = alloca i64, i64 %inputs
  %made = alloca ptr, i64 %results
  %made.bytes = shl i64 %results, 3
  call void @llvm.memset.p0.i64(ptr %made, i8 0, i64 %made.bytes, i1 false)
  br label %input
input:
  %i = phi i64 [ 0, %run ], [ %i.next, %input.next ]
  %p = phi i64 [ 0, %run ], [ %p.next, %input.next ]
  %s = phi i64 [ 0, %run ], [ %s.next, %input.next ]
  %input.end = icmp eq i64 %i, %inputs
  br i1 %input.end, label %room, label %input.one
input.one:
  %input.word = shl i64 %i, 1
  %input.kind.at = getelementptr i64, ptr %input_table, i64 %input.word
  %input.kind = load i64, ptr %input.kind.at
  %input.value.at = getelementptr i64, ptr %input.kind.at, i64 1
  %input.value = load i64, ptr %input.value.at
  %pointer.at = getelementptr ptr, ptr %pointers, i64 %p
  %number.at = getelementptr i64, ptr %numbers, i64 %s
  switch i64 %input.kind, label %input.address [
    i64 {input_TENSOR}, label %input.tensor
    i64 {input_FLOAT}, label %input.float
    i64 {input_INT}, label %input.int
  ]
input.address:
  %address = inttoptr i64 %input.value to ptr
  store ptr %address, ptr %pointer.at
  br label %input.pointer
input.tensor:
  %input.at = getelementptr ptr, ptr %registers.file, i64 %input.value
  %input.object = load ptr, ptr %input.at
  %array = call ptr @get(ptr %input.object, i64 {slot_array})
  %array.plain = call i1 @is_plain_array(ptr %array)
  br i1 %array.plain, label %input.array, label %miss
input.array:
  call void @incref(ptr %array)
  %hold.number = add i64 %held, %i
  %hold.at = getelementptr ptr, ptr %registers.file, i64 %hold.number
  store ptr %array, ptr %hold.at
  %array.data = call ptr @get(ptr %array, i64 {data})
  store ptr %array.data, ptr %pointer.at
  br label %input.pointer
input.float:
  %float.at = getelementptr ptr, ptr %registers.file, i64 %input.value
  %float.object = load ptr, ptr %float.at
  %float.value = call double @PyFloat_AsDouble(ptr %float.object)
  store double %float.value, ptr %number.at
  br label %input.number
input.int:
  %int.at = getelementptr ptr, ptr %registers.file, i64 %input.value
  %int.object = load ptr, ptr %int.at
  %int.value = call i64 @PyLong_AsLongLong(ptr %int.object)
  store i64 %int.value, ptr %number.at
  br label %input.number
input.number:
  %number.error = call ptr @PyErr_Occurred()
  %number.failed = icmp ne ptr %number.error, null
  %s.more = add i64 %s, 1
  br i1 %number.failed, label %clear, label %input.next
input.pointer:
  %p.more = add i64 %p, 1
  br label %input.next
input.next:
  %p.next = phi i64 [ %p.more, %input.pointer ], [ %p, %input.number ]
  %s.next = phi i64 [ %s, %input.pointer ], [ %s.more, %input.number ]
  %i.next = add i64 %i, 1
  br label %input

room:
  %scratch.none = icmp eq i64 %arena, 0
  %scratch.size.at = getelementptr i8, ptr @scratch, i64 8
  %scratch.busy.at = getelementptr i8, ptr @scratch, i64 16
  br i1 %scratch.none, label %output.first, label %room.look
room.look:
  %scratch.size = load i64, ptr %scratch.size.at
  %scratch.busy = load i64, ptr %scratch.busy.at
  %scratch.fits = icmp ule i64 %arena, %scratch.size
  %scratch.free = icmp eq i64 %scratch.busy, 0
  %scratch.ours = and i1 %scratch.fits, %scratch.free
  br i1 %scratch.ours, label %room.take, label %miss
room.take:
  store i64 1, ptr %scratch.busy.at
  %scratch.memory = load ptr, ptr @scratch
  br label %output.first
output.first:
  %memory = phi ptr [ null, %room ], [ %scratch.memory, %room.take ]
  br label %output
output:
  %o = phi i64 [ 0, %output.first ], [ %o.next, %output.made ]
  %output.end = icmp eq i64 %o, %results
  br i1 %output.end, label %launch, label %output.one
output.one:
  %output.offset = mul i64 %o, {result}
  %descriptor.at = getelementptr i8, ptr %result_table, i64 %output.offset
  %descriptor = load ptr, ptr %descriptor.at
  %rank.at = getelementptr i64, ptr %descriptor.at, i64 1
  %rank = load i32, ptr %rank.at
  %sizes.at = getelementptr i64, ptr %descriptor.at, i64 2
  %sizes = load ptr, ptr %sizes.at
  %asked.at = getelementptr i64, ptr %descriptor.at, i64 3
  %asked = load ptr, ptr %asked.at
  %template.at = getelementptr i64, ptr %descriptor.at, i64 4
  %template = load ptr, ptr %template.at
  %small = icmp eq ptr %asked, null
  br i1 %small, label %output.small, label %output.large
output.small:
  call void @incref(ptr %descriptor)
  %small.array = call ptr @PyArray_NewFromDescr(ptr @PyArray_Type, ptr %descriptor, i32 %rank, ptr %sizes, ptr null,
    ptr null, i32 0, ptr null)
  br label %output.array
output.large:
  %large.array = call ptr @PyObject_Call(ptr @allocate, ptr %asked, ptr null)
  br label %output.array
output.array:
  %result.array = phi ptr [ %small.array, %output.small ], [ %large.array, %output.large ]
  %result.failed = icmp eq ptr %result.array, null
  br i1 %result.failed, label %failed, label %output.wrap
output.wrap:
  %result.data = call ptr @get(ptr %result.array, i64 {data})
  %result.number = add i64 %p, %o
  %result.at = getelementptr ptr, ptr %pointers, i64 %result.number
  store ptr %result.data, ptr %result.at
  %result.tensor = call ptr @new_tensor(ptr %result.array, ptr %template)
  %made.at = getelementptr ptr, ptr %made, i64 %o
  store ptr %result.tensor, ptr %made.at
  %tensor.failed = icmp eq ptr %result.tensor, null
  br i1 %tensor.failed, label %failed, label %output.made
output.made:
  %o.next = add i64 %o, 1
  br label %output

launch:{pointer_PROGRAM}{word_RELEASE}
  %releases = icmp ne i64 %release, 0
  br i1 %releases, label %launch.free, label %launch.held
launch.held:
  %status.held = call i32 %program(ptr %pointers, ptr %numbers, ptr %memory)
  br label %ran
launch.free:
  %thread = call ptr @PyEval_SaveThread()
  %status.free = call i32 %program(ptr %pointers, ptr %numbers, ptr %memory)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %ran
ran:
  %status = phi i32 [ %status.held, %launch.held ], [ %status.free, %launch.free ]{word_CALLS}
  %calls.more = add i64 %calls, 1
  store i64 %calls.more, ptr %calls.at
  %good = icmp eq i32 %status, 0
  br i1 %good, label %writes.first, label %refused
refused:{pointer_FAIL}
  %status.wide = sext i32 %status to i64
  %status.object = call ptr @PyLong_FromLongLong(i64 %status.wide)
  %status.none = icmp eq ptr %status.object, null
  br i1 %status.none, label %failed, label %refused.call
refused.call:
  store ptr %status.object, ptr %pair
  %nothing = call ptr @PyObject_Vectorcall(ptr %fail, ptr %pair, i64 1, ptr null)
  call void @decref(ptr %status.object)
  br label %failed
failed:
  br i1 %scratch.none, label %failed.drop, label %failed.scratch
failed.scratch:
  store i64 0, ptr %scratch.busy.at
  br label %failed.drop
failed.drop:
  call void @drop(ptr %made, i64 %results)
  call void @drop(ptr %registers.file, i64 %registers)
  ret ptr null

writes.first:{word_WRITES}{pointer_WRITE_TABLE}{pointer_FINISH}
  br label %write
write:
  %w = phi i64 [ 0, %writes.first ], [ %w.next, %write.done ]
  %write.end = icmp eq i64 %w, %writes
  br i1 %write.end, label %finished, label %write.one
write.one:
  %write.at = getelementptr i64, ptr %write_table, i64 %w
  %write.number = load i64, ptr %write.at
  %written.at = getelementptr ptr, ptr %registers.file, i64 %write.number
  %written.object = load ptr, ptr %written.at
  %write.good = call i1 @written(ptr %written.object)
  br i1 %write.good, label %write.done, label %failed
write.done:
  %w.next = add i64 %w, 1
  br label %write
finished:
  br i1 %scratch.none, label %answer, label %finished.scratch
finished.scratch:
  store i64 0, ptr %scratch.busy.at
  br label %answer
answer:
  %one.result = icmp eq ptr %finish, null
  br i1 %one.result, label %answer.first, label %answer.call
answer.first:
  %only = load ptr, ptr %made
  call void @drop(ptr %registers.file, i64 %registers)
  ret ptr %only
answer.call:
  %three = alloca [3 x ptr]
  %results.tuple = call ptr @tuple_of(ptr %made, i64 %results)
  %args.tuple = call ptr @tuple_of(ptr %args, i64 %count)
  store ptr %results.tuple, ptr %three
  %three.second = getelementptr ptr, ptr %three, i64 1
  store ptr %args.tuple, ptr %three.second
  %three.third = getelementptr ptr, ptr %three, i64 2
  store ptr @no_names, ptr %three.third
  %results.none = icmp eq ptr %results.tuple, null
  %args.none = icmp eq ptr %args.tuple, null
  %tuples.failed = or i1 %results.none, %args.none
  br i1 %tuples.failed, label %answer.drop, label %answer.finish
answer.finish:
  %returned = call ptr @PyObject_Vectorcall(ptr %finish, ptr %three, i64 3, ptr null)
  br label %answer.drop
answer.drop:
  %answered = phi ptr [ null, %answer.call ], [ %returned, %answer.finish ]
  call void @drop(ptr %three, i64 2)
  call void @drop(ptr %made, i64 %results)
  call void @drop(ptr %registers.file, i64 %registers)
  ret ptr %answered
}}
"""
