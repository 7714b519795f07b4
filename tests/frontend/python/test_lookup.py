"""Look-ups in classes: what is found, and the guards for what is not."""

from __future__ import annotations

import abc
import collections
import types
from typing import Any

import pytest

from jitorch import nn
from jitorch.frontend.python.guards import changed_paths, compile_guards
from jitorch.frontend.python.lookup import may_change
from tests.frontend.python.test_fork import new_trace
from tests.frontend.python.toy import ToyRecorder


def classes() -> tuple[type, type, type]:
    """A class, one derived from it and one derived from that."""

    class One:
        n = 1

        def act(self) -> int:
            return 1

    class Two(One):
        pass

    class Three(Two):
        pass

    return One, Two, Three


def holds(trace: Any) -> bool:
    check, _ = compile_guards(trace.guards, 0, (), ToyRecorder.tensor_keys)
    return check((), {}) is not None


def test_what_may_change() -> None:
    assert all(map(may_change, classes()))
    assert not any(map(may_change, (int, object, nn.Linear, collections.Counter, abc.ABC, type)))


def test_each_class_that_is_passed_over_is_guarded() -> None:
    one, two, three = classes()
    trace = new_trace()
    assert trace.lookup(three, "act") == (one, one.__dict__["act"])
    assert [(g.kind, g.expected) for g in trace.guards] == [("eq", three.__mro__), ("lacks", "act"), ("lacks", "act")]
    assert holds(trace)
    two.act = lambda self: 2
    assert not holds(trace)


@pytest.mark.parametrize("owner", [0, 1, 2])
def test_that_no_class_has_it_is_guarded(owner: int) -> None:
    kinds = classes()
    trace = new_trace()
    assert trace.lookup(kinds[2], "__bool__") is None
    assert holds(trace)
    kinds[owner].__bool__ = lambda self: True  # type: ignore[attr-defined]
    assert not holds(trace)


def test_classes_behind_one_are_asked_alone() -> None:
    one, two, three = classes()
    three.n = 3  # type: ignore[attr-defined]
    trace = new_trace()
    assert trace.lookup(three, "n", behind=three) == (one, 1)
    three.n = 4  # type: ignore[attr-defined]
    assert holds(trace)
    two.n = 2  # type: ignore[attr-defined]
    assert not holds(trace)


def test_bases_that_are_exchanged() -> None:
    one, _, three = classes()
    other = type("Other", (one,), {})
    trace = new_trace()
    trace.lookup(three, "__len__")
    three.__bases__ = (other,)
    assert not holds(trace)
    alone = new_trace()
    alone.lookup(one, "__len__")  # `object` is the one base it can have
    assert [guard.kind for guard in alone.guards] == ["lacks"]


@pytest.mark.parametrize("kind", [int, nn.Linear, collections.OrderedDict, types.SimpleNamespace])
def test_classes_that_stay_what_they_are_need_no_guard(kind: type) -> None:
    trace = new_trace()
    trace.lookup(kind, "__nothing__")
    trace.special(kind, "__setattr__" if kind is not nn.Linear else "__bool__")
    assert not trace.guards


def test_special_methods() -> None:
    one = classes()[0]
    one.__bool__ = lambda self: True  # type: ignore[attr-defined]
    one.__hash__ = None  # type: ignore[assignment]
    trace = new_trace()
    assert trace.special(one, "__bool__") is one.__dict__["__bool__"]
    assert trace.special(one, "__hash__") is None
    assert trace.special(one, "__setattr__") is None
    assert [guard.kind for guard in trace.guards] == ["func", "is", "lacks"]
    one.__hash__ = object.__hash__  # type: ignore[method-assign]
    assert not holds(trace)


def test_that_a_class_defines_it_is_guarded_as_well() -> None:
    one = classes()[0]
    trace = new_trace()
    assert trace.defines(one, "act")
    assert not trace.defines(one, "__call__")
    assert [guard.kind for guard in trace.guards] == ["has", "lacks"]
    del one.act  # type: ignore[attr-defined]
    assert not holds(trace)


def test_instances() -> None:
    one, two, three = classes()
    kind = abc.ABCMeta("Kind", (), {})
    trace = new_trace()
    assert trace.is_instance(three(), (one, int))
    assert [guard.expected for guard in trace.guards] == [three.__mro__]
    assert not trace.is_subclass(three, kind | int)
    assert holds(trace)
    kind.register(two)  # type: ignore[attr-defined]
    assert not holds(trace)


def test_what_classes_define_since_is_not_run_to_look_for_changes() -> None:
    calls: list[str] = []

    class Local:
        def __init__(self) -> None:
            self.n = 3

    h = Local()
    trace = new_trace()
    trace.remember(h, trace.path_of(h))
    assert trace.attribute(h, "n") == 3
    Local.n = property(lambda self: calls.append("n"))  # type: ignore[assignment]
    assert not holds(trace)
    assert changed_paths(trace.guards, (), {}) == frozenset()
    del Local.n
    Local.__getattribute__ = lambda self, name: calls.append(name)  # type: ignore[assignment]
    assert changed_paths(trace.guards, (), {}) == frozenset()
    assert not calls
