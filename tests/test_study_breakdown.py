from __future__ import annotations

import numpy as np
import pytest

from textrec.data.sample import sample
from textrec.protocol.metrics import UserMetrics, rank_fold
from textrec.protocol.splits import split
from textrec.registry import create
from textrec.study.breakdown import Edges, curves, edges_of, groups


def test_curves_by_hand() -> None:
    # user 0: two likes at ranks 1 and 3; user 1: one at rank 4
    metrics = UserMetrics.of(np.array([0, 0, 1]), np.array([1, 3, 4]))
    found = curves(metrics, 5)
    assert found["m"] == [1, 2, 3, 4, 5]
    assert found["recall"] == pytest.approx([1 / 4, 1 / 4, 1 / 2, 1, 1])
    best = 1 + 1 / np.log2(3)
    first = [1 / 1, 1 / best, (1 + 1 / 2) / best, (1 + 1 / 2) / best, (1 + 1 / 2) / best]
    second = [0, 0, 0, 1 / np.log2(5), 1 / np.log2(5)]
    assert found["ndcg"] == pytest.approx(np.mean([first, second], axis=0), abs=1e-6)
    assert curves(UserMetrics.of(np.zeros(0, np.int64), np.zeros(0, np.int64)), 5) == {
        "m": [],
        "recall": [],
        "ndcg": [],
    }


@pytest.mark.parametrize("setting", ["cold", "warm"])
def test_curves_and_groups_agree_with_the_metrics(setting: str) -> None:
    data = sample().filtered()
    fold = split(data, setting).fold(data, 1)  # type: ignore[arg-type]
    model = create("tfidf").fit(fold.train)
    metrics = rank_fold(fold, model.scorer(fold.candidates)[0]).metrics
    found = curves(metrics, len(fold.candidates))
    assert found["recall"][found["m"].index(50)] == pytest.approx(metrics.recall(50).mean(), abs=1e-6)
    assert found["ndcg"][found["m"].index(50)] == pytest.approx(metrics.ndcg(50).mean(), abs=1e-6)
    assert max(found["m"]) <= len(fold.candidates)

    parts = groups(fold, metrics, edges_of(data))
    total = sum(entry["count"] * entry["recall@10"] for entry in parts["activity"])
    assert total / len(metrics) == pytest.approx(metrics.recall(10).mean(), abs=1e-5)
    for kind in ("popularity", "length"):
        assert sum(entry["count"] for entry in parts[kind]) == fold.test_likes.nnz
        hits = sum(entry["count"] * entry["recall@50"] for entry in parts[kind])
        assert hits == pytest.approx((metrics.ranks <= 50).sum(), abs=1e-2)
    assert len(parts["length"]) == 4


def test_groups_by_hand() -> None:
    data = sample().filtered()
    fold = split(data, "cold").fold(data, 0)
    metrics = rank_fold(fold, lambda rows: np.zeros((len(rows), len(fold.candidates)), np.float32)).metrics
    entries = groups(fold, metrics, Edges(activity=(0, 3, 4), popularity=(0, 10)))["activity"]
    training = fold.train.likes_per_user()[metrics.users]
    for entry, members in zip(entries, (training < 3, training == 3, training >= 4), strict=True):
        assert entry["count"] == members.sum()
        assert entry["recall@10"] == pytest.approx(metrics.recall(10)[members].mean(), abs=1e-6)
    assert [entry["group"] for entry in entries] == ["0–2", "3", "≥ 4"]
    popular = groups(fold, metrics, Edges(popularity=(0, 10)))["popularity"]
    likes = data.likes_per_item()[data.items.ids.rows(fold.candidates.ids)]
    assert popular[1]["count"] == likes[likes >= 10].sum()  # cold: every like of a candidate is a test like
