"""LLVM text about references and tensors, for the code that serves calls.

    void @drop(ptr references, i64 count)       give up those that are not null
    i1   @is_plain_array(ptr array)
    i1   @is_tensor(ptr object, ptr type, ptr requires_grad, i64 leaf)
    ptr  @new_tensor(ptr array, ptr template)   takes the reference to the array
    i1   @written(ptr tensor)                   count one more write to its storage
    ptr  @tuple_of(ptr references, i64 count)

A function that fails gives null or false, with an exception set.
"""

from __future__ import annotations

import numpy as np

from jitorch import dtypes
from jitorch.backends.cpu import extension
from jitorch.ir.types import TensorType
from jitorch.tensor import Storage, Tensor

_SLOTS = ("_array", "_hooks", "_node", "_requires_grad", "_root", "_storage", "_type")


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


def text() -> str:
    """The functions; they need the objects ``Tensor Storage TensorType zero user_class``."""
    fill = "".join(
        f"""
  %value.{name} = call ptr @get(ptr %template, i64 {_slot(name)})
  call void @set(ptr %tensor, i64 {_slot(name)}, ptr %value.{name})"""
        for name in _filled()
    )
    return _TEXT.format_map({
        **{f"slot{name}": str(_slot(name)) for name in _SLOTS},
        "slot_version": str(extension.slot_offset(Storage, "version")),
        "type_dtype": str(extension.slot_offset(TensorType, "dtype")),
        "type_shape": str(extension.slot_offset(TensorType, "shape")),
        "flags": str(extension.ARRAY_FLAGS), "plain": str(extension.PLAIN),
        "items": str(extension.TUPLE_ITEMS), "fill": fill,
    })  # fmt: skip


_TEXT = """
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
  br i1 %is, label %owned, label %no
owned:
  %user = call ptr @PyObject_GetAttr(ptr %class, ptr @user_class)
  %raised = icmp eq ptr %user, null
  br i1 %raised, label %failed, label %asked
asked:
  call void @decref(ptr %user)
  %library = icmp eq ptr %user, @None
  br i1 %library, label %tensor, label %no
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
"""
