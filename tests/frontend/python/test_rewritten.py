from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jitorch
from jitorch.errors import CompilerBug
from jitorch.frontend.python import rewritten as module
from jitorch.frontend.python.rewritten import code_digest, is_rewritten, key_of, rewritten, store


@pytest.fixture
def kept() -> Iterator[dict[str, bytes]]:
    saved: dict[str, bytes] = {}
    store.load, store.save = saved.get, saved.__setitem__
    yield saved
    store.load = store.save = None


def make(text: str) -> Any:
    namespace: dict[str, Any] = {}
    exec(compile(text, "<digest>", "exec"), namespace)
    return namespace["f"]


def test_a_digest_follows_what_the_code_does() -> None:
    base = code_digest(make("def f(x):\n    return x in {1, 2}").__code__)
    assert code_digest(make("def f(x):\n    return x in {1, 2}").__code__) == base
    for other in [
        "def f(x):\n    return x in {1, 3}",
        "def f(x):\n    return x in {1, 2.0}",
        "def f(y):\n    return y in {1, 2}",
        "\ndef f(x):\n    return x in {1, 2}",
        "def f(x):\n    return (lambda: x in {1, 2})()",
    ]:
        assert code_digest(make(other).__code__) != base


def test_a_digest_is_the_same_in_every_process() -> None:
    program = (
        "from jitorch.frontend.python.rewritten import code_digest\n"
        "space = {}\n"
        "exec(compile('def f(x): return x in {\"a\", \"b\", \"c\", 1.5}', '<digest>', 'exec'), space)\n"
        "print(code_digest(space['f'].__code__))"
    )
    root = str(Path(jitorch.__file__).parents[1])
    found = set()
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": root}
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        found.add(run.stdout)
    assert len(found) == 1


def function_to_keep(x: Any) -> Any:
    return [y + 1 for y in x]


def test_rewriting_is_kept_and_loaded(kept: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_rewritten", {})
    first = rewritten(function_to_keep)
    assert list(kept) == [key_of(function_to_keep.__code__)]
    assert is_rewritten(first)
    assert not is_rewritten(function_to_keep.__code__)
    assert first.co_name == "function_to_keep"
    assert first.co_filename == __file__

    monkeypatch.setattr(module, "_rewritten", {})
    monkeypatch.setattr(module.source, "find", None)  # no source is looked for
    second = rewritten(function_to_keep)
    assert second == first
    assert is_rewritten(second)


def test_bytes_that_hold_no_code(kept: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    import marshal

    monkeypatch.setattr(module, "_rewritten", {})
    kept[key_of(function_to_keep.__code__)] = marshal.dumps(3)
    with pytest.raises(CompilerBug):
        rewritten(function_to_keep)
