"""LLVM text of outputs: memory for the program to write to, and results made of what it wrote.

    i1 @place_outputs(ptr plan, ptr pointers, ptr slots, ptr memory, ptr made)
    i1 @take_results(ptr plan, ptr slots, ptr memory, ptr made)

``slots`` has a word for each output, where numbers go; ``made`` takes the results, references that the caller owns.
False where a function fails, with an exception set.
"""

from __future__ import annotations

from jitorch.backends.cpu import extension
from jitorch.frontend.calls.layout import MOST_AXES, OUTPUT, Kind, Output, Word, words
from jitorch.tensor import Tensor


def text() -> str:
    """The functions; they need those of `jitorch.frontend.calls.objects_text`.

    Also the objects ``allocate``, which makes large arrays, and ``type_of_array``.
    """
    return _TEXT.format_map({
        **words("%plan", Word), **words("%output", Output),
        **{f"kind_{kind.name}": str(kind.value) for kind in Kind},
        "slot_type": str(extension.slot_offset(Tensor, "_type")),
        "data": str(extension.ARRAY_DATA), "output": str(OUTPUT), "axes": str(MOST_AXES),
    })  # fmt: skip


_TEXT = """
; An array with elements not set.
define internal ptr @new_array(ptr %output, ptr %shape) {{
start:{pointer_DTYPE}{word_RANK}{pointer_ASKED}
  %axes = trunc i64 %rank to i32
  %small = icmp eq ptr %asked, null
  br i1 %small, label %own, label %large
own:
  call void @incref(ptr %dtype)
  %array = call ptr @PyArray_NewFromDescr(ptr @PyArray_Type, ptr %dtype, i32 %axes, ptr %shape, ptr null,
    ptr null, i32 0, ptr null)
  ret ptr %array
large:
  %block = call ptr @PyObject_Call(ptr @allocate, ptr %asked, ptr null)
  ret ptr %block
}}

; Give the program places for its outputs; tensors of known types are made here.
define internal i1 @place_outputs(ptr %plan, ptr %pointers, ptr %slots, ptr %memory, ptr %made) {{
start:{word_OUTPUTS}{pointer_OUTPUT_TABLE}
  br label %loop
loop:
  %o = phi i64 [ 0, %start ], [ %o.next, %next ]
  %end = icmp eq i64 %o, %outputs
  br i1 %end, label %done, label %one
one:
  %offset = mul i64 %o, {output}
  %output = getelementptr i64, ptr %output_table, i64 %offset{word_KIND}
  %slot = getelementptr i64, ptr %slots, i64 %o
  switch i64 %kind, label %placed [
    i64 {kind_TENSOR}, label %tensor
    i64 {kind_COUNTED}, label %counted
  ]
tensor:{pointer_SIZES}{pointer_TEMPLATE}
  %array = call ptr @new_array(ptr %output, ptr %sizes)
  %failed = icmp eq ptr %array, null
  br i1 %failed, label %no, label %wrap
wrap:
  %elements = call ptr @get(ptr %array, i64 {data})
  %object = call ptr @new_tensor(ptr %array, ptr %template)
  %made.at = getelementptr ptr, ptr %made, i64 %o
  store ptr %object, ptr %made.at
  %short = icmp eq ptr %object, null
  br i1 %short, label %no, label %placed
counted:{word_PLACE}
  %room = getelementptr i8, ptr %memory, i64 %place
  br label %placed
placed:
  %where = phi ptr [ %slot, %one ], [ %elements, %wrap ], [ %room, %counted ]
  %pointer.at = getelementptr ptr, ptr %pointers, i64 %o
  store ptr %where, ptr %pointer.at
  br label %next
next:
  %o.next = add i64 %o, 1
  br label %loop
no:
  ret i1 false
done:
  ret i1 true
}}

; The tensor of an output with sizes that the program has counted: its elements come first at its place.
define internal ptr @counted_tensor(ptr %output, ptr %slots, ptr %memory) {{
start:{word_RANK}{pointer_SIZES}{pointer_TEMPLATE}{word_PLACE}{word_ITEM}
  %shape = alloca [{axes} x i64]
  %pair = alloca ptr
  br label %loop
loop:
  %i = phi i64 [ 0, %start ], [ %i.next, %sized ]
  %bytes = phi i64 [ %item, %start ], [ %bytes.next, %sized ]
  %end = icmp eq i64 %i, %rank
  br i1 %end, label %all, label %axis
axis:
  %given.at = getelementptr i64, ptr %sizes, i64 %i
  %given = load i64, ptr %given.at
  %fixed = icmp sge i64 %given, 0
  br i1 %fixed, label %sized, label %read
read:
  %number = xor i64 %given, -1
  %count.at = getelementptr i64, ptr %slots, i64 %number
  %count = load i64, ptr %count.at
  br label %sized
sized:
  %size = phi i64 [ %given, %axis ], [ %count, %read ]
  %size.at = getelementptr i64, ptr %shape, i64 %i
  store i64 %size, ptr %size.at
  %bytes.next = mul i64 %bytes, %size
  %i.next = add i64 %i, 1
  br label %loop
all:
  %array = call ptr @new_array(ptr %output, ptr %shape)
  %failed = icmp eq ptr %array, null
  br i1 %failed, label %no, label %copy
copy:
  %elements = call ptr @get(ptr %array, i64 {data})
  %room = getelementptr i8, ptr %memory, i64 %place
  call void @llvm.memcpy.p0.p0.i64(ptr %elements, ptr %room, i64 %bytes, i1 false)
  store ptr %array, ptr %pair
  %type = call ptr @PyObject_Vectorcall(ptr @type_of_array, ptr %pair, i64 1, ptr null)
  %untyped = icmp eq ptr %type, null
  br i1 %untyped, label %free, label %wrap
free:
  call void @decref(ptr %array)
  br label %no
wrap:
  %tensor = call ptr @new_tensor(ptr %array, ptr %template)
  %short = icmp eq ptr %tensor, null
  br i1 %short, label %untype, label %made
untype:
  call void @decref(ptr %type)
  br label %no
made:
  %copied = call ptr @get(ptr %tensor, i64 {slot_type})
  call void @give(ptr %tensor, i64 {slot_type}, ptr %type)
  call void @decref(ptr %copied)
  ret ptr %tensor
no:
  ret ptr null
}}

; Make the results that are no tensors of known types.
define internal i1 @take_results(ptr %plan, ptr %slots, ptr %memory, ptr %made) {{
start:{word_RESULTS}{pointer_OUTPUT_TABLE}
  br label %loop
loop:
  %o = phi i64 [ 0, %start ], [ %o.next, %next ]
  %end = icmp eq i64 %o, %results
  br i1 %end, label %done, label %one
one:
  %offset = mul i64 %o, {output}
  %output = getelementptr i64, ptr %output_table, i64 %offset{word_KIND}
  %slot = getelementptr i64, ptr %slots, i64 %o
  switch i64 %kind, label %next [
    i64 {kind_INT}, label %int
    i64 {kind_FLOAT}, label %float
    i64 {kind_BOOL}, label %bool
    i64 {kind_COUNTED}, label %counted
  ]
int:
  %int.value = load i64, ptr %slot
  %int.object = call ptr @PyLong_FromLongLong(i64 %int.value)
  br label %keep
float:
  %float.value = load double, ptr %slot
  %float.object = call ptr @PyFloat_FromDouble(double %float.value)
  br label %keep
bool:
  %bool.value = load i8, ptr %slot
  %true = icmp ne i8 %bool.value, 0
  %bool.object = select i1 %true, ptr @True, ptr @False
  call void @incref(ptr %bool.object)
  br label %keep
counted:
  %tensor = call ptr @counted_tensor(ptr %output, ptr %slots, ptr %memory)
  br label %keep
keep:
  %object = phi ptr [ %int.object, %int ], [ %float.object, %float ], [ %bool.object, %bool ], [ %tensor, %counted ]
  %made.at = getelementptr ptr, ptr %made, i64 %o
  store ptr %object, ptr %made.at
  %failed = icmp eq ptr %object, null
  br i1 %failed, label %no, label %next
next:
  %o.next = add i64 %o, 1
  br label %loop
no:
  ret i1 false
done:
  ret i1 true
}}
"""
