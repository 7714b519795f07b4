"""The CUDA backend: kernels as CUDA C++, compiled by NVRTC.  It does not run them yet."""

from jitorch.backends.cuda.backend import backend

__all__ = ["backend"]
