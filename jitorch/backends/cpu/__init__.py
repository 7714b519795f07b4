"""The CPU backend: kernels as LLVM IR text, one native function a region."""

from jitorch.backends.cpu.backend import backend

__all__ = ["backend"]
