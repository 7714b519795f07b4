"""Wrong programs and their whole messages: `tests/golden/errors.txt`, where each program stands before what it prints.

``pytest --update-golden`` rewrites the messages; the diff is to be read.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import jitorch
from jitorch import errors, nn, optim
from jitorch.nn import functional as F

GOLDEN = Path(__file__).parent / "golden" / "errors.txt"
PROGRAMS = dict(part.split("\n", 1) for part in GOLDEN.read_text(encoding="utf-8").split("## ")[1:])
SEPARATOR = "// ----\n"


def message(code: str, folder: Path) -> str:
    """What a program that is wrong prints."""
    path = folder / "program.py"  # @jit reads source files
    path.write_text(code, encoding="utf-8")
    names: dict[str, Any] = {"__name__": "program", "torch": jitorch, "nn": nn, "F": F, "optim": optim}
    program = compile(code, str(path), "exec")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.TracerWarning)
        with pytest.raises(errors.JitorchError) as caught:
            exec(program, names)
    assert caught.value.where is not None and caught.value.where.file == str(path)
    return f"{type(caught.value).__name__}: {caught.value}\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_whole_message(name: str, tmp_path: Path, update_golden: bool) -> None:
    code, _, expected = PROGRAMS[name].partition(SEPARATOR)
    found = message(code, tmp_path)
    if update_golden:
        PROGRAMS[name] = f"{code}{SEPARATOR}{found}\n"
        GOLDEN.write_text("".join(f"## {n}\n{text}" for n, text in PROGRAMS.items()), encoding="utf-8")
    else:
        assert found == expected.rstrip("\n") + "\n"


def test_there_are_many_and_each_points_somewhere() -> None:
    assert len(PROGRAMS) >= 40
    # Nodes of a graph know their line alone.
    for name, text in PROGRAMS.items() - {n: PROGRAMS[n] for n in ("trace-differs", "export-complex")}.items():
        shown = text.partition(SEPARATOR)[2].splitlines()
        (place,) = [i for i, line in enumerate(shown) if line.startswith("  at:       program.py:")]
        assert set(shown[place + 1].strip()) == {"^"}, name
