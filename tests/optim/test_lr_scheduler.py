import math
import warnings

import pytest
import torch

import jitorch
from jitorch import nn, optim
from jitorch.errors import ArgumentError, UnsupportedError, ValueRangeError
from tests.nn.oracle import check_signature

EPOCHS = 25

CASES = [
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 4, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 11], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 10}),
    ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.02}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.95**epoch}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 1 / (epoch + 1), lambda epoch: epoch * 0.1]}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 1 - 1 / (epoch + 2)}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 3}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 8}),
    ("PolynomialLR", {"total_iters": 6, "power": 2.0}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 25}),
    ("OneCycleLR", {"max_lr": [0.3, 0.6], "epochs": 5, "steps_per_epoch": 6, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 30, "three_phase": True, "pct_start": 0.4, "div_factor": 10.0}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 25, "cycle_momentum": False}),
]


def optimizer_of(lib, name="SGD"):
    groups = [{"params": [lib.nn.Parameter(lib.ones(1))]}, {"params": [lib.nn.Parameter(lib.ones(1))], "lr": 0.5}]
    options = {"momentum": 0.9} if name == "SGD" else {}
    return getattr(lib.optim, name)(groups, lr=0.1, **options)


def options_of(optimizer, *names):
    return [group[name] for group in optimizer.param_groups for name in names if name in group]


def rates(lib, name, options, epochs=EPOCHS, optimizer="SGD"):
    """The rates and momenta of both groups, epoch by epoch."""
    optimizer = optimizer_of(lib, optimizer)
    scheduler = getattr(lib.optim.lr_scheduler, name)(optimizer, **options)
    seen = []
    for _ in range(epochs):
        assert scheduler.get_last_lr() == options_of(optimizer, "lr")
        seen.append(options_of(optimizer, "lr", "momentum"))
        seen.append([beta for betas in options_of(optimizer, "betas") for beta in betas])
        optimizer.step()
        scheduler.step()
    return [value for row in seen for value in row]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_rates_are_pytorchs(name, options):
    epochs = EPOCHS - 1 if name == "OneCycleLR" else EPOCHS
    mine, reference = rates(jitorch, name, options, epochs), rates(torch, name, options, epochs)
    assert mine == pytest.approx(reference, rel=1e-12, abs=1e-15)
    assert all(type(value) is float for value in mine)


def test_one_cycle_moves_the_first_beta():
    options = {"max_lr": 0.3, "total_steps": 25}
    mine, reference = (rates(lib, "OneCycleLR", options, 24, "Adam") for lib in (jitorch, torch))
    assert mine == pytest.approx(reference, rel=1e-12)


def test_signatures():
    for name in {name for name, _ in CASES} | {"ReduceLROnPlateau", "SequentialLR"}:
        check_signature(getattr(optim.lr_scheduler, name), getattr(torch.optim.lr_scheduler, name))


def test_schedules_add_up():
    def run(lib):
        optimizer = optimizer_of(lib)
        schedulers = [
            lib.optim.lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=2),
            lib.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9),
            lib.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5),
        ]
        seen = []
        for _ in range(12):
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
            seen += options_of(optimizer, "lr")
        return seen

    assert run(jitorch) == pytest.approx(run(torch), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("milestones", [[3, 8], [1, 2]])
def test_one_after_the_other(milestones):
    def run(lib):
        optimizer = optimizer_of(lib)
        module = lib.optim.lr_scheduler
        parts = [
            module.LinearLR(optimizer, start_factor=0.2, total_iters=3),
            module.CosineAnnealingLR(optimizer, T_max=6),
            module.ExponentialLR(optimizer, gamma=0.5),
        ]
        scheduler = module.SequentialLR(optimizer, parts, milestones)
        seen = []
        for _ in range(14):
            seen += scheduler.get_last_lr()
            optimizer.step()
            scheduler.step()
        return seen

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own use of its deprecated step(epoch)
        expected = run(torch)
    assert run(jitorch) == pytest.approx(expected, rel=1e-12, abs=1e-15)


METRICS = [
    1.0,
    0.9,
    0.9,
    0.9,
    0.95,
    0.9,
    0.5,
    0.50001,
    0.49999,
    0.5,
    0.6,
    0.7,
    math.inf,
    math.nan,
    0.4,
    0.41,
    0.42,
    0.43,
]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 0, "factor": 0.5, "cooldown": 2},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
        {"patience": 0, "threshold": 0.3, "min_lr": [0.05, 0.01]},
        {"patience": 0, "eps": 0.02},
    ],
    ids=str,
)
def test_plateau(mode, options):
    def run(lib):
        optimizer = optimizer_of(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, **options)
        seen = []
        for metric in METRICS:
            scheduler.step(metric)
            seen += [*options_of(optimizer, "lr"), scheduler.num_bad_epochs, scheduler.in_cooldown]
        return seen

    assert run(jitorch) == pytest.approx(run(torch), rel=1e-12)


def test_plateau_takes_a_tensor():
    optimizer = optimizer_of(jitorch)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    scheduler.step(jitorch.tensor(1.0))
    scheduler.step(jitorch.tensor(1.0))
    assert scheduler.get_last_lr() == pytest.approx([0.01, 0.05])


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_continues(name, options):
    optimizer = optimizer_of(jitorch)
    scheduler = getattr(optim.lr_scheduler, name)(optimizer, **options)
    for _ in range(6):
        scheduler.step()
    twin_optimizer = optimizer_of(jitorch)
    twin = getattr(optim.lr_scheduler, name)(twin_optimizer, **options)
    twin_optimizer.load_state_dict(optimizer.state_dict())
    twin.load_state_dict(scheduler.state_dict())
    assert "optimizer" not in scheduler.state_dict()
    for _ in range(6):
        scheduler.step()
        twin.step()
        assert options_of(twin_optimizer, "lr") == options_of(optimizer, "lr")


def test_state_of_a_sequence():
    def build():
        optimizer = optimizer_of(jitorch)
        parts = [optim.lr_scheduler.ExponentialLR(optimizer, 0.5), optim.lr_scheduler.StepLR(optimizer, 2)]
        return optimizer, optim.lr_scheduler.SequentialLR(optimizer, parts, [3])

    optimizer, scheduler = build()
    for _ in range(4):
        scheduler.step()
    twin_optimizer, twin = build()
    twin_optimizer.load_state_dict(optimizer.state_dict())
    twin.load_state_dict(scheduler.state_dict())
    for _ in range(4):
        scheduler.step()
        twin.step()
        assert twin.get_last_lr() == scheduler.get_last_lr()


def test_resuming_by_last_epoch():
    optimizer = optimizer_of(jitorch)
    with pytest.raises(ArgumentError, match="initial_lr"):
        optim.lr_scheduler.StepLR(optimizer, 2, last_epoch=3)
    optim.lr_scheduler.StepLR(optimizer, 2)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 2, last_epoch=3)
    assert scheduler.last_epoch == 4
    assert scheduler.get_last_lr() == pytest.approx([0.01, 0.05])


def test_a_rate_that_is_a_tensor_stays_one():
    rate = jitorch.tensor(1.0)
    optimizer = optim.SGD([nn.Parameter(jitorch.ones(1))], lr=rate)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert float(rate) == 0.5


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ConstantLR", {"factor": 2.0}),
        ("LinearLR", {"start_factor": 0.0}),
        ("LinearLR", {"end_factor": 1.5}),
        ("LambdaLR", {"lr_lambda": [abs]}),
        ("SequentialLR", {"schedulers": [], "milestones": []}),
        ("OneCycleLR", {"max_lr": 1.0}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 0}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "pct_start": 2}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "anneal_strategy": "sin"}),
        ("OneCycleLR", {"max_lr": [1.0], "total_steps": 5}),
        ("ReduceLROnPlateau", {"factor": 1.0}),
        ("ReduceLROnPlateau", {"mode": "low"}),
        ("ReduceLROnPlateau", {"threshold_mode": "all"}),
        ("ReduceLROnPlateau", {"min_lr": [0.1]}),
    ],
)
def test_arguments_out_of_range(name, options):
    with pytest.raises(ValueRangeError):
        getattr(optim.lr_scheduler, name)(optimizer_of(jitorch), **options)


def test_other_misuse():
    with pytest.raises(ArgumentError):
        optim.lr_scheduler.StepLR("sgd", 3)
    with pytest.raises(UnsupportedError):
        optim.lr_scheduler.LRScheduler(optimizer_of(jitorch))
    one, other = optimizer_of(jitorch), optimizer_of(jitorch)
    with pytest.raises(ValueRangeError, match="same optimizer"):
        optim.lr_scheduler.SequentialLR(one, [optim.lr_scheduler.StepLR(other, 1)], [])
    adagrad_like = optim.Optimizer([nn.Parameter(jitorch.ones(1))], {"lr": 0.1})
    with pytest.raises(ValueRangeError, match="momentum"):
        optim.lr_scheduler.OneCycleLR(adagrad_like, 0.1, 5)
    scheduler = optim.lr_scheduler.OneCycleLR(one, 0.1, 2)
    scheduler.step()
    scheduler.step()
    with pytest.raises(ValueRangeError, match="total steps"):
        scheduler.step()
