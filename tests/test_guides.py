"""The user guide: every Python block of every page runs and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from jitorch import config
from tests import guides

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.setattr("jitorch.backends.registry._registered", {})  # what a page registers ends with it
    with config.override(cache=False):
        count = guides.run(page, tmp_path)
    assert count == page.read_text(encoding="utf-8").count("\n```python\n")


def test_a_page_that_prints_something_else_fails(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\n```text\n2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page.md:2 prints\n1"):
        guides.run(page, tmp_path)


def test_warnings_count_as_printed(tmp_path):
    page = tmp_path / "page.md"
    code = "import warnings\nwarnings.warn('careful', stacklevel=1)\nprint('x')"
    page.write_text(f"```python\n{code}\n```\n\n```text\nUserWarning: careful\nx\n```\n", encoding="utf-8")
    assert guides.run(page, tmp_path) == 1
