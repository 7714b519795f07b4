"""The README: its texts of graph, kernel and LLVM are those that the code makes today."""

from __future__ import annotations

import importlib.util
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
