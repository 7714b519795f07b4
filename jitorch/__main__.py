"""``python -m jitorch info``: what is installed, where compiled code is kept, and what can run here."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from importlib import metadata

import jitorch
from jitorch import config
from jitorch.backends import cache

_REQUIRED = ("jitorch", "numpy", "llvmlite", "lark", "ml_dtypes")
_OPTIONAL = ("jitorch-onnx", "jitorch-c", "onnx", "onnxruntime", "cupy-cuda13x", "nvidia-cuda-nvrtc")
_MIB = 1 << 20


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    # llvmlite is what compiles for it, and is not needed to import jitorch.
    from llvmlite import binding

    return f"{binding.get_host_cpu_name()} ({platform.machine()})"


def _cache() -> str:
    settings = config.current()
    if not settings.cache:
        return "off"
    kept = cache.current()
    size = 0 if kept is None else kept.size()
    return f"{settings.cache_dir} ({size / _MIB:.1f} of {settings.cache_size / _MIB:.0f} MiB)"


def information() -> dict[str, dict[str, str]]:
    """Sections of names and values: versions, machine, backends (with the answer of each one's probe)."""
    return {
        "versions": {
            "python": f"{platform.python_version()} ({sys.implementation.name})",
            **{name: _version(name) for name in _REQUIRED + _OPTIONAL},
        },
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "threads": str(config.current().num_threads),
            "cache": _cache(),
        },
        "backends": {name: str(answer) for name, answer in jitorch.list_backends().items()},
    }


def render(sections: dict[str, dict[str, str]]) -> str:
    """One line a value, in columns."""
    width = max((len(name) for values in sections.values() for name in values), default=0)
    blocks = []
    for title, values in sections.items():
        blocks.append("\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in values.items())]))
    return "\n\n".join(blocks)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jitorch", description=jitorch.__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("info", help="versions, machine, cache and backends")
    parser.parse_args(arguments)
    print(render(information()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
