"""The simulated library: its sizes, its truth, and that word order carries what it is said to carry."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from textrec.data.sample import _ORDER_SENTENCES, _ORDER_TITLES, Simulation, sample, simulate, simulate_order_only
from textrec.dataset import Csr
from textrec.errors import ArgumentError
from textrec.protocol.splits import Fold, split


def recall(scores: np.ndarray, seen: Csr, test: Csr, k: int) -> float:
    """Recall@k, the mean over users with a test like; ties go by item row."""
    scores = np.where(seen.toarray() > 0, -np.inf, scores)
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    liked = test.toarray() > 0
    users = liked.any(axis=1)
    return float((np.take_along_axis(liked, top, axis=1).sum(axis=1)[users] / liked.sum(axis=1)[users]).mean())


def best_recall(simulation: Simulation, fold: Fold, k: int) -> float:
    """Recall@k of ranking by the truth, which no model beats in the mean."""
    rows = simulation.dataset.items.ids.rows(fold.candidates.ids)
    return recall(simulation.affinity[:, rows], fold.seen, fold.test_likes, k)


def cold_best(simulation: Simulation, k: int = 10) -> float:
    cut = split(simulation.dataset, "cold")
    return float(np.mean([best_recall(simulation, cut.fold(simulation.dataset, n), k) for n in range(5)]))


def profile_recall(simulation: Simulation, ngrams: tuple[int, int], k: int) -> float:
    """Recall@k on new items of scoring them by the words of the liked ones: a linear model of each user's likes."""
    fold = split(simulation.dataset, "cold").fold(simulation.dataset, 0)
    reader = CountVectorizer(ngram_range=ngrams, token_pattern=r"\w+|,", binary=True)
    train = reader.fit_transform(fold.train.items.texts.to_list()).toarray()
    centred = train - train.mean(axis=0)
    ridge = centred.T @ centred + np.eye(train.shape[1])
    weights = np.linalg.solve(ridge, centred.T @ fold.train.likes.toarray().T)
    candidates = reader.transform(fold.candidates.texts.to_list()).toarray()
    return recall((candidates @ weights).T, fold.seen, fold.test_likes, k)


def test_the_sample_is_always_the_same_and_quickly_made() -> None:
    start = time.process_time()
    first = sample()
    assert time.process_time() - start < 2  # 0.2 s on a free machine
    assert first.name == "sample"
    assert first.equals(sample())
    assert not first.equals(simulate(seed=1).dataset)


def test_the_sample_is_fit_for_every_setting() -> None:
    data = sample()
    assert (data.n_users, data.n_items, len(data.items.tag_names)) == (300, 400, 16)
    assert data.users[0] == data.items.ids[0] == "0"
    assert data.likes_per_user().min() >= 5
    assert (data.likes_per_item() >= 5).mean() > 0.95
    assert data.filtered(min_likes=5, min_tag_items=10).equals(data)  # so every tag is on at least 10 items
    untagged = np.diff(data.items.tags.indptr) == 0
    assert 0.1 < untagged.mean() < 0.3
    assert np.array_equal(data.timestamps.indices, data.likes.indices)
    assert np.array_equal(data.timestamps.indptr, data.likes.indptr)
    assert data.timestamps.dtype == np.int64
    assert data.timestamps.data.min() >= 1_704_067_200
    fold = split(data, "time", cutoff="2025-06-01").fold(data, 0)
    assert fold.test_likes.nnz > 300


def test_texts_read_like_texts() -> None:
    items = sample().items
    for title in items.titles:
        assert re.fullmatch(r"[A-Z][^.{}]+[^\s.,{}]", title), title
    for text in items.texts:
        sentences = re.findall(r"[A-Z][^.{}]+\.", text)
        assert " ".join(sentences) == text
        assert 1 <= len(sentences) <= 3
    assert items.titles.n_unique() > 350


def test_an_ordered_text_says_the_same_words_about_the_other_topic() -> None:
    for template in (*_ORDER_TITLES, *_ORDER_SENTENCES):
        assert template.count("{a}") == template.count("{x}") == 1
        assert "{b}" not in template


def test_likes_are_drawn_with_the_true_probabilities() -> None:
    truth = simulate(n_users=50, n_items=60, n_topics=4)
    assert truth.affinity.dtype == np.float32
    assert truth.affinity.min() >= 0
    assert truth.affinity.max() <= 1
    np.testing.assert_allclose(truth.affinity.sum(axis=1), truth.dataset.likes_per_user(), rtol=1e-4)
    big = simulate(n_users=3000, n_items=60, n_topics=4, noise=0.3)
    likes = big.dataset.likes.toarray()
    for low in np.arange(0.0, 1.0, 0.1):
        group = (big.affinity >= low) & (big.affinity < low + 0.1)
        if group.sum() > 3000:
            spread = 0.5 / np.sqrt(group.sum())
            assert abs(likes[group].mean() - big.affinity[group].mean()) < 5 * spread


def test_only_the_topic_decides_who_likes_an_item() -> None:
    truth = simulate(n_users=20)
    for topic in range(12):
        columns = truth.affinity[:, truth.topics == topic]
        np.testing.assert_array_equal(columns, np.broadcast_to(columns[:, :1], columns.shape))


def test_the_best_score_falls_with_noise_down_to_chance() -> None:
    best = [cold_best(simulate(noise=noise)) for noise in (0.0, 0.3, 0.6, 1.0)]
    assert best == sorted(best, reverse=True)
    assert best[0] > 3 * best[3]
    assert best[3] == pytest.approx(10 / 80, abs=0.02)  # 10 of the 80 items of a fold


def test_words_without_their_order_lose_what_the_order_share_says() -> None:
    def readable(order: float) -> float:
        """How often the topic of a new text is guessed from its words alone."""
        truth = simulate(n_users=5, n_items=1200, n_topics=4, order=order, seed=2)
        words = CountVectorizer().fit_transform(
            f"{title} {text}" for title, text in zip(truth.dataset.items.titles, truth.dataset.items.texts, strict=True)
        )
        model = LogisticRegression(max_iter=300).fit(words[:800], truth.topics[:800])
        return float(model.score(words[800:], truth.topics[800:]))

    assert readable(0.0) > 0.98
    assert readable(0.5) == pytest.approx(0.75, abs=0.06)  # a coin decides between two topics in half of the texts
    assert readable(1.0) == pytest.approx(0.5, abs=0.08)


def test_order_only_is_balanced_word_by_word() -> None:
    truth = simulate_order_only()
    words = truth.dataset.items.documents.matrix().toarray()
    np.testing.assert_array_equal(words[truth.topics == 0].sum(axis=0), words[truth.topics == 1].sum(axis=0))
    animals = truth.dataset.items.texts.str.contains("about (cats|horses|birds|whales), not").to_numpy()
    np.testing.assert_array_equal(animals, truth.topics == 0)
    kinds = np.arange(truth.dataset.n_users) % 2
    users, items = truth.dataset.likes.nonzero()
    np.testing.assert_array_equal(kinds[users], truth.topics[items])


def test_order_only_is_chance_for_words_and_perfect_for_order() -> None:
    truth = simulate_order_only(n_users=100, n_items=400)
    fold = split(truth.dataset, "cold").fold(truth.dataset, 0)
    k = int(np.bincount(truth.topics[truth.dataset.items.ids.rows(fold.candidates.ids)]).max())
    assert len(fold.candidates) == 80
    assert best_recall(truth, fold, k) == 1.0
    assert profile_recall(truth, (1, 1), k) < 0.6
    assert profile_recall(truth, (1, 2), k) > 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_users": 0}, "n_users must be at least 1, got 0"),
        ({"n_items": 19, "likes_per_user": 5}, "n_items must be at least 20, got 19"),
        ({"n_items": 40, "likes_per_user": 20}, "n_items must be at least 41, got 40"),
        ({"n_topics": 1}, "n_topics must be from 2 to 12, got 1"),
        ({"n_topics": 13}, "n_topics must be from 2 to 12, got 13"),
        ({"likes_per_user": 4}, "likes_per_user must be at least 5, got 4"),
        ({"noise": 1.5}, "noise must be from 0 to 1, got 1.5"),
        ({"order": -0.1}, "order must be from 0 to 1, got -0.1"),
        ({"noise": float("nan")}, "noise must be from 0 to 1, got nan"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        simulate(**arguments)  # type: ignore[arg-type]


def test_order_only_arguments_are_named() -> None:
    with pytest.raises(ArgumentError, match="n_users must be at least 2, got 1"):
        simulate_order_only(n_users=1)
    with pytest.raises(ArgumentError, match="n_items must be at least 32, got 31"):
        simulate_order_only(n_items=31)
    with pytest.raises(ArgumentError, match="n_items must be even so that both kinds have the same words, got 33"):
        simulate_order_only(n_items=33)


def test_small_simulations_work() -> None:
    truth = simulate(n_users=1, n_items=20, n_topics=2, likes_per_user=5, noise=0, order=1)
    assert truth.dataset.likes_per_user().min() >= 5
    assert simulate_order_only(2, 32).dataset.likes_per_user().tolist() == [6, 6]
