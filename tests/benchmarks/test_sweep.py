"""The sweep over ops: its rows, the arguments they get, and two of them from end to end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from benchmarks import sweep
from benchmarks.measure import Bench, Settings
from benchmarks.sweep import Point
from benchmarks.workloads import named


def shapes(op: str, elements: int, dtype: str = "float32") -> list[tuple[int, ...]]:
    arguments, keywords = sweep.scaled(op, dtype, elements, np.random.default_rng(0))
    return [x.shape for x in sweep.operands({"arguments": arguments, "keywords": keywords})]


@pytest.mark.parametrize(
    "point", [Point("nn.functional.relu", "float32", 16), Point("sort", "int64", 4096, True)], ids=["plain", "turned"]
)
def test_names_say_everything(point: Point) -> None:
    assert Point.named(point.name) == point
    assert named(point.name).kind == "operation"


def test_axes_grow_alike_and_kernels_stay() -> None:
    assert shapes("matmul", 4096) == [(42, 56), (56, 70)]
    assert shapes("nn.functional.conv2d", 4096) == [(6, 3, 15, 18), (12, 3, 3, 3), (12,)]
    assert shapes("nn.functional.layer_norm", 24 * 8)[0] == (4, 6, 8)


def test_sizes_grow_with_the_operands() -> None:
    arguments, _ = sweep.scaled("nn.functional.layer_norm", "float32", 24 * 8, np.random.default_rng(0))
    assert arguments[1] == [8]


def test_elements_are_in_the_domain_of_the_op() -> None:
    rng = np.random.default_rng(0)
    (table, index), _ = sweep.scaled("searchsorted", "float32", 4096, rng)
    assert (np.diff(table) >= 0).all()
    (x, axis, index), _ = sweep.scaled("gather", "float32", 4096, rng)
    assert index.dtype == np.int64 and index.min() >= 0 and index.max() < x.shape[axis]
    (x,), _ = sweep.scaled("atanh", "float32", 4096, rng)
    assert np.abs(x).max() < 1 and len(np.unique(x)) > 1000
    assert x.dtype == np.float32


def test_transposed_operands_lie_transposed() -> None:
    x = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    tensor = sweep.tensor(jitorch, x, True)
    np.testing.assert_array_equal(tensor.numpy(), x)
    assert tensor.stride() == (1, 2)
    assert sweep.tensor(jitorch, x, False).stride() == (3, 1)


@pytest.mark.parametrize("op", ["add", "cat", "scan_sum", "new_zeros", "nn.functional.softplus"])
def test_a_call_is_the_op(op: str) -> None:
    row = sweep.data(np.random.default_rng(0), Point(op, "float32", 16).name)
    call = sweep.call_of(jitorch, row["op"], row["arguments"], row["keywords"])
    tensors = [jitorch.from_numpy(x) for x in sweep.operands(row)]
    compiled = jitorch.jit(call, fullgraph=True)
    np.testing.assert_allclose(compiled(*tensors).numpy(), call(*tensors).numpy(), rtol=1e-6)


def test_names_of_ops() -> None:
    assert sweep.names("add,scan_sum") == ["add", "scan_sum"]
    with pytest.raises(SystemExit, match="no samples of nothing"):
        sweep.names("add,nothing")
    every = sweep.names("")
    assert "nn.functional.relu" in every and "ones" not in every


def test_what_makes_much_more_than_it_takes_is_left_out() -> None:
    assert sweep.is_too_large(Point("outer", "float32", 4096))
    assert not sweep.is_too_large(Point("add", "float32", 4096))
    assert not sweep.is_too_large(Point("nonzero", "float32", 4096))


def test_two_ops_from_end_to_end() -> None:
    found: dict[str, Any] = {"S.add/float32/4096": {"jitorch": {"seconds": 1.0}}}
    done: list[int] = []
    wanted = [Point(op, "float32", size) for op in ("add", "equal") for size in (16, 4096, 65536)]
    settings = Settings(["jitorch", "jitorch-eager"], 1, 1, 1e-4, reference="jitorch-eager")
    with Bench(settings) as bench:
        sweep.measure(bench, wanted, found, lambda: done.append(len(found)))
    assert all(found["S.add/float32/16"][peer]["seconds"] > 0 for peer in settings.peers)
    assert "nothing to compare with" in found["S.equal/float32/16"]["jitorch"]["error"]
    # What is there is not measured again, and what took a second has no larger row.
    assert found["S.add/float32/4096"] == {"jitorch": {"seconds": 1.0}}
    assert found["S.add/float32/65536"] == {}
    assert done == [2, 3, 4, 5, 6]
