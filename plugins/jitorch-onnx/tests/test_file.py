"""Nodes are typed, kept once, and pruned."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from jitorch_onnx.file import File, element_type

from jitorch import dims, dtypes
from jitorch.errors import CompilerBug, UnsupportedError
from jitorch.ir.types import TensorType


def f32(*shape) -> TensorType:
    return TensorType(dtypes.float32, shape)


def test_dtypes_are_onnx_names():
    assert {d: onnx.TensorProto.DataType.Name(element_type(d)) for d in (dtypes.bool_, dtypes.float16)} == {
        dtypes.bool_: "BOOL",
        dtypes.float16: "FLOAT16",
    }
    assert len({element_type(d) for d in dtypes.ALL}) == len(dtypes.ALL)


def test_types_are_inferred():
    file = File(18)
    x = file.add_input("x", f32(2, 3))
    (shape,) = file.node("Shape", [x], 1, "", {})
    assert file.dtype(shape) is dtypes.int64
    with pytest.raises(CompilerBug, match="not what the graph says"):
        file.describe(shape, f32(2))
    with pytest.raises(CompilerBug, match="not what the graph says"):
        file.describe(shape, TensorType(dtypes.int64, (3,)))
    file.describe(shape, TensorType(dtypes.int64, (2,)))


def test_equal_nodes_are_one():
    file = File(18)
    x = file.add_input("x", f32(2))
    a, b, c = (file.node("Elu", [x], 1, "", {"alpha": alpha})[0] for alpha in (1.0, 1.0, 2.0))
    assert a == b != c


def test_equal_constants_are_one():
    file = File(18)
    zeros = [file.constant(np.zeros(2, dtype)) for dtype in (np.float32, np.float32, np.int64)]
    assert zeros[0] == zeros[1] != zeros[2]
    assert file.constant(np.float32(-0.0)) != file.constant(np.float32(0.0))
    array = file.array(zeros[2])
    assert array is not None and array.dtype == np.int64


def test_what_onnx_does_not_define_is_refused():
    file = File(18)
    x = file.add_input("x", TensorType(dtypes.bool_, (2,)))
    with pytest.raises(UnsupportedError, match=r"Exp of opset 18: .*tensor\(bool\)"):
        file.node("Exp", [x], 1, "", {})
    with pytest.raises(UnsupportedError, match="opset 18 has no operator Gelu"):
        file.node("Gelu", [x], 1, "", {})


def test_names_are_never_taken_twice():
    file = File(18, reserved=["Relu_1"])
    x = file.add_input("x", f32(2))
    assert file.add_parameter("x", np.zeros(2, np.float32)) != "x"
    assert file.node("Relu", [x], 1, "", {}) != ("Relu_1",)


def test_a_finished_model_holds_what_it_needs():
    file = File(18)
    x = file.add_input("x", f32(2))
    file.node("Exp", [x], 1, "", {})
    file.constant(np.ones(3, np.float32))
    (y,) = file.node("Add", [x, file.constant(np.ones(2, np.float32))], 1, "here.py:1", {})
    model = file.finish("main", [("y", y, f32(2))])
    onnx.checker.check_model(model, full_check=True)
    assert [(n.op_type, list(n.output), n.doc_string) for n in model.graph.node] == [("Add", ["y"], "here.py:1")]
    assert len(model.graph.initializer) == 1


def test_symbolic_sizes_are_read_from_the_first_input_that_shows_them():
    file = File(18)
    n = dims.symbol("n", low=1)
    file.add_input("x", f32(2 * n))
    file.add_input("y", f32(3, n))
    file.add_input("z", f32(n))
    assert file.symbols == {"n": ("y", 1)}


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_constants_keep_their_bits(dtype):
    array = np.array([0, 1, 3], np.float32).astype(dtype.numpy)
    file = File(18)
    model = file.finish("main", [("y", file.constant(array), TensorType(dtype, (3,)))])
    (initializer,) = model.graph.initializer
    assert initializer.data_type == element_type(dtype)
    assert initializer.raw_data == array.tobytes()
