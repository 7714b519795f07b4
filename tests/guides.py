"""Runs the Python blocks of a document, as a reader would: one after the other, in one module."""

from __future__ import annotations

import doctest
import re
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n*^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def run(document: Path, folder: Path) -> int:
    """Run every block of ``document``; gives their number.

    A ``text`` block right after a Python block is what that must print, with ``...`` for what varies.  Warnings count
    as printed, before the rest.
    """
    text = document.read_text(encoding="utf-8")
    # @jit reads source files: this one has each block at its own line.
    lines = [""] * (text.count("\n") + 1)
    found = list(BLOCK.finditer(text))
    for block in found:
        first = text.count("\n", 0, block.start(1))
        code = block[1].splitlines()
        lines[first : first + len(code)] = code
    path = folder / f"{document.stem}_guide.py"
    path.write_text("\n".join(lines), encoding="utf-8")
    names: dict[str, Any] = {"__name__": "guide", "__file__": str(path)}
    for block in found:
        start = text.count("\n", 0, block.start(1))
        code = compile("\n" * start + block[1], str(path), "exec")
        printed = _run_block(code, names)
        if block[2] is not None:
            _compare(printed, block[2], f"{document.name}:{start + 1}")
    return len(found)


def _run_block(code: Any, names: dict[str, Any]) -> str:
    out = StringIO()
    with redirect_stdout(out), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(code, names)
    shown = [f"{w.category.__name__}: {w.message}\n" for w in caught]
    return "".join(shown) + out.getvalue()


def _compare(printed: str, expected: str, where: str) -> None:
    checker = doctest.OutputChecker()
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert checker.check_output(expected, printed, flags), f"{where} prints\n{printed}\nnot\n{expected}"
