"""Schedules: the learning rate of each group as a function of how often step() was called.

    scheduler = StepLR(optimizer, step_size=30)
    for ...:
        optimizer.step()
        scheduler.step()

Source: https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from .optimizer import Optimizer, host


class LRScheduler:
    """Base: sets the first rates when made, and the next ones at each step(); a subclass has rate(group number).

    last_epoch: the steps taken so far, -1 to start (the groups' rates are then the base), else to go on.
    TypeError for what is not an Optimizer, KeyError to go on with groups that have no initial_lr.
    """

    starting = False  # while the schedule is made: most keep the groups' present rates then

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])  # of the first schedule, where there are several
            elif "initial_lr" not in group:
                raise KeyError(f"param 'initial_lr' is not specified in param_groups[{i}] when resuming an optimizer")
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self.starting = True
        self._set()
        del self.starting

    def rate(self, i: int) -> float:
        """The rate of group i at last_epoch, from the group's present one."""
        raise NotImplementedError(f"{type(self).__name__} needs a rate(i)")

    def step(self) -> None:
        """One step further. Warns if the optimizer has not stepped yet, which loses the first rate."""
        if not self.optimizer.stepped and self.last_epoch == 0:
            message = "lr_scheduler.step() was called before optimizer.step(): the first learning rate is skipped"
            warnings.warn(message, UserWarning, stacklevel=2)
        held = vars(self)
        groups = [(group, "lr") for group in self.optimizer.param_groups]
        host(self._advance, state=((held, "last_epoch"), (held, "_last_lr"), *groups))

    def _advance(self) -> None:
        self.last_epoch += 1
        self._set()

    def _set(self) -> None:
        rates = [self.rate(i) for i in range(len(self.optimizer.param_groups))]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def lr(self, i: int) -> float:
        """The present rate of group i."""
        return self.optimizer.param_groups[i]["lr"]

    def get_last_lr(self) -> list[float]:
        """The rates that this schedule set last, one a group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """All that the schedule knows but the optimizer and its functions."""
        return {k: v for k, v in vars(self).items() if k not in ("optimizer", "lr_lambdas")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict; the present rates are in the optimizer's own."""
        vars(self).update({k: v for k, v in state_dict.items() if k not in ("optimizer", "lr_lambdas")})


class StepLR(LRScheduler):
    """lr = lr * gamma every step_size steps. Source: torch.optim.lr_scheduler.StepLR."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ValueError(f"step_size must be at least 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, i: int) -> float:
        falls = self.last_epoch and self.last_epoch % self.step_size == 0
        return self.lr(i) * self.gamma if falls else self.lr(i)


class MultiStepLR(LRScheduler):
    """lr = lr * gamma at each of the milestones. Source: torch.optim.lr_scheduler.MultiStepLR."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, i: int) -> float:
        return self.lr(i) * self.gamma ** self.milestones[self.last_epoch]


class ExponentialLR(LRScheduler):
    """lr = lr * gamma at each step. Source: torch.optim.lr_scheduler.ExponentialLR."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, i: int) -> float:
        return self.lr(i) if self.starting else self.lr(i) * self.gamma


class LambdaLR(LRScheduler):
    """lr = initial lr * lr_lambda(step), one function or one a group. Source: torch.optim.lr_scheduler.LambdaLR."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        n = len(optimizer.param_groups) if isinstance(optimizer, Optimizer) else 0
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * n
        if len(self.lr_lambdas) != n:
            raise ValueError(f"Expected {n} lr_lambdas, one a parameter group, but got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def rate(self, i: int) -> float:
        return self.base_lrs[i] * self.lr_lambdas[i](self.last_epoch)


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial lr - eta_min) * (1 + cos(pi * step / T_max)) / 2, worked out from one step to the next.

    Source: torch.optim.lr_scheduler.CosineAnnealingLR; Loshchilov and Hutter 2016.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise ValueError(f"T_max must be at least 1, got {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, i: int) -> float:
        t, n, low = self.last_epoch, self.T_max, self.eta_min
        if self.starting:
            return self.lr(i)
        if (t - 1 - n) % (2 * n) == 0:  # just past a minimum, where the ratio below is 0 / 0
            return self.lr(i) + (self.base_lrs[i] - low) * (1 - math.cos(math.pi / n)) / 2
        ratio = (1 + math.cos(math.pi * t / n)) / (1 + math.cos(math.pi * (t - 1) / n))
        return (self.lr(i) - low) * ratio + low
