import copy

import numpy as np
import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ArgumentError, UnsupportedError, ValueRangeError
from jitorch.jit import jit
from tests.nn.oracle import array, close, copy_state, numbers, ours, theirs


def network(lib):
    """One model in either library."""

    class Block(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = lib.nn.Linear(3, 3)
            self.norm = lib.nn.BatchNorm1d(3)
            self.register_buffer("scale", lib.ones(3))
            self.register_buffer("hidden", lib.ones(1), persistent=False)

        def forward(self, x):
            return lib.relu(self.norm(self.fc(x))) * self.scale

    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = lib.nn.ModuleList([Block(), Block()])
            self.shared = self.blocks[0]
            self.nothing = None
            self.head = lib.nn.Linear(3, 2, bias=False)
            self.gain = lib.nn.Parameter(lib.ones(2))
            self.register_parameter("absent", None)

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return self.head(x) * self.gain

    return Net()


def pair():
    mine, reference = network(jitorch), network(torch)
    copy_state(reference, mine)
    return mine, reference


def names(pairs):
    return [name for name, _ in pairs]


@pytest.mark.parametrize("recurse", [True, False])
@pytest.mark.parametrize("remove_duplicate", [True, False])
def test_walks_are_in_pytorchs_order(recurse, remove_duplicate):
    mine, reference = pair()
    options = {"prefix": "p", "recurse": recurse, "remove_duplicate": remove_duplicate}
    assert names(mine.named_parameters(**options)) == names(reference.named_parameters(**options))
    assert names(mine.named_buffers(**options)) == names(reference.named_buffers(**options))
    options = {"prefix": "p", "remove_duplicate": remove_duplicate}
    assert names(mine.named_modules(**options)) == names(reference.named_modules(**options))


def test_children_and_modules():
    mine, reference = pair()
    assert names(mine.named_children()) == names(reference.named_children())
    assert len(list(mine.modules())) == len(list(reference.modules()))
    assert [type(m).__name__ for m in mine.children()] == [type(m).__name__ for m in reference.children()]
    assert len(list(mine.parameters())) == len(list(reference.parameters()))
    assert len(list(mine.buffers())) == len(list(reference.buffers()))
    assert next(mine.parameters()) is mine.gain


def test_repr_is_pytorchs():
    mine, reference = pair()
    assert repr(mine) == repr(reference)


def test_extra_repr_of_several_lines():
    def build(base):
        class Shown(base):
            def extra_repr(self):
                return "a=1\nb=2"

        return Shown()

    assert repr(build(nn.Module)) == repr(build(torch.nn.Module))
    mine, reference = build(nn.Module), build(torch.nn.Module)
    mine.child, reference.child = nn.Identity(), torch.nn.Identity()
    assert repr(mine) == repr(reference)


def test_forward_agrees():
    mine, reference = pair()
    x = numbers(5, 3)
    close(mine(ours(x)), reference(theirs(x)))
    mine.eval()
    reference.eval()
    close(mine(ours(x)), reference(theirs(x)))


def test_module_without_forward():
    class Empty(nn.Module):
        pass

    with pytest.raises(UnsupportedError, match="missing the required"):
        Empty()(1)


def test_apply_visits_children_first():
    mine, reference = pair()
    seen: list[str] = []
    expected: list[str] = []
    assert mine.apply(lambda m: seen.append(type(m).__name__)) is mine
    reference.apply(lambda m: expected.append(type(m).__name__))
    assert seen == expected


def test_train_and_eval():
    mine, _ = pair()
    assert mine.eval() is mine
    assert not any(module.training for module in mine.modules())
    assert mine.train().blocks[1].norm.training
    with pytest.raises(ValueRangeError):
        mine.train("yes")


def test_requires_grad_and_zero_grad():
    mine, _ = pair()
    mine(ours(numbers(4, 3))).sum().backward()
    assert mine.head.weight.grad is not None
    mine.zero_grad(set_to_none=False)
    assert array(mine.head.weight.grad).tolist() == np.zeros((2, 3)).tolist()
    mine.zero_grad()
    assert mine.head.weight.grad is None
    assert mine.requires_grad_(False) is mine
    assert not any(p.requires_grad for p in mine.parameters())


# ---- attributes


def test_attributes_go_to_their_tables():
    module = nn.Module()
    module.weight = nn.Parameter(jitorch.ones(2))
    module.child = nn.Identity()
    module.number = 3
    module.plain = jitorch.ones(1)
    assert list(module._parameters) == ["weight"]
    assert list(module._modules) == ["child"]
    assert not module._buffers
    assert module.number == 3
    assert {"weight", "child", "number", "forward"} <= set(dir(module))
    assert not hasattr(module, "missing")
    with pytest.raises(AttributeError, match="'Module' object has no attribute 'missing'"):
        module.missing


def test_a_new_kind_replaces_the_old():
    module = nn.Module()
    module.register_buffer("x", jitorch.ones(1), persistent=False)
    module.x = nn.Parameter(jitorch.ones(2))
    assert not module._buffers
    assert list(module.state_dict()) == ["x"]
    module.x = nn.Identity()
    assert not module._parameters
    assert isinstance(module.x, nn.Identity)
    module.y = 1
    module.y = nn.Parameter(jitorch.ones(2))
    assert module.y is module._parameters["y"]


def test_reassignment_keeps_the_place():
    module = nn.Sequential(nn.Identity(), nn.Flatten())
    setattr(module, "0", nn.Sigmoid())
    assert [type(m).__name__ for m in module] == ["Sigmoid", "Flatten"]
    linear = nn.Linear(2, 2)
    linear.weight = nn.Parameter(jitorch.zeros(2, 2))
    assert names(linear.named_parameters()) == ["weight", "bias"]


def test_only_parameters_for_parameters():
    linear = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="weight"):
        linear.weight = jitorch.ones(2, 2)
    linear.bias = None
    assert linear.bias is None
    assert list(linear.state_dict()) == ["weight"]
    norm = nn.BatchNorm1d(2)
    norm.running_mean = jitorch.ones(2)
    assert norm._buffers["running_mean"] is norm.running_mean
    with pytest.raises(ArgumentError):
        norm.running_mean = 3
    sequential = nn.Sequential(nn.Identity())
    with pytest.raises(ArgumentError):
        setattr(sequential, "0", 3)


def test_deletion():
    module = network(jitorch)
    del module.gain, module.shared, module.nothing
    assert "gain" not in module.state_dict()
    assert not hasattr(module, "shared")
    assert not hasattr(module, "nothing")
    with pytest.raises(AttributeError):
        del module.gain


def test_before_init():
    class Early(nn.Module):
        def __init__(self, value):
            self.value = value
            super().__init__()

    assert Early(3).value == 3
    with pytest.raises(AttributeError, match="cannot assign parameters before Module"):
        Early(nn.Parameter(jitorch.ones(1)))
    with pytest.raises(AttributeError, match="cannot assign modules before Module"):
        Early(nn.Identity())


@pytest.mark.parametrize(
    ("register", "value"),
    [("register_parameter", None), ("register_buffer", None), ("add_module", None), ("register_module", None)],
)
def test_names_that_cannot_be_registered(register, value):
    module = nn.Module()
    module.taken = 1
    for name in ("a.b", "", "taken", "forward"):
        with pytest.raises(KeyError):
            getattr(module, register)(name, value)
    with pytest.raises(TypeError):
        getattr(module, register)(3, value)
    with pytest.raises(TypeError):
        getattr(module, register)("fine", "not a tensor or module")


def test_lookup_by_dotted_name():
    module = network(jitorch)
    assert module.get_submodule("") is module
    assert module.get_submodule("blocks.1.fc") is module.blocks[1].fc
    assert module.get_parameter("blocks.1.fc.weight") is module.blocks[1].fc.weight
    assert module.get_buffer("blocks.0.scale") is module.blocks[0].scale
    for get, name in (
        (module.get_submodule, "blocks.7"),
        (module.get_submodule, "gain"),
        (module.get_parameter, "blocks.0.scale"),
        (module.get_buffer, "gain"),
    ):
        with pytest.raises(AttributeError):
            get(name)


def test_a_name_of_the_class_or_of_another_table_is_taken():
    class Named(nn.Module):
        weight = None

    module = Named()
    with pytest.raises(KeyError, match="already exists"):
        module.weight = nn.Parameter(jitorch.ones(1))
    with pytest.raises(KeyError, match="parameter name"):
        setattr(module, "a.b", nn.Parameter(jitorch.ones(1)))
    module.bias = nn.Parameter(jitorch.ones(1))
    with pytest.raises(KeyError, match="already exists"):
        module.register_buffer("bias", jitorch.ones(1))


# ---- hooks


def test_hooks_change_arguments_and_result():
    module = nn.Identity()
    with module.register_forward_pre_hook(lambda m, args: args[0] + 1):
        assert module(1) == 2
        handle = module.register_forward_hook(lambda m, args, out: (m is module, args, out * 10))
        assert module(1) == (True, (2,), 20)
        handle.remove()
        handle.remove()
    assert module(1) == 1


def test_hooks_that_only_look():
    module = nn.Identity()
    seen = []
    module.register_forward_pre_hook(lambda m, args: seen.append(args))
    module.register_forward_hook(lambda m, args, out: seen.append(out))
    assert module(5) == 5
    assert seen == [(5,), 5]


def test_hooks_with_keyword_arguments():
    class Add(nn.Module):
        def forward(self, x, y=0):
            return x + y

    module = Add()
    module.register_forward_pre_hook(lambda m, args, kwargs: (args, {"y": kwargs["y"] + 1}), with_kwargs=True)
    module.register_forward_hook(lambda m, args, kwargs, out: (out, kwargs), with_kwargs=True)
    assert module(1, y=2) == (4, {"y": 3})


def test_order_of_hooks():
    module = nn.Identity()
    order = []
    module.register_forward_hook(lambda *_: order.append(1))
    module.register_forward_hook(lambda *_: order.append(2))
    module.register_forward_hook(lambda *_: order.append(0), prepend=True)
    module(1)
    assert order == [0, 1, 2]


# ---- copies and conversions


def test_deep_copy_is_independent():
    mine, _ = pair()
    twin = copy.deepcopy(mine)
    assert twin.shared is twin.blocks[0]
    assert repr(twin) == repr(mine)
    with jitorch.no_grad():
        twin.gain.fill_(9.0)
    assert array(mine.gain).tolist() == [1.0, 1.0]
    assert all(isinstance(p, nn.Parameter) for p in twin.parameters())


def dtypes(module):
    return {name: str(value.dtype).split(".")[-1] for name, value in module.state_dict().items()}


@pytest.mark.parametrize("name", ["double", "float", "half", "bfloat16"])
def test_conversions_keep_integers_and_parameters(name):
    mine, reference = pair()
    before = list(mine.parameters())
    assert getattr(mine, name)() is mine
    getattr(reference, name)()
    assert dtypes(mine) == dtypes(reference)
    assert all(a is b for a, b in zip(before, mine.parameters(), strict=True))


def test_to_takes_all_forms():
    mine, _ = pair()
    assert dtypes(mine.to(jitorch.float64))["gain"] == "float64"
    assert dtypes(mine.to("cpu", jitorch.float32))["gain"] == "float32"
    assert dtypes(mine.to(jitorch.zeros(1, dtype=jitorch.float64)))["gain"] == "float64"
    assert dtypes(mine.to(device="cpu", dtype=jitorch.float32))["gain"] == "float32"
    assert dtypes(mine.to("cpu", non_blocking=True))["gain"] == "float32"
    assert dtypes(mine.type(jitorch.float64))["blocks.0.norm.num_batches_tracked"] == "float64"
    assert mine.cpu() is mine
    with pytest.raises(TypeError, match="floating point"):
        mine.to(jitorch.int64)
    with pytest.raises(TypeError, match="unexpected"):
        mine.to(colour="red")


def test_conversion_takes_gradients_along():
    linear = nn.Linear(2, 1)
    linear(jitorch.ones(1, 2)).sum().backward()
    linear.double()
    assert linear.weight.grad.dtype == jitorch.float64
    assert array(linear.weight.grad).tolist() == [[1.0, 1.0]]


# ---- compiled


def test_jitted_module_is_the_eager_one():
    mine, _ = pair()
    twin = copy.deepcopy(mine)
    compiled = jit(twin, fullgraph=True)
    for train, seed in ((True, 0), (True, 1), (False, 2)):
        mine.train(train)
        twin.train(train)
        x = ours(numbers(5, 3, seed=seed))
        close(compiled(x), mine(x))
    for name, value in mine.state_dict().items():
        close(twin.state_dict()[name], value, name)
    assert compiled.statistics.compiled == 2, "one for each mode"


def test_jitted_module_sees_changes():
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    compiled = jit(module, fullgraph=True)
    x = ours(numbers(3, 2))
    close(compiled(x), module(x))
    module[1] = nn.Tanh()
    close(compiled(x), module(x))
    handle = module.register_forward_hook(lambda m, args, out: out * 2)
    close(compiled(x), module(x))
    handle.remove()
    module[0].weight = nn.Parameter(jitorch.ones(2, 2))
    module[0].bias = None
    close(compiled(x), module(x))
