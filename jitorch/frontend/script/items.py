"""Items, slices, iteration and comprehensions."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from jitorch.frontend.script import relations
from jitorch.frontend.script.expressions import Meaning
from jitorch.frontend.script.frame import Known, Member
from jitorch.frontend.script.operations import Operations
from jitorch.frontend.script.operators import element_of, iterated_type
from jitorch.frontend.script.program import Class
from jitorch.frontend.script.relations import fits, is_tuple_like, parts
from jitorch.frontend.script.spelling import spell, with_article
from jitorch.ir.graph import Value
from jitorch.ir.types import ANY, INT, NONE, STR, TENSOR, DictType, ListType, OptionalType, TupleType, Type


class Items(Operations):
    """See the module's docstring."""

    # -- items

    def _subscript(self, node: ast.Subscript, expected: Type | None) -> Meaning:
        base = self.meaning(node.value)
        if isinstance(base, Known):
            if isinstance(base.object, (dict, list, tuple)):
                return self._static_item(base, node)
            return Known(None, ast.unparse(node)) if isinstance(base.object, type) else self._no_item(base, node)
        if isinstance(base, Member):
            raise self.error(f"an item of the method {base.name}", node=node, hint="call it")
        record = self.modules_in(base.type)
        if record is not None:
            return self._module_item(base, record, node, expected)
        key = self.index(base, node.slice)
        return self.emit("item", [base, key], self.item_type(base, key, node))

    def _no_item(self, base: Known, node: ast.AST) -> Meaning:
        raise self.error(f"an item of {base.name}", node=node)

    def _static_item(self, base: Known, node: ast.Subscript) -> Meaning:
        with self.attempt():
            key = self.expr(node.slice)
        if key not in self.constants:
            raise self.error(
                f"{base.name} is a constant, and its index is not", node=node, hint="pass it as an argument"
            )
        found = base.object[self.constants[key]]
        value = self._embedded(found, base.name)
        return Known(found, ast.unparse(node)) if value is None else value

    def _module_item(self, base: Value, record: Class, node: ast.Subscript, expected: Type | None) -> Value:
        key = self.expr(node.slice)
        if key not in self.constants:
            if expected is not None and self._are_all(record, expected):
                return self.emit("item", [base, key], expected)
            what = f"the index into a {record.holds} of modules must be constant"
            raise self.error(
                what,
                node=node.slice,
                hint="iterate over it, write it out, or annotate the item with an interface of all",
            )
        index = self.constants[key]
        names = record.children
        if isinstance(index, int):
            if not -len(names) <= index < len(names):
                raise self.error("the index is out of range", "type-mismatch", node.slice, actual=index)
            index = names[index]
        if index not in names:
            raise self.error(f"no module {index!r} in the container", "unknown-member", node.slice)
        return self.emit("item", [base, key], record.fields[index])

    def _are_all(self, record: Class, expected: Type) -> bool:
        """Whether every module of a container has the methods of an interface."""
        kinds = [record.fields[name] for name in record.children]
        return self.is_interface(expected) and all(fits(kind, expected, self.program.inherits) for kind in kinds)

    def index(self, base: Value, node: ast.expr) -> Value:
        """What stands between the brackets."""
        if isinstance(node, ast.Slice):
            bounds = [None if b is None else self.expr(b) for b in (node.lower, node.upper, node.step)]
            for bound, tree in zip(bounds, (node.lower, node.upper, node.step)):
                if bound is not None and tree is not None and bound.type != TENSOR:
                    self.expect(bound, OptionalType(INT), "the bound of a slice", tree)
            made = self.emit("slice", bounds, ANY)
            if all(b is None or b in self.constants for b in bounds):
                self.constants[made] = slice(*[None if b is None else self.constants[b] for b in bounds])
            return made
        if isinstance(node, ast.Tuple) and base.type == TENSOR:
            items = [self.index(base, item) for item in node.elts]
            return self.emit("tuple", items, TupleType(tuple(v.type for v in items)))
        return self.expr(node)

    def item_type(self, base: Value, key: Value, node: ast.Subscript) -> Type:
        """The type of ``base[key]``."""
        sliced = key.node is not None and key.node.op.name == "slice"
        match base.type:
            case t if t == TENSOR:
                return TENSOR
            case ListType(element):
                if not sliced:
                    self.expect(key, INT, "the index of a list", node.slice)
                return base.type if sliced else element
            case DictType(known, value):
                self.expect(key, known, "the key", node.slice)
                return value
            case t if t == STR:
                return STR
            case t if is_tuple_like(t):
                return self._tuple_item(parts(t), key, node)
            case t if t == ANY:
                return ANY
        found = self._overloaded(base, "__getitem__")
        if found is None:
            optional = NONE in relations.members(base.type)
            hint = "test that it is not None first" if optional else None
            raise self.error(f"{with_article(spell(base.type))} has no items", "type-mismatch", node, hint=hint)
        return found

    def _tuple_item(self, elements: tuple[Type, ...], key: Value, node: ast.Subscript) -> Type:
        index = self.constants.get(key)
        if isinstance(index, slice):
            return TupleType(elements[index])
        if isinstance(index, int):
            if not -len(elements) <= index < len(elements):
                what = f"the tuple has {len(elements)} elements"
                raise self.error(what, "type-mismatch", node.slice, actual=index)
            return elements[index]
        if len(set(elements)) == 1:
            return elements[0]
        what = "the index of a tuple of different types must be constant"
        raise self.error(what, node=node.slice, hint="write the number out, or unpack the tuple")

    # -- comprehensions

    def iterated(self, value: Value, node: ast.AST) -> Type:
        """The type of what iteration over ``value`` gives."""
        found = iterated_type(value.type)
        if found is None and is_tuple_like(value.type):
            found = self._common(list(parts(value.type)), None, node)
        if found is None:
            optional = NONE in relations.members(value.type)
            hint = "test that it is not None first" if optional else None
            raise self.error(
                f"{with_article(spell(value.type))} cannot be iterated over", "type-mismatch", node, hint=hint
            )
        return found

    def _listcomp(self, node: ast.ListComp, expected: Type | None) -> Value:
        return self._comprehension(node, [node.elt], "list", [element_of(expected)])

    def _generatorexp(self, node: ast.GeneratorExp, expected: Type | None) -> Value:
        return self._comprehension(node, [node.elt], "generator", [None])

    def _dictcomp(self, node: ast.DictComp, expected: Type | None) -> Value:
        wanted: list[Type | None] = [expected.key, expected.value] if isinstance(expected, DictType) else [None, None]
        return self._comprehension(node, [node.key, node.value], "dict", wanted)

    def _comprehension(self, node: Any, elements: list[ast.expr], kind: str, wanted: list[Type | None]) -> Value:
        if len(node.generators) != 1:
            what = "scripts have no comprehension over more than one iterable"
            raise self.error(what, node=node, hint="write the loops out")
        (generator,) = node.generators
        unrolled = self.unrolled(generator.iter)
        if unrolled is not None and kind != "dict":
            return self._unrolled_comprehension(node, generator, elements[0], unrolled)
        source = self.expr(generator.iter)
        before = dict(self.variables)
        target = self.bind(generator.target, self.iterated(source, generator.iter))
        test = None
        if generator.ifs:
            joined = generator.ifs[0] if len(generator.ifs) == 1 else ast.BoolOp(ast.And(), generator.ifs)
            ast.copy_location(joined, generator.ifs[0])
            with self.region("test") as test:
                value = self.condition(joined)
                test.outputs = [self.constant(value.decided) if value.value is None else value.value]
                self.variables |= value.true
        with self.region("element") as region:
            found = [self.expr(e, w) for e, w in zip(elements, wanted)]
            pair = found[0] if kind != "dict" else self.emit("tuple", found, TupleType(tuple(v.type for v in found)))
            region.outputs = [pair]
        self.variables = before
        kinds = [w if w is not None and relations.fits(v.type, w) else v.type for v, w in zip(found, wanted)]
        types = {"list": ListType, "dict": DictType, "generator": relations.iterator}[kind]
        return self.emit("comprehend", [source], types(*kinds), target=target, element=region, test=test, kind=kind)

    @abstractmethod
    def unrolled(self, node: ast.expr) -> list[Callable[[], Value]] | None:
        """For an iterable of modules, what makes each of its elements; None for other iterables."""

    def _unrolled_comprehension(
        self, node: ast.AST, generator: ast.comprehension, element: ast.expr, makers: list[Callable[[], Value]]
    ) -> Value:
        before = dict(self.variables)
        items = []
        for make in makers:
            self.substitute(generator.target, make)
            if all(self._is_kept(test) for test in generator.ifs):
                items.append(self.expr(element))
        self.variables = before
        return self.emit("list", items, ListType(self._common([v.type for v in items], None, node)))

    def _is_kept(self, node: ast.expr) -> bool:
        """Whether a module is kept by a condition that is decided while the script is compiled."""
        test = self.condition(node)
        if test.value is not None:
            what = "a condition in a comprehension over modules must be constant"
            raise self.error(what, node=node, hint="write the loop out")
        return bool(test.decided)

    @abstractmethod
    def substitute(self, target: ast.expr, make: Callable[[], Value]) -> None:
        """Let the names of ``target`` stand for what ``make`` gives, made anew at each use."""
