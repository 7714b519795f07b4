"""Packages that provide backends, as `pip` would leave them: a module and its metadata."""

from __future__ import annotations

from pathlib import Path

GOOD = """
from jitorch.backends.reference import ReferenceBackend

class Backend(ReferenceBackend):
    name = {name!r}

backend = Backend()
"""


def install(folder: Path, package: str, points: dict[str, str], source: str, group: str = "jitorch.backends") -> None:
    """Put ``package`` with a module ``source`` and entry points into ``folder``, which must be on `sys.path`."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {module}:{attribute}" for name, attribute in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
