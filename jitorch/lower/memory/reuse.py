"""Reuse: results that replace an input are computed right in its memory.

``w_new[i] = w[i] - lr * g[i]; w = w_new`` becomes ``w[i] = w[i] - lr * g[i]``, where every read of ``w`` is at
the element written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.lower.memory.meetings import Accesses
from jitorch.lower.pull import STATUS

SMALLEST = 1 << 14
"""Bytes from which on a temporary is worth the search for a place."""


def reuse_written(body: Sequence[host.Stmt], inputs: frozenset[k.Buffer] = frozenset()) -> list[host.Stmt]:
    """Compute what is copied at the end of ``body`` right in its target, where every read of that comes before.

    ``inputs`` belong to the caller: they are not written before a check that may yet fail.
    """
    reuse = _Reuse(body, inputs)
    for place, statement in enumerate(body):
        if isinstance(statement, host.Copy):
            reuse.take_over(place)
    for place, statement in enumerate(reuse.body):
        if isinstance(statement, host.Copy):
            reuse.copy(place, statement)
    return reuse.result()


def reuse_operands(program: host.Program) -> host.Program:
    """Compute large temporaries in the memory of operands whose last read it is, at the element written.

    A result of the program lends its memory to such an operand, too: it is there from the start.
    """
    reuse = _Reuse(program.body, frozenset())
    sizes = {s.buffer: s.size for s in program.body if isinstance(s, host.Alloc)}
    temporaries = {b for b, size in sizes.items() if _is_large(b, size)}
    results = {b for b in program.outputs if _is_large(b, program.sizes[b.name])}
    sizes |= {b: program.sizes[b.name] for b in results}
    for place in range(len(program.body)):
        reuse.operands(place, sizes, temporaries, results)
    return replace(program, body=tuple(reuse.result()))


def _is_large(buffer: k.Buffer, size: k.Expr) -> bool:
    return isinstance(size, k.Const) and int(size.value.real) * buffer.dtype.itemsize >= SMALLEST


def _is_check(statement: host.Stmt) -> bool:
    """Whether the program may fail here."""
    if isinstance(statement, host.Launch):
        return STATUS in statement.kernel.params
    return isinstance(statement, host.Stop)


class _Reuse:
    """``uses`` has the places in the body of the statements that read or write a buffer, in a block of theirs too."""

    def __init__(self, body: Sequence[host.Stmt], inputs: frozenset[k.Buffer]):
        self.body: list[host.Stmt | None] = list(body)
        self.inputs = inputs
        self.uses: dict[k.Buffer, list[int]] = {}
        self.allocs: dict[k.Buffer, int] = {}
        # By identity: comparing kernels would walk all of them.
        self.stores: dict[int, frozenset[k.Buffer]] = {}
        self.accesses: dict[int, Accesses] = {}
        self.meetings: dict[tuple[int, k.Buffer, k.Buffer], bool] = {}
        self.last_check = -1
        for place, statement in enumerate(body):
            if isinstance(statement, host.Alloc):
                self.allocs[statement.buffer] = place
            touched: dict[k.Buffer, None] = {}
            for part in host.walk([statement]):
                touched.update(dict.fromkeys(host.used(part)))
                if _is_check(part):
                    self.last_check = place
            for buffer in touched:
                self.uses.setdefault(buffer, []).append(place)

    def take_over(self, place: int) -> None:
        """Change a copy, a temporary, where the original is, if nobody reads that any more.

        The original is a temporary too, or what it becomes at the end of the body is copied to it.
        """
        copy = self.body[place]
        if not isinstance(copy, host.Copy):
            return
        new, old = copy.target, copy.source
        if new not in self.allocs or self.body[self.allocs[new]] is None or self.uses[new][0] != place:
            return
        later = [u for u in self.uses[old] if u > place]
        if old not in self.allocs and not later:
            return
        for u in later:
            last = self.body[u]
            if not isinstance(last, host.Copy) or last.target != old or u < self.uses[new][-1] or u != later[-1]:
                return
        if old in self.inputs and self._may_stop(place):
            return
        self.body[place] = None
        self.uses[new].remove(place)
        self.uses[old].remove(place)
        self._rename(new, old)
        for u in later:
            last = self.body[u]
            if isinstance(last, host.Copy) and last.target == last.source:
                self.body[u] = None
                self.uses[old].remove(u)

    def copy(self, place: int, copy: host.Copy) -> None:
        """Have ``copy.source`` computed in the memory of ``copy.target``, if that does not change any result."""
        source, target = copy.source, copy.target
        alloc = self.allocs.get(source)
        if alloc is None or self.body[alloc] is None:
            return
        if not self._can_rename(source):
            return
        writers = [u for u in self.uses[source] if self._stores(u, source)]
        others = [u for u in self.uses[target] if u != place]
        if len(writers) != 1 or any(self._stores(u, target) for u in others):
            return
        at = writers[0]
        if target in self.inputs and self.last_check >= at:
            return
        if others and (others[-1] > at or (others[-1] == at and not self._reads_where_it_writes(at, target, source))):
            return
        self.body[place] = None
        for buffer in (source, target):
            self.uses[buffer].remove(place)
        self._rename(source, target)

    def _may_stop(self, place: int) -> bool:
        """Whether the program may fail from ``place`` on."""
        return any(map(_is_check, host.walk(s for s in self.body[place:] if s is not None)))

    def operands(
        self, place: int, sizes: dict[k.Buffer, k.Expr], temporaries: set[k.Buffer], results: set[k.Buffer]
    ) -> None:
        """Have what a launch is the first to use computed in the memory of what it is the last to use."""
        launch = self.body[place]
        if not isinstance(launch, host.Launch):
            return
        used = [arg for arg in dict.fromkeys(launch.args) if isinstance(arg, k.Buffer) and arg in sizes]
        dying = [b for b in used if b in temporaries and self.uses[b][-1] == place > self.uses[b][0]]
        for new in [b for b in used if b in temporaries | results and self.uses[b][0] == place]:
            alike = [b for b in dying if b.dtype is new.dtype and sizes[b] == sizes[new]]
            old = next((b for b in alike if self._reads_where_it_writes(place, b, new)), None)
            if old is None:
                continue
            kept, gone = (new, old) if new in results else (old, new)
            if self._can_rename(gone):
                dying.remove(old)
                self._rename(gone, kept)

    def _can_rename(self, buffer: k.Buffer) -> bool:
        """Whether all that uses a temporary is launches, and copies from it."""
        users = [self.body[u] for u in self.uses[buffer]]
        return all(isinstance(s, host.Launch) or (isinstance(s, host.Copy) and s.target != buffer) for s in users)

    def _rename(self, old: k.Buffer, new: k.Buffer) -> None:
        """Put ``new`` in the place of the temporary ``old``."""
        self.body[self.allocs[old]] = None
        for use in self.uses[old]:
            self.body[use] = _renamed(self.body[use], old, new)
        self.uses[new] = sorted({*self.uses[new], *self.uses.pop(old)})

    def _stores(self, place: int, buffer: k.Buffer) -> bool:
        """Whether the statement at ``place`` may store to ``buffer``, which it touches."""
        statement = self.body[place]
        if isinstance(statement, host.Launch):
            stores = self._stores_of(statement.kernel)
            return any(arg == buffer and param in stores for param, arg in zip(statement.kernel.params, statement.args))
        return not isinstance(statement, host.Copy) or statement.target == buffer

    def _stores_of(self, kernel: k.Kernel) -> frozenset[k.Buffer]:
        found = self.stores.get(id(kernel))
        if found is None:
            found = frozenset(part.buffer for part in k.parts(kernel) if isinstance(part, k.Store))
            self.stores[id(kernel)] = found
        return found

    def _reads_where_it_writes(self, place: int, read: k.Buffer, written: k.Buffer) -> bool:
        """Whether a launch loads all of ``read`` where it stores the element of ``written``, and before that."""
        launch = self.body[place]
        if not isinstance(launch, host.Launch) or launch.args.count(read) != 1 or launch.args.count(written) != 1:
            return False
        params = {arg: param for arg, param in zip(launch.args, launch.kernel.params) if isinstance(param, k.Buffer)}
        key = id(launch.kernel), params[read], params[written]
        if key not in self.meetings:
            accesses = self.accesses.get(id(launch.kernel)) or Accesses(launch.kernel)
            self.accesses[id(launch.kernel)] = accesses
            self.meetings[key] = accesses.meet(params[read], params[written])
        return self.meetings[key]

    def result(self) -> list[host.Stmt]:
        """The statements; parameters of a kernel that are one buffer now are one parameter."""
        body = [s for s in self.body if s is not None]
        # A kernel that is launched as it was, too, keeps its name.
        taken = {s.kernel.name for s in body if isinstance(s, host.Launch) and not _doubles(s)}
        joined: dict[tuple[int, tuple[tuple[int, int], ...]], k.Kernel] = {}
        for i, s in enumerate(body):
            if not isinstance(s, host.Launch) or not (doubles := _doubles(s)):
                continue
            key = id(s.kernel), tuple(doubles.items())
            if key not in joined:
                joined[key] = _joined(s.kernel, doubles, taken)
            body[i] = host.Launch(joined[key], tuple(arg for j, arg in enumerate(s.args) if j not in doubles))
        return body


def _renamed(statement: host.Stmt | None, old: k.Buffer, new: k.Buffer) -> host.Stmt | None:
    match statement:
        case host.Launch(kernel, args):
            return host.Launch(kernel, tuple(new if arg == old else arg for arg in args))
        case host.Copy(target, source, size):
            return host.Copy(new if target == old else target, new if source == old else source, size)
        case host.View(buffer, source, size, offset) if source == old:
            return host.View(buffer, new, size, offset)
        case host.Scalar(var, value):
            return host.Scalar(var, _reading(value, old, new))
        case host.If() | host.While() | host.Parallel():
            changed = host.with_blocks(statement, lambda block: _all_renamed(block, old, new))
            if isinstance(changed, (host.If, host.While)):
                return replace(changed, test=_reading(changed.test, old, new))
            return changed
    return statement


def _all_renamed(body: tuple[host.Stmt, ...], old: k.Buffer, new: k.Buffer) -> tuple[host.Stmt, ...]:
    return tuple(s for s in (_renamed(s, old, new) for s in body) if s is not None)


def _reading(e: k.Expr, old: k.Buffer, new: k.Buffer) -> k.Expr:
    return k.transform(e, lambda x: k.Load(new, x.index) if isinstance(x, k.Load) and x.buffer == old else x)


def _doubles(launch: host.Launch) -> dict[int, int]:
    """The places of arguments that are the same buffer as an earlier one, with the place of that."""
    first: dict[k.Buffer, int] = {}
    places = {i: first.setdefault(arg, i) for i, arg in enumerate(launch.args) if isinstance(arg, k.Buffer)}
    return {i: j for i, j in places.items() if i != j}


def _joined(kernel: k.Kernel, doubles: dict[int, int], taken: set[str]) -> k.Kernel:
    """``kernel`` with one parameter in place of each pair, under a name that is not taken."""
    params, name, count = kernel.params, kernel.name, 1
    pairs = [(params[i], params[j]) for i, j in doubles.items()]
    kernel = rename_buffers(kernel, {a: b for a, b in pairs if isinstance(a, k.Buffer) and isinstance(b, k.Buffer)})
    while name in taken:
        count += 1
        name = f"{kernel.name}_{count}_in_place"
    taken.add(name)
    return replace(kernel, name=name)


def rename_buffers(kernel: k.Kernel, names: Mapping[k.Buffer, k.Buffer]) -> k.Kernel:
    """``kernel`` with other buffers in place of some; what were several parameters may become one."""

    def in_expr(e: k.Expr) -> k.Expr:
        return k.Load(names[e.buffer], e.index) if isinstance(e, k.Load) and e.buffer in names else e

    def in_body(body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        result: list[k.Stmt] = []
        for s in body:
            match s:
                case k.Store(buffer) | k.Prefetch(buffer) if buffer in names:
                    s = replace(s, buffer=names[buffer])
                case k.For(var, extent, inner, kind):
                    s = k.For(var, extent, in_body(inner), kind)
                case k.If(test, then, orelse):
                    s = k.If(test, in_body(then), in_body(orelse))
            result.append(s)
        return tuple(result)

    params = tuple(dict.fromkeys(names.get(p, p) if isinstance(p, k.Buffer) else p for p in kernel.params))
    return replace(kernel, params=params, body=in_body(k.transform(kernel.body, in_expr)))
