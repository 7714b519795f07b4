"""Two values of one place become one: the parts that differ are *leaves*, which the program chooses between.

`Merge.plan` compares two values and gives a template; once the program has a result for each leaf, the template makes
the merged value.  What cannot be merged raises `Disagree`, which says why and what to write instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from jitorch.errors import Location
from jitorch.frontend.python.flow import Flow, Maybe, Poison
from jitorch.frontend.python.fork import (
    DELETED,
    Contents,
    EffectsPlace,
    IteratorPlace,
    Place,
    SequencePlace,
    Snapshot,
    VariablesPlace,
)
from jitorch.frontend.python.journal import MISSING, Effect
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.python.scalars import NUMBERS, RuntimeScalar
from jitorch.frontend.python.values import DICTS, LISTS, is_identical, is_namedtuple, is_plain, native_new, slots

Template = Callable[[Sequence[Any], dict[int, Any]], Any]


class _Dead:
    def __repr__(self) -> str:
        return "<dead>"


DEAD: Any = _Dead()
"""The value of something on a path that nobody will read it on."""


class Disagree(Exception):
    """Two values that have no merged one."""

    def __init__(self, why: str, hint: str, places: frozenset[Location] = frozenset()):
        self.why, self.hint, self.places = why, hint, places
        super().__init__(why)


class Merge:
    """Plans for the values of one branch or loop; ``leaves`` grow as plans are made.

    ``serial``: when the branch began (objects made since belong to one side).  ``strict``: containers must have been
    made since, for else somebody may know which of the two they are.  ``tests``: where those that decide are.
    """

    def __init__(self, trace: Flow, serial: int, strict: bool = True, tests: frozenset[Location] = frozenset()):
        self.trace, self.serial, self.strict, self.tests = trace, serial, strict, tests
        self.leaves: list[tuple[Any, Any]] = []
        self.poisoned: list[tuple[Place, Any]] = []
        self._known: dict[tuple[int, int], Template] = {}
        self._kept: list[Any] = []

    def plan(self, a: Any, b: Any, name: str) -> Template:
        """The template of what is ``a`` on one path and ``b`` on the other."""
        if a is b or self._same(a, b):
            return lambda results, made: a
        alive = b if a is DEAD else a
        if (a is DEAD or b is DEAD) and not self._may_hold_leaves(alive):
            return lambda results, made: alive
        if not self.strict and (_number_kind(alive) or self.trace.recorder.kind_of(alive)) is not None:
            # Two variables of a loop that are one value in this iteration may be two in the next.
            return self._plan(a, b, name)
        key = id(a), id(b)
        found = self._known.get(key)
        if found is None:
            self._kept += [a, b]
            found = self._known[key] = _once(self._plan(a, b, name), len(self._known))
        return found

    def _same(self, a: Any, b: Any) -> bool:
        if type(a) is not type(b):
            return False
        if type(a) is RuntimeScalar:
            return a.path == b.path
        return is_plain(a) and is_identical(a, b)

    def _may_hold_leaves(self, value: Any) -> bool:
        return self.trace.recorder.kind_of(value) is not None or isinstance(value, tuple) or self._is_new(value)

    def _is_new(self, value: Any) -> bool:
        return self.trace.made_since(value, self.serial)

    def leaf(self, a: Any, b: Any) -> Template:
        """The result of one more leaf; of a tensor from outside, with a leaf that tells which it is."""
        value, codes = self.new_leaf(a, b), self.codes(a, b)
        if codes is None:
            return value
        code, chosen = self.leaf(*codes), self.trace.recorder.chosen
        return lambda results, made: chosen(value(results, made), code(results, made))

    def new_leaf(self, a: Any, b: Any) -> Template:
        """The result of one more leaf, which is an object of its own."""
        number = len(self.leaves)
        self.leaves.append((a, b))
        return lambda results, made: results[number]

    def codes(self, a: Any, b: Any) -> tuple[Any, Any] | None:
        """Numbers that tell which tensors from outside two leaves are, if one of them may be one."""
        return self.trace.recorder.codes(a, b)

    def _plan(self, a: Any, b: Any, name: str) -> Template:
        if type(a) is Maybe or type(b) is Maybe:
            return self._maybe(a, b, name)
        kind_of = self.trace.recorder.kind_of
        if self.goes_on(a, b):
            return self.new_leaf(a, b)
        if any(self.trace.recorder.is_bound_inside(x) for x in (a, b)):
            raise Disagree(
                f"the size of {name} is computed inside of a branch or loop",
                "use it up there, as by a sum, or keep all elements and a mask",
            )
        kinds = [None if x is DEAD else _number_kind(x) or kind_of(x) for x in (a, b)]
        if a is DEAD or b is DEAD:
            known = kinds[0] or kinds[1]
            return self.leaf(a, b) if known is not None else self._structure(a, b, name)
        if type(a) is Poison or type(b) is Poison:
            poison = a if type(a) is Poison else b
            raise Disagree(poison.why, poison.hint, poison.places)
        if None in kinds and (kinds[0] is not None or kinds[1] is not None):
            self._disagree(name, a, b)
        if kinds[0] is None:
            return self._structure(a, b, name)
        if kinds[0] != kinds[1]:
            self._disagree(name, a, b)
        return self.leaf(a, b)

    def goes_on(self, a: Any, b: Any) -> bool:
        """Whether two values of different types can be one: tensors of which there is room for either."""
        return self.strict and self.trace.recorder.varies(a, b)

    def _maybe(self, a: Any, b: Any, name: str) -> Template:
        """A variable that has no value on some path: the value of the others, and where it has one."""
        if not self.strict:
            raise Disagree(f"{name} has no value on one path", "give it a value before the branch or loop")
        first, second = [DEAD if x is MISSING else x.value if type(x) is Maybe else x for x in (a, b)]
        value = self.plan(first, second, name)
        first, second = [x.present if type(x) is Maybe else x is not MISSING for x in (a, b)]
        present = self.plan(first, second, name)
        return lambda results, made: Maybe(value(results, made), present(results, made))

    def _structure(self, a: Any, b: Any, name: str) -> Template:
        one = b if a is DEAD else a
        kind = type(one)
        if a is not DEAD and b is not DEAD and type(a) is not type(b):
            self._disagree(name, a, b)
        if isinstance(one, tuple):
            return self._tuple(a, b, name, kind)
        if kind is slice:
            parts = [self._parts(a, b, lambda x, n=n: getattr(x, n), name) for n in _SLICE]
            return lambda results, made: slice(*[p(results, made) for p in parts])
        for x in (a, b):
            if x is not DEAD and self.strict and not self._is_new(x):
                self._disagree(name, a, b)
            if x is not DEAD and not self.trace.is_created(x):
                self._disagree(name, a, b)
        return self._object(a, b, name, kind)

    def _tuple(self, a: Any, b: Any, name: str, kind: Any) -> Template:
        size = len(b if a is DEAD else a)
        if a is not DEAD and b is not DEAD and len(a) != len(b):
            self._disagree(name, a, b)
        parts = [self._parts(a, b, lambda x, i=i: x[i], f"{name}[{i}]") for i in range(size)]
        make = kind._make if is_namedtuple(kind) else tuple if kind is tuple else kind
        return lambda results, made: make(p(results, made) for p in parts)

    def _parts(self, a: Any, b: Any, part: Callable[[Any], Any], name: str) -> Template:
        return self.plan(DEAD if a is DEAD else part(a), DEAD if b is DEAD else part(b), name)

    def _object(self, a: Any, b: Any, name: str, kind: Any) -> Template:
        first, second = [DEAD if x is DEAD else _contents(x) for x in (a, b)]
        if first is None or second is None:
            self._disagree(name, a, b)
        keys = list(second if first is DEAD else first)
        if DEAD not in (first, second) and keys != list(second):
            self._disagree(name, a, b)
        parts = {k: self._parts(first, second, lambda x, k=k: x[k], f"{name}[{k!r}]") for k in keys}
        example = b if a is DEAD else a
        adopt = self.trace.adopt
        return lambda results, made: adopt(_rebuild(kind, example, {k: p(results, made) for k, p in parts.items()}))

    def _disagree(self, name: str, a: Any, b: Any) -> NoReturn:
        texts = [self._describe(x) for x in (a, b)]
        if texts[0] == texts[1]:
            raise Disagree(f"{name} is one of two objects: {texts[0]}", "use one object, and change what is in it")
        raise Disagree(f"{name} is {texts[0]} on one path and {texts[1]} on another", "give it one type on all paths")

    def _describe(self, value: Any) -> str:
        kind = _number_kind(value) or self.trace.recorder.kind_of(value)
        if kind is not None:
            return str(kind)
        if is_plain(value):
            text = repr(value)
            return text if len(text) < 40 else f"a {type(value).__name__}"
        if isinstance(value, (list, tuple)):
            return f"a {type(value).__name__} of {len(value)}"
        return f"a {type(value).__name__}"

    def _is_special(self, value: Any) -> bool:
        """A tensor of a subclass, such as a Parameter, that exists outside: an object cannot be joined."""
        recorder = self.trace.recorder
        return recorder.is_tensor(value) and not recorder.is_traced(value) and type(value).__base__ is not object

    # -- places

    def places(self, entry: Snapshot, ends: Sequence[Snapshot], dead: Sequence[bool]) -> dict[int, dict[Any, Template]]:
        """Templates of all places that differ from ``entry`` at one of the two ``ends``.

        ``dead``: at which end the variables of the function itself will not be read again.  The state must be that
        of ``entry``.
        """
        found: dict[int, dict[Any, Template]] = {}
        for key, place in {**ends[0].places, **ends[1].places}.items():
            if key > 0 and key not in entry.places:
                continue  # made inside: whoever still knows it has it merged
            before = _read(entry, key, place)
            after = [_read(end, key, place) if key in end.places else before for end in ends]
            if key == entry.variables and any(dead):
                after = [_unread(before, after[1 - i]) if dead[i] else after[i] for i in range(2)]
            if all(_identical(before, contents) for contents in after):
                continue
            found[key] = self.contents(place, after)
        return found

    def contents(self, place: Place, after: Sequence[Contents]) -> dict[Any, Template]:
        """The templates of one place."""
        if isinstance(place, EffectsPlace):
            return self._effects(*[list(contents.values()) for contents in after])
        if isinstance(place, SequencePlace) and len(after[0]) != len(after[1]):
            raise Refuse(
                "join",
                f"{place.what} has {len(after[0])} elements on one path and {len(after[1])} on another",
                hint="append on both paths, or collect into a tensor of fixed size",
            )
        merged: dict[Any, Template] = {}
        for key in {**after[0], **after[1]}:
            merged[key] = self._entry(place, key, [contents.get(key, MISSING) for contents in after])
        return merged

    def _effects(self, first: list[Effect], second: list[Effect]) -> dict[Any, Template]:
        """Those of both sides, each under the condition of its side."""
        if not self.strict:
            raise Refuse(
                "effect",
                "print() or logging in a loop of the program",
                hint="unroll the loop: for x in jit.unroll(...)",
            )
        common = sum(a is b for a, b in zip(first, second))
        found: list[Template] = [lambda results, made, effect=effect: effect for effect in first[:common]]
        found += [self._effect(effect, lambda v, dead: (v, dead)) for effect in first[common:]]
        found += [self._effect(effect, lambda v, dead: (dead, v)) for effect in second[common:]]
        return dict(enumerate(found))

    def _effect(self, effect: Effect, pair: Callable[[Any, Any], tuple[Any, Any]]) -> Template:
        values = [self.plan(*pair(value, DEAD), "what is printed") for value in effect.values]
        condition = self.leaf(*pair(effect.condition, False))
        return lambda results, made: replace(
            effect, values=tuple(v(results, made) for v in values), condition=condition(results, made)
        )

    def _entry(self, place: Place, key: Any, values: list[Any]) -> Template:
        name = place.name(key)
        try:
            if MISSING in values:
                values = [place.outside(key) if v is MISSING else v for v in values]
            if isinstance(place, IteratorPlace) and values[0] != values[1]:
                raise Disagree("an iterator is advanced on one path", "make a list of it before the branch or loop")
            if DELETED in values and values[0] is not values[1]:
                raise Disagree(f"{name} is deleted on one path only", "delete it on both paths, or before")
            if MISSING in values and values[0] is not values[1]:
                if self.strict and isinstance(place, VariablesPlace):
                    return self._maybe(values[0], values[1], name)
                raise Disagree(f"{name} has no value on one path", "give it a value before the branch or loop")
            if not place.is_open and values[0] is not values[1] and any(map(self._is_special, values)):
                raise Disagree(
                    f"{name} is a parameter, or another special tensor, on one path",
                    "choose between values, not objects",
                )
            return self.plan(values[0], values[1], name)
        except Disagree as disagree:
            if not place.is_open:
                raise Refuse("join", disagree.why, hint=disagree.hint) from None
            if type(values[0]) is Poison:
                return lambda results, made: values[0]
            places = self.tests | disagree.places if self.tests else self.tests
            poison = Poison(disagree.why, disagree.hint, places)
            self.poisoned.append((place, key))
            return lambda results, made: poison


_SLICE = ("start", "stop", "step")


def _once(template: Template, number: int) -> Template:
    """One object however often it is asked for."""

    def make(results: Sequence[Any], made: dict[int, Any]) -> Any:
        if number not in made:
            made[number] = template(results, made)
        return made[number]

    return make


def _read(snapshot: Snapshot, key: int, place: Place) -> Contents:
    return snapshot.contents[key] if key in snapshot.contents else place.read()


def _unread(before: Contents, alive: Contents) -> Contents:
    """Variables that nobody will read: what the other side left as it was needs no choice."""
    return {key: value if before.get(key, MISSING) is value else DEAD for key, value in alive.items()}


def _identical(a: Contents, b: Contents) -> bool:
    return len(a) == len(b) and all(k in b and b[k] is v for k, v in a.items())


def _number_kind(value: Any) -> Any:
    if type(value) in NUMBERS:
        return type(value).__name__
    return value.python_type.__name__ if type(value) is RuntimeScalar else None


def _contents(value: Any) -> Contents | None:
    if type(value) in LISTS:
        return dict(enumerate(value))
    if type(value) in DICTS:
        return dict(value)
    if isinstance(value, (dict, list, set, BaseException)) or type(value).__module__ == "builtins":
        return None
    found = dict(getattr(value, "__dict__", ()))
    found.update((n, getattr(value, n)) for n in slots(type(value)) if hasattr(value, n))
    return found


def _rebuild(kind: Any, example: Any, contents: Contents) -> Any:
    if kind is list:
        return list(contents.values())
    if kind is deque:
        return deque(contents.values(), example.maxlen)
    if kind in DICTS:
        new = example.copy()
        new.clear()
        new.update(contents)
        return new
    new = native_new(kind)(kind)
    names = slots(kind)
    for name, value in contents.items():
        if name in names:
            object.__setattr__(new, name, value)
        else:
            new.__dict__[name] = value
    return new


def write(snapshot_places: dict[int, Place], templates: dict[int, dict[Any, Template]], results: Sequence[Any]) -> None:
    """Make all templates, then store them in their places."""
    made: dict[int, Any] = {}
    values = {key: {k: t(results, made) for k, t in found.items()} for key, found in templates.items()}
    for key, contents in values.items():
        snapshot_places[key].write(contents)
