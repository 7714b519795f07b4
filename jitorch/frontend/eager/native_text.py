"""The LLVM IR of the short way: an elementwise op on plain stored tensors, from Python's operator to its result.

An *entry* describes one op to this code (see `jitorch.frontend.eager.native`):

    ptr op, ptr vjp rule, ptr twin, i64 operands, i64 differentiable, ptr known type, ptr its result type,
    and for each dtype of the table: ptr NumPy's loop, ptr its data, ptr result dtype, i64 size, i64 result size

``@run(entry, x, y)`` gives the result, null with an exception set, or ``@NotImplemented`` (no reference) for
what is not plain: the caller then asks the twin in Python.  Only a failure to allocate leaves something behind.
"""

from __future__ import annotations

from jitorch.backends.cpu.extension import (
    ALIGNED,
    ARRAY_DATA,
    ARRAY_DIMS,
    ARRAY_DTYPE,
    ARRAY_FLAGS,
    ARRAY_NDIM,
    C_CONTIGUOUS,
    TUPLE_ITEMS,
    TUPLE_SIZE,
    slot_offset,
)  # fmt: skip
from jitorch.frontend.eager.tape import ElementNode, GradNode
from jitorch.ops.registry import Op
from jitorch.tensor import Storage, Tensor

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


def _field(name: str, entry: str, offset: int, type_: str = "ptr") -> str:
    return f"""  %{name}.at = getelementptr i8, ptr {entry}, i64 {offset}
  %{name} = load {type_}, ptr %{name}.at"""


def _slot(name: str) -> int:
    return slot_offset(Tensor, name)


def _in_class(cls: type, pairs: dict[str, tuple[str, str]], target: str) -> str:
    """Fill slots of a new object: ``give`` a reference or ``set`` one of its own."""
    lines = []
    for name, (how, value) in pairs.items():
        owner = next(c for c in cls.__mro__ if name in c.__dict__)
        lines.append(f"  call void @{how}(ptr {target}, i64 {slot_offset(owner, name)}, ptr {value})")
    return "\n".join(lines)


def _checks() -> str:
    """``@array_of``: the array of a plain tensor or null.  ``@length``, ``@dtype_index``, ``@history``."""
    contiguous = C_CONTIGUOUS | ALIGNED
    compare = [
        f"  %is{i} = icmp eq ptr %dtype, @dtype_{name}\n"
        f"  %index{i + 1} = select i1 %is{i}, i64 {i}, i64 {f'%index{i}' if i else -1}"
        for i, name in enumerate(DTYPE_NAMES)
    ]
    return f"""
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
  %array = call ptr @get(ptr %x, i64 {_slot("_array")})
  %unset = icmp eq ptr %array, null
  br i1 %unset, label %no, label %typed
typed:
  %type = call ptr @type_of(ptr %array)
  %exactly = icmp eq ptr %type, @PyArray_Type
  br i1 %exactly, label %layout, label %no
layout:
{_field("flags", "%array", ARRAY_FLAGS, "i32")}
  %both = and i32 %flags, {contiguous}
  %contiguous = icmp eq i32 %both, {contiguous}
  br i1 %contiguous, label %viewed, label %no
viewed:
  %base = call ptr @get(ptr %x, i64 {_slot("_base")})
  %free = icmp eq ptr %base, @None
  br i1 %free, label %yes, label %fresh
fresh:
  %mine = call ptr @get(ptr %x, i64 {_slot("_view_version")})
  %its = call ptr @get(ptr %base, i64 {_slot("_view_version")})
  %current = icmp eq ptr %mine, %its
  br i1 %current, label %yes, label %no
yes:
  ret ptr %array
no:
  ret ptr null
}}
define internal i64 @length(ptr %array) {{
{_field("rank", "%array", ARRAY_NDIM, "i32")}
  %deep = icmp ugt i32 %rank, {MAX_RANK}
  br i1 %deep, label %no, label %start
start:
{_field("dims", "%array", ARRAY_DIMS)}
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
{_field("rank", "%a", ARRAY_NDIM, "i32")}
{_field("rank.b", "%b", ARRAY_NDIM, "i32")}
  %equal = icmp eq i32 %rank, %rank.b
  br i1 %equal, label %start, label %no
start:
{_field("dims", "%a", ARRAY_DIMS)}
{_field("dims.b", "%b", ARRAY_DIMS)}
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
  %flag = call ptr @get(ptr %x, i64 {_slot("_requires_grad")})
  %leaf = icmp eq ptr %flag, @True
  %node = call ptr @get(ptr %x, i64 {_slot("_node")})
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


def _number() -> str:
    """``@number(x, dtype index, place)``: write the number ``x`` as an element; false if it must be promoted."""
    return """
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


def _construction() -> str:
    none = ("set", "@None")
    tensor = {
        "_array": ("give", "%array"), "_type": ("give", "%type"), "_storage": ("give", "%storage"), "_strides": none,
        "_root": none, "_base": none, "_steps": ("set", "@empty"), "_requires_grad": ("set", "@False"),
        "_retains_grad": ("set", "@False"), "_grad": none, "_node": none, "_output": ("set", "@zero"), "_hooks": none,
        "_view_version": ("set", "@zero"),
    }  # fmt: skip
    node = {
        "op": ("set", "%op"), "attrs": ("set", "@no_attrs"), "vjp": ("set", "%vjp"), "owner": ("set", "@inner"),
        "operands": ("give", "%operands"), "edges": ("give", "%edges"), "number": ("give", "%number"),
        "types": ("give", "%types"), "versions": ("give", "%versions"), "outputs": ("set", "@empty"), "_hooks": none,
        "_retained": none, "array": ("set", "%array"), "storage": ("set", "%storage"),
    }  # fmt: skip
    missing = ({*GradNode.__slots__, *ElementNode.__slots__} - {"__weakref__"}) ^ node.keys()
    if missing:
        raise AssertionError(f"a recorded node has other slots: {missing}")
    item = TUPLE_ITEMS
    return f"""
define internal ptr @new_tensor(ptr %array, ptr %type) {{
  %storage = call ptr @PyType_GenericAlloc(ptr @Storage, i64 0)
  %no.storage = icmp eq ptr %storage, null
  br i1 %no.storage, label %failed, label %stored
stored:
  call void @set(ptr %storage, i64 {slot_offset(Storage, "version")}, ptr @zero)
  %new = call ptr @PyType_GenericAlloc(ptr @Tensor, i64 0)
  %no.tensor = icmp eq ptr %new, null
  br i1 %no.tensor, label %failed, label %fill
fill:
{_in_class(Tensor, tensor, "%new")}
  ret ptr %new
failed:
  ret ptr null
}}
define internal ptr @edge(ptr %x) {{
  %is.tensor = call i1 @is_tensor(ptr %x)
  br i1 %is.tensor, label %tensor, label %nowhere
tensor:
  %node = call ptr @get(ptr %x, i64 {_slot("_node")})
  %leaf = icmp eq ptr %node, @None
  br i1 %leaf, label %ask, label %inner
ask:
  %flag = call ptr @get(ptr %x, i64 {_slot("_requires_grad")})
  %wanted = icmp eq ptr %flag, @True
  br i1 %wanted, label %itself, label %nowhere
itself:
  call void @incref(ptr %x)
  ret ptr %x
nowhere:
  call void @incref(ptr @None)
  ret ptr @None
inner:
  %output = call ptr @get(ptr %x, i64 {_slot("_output")})
  %pair = call ptr @PyTuple_New(i64 2)
  %failed = icmp eq ptr %pair, null
  br i1 %failed, label %no, label %fill
fill:
  call void @set(ptr %pair, i64 {item}, ptr %node)
  call void @set(ptr %pair, i64 {item + 8}, ptr %output)
  ret ptr %pair
no:
  ret ptr null
}}
define internal ptr @version_of(ptr %x) {{
  %is.tensor = call i1 @is_tensor(ptr %x)
  br i1 %is.tensor, label %tensor, label %number
tensor:
  %storage = call ptr @get(ptr %x, i64 {_slot("_storage")})
  %version = call ptr @get(ptr %storage, i64 {slot_offset(Storage, "version")})
  ret ptr %version
number:
  ret ptr @zero
}}
define internal i32 @record(ptr %entry, ptr %x, ptr %y, ptr %out) {{
{_field("op", "%entry", OP)}
{_field("vjp", "%entry", VJP)}
{_field("arity", "%entry", ARITY, "i64")}
  %array = call ptr @get(ptr %out, i64 {_slot("_array")})
  %storage = call ptr @get(ptr %out, i64 {_slot("_storage")})
  %type = call ptr @get(ptr %out, i64 {_slot("_type")})
  %node = call ptr @PyType_GenericAlloc(ptr @ElementNode, i64 0)
  %operands = call ptr @PyTuple_New(i64 %arity)
  %edges = call ptr @PyTuple_New(i64 %arity)
  %versions = call ptr @PyTuple_New(i64 %arity)
  %types = call ptr @PyTuple_New(i64 1)
  %number = call ptr @PyIter_Next(ptr @sequence)
  %edge.x = call ptr @edge(ptr %x)
{_all_made(["node", "operands", "edges", "versions", "types", "number", "edge.x"])}
made:
  %version.x = call ptr @version_of(ptr %x)
  call void @set(ptr %operands, i64 {item}, ptr %x)
  call void @give(ptr %edges, i64 {item}, ptr %edge.x)
  call void @set(ptr %versions, i64 {item}, ptr %version.x)
  call void @set(ptr %types, i64 {item}, ptr %type)
  %binary = icmp eq i64 %arity, 2
  br i1 %binary, label %second, label %fill
second:
  %version.y = call ptr @version_of(ptr %y)
  %edge.y = call ptr @edge(ptr %y)
  %no.edge = icmp eq ptr %edge.y, null
  br i1 %no.edge, label %failed, label %both
both:
  call void @set(ptr %operands, i64 {item + 8}, ptr %y)
  call void @give(ptr %edges, i64 {item + 8}, ptr %edge.y)
  call void @set(ptr %versions, i64 {item + 8}, ptr %version.y)
  br label %fill
fill:
{_in_class(ElementNode, node, "%node")}
  call void @give(ptr %out, i64 {_slot("_node")}, ptr %node)
  call void @decref(ptr @None)
  ret i32 0
failed:
  ret i32 -1
}}
"""


def _all_made(names: list[str]) -> str:
    """Branch to ``failed`` if one of the pointers is null, else to ``made``."""
    lines, last = [], "false"
    for name in names:
        lines.append(f"  %no.{name} = icmp eq ptr %{name}, null")
        lines.append(f"  %any.{name} = or i1 {last}, %no.{name}")
        last = f"%any.{name}"
    return "\n".join([*lines, f"  br i1 {last}, label %failed, label %made"])


def _run() -> str:
    return f"""
define internal ptr @result_type(ptr %entry, ptr %array, ptr %type, ptr %dtype) {{
  %args = alloca ptr
{_field("array.dtype", "%array", ARRAY_DTYPE)}
  %same = icmp eq ptr %array.dtype, %dtype
  br i1 %same, label %its, label %other
its:
  call void @incref(ptr %type)
  ret ptr %type
other:
{_field("known", "%entry", KNOWN_TYPE)}
  %hit = icmp eq ptr %known, %type
  br i1 %hit, label %cached, label %ask
cached:
{_field("answer", "%entry", RESULT_TYPE)}
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
{_field("arity", "%entry", ARITY, "i64")}
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
{_field("dtype", "%array", ARRAY_DTYPE)}
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
{_field("data", "%loop", 8)}
{_field("result.dtype", "%loop", 16)}
{_field("size", "%loop", 24, "i64")}
{_field("result.size", "%loop", 32, "i64")}
{_field("source", "%array", ARRAY_DATA)}
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
{_field("dtype.2", "%array.2", ARRAY_DTYPE)}
  %alike = icmp eq ptr %dtype, %dtype.2
  br i1 %alike, label %pair.shaped, label %refuse
pair.shaped:
  %shaped = call i1 @same_shape(ptr %array, ptr %array.2)
  br i1 %shaped, label %pair.fits, label %refuse
pair.fits:
{_field("source.2", "%array.2", ARRAY_DATA)}
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
{_field("differentiable", "%entry", DIFFERENTIABLE, "i64")}
  %has.rule = icmp ne i64 %differentiable, 0
  br i1 %has.rule, label %compute, label %refuse
compute:
  %record = phi i1 [0, %history.1], [0, %ask], [1, %recorded]
{_field("rank", "%array", ARRAY_NDIM, "i32")}
{_field("dims", "%array", ARRAY_DIMS)}
  call void @incref(ptr %result.dtype)
  %result = call ptr @PyArray_NewFromDescr(
    ptr @PyArray_Type, ptr %result.dtype, i32 %rank, ptr %dims, ptr null, ptr null, i32 0, ptr null)
  %no.memory = icmp eq ptr %result, null
  br i1 %no.memory, label %error, label %call
call:
{_field("target", "%result", ARRAY_DATA)}
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
  %main.type = call ptr @get(ptr %main, i64 {_slot("_type")})
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
{_checks()}{_number()}{_construction()}{_run()}
define internal ptr @ask_twin(ptr %entry, ptr %x, ptr %y) noinline {{
{_field("twin", "%entry", TWIN)}
{_field("arity", "%entry", ARITY, "i64")}
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
{_field("arity", "%entry", ARITY, "i64")}
{_field("count", "%args", TUPLE_SIZE, "i64")}
  %fits = icmp eq i64 %arity, %count
  br i1 %fits, label %first, label %twin
first:
{_field("x", "%args", TUPLE_ITEMS)}
  %binary = icmp eq i64 %arity, 2
  br i1 %binary, label %second, label %run
second:
{_field("y", "%args", TUPLE_ITEMS + 8)}
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
