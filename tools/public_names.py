"""Writes the re-exports of ops into the modules that publish them.

    python tools/public_names.py            say which modules are out of date
    python tools/public_names.py --write    bring them up to date

Each target module has a block between the two marker lines; everything outside of it is written by
hand.  A test keeps the blocks in step with the op registry.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
if "jitorch" not in sys.modules:
    # The package itself may not be importable while its block is out of date; its parts are.
    sys.modules["jitorch"] = types.ModuleType("jitorch")
    sys.modules["jitorch"].__path__ = [str(ROOT / "jitorch")]

from jitorch.ops import PUBLIC, Function, Op  # noqa: E402

BEGIN = "# -- ops, written by tools/public_names.py --"
END = "# -- end of ops --"
WIDTH = 118

TARGETS = {
    "": "jitorch/__init__.py",
    "fft.": "jitorch/fft.py",
    "linalg.": "jitorch/linalg.py",
    "special.": "jitorch/special.py",
    "nn.functional.": "jitorch/nn/functional.py",
}
"""Prefix of the published names: the module that publishes them."""


def home(entry: Op | Function) -> tuple[str, str]:
    """The module that defines ``entry`` and its name there."""
    for name, value in vars(sys.modules[entry.__module__]).items():
        if value is entry and not name.startswith("_"):
            return entry.__module__, name
    raise LookupError(f"{entry} has no public name in {entry.__module__}")


def names_for(prefix: str) -> dict[str, Op | Function]:
    """The names published under ``prefix``, without it."""
    return {
        key.removeprefix(prefix): entry
        for key, entry in PUBLIC.items()
        if key.startswith(prefix) and "." not in key.removeprefix(prefix)
    }


def _wrapped(start: str, items: list[str]) -> list[str]:
    lines, line = [start], "   "
    for item in items:
        if len(line) + len(item) + 2 > WIDTH:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return [*lines, line]


def block(prefix: str) -> str:
    """The generated lines of the module for ``prefix``."""
    names = names_for(prefix)
    by_module: dict[str, list[str]] = defaultdict(list)
    for name, entry in sorted(names.items()):
        module, attribute = home(entry)
        by_module[module].append(name if attribute == name else f"{attribute} as {name}")
    lines = [BEGIN, "# isort: off"]
    for module, items in sorted(by_module.items()):
        lines += [*_wrapped(f"from {module} import (", items), ")  # fmt: skip"]
    quoted = [f'"{name}"' for name in sorted(names)]
    lines += ["", *_wrapped("__all__ = [", quoted), "]  # fmt: skip", "# isort: on", END]
    return "\n".join(lines)


def updated(path: Path, prefix: str) -> tuple[str, str]:
    """The text of the module as it is and as it should be."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return text, before + block(prefix) + after


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="bring the modules up to date")
    write = parser.parse_args().write
    stale = 0
    for prefix, target in TARGETS.items():
        path = ROOT / target
        old, new = updated(path, prefix)
        if old == new:
            continue
        print(f"{target}: {'written' if write else 'out of date'}")
        stale += 1
        if write:
            path.write_text(new)
    return 0 if write else min(stale, 1)


if __name__ == "__main__":
    sys.exit(main())
