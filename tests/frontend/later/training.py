"""Training steps, gradients and hooks, with something changed between them."""

from __future__ import annotations

from typing import Any

import jitorch
from jitorch import nn, optim
from jitorch.nn import functional
from tests.frontend.later.modules import Net
from tests.frontend.later.table import attempt, later, tensor

TRAINING = "training steps and gradients"


def fitted(name: str, make: Any, change: Any) -> None:
    """Steps of an optimiser in one compiled function, with something changed between them."""

    def play(jit):
        net = Net()
        optimiser = make(net.parameters())

        def step(x, y):
            optimiser.zero_grad()
            loss = functional.mse_loss(net(x), y)
            loss.backward()
            optimiser.step()
            return loss

        step.__qualname__ = name  # traces are kept by the names of functions
        f = jit(step)
        x, y = tensor([[1, 2], [0, 1]]), tensor([[1, 0], [0, 1]])
        for i in range(4):
            if i == 2:
                change(optimiser, net)
            yield f(x, y), list(net.parameters()), [p.grad is None for p in net.parameters()]

    play.__name__ = name
    later(TRAINING)(play)


def _set(**values: Any) -> Any:
    return lambda o, net: o.param_groups[0].update(values)


fitted("sgd_learning_rate", lambda p: optim.SGD(p, lr=0.1), _set(lr=0.01))
fitted("sgd_momentum", lambda p: optim.SGD(p, lr=0.1), _set(momentum=0.9))
fitted("sgd_weight_decay", lambda p: optim.SGD(p, lr=0.1, momentum=0.9), _set(weight_decay=0.1, nesterov=True))
fitted("adam_betas", lambda p: optim.Adam(p, lr=0.1), _set(betas=(0.5, 0.5)))
fitted("adamw_rate_as_a_tensor", lambda p: optim.AdamW(p, lr=0.1), _set(lr=tensor([0.01])[0]))
fitted("frozen_layer", lambda p: optim.Adam(p, lr=0.1), lambda o, net: net.first.requires_grad_(False))
fitted(
    "parameters_added",
    lambda p: optim.SGD(list(p)[:2], lr=0.1),
    lambda o, net: o.add_param_group({"params": net.second.weight}),
)
fitted("state_loaded", lambda p: optim.Adam(p, lr=0.1), lambda o, net: o.load_state_dict(o.state_dict()))
fitted("weights_written", lambda p: optim.SGD(p, lr=0.1), lambda o, net: net.first.weight.data.fill_(0.5))
fitted("loss_scaled", lambda p: optim.SGD(p, lr=0.1), lambda o, net: setattr(net, "scale", 0.5))
fitted("group_maximised", lambda p: optim.SGD(p, lr=0.1), _set(maximize=True))


@later(TRAINING)
def scheduler_between_steps(jit):
    w = nn.Parameter(tensor(1, 2))
    optimiser = optim.SGD([w], lr=0.1)
    scheduler = optim.lr_scheduler.StepLR(optimiser, 1, 0.5)

    def step():
        optimiser.zero_grad()
        (w * w).sum().backward()
        optimiser.step()

    f = jit(step)
    for _ in range(4):
        f()
        scheduler.step()
        yield w, scheduler.get_last_lr()


@later(TRAINING)
def gradient_accumulated(jit):
    w = tensor(1, 2, grad=True)

    def f(x):
        (w * x).sum().backward()
        return w.grad

    g = jit(f)
    for i in range(3):
        found = g(tensor(i, 1))
        yield found, w.grad is found
    w.grad = None
    yield g(tensor(1, 1)), w.grad
    w.grad.zero_()
    yield g(tensor(1, 1)), w.grad


@later(TRAINING)
def gradient_that_aliases(jit):
    w, v = tensor(1, 2, grad=True), tensor(3, 4, grad=True)

    def f():
        (w * w).sum().backward()
        (v * v).sum().backward()

    g = jit(f)
    w.grad, v.grad = tensor(0, 0), tensor(0, 0)
    g()
    yield w.grad, v.grad
    v.grad = w.grad
    g()
    yield w.grad, v.grad, v.grad is w.grad


@later(TRAINING)
def gradient_of_a_result(jit):
    f = jit(lambda x, w: (x * w).sum() * w[0])
    for n in (2, 3, 2):
        x, w = jitorch.ones(n, requires_grad=True), jitorch.arange(n, dtype=jitorch.float32).add(1).requires_grad_()
        y = f(x, w)
        (first,) = jitorch.autograd.grad(y, w, create_graph=True)
        first.sum().backward()
        yield y, first, x.grad, w.grad


@later(TRAINING)
def gradient_taken_twice(jit):
    f = jit(lambda x: (x * x).sum())
    x = tensor(1, 2, grad=True)
    y = f(x)
    y.backward(retain_graph=True)
    y.backward()
    yield x.grad, attempt(y.backward)
    yield f(x)


@later(TRAINING)
def gradient_after_a_write(jit):
    f = jit(lambda x: (x * x).sum())
    x = tensor(1, 2, grad=True)
    y = f(x)
    with jitorch.no_grad():
        x.add_(1)
    yield attempt(y.backward)[:2], x.grad


@later(TRAINING)
def leaves_and_histories(jit):
    f = jit(lambda x: (x * 2, x.detach(), x))
    x = tensor(1, 2, grad=True)
    for argument in (x, x * 1, x.detach(), x[0:1]):
        found = f(argument)
        yield [(t.requires_grad, t.is_leaf) for t in found], found[2] is argument
        if found[0].requires_grad:
            x.grad = None
            found[0].sum().backward()
            yield x.grad


@later(TRAINING)
def gradient_of_a_branch_not_taken(jit):
    def f(x, w, v):
        return (x * w).sum() if x[0] > 0 else (x * v).sum()

    g = jit(f)
    for x in (tensor(1, 2), tensor(-1, 2)):
        w, v = tensor(1, 2, grad=True), tensor(3, 4, grad=True)
        g(x, w, v).backward()
        yield [jitorch.zeros(2) if t.grad is None else t.grad for t in (w, v)]


@later(TRAINING)
def gradient_clipped(jit):
    net = Net()

    def f(x, limit):
        for p in net.parameters():
            p.grad = None
        net(x).pow(2).sum().backward()
        return nn.utils.clip_grad_norm_(net.parameters(), limit), [p.grad for p in net.parameters()]

    g = jit(f)
    for limit in (1.0, 0.1, 100.0):
        yield g(tensor([[1, 2]]), limit)


@later(TRAINING)
def gradient_inside_of_no_grad(jit):
    w = tensor(1, 2, grad=True)

    def f(x):
        with jitorch.enable_grad():
            (w * x).sum().backward()
        return w.grad

    g = jit(f)
    yield g(tensor(1, 1))
    with jitorch.no_grad():
        yield g(tensor(1, 1))
    yield g(tensor(1, 1))


@later(TRAINING)
def hooks_of_tensors(jit):
    w = tensor(1, 2, grad=True)
    log = []

    def f(x):
        w.grad = None
        (w * x).sum().backward()
        return w.grad

    g = jit(f)
    yield g(tensor(1, 1))
    handle = w.register_hook(lambda grad: grad * 3)
    yield g(tensor(1, 1))
    handle.remove()
    handle = w.register_hook(lambda grad: log.append(grad.sum()))
    yield g(tensor(1, 1)), log
    handle.remove()
    yield g(tensor(1, 1)), len(log)
