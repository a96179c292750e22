"""Learning rates over training: a schedule by epochs, after a warm-up by steps."""

from __future__ import annotations

import math
from typing import Literal

import torch

__all__ = ["LAST", "RateSchedule", "Rates", "factor"]

RateSchedule = Literal["cosine", "linear", "constant"]
"""How a rate moves from the first epoch to the last: along a cosine or a line to a tenth, or not at all."""

LAST = 0.1
"""Of the rate, at the last epoch."""


def factor(schedule: RateSchedule, progress: float) -> float:
    """What the rate is multiplied with at `progress` from 0 (first epoch) to 1 (last)."""
    if schedule == "constant":
        return 1.0
    height = 1 - progress if schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return LAST + (1 - LAST) * height


class Rates:
    """The learning rates of an optimiser; each group's own is its highest.

    Args:
        optimizer: its groups have their highest rates.
        schedule: by epochs.
        warmup_steps: steps in which all rates rise linearly to their place on the schedule.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, schedule: RateSchedule = "cosine", warmup_steps: int = 0
    ) -> None:
        self.optimizer, self.schedule, self.warmup_steps = optimizer, schedule, warmup_steps
        self.highest = [float(group["lr"]) for group in optimizer.param_groups]
        self.steps, self._factor = 0, 1.0

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Move to an epoch, counted from 1."""
        self._factor = factor(self.schedule, (epoch - 1) / max(epochs - 1, 1))
        self._set(1.0)

    def begin_step(self) -> None:
        """Move to the next step."""
        self.steps += 1
        if self.warmup_steps:
            self._set(min(1.0, self.steps / self.warmup_steps))

    def _set(self, share: float) -> None:
        for group, highest in zip(self.optimizer.param_groups, self.highest, strict=True):
            group["lr"] = highest * self._factor * share
