"""The public function: names, errors, and the file."""

from __future__ import annotations

import importlib.util
import os
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from jitorch_onnx import check, export

import jitorch
from jitorch import nn
from jitorch.errors import (
    ArgumentError,
    CompilerBug,
    ShapeError,
    StagingError,
    TensorIndexError,
    UnsupportedError,
    ValueRangeError,
)
from jitorch.nn import functional as F


def names(values) -> list[str]:
    return [value.name for value in values]


def shape(value) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


X = jitorch.from_numpy(np.arange(6, dtype=np.float32).reshape(2, 3))


# ---- names ----------------------------------------------------------------------------------------
def test_inputs_are_named_like_parameters_and_outputs_by_their_place():
    def function(x, pair, *, scale):
        return {"sum": x + pair[0], "parts": (pair[1] * scale["by"], x)}

    model = export(function, (X, (X, X)), kwargs={"scale": {"by": X}})
    assert names(model.graph.input) == ["x", "pair_0", "pair_1", "scale.by"]
    assert names(model.graph.output) == ["sum", "parts_0", "parts_1"]


def test_one_output_and_several():
    assert names(export(lambda x: x + 1, X).graph.output) == ["output"]
    assert names(export(lambda x: (x + 1, x + 2), X).graph.output) == ["output_0", "output_1"]


def test_an_input_called_like_a_parameter():
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(jitorch.ones(3))

        def forward(self, weight):
            return weight * self.weight

    model = export(Scale(), X)
    assert names(model.graph.input) == ["weight"]
    assert len(model.graph.initializer) == 1


def test_outputs_that_are_inputs_constants_and_each_other():
    captured = jitorch.ones(2)

    def function(x):
        y = x * 2
        return x, y, y, captured, jitorch.zeros(2)

    model = export(function, X)
    assert len(set(names(model.graph.output))) == 5


def test_chosen_names():
    model = export(lambda x: x + 1, X, input_names=["features"], output_names=["score"])
    assert names([*model.graph.input, *model.graph.output]) == ["features", "score"]


@pytest.mark.parametrize("chosen", [["a", "b"], [], [""]])
def test_names_that_do_not_fit(chosen):
    with pytest.raises(ArgumentError, match="input_names"):
        export(lambda x: x + 1, X, input_names=chosen)
    with pytest.raises(ArgumentError, match="output_names"):
        export(lambda x: x + 1, X, output_names=chosen)


def test_an_output_named_like_an_input():
    with pytest.raises(ArgumentError, match="names must be different"):
        export(lambda x: x + 1, X, output_names=["x"])


def test_where_a_node_comes_from_is_kept():
    model = export(lambda x: jitorch.tanh(x), X)
    assert model.graph.node[0].doc_string.startswith("test_export.py:")
    assert model.producer_name == "jitorch"


# ---- dynamic axes -----------------------------------------------------------------------------------
def test_sizes_of_outputs_follow():
    model = export(lambda x: jitorch.cat([x, x], 0), X, dynamic_axes={"x": {0: "batch"}})
    assert shape(model.graph.output[0]) == ["2*batch", 3]


def test_axes_by_number():
    model = export(lambda x: x + 1, X, dynamic_axes={"x": [0, -1]})
    assert shape(model.graph.input[0]) == ["x_axis_0", "x_axis_1"]


def test_axes_of_outputs_may_be_named_too():
    export(lambda x: x + 1, X, dynamic_axes={"x": {0: "batch"}, "output": {0: "batch"}})


def test_a_size_the_function_fixes():
    weight = jitorch.ones(2, 3)
    with pytest.raises(ValueRangeError, match="some sizes of the dynamic axes") as caught:
        export(lambda x: x + weight, X, dynamic_axes={"x": {0: "batch"}})
    assert "2 == batch" in str(caught.value)


def test_equal_axes_need_one_name():
    def function(x, y):
        return x + y

    with pytest.raises(ValueRangeError, match="some sizes"):
        export(function, (X, X), dynamic_axes={"x": {0: "a"}, "y": {0: "b"}})
    export(function, (X, X), dynamic_axes={"x": {0: "a"}, "y": {0: "a"}})


def test_one_name_for_two_sizes():
    with pytest.raises(ShapeError, match="two sizes"):
        export(lambda x: x + 1, X, dynamic_axes={"x": {0: "n", 1: "n"}})


def test_axes_that_are_not_there():
    with pytest.raises(TensorIndexError, match="dynamic axis"):
        export(lambda x: x + 1, X, dynamic_axes={"x": {2: "n"}})
    with pytest.raises(ArgumentError, match="names no input or output"):
        export(lambda x: x + 1, X, dynamic_axes={"y": {0: "n"}})
    with pytest.raises(ArgumentError, match="identifier"):
        export(lambda x: x + 1, X, dynamic_axes={"x": {0: "batch size"}})


def test_limits_are_said_and_kept():
    with pytest.warns(UserWarning, match="valid only where"):
        model = export(lambda x: x[:, :2], X, dynamic_axes={"x": {1: "length"}})
    assert {p.key: p.value for p in model.metadata_props} == {"jitorch.limits": "2 <= length"}


# ---- what cannot be exported --------------------------------------------------------------------------
def test_all_that_cannot_be_exported_is_listed_with_lines(tmp_path):
    def function(x):
        first = x.to(jitorch.complex64)
        second = jitorch.tanh(x)
        return first, second, x.to(jitorch.complex128)

    with pytest.raises(UnsupportedError) as caught:
        export(function, X, tmp_path / "model.onnx")
    message = str(caught.value)
    assert "first = x.to(jitorch.complex64)" in message
    assert "return first, second, x.to(jitorch.complex128)" in message
    assert message.count("cast: ONNX's Cast") == 2
    assert list(tmp_path.iterdir()) == []


def test_training_mode_is_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UnsupportedError, match="writes to tensors") as caught:
        export(model, X)
    assert "1.running_mean" in str(caught.value)
    assert "eval()" in str(caught.value)
    assert all((before[name] == tensor).all() for name, tensor in model.state_dict().items())
    export(model.eval(), X)


def test_random_numbers_are_refused():
    with pytest.raises(UnsupportedError, match="writes to tensors") as caught:
        export(lambda x: F.dropout(x, 0.5), X)
    assert "the random generator" in str(caught.value)


def test_a_value_that_would_be_frozen_is_refused_at_its_line():
    def function(x):
        return x * max(x[0].tolist())

    with pytest.raises(StagingError) as caught:
        export(function, X)
    assert "return x * max(x[0].tolist())" in str(caught.value)


def test_errors_of_the_function_itself_come_through():
    with pytest.raises(ShapeError, match="matmul"):
        export(lambda x: x @ x, X)


def test_no_tensor_comes_back():
    with pytest.raises(ArgumentError, match="returns no tensor"):
        export(lambda x: 1.5, X)


def test_arguments_that_do_not_fit():
    with pytest.raises(ArgumentError, match="do not fit"):
        export(lambda x: x, (X, X))


@pytest.mark.parametrize("version", [12, 24, 0])
def test_unknown_opsets(version):
    with pytest.raises(ValueRangeError, match="opset_version"):
        export(lambda x: x + 1, X, opset_version=version)


def test_an_operator_that_an_old_opset_lacks():
    index = jitorch.from_numpy(np.array([0, 1, 1]))

    def add_at(x, index):
        return jitorch.zeros(2).index_add(0, index, x[0])

    export(add_at, (X, index), opset_version=16)
    with pytest.raises(UnsupportedError, match="needs opset 16"):
        export(add_at, (X, index), opset_version=15)


# ---- modules are left as they were ----------------------------------------------------------------------
def test_attributes_that_forward_assigns_are_put_back():
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.seen = None, []

        def forward(self, x):
            self.last = x * 2
            self.added = True
            return self.last + 1

    model = Remembers()
    export(model, X, verify=False)
    assert model.last is None
    assert not hasattr(model, "added")


def test_a_buffer_that_forward_replaces_is_refused():
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", jitorch.zeros(()))

        def forward(self, x):
            self.count = self.count + 1
            return x * self.count

    model = Counts()
    count = model.count
    with pytest.raises(UnsupportedError, match="writes to tensors"):
        export(model, X)
    assert model.count is count


def test_an_argument_written_in_place():
    def function(x):
        x += 1
        return x * 2

    x = X.clone()
    model = export(function, x)
    assert (x == X).all()
    (got,) = check.Runner(model).run({"x": X.numpy()})
    assert (got == (X.numpy() + 1) * 2).all()


def test_parameters_that_are_views_of_one_tensor():
    base = jitorch.from_numpy(np.arange(12, dtype=np.float32))
    left, right = base[:6].view(2, 3), base[6:].view(2, 3)
    model = export(lambda x: x * left + right, X)
    assert len([i for i in model.graph.initializer if len(i.dims) == 1 and i.dims[0] == 12]) == 1


def test_parameters_that_need_gradients():
    weight = nn.Parameter(jitorch.ones(3))
    export(lambda x: x * weight, X)
    assert weight.grad is None


# ---- the file ---------------------------------------------------------------------------------------------
def test_the_file_is_what_is_returned(tmp_path):
    path = tmp_path / "model.onnx"
    model = export(lambda x: x + 1, X, path)
    assert onnx.load(path) == model
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        export(lambda x: x + 1, X, path)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    monkeypatch.undo()
    export(lambda x: x + 1, X, str(path))
    onnx.checker.check_model(str(path))


def test_nothing_is_written_when_the_results_differ(tmp_path, monkeypatch):
    run = check.Runner.run
    monkeypatch.setattr(check.Runner, "run", lambda self, feeds: [array + 1 for array in run(self, feeds)])
    with pytest.raises(CompilerBug, match="differs from jitorch"):
        export(lambda x: x + 1, X, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    export(lambda x: x + 1, X, tmp_path / "model.onnx", verify=False)


def test_without_onnxruntime_the_checker_has_to_do(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else found(name))
    monkeypatch.setattr(check, "Runner", None)
    export(lambda x: x + 1, X)


def test_the_entry_point_is_the_function():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    points = project["project"]["entry-points"]["jitorch.exporters"]
    assert points == {"onnx": f"{export.__module__.partition('.')[0]}:{export.__name__}"}
