from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from jitorch import config, dtypes
from jitorch.backends.cpu import llvm, native
from jitorch.backends.cpu.host import entry_symbol
from jitorch.errors import BackendError, CompilerBug
from jitorch.ir.kernel import Assign, Buffer, Call, For, Kernel, Load, Local, Store, Var, call, const
from jitorch.ir.program import Alloc, Launch, Program

F32 = dtypes.float32

SUM = """\
define i32 @sum(ptr %args, ptr %scalars, ptr %arena) {
  %a = load i32, ptr %args
  %b = load i32, ptr %scalars
  %c = add i32 %a, %b
  ret i32 %c
}
"""


def call_sum(function: native.NativeFunction, a: int, b: int) -> int:
    x, y = np.array([a], np.int32), np.array([b], np.int32)
    return function(x.ctypes.data, y.ctypes.data, None)


@pytest.mark.parametrize("opt", [0, 1, 2, 3])
def test_text_becomes_a_function(opt: int) -> None:
    function = native.load_object(native.compile_text(SUM, opt=opt), "sum")
    assert call_sum(function, 3, 4) == 7
    assert function.symbol == "sum"
    assert function.address == ctypes.cast(function, ctypes.c_void_p).value


def test_objects_are_the_same_bytes_each_time() -> None:
    assert native.compile_text(SUM) == native.compile_text(SUM)


def test_the_code_outlives_everything_but_the_function() -> None:
    functions = [native.load_object(native.compile_text(SUM), "sum") for _ in range(20)]
    kept = functions[7]
    del functions
    gc.collect()
    assert call_sum(kept, 20, 22) == 42


def test_objects_are_loaded_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "sum.o"
    path.write_bytes(native.compile_text(SUM))
    script = (
        "import sys, numpy as np\n"
        "from jitorch.backends.cpu import native\n"
        "x = np.array([40, 2], np.int32)\n"
        "function = native.load_object(open(sys.argv[1], 'rb').read(), 'sum')\n"
        "print(function(x.ctypes.data, x.ctypes.data + 4, None))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "42"
    assert done.stderr == ""


def test_compiled_text_is_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with config.override(cache_dir=tmp_path / "cache", cache=True):
        assert call_sum(native.load_text(SUM, "sum"), 1, 2) == 3
        compiled = native.compile_text
        monkeypatch.setattr(native, "compile_text", lambda *_, **__: pytest.fail("compiled again"))
        assert call_sum(native.load_text(SUM, "sum"), 1, 2) == 3
        monkeypatch.setattr(native, "compile_text", compiled)
        other = SUM.replace("add", "sub")
        assert call_sum(native.load_text(other, "sum"), 1, 2) == -1
        assert call_sum(native.load_text(SUM, "sum", opt=3), 1, 2) == 3
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_llvm_is_imported_only_when_code_is_made() -> None:
    script = (
        "import sys\n"
        "from jitorch.backends.cpu import llvm, native\n"
        "assert 'llvmlite' not in sys.modules\n"
        "assert 'llvm=' in native.fingerprint(native.Target('t', 'c', 'f'))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    "text",
    [
        "not IR at all",
        "define i32 @f() { ret float 0.0 }",
        "define i32 @f() { br label %nowhere }",
        "define i32 @f(i32 %x) {\nentry:\n  %a = add i32 %b, 1\n  %b = add i32 %a, 1\n  ret i32 %a\n}",
    ],
)
def test_text_that_is_not_ir_is_a_bug_that_shows_the_text(text: str) -> None:
    with pytest.raises(CompilerBug, match="LLVM refuses the IR") as caught:
        native.compile_text(text)
    assert text in str(caught.value)


def test_unknown_functions_are_found_before_anything_is_emitted() -> None:
    text = "declare i32 @no_such_function(i32)\n" + SUM.replace("add i32 %a, %b", "call i32 @no_such_function(i32 %a)")
    with pytest.raises(CompilerBug, match=r"functions that this process does not have\n.*no_such_function"):
        native.compile_text(text)


def test_an_object_with_an_unknown_symbol_is_an_error_not_an_abort() -> None:
    text = "declare i32 @no_such_function(i32)\n" + SUM.replace("add i32 %a, %b", "call i32 @no_such_function(i32 %a)")
    data = native.compile_text(text, target=native.host())
    with pytest.raises(CompilerBug, match="cannot be linked"):
        native.load_object(data, "sum")


def test_objects_that_are_not_objects_are_refused() -> None:
    good = native.compile_text(SUM)
    with pytest.raises(CompilerBug, match="cannot be linked"):
        native.load_object(good, "another_name")
    for data in (b"", b"MZ this is not it", good[1:]):
        with pytest.raises(CompilerBug, match="not an object file"):
            native.load_object(data, "sum")


def test_the_fingerprint_names_what_code_depends_on() -> None:
    text = native.fingerprint()
    for part in ("abi=", "llvmlite=", "llvm=", native.host().cpu, native.host().features):
        assert part in text
    assert text == native.fingerprint(native.host())
    assert text != native.fingerprint(native.Target(native.host().triple, "generic", ""))


@pytest.mark.parametrize(
    ("triple", "magic"),
    [("aarch64-unknown-linux-gnu", b"\x7fELF"), ("arm64-apple-macosx13.0", b"\xcf\xfa"), ("wasm32-unknown", b"\0asm")],
)
def test_objects_for_other_machines(triple: str, magic: bytes) -> None:
    target = native.Target(triple, "", "")
    assert native.compile_text(SUM, target=target).startswith(magic)


def test_targets_that_do_not_exist_are_refused() -> None:
    with pytest.raises(BackendError, match="no target nothing-at-all"):
        native.compile_text(SUM, target=native.Target("nothing-at-all", "", ""))
    with pytest.raises(CompilerBug, match="optimisation level"):
        native.compile_text(SUM, opt=4)


def test_dumps_are_written_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    with config.override(dump=frozenset({"llvm", "assembly"})):
        native.compile_text(SUM)
    shown = capsys.readouterr().err
    assert "define i32 @sum" in shown
    assert "ret" in shown.split("define i32 @sum")[1]


def test_functions_run_in_several_threads_at_once() -> None:
    function = native.load_object(native.compile_text(SUM), "sum")
    wrong: list[int] = []

    def work(start: int) -> None:
        wrong.extend(i for i in range(start, start + 500) if call_sum(function, i, start) != i + start)

    threads = [threading.Thread(target=work, args=(1000 * t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_compiling_in_several_threads_at_once() -> None:
    results: list[int] = []

    def work(number: int) -> None:
        text = SUM.replace("add i32 %a, %b", f"add i32 %a, {number}")
        results.append(call_sum(native.load_object(native.compile_text(text), "sum"), 0, 0) - number)

    threads = [threading.Thread(target=work, args=(t,)) for t in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0] * 6


def ten_kernels() -> Program:
    """Softmax-like rows, pointwise chains and sums over ten kernels."""
    x, out, i, j, n = Buffer("x", F32), Buffer("out", F32), Var("i"), Var("j"), Var("n")
    body: list[Alloc | Launch] = []
    source = x
    acc = Var("acc", F32)
    for number in range(10):
        target = out if number == 9 else Buffer(f"t{number}", F32)
        value = Load(x, i * n + j)
        value = call("maximum", value * 0.5 + float(number), 0.0)
        if number % 2:
            total = For(j, n, (Assign(acc, Call("add", (acc, Call("exp", (value,), F32)), F32, reassociate=True)),))
            last = For(j, n, (Store(out, i * n + j, Call("exp", (value,), F32) / acc),))
            inner = (Local(acc, const(0.0, F32)), total, last)
        else:
            inner = (For(j, n, (Store(out, i * n + j, call("tanh", value) * value),)),)
        kernel = Kernel(f"k{number}", (x, out, n), (), (For(i, n, inner, "parallel"),))
        if target is not out:
            body.append(Alloc(target, n * n))
        body.append(Launch(kernel, (source, target, n)))
        source = target
    return Program("ten", (x,), (out,), (n,), tuple(body))


def test_ten_kernels_compile_quickly() -> None:
    program = ten_kernels()
    native.compile_text(SUM)  # what the first compilation of a process costs is not counted
    spent = []
    for _ in range(3):
        start = time.thread_time()
        data = native.compile_text(llvm.render(program))
        spent.append(time.thread_time() - start)
    native.load_object(data, entry_symbol("ten"))
    # 0.15 to 0.2 s on a quiet machine; a busy one takes twice that.
    assert min(spent) < 1
