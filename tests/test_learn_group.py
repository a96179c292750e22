from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from group_of_threads import run
from textrec.data.sample import sample
from textrec.errors import CheckpointError
from textrec.learn.checkpoints import FILE
from textrec.learn.group import ALONE, Group
from textrec.learn.model import Checkpoint
from textrec.protocol.splits import hold_out
from textrec.registry import create

SMALL = {"factors": 16, "epochs": 3, "min_count": 1, "refit_epochs": 1}


def test_alone_nothing_is_changed() -> None:
    values = torch.arange(6.0).view(3, 2)
    ALONE.add(values)
    assert ALONE.gather(values, 3) is values
    assert values[ALONE.own].data_ptr() == values.data_ptr()
    assert ALONE.first(lambda: 5) == 5
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    ALONE.draw_apart(1, 2)
    torch.testing.assert_close(torch.rand(2), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("size", "n"), [(2, 7), (3, 2), (3, 9), (2, 0)])
def test_rows_are_dealt_and_come_back_in_order(size: int, n: int) -> None:
    rows = torch.arange(2 * n).view(n, 2)
    for whole in run(size, lambda group: group.gather(rows[group.own], n)):
        torch.testing.assert_close(whole, rows)


def test_a_member_without_a_gradient_adds_zeros() -> None:
    def program(group: Group) -> list[Any]:
        parameters = [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))]
        parameters[2].requires_grad_(False)
        if group.rank == 1:
            parameters[0].grad, parameters[1].grad = torch.ones(2, 2), torch.arange(3.0)
        group.add_gradients(parameters)
        return [parameter.grad for parameter in parameters]

    for grads in run(2, program):
        torch.testing.assert_close(grads[:2], [torch.ones(2, 2), torch.arange(3.0)])
        assert grads[2] is None


def test_members_draw_apart_and_again_the_same() -> None:
    def draws(rank: int, *numbers: int) -> float:
        group = Group()
        group.rank, group.size = rank, 2
        group.draw_apart(*numbers)
        return float(torch.rand(()))

    assert len({draws(0, 1, 2), draws(1, 1, 2), draws(0, 1, 3), draws(0, 2, 2)}) == 4
    assert draws(1, 1, 2) == draws(1, 1, 2)


def fitted(group: Group, name: str, changes: dict[str, Any], setting: Any = "cold", **more: Any) -> Any:
    data = sample()
    model = create(name, SMALL | changes, seed=1, device="cpu")
    model.group = group
    fold = None if setting is None else hold_out(data, setting, seed=1, fold=0)
    return model.fit(data, validation=fold, **more)


NO_DROPOUT = {"dropout_words": 0.0, "dropout_first": 0.0, "dropout_second": 0.0, "precision": "fp32"}
CASES = [
    ("embed", {}, "cold"),
    ("embed-mtl", {"unobserved_power": 0.5}, "cold"),
    ("embed-mtl", {"offsets": "alternate", "ridge_items": 100.0}, "warm"),
    ("embed-mtl", {"unobserved_power": 0.5, "averaging": "exponential", "warmup_steps": 5}, "warm"),
    ("embed", {"offsets": "none", "batch_size": 7}, None),
    ("gru-mtl", {"hidden_dim": 12, "embedding_dim": 16, "epochs": 2} | NO_DROPOUT, "cold"),
]


@pytest.mark.parametrize(("name", "changes", "setting"), CASES)
def test_a_group_trains_what_one_trains(name: str, changes: dict[str, Any], setting: Any) -> None:
    alone = fitted(ALONE, name, changes, setting)
    for model in run(2, lambda group: fitted(group, name, changes, setting)):
        assert model.report.tokens_encoded == alone.report.tokens_encoded
        assert model.report.best_epoch == alone.report.best_epoch
        if setting is not None:
            assert model.report.validation == pytest.approx(alone.report.validation, abs=0.005)
        for ours, theirs in ((model._users, alone._users), (model._items, alone._items)):
            gram, expected = ours.T @ ours, theirs.T @ theirs
            assert np.abs(gram - expected).max() <= 1e-4 * np.abs(expected).max()


def test_all_members_are_the_same_model() -> None:
    first, second = run(2, lambda group: fitted(group, "embed-mtl", {}))
    np.testing.assert_array_equal(first._users, second._users)
    np.testing.assert_array_equal(first._items, second._items)


def test_only_the_first_member_saves_and_tells(tmp_path: Path) -> None:
    told: list[Any] = []
    run(2, lambda group: fitted(group, "embed", {}, monitor=told.append, checkpoint=Checkpoint(tmp_path, 0)))
    epochs = [event["epoch"] for event in told if event["event"] == "epoch"]
    assert epochs == [1, 2, 3, 1]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [FILE, FILE]


def test_a_checkpoint_that_cannot_be_used_is_everyones_error(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nothing")
    told = []

    def program(group: Group) -> None:
        with pytest.raises(CheckpointError, match="damaged"):
            fitted(group, "embed", {}, checkpoint=Checkpoint(tmp_path, 0, resume=True))
        told.append(group.rank)

    run(2, program)
    assert sorted(told) == [0, 1]


def test_more_members_than_texts_in_a_batch() -> None:
    alone = fitted(ALONE, "embed", {"batch_size": 1, "epochs": 1}, None)
    models = run(3, lambda group: fitted(group, "embed", {"batch_size": 1, "epochs": 1}, None))
    np.testing.assert_allclose(models[0]._users, alone._users, atol=1e-4)
