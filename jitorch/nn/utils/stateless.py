"""Modules as functions of their parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jitorch.errors import ArgumentError, StateDictError
from jitorch.nn.module import Module
from jitorch.ops.arrange import stack
from jitorch.tensor import Tensor

_TABLES = ("_parameters", "_buffers")

Slot = tuple[dict[str, Any], str]
"""A table of a module, and a name in it."""


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with other tensors in the place of its parameters and buffers.

    ``parameter_and_buffer_dicts``: tensors by name, as `Module.named_parameters` and `named_buffers` name them; several
    dicts may not name one twice.  ``args``: a tuple of arguments, or a single one.  ``tie_weights``: what stands in the
    module under several names is replaced under all of them.  ``strict``: every parameter and buffer must be named.
    """
    given = _joined(parameter_and_buffer_dicts)
    slots = _slots(module)
    unknown = [name for name in given if name not in slots]
    missing = [name for name in slots if name not in given] if strict else []
    if unknown or missing:
        raise StateDictError(
            "functional_call: the names are not those of the module",
            actual=f"unexpected: {', '.join(unknown) or 'none'}; missing: {', '.join(missing) or 'none'}",
        )
    if tie_weights and len(slots) > _count(module):
        given = _tied(given, slots)
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(slots, given):
        return module(*positional, **({} if kwargs is None else kwargs))


def _joined(dicts: Any) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for part in [dicts] if isinstance(dicts, Mapping) else dicts:
        for name, tensor in part.items():
            if name in found:
                raise ArgumentError("functional_call: two dicts name one tensor", actual=name)
            found[name] = tensor
    return found


def _slots(module: Module) -> dict[str, Slot]:
    """Where each parameter and buffer stands, by every name that it has."""
    found: dict[str, Slot] = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for table_name in _TABLES:
            table = getattr(part, table_name)
            for name in table:
                if table[name] is not None:
                    found[f"{prefix}.{name}" if prefix else name] = (table, name)
    return found


def _count(module: Module) -> int:
    """How many parameters and buffers there are, each counted once."""
    return len(list(module.named_parameters())) + len(list(module.named_buffers()))


def _tied(given: dict[str, Tensor], slots: dict[str, Slot]) -> dict[str, Tensor]:
    """The tensors by every name of what they replace."""
    found: dict[str, Tensor] = {}
    for name, (table, key) in slots.items():
        for other, tensor in given.items():
            its_table, its_key = slots[other]
            if its_table[its_key] is not table[key]:
                continue
            if name in found and found[name] is not tensor:
                raise ArgumentError(
                    "functional_call: one tensor of the module is given two values", actual=f"{name}, {other}",
                    hint="give it under one of its names, or pass tie_weights=False",
                )  # fmt: skip
            found[name] = tensor
    return found


@contextmanager
def _replaced(slots: dict[str, Slot], given: Mapping[str, Tensor]) -> Iterator[None]:
    kept = [(table, key, table[key]) for table, key in (slots[name] for name in given)]
    try:
        for name, tensor in given.items():
            table, key = slots[name]
            table[key] = tensor
        yield
    finally:
        for table, key, tensor in kept:
            table[key] = tensor


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters, and the buffers, of several modules of one class, stacked: for `vmap` over `functional_call`.

    The stacked parameters are leaves that require gradients if those of the modules do.
    """
    if not models:
        raise ArgumentError("stack_module_state: there are no modules")
    if any(type(m) is not type(models[0]) for m in models):
        raise ArgumentError("stack_module_state: the modules are of several classes", expected=type(models[0]).__name__)
    if len({m.training for m in models}) != 1:
        raise ArgumentError("stack_module_state: some modules are in training mode, some are not")
    parameters = _stacked([dict(m.named_parameters()) for m in models])
    return parameters, _stacked([dict(m.named_buffers()) for m in models])


def _stacked(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    found = {}
    for name, first in states[0].items():
        tensors = [s[name] for s in states]
        if len({t.requires_grad for t in tensors}) != 1:
            raise ArgumentError("stack_module_state: some require gradients, some do not", actual=name)
        found[name] = stack([t.detach() for t in tensors]).requires_grad_(first.requires_grad)
    return found
