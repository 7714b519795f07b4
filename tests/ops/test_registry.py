"""What every published name gives for free: keyword aliases, ``out=``, errors for arguments that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.errors import ArgumentError, CompilerBug, DTypeError, ShapeError
from jitorch.ops import OPS, PUBLIC
from jitorch.ops.registry import function

X = np.arange(6.0).reshape(2, 3)


def x() -> jitorch.Tensor:
    return jitorch.from_numpy(X.copy())


def test_keywords_by_numpys_names():
    np.testing.assert_array_equal(jitorch.sum(x(), axis=0, keepdims=True).numpy(), X.sum(0, keepdims=True))
    np.testing.assert_array_equal(jitorch.cat([x(), x()], axis=1).numpy(), np.concatenate([X, X], 1))
    np.testing.assert_array_equal(jitorch.add(x1=x(), x2=1).numpy(), X + 1)
    np.testing.assert_array_equal(x().max(axis=1).values.numpy(), X.max(1))


def test_a_name_given_twice():
    with pytest.raises(ArgumentError, match="axis"):
        jitorch.sum(x(), dim=0, axis=0)


@pytest.mark.parametrize("call", [lambda: jitorch.sum(x(), dimension=0), lambda: jitorch.cat([x()], dimension=0)])
def test_unknown_keyword(call):
    with pytest.raises(ArgumentError, match="dimension"):
        call()


@pytest.mark.parametrize("call", [lambda: jitorch.sum(), lambda: jitorch.cat(), lambda: x().reshape(1, 2, bad=3)])
def test_missing_and_unexpected_arguments_show_the_signature(call):
    with pytest.raises(ArgumentError) as raised:
        call()
    assert "expected:" in str(raised.value)


def test_out_receives_the_result():
    out = jitorch.zeros(2, 3)
    assert jitorch.exp(x(), out=out) is out
    np.testing.assert_allclose(out.numpy(), np.exp(X).astype("float32"))


def test_out_of_several_results():
    values, indices = jitorch.zeros(2).double(), jitorch.zeros(2).long()
    result = jitorch.max(x(), 1, out=(values, indices))
    assert result.values is values and result.indices is indices
    assert values.tolist() == [2, 5] and indices.tolist() == [2, 2]


def test_out_must_fit():
    with pytest.raises(ShapeError, match="shape"):
        jitorch.exp(x(), out=jitorch.zeros(3))
    with pytest.raises(DTypeError, match="dtype"):
        jitorch.exp(x(), out=jitorch.zeros(2, 3).long())
    with pytest.raises(ArgumentError, match="one tensor per result"):
        jitorch.max(x(), 1, out=jitorch.zeros(2))
    with pytest.raises(ArgumentError, match="tensor"):
        jitorch.exp(x(), out=3)


def test_an_error_inside_of_a_function_is_not_taken_for_a_wrong_argument():
    @function(places=())
    def fails(value: int) -> int:
        return value + "text"  # type: ignore[operator]

    with pytest.raises(TypeError) as raised:
        fails(1)
    assert not isinstance(raised.value, ArgumentError)


def test_two_ops_of_one_name():
    with pytest.raises(CompilerBug, match="published"):

        @function(name="sum", places=("torch",))
        def other() -> None:
            """Takes a name that is taken."""

    assert PUBLIC["sum"] is OPS["sum"]


def test_methods_and_in_place_forms():
    t = x()
    assert t.mul_(2) is t
    np.testing.assert_array_equal(t.numpy(), X * 2)
    assert not hasattr(t, "uniform") and hasattr(t, "uniform_")
    assert t.T.shape == (3, 2)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_entry_is_documented_and_has_samples(name):
    entry = PUBLIC[name]
    assert entry.doc, f"{name} has no docstring"
    assert "samples" in entry.rules, f"{name} has no samples"
