"""`Optimizer`: groups of parameters with their options, and the state kept for each parameter."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jitorch.errors import ArgumentError, StateDictError, UnsupportedError, ValueRangeError
from jitorch.tensor import Tensor

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class Optimizer:
    """Base class: ``Optimizer(params, defaults)``.

    ``params`` are tensors, (name, tensor) pairs, or dicts ``{"params": ..., "lr": ...}`` whose further items override
    ``defaults`` for that group.  ``param_groups`` is the list of all such dicts; ``state`` maps a parameter to its own.

    Unlike in PyTorch the state is created when a group is added, not on the first step, so that all steps look the
    same and a jitted step compiles once.  Therefore convert a model (``model.double()``) before making its optimiser.
    """

    param_groups: list[dict[str, Any]]
    state: dict[Any, dict[str, Any]]
    defaults: dict[str, Any]

    def __init__(self, params: Params, defaults: dict[str, Any]):
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise ArgumentError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts",
                expected="an iterable of Tensors or dicts",
                actual=type(params).__name__,
                hint="model.parameters(), or [tensor] for a single tensor",
            )
        self.defaults = defaults
        self.param_groups = []
        self.state = {}
        groups = list(params)
        if not groups:
            raise ValueRangeError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)  # type: ignore[arg-type]

    def init_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter before its first step; subclasses say what is in it."""
        return {}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; options that it lacks are the defaults.  Used to train more layers as training goes on."""
        if not isinstance(param_group, dict):
            raise ArgumentError(
                f"param_group must be a dict, but got {type(param_group)}",
                expected="dict",
                actual=type(param_group).__name__,
            )
        group = dict(param_group)
        group["params"], names = _named_apart(group["params"])
        if names:
            group["param_names"] = names
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        self._check_parameters(group["params"])
        self.param_groups.append(group)
        for parameter in group["params"]:
            self.state[parameter] = self.init_state(parameter, group)

    def _check_parameters(self, parameters: list[Tensor]) -> None:
        seen = {p for group in self.param_groups for p in group["params"]}
        for parameter in parameters:
            if not isinstance(parameter, Tensor):
                raise ArgumentError(
                    "optimizer can only optimize Tensors", expected="Tensor", actual=type(parameter).__name__
                )
            if not parameter.is_leaf and not self.defaults.get("differentiable"):
                raise ValueRangeError(
                    "can't optimize a non-leaf Tensor", hint="use the tensor's .detach(), or a Parameter"
                )
            if parameter in seen:
                raise ValueRangeError("some parameters appear twice, in this or another parameter group")
            seen.add(parameter)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters from their gradients; ``closure``, if given, computes the loss again first."""
        raise UnsupportedError(f"{type(self).__name__} has no step", hint="define step(self, closure=None)")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                # Not read where it need not be: a compiled step would then depend on whether it was there.
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad.detach_().zero_()

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """``{"state": ..., "param_groups": ...}`` with parameters numbered in order, in PyTorch's layout.

        The tensors in it are the optimiser's own, not copies.
        """
        numbers = {parameter: i for i, parameter in enumerate(self._parameters())}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        for group in groups:
            group["params"] = group.pop("params")
        return {"state": {numbers[p]: dict(state) for p, state in self.state.items() if state}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take options and copies of the state from ``state_dict``; StateDictError if its groups do not fit.

        Floating-point state is converted to the dtype of its parameter, except "step".
        """
        groups, states = state_dict["param_groups"], state_dict["state"]
        if len(groups) != len(self.param_groups):
            raise StateDictError(
                "loaded state dict has a different number of parameter groups",
                expected=len(self.param_groups),
                actual=len(groups),
            )
        for mine, loaded in zip(self.param_groups, groups, strict=True):
            if len(mine["params"]) != len(loaded["params"]):
                raise StateDictError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group",
                    expected=len(mine["params"]),
                    actual=len(loaded["params"]),
                )
        for mine, loaded in zip(self.param_groups, groups, strict=True):
            mine.update({name: copy.deepcopy(value) for name, value in loaded.items() if name != "params"})
            for parameter, number in zip(mine["params"], loaded["params"], strict=True):
                state = self.init_state(parameter, mine)
                for name, value in states.get(number, {}).items():
                    state[name] = _fitted(name, value, parameter)
                self.state[parameter] = state

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def _named_apart(params: Any) -> tuple[list[Any], list[str]]:
    """The tensors, and their names if they were given as (name, tensor) pairs."""
    if isinstance(params, Tensor):
        return [params], []
    if isinstance(params, set):
        raise ArgumentError(
            "optimizer parameters need to be ordered, but a set has no order", expected="a list", actual="set"
        )
    members = list(params)
    pairs = [member for member in members if isinstance(member, tuple)]
    if not pairs:
        return members, []
    if len(pairs) != len(members):
        raise ValueRangeError("all optimizer params should be with or without names", hint="model.named_parameters()")
    return [parameter for _, parameter in pairs], [name for name, _ in pairs]


def _fitted(name: str, value: Any, parameter: Tensor) -> Any:
    """A copy of a piece of loaded state, in the parameter's dtype where it is like a gradient."""
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    if name != "step" and parameter.is_floating_point():
        value = value.to(device=parameter.device, dtype=parameter.dtype)
    return value.detach().clone()


def check_options(**options: tuple[Any, float, float]) -> None:
    """Raise ValueRangeError unless each ``name=(value, low, high)`` holds ``low <= value < high``."""
    for name, (value, low, high) in options.items():
        if isinstance(value, Tensor):
            if value.numel() != 1:
                raise ValueRangeError(f"Tensor {name} must be 1-element", expected=1, actual=value.numel())
        elif not low <= value < high:
            raise ValueRangeError(f"Invalid {name} value: {value}", expected=f"{low} <= {name} < {high}", actual=value)


def check_differentiable(differentiable: bool) -> None:
    """Raise UnsupportedError for steps through which gradients are to flow."""
    if differentiable:
        raise UnsupportedError("differentiable=True is not supported", hint="write the update as a function of tensors")
