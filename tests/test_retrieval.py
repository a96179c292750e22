"""Retrieval: exact lists in the order of ranking, an approximate index that earns its place."""

from __future__ import annotations

import numpy as np
import pytest

from textrec.errors import ArgumentError
from textrec.protocol.ranking import top_k
from textrec.retrieval import ItemIndex, best


def vectors(n: int, k: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 4)) @ rng.normal(size=(4, k)) + 0.1 * rng.normal(size=(n, k))).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3, 50, 400])
def test_best_is_the_order_of_ranking_ties_and_all(k: int) -> None:
    scores = np.random.default_rng(0).integers(0, 9, 200).astype(np.float32)
    scores[:20] = -np.inf
    expected = top_k(scores[None], k)[0][0]
    assert best(scores, k).tolist() == [row for row in expected.tolist() if row >= 0]
    assert len(best(np.full(5, -np.inf, np.float32), k)) == 0


def test_the_graph_finds_what_exact_search_finds() -> None:
    items, queries = vectors(4000), vectors(100, seed=0)
    index, exact = ItemIndex(items, approximate=True, queries=queries), ItemIndex(items)
    assert index.approximate
    assert not exact.approximate
    fresh = vectors(60, seed=0) + 0.05
    found = [np.intersect1d(index.search(one, 50)[0], exact.search(one, 50)[0]) for one in fresh]
    assert np.mean([len(one) / 50 for one in found]) >= 0.98
    banned = exact.search(fresh[0], 30)[0]
    rows, scores = index.search(fresh[0], 10, banned=banned)
    assert not set(rows) & set(banned)
    np.testing.assert_allclose(scores, items[rows] @ fresh[0], rtol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_vectors_of_very_different_lengths_and_of_a_trained_kind() -> None:
    rng = np.random.default_rng(0)
    items = (rng.gamma(2.0, size=(3000, 1)) * np.abs(rng.normal(size=(3000, 32)))).astype(np.float32)
    queries = np.abs(rng.normal(size=(150, 32))).astype(np.float32)
    index, exact = ItemIndex(items, approximate=True, queries=queries[:50]), ItemIndex(items)
    assert index.approximate
    assert index.recall >= 0.99
    found = [np.intersect1d(index.search(one, 50)[0], exact.search(one, 50)[0]) for one in queries[50:]]
    assert np.mean([len(one) / 50 for one in found]) >= 0.98


def test_it_stays_exact_where_a_graph_does_not_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textrec.retrieval.EFFORTS", (1,))
    monkeypatch.setattr("textrec.retrieval.RECALL", 1.01)
    noise = np.random.default_rng(0).normal(size=(1500, 100)).astype(np.float32)
    index = ItemIndex(noise, approximate=True)
    assert not index.approximate
    assert index.recall == 1.0


def test_above_a_size_the_graph_is_chosen_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ItemIndex(vectors(3000)).approximate
    monkeypatch.setattr("textrec.retrieval.APPROXIMATE_ABOVE", 1000)
    assert ItemIndex(vectors(3000)).approximate


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match="vectors must be a matrix of finite numbers, got shape"):
        ItemIndex(np.full((2, 2), np.nan, np.float32))
    with pytest.raises(ArgumentError, match="k must be at least 1, got 0"):
        ItemIndex(vectors(10)).search(vectors(1)[0], 0)


def test_a_graph_built_by_several_threads_never_falls_into_parts() -> None:
    rng = np.random.default_rng(0)
    items = (rng.gamma(2.0, size=(3000, 1)) * np.abs(rng.normal(size=(3000, 32)))).astype(np.float32)
    queries = np.abs(rng.normal(size=(50, 32))).astype(np.float32)
    assert all(ItemIndex(items, approximate=True, queries=queries).approximate for _ in range(6))
