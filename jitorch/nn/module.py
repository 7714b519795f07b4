"""`Module`: the base class of layers and models.

A module keeps its parameters, buffers and submodules in three ordered tables.  ``__setattr__`` sorts
what is assigned into them, ``__getattr__`` looks names up in them and does nothing else, so that
`@jit` may read attributes freely.  For the same reason a call without hooks is only a call of ``forward``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import jitorch
from jitorch.errors import ArgumentError, UnsupportedError, ValueRangeError
from jitorch.frontend.python import pure_getattr
from jitorch.nn import state_dict as state_dicts
from jitorch.nn.conversion import parse_to
from jitorch.nn.hooks import add_hook
from jitorch.nn.parameter import Parameter
from jitorch.tensor import RemovableHandle, Tensor

_TABLES = ("_parameters", "_buffers", "_modules")


class Module:
    """Base class of all layers and models: define ``forward``, then call the module.

    Subclasses call ``super().__init__()`` before they assign parameters, buffers or submodules.
    ``training`` says whether layers such as dropout are in training mode.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        # Written past __setattr__, which needs the tables to be there.
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _modules={},
            _forward_pre_hooks={},
            _forward_hooks={},
        )

    # ---- calling

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise UnsupportedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function',
            hint="define forward(self, ...) in the class",
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._forward_pre_hooks or self._forward_hooks:
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in list(self._forward_pre_hooks.values()):
            changed = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if changed is None:
                continue
            if with_kwargs:
                args, kwargs = changed
            else:
                args = changed if isinstance(changed, tuple) else (changed,)
        result = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._forward_hooks.values()):
            changed = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if changed is not None:
                result = changed
        return result

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; what it returns, if not None, replaces the arguments.

        With ``with_kwargs`` it is ``hook(module, args, kwargs)`` and returns None or ``(args, kwargs)``.
        """
        return add_hook(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; what it returns, if not None, replaces the output.

        With ``with_kwargs`` it is ``hook(module, args, kwargs, output)``.
        """
        return add_hook(self._forward_hooks, (hook, with_kwargs), prepend)

    # ---- attributes

    @pure_getattr(*_TABLES)
    def __getattr__(self, name: str) -> Any:
        members = self.__dict__
        for table in _TABLES:
            # Absent while a copy or a pickle is being rebuilt.
            if table in members and name in members[table]:
                return members[table][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        members = self.__dict__
        table = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else None
        if "_parameters" not in members:
            if table is not None:
                raise AttributeError(f"cannot assign {table[1:]} before Module.__init__() call")
            object.__setattr__(self, name, value)
        elif table is not None:
            self._forget(name, keep=table)
            self._check_name(name, table[1:-1])
            members[table][name] = value
        elif name in members["_parameters"]:
            self._set_special("_parameters", name, value, Parameter)
        elif name in members["_modules"]:
            self._set_special("_modules", name, value, Module)
        elif name in members["_buffers"]:
            self._set_special("_buffers", name, value, Tensor)
        else:
            object.__setattr__(self, name, value)

    def _set_special(self, table: str, name: str, value: Any, kind: type) -> None:
        """A name once used for a parameter, buffer or submodule takes only such, or None."""
        if value is not None and not isinstance(value, kind):
            raise ArgumentError(
                f"cannot assign a {type(value).__name__} as {table[1:-1]} {name!r}",
                expected=f"{kind.__name__} or None",
                actual=type(value).__name__,
            )
        self.__dict__[table][name] = value

    def _forget(self, name: str, keep: str | None = None) -> None:
        members = self.__dict__
        members.pop(name, None)
        for table in _TABLES:
            if table != keep:
                members[table].pop(name, None)
        members["_non_persistent_buffers_set"].discard(name)

    def __delattr__(self, name: str) -> None:
        if any(name in self.__dict__[table] for table in _TABLES):
            self._forget(name)
        else:
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        own = {*dir(type(self)), *self.__dict__, *self._parameters, *self._buffers, *self._modules}
        # Names such as "0" of a Sequential cannot be written after a dot.
        return sorted(name for name in own if not name[0].isdigit())

    def _check_name(self, name: str, kind: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise ArgumentError(f"{kind} name should be a string", expected="str", actual=type(name).__name__)
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[f"_{kind}s"]:
            raise KeyError(f"attribute {name!r} already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None keeps the name but stays out of ``parameters()`` and ``state_dict()``."""
        self._check_name(name, "parameter")
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentError(
                f"cannot register a {type(param).__name__} as parameter {name!r}",
                expected="Parameter or None",
                actual=type(param).__name__,
            )
        self._forget(name, keep="_parameters")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module's state but is not trained.

        One that is not ``persistent`` stays out of ``state_dict()``.
        """
        self._check_name(name, "buffer")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentError(
                f"cannot register a {type(tensor).__name__} as buffer {name!r}",
                expected="Tensor or None",
                actual=type(tensor).__name__,
            )
        self._forget(name, keep="_buffers")
        self._buffers[name] = tensor
        if not persistent:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under ``name``."""
        self._check_name(name, "module")
        if module is not None and not isinstance(module, Module):
            raise ArgumentError(
                f"{type(module).__name__} is not a Module subclass",
                expected="Module or None",
                actual=type(module).__name__,
            )
        self._forget(name, keep="_modules")
        self._modules[name] = module

    register_module = add_module

    # ---- walking; lists are built at once, so changes while one walks do no harm

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each with its dotted name, parents first."""
        found: list[tuple[str, Module]] = []
        self._collect_modules(found, set() if memo is None else memo, prefix, remove_duplicate)
        return iter(found)

    def _collect_modules(
        self, found: list[tuple[str, Module]], memo: set[Module], prefix: str, remove_duplicate: bool
    ) -> None:
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        found.append((prefix, self))
        for name, module in self._modules.items():
            if module is not None:
                module._collect_modules(found, memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return iter([module for _, module in self.named_modules()])

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules, each once, with their names."""
        found: dict[Module, str] = {}
        for name, module in self._modules.items():
            if module is not None:
                found.setdefault(module, name)
        return iter([(name, module) for module, name in found.items()])

    def children(self) -> Iterator[Module]:
        """The direct submodules, each once."""
        return iter([module for _, module in self.named_children()])

    def _named_members(self, table: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[Any]:
        found: list[tuple[str, Any]] = []
        seen: set[Tensor] = set()
        owners = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for owner, module in owners:
            for name, tensor in module.__dict__[table].items():
                if tensor is None or tensor in seen:
                    continue
                if remove_duplicate:
                    seen.add(tensor)
                found.append((f"{owner}.{name}" if owner else name, tensor))
        return iter(found)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; ``recurse`` takes in those of submodules."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once; ``recurse`` takes in those of submodules."""
        return iter([parameter for _, parameter in self.named_parameters(recurse=recurse)])

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names; ``recurse`` takes in those of submodules."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once; ``recurse`` takes in those of submodules."""
        return iter([buffer for _, buffer in self.named_buffers(recurse=recurse)])

    def _persistent_buffers(self) -> list[tuple[str, Tensor | None]]:
        """This module's own buffers that are part of its state dict."""
        return [(name, b) for name, b in self._buffers.items() if name not in self._non_persistent_buffers_set]

    def get_submodule(self, target: str) -> Module:
        """The submodule of a dotted name, ``""`` for this module itself; AttributeError if there is none."""
        module: Module = self
        for name in target.split(".") if target else []:
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                raise AttributeError(f"{type(module).__name__} has no submodule `{name}`")
            module = found
        return module

    def _get_member(self, target: str, table: str) -> Tensor:
        owner, _, name = target.rpartition(".")
        module = self.get_submodule(owner)
        found = module.__dict__[table].get(name)
        if found is None:
            raise AttributeError(f"{type(module).__name__} has no {table[1:-1]} `{name}`")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name; AttributeError if there is none."""
        parameter: Any = self._get_member(target, "_parameters")
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name; AttributeError if there is none."""
        return self._get_member(target, "_buffers")

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every submodule, children first, then on this module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ---- modes and gradients

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in all submodules."""
        if not isinstance(mode, bool):
            raise ValueRangeError("training mode is expected to be boolean", expected="bool", actual=repr(mode))
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and in all submodules."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switch gradients of all parameters on or off."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad.detach_().zero_()

    # ---- dtype and device

    def _apply(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Replace the data of all parameters, gradients and buffers by ``fn`` of it; parameters remain the objects."""
        for child in self.children():
            child._apply(fn)
        with jitorch.no_grad():
            for parameter in self._parameters.values():
                if parameter is None:
                    continue
                gradient = parameter.grad
                parameter.data = fn(parameter.data)
                if gradient is not None:
                    parameter.grad = fn(gradient)
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert to a device, a floating-point dtype or both; integer parameters and buffers keep their dtype.

        ``to(device)``, ``to(dtype)``, ``to(device, dtype)``, or ``to(tensor)`` for those of a tensor.
        """
        device, dtype = parse_to(*args, **kwargs)
        if dtype is not None and not dtype.is_floating_point:
            raise ArgumentError(
                "nn.Module.to only accepts floating point dtypes", expected="a floating-point dtype", actual=dtype
            )

        def convert(tensor: Tensor) -> Tensor:
            return tensor.to(
                device=tensor.device if device is None else device,
                dtype=dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype,
            )

        return self._apply(convert)

    def type(self, dst_type: Any) -> Self:
        """Convert all parameters and buffers, integers too, to ``dst_type``."""
        return self._apply(lambda t: t.to(dtype=dst_type))

    def float(self) -> Self:
        """Convert floating-point parameters and buffers to float32."""
        return self.to(dtype=jitorch.float32)

    def double(self) -> Self:
        """Convert floating-point parameters and buffers to float64."""
        return self.to(dtype=jitorch.float64)

    def half(self) -> Self:
        """Convert floating-point parameters and buffers to float16."""
        return self.to(dtype=jitorch.float16)

    def bfloat16(self) -> Self:
        """Convert floating-point parameters and buffers to bfloat16."""
        return self.to(dtype=jitorch.bfloat16)

    def cpu(self) -> Self:
        """Move all parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """Move all parameters and buffers to a CUDA device."""
        return self.to("cuda" if device is None else device)

    # ---- state

    def get_extra_state(self) -> Any:
        """Extra state for ``state_dict()``; define it together with `set_extra_state`."""
        raise UnsupportedError(f"{type(self).__name__} has no extra state", hint="define get_extra_state(self)")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise UnsupportedError(
            f"{type(self).__name__} takes no extra state", hint="define set_extra_state(self, state)"
        )

    def _has_extra_state(self) -> bool:
        """Whether the class defines `get_extra_state`."""
        return type(self).get_extra_state is not Module.get_extra_state

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name, in order.

        The tensors share storage with the module's and are detached, unless ``keep_vars``.
        """
        state: dict[str, Any] = OrderedDict() if destination is None else destination
        for name, tensor in (*self._parameters.items(), *self._persistent_buffers()):
            if tensor is not None:
                state[prefix + name] = tensor if keep_vars else tensor.detach()
        if self._has_extra_state():
            state[prefix + state_dicts.EXTRA_STATE] = self.get_extra_state()
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> state_dicts.IncompatibleKeys:
        """Copy parameters and buffers from ``state_dict``; a dict that does not fit changes nothing.

        ``strict`` makes missing and unexpected keys a `StateDictError`; different shapes always are one.
        ``assign`` puts the given tensors themselves in place, with their dtype, instead of copying into the old ones.
        """
        if not isinstance(state_dict, Mapping):
            raise ArgumentError("state_dict is not a mapping", expected="a dict", actual=type(state_dict).__name__)
        return state_dicts.load(self, state_dict, strict, assign)

    # ---- printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What a subclass shows between the parentheses of its repr."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if not self._modules:
            body = lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines) + "\n" * bool(lines)
            return f"{self._get_name()}({body})"
        lines += [f"({name}): {indented(repr(module))}" for name, module in self._modules.items()]
        return f"{self._get_name()}(" + "".join(f"\n  {line}" for line in lines) + "\n)"


def indented(text: str) -> str:
    """``text`` with every line but the first moved in by two."""
    return text.replace("\n", "\n  ")
