from __future__ import annotations

import pytest

import jitorch
from jitorch.autograd import grad_mode
from jitorch.errors import ArgumentError


def recorded() -> bool:
    return (jitorch.ones(1, requires_grad=True) * 2).requires_grad


def test_no_grad_as_context_and_decorator():
    with jitorch.no_grad():
        assert not recorded()
        with jitorch.enable_grad():
            assert recorded()
        assert not jitorch.is_grad_enabled()
    assert recorded()
    assert not jitorch.no_grad()(recorded)()
    assert not jitorch.no_grad(recorded)()
    assert recorded()


def test_the_mode_is_restored_after_an_error():
    with pytest.raises(RuntimeError, match="inside"), jitorch.no_grad():
        raise RuntimeError("inside")
    assert jitorch.is_grad_enabled()


def test_one_object_may_be_entered_twice():
    mode = jitorch.no_grad()
    with mode, mode:
        assert not recorded()
    assert recorded()


def test_set_grad_enabled_acts_at_once_and_is_undone_by_with():
    jitorch.set_grad_enabled(False)
    assert not recorded()
    jitorch.set_grad_enabled(True)
    with jitorch.set_grad_enabled(False):
        assert not recorded()
    assert recorded()


def test_set_grad_enabled_as_decorator():
    @jitorch.set_grad_enabled(False)
    def inner() -> bool:
        return recorded()

    assert recorded()
    assert not inner()


def test_inference_mode():
    with jitorch.inference_mode():
        assert not recorded()
    with jitorch.inference_mode(False):
        assert recorded()
    assert not jitorch.inference_mode(recorded)()
    assert not grad_mode.is_inference_mode_enabled()


def test_a_mode_is_a_bool():
    with pytest.raises(ArgumentError, match="bool"):
        jitorch.set_grad_enabled(1)
