"""LLVM text that looks at operands: whether a tensor is plain, what it has, and numbers as elements.

i1  @is_tensor(ptr)            i1  @same_shape(ptr array, ptr array)
ptr @array_of(ptr tensor)      the array of a plain tensor, or null
i64 @length(ptr array)         the number of elements, 0 for too many
i64 @dtype_index(ptr dtype)    its number in the table, or -1
i1  @history(ptr tensor)       whether a gradient may be wanted
i32 @plain_mode()  @recording()   1, 0, or -1 with an exception set
i1  @number(ptr x, i64 dtype index, ptr place)   write a number as an element; false if it must be promoted
"""

from __future__ import annotations

from jitorch.backends.cpu.extension import ALIGNED, ARRAY_DIMS, ARRAY_FLAGS, ARRAY_NDIM, C_CONTIGUOUS
from jitorch.frontend.eager.native_layout import DTYPE_NAMES, LIMIT, MAX_RANK, field, slot


def text() -> str:
    """The functions."""
    contiguous = C_CONTIGUOUS | ALIGNED
    compare = [
        f"  %is{i} = icmp eq ptr %dtype, @dtype_{name}\n"
        f"  %index{i + 1} = select i1 %is{i}, i64 {i}, i64 {f'%index{i}' if i else -1}"
        for i, name in enumerate(DTYPE_NAMES)
    ]
    return (
        f"""
define internal i1 @is_tensor(ptr %x) alwaysinline {{
  %type = call ptr @type_of(ptr %x)
  %exactly = icmp eq ptr %type, @Tensor
  br i1 %exactly, label %yes, label %ask
ask:
  %answer = call i32 @PyType_IsSubtype(ptr %type, ptr @Tensor)
  %derived = icmp ne i32 %answer, 0
  ret i1 %derived
yes:
  ret i1 1
}}
define internal ptr @array_of(ptr %x) {{
  %array = call ptr @get(ptr %x, i64 {slot("_array")})
  %unset = icmp eq ptr %array, null
  br i1 %unset, label %no, label %typed
typed:
  %type = call ptr @type_of(ptr %array)
  %exactly = icmp eq ptr %type, @PyArray_Type
  br i1 %exactly, label %layout, label %no
layout:
{field("flags", "%array", ARRAY_FLAGS, "i32")}
  %both = and i32 %flags, {contiguous}
  %contiguous = icmp eq i32 %both, {contiguous}
  br i1 %contiguous, label %viewed, label %no
viewed:
  %base = call ptr @get(ptr %x, i64 {slot("_base")})
  %free = icmp eq ptr %base, @None
  br i1 %free, label %yes, label %fresh
fresh:
  %mine = call ptr @get(ptr %x, i64 {slot("_view_version")})
  %its = call ptr @get(ptr %base, i64 {slot("_view_version")})
  %current = icmp eq ptr %mine, %its
  br i1 %current, label %yes, label %no
yes:
  ret ptr %array
no:
  ret ptr null
}}
define internal i64 @length(ptr %array) {{
{field("rank", "%array", ARRAY_NDIM, "i32")}
  %deep = icmp ugt i32 %rank, {MAX_RANK}
  br i1 %deep, label %no, label %start
start:
{field("dims", "%array", ARRAY_DIMS)}
  %axes = zext i32 %rank to i64
  br label %next
next:
  %i = phi i64 [0, %start], [%i.more, %axis]
  %total = phi i64 [1, %start], [%product, %axis]
  %ended = icmp eq i64 %i, %axes
  br i1 %ended, label %done, label %axis
axis:
  %at = getelementptr i64, ptr %dims, i64 %i
  %size = load i64, ptr %at
  %product = mul i64 %total, %size
  %i.more = add i64 %i, 1
  %large = icmp ugt i64 %product, {LIMIT}
  br i1 %large, label %no, label %next
done:
  ret i64 %total
no:
  ret i64 0
}}
define internal i64 @dtype_index(ptr %dtype) {{
{chr(10).join(compare)}
  ret i64 %index{len(DTYPE_NAMES)}
}}
define internal i1 @same_shape(ptr %a, ptr %b) {{
{field("rank", "%a", ARRAY_NDIM, "i32")}
{field("rank.b", "%b", ARRAY_NDIM, "i32")}
  %equal = icmp eq i32 %rank, %rank.b
  br i1 %equal, label %start, label %no
start:
{field("dims", "%a", ARRAY_DIMS)}
{field("dims.b", "%b", ARRAY_DIMS)}
  %axes = zext i32 %rank to i64
  br label %next
next:
  %i = phi i64 [0, %start], [%i.more, %axis]
  %ended = icmp eq i64 %i, %axes
  br i1 %ended, label %yes, label %axis
axis:
  %at = getelementptr i64, ptr %dims, i64 %i
  %at.b = getelementptr i64, ptr %dims.b, i64 %i
  %size = load i64, ptr %at
  %size.b = load i64, ptr %at.b
  %i.more = add i64 %i, 1
  %agree = icmp eq i64 %size, %size.b
  br i1 %agree, label %next, label %no
yes:
  ret i1 1
no:
  ret i1 0
}}
define internal i1 @history(ptr %x) {{
  %flag = call ptr @get(ptr %x, i64 {slot("_requires_grad")})
  %leaf = icmp eq ptr %flag, @True
  %node = call ptr @get(ptr %x, i64 {slot("_node")})
  %made = icmp ne ptr %node, @None
  %either = or i1 %leaf, %made
  ret i1 %either
}}
define internal i32 @plain_mode() {{
  %found = alloca ptr
  store ptr null, ptr %found
  %failed = call i32 @PyContextVar_Get(ptr @slot, ptr null, ptr %found)
  %interpreter = load ptr, ptr %found
  %entered = icmp ne ptr %interpreter, null
  br i1 %entered, label %no, label %default
no:
  call void @decref(ptr %interpreter)
  ret i32 0
default:
  %bad = icmp ne i32 %failed, 0
  br i1 %bad, label %error, label %check
error:
  ret i32 -1
check:
  %tape.now = call ptr @PyList_GetItem(ptr @installed, i64 0)
  %same = icmp eq ptr %tape.now, @tape
  %answer = zext i1 %same to i32
  ret i32 %answer
}}
define internal i32 @recording() {{
  %found = alloca ptr
  store ptr null, ptr %found
  %failed = call i32 @PyContextVar_Get(ptr @grad_enabled, ptr null, ptr %found)
  %bad = icmp ne i32 %failed, 0
  br i1 %bad, label %error, label %check
error:
  ret i32 -1
check:
  %enabled = load ptr, ptr %found
  %on = icmp eq ptr %enabled, @True
  call void @decref(ptr %enabled)
  %answer = zext i1 %on to i32
  ret i32 %answer
}}
"""
        + _NUMBER
    )


_NUMBER = """
define internal i1 @number(ptr %x, i64 %index, ptr %place) {
  %overflow = alloca i32
  %type = call ptr @type_of(ptr %x)
  %is.float = icmp eq ptr %type, @float
  br i1 %is.float, label %float, label %other
other:
  %is.int = icmp eq ptr %type, @int
  br i1 %is.int, label %int, label %no
float:
  %value = call double @PyFloat_AsDouble(ptr %x)
  switch i64 %index, label %no [i64 0, label %single
                                i64 1, label %double]
int:
  %integer = call i64 @PyLong_AsLongLongAndOverflow(ptr %x, ptr %overflow)
  %high = icmp sge i64 %integer, 2147483648
  %low = icmp sle i64 %integer, -2147483648
  %sign = load i32, ptr %overflow
  %wide = icmp ne i32 %sign, 0
  %outside = or i1 %high, %low
  %refused = or i1 %outside, %wide
  br i1 %refused, label %no, label %store
store:
  %converted = sitofp i64 %integer to double
  switch i64 %index, label %no [i64 0, label %single
                                i64 1, label %double
                                i64 2, label %long
                                i64 3, label %short]
single:
  %rounded.from = phi double [%value, %float], [%converted, %store]
  %rounded = fptrunc double %rounded.from to float
  store float %rounded, ptr %place
  ret i1 1
double:
  %exact = phi double [%value, %float], [%converted, %store]
  store double %exact, ptr %place
  ret i1 1
long:
  store i64 %integer, ptr %place
  ret i1 1
short:
  %narrow = trunc i64 %integer to i32
  store i32 %narrow, ptr %place
  ret i1 1
no:
  ret i1 0
}
"""
