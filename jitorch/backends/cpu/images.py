"""Objects linked in Python: loading a program that is on the disk then needs no LLVM, whose import takes 25 ms.

`link` joins object files to an `Image`: bytes that may be kept on disk, with no address in them, and a list of what
must be filled in; a `Mapping` is an image in memory.  Both know ELF for x86-64 and the few relocations that our code
has; anything else is `Unlinkable`, and LLVM's own linker does it (`jitorch.backends.cpu.native`).

An image is code and read-only data first, then one word for each symbol from outside with the jumps through them, then,
on pages of its own, what can be written.  Memory is never writable and executable at once.

Source: System V ABI, AMD64 supplement, chapter 4 (object files).
"""

from __future__ import annotations

import ctypes
import functools
import marshal
import mmap
import os
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

VERSION = 1
"""Of what `link` makes."""

_MACHINE = 62  # x86-64
_SYMBOLS, _RELOCATIONS, _EMPTY, _GROUP = 2, 4, 8, 17  # types of sections
_WRITE, _LOADED, _THREAD = 1, 2, 0x400  # flags of sections
_LOCAL, _WEAK = 0, 2  # bindings of symbols
_ABSENT, _SPECIAL = 0, 0xFF00  # numbers of sections
_ABSOLUTE, _RELATIVE, _CALL = 1, 2, 4  # relocations: R_X86_64_64, PC32, PLT32
_WORD_OF = (9, 41, 42)  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX
_JUMP = b"\xff\x25"  # jmp [rip + displacement]
_SECTION, _SYMBOL, _RELOCATION = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ"), struct.Struct("<QQq")


class Unlinkable(Exception):
    """Objects, or a platform, that this linker does not know; the message says why."""


@dataclass(frozen=True)
class Image:
    """Linked objects.

    ``code`` and ``data`` are the bytes of the two parts, the second at offset ``start``.  ``words``: offset and name of
    each word that takes the address of a symbol from outside.  ``places``: offsets of words that take an address
    within the image, and its offset.  ``symbols``: the offsets of what the objects define.
    """

    code: bytes
    data: bytes
    start: int
    words: tuple[tuple[int, str], ...]
    places: tuple[tuple[int, int], ...]
    symbols: dict[str, int]

    def to_bytes(self) -> bytes:
        return marshal.dumps((self.code, self.data, self.start, self.words, self.places, self.symbols))

    @classmethod
    def from_bytes(cls, data: bytes) -> Image:
        return cls(*marshal.loads(data))


@dataclass
class _Part:
    """Bytes that sections are put into."""

    content: bytearray = field(default_factory=bytearray)

    def put(self, content: bytes | bytearray, alignment: int) -> int:
        """Append at a multiple of ``alignment``; gives the offset."""
        self.content += bytes(-len(self.content) % max(1, alignment))
        offset = len(self.content)
        self.content += content
        return offset


@dataclass
class _Object:
    """One object file: the place of each of its sections (part and offset), its symbols, its relocations."""

    places: dict[int, tuple[bool, int]]
    symbols: list[tuple[str, int, int, int]]  # name, binding, section, value
    relocations: list[tuple[int, bytes]]  # the section they are for, and their table


@functools.cache
def is_supported() -> bool:
    """Whether images can be loaded on this platform."""
    return sys.platform == "linux" and sys.maxsize > 2**32 and os.uname().machine == "x86_64"


def link(objects: Sequence[bytes]) -> Image:
    """Join object files.  Raises `Unlinkable`."""
    try:
        return _link(objects)
    except (struct.error, LookupError, ValueError) as error:
        raise Unlinkable(f"a damaged object file: {error}") from error


def _link(objects: Sequence[bytes]) -> Image:
    code, data = _Part(), _Part()
    read = [_read(content, code, data) for content in objects]
    linker = _Linker(code, data)
    for item in read:
        linker.define(item)
    outside = [item for item in read for item in _undefined(item, linker.defined)]
    linker.add_words(dict.fromkeys(outside))
    for item in read:
        linker.relocate(item)
    return linker.image()


def _read(content: bytes, code: _Part, data: _Part) -> _Object:
    if content[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", content, 16) != (1, _MACHINE):
        raise Unlinkable("not an object file for x86-64")
    (table,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    sections = [_SECTION.unpack_from(content, table + i * size) for i in range(count)]
    found = _Object({}, [], [])
    for number, (_, kind, flags, _, offset, length, link_, info, alignment, _) in enumerate(sections):
        body = bytes(length) if kind == _EMPTY else content[offset : offset + length]
        if kind == _GROUP or flags & _THREAD:
            raise Unlinkable("a section that is shared, or of a thread's own")
        if kind == _SYMBOLS:
            found.symbols = _symbols(body, content, sections[link_][4])
        elif kind == _RELOCATIONS:
            found.relocations.append((info, body))
        elif flags & _LOADED:
            written = bool(flags & _WRITE)
            found.places[number] = written, (data if written else code).put(body, alignment)
    return found


def _symbols(table: bytes, content: bytes, names: int) -> list[tuple[str, int, int, int]]:
    found = []
    for name, info, _, section, value, _ in _SYMBOL.iter_unpack(table):
        end = content.index(b"\0", names + name)
        if _SPECIAL <= section < 0xFFF1 or section > 0xFFF1:
            raise Unlinkable("a common symbol")
        found.append((content[names + name : end].decode(), info >> 4, section, value))
    return found


def _undefined(item: _Object, defined: dict[str, tuple[bool, int]]) -> Iterable[str]:
    return (name for name, _, section, _ in item.symbols if section == _ABSENT and name and name not in defined)


class _Linker:
    def __init__(self, code: _Part, data: _Part):
        self.code, self.data = code, data
        self.defined: dict[str, tuple[bool, int]] = {}
        self._weak: set[str] = set()
        self._words: dict[str, int] = {}
        self._jumps: dict[str, int] = {}
        self._outside: list[tuple[int, str]] = []
        self._places: list[tuple[int, int]] = []
        self._start = 0

    def define(self, item: _Object) -> None:
        """Take over what an object defines for all."""
        for name, binding, section, value in item.symbols:
            if binding == _LOCAL or section not in item.places:
                continue
            if name in self.defined and (binding == _WEAK or name not in self._weak):
                if binding != _WEAK:
                    raise Unlinkable(f"{name} is defined twice")
                continue
            written, offset = item.places[section]
            self.defined[name] = written, offset + value
            (self._weak.add if binding == _WEAK else self._weak.discard)(name)

    def add_words(self, names: Iterable[str]) -> None:
        """Make a word and a jump for each symbol from outside; then the sizes of both parts are known."""
        for name in names:
            word = self._words[name] = self.code.put(bytes(8), 8)
            self._outside.append((word, name))
        for name, word in self._words.items():
            at = self.code.put(bytes(6), 2)
            self.code.content[at : at + 6] = _JUMP + struct.pack("<i", word - (at + 6))
            self._jumps[name] = at
        # Words for symbols of our own come behind, as relocations ask for them: there is one at most for each.
        self._start = -(-(len(self.code.content) + 8 * len(self.defined)) // mmap.PAGESIZE) * mmap.PAGESIZE

    def _offset(self, place: tuple[bool, int]) -> int:
        written, offset = place
        return self._start + offset if written else offset

    def relocate(self, item: _Object) -> None:
        """Fill in the addresses of one object."""
        for section, table in item.relocations:
            if section not in item.places:
                continue  # debug information, which is not loaded
            written, base = item.places[section]
            part = self.data if written else self.code
            for offset, info, addend in _RELOCATION.iter_unpack(table):
                self._relocate(item, part, base + offset, self._offset((written, base + offset)), info, addend)

    def _relocate(self, item: _Object, part: _Part, at: int, address: int, info: int, addend: int) -> None:
        name, binding, section, value = item.symbols[info >> 32]
        kind = info & 0xFFFFFFFF
        target = self._target(item, name, binding, section, value)
        if kind == _ABSOLUTE:
            if target is None:
                raise Unlinkable(f"the address of {name}, which is outside, in data")
            self._places.append((address, target + addend))
            return
        if kind in _WORD_OF:
            target = self._word(name, target)
        elif target is None and kind == _CALL:
            target = self._jumps[name]
        elif target is None or kind not in (_RELATIVE, _CALL):
            raise Unlinkable(f"relocation {kind} for {name or 'a section'}")
        struct.pack_into("<i", part.content, at, target + addend - address)

    def _target(self, item: _Object, name: str, binding: int, section: int, value: int) -> int | None:
        """The offset of a symbol; None for one from outside."""
        if binding == _LOCAL:
            if section not in item.places:
                raise Unlinkable("a symbol of a section that is not loaded")
            written, offset = item.places[section]
            return self._offset((written, offset + value))
        place = self.defined.get(name)
        return None if place is None else self._offset(place)

    def _word(self, name: str, target: int | None) -> int:
        """The word that holds the address of a symbol."""
        word = self._words.get(name)
        if word is None:
            if target is None:
                raise Unlinkable(f"{name} is nowhere")
            word = self._words[name] = self.code.put(bytes(8), 8)
            self._places.append((word, target))
        return word

    def image(self) -> Image:
        if len(self.code.content) > self._start:
            raise Unlinkable("words of local symbols do not fit")
        symbols = {name: self._offset(place) for name, place in self.defined.items()}
        return Image(
            bytes(self.code.content), bytes(self.data.content), self._start, tuple(self._outside), tuple(self._places),
            symbols,
        )  # fmt: skip


class Mapping:
    """An image in memory; it stays there as long as this object."""

    def __init__(self, image: Image, address_of: Callable[[str], int]):
        """``address_of`` gives the addresses of symbols from outside.  Raises `Unlinkable` if the system says no."""
        self.memory = mmap.mmap(-1, image.start + max(1, len(image.data)), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory = self.memory
        self._view: Any = ctypes.c_char.from_buffer(memory)
        self.address = ctypes.addressof(self._view)
        memory[: len(image.code)] = image.code
        memory[image.start : image.start + len(image.data)] = image.data
        for offset, name in image.words:
            struct.pack_into("<Q", memory, offset, address_of(name))
        for offset, target in image.places:
            struct.pack_into("<Q", memory, offset, self.address + target)
        self.symbols = {name: self.address + offset for name, offset in image.symbols.items()}
        if _protect()(self.address, image.start, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
            raise Unlinkable("the system lets no memory become executable")


@functools.cache
def _protect() -> Any:
    function = ctypes.CDLL(None).mprotect
    function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    return function
