"""The documents agree with the code and with each other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from jitorch import errors

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/*.md")])
ERRORS = [
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.JitorchError) and value.__module__ == errors.__name__
]


def anchors(path: Path) -> set[str]:
    """The headings of a document, as a renderer of Markdown names them."""
    titles = re.findall(r"^#+ +(.+?) *$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_has_a_section_that_says_what_to_do(name):
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    for part in ("**Means.**", "**Typical cause.**", "**What to do.**"):
        assert part in section[1]


def test_no_section_for_an_error_that_is_gone():
    titles = re.findall(r"^## (\w+)$", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert titles == ERRORS


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        assert not anchor or anchor.lower() in anchors(file), target
