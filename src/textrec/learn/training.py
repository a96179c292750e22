"""The one training loop: epochs of mini-batches, validation, early stopping, progress, checkpoints, Ctrl-C.

It knows nothing of encoders, losses or recommenders: a `Trainee` brings those.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from textrec.errors import TrainingError
from textrec.learn.checkpoints import Checkpoints, State
from textrec.learn.group import ALONE, Group
from textrec.learn.memory import free_large_blocks_at_once
from textrec.learn.model import Checkpoint, FitReport, Monitor

__all__ = ["Schedule", "Trainee", "train"]

Examples = npt.NDArray[np.int64]


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

    @property
    def learning_rate(self) -> float:
        """The present one, for messages."""

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Prepare an epoch, counted from 1."""

    def batches(self, order: Examples, size: int, rng: np.random.Generator) -> list[Examples]:
        """Cut an epoch's order into batches of at most `size`."""

    def step(self, examples: Examples) -> tuple[float, int]:
        """One optimiser step on these examples; the summed loss and the tokens that were encoded."""

    def validate(self) -> float | None:
        """The stopping metric, higher is better, the same for all members of a group; None without validation."""

    def state(self) -> State:
        """All that training changes, copied."""

    def resume(self, state: State) -> None:
        """Go on from a state."""

    def snapshot(self) -> State:
        """What `restore` needs to come back to the model of this point, copied."""

    def restore(self, snapshot: State) -> None:
        """Go back to the model of a snapshot."""


@dataclass
class _Position:
    """How far training has come; JSON in a checkpoint."""

    epoch: int = 1
    steps: int = 0  # done in this epoch
    loss: float = 0.0  # summed in this epoch
    seconds: float = 0.0  # spent in this epoch
    report: FitReport = field(default_factory=FitReport)

    @classmethod
    def of(cls, values: dict[str, Any]) -> _Position:
        return cls(**values | {"report": FitReport(**values["report"])})


def train(
    trainee: Trainee,
    schedule: Schedule,
    *,
    metric: str,
    monitor: Monitor | None,
    checkpoint: Checkpoint | None = None,
    identity: str = "",
    group: Group = ALONE,
) -> FitReport:
    """Train until the epochs are done, validation has not improved for `patience` epochs, or Ctrl-C.

    The trainee is left at its best epoch (the last one without validation). After Ctrl-C that is the best so far.

    Args:
        trainee: what is trained.
        schedule: how long.
        metric: name of what `validate` returns, for the monitor.
        monitor: told of every step and epoch.
        checkpoint: where to save progress, and whether to go on from there: a run that was killed and resumed does
            the same steps with the same numbers as one that was not.
        identity: says what is trained; a checkpoint with another one is refused.
        group: trains together: the first member reads and writes the checkpoint, tells the monitor and decides.

    Raises:
        TrainingError: the loss is not a number; names step, batch and learning rate.
        CheckpointError: a checkpoint that cannot be resumed.
    """
    free_large_blocks_at_once()
    checkpoints = Checkpoints(checkpoint if group.rank == 0 else None, identity)
    monitor = monitor if group.rank == 0 else None
    position, best = _Position(), trainee.snapshot()
    if saved := group.first(checkpoints.load):
        position, best = _Position.of(saved.position), saved.best
        trainee.resume(saved.now)
    report = position.report
    report.interrupted = False
    try:
        while position.epoch <= schedule.epochs and report.epochs - report.best_epoch < schedule.patience:
            started = time.perf_counter() - position.seconds
            _epoch(trainee, schedule, position, best, monitor, checkpoints, started, group)
            value = trainee.validate()
            report.epochs = position.epoch
            improved = value is None or report.validation is None or value > report.validation
            if improved:
                report.best_epoch, report.validation, best = position.epoch, value, trainee.snapshot()
            if monitor is not None:
                monitor(_epoch_event(trainee, schedule, position, metric, value, improved, started))
            position.epoch, position.steps, position.loss, position.seconds = position.epoch + 1, 0, 0.0, 0.0
            checkpoints.save(dataclasses.asdict(position), trainee.state, best)
    except KeyboardInterrupt:
        report.interrupted = True
    trainee.restore(best)
    return report


def _epoch(
    trainee: Trainee,
    schedule: Schedule,
    position: _Position,
    best: State,
    monitor: Monitor | None,
    checkpoints: Checkpoints,
    started: float,
    group: Group,
) -> None:
    """One pass over the examples, or what is left of it."""
    trainee.begin_epoch(position.epoch, schedule.epochs)
    # The order depends on seed and epoch alone, so that a resumed run continues with the same batches.
    rng = np.random.default_rng([schedule.seed, position.epoch])
    batches = trainee.batches(rng.permutation(trainee.n_examples), schedule.batch_size, rng)
    done = sum(len(batch) for batch in batches[: position.steps])
    for number, batch in enumerate(batches[position.steps :], position.steps + 1):
        group.draw_apart(schedule.seed, position.epoch, number)
        loss, tokens = trainee.step(batch)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} in epoch {position.epoch}, step {number} of {len(batches)} (a batch of "
                f"{len(batch)}, learning rate {trainee.learning_rate:.2g}); lower learning_rate or check the data"
            )
        position.steps, position.loss = number, position.loss + loss
        position.report.tokens_encoded += tokens
        done += len(batch)
        if monitor is not None:
            monitor({"event": "step", "epoch": position.epoch, "done": done, "total": trainee.n_examples})
        if checkpoints.due() and number < len(batches):
            position.seconds = time.perf_counter() - started
            checkpoints.save(dataclasses.asdict(position), trainee.state, best)


def _epoch_event(
    trainee: Trainee,
    schedule: Schedule,
    position: _Position,
    metric: str,
    value: float | None,
    improved: bool,
    started: float,
) -> dict[str, Any]:
    seconds = time.perf_counter() - started
    event: dict[str, Any] = {"event": "epoch", "epoch": position.epoch, "epochs": schedule.epochs}
    event["loss"] = position.loss / max(trainee.n_examples, 1)
    if value is not None:
        event[metric] = value
    event |= {"best": improved, "seconds": seconds, "tokens_encoded": position.report.tokens_encoded}
    return event | {"documents_per_second": trainee.n_examples / max(seconds, 1e-9)}
