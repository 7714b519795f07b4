"""The documents agree with the code and with each other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import jitorch
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


WITHOUT_EXAMPLE = {
    "JitorchError", "UserError", "CompilerBug",  # only their subclasses are raised by wrong input
    "MissingExtraError", "KernelError",  # depend on what is installed, and on memory
}  # fmt: skip


KINDS = {f"StagingError {reason}": name for reason, name in errors.STAGING.items()} | {
    f"CompileError {code}": name for code, name in errors.COMPILE.items()
}
"""What has a section within that of its class: the identifier of each kind."""


def section(name: str) -> str:
    """The text under a heading, without what stands under smaller ones."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    found = re.search(rf"^#+ {name}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


def examples(name: str, what: str) -> list[str]:
    return re.findall(rf"^```python {what}\n(.*?)^```", section(name), re.MULTILINE | re.DOTALL)


def run(code: str, tmp_path: Path) -> Path:
    """Run a block of the page as a file of its own, after the page's names."""
    (setup,) = examples("Errors", "setup")
    names: dict[str, object] = {"__name__": "example"}
    exec(setup, names)
    path = tmp_path / "example.py"  # @jit reads source files
    path.write_text(code, encoding="utf-8")
    exec(compile(code, str(path), "exec"), names)
    return path


@pytest.mark.parametrize("name", ERRORS)
def test_the_example_of_an_error_raises_it(name, tmp_path):
    found = examples(name, "raises")
    if name in WITHOUT_EXAMPLE:
        assert found == []
        return
    (code,) = found
    with pytest.raises(getattr(errors, name)) as caught:
        run(code, tmp_path)
    assert type(caught.value).__name__ == name
    assert caught.value.where is not None
    assert caught.value.where.file == str(tmp_path / "example.py")


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_a_kind_of_error_raises_it(kind, tmp_path):
    (code,) = examples(KINDS[kind], "raises")
    with pytest.raises(errors.UserError) as caught:
        run(code, tmp_path)
    assert caught.value.identifier == KINDS[kind]
    assert type(caught.value).__name__ == kind.split()[0]
    assert f"see:      docs/errors.md#{KINDS[kind]} ({KINDS[kind]})" in str(caught.value)
    text = section(KINDS[kind])
    assert "**Means.**" in text and "**Write instead.**" in text


@pytest.mark.parametrize("name", [n for n in KINDS.values() if n not in ("JT1004", "JT1013")])
def test_what_to_write_instead_works(name, tmp_path):
    (code,) = examples(name, "instead")
    run(code, tmp_path)


def test_identifiers_are_in_the_sections():
    for name in ERRORS:
        assert section(name).lstrip().startswith(f"`{vars(errors)[name].identifier}`.")


def test_the_error_shown_first_is_what_is_printed(tmp_path):
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    path = tmp_path / "train.py"
    code = "\n" * 40 + "h = x @ w\n"
    path.write_text(code, encoding="utf-8")
    with pytest.raises(errors.ShapeError) as caught:
        exec(compile(code, str(path), "exec"), {"x": jitorch.ones(32, 64), "w": jitorch.ones(8, 64)})
    assert f"```\nShapeError: {caught.value}\n```" in text


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


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_files_that_are_named_exist(path):
    folders = "jitorch|tests|docs|plugins|tools|examples"
    named = re.findall(rf"`((?:{folders})/[\w/.-]*\w/?)`", path.read_text(encoding="utf-8"))
    assert [name for name in named if "NNNN" not in name and not (ROOT / name).exists()] == []
