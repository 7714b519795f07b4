"""CPython builtins out of LLVM IR: functions that Python calls without ctypes in between.

A module of IR text calls the exported C API of CPython and NumPy, and names every Python object it needs as an
external symbol; addresses are given to the linker when the object is loaded, so none stands in the text and
the object file can be kept on disk.  `load` compiles or finds it, `builtin` and `method` make callables of its
functions.

The layouts relied on are few: the type of an object, the items of a tuple, the head of a NumPy array
(`numpy/ndarraytypes.h`) and the offset of a slot (`__slots__`), which is read from the class.  `available` checks
each in this process and refuses interpreters without a GIL.  Every user has a twin in Python, which runs where it
is not available or where ``JITORCH_NATIVE=0`` is set.

None of this is ever unloaded: a callable made here may live as long as the process.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import sysconfig
from collections.abc import Callable, Mapping
from types import MemberDescriptorType
from typing import Any

import numpy as np

from jitorch import config
from jitorch.backends import cache
from jitorch.backends.cpu import native
from jitorch.errors import BackendError, CompilerBug, JitorchError

VERSIONS = ((3, 11), (3, 14))
"""The first and last CPython whose layouts are known."""

# Offsets in bytes, on 64-bit platforms.
OBJECT_TYPE = 8
TUPLE_SIZE, TUPLE_ITEMS = 16, 24
ARRAY_DATA, ARRAY_NDIM, ARRAY_DIMS, ARRAY_STRIDES, ARRAY_BASE, ARRAY_DTYPE, ARRAY_FLAGS = 16, 24, 32, 40, 48, 56, 64

# numpy/ndarraytypes.h
C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
PLAIN = C_CONTIGUOUS | ALIGNED
"""The flags of an array whose elements can be read one after the other."""

_FASTCALL, _KEYWORDS, _NO_ARGUMENTS, _ONE_ARGUMENT = 0x80, 0x02, 0x04, 0x08
_NUMPY_TABLE = {"PyArray_Type": 2, "PyArray_NewFromDescr": 94}

_CPYTHON = {
    "Py_IncRef": "void (ptr)",
    "Py_DecRef": "void (ptr)",
    "PyType_GenericAlloc": "ptr (ptr, i64)",
    "PyType_IsSubtype": "i32 (ptr, ptr)",
    "PyMethod_New": "ptr (ptr, ptr)",
    "PyTuple_New": "ptr (i64)",
    "PyObject_Vectorcall": "ptr (ptr, ptr, i64, ptr)",
    "PyObject_Call": "ptr (ptr, ptr, ptr)",
    "PyContextVar_Get": "i32 (ptr, ptr, ptr)",
    "PyDict_Size": "i64 (ptr)",
    "PyList_GetItem": "ptr (ptr, i64)",
    "PyIter_Next": "ptr (ptr)",
    "PyFloat_AsDouble": "double (ptr)",
    "PyFloat_FromDouble": "ptr (double)",
    "PyLong_AsLongLong": "i64 (ptr)",
    "PyLong_AsLongLongAndOverflow": "i64 (ptr, ptr)",
    "PyLong_FromLongLong": "ptr (i64)",
    "PyErr_SetObject": "void (ptr, ptr)",
    "PyErr_Occurred": "ptr ()",
    "PyEval_SaveThread": "ptr ()",
    "PyEval_RestoreThread": "void (ptr)",
}
_OBJECTS: dict[str, Any] = {
    "None": None, "True": True, "False": False, "NotImplemented": NotImplemented, "float": float, "int": int,
    "bool": bool, "tuple": tuple,
}  # fmt: skip
_NUMPY = {"PyArray_NewFromDescr": "ptr (ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)"}

_kept: list[Any] = []  # code, objects and method definitions that callables refer to


# -- whether --------------------------------------------------------------------------------------
def enabled() -> bool:
    """Whether callables of machine code are to be used: wanted by the settings, and possible here."""
    return config.current().native and available() is None


@functools.cache
def available() -> str | None:
    """None if callables can be made in this process, else why not."""
    if sys.implementation.name != "cpython" or not VERSIONS[0] <= sys.version_info[:2] <= VERSIONS[1]:
        return f"the object layout of {sys.implementation.name} {sys.version.split()[0]} is not known"
    if sysconfig.get_config_var("Py_GIL_DISABLED") or hasattr(sys, "getobjects"):
        return "this build of Python has no GIL, or traces references"
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        return "only 64-bit platforms are known"
    if not (_object_layout_fits() and _array_layout_fits()):
        return "objects of this Python or NumPy are laid out in another way"
    try:
        native.host()
    except BackendError as error:
        return str(error)
    return None


def _word(address: int) -> int:
    return ctypes.c_size_t.from_address(address).value


def _object_layout_fits() -> bool:
    pair = (object(), object())
    head = id(pair)
    items = [_word(head + TUPLE_ITEMS), _word(head + TUPLE_ITEMS + 8)]
    return _word(head + OBJECT_TYPE) == id(tuple) and _word(head + TUPLE_SIZE) == 2 and items == [*map(id, pair)]


def _array_layout_fits() -> bool:
    base = np.arange(60, dtype=np.float32)
    array = base[12:].reshape(4, 12)[:, :3]
    head, flags = id(array), PLAIN | WRITEABLE
    pairs = [tuple((ctypes.c_ssize_t * 2).from_address(_word(head + at))) for at in (ARRAY_DIMS, ARRAY_STRIDES)]
    return (
        _word(head + ARRAY_DATA) == array.ctypes.data
        and ctypes.c_int.from_address(head + ARRAY_NDIM).value == 2
        and pairs == [array.shape, array.strides]
        and array.base is not None
        and _word(head + ARRAY_BASE) == id(array.base)
        and _word(head + ARRAY_DTYPE) == id(array.dtype)
        and ctypes.c_int.from_address(head + ARRAY_FLAGS).value & flags == ALIGNED | WRITEABLE
        and ctypes.c_int.from_address(id(base) + ARRAY_FLAGS).value & flags == flags
        and _numpy_table()["PyArray_Type"] == id(np.ndarray)
    )


@functools.cache
def _numpy_table() -> dict[str, int]:
    """Addresses of NumPy's C API, which a capsule of its core module publishes."""
    core = sys.modules.get("numpy._core._multiarray_umath") or sys.modules["numpy.core._multiarray_umath"]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_size_t, [ctypes.py_object, ctypes.c_char_p]
    table = pointer(core._ARRAY_API, None)
    return {name: _word(table + 8 * index) for name, index in _NUMPY_TABLE.items()}


def slot_offset(cls: type, name: str) -> int:
    """Bytes from the start of an instance of ``cls`` to the slot ``name`` of its ``__slots__``.

    The slot holds a reference, or null while it was never set.
    """
    descriptor = cls.__dict__.get(name)
    if not isinstance(descriptor, MemberDescriptorType):
        raise CompilerBug(f"{cls.__name__}.{name} is no slot")
    # PyMemberDescrObject: head, type, name, qualified name, PyMemberDef *; that: char *name, int type, offset.
    member = _word(id(descriptor) + 40)
    offset = _word(member + 16)
    if ctypes.string_at(_word(member)) != name.encode() or not 16 <= offset < cls.__basicsize__:
        raise CompilerBug(f"the slot {name} of {cls.__name__} cannot be found", actual=offset)
    return offset


# -- text -----------------------------------------------------------------------------------------
def declarations() -> str:
    """What every module starts with.

    Functions of the C APIs, the objects ``@None @True @False @NotImplemented @float @int @bool @tuple``, and

        void @incref(ptr)  @decref(ptr)     references
        ptr  @type_of(ptr)                  borrowed
        ptr  @get(ptr object, i64 offset)   what a slot holds, borrowed; null if unset
        void @set(ptr, i64, ptr)            fill a slot of a new object with a reference of its own
        void @give(ptr, i64, ptr)           the same with the caller's reference
        ptr  @refuse(ptr callable, ptr args, i64 count)   call the twin in Python: what to do with other arguments
    """
    functions = [f"declare {_declared(name, type_)}" for name, type_ in {**_CPYTHON, **_NUMPY}.items()]
    objects = [f"@{name} = external global i8" for name in (*_OBJECTS, "PyArray_Type")]
    return "\n".join([*objects, *functions, _COUNTING_311 if sys.version_info < (3, 12) else _COUNTING, _HELPERS])


def _declared(name: str, type_: str) -> str:
    result, _, parameters = type_.partition(" ")
    return f"{result} @{name}{parameters}"


# From 3.12 on some objects are immortal, and the rule differs between versions.
_COUNTING = """
define internal void @incref(ptr %object) alwaysinline {
  call void @Py_IncRef(ptr %object)
  ret void
}
define internal void @decref(ptr %object) alwaysinline {
  call void @Py_DecRef(ptr %object)
  ret void
}
"""
_COUNTING_311 = """
declare void @_Py_Dealloc(ptr)
define internal void @incref(ptr %object) alwaysinline {
  %count = load i64, ptr %object
  %more = add i64 %count, 1
  store i64 %more, ptr %object
  ret void
}
define internal void @decref(ptr %object) alwaysinline {
  %count = load i64, ptr %object
  %less = sub i64 %count, 1
  store i64 %less, ptr %object
  %dead = icmp eq i64 %less, 0
  br i1 %dead, label %free, label %done
free:
  call void @_Py_Dealloc(ptr %object)
  br label %done
done:
  ret void
}
"""
_HELPERS = f"""
define internal ptr @type_of(ptr %object) alwaysinline {{
  %at = getelementptr i8, ptr %object, i64 {OBJECT_TYPE}
  %type = load ptr, ptr %at
  ret ptr %type
}}
define internal ptr @get(ptr %object, i64 %offset) alwaysinline {{
  %at = getelementptr i8, ptr %object, i64 %offset
  %value = load ptr, ptr %at
  ret ptr %value
}}
define internal void @set(ptr %object, i64 %offset, ptr %value) alwaysinline {{
  %at = getelementptr i8, ptr %object, i64 %offset
  call void @incref(ptr %value)
  store ptr %value, ptr %at
  ret void
}}
define internal void @give(ptr %object, i64 %offset, ptr %value) alwaysinline {{
  %at = getelementptr i8, ptr %object, i64 %offset
  store ptr %value, ptr %at
  ret void
}}
define internal ptr @refuse(ptr %callable, ptr %args, i64 %count) alwaysinline {{
  %result = call ptr @PyObject_Vectorcall(ptr %callable, ptr %args, i64 %count, ptr null)
  ret ptr %result
}}
"""


# -- loading --------------------------------------------------------------------------------------
def load(
    text: str,
    symbols: tuple[str, ...],
    objects: Mapping[str, Any] | None = None,
    addresses: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """The addresses of the functions ``symbols`` of a module: `declarations` and then ``text``.

    The text declares each of ``objects`` (Python objects by symbol, kept for good) as
    ``@name = external global i8`` and each of ``addresses`` as it likes.
    """
    reason = available()
    if reason is not None:
        raise BackendError("no builtin can be made here", actual=reason)
    module = declarations() + text
    imports = _imports()
    for name, value in (objects or {}).items():
        imports[name] = id(value)
    imports |= addresses or {}
    key = cache.key_of("extension", native.fingerprint(), module)
    data = cache.get(key)
    if data is None:
        # Little of it is loops; level 1 is made in half the time of level 2.
        data = native.compile_text(module, opt=1, imports=imports.keys())
        cache.put(key, data)
    found, code = native.load_symbols((data,), symbols, imports)
    _kept.extend((code, objects))
    return found


def _imports() -> dict[str, int]:
    names = [*_CPYTHON, *(["_Py_Dealloc"] if sys.version_info < (3, 12) else [])]
    table = {name: _address(name) for name in names}
    return {**table, **_numpy_table(), **{name: id(value) for name, value in _OBJECTS.items()}}


@functools.cache
def _address(name: str) -> int:
    """Where a function of CPython's C API is."""
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


class _MethodDefinition(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    ]  # fmt: skip


def _definition(name: str, address: int, flags: int, doc: str) -> int:
    definition = _MethodDefinition(name.encode(), address, flags, doc.encode())
    _kept.append(definition)
    return ctypes.addressof(definition)


def builtin(name: str, address: int, *, keywords: bool = False, doc: str = "") -> Callable[..., Any]:
    """A builtin function over ``ptr (ptr self, ptr args, i64 count)``; with ``keywords``, and ``ptr names`` besides.

    The function gets borrowed references and returns a new one, or null with an exception set.
    """
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return new(_definition(name, address, _FASTCALL | (_KEYWORDS if keywords else 0), doc), None, None)


def method(
    cls: type, name: str, address: int, *, arguments: int | None = None, keywords: bool = False, doc: str = ""
) -> Any:
    """A descriptor for ``cls.__dict__`` that binds as a function does.

    ``arguments`` 0 or 1: the machine code is ``ptr (ptr self, ptr argument)``, the argument null for 0;
    None: as for `builtin`.  ``self`` is an instance of ``cls`` or of a subclass.
    """
    flags = _FASTCALL | (_KEYWORDS if keywords else 0)
    if arguments is not None:
        flags = (_NO_ARGUMENTS, _ONE_ARGUMENT)[arguments]
    new = ctypes.pythonapi.PyDescr_NewMethod
    new.restype, new.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.c_void_p]
    return new(cls, _definition(name, address, flags, doc))


# In bytes from the start of a type object, or of the table at ``tp_as_number`` in it; and CPython's number of the slot.
_NUMBERS_TABLE = 96
_SLOTS = {
    "nb_add": (0, 7), "nb_subtract": (8, 36), "nb_multiply": (16, 29), "nb_negative": (48, 30), "nb_absolute": (64, 6),
    "nb_invert": (80, 27), "nb_and": (104, 8), "nb_xor": (112, 38), "nb_or": (120, 31), "nb_true_divide": (240, 37),
}  # fmt: skip
_TYPE_SLOTS = {"tp_call": (128, 50), "tp_richcompare": (200, 67)}


def fill_slots(cls: type, slots: Mapping[str, int]) -> None:
    """Let ``cls``, a class written in Python, do an operation by machine code, and not by looking up its method.

    The method stays what it was.  Subclasses look it up as before, and so does ``cls`` itself once somebody
    assigns it anew: Python then fills the slot again.  Either all of ``slots`` are filled or none: where a
    slot is not found to hold what Python says it does, `BackendError` is raised.
    """
    get = ctypes.pythonapi.PyType_GetSlot
    get.restype, get.argtypes = ctypes.c_size_t, [ctypes.py_object, ctypes.c_int]
    places: dict[int, int] = {}
    for name, address in slots.items():
        offset, number = _SLOTS[name] if name in _SLOTS else _TYPE_SLOTS[name]
        place = (_word(id(cls) + _NUMBERS_TABLE) if name in _SLOTS else id(cls)) + offset
        if _word(place) != get(cls, number) or not _word(place):
            raise BackendError(f"the slot {name} of {cls.__name__} is not where it was expected")
        places[place] = address
    for place, address in places.items():
        ctypes.c_size_t.from_address(place).value = address


def attempt(install: Callable[[], Any]) -> Any:
    """What ``install`` returns if builtins are enabled and it succeeds, else None: the twin then stays in use."""
    if not enabled():
        return None
    try:
        return install()
    except JitorchError:
        if config.current().verify:
            raise
        return None
