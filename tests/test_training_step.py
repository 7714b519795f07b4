"""Whole training steps under `@jit`: equal to eager, compiled once, native throughout."""

import numpy as np
import pytest

import jitorch
from jitorch import nn, optim
from jitorch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)  # a bias before a norm has no gradient but noise
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.25)
        self.linear = nn.Linear(4 * 4 * 4, 10)
        self.scale = 1.0

    def forward(self, images):
        x = F.max_pool2d(F.relu(self.norm(self.conv(images))), 2)
        return self.linear(self.dropout(x.flatten(1))) * self.scale


def digits(steps):
    rng = np.random.default_rng(0)
    for _ in range(steps):
        images = rng.normal(size=(16, 1, 8, 8)).astype(np.float32)
        yield jitorch.from_numpy(images), jitorch.from_numpy(rng.integers(0, 10, 16))


def run(steps, make_optimizer, compiled, **options):
    """The losses of a training run, its model, and the step."""
    jitorch.manual_seed(0)
    model = Net()
    optimizer = make_optimizer(model.parameters())

    def step(images, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    function = jitorch.jit(step, fullgraph=True, **options) if compiled else step
    losses = [function(images, labels).item() for images, labels in digits(steps)]
    return losses, model, function, optimizer


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4),
    "adam": lambda p: optim.Adam(p, lr=1e-3),
    "adamw": lambda p: optim.AdamW(p, lr=1e-3, amsgrad=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loss_curves_agree_over_50_steps_with_dropout(name):
    eager, eager_model, _, _ = run(50, OPTIMIZERS[name], compiled=False)
    jitted, jitted_model, step, _ = run(50, OPTIMIZERS[name], compiled=True)
    np.testing.assert_allclose(jitted, eager, rtol=1e-5, atol=1e-5)
    assert jitted[-1] != jitted[0]
    for (key, a), (_, b) in zip(eager_model.state_dict().items(), jitted_model.state_dict().items()):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=2e-3, atol=2e-4, err_msg=key)
    assert step.statistics.traces == 1


def test_every_call_runs_one_native_program():
    _, _, step, _ = run(5, OPTIMIZERS["adam"], compiled=True)
    assert (step.statistics.calls, step.statistics.native, step.statistics.eager) == (5, 5, 0)
    (entry,) = step.entries
    (program,) = entry.function.compiled
    assert program.calls == 5
    assert [s.artifact.backend for s in program.steps] == ["cpu"]
    assert "whole graph" in step.explain()


def test_no_python_op_runs_in_a_compiled_call(monkeypatch):
    _, _, step, _ = run(1, OPTIMIZERS["sgd"], compiled=True)
    from jitorch.frontend.eager.interpreter import Eager

    def fail(self, op, operands, attrs):
        raise AssertionError(f"{op.name} ran in Python")

    monkeypatch.setattr(Eager, "apply", fail)
    ((images, labels),) = digits(1)
    step(images, labels)


def test_learning_rate_changes_compile_nothing():
    _, _, step, optimizer = run(2, OPTIMIZERS["sgd"], compiled=True)
    ((images, labels),) = digits(1)
    for rate in (0.1, 0.01, 0.0):
        optimizer.param_groups[0]["lr"] = rate
        step(images, labels)
    assert step.statistics.traces == 1


def test_learning_rate_is_not_baked_in():
    _, model, step, optimizer = run(1, lambda p: optim.SGD(p, lr=0.1), compiled=True)
    ((images, labels),) = digits(1)
    optimizer.param_groups[0]["lr"] = 0.0
    before = model.linear.weight.detach().clone()
    step(images, labels)
    np.testing.assert_array_equal(model.linear.weight.detach().numpy(), before.numpy())


def test_train_and_eval_switches_compile_once_each():
    _, model, step, _ = run(2, OPTIMIZERS["sgd"], compiled=True)
    ((images, labels),) = digits(1)
    for training in (False, True, False, True):
        model.train(training)
        step(images, labels)
    assert step.statistics.traces == 2
    assert "training was True; now it is False" in step.explain()


def test_a_changed_python_value_compiles_once_more_and_is_named():
    _, model, step, _ = run(2, OPTIMIZERS["sgd"], compiled=True)
    ((images, labels),) = digits(1)
    model.scale = 2.0  # a float is a run-time scalar
    step(images, labels)
    assert step.statistics.traces == 1
    model.scale = 2  # an int is another type, so another trace
    step(images, labels)
    step(images, labels)
    assert step.statistics.traces == 2
    assert "scale was of type float; now it is of type int" in step.explain()


def test_cost_of_the_demo_step_is_not_paid_in_python():
    """A jitted step is at least 1.5 times as fast as an eager one (it is far more; this only catches a collapse)."""
    import time

    def median(function, count=15):
        ((images, labels),) = digits(1)
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            function(images, labels)
            seconds.append(time.perf_counter() - start)
        return sorted(seconds)[count // 2]

    _, _, jitted, _ = run(3, OPTIMIZERS["adam"], compiled=True)
    _, _, eager, _ = run(3, OPTIMIZERS["adam"], compiled=False)
    assert median(eager) > 1.5 * median(jitted)


class Embedded(nn.Module):
    """Weights of several shapes, one of which is read by an embedding, too, and tokens that may be out of range."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 24)
        self.linear = nn.Linear(24, 40)
        self.last = nn.Linear(40, 24)

    def forward(self, tokens):
        x = F.gelu(self.linear(self.embedding(tokens)))
        return self.last(x) @ self.embedding.weight.t()


UPDATES = {
    "sgd": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-2),
    "adam": lambda p: optim.Adam(p, lr=1e-3, weight_decay=1e-2),
    "amsgrad": lambda p: optim.Adam(p, lr=1e-3, amsgrad=True, maximize=True),
    "adamw": lambda p: optim.AdamW(p, lr=1e-3),
}


def embedded(make_optimizer, clip, keep):
    """A model of tokens, its optimiser and their compiled and plain steps; gradients are cleared last unless kept."""
    jitorch.manual_seed(0)
    model = Embedded()
    optimizer = make_optimizer(model.parameters())

    def step(tokens, labels):
        if keep:
            optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens).flatten(0, 1), labels.flatten())
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        if not keep:
            optimizer.zero_grad()
        return loss

    return model, optimizer, step


def tokens_of(rng):
    return jitorch.from_numpy(rng.integers(0, 20, (4, 8)))


@pytest.mark.parametrize("keep", [True, False], ids=["gradients stay", "gradients go"])
@pytest.mark.parametrize("clip", [False, True], ids=["as they are", "clipped"])
@pytest.mark.parametrize("name", UPDATES)
def test_updates_with_their_gradients_are_those_after_all_gradients(name, clip, keep):
    rng = np.random.default_rng(0)
    batches = [(tokens_of(rng), tokens_of(rng)) for _ in range(4)]
    models = []
    for compiled in (False, True):
        model, _, step = embedded(UPDATES[name], clip, keep)
        function = jitorch.jit(step, fullgraph=True) if compiled else step
        losses = [function(*batch).item() for batch in batches]
        models.append((losses, model))
    (eager, a), (jitted, b) = models
    np.testing.assert_allclose(jitted, eager, rtol=2e-5)
    for (key, x), (_, y) in zip(a.named_parameters(), b.named_parameters()):
        np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy(), rtol=1e-3, atol=2e-5, err_msg=key)
        assert (y.grad is None) == (x.grad is None) == (not keep)
        if keep:
            np.testing.assert_allclose(y.grad.numpy(), x.grad.numpy(), rtol=1e-3, atol=2e-5, err_msg=key)


@pytest.mark.parametrize("wrong", ["tokens", "labels"])
@pytest.mark.parametrize("name", UPDATES)
def test_a_wrong_index_leaves_everything_as_it_was(name, wrong):
    model, optimizer, step = embedded(UPDATES[name], False, True)
    function = jitorch.jit(step, fullgraph=True)
    rng = np.random.default_rng(0)
    batch = {"tokens": tokens_of(rng), "labels": tokens_of(rng)}
    function(**batch)

    def state():
        kept = [v for p in model.parameters() for v in optimizer.state[p].values() if isinstance(v, jitorch.Tensor)]
        return [t.detach().numpy().copy() for t in (*model.parameters(), *kept)]

    before = state()
    batch[wrong] = batch[wrong] + 20
    with pytest.raises(IndexError):
        function(**batch)
    for x, y in zip(before, state(), strict=True):
        np.testing.assert_array_equal(x, y)
