"""Kernels as CUDA C++, for NVRTC: no host code, no headers but those of half and bfloat16.

Written for and compiled by NVRTC 13.0; see the CUDA C++ Programming Guide and the CUDA Math API for the names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Kernel
from jitorch.lower.gpu.launch import Geometry, geometry, nests
from jitorch.lower.source.clike import CLike, Text, indented
from jitorch.lower.source.words import PRIMARY, UNARY

_HEADERS = {dtypes.float16: "#include <cuda_fp16.h>\n", dtypes.bfloat16: "#include <cuda_bf16.h>\n"}
_FROM_DOUBLE = {dtypes.float16: "__double2half({x})", dtypes.bfloat16: "__double2bfloat16({x})"}
_INFINITY = {dtypes.float32: "__int_as_float(0x7f800000)", dtypes.float64: "__longlong_as_double(0x7ff0000000000000LL)"}
_NAN = {dtypes.float32: "__int_as_float(0x7fc00000)", dtypes.float64: "__longlong_as_double(0x7ff8000000000000LL)"}


class CudaSource(CLike):
    """CUDA C++.  Block loops become ``blockIdx``, thread loops ``threadIdx``, barriers ``__syncthreads``.

    ``index_bits`` may be 32 where all buffers, and what `jitorch.lower.schedules.positions.limited_extents` gives, are
    below `jitorch.lower.schedules.positions.LIMIT`; else it is 64.
    """

    name = "CUDA"
    types: Mapping[DType, str] = {
        dtypes.bool_: "bool", dtypes.int8: "signed char", dtypes.int16: "short", dtypes.int32: "int",
        dtypes.int64: "long long", dtypes.uint8: "unsigned char", dtypes.uint16: "unsigned short",
        dtypes.uint32: "unsigned int", dtypes.uint64: "unsigned long long", dtypes.float16: "__half",
        dtypes.bfloat16: "__nv_bfloat16", dtypes.float32: "float", dtypes.float64: "double",
    }  # fmt: skip
    widened: Mapping[DType, tuple[str, str]] = {
        dtypes.float16: ("__half2float({x})", "__float2half_rn({x})"),
        dtypes.bfloat16: ("__bfloat162float({x})", "__float2bfloat16_rn({x})"),
    }
    inline = "static __device__ __forceinline__"
    pointer = "{const}{type} *__restrict__ {name}"
    spaces: Mapping[str, str] = {"shared": "__shared__ ", "local": ""}

    def __init__(self, index_bits: int = 64):
        super().__init__()
        self.index_type = dtypes.int32 if index_bits == 32 else dtypes.int64
        self.headers: dict[str, None] = {}
        self.geometry = Geometry((), (), 0)
        self.depth = {"block": 0, "thread": 0}

    def type(self, dtype: DType) -> str:
        if dtype in _HEADERS:
            self.headers[_HEADERS[dtype]] = None
        return super().type(dtype)

    def prelude(self) -> str:
        return "".join(self.headers)

    def integer(self, value: int, dtype: DType) -> Text:
        if value in (-(2**63), -(2**31)):
            # The least integer is no literal: C reads a sign and a number one too great.
            return Text("(-9223372036854775807LL - 1)" if value < -(2**31) else "(-2147483647 - 1)")
        if -(2**31) < value < 2**31:
            return super().integer(value, dtype)
        suffix = "LL" if dtype.is_signed else "ULL"
        return Text(f"{value}{suffix}", UNARY if value < 0 else PRIMARY)

    def number(self, value: float, dtype: DType) -> Text:
        if np.isnan(value):
            return Text(_NAN[dtype])
        if np.isinf(value):
            return Text(_INFINITY[dtype]) if value > 0 else Text(f"-{_INFINITY[dtype]}", UNARY)
        return super().number(value, dtype)

    def narrowed(self, x: Text, source: DType, target: DType) -> Text:
        # By way of float a double would be rounded twice.
        return (
            Text(_FROM_DOUBLE[target].format(x=x)) if source is dtypes.float64 else super().narrowed(x, source, target)
        )

    def barrier(self) -> str:
        return "__syncthreads();"

    def function(self, kernel: Kernel, name: str | None = None) -> str:
        self.geometry = geometry(kernel)
        self.depth = {"block": len(self.geometry.grid), "thread": len(self.geometry.block)}
        for nest in nests(kernel.body, "thread"):
            self.check_barriers(kernel, nest)
        return super().function(kernel, name)

    def check_barriers(self, kernel: Kernel, nest: tuple[k.For, ...]) -> None:
        """A nest narrower than the block leaves threads out, which could then not reach its barriers."""
        sizes = tuple(loop.extent for loop in reversed(nest))
        has_barrier = any(isinstance(s, k.Barrier) for s in k.walk(nest[0]))
        if has_barrier and sizes != tuple(map(k.const, self.geometry.block)):
            self.unsupported(f"a barrier in some of a block's threads (kernel {kernel.name})")

    def signature(self, kernel: Kernel, name: str, params: str) -> str:
        params = "" if params == "void" else params
        return f'extern "C" __global__ void __launch_bounds__({max(self.geometry.threads, 1)}) {name}({params})'

    def block(self, body: Iterable[k.Stmt]) -> list[str]:
        *before, last = tuple(body) or (None,)
        if not isinstance(last, k.For) or last.kind not in self.depth:
            return super().block((*before, *([] if last is None else [last])))
        # The last loop of a block needs no braces of its own.
        outer, positive = self.scope, self.positive
        lines = [line for stmt in before for line in self.statement(stmt)]
        lines += self.bound(last)
        self.scope, self.positive = outer, positive
        return lines

    def for_(self, loop: k.For) -> list[str]:
        return ["{", *indented(self.bound(loop)), "}"] if loop.kind in self.depth else super().for_(loop)

    def bound(self, loop: k.For) -> list[str]:
        """A loop that the grid or the block runs: its variable and its body."""
        outer, kind = self.scope, loop.kind
        self.depth[kind] -= 1
        axis = self.depth[kind]
        line = f"const {self.type(self.index_type)} {self.define(loop.var.name)} = {kind}Idx.{'xyz'[axis]};"
        body = self.block(loop.body)
        if kind == "thread" and loop.extent != k.const(self.geometry.block[axis]):
            test = f"if ({self.scope[loop.var.name]} < {self.extent(loop.extent).within(10)}) {{"
            body = [test, *indented(body), "}"]
        self.depth[kind] += 1
        self.scope = outer
        return [line, *body]

    def loop(self, loop: k.For, header: str) -> list[str]:
        if loop.kind in ("unroll", "vector"):
            return ["#pragma unroll", f"{header} {{"]
        # 64-bit index arithmetic is long; unrolling it by the compiler's own choice costs more than it gains.
        return [f"{header} {{"] if self.index_type is dtypes.int32 else ["#pragma unroll 1", f"{header} {{"]
