"""The file: a header, a JSON manifest, and sections of bytes; every byte of it is covered by a digest or is zero.

 0   8 bytes   magic
 8   8 bytes   length of the manifest, little-endian
16  32 bytes   SHA-256 of the manifest
48             the manifest: UTF-8 JSON with ``format`` and ``sections``; then the sections, each at a multiple of 64
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from jitorch.errors import SavedModelError

MAGIC = b"\x89JITORCH"
FORMAT = 1
"""The version that this package writes; `read` knows it and no other."""

ALIGNMENT = 64
MAX_MANIFEST = 1 << 28
_HEADER = struct.Struct("<8sQ32s")


def pack(manifest: dict[str, Any], sections: dict[str, bytes]) -> bytes:
    """The bytes of a file; where the sections are is added to ``manifest``."""
    described: dict[str, dict[str, Any]] = {}
    for name, data in sections.items():
        described[name] = {"offset": 0, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    # Offsets count from the end of the manifest, so that they do not depend on its length.
    position = 0
    for name, data in sections.items():
        described[name]["offset"] = position
        position += -(-len(data) // ALIGNMENT) * ALIGNMENT
    text = json.dumps({"format": FORMAT, "sections": described, **manifest}, ensure_ascii=False).encode()
    start = _aligned(_HEADER.size + len(text))
    made = bytearray(start + position)
    made[: _HEADER.size] = _HEADER.pack(MAGIC, len(text), hashlib.sha256(text).digest())
    made[_HEADER.size : _HEADER.size + len(text)] = text
    for name, data in sections.items():
        offset = start + described[name]["offset"]
        made[offset : offset + len(data)] = data
    return bytes(made)


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, memoryview]]:
    """The manifest and the sections; SavedModelError for bytes that are no whole, unchanged, known file."""
    if len(data) < _HEADER.size or not data.startswith(MAGIC):
        raise SavedModelError("this is no saved model", expected=f"a file that begins with {MAGIC!r}", actual=data[:8])
    _, length, digest = _HEADER.unpack_from(data)
    if length > min(MAX_MANIFEST, len(data) - _HEADER.size):
        raise SavedModelError("the manifest is longer than the file", expected=len(data) - _HEADER.size, actual=length)
    text = data[_HEADER.size : _HEADER.size + length]
    if hashlib.sha256(text).digest() != digest:
        raise SavedModelError("the manifest was changed or damaged: its digest differs")
    manifest = parse_json(text, "the manifest")
    version = manifest.get("format")
    if version != FORMAT or isinstance(version, bool):
        raise SavedModelError(
            "the file is of another version of the format", expected=FORMAT, actual=version,
            hint="a newer jitorch may read it",
        )  # fmt: skip
    described = manifest.get("sections")
    if not isinstance(described, dict):
        raise SavedModelError("the manifest names no sections", actual=type(described).__name__)
    return manifest, _sections(data, described, _HEADER.size + length)


def parse_json(text: bytes | memoryview, what: str) -> dict[str, Any]:
    """A JSON object; SavedModelError for anything else."""
    try:
        found = json.loads(bytes(text).decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise SavedModelError(f"{what} is not JSON", actual=str(error)[:200]) from None
    if not isinstance(found, dict):
        raise SavedModelError(f"{what} is no JSON object", actual=type(found).__name__)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _sections(data: bytes, described: dict[str, Any], end_of_manifest: int) -> dict[str, memoryview]:
    start = _aligned(end_of_manifest)
    view = memoryview(data)
    found: dict[str, memoryview] = {}
    position = 0
    gaps = [(end_of_manifest, start)]
    for name, entry in described.items():
        offset, size = _number(entry, "offset", name), _number(entry, "size", name)
        if offset != position or start + offset + size > len(data):
            raise SavedModelError(f"section {name} does not lie where it must", expected=position, actual=offset)
        position = _aligned(offset + size)
        gaps.append((start + offset + size, start + position))
        found[name] = view[start + offset : start + offset + size]
        if hashlib.sha256(found[name]).hexdigest() != entry.get("sha256"):
            raise SavedModelError(f"section {name} was changed or damaged: its digest differs")
    if start + position != len(data):
        raise SavedModelError("the file does not end where it must", expected=start + position, actual=len(data))
    if any(bytes(view[a:b]).strip(b"\0") for a, b in gaps):
        raise SavedModelError("there are bytes between the sections")
    return found


def _number(entry: Any, key: str, name: str) -> int:
    value = entry.get(key) if isinstance(entry, dict) else None
    if type(value) is not int or value < 0:
        raise SavedModelError(f"section {name} has no {key}", actual=value)
    return value


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT


def write_file(target: str | os.PathLike[str] | BinaryIO, data: bytes) -> None:
    """Write all of ``data``, or leave what was there: to a temporary file beside the target, then renamed."""
    if not isinstance(target, (str, os.PathLike)):
        target.write(data)
        return
    path = Path(target)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def read_file(source: str | os.PathLike[str] | BinaryIO) -> bytes:
    """All bytes of a file."""
    if isinstance(source, (str, os.PathLike)):
        return Path(source).read_bytes()
    return source.read()
