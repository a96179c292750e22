"""Two local Ray workers on the sample data: the same model as by one process, also when a worker is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from textrec.cluster.session import connected
from textrec.cluster.training import fit_on_cluster
from textrec.cluster.using import encode_blocks, recommend_blocks
from textrec.data.sample import sample
from textrec.dataset import Dataset
from textrec.errors import ArgumentError, TextrecWarning
from textrec.learn.checkpoints import FILE
from textrec.learn.model import Checkpoint
from textrec.learn.recommender import Recommender
from textrec.protocol.metrics import fold_recall
from textrec.protocol.splits import Fold, hold_out, split
from textrec.registry import create

pytest.importorskip("ray.train", reason="the extra ray is not installed; `make test-cluster` installs it")
# Ray's own warnings are not ours to mend.
pytestmark = pytest.mark.filterwarnings(
    *(f"ignore::{kind}" for kind in ("DeprecationWarning", "FutureWarning", "ResourceWarning"))
)

CONFIG = {"factors": 16, "epochs": 4, "min_count": 1, "refit_epochs": 1}


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """One Ray for all tests of this file, without what only real clusters need: starting it takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
        with connected("local", 2):
            yield


@pytest.fixture(scope="module")
def test_fold() -> Fold:
    return split(sample(), "cold", seed=1).fold(sample(), 0)


@pytest.fixture(scope="module")
def data(test_fold: Fold) -> Dataset:
    return test_fold.train


@pytest.fixture(scope="module")
def alone(data: Dataset) -> Recommender:
    return create("embed-mtl", CONFIG, seed=1).fit(data, validation=hold_out(data, "cold", seed=1, fold=0))


def shared(data: Dataset, **more: Any) -> Recommender:
    model = create("embed-mtl", CONFIG, seed=1)
    return fit_on_cluster(model, data, validation=hold_out(data, "cold", seed=1, fold=0), workers=2, **more)


def recall(model: Recommender, fold: Fold) -> float:
    score, _ = model.scorer(fold.candidates)
    return fold_recall(fold, score, 10)


def same(model: Any, alone: Any, fold: Fold) -> None:
    assert recall(model, fold) == pytest.approx(recall(alone, fold), abs=0.005)
    assert model.report == alone.report or model.report.validation == pytest.approx(alone.report.validation, abs=0.005)
    for ours, theirs in ((model._users, alone._users), (model._items, alone._items)):
        gram, expected = ours.T @ ours, theirs.T @ theirs
        assert np.abs(gram - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    data: Dataset, test_fold: Fold, alone: Recommender, tmp_path: Path
) -> None:
    told: list[Mapping[str, Any]] = []

    def kill_one(event: Mapping[str, Any]) -> None:
        told.append(event)
        if event["event"] == "epoch" and event["epoch"] == 2 and sum(e["event"] == "workers" for e in told) == 1:
            os.kill(next(e["workers"][1]["pid"] for e in told if e["event"] == "workers"), signal.SIGKILL)

    (tmp_path / FILE).write_bytes(b"of an older training")
    (tmp_path / "mine.txt").touch()
    with pytest.warns(TextrecWarning, match="workers were started 2 times: one died, and training went on"):
        model = shared(data, monitor=kill_one, checkpoint=Checkpoint(tmp_path, 0))
    same(model, alone, test_fold)
    assert [event["start"] for event in told if event["event"] == "workers"] == [1, 2]
    assert all(len(event["workers"]) == 2 for event in told if event["event"] == "workers")
    assert (tmp_path / "mine.txt").exists()


def test_lists_and_vectors_are_those_of_one_process(alone: Recommender) -> None:
    """After a fit in the same session: its workers must have given their processors back."""
    expected = alone.recommend(k=5)
    found = pl.concat(list(recommend_blocks(alone, cluster="local", workers=2, k=5)))
    assert found["user_id"].to_list() == expected["user_id"].to_list()
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-4)
    assert (found["item_id"] == expected["item_id"]).mean() > 0.99  # ties in the last bit may swap

    items = alone.data.items.take(np.arange(9))
    vectors = pl.concat(list(encode_blocks(alone, items, cluster="local", workers=1)))
    assert vectors["item_id"].to_list() == list(items.ids)
    np.testing.assert_allclose(vectors["vector"].to_numpy(), alone.encode(items), atol=1e-6)


def test_two_workers_train_what_one_process_trains(data: Dataset, test_fold: Fold, alone: Recommender) -> None:
    told: list[Mapping[str, Any]] = []
    model = shared(data, monitor=told.append)
    same(model, alone, test_fold)
    epochs = [event for event in told if event["event"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [*range(1, alone.report.epochs + 1), 1]
    assert model.recommend("1", k=3)["item_id"].to_list() == alone.recommend("1", k=3)["item_id"].to_list()


def test_more_workers_than_processors(data: Dataset) -> None:
    with pytest.raises(ArgumentError, match="the cluster has 2 CPUs and this needs 6; take fewer workers or threads"):
        shared(data, threads=3)
