"""The LLVM IR of the short way: an elementwise op on plain stored tensors, from Python's operator to its result.

An *entry* describes one op to this code (see `jitorch.frontend.eager.native_layout`).
``@run(entry, x, y)`` gives the result, null with an exception set, or ``@NotImplemented`` (no reference) for
what is not plain: the caller then asks the twin in Python.  Only a failure to allocate leaves something behind.
"""

from __future__ import annotations

from jitorch.backends.cpu.extension import (
    ARRAY_DATA,
    ARRAY_DIMS,
    ARRAY_DTYPE,
    ARRAY_NDIM,
    TUPLE_ITEMS,
    TUPLE_SIZE,
    slot_offset,
)  # fmt: skip
from jitorch.frontend.eager import native_checks, native_results
from jitorch.frontend.eager.native_layout import (
    ARITY,
    DIFFERENTIABLE,
    KNOWN_TYPE,
    LOOP_SIZE,
    LOOPS,
    OBJECTS,
    RESULT_TYPE,
    TWIN,
    field,
    slot,
)
from jitorch.ops.registry import Op


def _run() -> str:
    return f"""
define internal ptr @result_type(ptr %entry, ptr %array, ptr %type, ptr %dtype) {{
  %args = alloca ptr
{field("array.dtype", "%array", ARRAY_DTYPE)}
  %same = icmp eq ptr %array.dtype, %dtype
  br i1 %same, label %its, label %other
its:
  call void @incref(ptr %type)
  ret ptr %type
other:
{field("known", "%entry", KNOWN_TYPE)}
  %hit = icmp eq ptr %known, %type
  br i1 %hit, label %cached, label %ask
cached:
{field("answer", "%entry", RESULT_TYPE)}
  call void @incref(ptr %answer)
  ret ptr %answer
ask:
  store ptr %array, ptr %args
  %new = call ptr @PyObject_Vectorcall(ptr @type_of_array, ptr %args, i64 1, ptr null)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %no, label %keep
keep:
  %was.at = getelementptr i8, ptr %entry, i64 {RESULT_TYPE}
  %was = load ptr, ptr %was.at
  %known.at.2 = getelementptr i8, ptr %entry, i64 {KNOWN_TYPE}
  call void @incref(ptr %type)
  call void @incref(ptr %new)
  store ptr %type, ptr %known.at.2
  store ptr %new, ptr %was.at
  call void @decref(ptr %known)
  call void @decref(ptr %was)
  ret ptr %new
no:
  ret ptr null
}}
define internal ptr @run(ptr %entry, ptr %x, ptr %y) {{
start:
  %args = alloca [3 x ptr]
  %steps = alloca [3 x i64]
  %count = alloca i64
  %place = alloca i64
  %mode = call i32 @plain_mode()
  switch i32 %mode, label %error [i32 0, label %refuse
                                  i32 1, label %plain]
plain:
{field("arity", "%entry", ARITY, "i64")}
  %unary = icmp eq i64 %arity, 1
  %x.is = call i1 @is_tensor(ptr %x)
  br i1 %x.is, label %x.tensor, label %x.number
x.number:
  br i1 %unary, label %refuse, label %x.number.binary
x.number.binary:
  %y.is.2 = call i1 @is_tensor(ptr %y)
  br i1 %y.is.2, label %y.leads, label %refuse
x.tensor:
  br i1 %unary, label %x.leads, label %x.and.y
x.and.y:
  %y.is = call i1 @is_tensor(ptr %y)
  br label %x.leads
y.leads:
  br label %lead
x.leads:
  %y.too = phi i1 [0, %x.tensor], [%y.is, %x.and.y]
  br label %lead
lead:
  %main = phi ptr [%x, %x.leads], [%y, %y.leads]
  %other = phi ptr [%y, %x.leads], [%x, %y.leads]
  %two = phi i1 [%y.too, %x.leads], [0, %y.leads]
  %array = call ptr @array_of(ptr %main)
  %strange = icmp eq ptr %array, null
  br i1 %strange, label %refuse, label %sized
sized:
  %n = call i64 @length(ptr %array)
  %unfit = icmp eq i64 %n, 0
  br i1 %unfit, label %refuse, label %typed
typed:
{field("dtype", "%array", ARRAY_DTYPE)}
  %index = call i64 @dtype_index(ptr %dtype)
  %unknown = icmp slt i64 %index, 0
  br i1 %unknown, label %refuse, label %looked
looked:
  %loop.offset = mul i64 %index, {LOOP_SIZE}
  %loop.start = add i64 %loop.offset, {LOOPS}
  %loop = getelementptr i8, ptr %entry, i64 %loop.start
  %function = load ptr, ptr %loop
  %none = icmp eq ptr %function, null
  br i1 %none, label %refuse, label %loaded
loaded:
{field("data", "%loop", 8)}
{field("result.dtype", "%loop", 16)}
{field("size", "%loop", 24, "i64")}
{field("result.size", "%loop", 32, "i64")}
{field("source", "%array", ARRAY_DATA)}
  br i1 %unary, label %operands, label %binary
binary:
  br i1 %two, label %pair, label %scalar
scalar:
  %fits = call i1 @number(ptr %other, i64 %index, ptr %place)
  br i1 %fits, label %operands, label %refuse
pair:
  %array.2 = call ptr @array_of(ptr %other)
  %strange.2 = icmp eq ptr %array.2, null
  br i1 %strange.2, label %refuse, label %pair.typed
pair.typed:
{field("dtype.2", "%array.2", ARRAY_DTYPE)}
  %alike = icmp eq ptr %dtype, %dtype.2
  br i1 %alike, label %pair.shaped, label %refuse
pair.shaped:
  %shaped = call i1 @same_shape(ptr %array, ptr %array.2)
  br i1 %shaped, label %pair.fits, label %refuse
pair.fits:
{field("source.2", "%array.2", ARRAY_DATA)}
  br label %operands
operands:
  %second = phi ptr [null, %loaded], [%place, %scalar], [%source.2, %pair.fits]
  %second.step = phi i64 [0, %loaded], [0, %scalar], [%size, %pair.fits]
  %swapped = icmp ne ptr %main, %x
  %first.source = select i1 %swapped, ptr %second, ptr %source
  %first.step = select i1 %swapped, i64 %second.step, i64 %size
  %then.source = select i1 %swapped, ptr %source, ptr %second
  %then.step = select i1 %swapped, i64 %size, i64 %second.step
  %main.history = call i1 @history(ptr %main)
  br i1 %two, label %history.2, label %history.1
history.2:
  %other.history = call i1 @history(ptr %other)
  br label %history.1
history.1:
  %also = phi i1 [0, %operands], [%other.history, %history.2]
  %has.history = or i1 %main.history, %also
  %to.other = icmp ne ptr %result.dtype, %dtype
  %discrete = icmp sgt i64 %index, 1
  %no.gradient = or i1 %to.other, %discrete
  %carries = xor i1 %no.gradient, 1
  %might = and i1 %has.history, %carries
  br i1 %might, label %ask, label %compute
ask:
  %enabled = call i32 @recording()
  switch i32 %enabled, label %error [i32 0, label %compute
                                     i32 1, label %recorded]
recorded:
{field("differentiable", "%entry", DIFFERENTIABLE, "i64")}
  %has.rule = icmp ne i64 %differentiable, 0
  br i1 %has.rule, label %compute, label %refuse
compute:
  %record = phi i1 [0, %history.1], [0, %ask], [1, %recorded]
{field("rank", "%array", ARRAY_NDIM, "i32")}
{field("dims", "%array", ARRAY_DIMS)}
  call void @incref(ptr %result.dtype)
  %result = call ptr @PyArray_NewFromDescr(
    ptr @PyArray_Type, ptr %result.dtype, i32 %rank, ptr %dims, ptr null, ptr null, i32 0, ptr null)
  %no.memory = icmp eq ptr %result, null
  br i1 %no.memory, label %error, label %call
call:
{field("target", "%result", ARRAY_DATA)}
  %args.1 = getelementptr ptr, ptr %args, i64 1
  %args.2 = getelementptr ptr, ptr %args, i64 2
  %steps.1 = getelementptr i64, ptr %steps, i64 1
  %steps.2 = getelementptr i64, ptr %steps, i64 2
  %second.arg = select i1 %unary, ptr %target, ptr %then.source
  %second.step.2 = select i1 %unary, i64 %result.size, i64 %then.step
  store ptr %first.source, ptr %args
  store ptr %second.arg, ptr %args.1
  store ptr %target, ptr %args.2
  store i64 %first.step, ptr %steps
  store i64 %second.step.2, ptr %steps.1
  store i64 %result.size, ptr %steps.2
  store i64 %n, ptr %count
  call void %function(ptr %args, ptr %count, ptr %steps, ptr %data)
  %main.type = call ptr @get(ptr %main, i64 {slot("_type")})
  %same.dtype = icmp eq ptr %result.dtype, %dtype
  br i1 %same.dtype, label %its.type, label %new.type
its.type:
  call void @incref(ptr %main.type)
  br label %wrap
new.type:
  %made.type = call ptr @result_type(ptr %entry, ptr %result, ptr %main.type, ptr %dtype)
  %no.type = icmp eq ptr %made.type, null
  br i1 %no.type, label %error, label %wrap
wrap:
  %type = phi ptr [%main.type, %its.type], [%made.type, %new.type]
  %out = call ptr @new_tensor(ptr %result, ptr %type)
  %no.out = icmp eq ptr %out, null
  br i1 %no.out, label %error, label %made
made:
  br i1 %record, label %keep, label %done
keep:
  %status = call i32 @record(ptr %entry, ptr %x, ptr %y, ptr %out)
  %kept = icmp eq i32 %status, 0
  br i1 %kept, label %done, label %error
done:
  ret ptr %out
refuse:
  ret ptr @NotImplemented
error:
  ret ptr null
}}
"""


def _wrappers(entries: dict[str, int]) -> str:
    """``slot_NAME`` for each entry with an operator, ``compare`` and ``call``."""
    texts = []
    for name, offset in entries.items():
        texts.append(f"""
define ptr @slot_{name}(ptr %x, ptr %y) {{
  %entry = getelementptr i8, ptr @entries, i64 {offset}
  %result = tail call ptr @run(ptr %entry, ptr %x, ptr %y)
  %refused = icmp eq ptr %result, @NotImplemented
  br i1 %refused, label %twin, label %done
twin:
  %answer = tail call ptr @ask_twin(ptr %entry, ptr %x, ptr %y)
  ret ptr %answer
done:
  ret ptr %result
}}
""")
    return "".join(texts)


def text(operators: dict[str, int], entry_size: int, comparison: int) -> str:
    """The module.  ``operators``: byte offsets of the entries that are operators of `Tensor`; ``comparison``: that of
    the first of the six comparisons, which stand in the order of ``Py_LT`` to ``Py_GE``."""
    objects = "\n".join(f"@{name} = external global i8" for name in (*OBJECTS, "entries"))
    return f"""
{objects}
{native_checks.text()}{native_results.text()}{_run()}
define internal ptr @ask_twin(ptr %entry, ptr %x, ptr %y) noinline {{
{field("twin", "%entry", TWIN)}
{field("arity", "%entry", ARITY, "i64")}
  %args = alloca [2 x ptr]
  %args.1 = getelementptr ptr, ptr %args, i64 1
  store ptr %x, ptr %args
  store ptr %y, ptr %args.1
  %answer = call ptr @refuse(ptr %twin, ptr %args, i64 %arity)
  ret ptr %answer
}}
{_wrappers(operators)}
define ptr @compare(ptr %x, ptr %y, i32 %which) {{
  %wide = sext i32 %which to i64
  %offset = mul i64 %wide, {entry_size}
  %start = add i64 %offset, {comparison}
  %entry = getelementptr i8, ptr @entries, i64 %start
  %result = call ptr @run(ptr %entry, ptr %x, ptr %y)
  %refused = icmp eq ptr %result, @NotImplemented
  br i1 %refused, label %twin, label %done
twin:
  %answer = call ptr @ask_twin(ptr %entry, ptr %x, ptr %y)
  ret ptr %answer
done:
  ret ptr %result
}}
define ptr @call(ptr %op, ptr %args, ptr %keywords) {{
  %place = call ptr @get(ptr %op, i64 {slot_offset(Op, "entry")})
  %unset = icmp eq ptr %place, null
  br i1 %unset, label %twin, label %known
known:
  %positional = icmp eq ptr %keywords, null
  br i1 %positional, label %short, label %counted
counted:
  %given = call i64 @PyDict_Size(ptr %keywords)
  %none.given = icmp eq i64 %given, 0
  br i1 %none.given, label %short, label %twin
short:
  %address = call i64 @PyLong_AsLongLong(ptr %place)
  %entry = inttoptr i64 %address to ptr
{field("arity", "%entry", ARITY, "i64")}
{field("count", "%args", TUPLE_SIZE, "i64")}
  %fits = icmp eq i64 %arity, %count
  br i1 %fits, label %first, label %twin
first:
{field("x", "%args", TUPLE_ITEMS)}
  %binary = icmp eq i64 %arity, 2
  br i1 %binary, label %second, label %run
second:
{field("y", "%args", TUPLE_ITEMS + 8)}
  br label %run
run:
  %operand = phi ptr [%y, %second], [null, %first]
  %result = call ptr @run(ptr %entry, ptr %x, ptr %operand)
  %refused = icmp eq ptr %result, @NotImplemented
  br i1 %refused, label %twin, label %done
done:
  ret ptr %result
twin:
  %bound = call ptr @PyMethod_New(ptr @op_twin, ptr %op)
  %failed = icmp eq ptr %bound, null
  br i1 %failed, label %no, label %ask
ask:
  %answer = call ptr @PyObject_Call(ptr %bound, ptr %args, ptr %keywords)
  call void @decref(ptr %bound)
  ret ptr %answer
no:
  ret ptr null
}}
"""
