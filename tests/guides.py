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
    found = list(BLOCK.finditer(text))
    names: dict[str, Any] = {"__name__": "guide"}
    for number, block in enumerate(found):
        start = text.count("\n", 0, block.start(1))
        # @jit reads source files: a block is one, as a notebook's cell is, with its lines where the page has them.
        path = folder / f"{document.stem}_guide{number}.py"
        source = "\n" * start + block[1]
        path.write_text(source, encoding="utf-8")
        names["__file__"] = str(path)
        printed = _run_block(compile(source, str(path), "exec", dont_inherit=True), names)
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
