from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from textrec.errors import CheckpointError, TextrecWarning, TrainingError
from textrec.learn.batches import cut
from textrec.learn.checkpoints import FILE, State
from textrec.learn.model import Checkpoint
from textrec.learn.training import Schedule, train


class Counter:
    """A trainee that counts its epochs and validates by a script."""

    n_examples = 10
    learning_rate = 0.25

    def __init__(self, values: list[float] | None = None, *, interrupt_at: int = 0, loss: float = 1.0) -> None:
        self.values, self.interrupt_at, self.loss = values, interrupt_at, loss
        self.epoch = 0
        self.taken: list[list[int]] = []
        self.drawn: list[float] = []

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        self.epoch = epoch
        self.taken.clear()

    def batches(self, order: Any, size: int, rng: np.random.Generator) -> list[Any]:
        return cut(order, size)

    def step(self, examples: Any) -> tuple[float, int]:
        if self.epoch == self.interrupt_at:
            raise KeyboardInterrupt
        self.taken.append(examples.tolist())
        self.drawn.append(float(torch.rand(())))
        return self.loss * len(examples), 3 * len(examples)

    def validate(self) -> float | None:
        return None if self.values is None else self.values[self.epoch - 1]

    def state(self) -> State:
        return self.snapshot() | {"drawn": torch.tensor(self.drawn)}

    def resume(self, state: State) -> None:
        self.restore(state)
        self.drawn = state["drawn"].tolist()

    def snapshot(self) -> State:
        return {"state": torch.tensor(self.epoch)}

    def restore(self, snapshot: State) -> None:
        self.epoch = int(snapshot["state"])


def schedule(epochs: int = 6, patience: int = 2) -> Schedule:
    return Schedule(epochs, batch_size=4, patience=patience, seed=1)


def test_it_stops_after_patience_and_returns_to_the_best_epoch() -> None:
    trainee = Counter([0.1, 0.3, 0.2, 0.25, 0.9, 0.9])
    report = train(trainee, schedule(), metric="recall@50", monitor=None)
    assert (report.epochs, report.best_epoch, report.validation, trainee.epoch) == (4, 2, 0.3, 2)
    assert report.tokens_encoded == 4 * 30


def test_without_validation_the_last_epoch_stands() -> None:
    trainee = Counter()
    report = train(trainee, schedule(), metric="", monitor=None)
    assert (report.epochs, report.best_epoch, report.validation, trainee.epoch) == (6, 6, None, 6)


def test_every_example_comes_once_an_epoch_in_an_order_of_seed_and_epoch() -> None:
    first, again = Counter(), Counter()
    train(first, schedule(1), metric="", monitor=None)
    train(again, schedule(1), metric="", monitor=None)
    assert [len(batch) for batch in first.taken] == [4, 4, 2]
    assert sorted(np.concatenate(first.taken)) == list(range(10))
    assert first.taken == again.taken
    other = Counter()
    train(other, schedule(2), metric="", monitor=None)
    assert other.taken != first.taken


def test_ctrl_c_keeps_the_best_epoch() -> None:
    trainee = Counter([0.1, 0.3, 0.2, 0.25], interrupt_at=4)
    report = train(trainee, schedule(patience=9), metric="recall@50", monitor=None)
    assert report.interrupted
    assert (report.best_epoch, trainee.epoch) == (2, 2)


def test_a_loss_that_is_not_a_number_stops_with_the_place() -> None:
    with pytest.raises(TrainingError, match=r"nan in epoch 1, step 1 of 3 \(a batch of 4, learning rate 0.25\)"):
        train(Counter(loss=float("nan")), schedule(), metric="", monitor=None)


def test_the_monitor_hears_steps_and_epochs() -> None:
    events: list[dict[str, Any]] = []
    train(Counter([0.1, 0.2]), schedule(2), metric="recall@50", monitor=lambda event: events.append(dict(event)))
    assert [event["event"] for event in events] == ["step", "step", "step", "epoch"] * 2
    assert events[2] == {"event": "step", "epoch": 1, "done": 10, "total": 10}
    epoch = events[-1]
    assert (epoch["epoch"], epoch["epochs"], epoch["loss"], epoch["recall@50"], epoch["best"]) == (2, 2, 1.0, 0.2, True)
    assert epoch["documents_per_second"] > 0


class Killed(Counter):
    """Dies without a word before its n-th step, as a process does under `kill -9`."""

    def __init__(self, values: list[float], die_at: int) -> None:
        super().__init__(values)
        self.die_at = die_at

    def step(self, examples: Any) -> tuple[float, int]:
        if len(self.drawn) == self.die_at:
            raise SystemExit
        return super().step(examples)


VALUES = [0.1, 0.3, 0.2, 0.25, 0.9, 0.9]


@pytest.mark.parametrize("die_at", [0, 1, 4, 6, 11])
def test_a_killed_run_resumes_with_the_same_numbers(die_at: int, tmp_path: Path) -> None:
    torch.manual_seed(5)
    whole = Counter(VALUES)
    expected = train(whole, schedule(), metric="m", monitor=None)

    torch.manual_seed(5)
    with pytest.raises(SystemExit):
        train(
            Killed(VALUES, die_at),
            schedule(),
            metric="m",
            monitor=None,
            checkpoint=Checkpoint(tmp_path, every_seconds=0),
        )
    torch.manual_seed(5 if die_at == 0 else 77)  # the generator's state comes from the checkpoint
    resumed = Counter(VALUES)
    again = train(resumed, schedule(), metric="m", monitor=None, checkpoint=Checkpoint(tmp_path, 0, resume=True))
    assert resumed.drawn == whole.drawn
    assert again == expected
    assert resumed.epoch == whole.epoch


def test_a_finished_run_resumes_to_its_end(tmp_path: Path) -> None:
    first = train(Counter(VALUES), schedule(), metric="m", monitor=None, checkpoint=Checkpoint(tmp_path, 60))
    idle = Counter(VALUES)
    again = train(idle, schedule(), metric="m", monitor=None, checkpoint=Checkpoint(tmp_path, 60, resume=True))
    assert again == first
    assert (idle.taken, idle.epoch) == ([], 2)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    place = Checkpoint(tmp_path, 60)
    train(Counter(VALUES), schedule(1), metric="m", monitor=None, checkpoint=place, identity="a")
    place = Checkpoint(tmp_path, 60, resume=True)
    with pytest.raises(CheckpointError, match="made with another model, configuration, seed or data; train without"):
        train(Counter(VALUES), schedule(1), metric="m", monitor=None, checkpoint=place, identity="b")


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    place = Checkpoint(tmp_path, 60)
    train(Counter(VALUES), schedule(1), metric="m", monitor=None, checkpoint=place)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r"checkpoint.safetensors: damaged .*; delete it and train without"):
        train(Counter(VALUES), schedule(1), metric="m", monitor=None, checkpoint=Checkpoint(tmp_path, 60, resume=True))


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Checkpoint(tmp_path, 60)
    train(Counter(VALUES), schedule(1), metric="m", monitor=None, checkpoint=place)
    good = (tmp_path / FILE).read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.warns(TextrecWarning, match=r"not be written \(No space left on device\); the last good one"):
        report = train(Counter(VALUES), schedule(1), metric="m", monitor=None, checkpoint=place)
    assert report.epochs == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).read_bytes() == good
    (tmp_path / FILE).unlink()
    with pytest.warns(TextrecWarning, match="there is none yet"):
        train(Counter(VALUES), schedule(1), metric="m", monitor=None, checkpoint=place)
