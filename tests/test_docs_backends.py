"""docs/backends.md is a program: its Python blocks run in order, and print what stands behind them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from jitorch import config
from jitorch.backends import unregister_backend

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "backends.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
MARK = "-- end of block --"


@dataclass(frozen=True)
class Block:
    """Python code, the line of the page it begins at, and what it prints."""

    line: int
    code: str
    output: str


def blocks(text: str) -> list[Block]:
    found = []
    for match in BLOCK.finditer(text):
        line = text[: match.start(1)].count("\n") + 1
        found.append(Block(line, match[1], match[2] or ""))
    return found


def program(found: list[Block]) -> str:
    """All blocks as one module, each at its line of the page, so that errors point at the page."""
    lines: list[str] = []
    for block in found:
        lines += [""] * (block.line - 1 - len(lines))
        lines += [*block.code.splitlines(), f"print({MARK!r})"]
    return "\n".join(lines) + "\n"


def run(text: str, folder: Path) -> list[str]:
    """What each block prints."""
    path = folder / "backends_page.py"
    path.write_text(program(blocks(text)), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JITORCH_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(f"{MARK}\n")[:-1]


def updated(text: str, printed: list[str]) -> str:
    """The page with each text block as it was printed."""
    outputs = iter(printed)

    def replace(match: re.Match[str]) -> str:
        output = next(outputs)
        if match[2] is None:
            return match[0]
        return f"```python\n{match[1]}```\n\n```text\n{output}```\n"

    return BLOCK.sub(replace, text)


def test_the_page_prints_what_it_says(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text(encoding="utf-8")
    printed = run(text, tmp_path)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(updated(text, printed), encoding="utf-8")
        return
    for block, output in zip(blocks(text), printed, strict=True):
        assert output == block.output, f"docs/backends.md, the block at line {block.line}"


def test_blocks_are_found_with_their_lines() -> None:
    text = "# A\n\n```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n\n```toml\n```\n\n```python\ny = 2\n```\n"
    assert blocks(text) == [Block(4, "x = 1\nprint(x)\n", "1\n"), Block(16, "y = 2\n", "")]
    assert program(blocks(text)).splitlines()[3] == "x = 1"
    assert program(blocks(text)).splitlines()[15] == "y = 2"


def test_the_digits_example_runs_on_both(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("backend_20_ops", ROOT / "examples" / "backend_20_ops.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    try:
        with config.override(cache=False):
            regions = example.main()
    finally:
        unregister_backend("twenty")
    assert len(example.TWENTY) == 20
    assert regions["twenty"] > 1 and regions["cpu"] > 1
    assert "convolution: not run by the backend asked for: not one of the twenty" in capsys.readouterr().out
