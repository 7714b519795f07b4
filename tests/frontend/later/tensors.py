"""Tensors, parameters, optimisers and generators changed in ways that no assignment to a name shows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

import jitorch
from jitorch import nn, optim
from jitorch.nn import functional
from tests.frontend.later.modules import Net, linear
from tests.frontend.later.table import attempt, later, tensor

TENSORS = "tensors changed behind the scenes"


@later(TENSORS)
def data_replaced(jit):
    x, w = tensor(1, 2), tensor(3, 4, grad=True)
    f = jit(lambda: (x * w, w.requires_grad))
    yield f()
    w.data = tensor(5, 6)
    yield f()
    x.data = tensor([[1, 2], [3, 4]])
    yield f()
    w.data.add_(1)
    yield f()
    x.data = jitorch.tensor([1, 2])
    yield attempt(f)


@later(TENSORS)
def data_that_becomes_shared(jit):
    a, b = tensor(1, 2), tensor(3, 4)

    def f():
        a.add_(1)
        return b * 2

    g = jit(f)
    yield g(), a, b
    b.data = a.data
    yield attempt(g), a, b
    b.data = tensor(0, 0)
    yield attempt(g), a, b


@later(TENSORS)
def requires_grad_toggled(jit):
    w = tensor(1, 2)
    f = jit(lambda x: (x * w).sum())
    for on in (False, True, False, True):
        w.requires_grad_(on)
        y = f(tensor(3, 4))
        yield y
        if on:
            w.grad = None
            y.backward()
            yield w.grad


@later(TENSORS)
def one_tensor_in_three_places(jit):
    def f(a, b, c):
        a.mul_(2)
        b.add_(1)
        return a + b + c, a is b, b is c

    g = jit(f)
    for pattern in ("abc", "aab", "abb", "aaa", "aba", "abc"):
        made = {name: tensor(1, 2) for name in "abc"}
        yield g(*[made[name] for name in pattern]), [made[name] for name in "abc"]


@later(TENSORS)
def overlapping_views_written(jit):
    def f(a, b):
        a.add_(b)
        b.mul_(2)
        return a.sum(), b.sum()

    g = jit(f)
    for first, second in ((0, 3), (0, 1), (1, 0), (0, 0), (0, 3)):
        base = jitorch.arange(6, dtype=jitorch.float32)
        yield attempt(g, base[first : first + 3], base[second : second + 3]), base


@later(TENSORS)
def views_that_are_written_through(jit):
    base = jitorch.arange(6, dtype=jitorch.float32)
    views = SimpleNamespace(row=base.reshape(2, 3)[0], column=base.reshape(2, 3)[:, 0])

    def f(x):
        views.row.add_(x)
        return views.column * 1, base.sum()

    g = jit(f)
    yield attempt(g, 1.0), base
    views.column = base.reshape(3, 2)[:, 1]
    yield attempt(g, 1.0), base
    views.row = tensor(0, 0, 0)
    yield attempt(g, 1.0), base, views.row
    views.row = views.column
    yield attempt(g, 1.0), base, views.row


@later(TENSORS)
def expanded_and_stepped(jit):
    f = jit(lambda x: (x + 1, x.sum(), x.t().contiguous()))
    base = jitorch.arange(12, dtype=jitorch.float32)
    for x in (base.reshape(3, 4), base[:4].expand(3, 4), base.reshape(4, 3).t(), base[::4].unsqueeze(1).expand(3, 4)):
        yield f(x)
    yield f(jitorch.arange(24, dtype=jitorch.float32)[::2].reshape(3, 4))


@later(TENSORS)
def memory_of_numpy(jit):
    array = np.arange(3, dtype=np.float32)
    x = jitorch.from_numpy(array)
    f = jit(lambda: x * 2)
    yield f()
    array[0] = 10
    yield f()
    array[::-1].sort()
    yield f()


@later(TENSORS)
def reversed_memory_of_numpy(jit):
    f = jit(lambda x: (x * 2, x.sum(0)))
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for view in (array, array.T.copy().T, np.ascontiguousarray(array[::-1]), array[:, :2].copy()):
        yield f(jitorch.from_numpy(view))


@later(TENSORS)
def empty_tensors(jit):
    f = jit(lambda x: (x.sum(), x * 2, jitorch.cat([x, x]), x.reshape(-1).shape))
    for shape in ((0,), (2, 0), (0, 2), (2, 2), (1,), (0,), (0, 0)):
        yield attempt(f, jitorch.ones(shape))


@later(TENSORS)
def maximum_of_nothing(jit):
    f = jit(lambda x: x.max())
    for n in (2, 0, 3, 0, 1):
        yield attempt(f, jitorch.ones(n))[:2] if n == 0 else f(jitorch.ones(n))


@later(TENSORS)
def no_dimension_or_one(jit):
    f = jit(lambda x: (x.dim(), x * 2, x.sum(), float(x.sum()) > 2))
    for x in (jitorch.tensor(3.0), tensor(3), tensor([[3]]), jitorch.tensor(3), jitorch.tensor(1.0)):
        yield f(x)


@later(TENSORS)
def attribute_of_a_tensor(jit):
    x = tensor(1, 2)
    x.scale = 2
    f = jit(lambda: x * x.scale)
    yield f()
    x.scale = 3
    yield f()
    x.scale = tensor(5)
    yield f()
    del x.scale
    yield attempt(f)


@later(TENSORS)
def gradient_replaced(jit):
    w = tensor(1, 2, grad=True)
    f = jit(lambda: w.grad is None or (w.grad * 2).sum())
    yield f()
    w.grad = tensor(1, 1)
    yield f()
    w.grad.add_(3)
    yield f()
    w.grad = w.detach()
    yield f()
    w.grad = None
    yield f()


@later(TENSORS)
def gradient_kept_by_the_caller(jit):
    w = tensor(1, 2, grad=True)

    def f(x):
        w.grad = None
        (w * x).sum().backward()

    g = jit(f)
    g(tensor(1, 1))
    kept = w.grad
    g(tensor(5, 5))
    yield kept, w.grad, kept is w.grad


@later(TENSORS)
def gradient_set_to_zero_or_none(jit):
    net = linear()
    optimiser = optim.SGD(net.parameters(), lr=0.1)

    def f(x, none):
        optimiser.zero_grad(set_to_none=none)
        net(x).sum().backward()
        optimiser.step()

    g = jit(f)
    for none in (True, False, False, True):
        before = net.weight.grad
        g(tensor([[1, 2]]), none)
        yield net.weight, net.weight.grad is before


@later(TENSORS)
def optimiser_made_anew(jit):
    net = linear()
    box = SimpleNamespace(optimiser=optim.SGD(net.parameters(), lr=0.1, momentum=0.9))

    def f(x):
        box.optimiser.zero_grad()
        net(x).pow(2).sum().backward()
        box.optimiser.step()

    g = jit(f)
    for make in (None, lambda: optim.Adam(net.parameters()), lambda: optim.SGD(net.parameters(), lr=0.5), None):
        if make is not None:
            box.optimiser = make()
        g(tensor([[1, 2]]))
        g(tensor([[1, 2]]))
        yield net.weight, len(box.optimiser.state)


@later(TENSORS)
def state_of_an_optimiser_edited(jit):
    net = linear()
    optimiser = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def f(x):
        optimiser.zero_grad()
        net(x).pow(2).sum().backward()
        optimiser.step()

    g = jit(f)
    g(tensor([[1, 2]]))
    yield net.weight
    optimiser.state[net.weight]["momentum_buffer"].zero_()
    g(tensor([[1, 2]]))
    yield net.weight
    optimiser.state[net.weight]["momentum_buffer"] = jitorch.ones(2, 2)
    g(tensor([[1, 2]]))
    yield net.weight
    optimiser.param_groups[0]["params"].pop()
    g(tensor([[1, 2]]))
    yield net.weight, net.bias


@later(TENSORS)
def learning_rates_of_all_kinds(jit):
    w = nn.Parameter(tensor(1, 2))
    optimiser = optim.SGD([w], lr=1)

    def f():
        optimiser.zero_grad()
        (w * w).sum().backward()
        optimiser.step()

    g = jit(f)
    for rate in (1, 0.25, True, 0, 0.0, np.float64(0.5), jitorch.tensor(0.125)):
        optimiser.param_groups[0]["lr"] = rate
        g()
        yield w


@later(TENSORS)
def parameters_added_and_removed(jit):
    net = Net()
    f = jit(lambda x: (net(x), sum(p.sum() for p in net.parameters())))
    yield f(tensor([[1, 2]]))
    net.register_parameter("more", nn.Parameter(tensor(5)))
    yield f(tensor([[1, 2]]))
    net.first.register_parameter("bias", None)
    yield f(tensor([[1, 2]]))
    del net.more
    yield f(tensor([[1, 2]]))
    net._parameters["direct"] = nn.Parameter(tensor(7))
    yield f(tensor([[1, 2]]))
    net._modules["act"] = nn.Tanh()
    yield f(tensor([[1, 2]]))


@later(TENSORS)
def parametrised_and_tied_weights(jit):
    a, b = linear(), linear()
    f = jit(lambda x: (a(x) * b(x)).sum())
    yield f(tensor([[1, 2]]))
    b.weight = a.weight
    y = f(tensor([[1, 2]]))
    y.backward()
    yield y, a.weight.grad
    with jitorch.no_grad():
        a.weight.mul_(2)
    yield f(tensor([[1, 2]]))


@later(TENSORS)
def buffers_that_are_not_saved(jit):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("n", jitorch.zeros(()), persistent=False)

        def forward(self, x):
            self.n.add_(1)
            return x * self.n

    m = Counting()
    f = jit(m)
    yield f(tensor(1)), m.n
    m.n = jitorch.tensor(10.0)
    yield f(tensor(1)), m.n
    m.n = m.n.double()
    yield f(tensor(1)), m.n
    m.n = None
    yield attempt(f, tensor(1))[:2]


@later(TENSORS)
def hooks_in_another_order(jit):
    m = linear()
    f = jit(m)
    one = m.register_forward_hook(lambda m, args, out: out + 1)
    two = m.register_forward_hook(lambda m, args, out: out * 3)
    yield f(tensor([[1, 2]]))
    one.remove()
    one = m.register_forward_hook(lambda m, args, out: out + 1)
    yield f(tensor([[1, 2]]))
    two.remove()
    one.remove()
    yield f(tensor([[1, 2]]))


@later(TENSORS)
def seeds_between_calls(jit):
    f = jit(lambda x: functional.dropout(x, 0.5, training=True) + jitorch.rand(2))
    x = tensor(1, 1)
    yield f(x), jitorch.rand(2)
    jitorch.manual_seed(9)
    first = f(x)
    jitorch.manual_seed(9)
    yield first, f(x), jitorch.rand(1)
    state = jitorch.get_rng_state()
    yield f(x)
    jitorch.set_rng_state(state)
    yield f(x), jitorch.initial_seed()


@later(TENSORS)
def random_numbers_used_up_by_a_failure(jit):
    def f(x, n):
        y = x + jitorch.rand(2)
        return y / (6 // n)

    g = jit(f)
    for n in (2, 0, 2):
        yield attempt(g, tensor(1, 1), n), jitorch.rand(1)


@later(TENSORS)
def random_numbers_after_a_failing_check(jit):
    def f(x):
        y = x + jitorch.rand(2)
        assert x.sum() > 0
        return y + jitorch.rand(2)

    g = jit(f)
    for v in (1, -1, 2):
        yield attempt(g, tensor(v, v)), jitorch.rand(1)


@later(TENSORS)
def default_dtype_of_numbers(jit):
    f = jit(lambda x: (x * 0.1, jitorch.full((1,), 0.1), jitorch.arange(2), jitorch.tensor(x.shape[0] / 3)))
    for dtype in (jitorch.float32, jitorch.float64, jitorch.float32):
        jitorch.set_default_dtype(dtype)
        try:
            yield f(jitorch.tensor([1.0], dtype=jitorch.float32)), f(jitorch.tensor([1]))
        finally:
            jitorch.set_default_dtype(jitorch.float32)


@later(TENSORS)
def gradients_disabled_in_a_part(jit):
    w = tensor(1, 2, grad=True)

    def f(x, off):
        with jitorch.set_grad_enabled(not off):
            h = x * w
        return h * w, h.requires_grad

    g = jit(f)
    for off in (False, True, False):
        y, flag = g(tensor(3, 4), off)
        w.grad = None
        y.sum().backward()
        yield y, flag, w.grad
    with jitorch.no_grad():
        yield g(tensor(3, 4), False)


@later(TENSORS)
def gradients_enabled_by_a_decorator(jit):
    w = tensor(1, 2, grad=True)

    @jitorch.no_grad()
    def frozen(x):
        return x * w

    f = jit(lambda x: frozen(x) + w)
    y = f(tensor(3, 4))
    y.sum().backward()
    yield y, w.grad


@later(TENSORS)
def second_order_after_a_change(jit):
    w = tensor(1, 2, grad=True)
    f = jit(lambda x: (x * w * w).sum())
    for scale in (1, 3):
        with jitorch.no_grad():
            w.mul_(scale)
        (first,) = jitorch.autograd.grad(f(tensor(1, 2)), w, create_graph=True)
        (second,) = jitorch.autograd.grad(first.sum(), w)
        yield first, second


@later(TENSORS)
def result_kept_while_called_again(jit):
    f = jit(lambda x: (x * 2, x + 1))
    kept = [f(tensor(i, i)) for i in range(3)]
    kept[0][0].zero_()
    yield kept
    f(tensor(9, 9))
    yield kept


@later(TENSORS)
def result_fed_back(jit):
    f = jit(lambda x, y: (x + y, x * y))
    x, y = tensor(1, 2), tensor(3, 4)
    for _ in range(4):
        x, y = f(x, y)
        yield x, y
    x, y = f(x, x)
    yield x, y


@later(TENSORS)
def tensors_as_keys(jit):
    a, b = tensor(1, 2), tensor(3, 4)
    table = {a: 2, b: 3}
    f = jit(lambda x: x * table[x] if x in table else -x)
    yield attempt(f, a), attempt(f, b), attempt(f, tensor(1, 2))
    table[a] = 10
    yield attempt(f, a)
    del table[b]
    yield attempt(f, b)


@later(TENSORS)
def lists_of_tensors_that_change_places(jit):
    a, b = tensor(1, 2), tensor(3, 4)
    f = jit(lambda values: values[0] * 2 - values[1])
    yield f([a, b]), f([b, a]), f([a, a]), f((a, b))

    def swap(values):
        values[0], values[1] = values[1], values[0]
        values[0].add_(1)
        return values[0] * 1

    g = jit(swap)
    pair = [a, b]
    yield g(pair), pair, pair[0] is b, a, b
    yield g(pair), pair, pair[0] is a, a, b
