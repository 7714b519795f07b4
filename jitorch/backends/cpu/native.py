"""LLVM IR text -> object bytes -> a function that can be called.

Objects are relocatable files of the target, with no address in them, so they may be kept on disk
and loaded by another process, or linked into a library.  Loading goes through LLVM's ORC linker,
which reports a missing symbol as an error where MCJIT would end the process.

LLVM itself runs under one lock of llvmlite's: threads do not compile at the same time.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from jitorch import config
from jitorch.backends import cache
from jitorch.backends.cpu import codegen, images, processor
from jitorch.errors import BackendError, CompilerBug, ValueRangeError

ABI = 1  # of the exported functions; see `jitorch.backends.cpu.llvm`

IMAGE_PAYS = 6
"""Objects from which on it is quicker to read their image than to link them again: 30 us each."""

_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class NativeFunction(_PROTOTYPE):  # type: ignore[misc,valid-type]
    """A loaded program: ``code = function(args, scalars, arena)``, three addresses as int.

    It is itself the ctypes function, so there is no Python between a call and the code.  The GIL is
    released during a call.  The code lives as long as this object; it is immutable and may be called
    from several threads at once.
    """

    # ctypes looks for these three in the class itself.
    _flags_ = _PROTOTYPE._flags_  # type: ignore[attr-defined]
    _argtypes_ = _PROTOTYPE._argtypes_  # type: ignore[attr-defined]
    _restype_ = _PROTOTYPE._restype_  # type: ignore[attr-defined]

    symbol: str
    address: int
    library: Any  # what keeps the code loaded
    table: int  # the address of a table of its own, or 0


@dataclass(frozen=True, slots=True)
class Target:
    """What code is made for: LLVM's names of the platform, the processor and its features."""

    triple: str
    cpu: str
    features: str


def host() -> Target:
    """This machine, as far as code may use it: a lesser processor where the settings name one.

    Raises `ValueRangeError` for a name that is not known, or of a processor that has more than this one.
    """
    name = config.current().processor
    return _lesser(name) if name else _host()[0]


@functools.cache
def _lesser(name: str) -> Target:
    here = _host()[0]
    features = processor.LEVELS.get(name) if here.triple.startswith("x86_64") else None
    if features is None:
        known = ", ".join(processor.LEVELS)
        raise ValueRangeError("JITORCH_PROCESSOR: no such processor", expected=f"on x86-64: {known}", actual=name)
    missing = set(features.split(",")) - set(here.features.split(","))
    if missing:
        raise ValueRangeError("JITORCH_PROCESSOR: this machine lacks features of it", actual=", ".join(sorted(missing)))
    return Target(here.triple, name, features)


@functools.cache
def _host() -> tuple[Target, str]:
    """This machine, and the versions of llvmlite and LLVM: from the object cache, or else by asking LLVM.

    To import llvmlite takes longer than all else that a program needs which is in the cache.
    """
    identity = processor.identity()
    key = None if identity is None else cache.key_of("host", *identity)
    known = None if key is None else cache.get(key)
    if known is not None:
        triple, cpu, features, versions = known.decode().split("\n")
        return Target(triple, cpu, processor.tuned(cpu, features)), versions
    llvm = _llvm()
    target = Target(llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    major, minor, patch = llvm.llvm_version_info
    versions = f"llvmlite={sys.modules['llvmlite'].__version__} llvm={major}.{minor}.{patch}"
    if key is not None:
        cache.put(key, f"{target.triple}\n{target.cpu}\n{target.features}\n{versions}".encode())
    return replace(target, features=processor.tuned(target.cpu, target.features)), versions


def fingerprint(target: Target | None = None) -> str:
    """Everything besides the IR that object bytes depend on: part of a cache key."""
    target = target or host()
    versions = _host()[1]
    return f"cpu abi={ABI} {versions} triple={target.triple} cpu={target.cpu} features={target.features}"


def compile_text(
    text: str, *, opt: int = 2, target: Target | None = None, imports: Collection[str] = frozenset()
) -> bytes:
    """Compile a module to an object file.

    ``opt`` is LLVM's level, 0 to 3; loops are vectorised from 2 on.  Text that is not valid IR, or
    that calls a function that neither this process has nor ``imports`` names, raises `CompilerBug`.
    """
    if config.current().dumps("llvm"):
        print(text, file=sys.stderr)
    if config.current().dumps("assembly"):
        print(assembly(text, opt=opt, target=target), file=sys.stderr)
    with _optimised(text, opt, target) as (module, machine):
        if target is None:
            _check_symbols(module, text, imports)
        return bytes(machine.emit_object(module))


def assembly(text: str, *, opt: int = 2, target: Target | None = None) -> str:
    """The assembly that `compile_text` makes, to look at."""
    with _optimised(text, opt, target) as (module, machine):
        return str(machine.emit_assembly(module))


def optimised_text(text: str, *, opt: int = 2, target: Target | None = None) -> str:
    """The IR after LLVM's passes, to look at."""
    with _optimised(text, opt, target) as (module, _):
        return str(module)


def load_text(text: str, symbol: str, *, opt: int = 2) -> NativeFunction:
    """The function ``symbol`` of a module, from the object cache or else compiled and put there."""
    return load_object(cached_object(text, opt=opt), symbol)


def cached_object(text: str, *, opt: int = 2) -> bytes:
    """The object of a module, from the object cache or else compiled and put there."""
    key = cache.key_of("object", fingerprint(), str(opt), text)
    data = cache.get(key)
    if data is None:
        data = compile_text(text, opt=opt)
        cache.put(key, data)
    return data


def load_object(data: bytes, symbol: str) -> NativeFunction:
    """Load an object file of this machine and give its function ``symbol``.

    Raises `CompilerBug` if that is not there, or if the object needs a symbol this process does not have.
    """
    return load_objects((data,), symbol)


def load_objects(objects: Sequence[bytes], symbol: str, table: str | None = None) -> NativeFunction:
    """Link several object files, which may call each other, and give the function ``symbol``.

    ``table``: data of theirs whose address the function shall know.
    """
    return load_functions(objects, (symbol,), table)[0]


def load_functions(
    objects: Sequence[bytes], symbols: tuple[str, ...], table: str | None = None
) -> tuple[NativeFunction, ...]:
    """Several functions of the same object files, as `load_objects` gives one."""
    address, tracker = load_symbols(objects, symbols if table is None else (*symbols, table))
    functions: list[NativeFunction] = []
    for symbol in symbols:
        function = NativeFunction(address[symbol])
        function.symbol, function.address, function.library = symbol, address[symbol], tracker
        function.table = 0 if table is None else address[table]
        functions.append(function)
    return tuple(functions)


def fill_in(symbol: str, address: Callable[[], int]) -> None:
    """Let objects that define the pointer ``symbol`` find an address there; ``address`` is called for the first.

    So an object calls what only this process has without an address in its code, and can be linked elsewhere too.
    """
    _filled_in[symbol] = address


_filled_in: dict[str, Callable[[], int]] = {}


def load_symbols(
    objects: Sequence[bytes], symbols: tuple[str, ...], imports: Mapping[str, int] | None = None
) -> tuple[dict[str, int], object]:
    """The addresses of ``symbols`` in these objects, and what must be kept while they are used.

    ``imports``: addresses of what the objects need besides the symbols of this process.
    """
    if images.is_supported():
        try:
            return _load_image(_image(objects), symbols, imports or {})
        except images.Unlinkable:
            return _load_by_llvm(objects, symbols, imports)  # which knows more, or says what is wrong
    return _load_by_llvm(objects, symbols, imports)


def _image(objects: Sequence[bytes]) -> images.Image:
    """The image of linked objects; that of many is kept in the object cache."""
    if len(objects) < IMAGE_PAYS:
        return images.link(objects)
    key = cache.key_of("image", str(images.VERSION), *objects)
    data = cache.get(key)
    if data is not None:
        return images.Image.from_bytes(data)
    image = images.link(objects)
    cache.put(key, image.to_bytes())
    return image


def _load_image(
    image: images.Image, symbols: tuple[str, ...], imports: Mapping[str, int]
) -> tuple[dict[str, int], object]:
    def address_of(name: str) -> int:
        found = imports.get(name) or _symbol_address(name)
        if not found:
            raise CompilerBug(f"native code for {', '.join(symbols)} cannot be linked", actual=f"{name} is nowhere")
        return found

    missing = [symbol for symbol in symbols if symbol not in image.symbols]
    if missing:
        what = f"native code for {', '.join(symbols)} cannot be linked"
        raise CompilerBug(what, expected=missing, actual=sorted(image.symbols))
    mapping = images.Mapping(image, address_of)
    for name in _filled_in.keys() & mapping.symbols.keys():
        ctypes.c_void_p.from_address(mapping.symbols[name]).value = _filled_in[name]()
    return {symbol: mapping.symbols[symbol] for symbol in symbols}, mapping


@functools.cache
def _symbol_address(name: str) -> int:
    """The address of a function of the process or the C library; 0 where there is none."""
    function = getattr(_process(), name, None)
    if function is None:
        return _extra_symbols().get(name, 0)
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _load_by_llvm(
    objects: Sequence[bytes], symbols: tuple[str, ...], imports: Mapping[str, int] | None
) -> tuple[dict[str, int], object]:
    llvm = _llvm()
    builder = llvm.JITLibraryBuilder().add_current_process()
    for data in objects:
        if data[: len(_object_magic())] != _object_magic():
            raise CompilerBug("not an object file of this platform", expected=_object_magic(), actual=data[:8])
        builder.add_object_img(data)
    for name, address in {**_extra_symbols(), **(imports or {})}.items():
        builder.import_symbol(name, address)
    pointers = [name for name in _filled_in if any(name.encode() + b"\0" in data for data in objects)]
    for symbol in (*symbols, *pointers):
        builder.export_symbol(symbol)
    try:
        tracker = builder.link(_linker(), f"library{next(_numbers)}")
    except RuntimeError as error:
        raise CompilerBug(f"native code for {', '.join(symbols)} cannot be linked", actual=str(error)) from error
    for name in pointers:
        ctypes.c_void_p.from_address(tracker[name]).value = _filled_in[name]()
    return {symbol: tracker[symbol] for symbol in symbols}, tracker


@functools.cache
def _llvm() -> ModuleType:
    """llvmlite, imported when native code is first asked for."""
    try:
        return codegen.native_llvm()
    except (ImportError, OSError) as error:
        raise BackendError("the cpu backend needs llvmlite, which cannot be loaded", actual=str(error)) from error


def _machine(target: Target, opt: int) -> Any:
    if not 0 <= opt <= 3:
        raise CompilerBug("no such optimisation level", expected="0 to 3", actual=opt)
    _llvm()
    try:
        return codegen.machine(target.triple, target.cpu, target.features, opt)
    except RuntimeError as error:
        raise BackendError(f"LLVM has no target {target.triple}", actual=str(error)) from error


@contextmanager
def _optimised(text: str, opt: int, target: Target | None) -> Iterator[tuple[Any, Any]]:
    """The module after LLVM's passes, and its target machine."""
    chosen = target or host()
    _machine(chosen, opt)
    try:
        with codegen.optimised(text, chosen.triple, chosen.cpu, chosen.features, opt) as (module, machine):
            yield module, machine
    except CompilerBug:
        raise
    except RuntimeError as error:
        raise refused(text, str(error)) from None


def refused(text: str, message: str) -> CompilerBug:
    """The error for text that is not valid IR."""
    return CompilerBug("LLVM refuses the IR", actual=message.strip(), ir=text)


def _check_symbols(module: Any, text: str, imports: Collection[str]) -> None:
    missing = [
        function.name
        for function in module.functions
        if function.is_declaration
        and not function.name.startswith("llvm.")
        and function.name not in imports
        and not _has_symbol(function.name)
    ]
    if missing:
        raise CompilerBug("native code calls functions that this process does not have", actual=missing, ir=text)


def _has_symbol(name: str) -> bool:
    return name in _extra_symbols() or (_process() is not None and hasattr(_process(), name))


@functools.cache
def _process() -> ctypes.CDLL | None:
    """The symbols that the process exports; Windows has no such thing."""
    return ctypes.CDLL(None) if sys.platform != "win32" else None


@functools.cache
def _extra_symbols() -> dict[str, int]:
    """Functions of the C library that the process does not export: all on Windows, none where Python is linked
    with the mathematical library."""
    names = [*_C_FUNCTIONS, *WINDOWS_FUNCTIONS] if sys.platform == "win32" else _C_FUNCTIONS
    wanted = [name for name in names if not hasattr(_process(), name)]
    found: dict[str, int] = {}
    windows = ("ucrtbase", "vcruntime140", "kernelbase")
    for file in windows if sys.platform == "win32" else ("libm.so.6",) if wanted else ():
        try:
            library = ctypes.CDLL(file)
        except OSError:
            continue
        for name in wanted:
            if hasattr(library, name):
                found.setdefault(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0)
    return found


_FLOATING = (
    "pow atan2 exp expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh erf fmod floor ceil trunc "
    "rint fma"
).split()
WINDOWS_FUNCTIONS = (
    "CreateThread CloseHandle SwitchToThread WaitOnAddress WakeByAddressAll TlsAlloc TlsGetValue TlsSetValue"
).split()
"""What the thread pool calls there."""
_C_FUNCTIONS = [*_FLOATING, *(name + "f" for name in _FLOATING), "malloc", "free", "memcpy", "memmove", "memset"]

_numbers = itertools.count()
_linkers: list[Any] = []
_linkers_lock = threading.Lock()


def _linker() -> Any:
    """The one linker of the process.

    JITLink puts an object's sections next to each other, which the older RuntimeDyld does not
    promise and which code for aarch64 needs; for Windows it is not ready.
    """
    with _linkers_lock:
        if not _linkers:
            machine = _machine(host(), 2)
            use_jit_link = sys.platform != "win32"
            llvm = _llvm()
            _linkers.append(llvm.create_lljit_compiler(machine, use_jit_link=use_jit_link, suppress_errors=True))
        return _linkers[0]


@functools.cache
def _object_magic() -> bytes:
    """The first bytes of object files here."""
    if sys.platform == "darwin":
        return b"\xcf\xfa\xed\xfe"
    if sys.platform == "win32":
        return b"\x64\x86" if sys.maxsize > 2**32 else b"\x4c\x01"
    return b"\x7fELF"
