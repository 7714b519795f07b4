"""LLVM IR text to object bytes, and nothing else: no part of jitorch is imported here.

So this file can also be run by itself as a *worker*: it reads requests from standard input and writes object
files to standard output, each as an eight-byte length and that many bytes.  A length of ``FAILED`` says that a
message follows instead.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

FAILED = 1 << 63
"""Added to the length of an answer that is an error message."""

SIMPLE = "; simple\n"
"""The first line of a module of which level 2 need only make registers of its locals.

That is half of the time.  It suits loops that are vectors already, such as the tiles of contractions: they run as
fast; and code that calls and branches, as that of the thread pool does."""


@functools.cache
def native_llvm() -> Any:
    """llvmlite, ready to make code for this machine; raises ImportError or OSError without it."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@functools.cache
def all_targets() -> Any:
    """llvmlite, ready to make code for every processor it knows."""
    llvm = native_llvm()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm


@functools.cache
def machine(triple: str, cpu: str, features: str, opt: int) -> Any:
    """The target machine; raises RuntimeError for a triple that LLVM does not know."""
    llvm = native_llvm()
    if triple != llvm.get_process_triple():
        all_targets()
    # Position independent, so that the code may lie far from the C library or go into a shared library.
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=opt, reloc="pic", codemodel="default"
    )


@contextmanager
def optimised(text: str, triple: str, cpu: str, features: str, opt: int) -> Iterator[tuple[Any, Any]]:
    """The module after LLVM's passes, and its target machine; raises RuntimeError for text that is not valid IR.

    Loops are vectorised and interleaved from level 2 on, and not unrolled any further: what is worth unrolling is
    written so, and the copies would be half of the time that compiling takes.
    """
    llvm, target = native_llvm(), machine(triple, cpu, features, opt)
    # In a context of its own, names and types of other modules neither collide nor stay.  Closed by hand and in
    # this order: a garbage collector might free the context first.
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
        module.verify()
        module.triple = target.triple
        module.data_layout = str(target.target_data)
        options = llvm.create_pipeline_tuning_options(opt)
        options.loop_vectorization = options.loop_interleaving = opt >= 2
        options.slp_vectorization = options.loop_unrolling = False
        with llvm.create_pass_builder(target, options) as builder:
            simple = opt == 2 and text.startswith(SIMPLE)
            with _registers(llvm) if simple else builder.getModulePassManager() as passes:
                passes.run(module, builder)
        yield module, target


def _registers(llvm: Any) -> Any:
    """Passes that turn locals with constant places into registers."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    return passes


def compile_module(text: str, triple: str, cpu: str, features: str, opt: int) -> bytes:
    """The object file of a module."""
    with optimised(text, triple, cpu, features, opt) as (module, target):
        return bytes(target.emit_object(module))


def write_block(stream: IO[bytes], data: bytes, flag: int = 0) -> None:
    """A length and as many bytes."""
    stream.write((len(data) + flag).to_bytes(8, "little") + data)


def read_block(stream: IO[bytes]) -> tuple[bytes, bool] | None:
    """What `write_block` wrote, and whether it was flagged; None at the end of the stream."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    length = int.from_bytes(head, "little")
    failed = length >= FAILED
    data = stream.read(length - FAILED if failed else length)
    return data, failed


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Compile one module after another: a request is the target, then the text."""
    while True:
        target, text = read_block(requests), read_block(requests)
        if target is None or text is None:
            return
        triple, cpu, features, opt = target[0].decode().split("\n")
        try:
            write_block(answers, compile_module(text[0].decode(), triple, cpu, features, int(opt)))
        except RuntimeError as error:
            write_block(answers, str(error).encode(), FAILED)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
