from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import psi
from sklearn.decomposition import LatentDirichletAllocation

from textrec.data.sample import sample
from textrec.errors import ArgumentError
from textrec.models import topics as topics_module
from textrec.models.topic_reader import topic_words, word_counts
from textrec.models.topics import TopicModel, padded_batches, random_start, sklearn_start
from textrec.text import Documents

TOPICS = 8


def corpus() -> tuple[Any, Any]:
    """Word counts of the sample's texts: training rows and held-out rows."""
    documents = sample().items.documents
    counts = word_counts(topic_words(documents, most=500, min_items=2), documents).astype(np.float64)
    held_out = np.arange(counts.shape[0]) % 5 == 0
    return sp.csr_array(counts[~held_out]), sp.csr_array(counts[held_out])


def oracle(start: Any, passes: int, counts: Any, priors: tuple[float, float]) -> LatentDirichletAllocation:
    """scikit-learn's model after `passes` from the topics `start`."""
    model = LatentDirichletAllocation(
        len(start), doc_topic_prior=priors[0], topic_word_prior=priors[1], max_iter=1, random_state=0
    )
    model.fit(counts)
    model.components_ = start.astype(np.float64)
    model.exp_dirichlet_component_ = np.exp(psi(start) - psi(start.sum(1, keepdims=True))).astype(np.float64)
    for _ in range(passes):
        model._em_step(counts, total_samples=len(counts.indptr) - 1, batch_update=True)
    return model


@pytest.mark.parametrize("priors", [(0.125, 0.125), (0.3, 0.1), (0.02, 0.02)])
def test_same_start_and_passes_give_the_held_out_perplexity_of_scikit_learn(priors: tuple[float, float]) -> None:
    train, held_out = corpus()
    start = random_start(TOPICS, train.shape[1], np.random.default_rng(0))
    theirs = oracle(start, 10, train, priors)
    mine = TopicModel(start, *priors)
    mine.fit(train, passes=10)
    assert mine.perplexity(held_out) <= 1.03 * theirs.perplexity(held_out)


@pytest.mark.parametrize("priors", [(0.125, 0.125), (0.02, 0.02)])
def test_perplexity_and_proportions_are_those_of_scikit_learn(priors: tuple[float, float]) -> None:
    train, held_out = corpus()
    theirs = oracle(random_start(TOPICS, train.shape[1], np.random.default_rng(0)), 5, train, priors)
    mine = TopicModel(theirs.components_.astype(np.float32), *priors)
    assert mine.perplexity(held_out) == pytest.approx(theirs.perplexity(held_out), rel=0.01)
    np.testing.assert_allclose(mine.proportions(held_out), theirs.transform(held_out), atol=0.02)


def test_started_from_scikit_learns_solution_it_gets_no_worse() -> None:
    train, _ = corpus()
    start = sklearn_start(train, TOPICS, passes=5, seed=0)
    mine = TopicModel(start)
    before = mine.perplexity(train)
    seen: list[float] = []
    mine.fit(train, passes=5, on_pass=lambda _, perplexity: seen.append(perplexity))
    assert mine.perplexity(train) <= before * (1 + 1e-4)
    assert [*seen[1:], mine.perplexity(train)] <= [value * (1 + 1e-4) for value in seen]


def test_the_bound_rises_with_every_pass() -> None:
    train, _ = corpus()
    seen: list[float] = []
    mine = TopicModel(random_start(TOPICS, train.shape[1], np.random.default_rng(1)), 0.3, 0.1)
    mine.fit(train, passes=12, on_pass=lambda _, perplexity: seen.append(perplexity))
    assert len(seen) == 12
    assert all(after <= before * (1 + 1e-4) for before, after in pairwise(seen))


def test_two_clear_topics_are_found() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.eye(2), 10, axis=1) / 10
    counts = sp.csr_array(np.stack([rng.multinomial(40, truth[row % 2]) for row in range(60)]).astype(np.float32))
    model = TopicModel(random_start(2, 20, rng), 0.1, 0.1)
    model.fit(counts, passes=20)
    best = model.topics()[np.argsort(model.topics()[:, 0])[::-1]]
    np.testing.assert_allclose(best, truth, atol=0.03)
    theta = model.proportions(counts)
    assert (theta.max(1) > 0.95).all()
    np.testing.assert_allclose(theta.sum(1), 1, atol=1e-5)


def test_one_by_one_equals_the_batch_whatever_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    train, held_out = corpus()
    model = TopicModel(random_start(TOPICS, train.shape[1], np.random.default_rng(0)))
    model.fit(train, passes=3)
    together = model.proportions(held_out)
    alone = np.concatenate([model.proportions(sp.csr_array(held_out[[row]])) for row in range(held_out.shape[0])])
    np.testing.assert_allclose(alone, together, atol=1e-4)
    monkeypatch.setattr(topics_module, "BATCH_FLOATS", 100)
    np.testing.assert_allclose(model.proportions(held_out), together, atol=1e-4)


def test_a_text_without_words_has_the_priors_mean() -> None:
    model = TopicModel(random_start(4, 3, np.random.default_rng(0)))
    counts = sp.csr_array(np.array([[0, 0, 0], [1, 0, 2]], np.float32))
    np.testing.assert_array_equal(model.proportions(counts)[0], np.full(4, 0.25, np.float32))
    assert model.proportions(sp.csr_array((0, 3), dtype=np.float32)).shape == (0, 4)


def test_batches_hold_every_row_with_words_once() -> None:
    counts = sp.csr_array(np.tril(np.ones((7, 7), np.float32), -1))
    rows = np.concatenate([rows for rows, _, _ in padded_batches(counts, 4)])
    assert sorted(rows) == [1, 2, 3, 4, 5, 6]
    for rows, places, inside in padded_batches(counts, 4):
        assert (inside.sum(1) == np.diff(counts.indptr)[rows]).all()
        assert places.max() < counts.nnz


def test_fit_stops_when_perplexity_stands_still() -> None:
    train, _ = corpus()
    seen: list[int] = []
    mine = TopicModel(random_start(2, train.shape[1], np.random.default_rng(0)))
    mine.fit(train, passes=50, tolerance=0.05, on_pass=lambda number, _: seen.append(number))
    assert 1 < len(seen) < 10


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match=r"weights must be \[topics, words\], all above 0; random_start makes such"):
        TopicModel(np.zeros((2, 3), np.float32))
    with pytest.raises(ArgumentError, match="doc_prior must be above 0, got 0"):
        TopicModel(np.ones((2, 3), np.float32), 0)
    with pytest.raises(ArgumentError, match="counts must have 3 columns, one a word, got 4"):
        TopicModel(np.ones((2, 3), np.float32)).infer(sp.csr_array((1, 4), dtype=np.float32))


def test_topic_words_leave_out_what_tells_nothing() -> None:
    texts = ["the protein folding of 12 proteins", "a protein , folding twice folding", "of the x", "markets"]
    words = topic_words(Documents.from_texts(texts), most=10, min_items=1)
    assert set(words) == {"<UNK>", "protein", "folding", "proteins", "twice", "markets"}
    assert list(topic_words(Documents.from_texts(texts), most=10, min_items=2)) == ["<UNK>", "folding", "protein"]
    assert list(topic_words(Documents.from_texts(texts), most=1, min_items=1)) == ["<UNK>", "folding"]
    counts = word_counts(words, Documents.from_texts(["folding unseen folding"]))
    assert counts.sum() == 2
    assert counts[0, words.index["folding"] - 1] == 2
