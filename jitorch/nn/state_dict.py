"""Loading of state dicts into modules: first everything is compared, then everything is written.

So a state dict that does not fit changes nothing, where PyTorch leaves the module half loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jitorch
from jitorch.errors import StateDictError
from jitorch.nn.parameter import Parameter
from jitorch.tensor import Tensor

if TYPE_CHECKING:
    from jitorch.nn.module import Module

EXTRA_STATE = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` did not find in the state dict, and what it had no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    __str__ = __repr__


class _Plan:
    """One load: the writes to do, and what stands against them."""

    def __init__(self, state: Mapping[str, Any]):
        self.state = state
        self.tensors: list[tuple[Module, str, Tensor]] = []
        self.extras: list[tuple[Module, Any]] = []
        self.known: set[str] = set()
        self.missing: list[str] = []
        self.mismatches: list[str] = []

    def add_module(self, module: Module, prefix: str) -> None:
        for name, tensor in (*module._parameters.items(), *module._persistent_buffers()):
            if tensor is not None:
                self.add_tensor(module, name, tensor, prefix + name)
        if module._has_extra_state():
            self.add_extra(module, prefix + EXTRA_STATE)
        for name, child in module._modules.items():
            if child is not None:
                self.add_module(child, f"{prefix}{name}.")

    def add_tensor(self, module: Module, name: str, tensor: Tensor, key: str) -> None:
        self.known.add(key)
        if key not in self.state:
            self.missing.append(key)
            return
        value = self.state[key]
        if not isinstance(value, Tensor):
            self.mismatches.append(f'While copying the parameter named "{key}": expected a Tensor, got {type(value)}.')
        elif tuple(value.shape) != tuple(tensor.shape):
            self.mismatches.append(
                f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
                f"the shape in current model is {tensor.shape}."
            )
        else:
            self.tensors.append((module, name, value))

    def add_extra(self, module: Module, key: str) -> None:
        self.known.add(key)
        if key in self.state:
            self.extras.append((module, self.state[key]))
        else:
            self.missing.append(key)

    def unexpected(self) -> list[str]:
        return [key for key in self.state if key not in self.known]


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)


def _assign(module: Module, name: str, value: Tensor) -> None:
    """Put the tensor of the state dict itself in the place of the module's; ``requires_grad`` stays the module's."""
    if name in module._buffers:
        module._buffers[name] = value
        return
    old = module._parameters[name]
    keeps = old is None or old.requires_grad
    parameter = value if isinstance(value, Parameter) else Parameter(value)
    parameter.requires_grad_(keeps)
    module._parameters[name] = parameter


def load(module: Module, state: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """Write ``state`` into ``module``; see `Module.load_state_dict`."""
    plan = _Plan(state)
    plan.add_module(module, "")
    unexpected = plan.unexpected()
    problems = list(plan.mismatches)
    if strict and unexpected:
        problems.insert(0, f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
    if strict and plan.missing:
        problems.insert(0, f"Missing key(s) in state_dict: {_quoted(plan.missing)}. ")
    if problems:
        raise StateDictError(
            "\n\t".join([f"Error(s) in loading state_dict for {type(module).__name__}:", *problems]),
            hint="nothing was loaded; strict=False ignores missing and unexpected keys" if strict else None,
        )
    with jitorch.no_grad():
        for owner, name, value in plan.tensors:
            if assign:
                _assign(owner, name, value)
            else:
                getattr(owner, name).copy_(value)
    for owner, extra in plan.extras:
        owner.set_extra_state(extra)
    return IncompatibleKeys(plan.missing, unexpected)
