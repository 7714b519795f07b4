"""LLVM text that makes results: the tensor, and the node that records how it was made.

ptr @new_tensor(ptr array, ptr type)                  takes both references
i32 @record(ptr entry, ptr x, ptr y, ptr out)         0, or -1 with an exception set
"""

from __future__ import annotations

from jitorch.backends.cpu.extension import TUPLE_ITEMS, slot_offset
from jitorch.frontend.eager.native_layout import ARITY, OP, VJP, field, in_class, slot
from jitorch.frontend.eager.tape import ElementNode, GradNode
from jitorch.tensor import Storage, Tensor


def text() -> str:
    """The functions; they need those of `jitorch.frontend.eager.native_checks`."""
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
{in_class(Tensor, tensor, "%new")}
  ret ptr %new
failed:
  ret ptr null
}}
define internal ptr @edge(ptr %x) {{
  %is.tensor = call i1 @is_tensor(ptr %x)
  br i1 %is.tensor, label %tensor, label %nowhere
tensor:
  %node = call ptr @get(ptr %x, i64 {slot("_node")})
  %leaf = icmp eq ptr %node, @None
  br i1 %leaf, label %ask, label %inner
ask:
  %flag = call ptr @get(ptr %x, i64 {slot("_requires_grad")})
  %wanted = icmp eq ptr %flag, @True
  br i1 %wanted, label %itself, label %nowhere
itself:
  call void @incref(ptr %x)
  ret ptr %x
nowhere:
  call void @incref(ptr @None)
  ret ptr @None
inner:
  %output = call ptr @get(ptr %x, i64 {slot("_output")})
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
  %storage = call ptr @get(ptr %x, i64 {slot("_storage")})
  %version = call ptr @get(ptr %storage, i64 {slot_offset(Storage, "version")})
  ret ptr %version
number:
  ret ptr @zero
}}
define internal i32 @record(ptr %entry, ptr %x, ptr %y, ptr %out) {{
{field("op", "%entry", OP)}
{field("vjp", "%entry", VJP)}
{field("arity", "%entry", ARITY, "i64")}
  %array = call ptr @get(ptr %out, i64 {slot("_array")})
  %storage = call ptr @get(ptr %out, i64 {slot("_storage")})
  %type = call ptr @get(ptr %out, i64 {slot("_type")})
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
{in_class(ElementNode, node, "%node")}
  call void @give(ptr %out, i64 {slot("_node")}, ptr %node)
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
