"""The machine code of a call: one function for all compiled functions, which reads a plan.

`jitorch.frontend.calls.plan` makes plans, `jitorch.frontend.calls.layout` says how they look.  Wherever something is
not as the plan has it, the run leaves no trace and the next plan, at the end the twin in Python, is tried.
"""

from __future__ import annotations

from jitorch.backends.cpu import extension
from jitorch.frontend.calls import guards_text, objects_text, outputs_text, run_text
from jitorch.frontend.calls.layout import Word, words

FUNCTIONS = {
    "PyObject_GetAttr": "ptr (ptr, ptr)",
    "PyObject_GetItem": "ptr (ptr, ptr)",
    "PyObject_Size": "i64 (ptr)",
    "PySequence_Contains": "i32 (ptr, ptr)",
    "PySequence_Tuple": "ptr (ptr)",
    "PyObject_RichCompareBool": "i32 (ptr, ptr, i32)",
    "PyErr_Clear": "void ()",
}
"""Of CPython's C API, what the code calls besides what every module may call."""

OBJECTS = ("Tensor", "Storage", "TensorType", "zero", "twin", "allocate", "type_of_array", "no_names", "user_class")
"""The Python objects that the text names."""


def text(plan_offset: int) -> str:
    """The module; `extension.load` puts its declarations before it.

    It exports ``jitted_call``, a method with positional and keyword arguments, and needs `OBJECTS`, `FUNCTIONS` and the
    address ``scratch`` of (address, bytes, busy).  ``plan_offset``: where the method's object holds the array of its
    first plan, or None.
    """
    declared = [f"declare {type_.replace(' ', f' @{name}', 1)}" for name, type_ in FUNCTIONS.items()]
    objects = [f"@{name} = external global i8" for name in OBJECTS]
    calls = _TEXT.format_map({
        **words("%plan", Word), "slot_plan": str(plan_offset), "data": str(extension.ARRAY_DATA),
        "size": str(extension.TUPLE_SIZE),
    })  # fmt: skip
    parts = (objects_text.text(), guards_text.text(), outputs_text.text(), run_text.text())
    return "\n".join([*declared, *objects, calls, *parts])


_TEXT = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
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

; The result of a call by this plan; null: an exception is set; 1: the plan is not for this call.
define internal ptr @attempt(ptr %plan, ptr %args, i64 %count) noinline {{
entry:{word_ARGUMENTS}
  %counted = icmp eq i64 %count, %arguments
  br i1 %counted, label %start, label %skipped
skipped:
  ret ptr inttoptr (i64 1 to ptr)
start:{word_REGISTERS}{pointer_INSTRUCTIONS}
  %file = alloca ptr, i64 %registers
  %bytes = shl i64 %registers, 3
  call void @llvm.memset.p0.i64(ptr %file, i8 0, i64 %bytes, i1 false)
  %hold = call i1 @guards_hold(ptr %instructions, ptr %args, ptr %file)
  br i1 %hold, label %run, label %done
run:
  %made = call ptr @run(ptr %plan, ptr %args, i64 %count, ptr %file)
  br label %done
done:
  %result = phi ptr [ inttoptr (i64 1 to ptr), %start ], [ %made, %run ]
  call void @drop(ptr %file, i64 %registers)
  ret ptr %result
}}
"""
