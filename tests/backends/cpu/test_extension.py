from __future__ import annotations

import sys

import numpy as np
import pytest

from jitorch import config
from jitorch.backends.cpu import extension
from jitorch.errors import BackendError, CompilerBug

pytestmark = pytest.mark.skipif(extension.available() is not None, reason="no builtin can be made here")


class Slotted:
    __slots__ = ("__dict__", "__weakref__", "first", "second")


_TEXT = f"""
@Slotted = external global i8
@twin = external global i8
define ptr @nothing(ptr %self, ptr %args, i64 %count) {{
  call void @incref(ptr @None)
  ret ptr @None
}}
define ptr @count_of(ptr %self, ptr %args, i64 %count) {{
  %number = call ptr @PyLong_FromLongLong(i64 %count)
  ret ptr %number
}}
define ptr @make(ptr %self, ptr %args, i64 %count) {{
  %value = load ptr, ptr %args
  %new = call ptr @PyType_GenericAlloc(ptr @Slotted, i64 0)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %no, label %yes
yes:
  call void @set(ptr %new, i64 {extension.slot_offset(Slotted, "first")}, ptr %value)
  ret ptr %new
no:
  ret ptr null
}}
define ptr @second_of(ptr %self, ptr %nothing) {{
  %value = call ptr @get(ptr %self, i64 {extension.slot_offset(Slotted, "second")})
  %unset = icmp eq ptr %value, null
  br i1 %unset, label %no, label %yes
yes:
  call void @incref(ptr %value)
  ret ptr %value
no:
  call void @incref(ptr @NotImplemented)
  ret ptr @NotImplemented
}}
define ptr @via_twin(ptr %self, ptr %args, i64 %count) {{
  %result = call ptr @refuse(ptr @twin, ptr %args, i64 %count)
  ret ptr %result
}}
define ptr @new_array(ptr %self, ptr %args, i64 %count) {{
  %model = load ptr, ptr %args
  %dtype = call ptr @get(ptr %model, i64 {extension.ARRAY_DTYPE})
  %dims = call ptr @get(ptr %model, i64 {extension.ARRAY_DIMS})
  %at = getelementptr i8, ptr %model, i64 {extension.ARRAY_NDIM}
  %ndim = load i32, ptr %at
  call void @incref(ptr %dtype)
  %new = call ptr @PyArray_NewFromDescr(
    ptr @PyArray_Type, ptr %dtype, i32 %ndim, ptr %dims, ptr null, ptr null, i32 0, ptr null)
  ret ptr %new
}}
"""
_SYMBOLS = ("nothing", "count_of", "make", "second_of", "via_twin", "new_array")


def _twin(*args: object) -> object:
    if args == (0,):
        raise ZeroDivisionError("by the twin")
    return args


@pytest.fixture(scope="module")
def code() -> dict[str, int]:
    return extension.load(_TEXT, _SYMBOLS, {"Slotted": Slotted, "twin": _twin})


def test_a_builtin_takes_positional_arguments(code: dict[str, int]) -> None:
    count_of = extension.builtin("count_of", code["count_of"], doc="How many.")
    assert [count_of(), count_of(1), count_of(1, 2, 3)] == [0, 1, 3]
    assert count_of.__name__ == "count_of" and count_of.__doc__ == "How many."
    with pytest.raises(TypeError, match="no keyword arguments"):
        count_of(x=1)


def test_references_are_counted_exactly(code: dict[str, int]) -> None:
    make, nothing = extension.builtin("make", code["make"]), extension.builtin("nothing", code["nothing"])
    value = object()
    before = sys.getrefcount(value), sys.getrefcount(None)
    made = [make(value) for _ in range(1000)]
    assert all(m.first is value for m in made)
    assert sys.getrefcount(value) == before[0] + 1000
    del made
    assert sys.getrefcount(value) == before[0]
    for _ in range(1000):
        nothing()
    assert sys.getrefcount(None) <= before[1] + 10


def test_an_instance_made_natively_is_an_ordinary_one(code: dict[str, int]) -> None:
    made = extension.builtin("make", code["make"])(3)
    assert type(made) is Slotted and made.first == 3
    with pytest.raises(AttributeError):
        made.second
    made.second, made.other = 4, 5
    assert (made.second, made.__dict__) == (4, {"other": 5})


def test_a_method_binds(code: dict[str, int]) -> None:
    class Derived(Slotted):
        __slots__ = ()

    Slotted.read = extension.method(Slotted, "read", code["second_of"], arguments=0)  # type: ignore[attr-defined]
    for cls in (Slotted, Derived):
        instance = cls()
        assert instance.read() is NotImplemented  # type: ignore[attr-defined]
        instance.second = "here"
        bound = instance.read  # type: ignore[attr-defined]
        assert bound() == "here"
    with pytest.raises(TypeError, match="Slotted"):
        Slotted.read(3)  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="no arguments"):
        Slotted().read(3)  # type: ignore[attr-defined]


def test_the_twin_is_called_and_its_exception_arrives(code: dict[str, int]) -> None:
    via_twin = extension.builtin("via_twin", code["via_twin"])
    assert via_twin(1, "x") == (1, "x")
    with pytest.raises(ZeroDivisionError, match="by the twin"):
        via_twin(0)


def test_arrays_are_made_by_numpy(code: dict[str, int]) -> None:
    new_array = extension.builtin("new_array", code["new_array"])
    model = np.ones((2, 3), np.float32)
    before = sys.getrefcount(model.dtype)
    made = new_array(model)
    assert made.shape == (2, 3) and made.dtype == np.float32 and made.flags.c_contiguous and made.flags.owndata
    del made
    assert abs(sys.getrefcount(model.dtype) - before) <= 1


def test_the_object_is_kept_on_disk(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    with config.override(cache=True, cache_dir=tmp_path):
        extension.load(_TEXT, _SYMBOLS, {"Slotted": Slotted, "twin": _twin})
        monkeypatch.setattr(extension.native, "compile_text", None)
        again = extension.load(_TEXT, _SYMBOLS, {"Slotted": Slotted, "twin": _twin})
    assert extension.builtin("count_of", again["count_of"])(1, 2) == 2


def test_what_is_no_slot_is_refused() -> None:
    with pytest.raises(CompilerBug, match="no slot"):
        extension.slot_offset(Slotted, "third")
    with pytest.raises(CompilerBug, match="no slot"):
        extension.slot_offset(Slotted, "__dict__")


def test_an_unknown_symbol_is_reported() -> None:
    with pytest.raises(CompilerBug, match="does not have"):
        extension.load(
            "declare void @no_such_function()\ndefine void @f() {\n  call void @no_such_function()\n  ret void\n}", ()
        )


def test_the_setting_switches_it_off() -> None:
    with config.override(native=True):
        assert extension.attempt(lambda: 1) == 1
    with config.override(native=False):
        assert not extension.enabled() and extension.attempt(lambda: 1) is None


def test_a_failure_leaves_the_twin() -> None:
    def fail() -> None:
        raise BackendError("no")

    with config.override(native=True, verify=False):
        assert extension.attempt(fail) is None
    with config.override(native=True, verify=True), pytest.raises(BackendError):
        extension.attempt(fail)
