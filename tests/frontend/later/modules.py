"""Modules, parameters, optimisers, hooks and gradients that change between calls."""

from __future__ import annotations

from typing import Any

import jitorch
from jitorch import nn
from jitorch.nn import functional
from tests.frontend.later.table import attempt, later, tensor

MODULES = "modules"


def linear(n: int = 2, m: int = 2) -> Any:
    layer = nn.Linear(n, m)
    with jitorch.no_grad():
        layer.weight.copy_(jitorch.arange(n * m).reshape(m, n) * 0.25 - 0.5)
        layer.bias.zero_()
    return layer


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.scale = linear(), linear(), 2.0
        self.act = nn.ReLU()

    def forward(self, x):
        return self.second(self.act(self.first(x))) * self.scale


@later(MODULES)
def attribute_of_a_module(jit):
    net = Net()
    f = jit(net)
    for scale in (2.0, 3.0, 4, tensor(5), True):
        net.scale = scale
        yield f(tensor([[1, 2]]))


@later(MODULES)
def submodule_replaced(jit):
    net = Net()
    f = jit(net)
    yield f(tensor([[1, 2]]))
    net.act = nn.Tanh()
    yield f(tensor([[1, 2]]))
    net.first = nn.Sequential(linear(), nn.Sigmoid())
    yield f(tensor([[1, 2]]))
    net.second = nn.Identity()
    yield f(tensor([[1, 2]]))
    net.second = net.first
    yield f(tensor([[1, 2]]))
    del net.act
    yield attempt(f, tensor([[1, 2]]))


@later(MODULES)
def module_of_a_subclass(jit):
    class Louder(Net):
        def forward(self, x):
            return super().forward(x) * 10

    f = jit(lambda m, x: m(x))
    for m in (Net(), Louder(), Net(), linear(), Louder()):
        yield f(m, tensor([[1, 2]]))


@later(MODULES)
def forward_replaced(jit):
    net = Net()
    f, g = jit(net), jit(lambda x: net(x))
    yield f(tensor([[1, 2]])), g(tensor([[1, 2]]))
    net.forward = lambda x: x * 9
    yield f(tensor([[1, 2]])), g(tensor([[1, 2]]))
    del net.forward
    old = Net.forward
    Net.forward = lambda self, x: old(self, x) + 1
    try:
        yield f(tensor([[1, 2]])), g(tensor([[1, 2]]))
    finally:
        Net.forward = old
    yield f(tensor([[1, 2]])), g(tensor([[1, 2]]))


@later(MODULES)
def module_list_and_dict_changed(jit):
    layers = nn.ModuleList([linear(), linear()])
    named = nn.ModuleDict({"a": linear(), "b": nn.Tanh()})

    def f(x):
        for layer in layers:
            x = layer(x)
        for layer in named.values():
            x = layer(x)
        return x * len(layers)

    g = jit(f)
    yield g(tensor([[1, 2]]))
    layers.append(nn.Sigmoid())
    yield g(tensor([[1, 2]]))
    layers[0] = nn.Identity()
    yield g(tensor([[1, 2]]))
    named["c"] = nn.ReLU()
    yield g(tensor([[1, 2]]))
    del named["a"]
    yield g(tensor([[1, 2]]))


@later(MODULES)
def sequential_changed(jit):
    net = nn.Sequential(linear(), nn.ReLU())
    f = jit(net)
    yield f(tensor([[1, 2]]))
    net.append(nn.Tanh())
    yield f(tensor([[1, 2]]))
    net[1] = nn.Sigmoid()
    yield f(tensor([[1, 2]]))
    net.insert(0, linear())
    yield f(tensor([[1, 2]]))


@later(MODULES)
def parameter_replaced(jit):
    layer = linear()
    f = jit(layer)
    yield f(tensor([[1, 2]]))
    layer.weight = nn.Parameter(tensor([[1, 0], [0, 1]]))
    yield f(tensor([[1, 2]]))
    layer.bias = None
    yield f(tensor([[1, 2]]))
    layer.weight = nn.Parameter(tensor([[1, 0], [0, 1], [2, 2]]))
    yield f(tensor([[1, 2]]))
    layer.register_parameter("bias", nn.Parameter(tensor(1, 2, 3)))
    yield f(tensor([[1, 2]]))


@later(MODULES)
def parameter_shared_later(jit):
    net = Net()
    f = jit(net)
    yield f(tensor([[1, 2]]))
    net.second.weight = net.first.weight
    f(tensor([[1, 2]])).sum().backward()
    yield net.first.weight.grad, net.second.bias.grad


@later(MODULES)
def buffer_replaced_and_written(jit):
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", tensor(0, 0))
            self.register_buffer("count", jitorch.tensor(0))

        def forward(self, x):
            self.count += 1
            self.mean = self.mean + (x - self.mean) / self.count
            return x - self.mean

    m = Mean()
    f = jit(m)
    for x in (tensor(1, 2), tensor(3, 4), tensor(5, 0)):
        yield f(x), m.mean, m.count, list(m.state_dict())
    m.mean = tensor(9, 9)
    yield f(tensor(1, 1)), m.mean, m.count


@later(MODULES)
def state_dict_loaded(jit):
    net, other = Net(), Net()
    f = jit(net)
    yield f(tensor([[1, 2]]))
    with jitorch.no_grad():
        for p in other.parameters():
            p.add_(0.5)
    net.load_state_dict(other.state_dict())
    yield f(tensor([[1, 2]]))


@later(MODULES)
def module_converted(jit):
    net = Net()
    f = jit(net)
    yield f(tensor([[1, 2]]))
    net.double()
    yield f(tensor([[1, 2]]).double()), attempt(f, tensor([[1, 2]]))
    net.float()
    yield f(tensor([[1, 2]]))
    net.apply(lambda m: m.requires_grad_(False))
    yield f(tensor([[1, 2]]))


@later(MODULES)
def training_flag(jit):
    net = nn.Sequential(linear(), nn.Dropout(0.5), nn.BatchNorm1d(2))
    f = jit(net)
    x = tensor([[1, 2], [3, 4], [0, 1]])
    for train in (True, False, True, False):
        net.train(train)
        yield f(x), net[2].running_mean, net[2].num_batches_tracked
    net[1].train()
    yield f(x)
    net[2].momentum = 0.9
    net.train()
    yield f(x), net[2].running_mean
    net[1].p = 0.1
    yield f(x)


@later(MODULES)
def training_flag_of_a_part(jit):
    class Part(nn.Module):
        def forward(self, x):
            return x * 2 if self.training else x

    net = nn.Sequential(Part(), Part())
    f = jit(net)
    yield f(tensor(1))
    net[0].eval()
    yield f(tensor(1))
    net.eval()
    yield f(tensor(1))
    net[1].train()
    yield f(tensor(1))


@later(MODULES)
def mode_set_inside(jit):
    net = nn.Sequential(nn.Dropout(0.5))

    def f(x, train):
        net.train(train)
        return net(x)

    g = jit(f)
    for train in (False, True, False):
        yield g(tensor(1, 2, 3), train).shape, net.training, net[0].training


@later(MODULES)
def requires_grad_of_parameters(jit):
    net = Net()
    f = jit(net)

    def gradients():
        for p in net.parameters():
            p.grad = None
        f(tensor([[1, 2]])).sum().backward()
        return [p.grad for p in net.parameters()]

    yield gradients()
    net.first.requires_grad_(False)
    yield gradients()
    net.first.weight.requires_grad_(True)
    yield gradients()
    net.requires_grad_(False)
    yield f(tensor([[1, 2]]))


@later(MODULES)
def forward_hooks(jit):
    net = Net()
    f = jit(net)
    seen = []
    yield f(tensor([[1, 2]]))
    one = net.first.register_forward_hook(lambda m, args, out: out * 2)
    yield f(tensor([[1, 2]]))
    two = net.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    yield f(tensor([[1, 2]]))
    three = net.second.register_forward_hook(lambda m, args, out: seen.append(out))
    yield f(tensor([[1, 2]])), seen
    one.remove()
    two.remove()
    three.remove()
    yield f(tensor([[1, 2]])), len(seen)


@later(MODULES)
def backward_hooks(jit):
    net = Net()

    def step(x):
        for p in net.parameters():
            p.grad = None
        net(x).sum().backward()
        return [p.grad for p in net.parameters()]

    f = jit(step)
    yield f(tensor([[1, 2]]))
    handle = net.first.weight.register_hook(lambda g: g * 10)
    yield f(tensor([[1, 2]]))
    handle.remove()
    yield f(tensor([[1, 2]]))


@later(MODULES)
def functional_replaced(jit):
    f = jit(lambda x: functional.relu(x))
    yield f(tensor(-1, 2))
    old = functional.relu
    functional.relu = lambda x: x * 7
    try:
        yield f(tensor(-1, 2))
    finally:
        functional.relu = old
    yield f(tensor(-1, 2))


@later(MODULES)
def parameters_counted(jit):
    net = Net()
    f = jit(
        lambda: (sum(p.sum() for p in net.parameters()), len(list(net.modules())), [n for n, _ in net.named_children()])
    )
    yield f()
    net.third = linear()
    yield f()
    net.extra = nn.Parameter(tensor(1))
    yield f()


@later(MODULES)
def module_attribute_of_a_library_module(jit):
    pool, norm = nn.AvgPool1d(2), nn.LayerNorm(4)
    f = jit(lambda x: (pool(x), norm(x)))
    x = tensor([[1, 2, 3, 4]])
    yield f(x)
    pool.kernel_size = 4
    yield attempt(f, x)
    pool.stride = 1
    yield attempt(f, x)
    norm.eps = 1.0
    yield f(x)
