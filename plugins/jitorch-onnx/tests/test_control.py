"""Branches and loops: each model is run in onnxruntime (by `export` itself) and in ONNX's reference evaluator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from jitorch_onnx import check, export

import jitorch
from jitorch import Tensor, nn
from jitorch.errors import StagingError, UnsupportedError
from jitorch.ir.graph import Graph
from jitorch.ops import OPS, control


def tensor(*values: Any) -> Tensor:
    return jitorch.tensor(np.array(values, np.float32))


def normal(*shape: int) -> Tensor:
    return jitorch.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))


# ---- models ---------------------------------------------------------------------------------------
def newton(a):
    x = a
    while ((x * x - a).abs() > 1e-6 * a).any():
        x = (x + a / x) / 2
    return x


def branches(x):
    if x.sum() > 0:
        y = x * 2
    else:
        y = x - 1
        if x.max() > 3:
            y = y * 3
    return y


def nested(x):
    i = 0
    while i < 5:
        j = 0
        while j < i:
            x = x + 1
            j = j + 1
        if x.sum() > 20:
            break
        i = i + 1
    return x, i


def rows(x):
    h = jitorch.zeros(3)
    found = []
    for row in x:
        h = jitorch.tanh(h + row)
        found.append(h * 2)
    return jitorch.stack(found), h


def counted(x):
    for i in range(20):
        x = (x * 1.25 + i).sin().exp().tanh()
    return x


def power(x):
    n = int(x[0])
    while n > 0:
        x = x * 1.5
        n = n - 1
    return x


def integers(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return n + steps


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        h = c = jitorch.zeros(x.shape[1], 5)
        outputs = []
        for i in range(x.shape[0]):
            h, c = self.cell(x[i], (h, c))
            outputs.append(self.head(h))
        return jitorch.stack(outputs), c


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        if x.norm() > 2:
            return self.large(x)
        return self.small(x)


MODELS: dict[str, tuple[Callable[..., Any], Tensor, list[Tensor], set[str]]] = {
    "newton": (newton, tensor(2, 3, 9), [tensor(1, 100, 0.5), tensor(1, 1, 1)], {"Loop"}),
    "branches": (branches, normal(3), [-normal(3), tensor(4, -9, 0)], {"If"}),
    "nested": (nested, normal(4), [normal(4) * 10], {"Loop", "If"}),
    "rows": (rows, normal(40, 3), [normal(40, 3) * 2], {"Scan"}),
    "counted": (counted, normal(4), [normal(4) * 3], {"Scan"}),
    "power": (power, tensor(3, 2), [tensor(0, 2), tensor(-4, 1)], {"Loop"}),
    "integers": (integers, jitorch.tensor(27), [jitorch.tensor(1), jitorch.tensor(6)], {"Loop", "If"}),
    "recurrent": (Recurrent().eval(), normal(24, 2, 4), [], {"Scan"}),
    "gated": (Gated().eval(), normal(3), [normal(3) * 10, normal(3) * 0], {"If"}),
}


def operators(graph: onnx.GraphProto) -> set[str]:
    """All operators of a graph and of the graphs in it."""
    found = set()
    for node in graph.node:
        found.add(node.op_type)
        for attribute in node.attribute:
            found |= operators(attribute.g)
    return found


@pytest.mark.parametrize("opset", [13, 18, 23])
@pytest.mark.parametrize("name", MODELS)
def test_models(name, opset):
    function, x, more, wanted = MODELS[name]
    model = export(function, x, check_inputs=more, opset_version=opset)
    assert operators(model.graph) & {"If", "Loop", "Scan"} == wanted
    reference = onnx.reference.ReferenceEvaluator(model)
    for example in (x, *more):
        found = reference.run(None, {model.graph.input[0].name: example.numpy()})
        expected = function(example)
        results = expected if isinstance(expected, tuple) else (expected,)
        assert isinstance(found, list)
        check.compare(
            [o.name for o in model.graph.output], [np.asarray(f) for f in found],
            [t.detach().numpy() if isinstance(t, Tensor) else np.asarray(t) for t in results], None,
        )  # fmt: skip


def test_sizes_inside_of_loops_may_be_symbols():
    def function(x):
        while x.sum() < 10:
            x = x + x.mean() + jitorch.ones(x.shape[0], 2)
        return x

    model = export(
        function, tensor((1, 2), (0, 1)), dynamic_axes={"x": {0: "batch"}}, check_inputs=[normal(5, 2), normal(1, 2)]
    )
    assert [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == ["batch", 2]


def test_rows_of_any_number():
    def function(x):
        h = x[0]
        for i in range(1, x.shape[0]):
            h = h * 0.5 + x[i]
        return h

    export(function, normal(20, 3), dynamic_axes={"x": {0: "steps"}}, check_inputs=[normal(31, 3)])


def test_a_loop_that_never_runs():
    export(power, tensor(0, 1))
    export(newton, tensor(1, 1, 1))


def test_parameters_are_read_from_around_a_branch():
    model = export(MODELS["gated"][0], normal(3))
    assert {i.name for i in model.graph.initializer} >= {"small.weight", "large.0.weight", "large.2.bias"}
    (node,) = [n for n in model.graph.node if n.op_type == "If"]
    assert node.doc_string.startswith("test_control.py:")
    assert all(not a.g.initializer and not a.g.input for a in node.attribute)


def test_an_output_that_a_branch_reads():
    def function(x):
        y = jitorch.tanh(x)
        z = x + y if y.sum() > 0 else y
        return y, z

    export(function, normal(3), check_inputs=[-normal(3)])


def test_a_constant_of_a_branch_is_also_used_outside():
    def function(x):
        y = jitorch.ones(3).expand(2, 3)
        z = x + y if x.sum() > 0 else x
        return z * y

    export(function, normal(2, 3), check_inputs=[-normal(2, 3)])


def test_checks_are_left_out_with_a_warning():
    def function(x):
        assert x.sum() > 0
        if x.max() > 5:
            raise ValueError("too large")
        while x.sum() < 3:
            assert x.min() > -9
            x = x + 1
        return x

    with pytest.warns(
        UserWarning, match=r"ONNX has no checks, these are left out: test_control.py:\d+, .*, "
    ) as caught:
        model = export(function, tensor(1, 0.5))
    assert len(caught) == 1
    assert operators(model.graph).isdisjoint({"If"})


def test_random_numbers_in_a_loop_are_refused():
    def function(x):
        while x.sum() < 3:
            x = x + jitorch.rand(2)
        return x

    with pytest.raises(UnsupportedError, match="the random generator"):
        export(function, tensor(1, 0.5))


def test_what_cannot_be_written_is_found_inside_of_branches():
    def function(x):
        if x.sum() > 0:
            y = jitorch.linalg.inv(x)
        else:
            y = x * 2
        return y

    with pytest.raises(UnsupportedError) as caught:
        export(function, jitorch.eye(2))
    assert "y = jitorch.linalg.inv(x)" in str(caught.value)


def test_what_cannot_be_joined_is_a_staging_error():
    def function(x):
        found = None
        if x.sum() > 0:
            found = x
        return found

    with pytest.raises(StagingError, match="on one path and None on another"):
        export(function, tensor(1, 2))


def test_a_scan_backwards():
    body = Graph.parse(
        "graph @body(%h: f32[2], %x: f32[2]) { %0: f32[2] = tanh(%h) %1: f32[2] = add(%0, %x) return %1, %0 }", OPS
    )

    def function(h, x):
        return control.run_scan([h], [x], [], body, 3, reverse=True)

    export(function, (normal(2), normal(3, 2)))


def test_a_counted_loop_backwards():
    body = Graph.parse("graph @body(%h: f32[2]) { %0: f32[2] = tanh(%h) return %0, %h }", OPS)

    def function(h):
        return control.run_scan([h], [], [], body, 3, reverse=True)

    export(function, normal(2))


SIZED = {
    "mask": lambda x: x[x > 0] * 2,
    "rows": lambda x: x[x.sum(1) > 0] @ x.T,
    "nonzero": lambda x: x.clamp(min=0).nonzero(),
    "a sum": lambda x: x[x > 0].sum(),
    "unique": lambda x: x.sign().unique(return_inverse=True, return_counts=True),
    "bincount": lambda x: jitorch.bincount((x * 3).abs().long().flatten()),
    "repeat_interleave": lambda x: jitorch.repeat_interleave(x, (x[:, 0] * 2).abs().long(), dim=0),
    "a size": lambda x: x.sum() / x[x > 0].shape[0],
    "a branch": lambda x: x[x > 0].sum() if x[x > 0].shape[0] > 3 else x.sum(),
    "a result of a branch": lambda x: x[x > 0] if x.sum() > 0 else x[x < 0],
}


@pytest.mark.parametrize("name", SIZED)
def test_sizes_that_the_model_finds_out(name):
    x = normal(6, 4)
    model = export(SIZED[name], x, check_inputs=[-x, x * 2])
    assert {"NonZero", "Range", "ReduceSum", "If"} & {node.op_type for node in model.graph.node}


def test_what_sorts_rows_has_no_counterpart():
    with pytest.raises(UnsupportedError, match="argsort_rows"):
        export(lambda x: x.unique(dim=0), normal(6, 4))


def test_equal_nodes_inside_and_outside_of_a_branch_are_one():
    def function(x):
        y = x.exp()
        z = x.exp() + 1 if x.sum() > 0 else x.exp() - 1
        return y + z

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = export(function, normal(3), check_inputs=[-normal(3)])
    assert [n.op_type for n in model.graph.node].count("Exp") == 1
    assert all("Exp" not in {n.op_type for n in a.g.node} for n in model.graph.node for a in n.attribute)
