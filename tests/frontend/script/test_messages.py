"""What scripts do not have: the whole message for each, in ``tests/golden/script/messages.txt``.

A case is a line ``# name``, a source that defines ``f`` or a class of modules ``M``, a line ``----``, and the message;
``pytest --update-golden`` writes the messages anew.
"""

from __future__ import annotations

import linecache
import typing
from pathlib import Path
from typing import Any

import pytest

import jitorch as torch
from jitorch import nn
from jitorch.errors import CompileError

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "script" / "messages.txt"
NAMES = {n: getattr(typing, n) for n in "Any Dict List NamedTuple Optional Tuple Union".split()}
NAMES |= {"torch": torch, "nn": nn, "Tensor": torch.Tensor}


def read() -> dict[str, tuple[str, str]]:
    """Source and message of each case."""
    found = {}
    for case in GOLDEN.read_text("utf-8").split("\n# ")[1:]:
        name, _, rest = case.partition("\n")
        source, _, message = rest.partition("\n----\n")
        assert name not in found, f"two cases are called {name}"
        found[name] = (source, message.strip("\n"))
    return found


CASES = read()


def message_of(name: str, source: str) -> str:
    """The message of the error that compiling ``source`` gives."""
    file = f"{name}.py"
    text = source + "\n"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names: dict[str, Any] = {**NAMES, "__name__": "tests.frontend.script.test_messages"}
    exec(compile(text, file, "exec", dont_inherit=True), names)
    with pytest.raises(CompileError) as caught:
        torch.jit.script(names["M"]() if "M" in names else names["f"])
    return str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_the_message(name, update_golden):
    source, message = CASES[name]
    found = message_of(name, source)
    if update_golden:
        CASES[name] = (source, found)
        cases = "".join(f"\n# {n}\n{s}\n----\n{m}\n" for n, (s, m) in CASES.items())
        GOLDEN.write_text(cases, "utf-8")
    assert CASES[name][1] == found


def test_each_message_says_where_and_what_to_write_instead():
    for name, (_, message) in CASES.items():
        assert f"at:       {name}.py:" in message, name
        assert "^" in message, name
        assert "hint:" in message or "expected:" in message, name
