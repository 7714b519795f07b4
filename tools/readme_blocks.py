"""The README's texts of every layer: run its example, and put what `sources()` gives between the markers.

    python tools/readme_blocks.py            says whether the README is current (exit status 1 if not)
    python tools/readme_blocks.py --write    writes it

The texts depend on the code alone: LLVM is shown before it is compiled for this machine, and only the function of
the kernel.  Run it in the root of a clone, or with jitorch installed.
"""

from __future__ import annotations

import argparse
import re
import runpy
import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
SHOWN = "tanh"  # the kernel to show is the one that contains this


def example(text: str) -> str:
    """The first Python block of the README."""
    found = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit("the README has no Python example")
    return found[1]


def sources(code: str) -> dict[str, str]:
    """Run the example; the texts of its jitted ``loss`` without gradients."""
    with tempfile.TemporaryDirectory() as folder:
        # A file, because @jit reads the source; its name is in the graph's locations.
        path = Path(folder) / "example.py"
        path.write_text(code, encoding="utf-8")
        with redirect_stdout(StringIO()):
            names = runpy.run_path(str(path), run_name="example")
        with names["torch"].no_grad():
            names["loss"](names["w"], names["x"], names["y"])
        return names["loss"].sources()


def kernel(text: str) -> str:
    """The kernel to show."""
    for part in re.findall(r"^kernel @.*?^}", text, re.MULTILINE | re.DOTALL):
        if SHOWN in part:
            return part
    raise SystemExit(f"no kernel contains {SHOWN!r}")


def function(text: str, name: str) -> str:
    """The LLVM function of a kernel, without its number of attributes."""
    # A comment with the names of the kernels stands before the module of each function, which is named by its digest.
    module = re.search(rf"^; (?:[\w.]+, )*{name}\b[^\n]*\n(.*?)(?=^; |\Z)", text, re.MULTILINE | re.DOTALL)
    found = module and re.search(r"^define [^\n]*@kernel\.\w+\(.*?^}", module[1], re.MULTILINE | re.DOTALL)
    if not found:
        raise SystemExit(f"no LLVM function for kernel {name!r}")
    return re.sub(r"@kernel\.\w+", f"@{name}", re.sub(r" #\d+ \{", " {", found[0], count=1))


def blocks(code: str) -> dict[str, str]:
    """The text between each pair of markers."""
    texts = sources(code)
    shown = kernel(texts["kernels"])
    name = re.match(r"kernel @(\w+)", shown)
    if name is None:
        raise SystemExit(f"a kernel without a name: {shown}")
    return {"graph": texts["graph"], "kernel": shown, "llvm": function(texts["llvm"], name[1])}


def updated(text: str) -> str:
    """The README with current blocks."""
    for name, block in blocks(example(text)).items():
        fenced = (
            f"<!-- begin: {name} -->\n```{'llvm' if name == 'llvm' else ''}\n{block.strip()}\n```\n<!-- end: {name} -->"
        )
        text, count = re.subn(
            rf"<!-- begin: {name} -->.*?<!-- end: {name} -->", lambda _, new=fenced: new, text, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"the README has {count} pairs of markers for {name!r}")
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the README")
    options = parser.parse_args(arguments)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    before = README.read_text(encoding="utf-8")
    after = updated(before)
    if options.write:
        README.write_text(after, encoding="utf-8")
    elif before != after:
        print("README.md is not current: run python tools/readme_blocks.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
