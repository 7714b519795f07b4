"""Target: what recipes must know of the processor that a program is made for.

Only these facts decide how a kernel is tiled, so a program made for one processor is the same on
every machine that makes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from jitorch.dtypes import DType
from jitorch.errors import CompilerBug


@dataclass(frozen=True)
class Target:
    """A processor, as far as schedules depend on it.

    ``name`` is "cpu" or "gpu"; ``vector_bytes`` the width of a vector register and ``registers`` how many
    there are; ``fma`` whether multiply and add are one instruction that needs no register for the product;
    ``cache_bytes`` the second-level cache of one core.
    """

    name: str = "cpu"
    vector_bytes: int = 32
    registers: int = 16
    fma: bool = True
    cache_bytes: int = 512 * 1024

    @property
    def is_cpu(self) -> bool:
        return self.name == "cpu"

    def lanes(self, dtype: DType) -> int:
        """Elements of ``dtype`` in a vector register."""
        return max(1, self.vector_bytes // dtype.itemsize)


CPU = Target()
"""A processor with AVX2: what is assumed where nothing is known."""
GPU = Target("gpu", vector_bytes=16, registers=255)

_NAMED = {"cpu": CPU, "gpu": GPU}


def target_of(target: Target | str) -> Target:
    """``target`` itself, or the one that "cpu" or "gpu" stands for."""
    if isinstance(target, Target):
        return target
    found = _NAMED.get(target)
    if found is None:
        raise CompilerBug("no such target", expected="a Target, or one of " + ", ".join(_NAMED), actual=target)
    return found


def target_of_features(triple: str, features: str) -> Target:
    """The target of LLVM's ``triple`` (``x86_64-unknown-linux-gnu``) and ``features`` (``+avx2,-avx512f``)."""
    machine = triple.partition("-")[0]
    have = {f[1:] for f in features.split(",") if f.startswith("+")}
    if machine in ("x86_64", "amd64", "i686", "i386"):
        if "avx512f" in have:
            # Full-width registers: half the instructions of two 32-byte ones, and faster on Zen 4 too.
            return Target("cpu", 64, 32, True, 1024 * 1024)
        if "avx" in have:
            return Target("cpu", 32, 16, "fma" in have)
        return Target("cpu", 16, 16, False, 256 * 1024)
    if machine in ("aarch64", "arm64"):
        return Target("cpu", 16, 32)
    return Target("cpu", 16, 16, False, 256 * 1024)
