"""Backends: found by entry point in group ``jitorch.backends``, or registered by hand."""

from jitorch.backends.base import (
    API,
    HOST_MEMORY,
    Accept,
    Artifact,
    Available,
    Backend,
    Decompose,
    Executable,
    HostMemory,
    Memory,
    Options,
    Reject,
    Unavailable,
    Verdict,
    store_results,
)
from jitorch.backends.kernels import ProgramExecutable, kernel_verdict, program_manifest
from jitorch.backends.registry import get, list_backends, register_backend, set_default_backend, unregister_backend

__all__ = [
    "API", "HOST_MEMORY", "Accept", "Artifact", "Available", "Backend", "Decompose", "Executable", "HostMemory",
    "Memory", "Options", "ProgramExecutable", "Reject", "Unavailable", "Verdict", "get", "kernel_verdict",
    "list_backends", "program_manifest", "register_backend", "set_default_backend", "store_results",
    "unregister_backend",
]  # fmt: skip
