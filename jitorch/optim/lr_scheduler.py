"""Learning-rate schedules: they set ``group["lr"]`` of an optimiser to Python floats.

Most compute the next rate from the present one, so several schedules may act on one optimiser.
Call ``scheduler.step()`` once an epoch (or once a batch) after ``optimizer.step()``.
PyTorch's deprecated ``step(epoch)`` is not there.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jitorch.errors import ArgumentError, UnsupportedError, ValueRangeError
from jitorch.optim.optimizer import Optimizer
from jitorch.tensor import Tensor


def _check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(
            f"{type(optimizer).__name__} is not an Optimizer", expected="Optimizer", actual=type(optimizer).__name__
        )


def _for_each_group(value: Any, groups: list[dict[str, Any]], name: str) -> list[Any]:
    """One value for each parameter group."""
    if not isinstance(value, list | tuple):
        return [value] * len(groups)
    if len(value) != len(groups):
        raise ValueRangeError(f"{name} has a wrong length", expected=len(groups), actual=len(value))
    return list(value)


def _set_lr(group: dict[str, Any], lr: float) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


class LRScheduler:
    """Base class: subclasses define ``get_lr``, which gives the rates of epoch ``last_epoch``, one for each group.

    ``last_epoch=-1`` starts a schedule: the rates of now become ``initial_lr``, and those of epoch 0 are set at once.
    Any other number continues one: the groups must hold ``initial_lr``.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        _check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                group.setdefault("initial_lr", lr.item() if isinstance(lr, Tensor) else lr)
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming an optimizer",
                    hint="load the optimizer's state_dict first, or start with last_epoch=-1",
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list[float] = []
        self.step()

    def get_lr(self) -> list[float]:
        """The rates for epoch ``last_epoch``, from those of the epoch before."""
        raise UnsupportedError(f"{type(self).__name__} has no get_lr", hint="define get_lr(self)")

    def get_last_lr(self) -> list[float]:
        """The rates that the last step set."""
        return self._last_lr

    def step(self) -> None:
        """Go to the next epoch and set its rates."""
        self._step_count += 1
        self.last_epoch += 1
        self._apply()

    def _apply(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            _set_lr(group, lr)
        self._last_lr = self._current()

    def _current(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        return [lr * factor for lr in self._current()]

    def restart(self) -> None:
        """Go back to epoch 0, from the initial rates."""
        for group in self.optimizer.param_groups:
            _set_lr(group, group["initial_lr"])
        self.last_epoch = 0
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.__dict__.update(state_dict)


class LambdaLR(LRScheduler):
    """The initial rate times ``lr_lambda(epoch)``; one function, or one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ):
        _check_optimizer(optimizer)
        self.lr_lambdas = _for_each_group(lr_lambda, optimizer.param_groups, "lr_lambda")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * scale(self.last_epoch) for base, scale in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser and the functions, which the new scheduler is given anyway."""
        return {name: value for name, value in super().state_dict().items() if name != "lr_lambdas"}


class MultiplicativeLR(LambdaLR):
    """The rate before times ``lr_lambda(epoch)``, from epoch 1 on."""

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._current()
        return [lr * scale(self.last_epoch) for lr, scale in zip(self._current(), self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """Times ``gamma`` every ``step_size`` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return self._scaled(self.gamma) if due else self._current()


class MultiStepLR(LRScheduler):
    """Times ``gamma`` at each of the ``milestones``."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = self.milestones[self.last_epoch]
        return self._scaled(self.gamma**times) if times else self._current()


class ExponentialLR(LRScheduler):
    """Times ``gamma`` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._scaled(self.gamma) if self.last_epoch > 0 else self._current()


class ConstantLR(LRScheduler):
    """Times ``factor`` for the first ``total_iters`` epochs."""

    def __init__(self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1):
        if not 0 <= factor <= 1:
            raise ValueRangeError(
                "Constant multiplicative factor expected between 0 and 1", expected="0 to 1", actual=factor
            )
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._scaled(self.factor)
        return self._scaled(1.0 / self.factor) if self.last_epoch == self.total_iters else self._current()


class LinearLR(LRScheduler):
    """Times a factor that goes straight from ``start_factor`` to ``end_factor`` within ``total_iters`` epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        if not 0 < start_factor <= 1:
            raise ValueRangeError(
                "Starting multiplicative factor is out of range", expected="0 < x <= 1", actual=start_factor
            )
        if not 0 <= end_factor <= 1:
            raise ValueRangeError(
                "Ending multiplicative factor is out of range", expected="0 <= x <= 1", actual=end_factor
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * epoch / self.total_iters

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._scaled(self.start_factor)
        if self.last_epoch > self.total_iters:
            return self._current()
        return self._scaled(self._factor(self.last_epoch) / self._factor(self.last_epoch - 1))


class CosineAnnealingLR(LRScheduler):
    """From the initial rate down to ``eta_min`` along half a cosine of ``T_max`` epochs, and up again after it.

    Loshchilov and Hutter 2016, without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _height(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def get_lr(self) -> list[float]:
        epoch, low = self.last_epoch, self.eta_min
        if epoch == 0:
            return self._current()
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The height before is zero, so the ratio below has no meaning: the first step up.
            rise = self._height(self.T_max - 1) / 2
            return [lr + (base - low) * rise for lr, base in zip(self._current(), self.base_lrs, strict=True)]
        ratio = self._height(epoch) / self._height(epoch - 1)
        return [low + (lr - low) * ratio for lr in self._current()]


class PolynomialLR(LRScheduler):
    """The initial rate times ``(1 - epoch / total_iters) ** power``, and zero after ``total_iters`` epochs."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        epoch, total = self.last_epoch, self.total_iters
        if epoch == 0 or epoch > total:
            return self._current()
        return self._scaled(((1.0 - epoch / total) / (1.0 - (epoch - 1) / total)) ** self.power)


class SequentialLR(LRScheduler):
    """Schedules one after the other: ``schedulers[i + 1]`` starts, from the initial rates, at ``milestones[i]``."""

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ):
        if len(schedulers) < 1 or len(milestones) != len(schedulers) - 1:
            raise ValueRangeError(
                "SequentialLR needs a milestone between any two schedulers",
                expected=f"{max(len(schedulers) - 1, 0)} milestones",
                actual=len(milestones),
            )
        for scheduler in schedulers:
            if scheduler.optimizer is not optimizer:
                raise ValueRangeError("SequentialLR expects all schedulers to belong to the same optimizer")
        self.optimizer = optimizer
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        schedulers[0].restart()
        self._last_lr = schedulers[0].get_last_lr()

    def step(self) -> None:
        self.last_epoch += 1
        active = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[active]
        if active > 0 and self._milestones[active - 1] == self.last_epoch:
            scheduler.restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser; the schedulers by their state."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        schedulers = self._schedulers
        self.__dict__.update(state_dict)
        self._schedulers = schedulers
        for scheduler, state in zip(schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class OneCycleLR(LRScheduler):
    """Up to ``max_lr`` and down again, once, changed after every batch (Smith and Topin 2017).

    From ``max_lr / div_factor`` to ``max_lr`` in the share ``pct_start`` of ``total_steps`` (or ``epochs *
    steps_per_epoch``), then down to ``max_lr / div_factor / final_div_factor``; with ``three_phase`` down to the start
    first and then to the end.  ``cycle_momentum`` moves momentum (or the first beta) the other way, from
    ``max_momentum`` to ``base_momentum`` and back.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        _check_optimizer(optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueRangeError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            total_steps = epochs * steps_per_epoch
        if total_steps <= 0:
            raise ValueRangeError("Expected positive integer total_steps", expected="> 0", actual=total_steps)
        if not 0 <= pct_start <= 1:
            raise ValueRangeError("Expected float between 0 and 1 pct_start", expected="0 to 1", actual=pct_start)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueRangeError("unknown anneal_strategy", expected="cos or linear", actual=anneal_strategy)
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum and not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueRangeError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
        rise = pct_start * total_steps - 1
        ends: list[tuple[float, str, str, str, str]] = [(rise, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
        if three_phase:
            ends.append((2 * rise, "max_lr", "initial_lr", "base_momentum", "max_momentum"))
            ends.append((total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"))
        else:
            ends.append((total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"))
        self._phases = ends
        if last_epoch == -1:
            groups = optimizer.param_groups
            highs = _for_each_group(max_lr, groups, "max_lr")
            for group, high in zip(groups, highs, strict=True):
                group["initial_lr"] = high / div_factor
                group["max_lr"] = high
                group["min_lr"] = high / div_factor / final_div_factor
            if cycle_momentum:
                lows = _for_each_group(base_momentum, groups, "base_momentum")
                highs = _for_each_group(max_momentum, groups, "max_momentum")
                for group, low, high in zip(groups, lows, highs, strict=True):
                    self._set_momentum(group, high)
                    group["base_momentum"], group["max_momentum"] = low, high
        super().__init__(optimizer, last_epoch)

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2.0 * (1 + math.cos(math.pi * share))

    def get_lr(self) -> list[float]:
        epoch = self.last_epoch
        if epoch > self.total_steps:
            raise ValueRangeError(
                f"Tried to step {epoch} times. The specified number of total steps is {self.total_steps}",
                expected=f"at most {self.total_steps}",
                actual=epoch,
            )
        ends = [phase[0] for phase in self._phases]
        # Beyond the last end, by the one step that is still allowed, the last phase goes on.
        current = min(bisect_left(ends, epoch), len(ends) - 1)
        end, lr_from, lr_to, momentum_from, momentum_to = self._phases[current]
        begin = ends[current - 1] if current else 0.0
        share = (epoch - begin) / (end - begin)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                self._set_momentum(group, self._anneal(group[momentum_from], group[momentum_to], share))
        return [self._anneal(group[lr_from], group[lr_to], share) for group in self.optimizer.param_groups]


class ReduceLROnPlateau(LRScheduler):
    """Times ``factor``, not below ``min_lr``, once a metric has not got better for more than ``patience`` epochs.

    Better is lower for ``mode="min"``, higher for "max", by more than ``threshold`` (a share of the best for "rel", an
    amount for "abs").  After a cut, ``cooldown`` epochs do not count.  Cuts smaller than ``eps`` are not done.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ):
        _check_optimizer(optimizer)
        if factor >= 1.0:
            raise ValueRangeError("Factor should be < 1.0.", expected="< 1.0", actual=factor)
        if mode not in ("min", "max"):
            raise ValueRangeError(f"mode {mode} is unknown!", expected="min or max", actual=mode)
        if threshold_mode not in ("rel", "abs"):
            raise ValueRangeError(
                f"threshold mode {threshold_mode} is unknown!", expected="rel or abs", actual=threshold_mode
            )
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs: list[float] = _for_each_group(min_lr, optimizer.param_groups, "min_lr")
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._last_lr = self._current()

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Take note of an epoch's metric, a number or a tensor of one element."""
        metric = float(metrics)
        self.last_epoch += 1
        if self.is_better(metric, self.best):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._current()

    def _reduce(self) -> None:
        for group, old, low in zip(self.optimizer.param_groups, self._current(), self.min_lrs, strict=True):
            new = max(old * self.factor, low)
            if old - new > self.eps:
                _set_lr(group, new)

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs do not count at present."""
        return self.cooldown_counter > 0

    def is_better(self, a: float, best: float) -> bool:
        """Whether ``a`` is better than ``best`` by more than the threshold."""
        sign = 1 if self.mode == "min" else -1
        margin = self.threshold if self.threshold_mode == "abs" else self.threshold * best
        return sign * a < sign * best - margin if math.isfinite(best) else sign * a < sign * best
