from __future__ import annotations

import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.errors import ArgumentError
from textrec.protocol.metrics import (
    UserMetrics,
    aggregate,
    coverage,
    fold_recall,
    novelty,
    paired_test,
    rank_fold,
    summary,
    tag_recall,
)
from textrec.protocol.splits import Fold, split


def two_users() -> UserMetrics:
    """User 3 has test likes at ranks 1 and 4, user 7 at rank 3."""
    return UserMetrics.of(np.array([7, 3, 3]), np.array([3, 4, 1]))


def log_gain(rank: int) -> float:
    return 1 / math.log2(1 + rank)


def make_data(likes: np.ndarray) -> Dataset:
    users, items = likes.shape
    table = Items.build([f"i{row}" for row in range(items)])
    return Dataset(Ids(f"u{row}" for row in range(users)), table, binary_csr(*np.nonzero(likes), likes.shape))


def random_fold(seed: int = 0) -> Fold:
    data = make_data(np.random.default_rng(seed).random((30, 40)) < 0.3)
    return split(data, "warm", seed=seed).fold(data, 0)


def test_recall_by_hand():
    metrics = two_users()
    assert metrics.users.tolist() == [3, 7]
    assert metrics.likes().tolist() == [2, 1]
    assert metrics.recall(1).tolist() == [1 / 2, 0 / 1]
    assert metrics.recall(3).tolist() == [1 / 2, 1 / 1]
    assert metrics.recall(4).tolist() == [2 / 2, 1 / 1]


def test_recall_divides_by_all_test_likes_even_above_m():
    assert UserMetrics.of(np.zeros(4, np.int64), np.array([1, 2, 3, 4])).recall(2).tolist() == [2 / 4]


def test_ndcg_by_hand():
    found = two_users().ndcg(3)
    assert found == pytest.approx([log_gain(1) / (log_gain(1) + log_gain(2)), log_gain(3) / log_gain(1)])


def test_ndcg_ideal_is_cut_at_m():
    assert UserMetrics.of(np.zeros(3, np.int64), np.array([1, 2, 9])).ndcg(2).tolist() == [1.0]


def test_hr_by_hand():
    assert two_users().hr(10) == pytest.approx([1 / 1 + 1 / 4, 1 / 3])
    assert two_users().hr(3) == pytest.approx([1 / 1, 1 / 3])
    assert UserMetrics.of(np.array([0, 0]), np.array([10, 11])).hr() == pytest.approx([1 / 10])


def test_mrr_by_hand():
    assert two_users().mrr() == pytest.approx([1 / 1, 1 / 3])


def test_average_precision_by_hand():
    assert two_users().average_precision() == pytest.approx([(1 / 1 + 2 / 4) / 2, 1 / 3])


def test_no_users_give_empty_arrays():
    metrics = UserMetrics.of(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert len(metrics) == 0
    for values in (metrics.recall(5), metrics.ndcg(5), metrics.hr(), metrics.mrr(), metrics.average_precision()):
        assert values.shape == (0,)


def test_bad_ranks_and_cuts_are_refused():
    with pytest.raises(ArgumentError, match="ranks must be one for each test like, got 2 for 1"):
        UserMetrics.of(np.array([0]), np.array([1, 2]))
    with pytest.raises(ArgumentError, match="ranks must be at least 1, got 0"):
        UserMetrics.of(np.array([0]), np.array([0]))
    for metric in ("recall", "ndcg", "hr"):
        with pytest.raises(ArgumentError, match="m must be at least 1, got 0"):
            getattr(two_users(), metric)(0)


user_ranks = st.dictionaries(
    st.integers(0, 6), st.sets(st.integers(1, 30), min_size=1, max_size=8), min_size=1, max_size=5
)


def flat(ranks_of_user: dict[int, set[int]]) -> UserMetrics:
    pairs = [(user, rank) for user, ranks in ranks_of_user.items() for rank in ranks]
    return UserMetrics.of(*np.array(pairs).T)


@given(user_ranks, st.integers(1, 35))
def test_metrics_equal_slow_twins(ranks_of_user, m):
    metrics = flat(ranks_of_user)
    assert metrics.users.tolist() == sorted(ranks_of_user)
    for place, user in enumerate(sorted(ranks_of_user)):
        ranks = sorted(ranks_of_user[user])
        hits = [rank for rank in ranks if rank <= m]
        ideal = sum(log_gain(rank) for rank in range(1, min(m, len(ranks)) + 1))
        assert metrics.recall(m)[place] == pytest.approx(len(hits) / len(ranks))
        assert metrics.ndcg(m)[place] == pytest.approx(sum(map(log_gain, hits)) / ideal)
        assert metrics.hr(m)[place] == pytest.approx(sum(1 / rank for rank in hits))
        assert metrics.mrr()[place] == pytest.approx(1 / ranks[0])
        precisions = [(position + 1) / rank for position, rank in enumerate(ranks)]
        assert metrics.average_precision()[place] == pytest.approx(sum(precisions) / len(ranks))


@settings(max_examples=30)
@given(user_ranks)
def test_metrics_equal_trec_eval(ranks_of_user):
    metrics = flat(ranks_of_user)
    judged = {f"u{user}": {f"d{rank}": 1 for rank in ranks} for user, ranks in ranks_of_user.items()}
    run = {user: {f"d{rank}": float(100 - rank) for rank in range(1, 31)} for user in judged}
    oracle = pytrec_eval.RelevanceEvaluator(judged, {"recall.5,10", "ndcg_cut.5,10", "map", "recip_rank"}).evaluate(run)
    ours = {
        "recall_5": metrics.recall(5),
        "recall_10": metrics.recall(10),
        "ndcg_cut_5": metrics.ndcg(5),
        "ndcg_cut_10": metrics.ndcg(10),
        "map": metrics.average_precision(),
        "recip_rank": metrics.mrr(),
    }
    for name, values in ours.items():
        assert values == pytest.approx([oracle[f"u{user}"][name] for user in metrics.users.tolist()], abs=1e-6)


def test_scores_to_metrics_equals_trec_eval():
    fold = random_fold()
    scores = np.random.default_rng(1).standard_normal(fold.test_likes.shape).astype(np.float32)
    metrics = rank_fold(fold, lambda rows: scores[rows]).metrics
    seen, test = fold.seen.toarray() > 0, fold.test_likes.toarray() > 0
    judged = {str(user): {str(item): 1 for item in np.flatnonzero(test[user])} for user in fold.test_users}
    run = {user: {str(i): float(scores[int(user), i]) for i in np.flatnonzero(~seen[int(user)])} for user in judged}
    oracle = pytrec_eval.RelevanceEvaluator(judged, {"recall.10", "map"}).evaluate(run)
    assert metrics.recall(10) == pytest.approx([oracle[str(user)]["recall_10"] for user in metrics.users], abs=1e-6)
    assert metrics.average_precision() == pytest.approx([oracle[str(u)]["map"] for u in metrics.users], abs=1e-6)


def test_a_user_without_training_likes_stays_in_the_mean_and_ties_go_by_item_row():
    likes = binary_csr([0, 1], [2, 0], (3, 4))  # user 2 has no test like
    data = make_data(np.zeros((3, 4)))
    fold = Fold("warm", 0, data, data.items, likes)
    scores = np.zeros((3, 4), np.float32)  # what every model gives a user it knows nothing of
    scores[1, 0] = 1
    metrics = rank_fold(fold, lambda rows: scores[rows]).metrics
    assert metrics.users.tolist() == [0, 1]
    assert metrics.recall(2).tolist() == [0, 1]
    assert metrics.recall(3).tolist() == [1, 1]  # row 2 is third among equals
    assert fold_recall(fold, lambda rows: scores[rows], 2) == (0 + 1) / 2


@pytest.mark.parametrize("k", [1, 5, 100])
def test_fold_recall_is_the_mean_of_recall(k):
    fold = random_fold()
    scores = np.random.default_rng(2).integers(0, 4, fold.test_likes.shape).astype(np.float32)
    ranking = rank_fold(fold, lambda rows: scores[rows])
    assert fold_recall(fold, lambda rows: scores[rows], k) == pytest.approx(ranking.metrics.recall(k).mean())


def test_fold_recall_without_test_likes_is_zero():
    data = make_data(np.zeros((2, 3)))
    fold = Fold("warm", 0, data, data.items, binary_csr([], [], (2, 3)))
    assert fold_recall(fold, lambda rows: np.zeros((len(rows), 3), np.float32), 5) == 0.0


def test_coverage_by_hand():
    assert coverage(np.array([[0, 1], [1, -1]]), 8) == 2 / 8
    assert coverage(np.full((2, 3), -1), 8) == 0.0
    assert coverage(np.zeros((0, 3), np.int64), 0) == 0.0


def test_novelty_by_hand():
    likes_of = np.array([5, 0, 0])  # smoothed shares 6/8, 1/8, 1/8
    assert novelty(np.array([[0, 1], [1, -1]]), likes_of) == pytest.approx(((-math.log2(6 / 8) + 3) / 2 + 3) / 2)
    assert novelty(np.array([[-1, -1], [2, -1]]), likes_of) == pytest.approx(3)  # an empty list is left out
    assert novelty(np.full((1, 2), -1), likes_of) == 0.0
    assert novelty(np.array([[0, 1]]), np.zeros(4)) == pytest.approx(math.log2(4))  # cold: the same for all


def test_tag_recall_by_hand():
    tags = binary_csr([0, 0, 2], [1, 2, 0], (3, 3))  # the second item has no tag
    scores = np.array([[3, 2, 1], [1, 1, 1], [0, 0, 0]], np.float32)
    assert tag_recall(scores, tags, 2).tolist() == [1 / 2, 1 / 1]
    assert tag_recall(scores, tags).tolist() == [1, 1]
    assert tag_recall(np.zeros((2, 3)), binary_csr([], [], (2, 3))).shape == (0,)


def test_summary_holds_every_metric():
    fold = random_fold()
    scores = np.random.default_rng(3).standard_normal(fold.test_likes.shape).astype(np.float32)
    ranking = rank_fold(fold, lambda rows: scores[rows])
    row = summary(fold, ranking)
    assert list(row) == [
        *("recall@10", "recall@50", "recall@100", "recall@200", "recall@300", "ndcg@50", "hr@10", "mrr", "map"),
        *("coverage@50", "novelty@50", "users", "candidates"),
    ]
    assert row["recall@10"] == pytest.approx(ranking.metrics.recall(10).mean())
    assert row["recall@300"] == 1
    assert row["coverage@50"] == 1
    assert row["users"] == len(fold.test_users)
    assert row["candidates"] == len(fold.candidates)
    assert row["novelty@50"] > 0


def test_top_lists_hold_nothing_seen():
    fold = random_fold()
    ranking = rank_fold(fold, lambda rows: np.ones((len(rows), len(fold.candidates)), np.float32))
    seen = fold.seen.toarray() > 0
    for user, top in zip(fold.test_users, ranking.top, strict=True):
        assert not seen[user, top[top >= 0]].any()
        assert (top >= 0).sum() == (~seen[user]).sum()


def test_aggregate_is_mean_and_sample_deviation_over_folds():
    means, deviations = aggregate([{"recall@10": 0.1, "users": 3}, {"recall@10": 0.3, "users": 5}])
    assert means == pytest.approx({"recall@10": 0.2, "users": 4})
    assert deviations == pytest.approx({"recall@10": math.sqrt(2 * 0.1**2 / (2 - 1)), "users": math.sqrt(2)})


def test_one_fold_has_no_deviation():
    assert aggregate([{"mrr": 0.5}]) == ({"mrr": 0.5}, {"mrr": None})


def test_aggregate_refuses_what_cannot_be_averaged():
    with pytest.raises(ArgumentError, match="folds must be at least one, got none"):
        aggregate([])
    with pytest.raises(ArgumentError, match="folds must have the same metrics, fold 1 differs in map, mrr"):
        aggregate([{"mrr": 1}, {"map": 1}])


def test_paired_test_of_equal_and_of_different_models():
    rng = np.random.default_rng(0)
    base = rng.random(400)
    equal = paired_test(base, base, seed=0)
    assert equal == {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "n": 400}
    better = paired_test(base + rng.normal(0.1, 0.2, 400), base, seed=0)
    assert 0 < better["low"] < better["difference"] < better["high"]
    assert better["p"] == 2 / 10_001
    worse = paired_test(base, base + 0.1 + 0.01 * base, seed=0)
    assert worse["high"] < 0


def test_paired_interval_is_near_the_normal_one():
    differences = np.random.default_rng(1).normal(0.01, 1, 2000)
    result = paired_test(differences, np.zeros(2000), seed=3)
    half = 1.96 * differences.std() / math.sqrt(2000)
    assert result["low"] == pytest.approx(differences.mean() - half, abs=0.1 * half)
    assert result["high"] == pytest.approx(differences.mean() + half, abs=0.1 * half)
    z = abs(differences.mean()) / (differences.std() / math.sqrt(2000))
    assert result["p"] == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.03)
    assert result == paired_test(differences, np.zeros(2000), seed=3)


def test_paired_test_refuses_different_users():
    with pytest.raises(ArgumentError, match=r"a and b must hold the same users, at least one, got \(2,\) and \(3,\)"):
        paired_test([1, 2], [1, 2, 3], seed=0)
    with pytest.raises(ArgumentError, match="at least one"):
        paired_test([], [], seed=0)
    with pytest.raises(ArgumentError, match="a and b must be finite"):
        paired_test([np.nan], [1], seed=0)
