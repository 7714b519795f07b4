"""A model is checked before it is written: by ONNX's checker, and by running it."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.checker
import onnx.reference
import onnx.shape_inference
from onnx.reference.op_run import OpRun

from jitorch.errors import CompilerBug, UnsupportedError
from jitorch.ir import scalars

# A runtime rounds halves after every operator, jitorch once an op: eight units in the last place.
_TOLERANCE = {
    np.dtype(ml_dtypes.bfloat16): 8 * 2.0**-7,
    np.dtype(np.float16): 8 * 2.0**-10,
    np.dtype(np.float32): 1e-4,
}
_TOLERANCE_OF_DOUBLES = 1e-9

_FATAL = 4
"""The severity of what onnxruntime still logs: errors reach us as exceptions."""

Feeds = Mapping[str, np.ndarray[Any, Any]]
Arrays = Sequence[np.ndarray[Any, Any]]


def refuse_complex(model: onnx.ModelProto) -> None:
    """UnsupportedError where an input or output is complex: ONNX names the type, but no runtime takes it."""
    complex_types = (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)
    tensors = (*model.graph.input, *model.graph.output)
    names = [t.name for t in tensors if t.type.tensor_type.elem_type in complex_types]
    if names:
        raise UnsupportedError("export: complex numbers", actual=", ".join(names), hint="export view_as_real(x)")


def check_model(model: onnx.ModelProto) -> None:
    """ONNX's own checker, with strict shape and type inference; CompilerBug where it objects."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise CompilerBug(f"the ONNX file is not valid: {error}") from error


class Runner:
    """Runs a model in onnxruntime, or in ONNX's reference evaluator where onnxruntime lacks a kernel."""

    def __init__(self, model: onnx.ModelProto):
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

        options = onnxruntime.SessionOptions()  # pyright: ignore[reportAttributeAccessIssue]
        options.log_severity_level = _FATAL
        self.missing: str | None = None
        if any(value.type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16 for value in self._ends(model)):
            self.missing = "its Python interface has no bfloat16"
            self._session = _reference(model)
            return
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except NoKernel as error:
            self.missing = str(error)
            self._session = _reference(model)

    @staticmethod
    def _ends(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
        return [*model.graph.input, *model.graph.output]

    def run(self, feeds: Feeds) -> list[np.ndarray[Any, Any]]:
        """The outputs for ``feeds``."""
        return [np.asarray(result) for result in self._session.run(None, dict(feeds))]


class Erf(OpRun):
    """The error function in full precision; the reference evaluator's own is good to 1e-7."""

    op_domain = ""

    def _run(self, x: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any]]:
        return (scalars.TABLE["erf"].numpy(x),)


def _reference(model: onnx.ModelProto) -> onnx.reference.ReferenceEvaluator:
    return onnx.reference.ReferenceEvaluator(model, new_ops=[Erf])


def runner(model: onnx.ModelProto) -> Runner | None:
    """What runs ``model`` here; None where onnxruntime is not installed.  Warns where it lacks a kernel."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    made = Runner(model)
    if made.missing is not None:
        warnings.warn(
            f"onnxruntime cannot run this model, ONNX's reference evaluator does: {made.missing}", stacklevel=4
        )
    return made


def compare(names: Sequence[str], found: Arrays, expected: Arrays, tolerance: float | None) -> float:
    """The greatest difference, relative to the greatest element of its output (or to 1).

    CompilerBug where a dtype or a shape differs, or a difference exceeds ``tolerance`` (None: 1e-4 for
    float32, 1e-9 for float64, 8 units in the last place for float16 and bfloat16; integers must be equal).
    """
    worst = 0.0
    for name, got, want in zip(names, found, expected, strict=True):
        if got.dtype != want.dtype or got.shape != want.shape:
            raise CompilerBug(
                f"output {name!r} of the ONNX file has another type than in jitorch",
                expected=f"{want.dtype}{list(want.shape)}", actual=f"{got.dtype}{list(got.shape)}",
            )  # fmt: skip
        limit = _limit(want.dtype) if tolerance is None else tolerance
        difference = _difference(got, want)
        if not difference <= limit:
            what = f"output {name!r} of the ONNX file differs from jitorch's"
            raise CompilerBug(what, expected=f"at most {limit:g}", actual=difference)
        worst = max(worst, difference)
    return worst


def _limit(dtype: np.dtype[Any]) -> float:
    if dtype.kind in "biu":
        return 0.0
    return _TOLERANCE.get(dtype, _TOLERANCE_OF_DOUBLES)


def _difference(got: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> float:
    if want.size == 0:
        return 0.0
    if want.dtype.kind in "biu":
        return float(np.count_nonzero(got != want))
    a, b = got.astype(np.float64), want.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    finite = np.isfinite(b)
    scale = max(1.0, float(np.abs(b[finite]).max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        return float(np.where(same, 0.0, np.abs(a - b)).max()) / scale
