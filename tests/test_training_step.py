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
