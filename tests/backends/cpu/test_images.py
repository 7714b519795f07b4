from __future__ import annotations

import ctypes
import sys

import pytest

from jitorch.backends.cpu import images, native
from jitorch.errors import CompilerBug

pytestmark = pytest.mark.skipif(not images.is_supported(), reason="images are for Linux on x86-64")

TABLE = """
@numbers = internal constant [4 x double] [double 1.5, double 2.5, double 3.5, double 4.5]
@count = weak global i64 7
declare double @pow(double, double)
define double @entry(i64 %i, double %x) {
  %place = getelementptr [4 x double], ptr @numbers, i64 0, i64 %i
  %number = load double, ptr %place
  %power = call double @pow(double %number, double %x)
  ret double %power
}
"""
CALLER = """
@count = weak global i64 9
declare double @entry(i64, double)
define double @twice(i64 %i, double %x) {
  %old = load i64, ptr @count
  %new = add i64 %old, 1
  store i64 %new, ptr @count
  %a = call double @entry(i64 %i, double %x)
  %b = fadd double %a, %a
  ret double %b
}
"""
PICKED = """
define i64 @pick(i64 %i) {
  switch i64 %i, label %other [ i64 0, label %a
                                i64 1, label %b ]
a:
  ret i64 40
b:
  ret i64 30
other:
  ret i64 -1
}
@functions = constant [2 x ptr] [ptr @pick, ptr @first]
define i64 @first(i64 %i) {
  ret i64 5
}
define i64 @through(i64 %which, i64 %i) {
  %place = getelementptr [2 x ptr], ptr @functions, i64 0, i64 %which
  %function = load ptr, ptr %place
  %result = call i64 %function(i64 %i)
  ret i64 %result
}
"""
OUTSIDE = """
@elsewhere = external global i64
define i64 @read() {
  %value = load i64, ptr @elsewhere
  ret i64 %value
}
"""


def objects(*texts: str) -> list[bytes]:
    known = {"entry", "elsewhere"}
    return [native.compile_text(text, opt=1, imports=known) for text in texts]


def mapped(*texts: str, **outside: int) -> images.Mapping:
    image = images.Image.from_bytes(images.link(objects(*texts)).to_bytes())
    return images.Mapping(image, lambda name: outside.get(name) or native._symbol_address(name))


def function(mapping: images.Mapping, name: str, result: type, *parameters: type) -> ctypes._CFuncPtr:
    return ctypes.CFUNCTYPE(result, *parameters)(mapping.symbols[name])


def test_objects_call_each_other_and_the_c_library() -> None:
    mapping = mapped(CALLER, TABLE)
    twice = function(mapping, "twice", ctypes.c_double, ctypes.c_int64, ctypes.c_double)
    assert twice(1, 2.0) == 2 * 2.5**2
    assert twice(3, 0.5) == 2 * 4.5**0.5


def test_a_weak_symbol_is_one_word_that_can_be_written() -> None:
    mapping = mapped(CALLER, TABLE)
    count = ctypes.c_int64.from_address(mapping.symbols["count"])
    assert count.value == 9
    function(mapping, "twice", ctypes.c_double, ctypes.c_int64, ctypes.c_double)(0, 1.0)
    assert count.value == 10


def test_addresses_in_tables() -> None:
    mapping = mapped(PICKED)
    through = function(mapping, "through", ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    assert [through(0, i) for i in range(3)] == [40, 30, -1]
    assert through(1, 0) == 5


def test_the_address_of_what_is_outside() -> None:
    word = ctypes.c_int64(77)
    mapping = mapped(OUTSIDE, elsewhere=ctypes.addressof(word))
    assert function(mapping, "read", ctypes.c_int64)() == 77


def test_code_is_not_writable_and_data_is_not_executable() -> None:
    mapping = mapped(CALLER, TABLE)
    with open("/proc/self/maps", encoding="ascii") as file:
        spans = [(*(int(x, 16) for x in line.split()[0].split("-")), line.split()[1]) for line in file]

    def flags(name: str) -> list[str]:
        return [flags for low, high, flags in spans if low <= mapping.symbols[name] < high]

    assert (flags("entry"), flags("count")) == (["r-xp"], ["rw-p"])


def test_what_it_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(images.Unlinkable, match="not an object file"):
        images.link([b"\xcf\xfa\xed\xfe" + bytes(60)])
    with pytest.raises(images.Unlinkable, match="damaged"):
        images.link([objects(TABLE)[0][:200]])
    with pytest.raises(images.Unlinkable, match="entry is defined twice"):
        images.link(objects(TABLE, TABLE))


def test_llvm_links_what_images_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(objects: object) -> None:
        raise images.Unlinkable("anything")

    monkeypatch.setattr(images, "link", refuse)
    addresses, _library = native.load_symbols(objects(TABLE), ("entry",))
    entry = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, ctypes.c_double)(addresses["entry"])
    assert entry(0, 2.0) == 2.25


def test_a_symbol_that_is_nowhere_is_named() -> None:
    with pytest.raises(CompilerBug, match="elsewhere is nowhere"):
        native.load_symbols(objects(OUTSIDE), ("read",))
    with pytest.raises(CompilerBug, match="absent cannot be linked"):
        native.load_symbols(objects(TABLE), ("absent",))


def test_the_platform_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    images.is_supported.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not images.is_supported()
    monkeypatch.undo()
    images.is_supported.cache_clear()
    assert images.is_supported()
