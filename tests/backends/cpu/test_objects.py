from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import jitorch
from jitorch.backends.cpu import codegen, llvm, native, objects
from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.program import Launch, Program

SUM = "define i64 @{0}(i64 %x) {{\n  %r = add i64 %x, {1}\n  ret i64 %r\n}}\n"


HOST = "define void @host() {\n  ret void\n}\n"


def compile_all(texts: dict[str, str], nodes: int = 0) -> dict[str, bytes]:
    with objects.Compiler(2, nodes) as compiler:
        for symbol, text in texts.items():
            compiler.add(symbol, text)
        *found, host = compiler.finish(HOST)
    assert host == native.compile_text(HOST, opt=1)
    return dict(zip(texts, found, strict=True))


def sums(first: int) -> dict[str, str]:
    """Modules that no cache has; more than one process compiles."""
    return {f"f{i}": SUM.format(f"f{i}", i) for i in range(first, first + 2 * objects.WORKER_PAYS)}


def adds(amount: int, kernel: str, source: str, target: str) -> k.Kernel:
    x, out, i = k.Buffer(source, jitorch.int64), k.Buffer(target, jitorch.int64), k.Var("i")
    body = (k.For(i, k.const(4), (k.Store(out, i, k.Load(x, i) + amount),)),)
    return k.Kernel(kernel, (x, out), (), body)


def test_equal_kernels_are_compiled_once() -> None:
    a, b, c = (k.Buffer(name, jitorch.int64) for name in "abc")
    kernels = adds(1, "first", "a", "b"), adds(1, "second", "b", "c"), adds(2, "third", "b", "c")
    launches = tuple(Launch(kernel, kernel.params) for kernel in kernels)
    modules = llvm.modules(Program("p", (a,), (b, c), (), launches))
    assert sorted(modules.names.values()) == [["first", "second"], ["third"]]
    assert len(modules.kernels) == 2
    assert "; first, second\n" in str(modules)


def test_all_layers_share_their_kernels() -> None:
    def layers(x: jitorch.Tensor) -> jitorch.Tensor:
        for _ in range(5):
            x = (x @ x).tanh()
        return x

    jitted = jitorch.jit(layers)
    x = jitorch.ones(3, 3) / 4
    assert jitorch.allclose(jitted(x), layers(x))
    assert jitted.sources()["llvm"].count("define void @kernel.") <= 3


def test_a_kernel_is_found_in_the_cache_of_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = adds(77, "once", "a", "b")
    a, b = (k.Buffer(name, jitorch.int64) for name in "ab")
    programs = [Program(name, (a,), (b,), (), (Launch(kernel, kernel.params),)) for name in ("one", "two")]
    objects.compile_modules(llvm.modules(programs[0]), 2)
    compiled: list[str] = []
    compile_text = native.compile_text
    monkeypatch.setattr(native, "compile_text", lambda text, **kw: compiled.append(text) or compile_text(text, **kw))
    data = objects.compile_modules(llvm.modules(programs[1]), 2)
    assert len(compiled) == 1 and "@jitorch_two" in compiled[0]
    function = native.load_objects(data, "jitorch_two")
    x, y = np.arange(4), np.zeros(4, np.int64)
    pointers = np.array([x.ctypes.data, y.ctypes.data], np.int64)
    assert function(pointers.ctypes.data, 0, 0) == 0
    assert (y == x + 77).all()


@pytest.mark.parametrize("nodes", [0, 1000])
def test_workers_compile_what_this_process_would(nodes: int) -> None:
    texts = sums(1000 + nodes)
    assert compile_all(texts, nodes) == {symbol: native.compile_text(text) for symbol, text in texts.items()}


def test_without_workers_all_is_compiled_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert all(data.startswith(native._object_magic()) for data in compile_all(sums(4000), 1000).values())


def test_workers_that_die_leave_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codegen, "__file__", "nowhere.py")
    assert all(data.startswith(native._object_magic()) for data in compile_all(sums(5000), 1000).values())


def test_text_that_a_worker_refuses_is_an_error_here() -> None:
    with pytest.raises(CompilerBug, match="LLVM refuses the IR"):
        compile_all({**sums(6000), "f3": "define nonsense"})


def test_workers_end_when_lowering_fails() -> None:
    compiler = objects.Compiler(2, 1000)
    compiler.add("f", SUM.format("f", 7000))
    compiler.__exit__()
    assert all(worker._process is None or worker._process.returncode == 0 for worker in compiler._workers)


def test_each_module_is_compiled_once() -> None:
    with objects.Compiler(2) as compiler:
        for _ in range(2):
            compiler.add("f", SUM.format("f", 8000))
        assert len(compiler.finish(HOST)) == 2


def test_the_worker_answers_errors_and_objects() -> None:
    target = "\n".join([*objects._fields(native.host()), "2"]).encode()
    process = subprocess.Popen([sys.executable, "-P", codegen.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    with process:
        for text in ("define nonsense", SUM.format("f", 1)):
            codegen.write_block(process.stdin, target)
            codegen.write_block(process.stdin, text.encode())
        process.stdin.close()
        answers = [codegen.read_block(process.stdout) for _ in range(3)]
    refused, data, end = answers
    assert refused is not None and refused[1] and b"expected" in refused[0]
    assert data == (native.compile_text(SUM.format("f", 1)), False)
    assert end is None


@pytest.mark.parametrize("parts", [[], [b""], [b"a", b"", b"bcd" * 100]])
def test_packing_is_undone(parts: list[bytes]) -> None:
    assert objects.unpack(objects.pack(parts)) == parts


def test_a_cut_payload_is_refused() -> None:
    with pytest.raises(CompilerBug, match="ends too early"):
        objects.unpack(objects.pack([b"abc"])[:-1])
