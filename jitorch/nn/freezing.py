"""Frozen modules: weights that nobody can change any more, so a compiled program may prepare what it makes of them."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from jitorch.errors import ArgumentError
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.tensor import Tensor


def freeze(mod: Module, preserved_attrs: Iterable[str] | None = None, optimize_numerics: bool = True) -> Module:
    """A copy of ``mod`` in evaluation mode whose parameters and buffers are constants.

    They are called as they were, but are in memory that is read-only for everybody, and get no gradients.  A compiled
    function that reads them from the module transforms them once, for instance packs the weights of a product, where it
    would else do so in each call.  (PyTorch's frozen modules have no parameters.)

    ``mod``: any Module, also one of `jit.script` or `jit.trace`; it stays as it is.  ``preserved_attrs``: names of
    parameters, buffers and submodules, with dots, that stay as they are, such as a buffer that ``forward`` writes.
    ``optimize_numerics`` is taken for PyTorch's sake: results are the same with and without.

    Raises ArgumentError if ``mod`` is no Module or in training mode, or if a name in ``preserved_attrs`` is unknown.
    A write to a constant is a ShapeError.
    """
    if not isinstance(mod, Module):
        raise ArgumentError("freeze takes a Module", expected="Module", actual=type(mod).__name__)
    if mod.training:
        raise ArgumentError("freeze takes a module in evaluation mode", hint="call .eval() on it first")
    frozen = copy.deepcopy(mod)
    preserved = _preserved(frozen, tuple(preserved_attrs or ()))
    # Tensors that several modules share stay shared.
    tensors = {id(t): t for t in (*frozen.parameters(), *frozen.buffers()) if id(t) not in preserved}
    constants = {number: _constant(tensor) for number, tensor in tensors.items()}
    for module in frozen.modules():
        for table in (module.__dict__["_parameters"], module.__dict__["_buffers"]):
            table.update({name: constants[id(t)] for name, t in table.items() if id(t) in constants})
    return frozen


def _constant(tensor: Tensor) -> Tensor:
    frozen = Tensor._frozen(tensor)
    return Parameter(frozen, requires_grad=False) if isinstance(tensor, Parameter) else frozen


def optimize_for_inference(mod: Module, other_methods: Iterable[str] | None = None) -> Module:
    """``mod`` frozen, if it is not yet; ``other_methods`` are names as `freeze` preserves them."""
    is_frozen = all(t._is_frozen for t in (*mod.parameters(), *mod.buffers()))
    return mod if is_frozen else freeze(mod, other_methods)


def _preserved(module: Module, names: tuple[str, ...]) -> frozenset[int]:
    """The identities of the tensors that stay: those called so, and those of submodules called so."""
    tensors = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    known = {name for name, _ in module.named_modules(remove_duplicate=False)} | tensors.keys()
    for name in names:
        if name not in known and not hasattr(module, name):
            raise ArgumentError("freeze: preserved_attrs names nothing of the module", actual=name)
    return frozenset(id(t) for path, t in tensors.items() if any(path == n or path.startswith(f"{n}.") for n in names))
