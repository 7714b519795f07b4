"""Chosen kernels as text, as C99 and as CUDA C++, in ``tests/golden``; ``pytest --update-golden`` rewrites them.

``NAME.kernel`` is what is rendered; beside it stand ``NAME.c`` and ``NAME.cu``, where the language can say it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from jitorch.backends.cuda.nvrtc import compile
from jitorch.backends.cuda.render import CudaSource
from jitorch.ir.kernel import verify
from jitorch.ir.kernel_text import parse_kernel, parse_program
from jitorch.ir.program_verify import verify_program
from jitorch.lower.gpu.grid import for_gpu
from jitorch.lower.source.render import CSource
from tests.lower.native import load

GOLDEN = Path(__file__).parents[1] / "golden"
SUFFIXES = (".kernel", ".c", ".cu", ".program")
KERNELS = sorted(path.stem for path in GOLDEN.glob("*.kernel"))
ONLY_CUDA = {"matmul": "barriers", "halves": "float16"}


def check(path: Path, text: str, update: bool) -> None:
    if update:
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text, f"{path.name} differs; see the diff after pytest --update-golden"


@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name: str, update_golden: bool, tmp_path: Path) -> None:
    path = GOLDEN / f"{name}.kernel"
    kernel = verify(parse_kernel(path.read_text("utf-8")))
    check(path, f"{kernel}\n", update_golden)
    cuda = CudaSource(32).source([for_gpu(kernel)[0]])
    check(path.with_suffix(".cu"), cuda, update_golden)
    assert compile(cuda, 90)
    if name not in ONLY_CUDA:
        c = CSource().source([kernel])
        check(path.with_suffix(".c"), c, update_golden)
        load(c, tmp_path)


def test_program(update_golden: bool, tmp_path: Path) -> None:
    path = GOLDEN / "train.program"
    program = verify_program(parse_program(path.read_text("utf-8")))
    check(path, f"{program}\n", update_golden)
    c = CSource().program(program)
    check(path.with_suffix(".c"), c, update_golden)
    load(c, tmp_path)


def test_every_text_belongs_to_a_kernel() -> None:
    known = {*KERNELS, "train"}
    assert {path.stem for path in GOLDEN.iterdir() if path.suffix in SUFFIXES} <= known
