"""Who is measured: names, where each is, and what must be installed for it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from shutil import which

from benchmarks.peers.base import Peer

OURS = ("jitorch", "jitorch-frozen", "jitorch-eager")

# name -> module under benchmarks.peers, class, packages that must be there (or programs, after "bin:")
PEERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "jitorch": ("jitorch_peer", "Jit", ()),
    "jitorch-frozen": ("jitorch_peer", "Frozen", ()),
    "jitorch-eager": ("jitorch_peer", "Eager", ()),
    "jitorch-op-by-op": ("jitorch_peer", "OpByOp", ()),
    "torch": ("torch_peer", "Eager", ("torch",)),
    "torch-script": ("torch_peer", "Script", ("torch",)),
    "torch-compile": ("torch_peer", "Compile", ("torch",)),
    "torch-compile-max": ("torch_peer", "CompileMax", ("torch",)),
    "jax": ("jax_peer", "Jax", ("jax",)),
    "onnxruntime": ("onnx_peer", "OnnxRuntime", ("onnxruntime", "onnx", "torch")),
    "tinygrad": ("tinygrad_peer", "TinyGrad", ("tinygrad", "bin:clang")),
    "numpy": ("numpy_peer", "NumPy", ()),
    "numba": ("numba_peer", "Numba", ("numba",)),
}
REFERENCE = "reference"
DEFAULT = tuple(name for name in PEERS if name != "jitorch-op-by-op")
"""Those that are measured where none are named; the other one is for sweeps."""


def make(name: str) -> Peer:
    """The peer of that name; imports its package."""
    module, cls, _ = PEERS[name] if name != REFERENCE else ("numpy_peer", "Reference", ())
    return getattr(import_module(f"benchmarks.peers.{module}"), cls)()


def missing(name: str) -> list[str]:
    """The packages and programs that it needs and that are not installed."""
    return [need.removeprefix("bin:") for need in PEERS[name][2] if not _found(need)]


def _found(need: str) -> bool:
    if need.startswith("bin:"):
        return which(need.removeprefix("bin:")) is not None
    return find_spec(need) is not None
