"""Packages that add ops, passes and exporters, as `pip` would leave them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import jitorch
from jitorch import config, plugins
from jitorch.compiler import compile_graph
from jitorch.errors import ArgumentError, PluginError
from jitorch.ops import OPS, PUBLIC, op
from tests.backends.plugins import install
from tests.samples import trace

OP = """
import jitorch
from jitorch.ops import Sample, op

@op
def cubed(x: jitorch.Tensor, *, scale: float = 1.0):
    \"\"\"The third power, scaled.\"\"\"
    return x * x * x * {factor} * scale

@cubed.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on `sys.path`; modules imported from it and ops they define are forgotten afterwards."""
    before = set(sys.modules), set(OPS), set(PUBLIC), set(vars(jitorch)), set(vars(jitorch.Tensor))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for place, known in zip((sys.modules, OPS, PUBLIC, vars(jitorch)), before):
        for name in set(place) - known:
            if place is not sys.modules or str(tmp_path) in (getattr(place[name], "__file__", None) or ""):
                del place[name]
    for name in set(vars(jitorch.Tensor)) - before[4]:
        delattr(jitorch.Tensor, name)


def test_an_op_of_a_package_is_like_one_of_ours(folder: Path) -> None:
    install(folder, "cubes", {"cubed": "cubed"}, OP.format(factor=1.0), plugins.OPS)
    assert "cubes" not in sys.modules
    x = jitorch.tensor([1.0, 2.0], requires_grad=True)
    assert jitorch.cubed(x).tolist() == [1, 8]
    assert x.cubed(scale=0.5).tolist() == [0.5, 4]
    jitorch.cubed(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3, 12]


def test_it_is_compiled(folder: Path) -> None:
    install(folder, "cubes", {"cubed": "cubed"}, OP.format(factor=1.0), plugins.OPS)

    @jitorch.jit(fullgraph=True)
    def function(x):
        return jitorch.cubed(x) + 1

    assert function(jitorch.tensor([1.0, 2.0])).tolist() == [2, 9]
    assert "cubed" in str(function.graph)


def test_code_of_an_op_that_changed_is_not_taken_from_the_cache(folder: Path, tmp_path: Path) -> None:
    def compiled(factor: float) -> tuple[float, bool]:
        OPS.pop("scaled_by_a_plugin", None)
        PUBLIC.pop("scaled_by_a_plugin", None)

        @op(name="scaled_by_a_plugin")
        def scaled(x: jitorch.Tensor):
            return x * factor

        result = compile_graph(trace(lambda x: scaled(x), [np.ones(2)]))
        return result.run([np.ones(2)])[0][0], result.cached

    with config.override(cache=True, cache_dir=tmp_path / "cache"):
        assert compiled(2.0) == (2.0, False)
        assert compiled(3.0) == (3.0, False)
        assert compiled(2.0) == (2.0, True)


def test_operands_are_told_by_their_annotations(folder: Path) -> None:
    @op(name="annotated_by_a_plugin", places=())
    def annotated(x: jitorch.Tensor, y: jitorch.Tensor | None = None, *, beta: float = 1.0, flag: bool = False):
        return x

    assert [p.kind for p in annotated.params] == ["tensor", "tensor", "number", "attr"]
    assert [p.optional for p in annotated.params] == [False, True, False, False]
    with pytest.raises(ArgumentError, match="op bare: parameter 'x' has no annotation"):

        @op(places=())
        def bare(x):
            return x


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(AttributeError, match=r"module 'jitorch' has no attribute 'no_such_op'"):
        jitorch.no_such_op
    assert not hasattr(jitorch, "_private")


def test_a_broken_package_breaks_its_own_name_only(folder: Path) -> None:
    install(folder, "bad-ops", {"broken": "broken"}, "import nothing_of_that_name", plugins.OPS)
    install(folder, "cubes", {"cubed": "cubed"}, OP.format(factor=1.0), plugins.OPS)
    with pytest.raises(PluginError, match=r"'broken' in jitorch\.ops, of package 'bad-ops', could not be loaded"):
        jitorch.broken
    assert jitorch.cubed(jitorch.tensor([2.0])).tolist() == [8]


def test_a_clash_names_both_owners(folder: Path) -> None:
    for package in ("one-ops", "two-ops"):
        install(folder, package, {"same": "cubed"}, OP.format(factor=1.0), plugins.OPS)
    with pytest.raises(PluginError, match=r"two packages provide 'same' in jitorch\.ops") as caught:
        jitorch.same
    assert set(str(caught.value.actual).split(" and ")) == {"one-ops (one_ops:cubed)", "two-ops (two_ops:cubed)"}


def test_no_package_replaces_one_of_ours(folder: Path) -> None:
    ours = jitorch.exp
    install(folder, "greedy", {"exp": "cubed"}, OP.format(factor=1.0), plugins.OPS)
    assert jitorch.exp is ours


PASS = """
def negate_exp(graph):
    from jitorch.ops import OPS
    found = [node for node in graph if node.op.name == "exp"]
    for node in found:
        node.op = OPS["neg"]
    return bool(found)
"""


def test_a_pass_runs_where_the_setting_names_it(folder: Path, tmp_path: Path) -> None:
    install(folder, "oddities", {"odd": "negate_exp"}, PASS, plugins.PASSES)
    graph = trace(lambda x: OPS["exp"](x), [np.ones(2)])
    with config.override(cache=True, cache_dir=tmp_path / "cache"):
        assert compile_graph(graph).run([np.ones(2)])[0].tolist() == pytest.approx([np.e] * 2)
        with config.override(passes=("odd",)):
            assert compile_graph(graph).run([np.ones(2)])[0].tolist() == [-1, -1]
        assert compile_graph(graph).run([np.ones(2)])[0].tolist() == pytest.approx([np.e] * 2)
    with config.override(passes=("absent",)), pytest.raises(PluginError, match="no package provides a pass 'absent'"):
        compile_graph(graph)


def test_an_exporter_by_name(folder: Path) -> None:
    install(folder, "formats", {"text": "export"}, "def export(model, args): return str(model)", plugins.EXPORTERS)
    assert plugins.exporter("text")("a model", ()) == "a model"
    with pytest.raises(PluginError, match="no package exports to 'nothing'") as caught:
        plugins.exporter("nothing")
    assert "text" in caught.value.expected


def test_claims_say_who(folder: Path) -> None:
    install(folder, "formats", {"text": "export"}, "", plugins.EXPORTERS)
    (claim,) = plugins.claims(plugins.EXPORTERS)["text"]
    assert claim == plugins.Claim("formats", "formats:export", "1.0")
    assert str(claim) == "formats (formats:export)"
