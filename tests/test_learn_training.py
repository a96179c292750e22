from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from textrec.errors import TrainingError
from textrec.learn.training import Schedule, train


class Counter:
    """A trainee that counts its epochs and validates by a script."""

    n_examples = 10

    def __init__(self, values: list[float] | None = None, *, interrupt_at: int = 0, loss: float = 1.0) -> None:
        self.values, self.interrupt_at, self.loss = values, interrupt_at, loss
        self.state = 0
        self.batches: list[list[int]] = []

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        self.state = epoch
        self.batches.clear()

    def step(self, examples: Any) -> tuple[float, int]:
        if self.state == self.interrupt_at:
            raise KeyboardInterrupt
        self.batches.append(examples.tolist())
        return self.loss * len(examples), 3 * len(examples)

    def validate(self) -> float | None:
        return None if self.values is None else self.values[self.state - 1]

    def snapshot(self) -> int:
        return self.state

    def restore(self, snapshot: int) -> None:
        self.state = snapshot


def schedule(epochs: int = 6, patience: int = 2) -> Schedule:
    return Schedule(epochs, batch_size=4, patience=patience, seed=1)


def test_it_stops_after_patience_and_returns_to_the_best_epoch() -> None:
    trainee = Counter([0.1, 0.3, 0.2, 0.25, 0.9, 0.9])
    report = train(trainee, schedule(), metric="recall@50", monitor=None)
    assert (report.epochs, report.best_epoch, report.validation, trainee.state) == (4, 2, 0.3, 2)
    assert report.tokens_encoded == 4 * 30


def test_without_validation_the_last_epoch_stands() -> None:
    trainee = Counter()
    report = train(trainee, schedule(), metric="", monitor=None)
    assert (report.epochs, report.best_epoch, report.validation, trainee.state) == (6, 6, None, 6)


def test_every_example_comes_once_an_epoch_in_an_order_of_seed_and_epoch() -> None:
    first, again = Counter(), Counter()
    train(first, schedule(1), metric="", monitor=None)
    train(again, schedule(1), metric="", monitor=None)
    assert [len(batch) for batch in first.batches] == [4, 4, 2]
    assert sorted(np.concatenate(first.batches)) == list(range(10))
    assert first.batches == again.batches
    other = Counter()
    train(other, schedule(2), metric="", monitor=None)
    assert other.batches != first.batches


def test_ctrl_c_keeps_the_best_epoch() -> None:
    trainee = Counter([0.1, 0.3, 0.2, 0.25], interrupt_at=4)
    report = train(trainee, schedule(patience=9), metric="recall@50", monitor=None)
    assert report.interrupted
    assert (report.best_epoch, trainee.state) == (2, 2)


def test_a_loss_that_is_not_a_number_stops_with_the_place() -> None:
    with pytest.raises(TrainingError, match=r"the loss is nan in epoch 1, step 1; lower learning_rate"):
        train(Counter(loss=float("nan")), schedule(), metric="", monitor=None)


def test_the_monitor_hears_steps_and_epochs() -> None:
    events: list[dict[str, Any]] = []
    train(Counter([0.1, 0.2]), schedule(2), metric="recall@50", monitor=lambda event: events.append(dict(event)))
    assert [event["event"] for event in events] == ["step", "step", "step", "epoch"] * 2
    assert events[2] == {"event": "step", "epoch": 1, "done": 10, "total": 10}
    epoch = events[-1]
    assert (epoch["epoch"], epoch["epochs"], epoch["loss"], epoch["recall@50"], epoch["best"]) == (2, 2, 1.0, 0.2, True)
    assert epoch["documents_per_second"] > 0
