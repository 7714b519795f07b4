"""LLVM text of a run: from the inputs in the registers of a plan to what the user gets.

    ptr @run(ptr plan, ptr args, i64 count, ptr registers)

gives the result, null with an exception set, or 1: the plan is not for this call, and nothing is left behind.  That is
so, too, where the program stops before the end, as by a check that fails: another plan or the twin serves the call.
"""

from __future__ import annotations

from jitorch.backends.cpu import extension
from jitorch.frontend.calls.layout import Input, Word, words
from jitorch.tensor import Tensor


def text() -> str:
    """The functions; they need those of `jitorch.frontend.calls.objects_text` and `.outputs_text`.

    Also the object ``no_names``, an empty tuple, and the address ``scratch`` of (address, bytes, busy).
    """
    return _TEXT.format_map({
        **words("%plan", Word),
        **{f"input_{kind.name}": str(kind.value) for kind in Input},
        "slot_array": str(extension.slot_offset(Tensor, "_array")), "data": str(extension.ARRAY_DATA),
    })  # fmt: skip


_TEXT = """
; Fill the tables of pointers and numbers; gives how many pointers there are, or -1: the plan is not for this call.
define internal i64 @take_inputs(ptr %plan, ptr %registers, ptr %pointers, ptr %numbers) {{
start:{word_HELD}{word_INPUTS}{pointer_INPUT_TABLE}
  br label %input
input:
  %i = phi i64 [ 0, %start ], [ %i.next, %next ]
  %p = phi i64 [ 0, %start ], [ %p.next, %next ]
  %s = phi i64 [ 0, %start ], [ %s.next, %next ]
  %end = icmp eq i64 %i, %inputs
  br i1 %end, label %done, label %one
one:
  %word = shl i64 %i, 1
  %kind.at = getelementptr i64, ptr %input_table, i64 %word
  %kind = load i64, ptr %kind.at
  %value.at = getelementptr i64, ptr %kind.at, i64 1
  %value = load i64, ptr %value.at
  %pointer.at = getelementptr ptr, ptr %pointers, i64 %p
  %number.at = getelementptr i64, ptr %numbers, i64 %s
  switch i64 %kind, label %address [
    i64 {input_TENSOR}, label %tensor
    i64 {input_FLOAT}, label %float
    i64 {input_INT}, label %int
  ]
address:
  %known = inttoptr i64 %value to ptr
  store ptr %known, ptr %pointer.at
  br label %pointer
tensor:
  %tensor.at = getelementptr ptr, ptr %registers, i64 %value
  %object = load ptr, ptr %tensor.at
  %array = call ptr @get(ptr %object, i64 {slot_array})
  %plain = call i1 @is_plain_array(ptr %array)
  br i1 %plain, label %array.plain, label %miss
array.plain:
  call void @incref(ptr %array)
  %hold.number = add i64 %held, %i
  %hold.at = getelementptr ptr, ptr %registers, i64 %hold.number
  store ptr %array, ptr %hold.at
  %elements = call ptr @get(ptr %array, i64 {data})
  store ptr %elements, ptr %pointer.at
  br label %pointer
float:
  %float.at = getelementptr ptr, ptr %registers, i64 %value
  %float.object = load ptr, ptr %float.at
  %float.value = call double @PyFloat_AsDouble(ptr %float.object)
  store double %float.value, ptr %number.at
  br label %number
int:
  %int.at = getelementptr ptr, ptr %registers, i64 %value
  %int.object = load ptr, ptr %int.at
  %int.value = call i64 @PyLong_AsLongLong(ptr %int.object)
  store i64 %int.value, ptr %number.at
  br label %number
number:
  %error = call ptr @PyErr_Occurred()
  %failed = icmp ne ptr %error, null
  %s.more = add i64 %s, 1
  br i1 %failed, label %clear, label %next
pointer:
  %p.more = add i64 %p, 1
  br label %next
next:
  %p.next = phi i64 [ %p.more, %pointer ], [ %p, %number ]
  %s.next = phi i64 [ %s, %pointer ], [ %s.more, %number ]
  %i.next = add i64 %i, 1
  br label %input
clear:
  call void @PyErr_Clear()
  br label %miss
miss:
  ret i64 -1
done:
  ret i64 %p
}}

define internal i1 @count_writes(ptr %plan, ptr %registers) {{
start:{word_WRITES}{pointer_WRITE_TABLE}
  br label %loop
loop:
  %w = phi i64 [ 0, %start ], [ %w.next, %next ]
  %end = icmp eq i64 %w, %writes
  br i1 %end, label %done, label %one
one:
  %number.at = getelementptr i64, ptr %write_table, i64 %w
  %number = load i64, ptr %number.at
  %tensor.at = getelementptr ptr, ptr %registers, i64 %number
  %tensor = load ptr, ptr %tensor.at
  %good = call i1 @written(ptr %tensor)
  br i1 %good, label %next, label %no
next:
  %w.next = add i64 %w, 1
  br label %loop
no:
  ret i1 false
done:
  ret i1 true
}}

; What the user gets of the results.
define internal ptr @answer(ptr %plan, ptr %made, ptr %args, i64 %count) {{
start:{word_RESULTS}{pointer_FINISH}
  %one = icmp eq ptr %finish, null
  br i1 %one, label %first, label %tuples
first:
  %only = load ptr, ptr %made
  store ptr null, ptr %made
  ret ptr %only
tuples:
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
  %failed = or i1 %results.none, %args.none
  br i1 %failed, label %done, label %ask
ask:
  %returned = call ptr @PyObject_Vectorcall(ptr %finish, ptr %three, i64 3, ptr null)
  br label %done
done:
  %answered = phi ptr [ null, %tuples ], [ %returned, %ask ]
  call void @drop(ptr %three, i64 2)
  ret ptr %answered
}}

define internal i32 @launch(ptr %plan, ptr %pointers, ptr %numbers, ptr %memory) {{
start:{pointer_PROGRAM}{word_RELEASE}
  %releases = icmp ne i64 %release, 0
  br i1 %releases, label %free, label %held
held:
  %status.held = call i32 %program(ptr %pointers, ptr %numbers, ptr %memory)
  ret i32 %status.held
free:
  %thread = call ptr @PyEval_SaveThread()
  %status.free = call i32 %program(ptr %pointers, ptr %numbers, ptr %memory)
  call void @PyEval_RestoreThread(ptr %thread)
  ret i32 %status.free
}}

define internal ptr @run(ptr %plan, ptr %args, i64 %count, ptr %registers) noinline {{
start:{word_INPUTS}{word_OUTPUTS}{word_ARENA}
  %both = add i64 %inputs, %outputs
  %pointers = alloca ptr, i64 %both
  %numbers = alloca i64, i64 %inputs
  %slots = alloca i64, i64 %outputs
  %made = alloca ptr, i64 %outputs
  %made.bytes = shl i64 %outputs, 3
  call void @llvm.memset.p0.i64(ptr %made, i8 0, i64 %made.bytes, i1 false)
  %taken = call i64 @take_inputs(ptr %plan, ptr %registers, ptr %pointers, ptr %numbers)
  %unfit = icmp slt i64 %taken, 0
  br i1 %unfit, label %miss, label %room
miss:
  ret ptr inttoptr (i64 1 to ptr)
room:
  %needs.none = icmp eq i64 %arena, 0
  %size.at = getelementptr i8, ptr @scratch, i64 8
  %busy.at = getelementptr i8, ptr @scratch, i64 16
  br i1 %needs.none, label %place, label %look
look:
  %size = load i64, ptr %size.at
  %busy = load i64, ptr %busy.at
  %fits = icmp ule i64 %arena, %size
  %free = icmp eq i64 %busy, 0
  %ours = and i1 %fits, %free
  br i1 %ours, label %take, label %miss
take:
  store i64 1, ptr %busy.at
  %scratch.memory = load ptr, ptr @scratch
  br label %place
place:
  %memory = phi ptr [ null, %room ], [ %scratch.memory, %take ]
  %places = getelementptr ptr, ptr %pointers, i64 %taken
  %placed = call i1 @place_outputs(ptr %plan, ptr %places, ptr %slots, ptr %memory, ptr %made)
  br i1 %placed, label %compute, label %ended
compute:
  %status = call i32 @launch(ptr %plan, ptr %pointers, ptr %numbers, ptr %memory)
  %good = icmp eq i32 %status, 0
  br i1 %good, label %computed, label %ended
computed:{word_CALLS}
  %calls.more = add i64 %calls, 1
  store i64 %calls.more, ptr %calls.at
  %counted = call i1 @count_writes(ptr %plan, ptr %registers)
  br i1 %counted, label %results, label %ended
results:
  %complete = call i1 @take_results(ptr %plan, ptr %slots, ptr %memory, ptr %made)
  br label %ended
ended:
  %all = phi i1 [ false, %place ], [ false, %compute ], [ false, %computed ], [ %complete, %results ]
  %none = phi ptr [ null, %place ], [ inttoptr (i64 1 to ptr), %compute ], [ null, %computed ], [ null, %results ]
  br i1 %needs.none, label %after, label %release
release:
  store i64 0, ptr %busy.at
  br label %after
after:
  br i1 %all, label %give, label %leave
give:
  %result = call ptr @answer(ptr %plan, ptr %made, ptr %args, i64 %count)
  br label %leave
leave:
  %returned = phi ptr [ %none, %after ], [ %result, %give ]
  call void @drop(ptr %made, i64 %outputs)
  ret ptr %returned
}}
"""
