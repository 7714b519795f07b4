"""The README: its texts of graph, kernel and LLVM are those that the code makes today."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from jitorch import config

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("readme_blocks", ROOT / "tools" / "readme_blocks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def blocks(tool):
    with config.override(cache=False):
        return tool.blocks(tool.example(tool.README.read_text(encoding="utf-8")))


def mapped(text: str) -> list[Path]:
    """The paths in the first column of the README's map; the first of a row gives the folder of the others."""
    paths = []
    for row in re.findall(r"^\| (`[^|]+`) \|", text, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        folder = Path(first).parent
        paths += [ROOT / first, *(ROOT / (folder if first.startswith("jitorch/") else "") / name for name in others)]
    return paths


def test_the_map_is_complete():
    paths = mapped((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [p for p in paths if not p.exists() and p.name != "benchmarks"] == []
    entry_points = {"__init__.py", "__main__.py"}
    parts = {p for p in (ROOT / "jitorch").iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert {p.name for p in parts - set(paths)} - entry_points == set()


def test_blocks_are_current(tool, blocks):
    text = tool.README.read_text(encoding="utf-8")
    for name, block in blocks.items():
        shown = text.split(f"<!-- begin: {name} -->")[1].split(f"<!-- end: {name} -->")[0]
        current = "not current: python tools/readme_blocks.py --write"
        assert shown.strip().removeprefix("```llvm").strip("`\n") == block.strip(), current


def test_blocks_show_no_machine(blocks):
    for block in blocks.values():
        assert "attributes" not in block and "target" not in block and "#" not in block


def test_what_is_shown_is_one_fused_kernel(blocks):
    assert blocks["graph"].startswith("graph @loss(")
    assert blocks["kernel"].count("kernel @") == 1 and "tanh(" in blocks["kernel"]
    assert blocks["llvm"].count("define ") == 1 and "tanh" in blocks["llvm"]


def test_the_tool_writes_what_it_checks(tool, monkeypatch, tmp_path, capsys):
    text = tool.README.read_text(encoding="utf-8")
    begin, end = "<!-- begin: kernel -->", "<!-- end: kernel -->"
    stale = text.split(begin)[0] + begin + "\nold\n" + end + text.split(end)[1]
    path = tmp_path / "README.md"
    path.write_text(stale, encoding="utf-8")
    monkeypatch.setattr(tool, "README", path)
    with config.override(cache=False):
        assert tool.main([]) == 1
        assert "not current" in capsys.readouterr().err
        assert tool.main(["--write"]) == 0
        assert tool.main([]) == 0
    assert path.read_text(encoding="utf-8") == tool.updated(text)
