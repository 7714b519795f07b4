"""LLVM text of guards: the instructions of a plan, run one after the other.

    i1 @guards_hold(ptr instructions, ptr args, ptr registers)

fills the registers, which begin as nulls, and says whether all guards hold; no exception is left behind.
"""

from __future__ import annotations

from jitorch.frontend.calls.layout import INSTRUCTION, Code


def text() -> str:
    """The function; it needs those of `jitorch.frontend.calls.objects_text`."""
    codes = {f"code_{code.name}": str(code.value) for code in Code}
    return _TEXT.format_map({**codes, "instruction": str(INSTRUCTION * 8)})


_TEXT = """
define internal i1 @guards_hold(ptr %instructions, ptr %args, ptr %registers) noinline {{
start:
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
  %a.register = getelementptr ptr, ptr %registers, i64 %a
  %a.value = load ptr, ptr %a.register
  switch i64 %op, label %held [
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
  %attribute.at = getelementptr ptr, ptr %registers, i64 %b
  %attribute.base = load ptr, ptr %attribute.at
  %attribute.value = call ptr @PyObject_GetAttr(ptr %attribute.base, ptr %c.object)
  br label %keep
item:
  %item.at = getelementptr ptr, ptr %registers, i64 %b
  %item.base = load ptr, ptr %item.at
  %item.value = call ptr @PyObject_GetItem(ptr %item.base, ptr %c.object)
  br label %keep
apply:
  %apply.left.at = getelementptr ptr, ptr %registers, i64 %c
  %apply.left = load ptr, ptr %apply.left.at
  %apply.right.at = getelementptr ptr, ptr %registers, i64 %d
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
  %same.at = getelementptr ptr, ptr %registers, i64 %b
  %same.value = load ptr, ptr %same.at
  %same.holds = icmp eq ptr %a.value, %same.value
  br i1 %same.holds, label %next, label %miss
other:
  %other.at = getelementptr ptr, ptr %registers, i64 %b
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
  ret i1 false
held:
  ret i1 true
}}
"""
