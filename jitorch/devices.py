"""Devices: where a tensor's memory is; and how its elements lie there."""

from __future__ import annotations

from dataclasses import dataclass

from jitorch.errors import DeviceError


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Device:
    """``device("cpu")``, ``device("cuda", 0)`` or ``device("cuda:0")``."""

    type: str
    index: int | None

    def __init__(self, type: str | Device, index: int | None = None):
        if isinstance(type, Device):
            type, index = type.type, type.index
        name, colon, number = type.partition(":")
        if name not in ("cpu", "cuda", "meta") or (colon and not number.isdigit()):
            raise DeviceError(f"unknown device {type!r}", expected="cpu, cuda or cuda:N", actual=type)
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", int(number) if colon else index)

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"


CPU = Device("cpu")


@dataclass(frozen=True, slots=True, repr=False)
class MemoryFormat:
    """An order of elements in memory.  Accepted wherever PyTorch takes one; new tensors are always row-major."""

    name: str

    def __repr__(self) -> str:
        return f"jitorch.{self.name}"


@dataclass(frozen=True, slots=True, repr=False)
class Layout:
    """How elements are stored; ``strided`` is the only one."""

    name: str

    def __repr__(self) -> str:
        return f"jitorch.{self.name}"


contiguous_format = MemoryFormat("contiguous_format")
preserve_format = MemoryFormat("preserve_format")
channels_last = MemoryFormat("channels_last")
channels_last_3d = MemoryFormat("channels_last_3d")
strided = Layout("strided")


def check(device: Device | str | None) -> Device:
    """The device asked for; only ``cpu`` holds tensors so far."""
    if device is None:
        return CPU
    found = Device(device)
    if found.type != "cpu":
        raise DeviceError(
            f"device {found} cannot hold tensors yet",
            expected="cpu",
            actual=str(found),
            hint="the cuda backend compiles kernels (see docs/cuda.md); running them on a GPU is not implemented",
        )
    return CPU
