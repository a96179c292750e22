"""The one training loop: epochs of mini-batches, validation, early stopping, progress, Ctrl-C.

It knows nothing of encoders, losses or recommenders: a `Trainee` brings those.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from textrec.errors import TrainingError
from textrec.learn.model import FitReport, Monitor

__all__ = ["Schedule", "Trainee", "train"]


@dataclass(frozen=True)
class Schedule:
    """How long to train."""

    epochs: int
    batch_size: int
    patience: int
    seed: int


class Trainee(Protocol):
    """What the loop trains."""

    n_examples: int

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Prepare an epoch, counted from 1."""

    def step(self, examples: npt.NDArray[np.int64]) -> tuple[float, int]:
        """One optimiser step on these examples; the summed loss and the tokens that were encoded."""

    def validate(self) -> float | None:
        """The stopping metric, higher is better; None without validation."""

    def snapshot(self) -> Any:
        """What `restore` needs to come back to this point."""

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""


def train(trainee: Trainee, schedule: Schedule, *, metric: str, monitor: Monitor | None) -> FitReport:
    """Train until the epochs are done, validation has not improved for `patience` epochs, or Ctrl-C.

    The trainee is left at its best epoch (the last one without validation). After Ctrl-C that is the best so far.

    Raises:
        TrainingError: the loss is not a number; names epoch and step.
    """
    report = FitReport()
    best = trainee.snapshot()
    try:
        for epoch in range(1, schedule.epochs + 1):
            started = time.perf_counter()
            loss = _epoch(trainee, schedule, epoch, report, monitor)
            value = trainee.validate()
            report.epochs = epoch
            improved = value is None or report.validation is None or value > report.validation
            if improved:
                report.best_epoch, report.validation, best = epoch, value, trainee.snapshot()
            if monitor is not None:
                seconds = time.perf_counter() - started
                event = {"event": "epoch", "epoch": epoch, "epochs": schedule.epochs, "loss": loss}
                if value is not None:
                    event[metric] = value
                rate = trainee.n_examples / max(seconds, 1e-9)
                monitor(event | {"best": improved, "seconds": seconds, "documents_per_second": rate})
            if epoch - report.best_epoch >= schedule.patience:
                break
    except KeyboardInterrupt:
        report.interrupted = True
    trainee.restore(best)
    return report


def _epoch(trainee: Trainee, schedule: Schedule, epoch: int, report: FitReport, monitor: Monitor | None) -> float:
    """One pass over the examples; the mean loss of an example."""
    trainee.begin_epoch(epoch, schedule.epochs)
    # The order depends on seed and epoch alone, so that a resumed run continues with the same batches.
    order = np.random.default_rng([schedule.seed, epoch]).permutation(trainee.n_examples)
    total = 0.0
    for start in range(0, len(order), schedule.batch_size):
        batch = order[start : start + schedule.batch_size]
        loss, tokens = trainee.step(batch)
        if not math.isfinite(loss):
            step = start // schedule.batch_size + 1
            raise TrainingError(
                f"the loss is {loss} in epoch {epoch}, step {step}; lower learning_rate or check the data"
            )
        total += loss
        report.tokens_encoded += tokens
        if monitor is not None:
            monitor({"event": "step", "epoch": epoch, "done": start + len(batch), "total": len(order)})
    return total / max(len(order), 1)
