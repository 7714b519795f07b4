"""Thousands of changed files: each is loaded or refused with a reason, and none is run by loading it."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import io
import random
import re
import struct
from typing import Any, List, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jitorch as torch
from jitorch import nn
from jitorch.errors import SavedModelError, UserError
from jitorch.saved import container

COUNT, LONG_COUNT = 1_000, 10_000
NAMES = [
    "__class__", "__init__", "__globals__", "__reduce__", "__import__", "eval", "exec", "open", "os.system", "_array",
    "numpy", "tofile", "torch.load", "torch.save", "torch.jit.load", "torch", "math", "builtins", "enum", "dataclasses",
    "print", "self", "forward", "x", "n", "Mode", "Mode.FAST", "Box", "list", "str", "tensor", "lambda", "class", "",
    "a b",
    "training", "_parameters", "../x", "cpu", "torch.relu", "nn.Module", "nn.Linear", "nn.ModuleList",
    "ModuleList", "f32[2]", "any",
    "NothingFound", "ValueError", "BaseException", "_turn",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 7, 1 << 40, 1 << 70, 0.5, 1e308, "", [], {}, [0], {"enum": ["Mode", "FAST"]},
    {"tensor": "linear.weight"}, {"record": ["Box", {}]}, {"public": "torch.relu"}, {"device": "cuda"}, {"tuple": [[]]},
]  # fmt: skip
TOKEN = re.compile(r"[A-Za-z_][A-Za-z_.0-9]*|[0-9]+|\S")


class NothingFound(ValueError):
    pass


class Mode(enum.Enum):
    FAST = 1
    SLOW = 2


@dataclasses.dataclass
class Box:
    value: float
    tags: List[str] = dataclasses.field(default_factory=list)

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.value


def function(x: torch.Tensor, n: int = 2, mode: Mode = Mode.FAST) -> List[torch.Tensor]:
    print("this ran")
    found: List[torch.Tensor] = []
    box = Box(1.5, ["a"])
    last: Optional[torch.Tensor] = None
    for i in range(n):
        if mode == Mode.SLOW and i > 3:
            break
        found.append(torch.relu(box.scaled(x))[0, i:] + i)
    else:
        if len(found) == 0 and n > 99:
            raise NothingFound("nothing")
    while len(box.tags) < 2:
        box.tags.append(f"{n:02d}".upper())
    with torch.no_grad():
        last = found[-1] if len(found) > 0 else None
    if last is not None:
        found.append(last)
    return [y for y in found if y.dim() > 0]


class Branches(nn.ModuleDict):
    def forward(self, x):
        for name, module in self.items():
            if name == "skipped":
                continue
            x = module(x)
        return x


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches = Branches({"first": nn.Tanh(), "second": nn.ReLU()})
        self.linear = nn.Linear(2, 2)
        self.blocks = nn.ModuleList([nn.ReLU(), nn.Linear(2, 1)])
        self.box = Box(2.0)
        self.register_buffer("count", torch.zeros(2, dtype=torch.int64))

    def forward(self, x):
        print("this ran")
        for block in self.blocks:
            x = block(x)
        return self.box.scaled(self.linear(self.branches(x))) + self.count


def originals() -> list[tuple[dict[str, Any], dict[str, bytes]]]:
    trace = torch.jit(lambda x: {"a": x.relu(), "b": [x @ torch.ones(2, 2)]})
    trace(torch.ones(3, 2))
    found = []
    for made in (torch.jit.script(function), torch.jit.script(Small()), trace):
        buffer = io.BytesIO()
        torch.jit.save(made, buffer)
        manifest, sections = container.unpack(buffer.getvalue())
        manifest = {key: value for key, value in manifest.items() if key not in ("format", "sections")}
        found.append((manifest, {name: bytes(data) for name, data in sections.items()}))
    return found


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every container in a JSON value with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        places(item, found)
    return found


def changed_json(rng: random.Random, manifest: dict[str, Any]) -> None:
    container_, key = rng.choice(places(manifest, []))
    action = rng.randrange(6)
    if action == 0:
        container_[key] = copied(rng.choice(VALUES))
    elif action == 1:
        container_[key] = rng.choice(NAMES)
    elif action == 2:
        del container_[key]
    elif action == 3 and isinstance(container_, dict):
        container_[rng.choice(NAMES)] = container_.pop(key)
    elif action == 4:
        other, other_key = rng.choice(places(manifest, []))
        container_[key], other[other_key] = copied(other[other_key]), copied(container_[key])
    elif isinstance(container_, dict):
        container_[rng.choice(NAMES)] = copied(container_[key])
    else:
        container_.insert(rng.randrange(len(container_) + 1), copied(container_[key]))


def changed_text(rng: random.Random, text: str) -> str:
    tokens = list(TOKEN.finditer(text))
    token = rng.choice(tokens)
    action = rng.randrange(4)
    if action == 0:
        return text[: token.start()] + rng.choice(NAMES) + text[token.end() :]
    if action == 1:
        return text[: token.start()] + rng.choice(tokens)[0] + text[token.end() :]
    lines = text.splitlines()
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    if action == 2:
        lines[i], lines[j] = lines[j], lines[i]
    else:
        lines.insert(i, lines[j])
    return "\n".join(lines)


def mutated(rng: random.Random, manifest: dict[str, Any], sections: dict[str, bytes]) -> bytes:
    """A file that differs from the original; most have the right digests."""
    manifest, sections = copied(manifest), dict(sections)
    kind = rng.randrange(8)
    if kind == 0:
        data = bytearray(container.pack(manifest, sections))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(data)
    if kind == 1:
        data = container.pack(manifest, sections)
        return data[: rng.randrange(len(data))]
    if kind in (2, 3, 4):
        for _ in range(rng.randrange(1, 3)):
            changed_json(rng, manifest)
    elif kind in (5, 6):
        sections["graphs"] = changed_text(rng, sections["graphs"].decode()).encode()
    else:
        data = bytearray(sections["weights"])
        data[rng.randrange(min(len(data), 400))] = rng.randrange(256)
        sections["weights"] = bytes(data)
    return container.pack(manifest, sections)


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    return [copied(v) for v in value] if isinstance(value, list) else value


def run(count: int, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(seed)
    bases = originals()
    capsys.readouterr()
    loaded = refused = 0
    for number in range(count):
        data = mutated(rng, *bases[number % len(bases)])
        try:
            torch.jit.load(io.BytesIO(data))
            loaded += 1
        except SavedModelError:
            refused += 1
        except UserError as error:
            raise AssertionError(f"file {number} of seed {seed} is not refused as a file") from error
    assert capsys.readouterr().out == ""
    assert refused > count // 2
    assert loaded > count // 100


def test_changed_files_load_or_are_refused(capsys):
    run(COUNT, 1, capsys)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_changed_bytes_load_or_are_refused(data):
    original = data.draw(st.sampled_from(packed_originals()))
    changed = bytearray(original)
    for place in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=4)):
        changed[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(changed)))
    insert = data.draw(st.binary(max_size=8))
    made = bytes(changed[:cut]) + insert + bytes(changed[cut + data.draw(st.integers(0, 8)) :])
    if made == original:
        torch.jit.load(io.BytesIO(made))
        return
    with pytest.raises(SavedModelError):
        torch.jit.load(io.BytesIO(made))


@functools.cache
def packed_originals() -> list[bytes]:
    return [container.pack(copied(manifest), sections) for manifest, sections in originals()]


@pytest.mark.long
def test_many_changed_files_load_or_are_refused(capsys):
    run(LONG_COUNT, 2, capsys)


def test_values_nested_without_end_are_refused():
    manifest, sections = originals()[1]
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    text = "[" * 100_000 + "]" * 100_000
    manifest["modules"][0]["attributes"]["deep"] = "@@"
    data = container.pack(manifest, sections)
    length = int.from_bytes(data[8:16], "little")
    changed = data[48 : 48 + length].replace(b'"@@"', text.encode())
    header = struct.pack("<8sQ32s", container.MAGIC, len(changed), hashlib.sha256(changed).digest())
    with pytest.raises(SavedModelError, match="is not JSON"):
        torch.jit.load(io.BytesIO(header + changed))


def test_a_graph_that_calls_what_no_script_calls_is_refused():
    manifest, sections = originals()[0]
    for old, new in (("torch.relu", "torch.jit.load"), ("torch.relu", "eval"), ('"append"', '"__class__"')):
        text = sections["graphs"].decode().replace(old, new)
        data = container.pack(manifest, {**sections, "graphs": text.encode()})
        with pytest.raises(SavedModelError, match="that no script has"):
            torch.jit.load(io.BytesIO(data))
