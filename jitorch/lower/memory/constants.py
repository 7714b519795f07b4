"""Constants: what a program computes of them alone is computed once, by a program of its own.

Some inputs are the same in every call: the weights of a frozen model.  Kernels that read nothing else, such as those
that pack a weight into panels or transform filters, make the same memory every time.  They go to a second program,
which runs when the first one is loaded, and what they make becomes an input of the first.
"""

from __future__ import annotations

from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host


def split(program: host.Program, constants: frozenset[k.Buffer]) -> tuple[host.Program, host.Program | None]:
    """``program`` without what needs ``constants`` only, and the program of that, or None if there is nothing.

    The second one takes those inputs that are constants, and gives what the first one takes as its last inputs.
    Both still have `Alloc` statements, all of them in their outermost blocks.
    """
    found = _Found(program, constants)
    moved = [place for place, statement in enumerate(program.body) if found.moves(place, statement)]
    rest = [s for place, s in enumerate(program.body) if place not in moved]
    read = {buffer for s in host.walk(rest) for buffer in host.used(s)}
    given = tuple(buffer for buffer in found.made if buffer in read)
    if not given:
        return program, None
    sizes = {buffer.name: found.sizes[buffer] for buffer in given}
    inputs = tuple(buffer for buffer in program.inputs if buffer in constants)
    own = [host.Alloc(buffer, found.sizes[buffer]) for buffer in found.made if buffer not in read]
    prepare = host.Program(
        f"{program.name}_constants",
        inputs,
        given,
        (),
        (*own, *(program.body[place] for place in moved)),
        sizes={buffer.name: program.sizes[buffer.name] for buffer in inputs} | sizes,
    )
    body = tuple(s for s in rest if not (isinstance(s, host.Alloc) and s.buffer in found.made))
    main = replace(program, inputs=(*program.inputs, *given), body=body, sizes=program.sizes | sizes)
    return main, prepare


class _Found:
    """What is made of constants; ``made`` has its buffers in the order they are made."""

    def __init__(self, program: host.Program, constants: frozenset[k.Buffer]):
        self.constants = constants
        self.made: dict[k.Buffer, None] = {}
        self.sizes = {s.buffer: s.size for s in program.body if isinstance(s, host.Alloc)}
        self.stored: dict[int, frozenset[k.Buffer]] = {}  # by identity: comparing kernels would walk all of them
        self.uses: dict[k.Buffer, list[int]] = {}
        self.writers: dict[k.Buffer, set[int]] = {}
        for place, statement in enumerate(program.body):
            for part in host.walk([statement]):
                for buffer in host.used(part):
                    self.uses.setdefault(buffer, []).append(place)
                for buffer in self._written(part):
                    self.writers.setdefault(buffer, set()).add(place)

    def moves(self, place: int, statement: host.Stmt) -> bool:
        """Whether the statement makes memory that nobody else writes of constants alone."""
        if not isinstance(statement, host.Launch) or not all(
            isinstance(a, (k.Buffer, k.Const)) for a in statement.args
        ):
            return False
        written = self._written(statement)
        read = [a for a in statement.args if isinstance(a, k.Buffer) and a not in written]
        if not read or not all(buffer in self.constants or buffer in self.made for buffer in read):
            return False
        if not all(self._is_made_here(buffer, place) for buffer in written):
            return False
        self.made |= dict.fromkeys(written)
        return True

    def _is_made_here(self, buffer: k.Buffer, place: int) -> bool:
        is_known = isinstance(self.sizes.get(buffer), k.Const)
        return is_known and self.writers[buffer] == {place} and self.uses[buffer][0] == place

    def _written(self, statement: host.Stmt) -> tuple[k.Buffer, ...]:
        """The buffers that the statement itself may write."""
        match statement:
            case host.Copy(target):
                return (target,)
            case host.View(_, source):
                return (source,)  # through the view, for all that is known here
            case host.Launch(kernel, args):
                stored = self.stored.get(id(kernel))
                if stored is None:
                    stored = frozenset(s.buffer for s in k.parts(kernel) if isinstance(s, k.Store))
                    self.stored[id(kernel)] = stored
                pairs = zip(kernel.params, args, strict=True)
                return tuple(a for param, a in pairs if isinstance(a, k.Buffer) and param in stored)
        return ()
