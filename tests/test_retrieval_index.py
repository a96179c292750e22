"""Retrieval: exact lists in the order of ranking, approximate ones where they earn their place."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from textrec.dataset import Csr, binary_csr
from textrec.errors import ArgumentError
from textrec.protocol.ranking import top_k
from textrec.retrieval.graph import Graph
from textrec.retrieval.index import ItemIndex
from textrec.retrieval.top_products import best


def vectors(n: int, k: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 4)) @ rng.normal(size=(4, k)) + 0.1 * rng.normal(size=(n, k))).astype(np.float32)


def recall(index: ItemIndex, exact: ItemIndex, queries: np.ndarray, seen: Csr = None) -> float:
    """Share of the exact 50 that are found."""
    pairs = zip(index.search(queries, 50, seen=seen)[0], exact.search(queries, 50, seen=seen)[0], strict=True)
    return float(np.mean([len(np.intersect1d(found, truth)) / 50 for found, truth in pairs]))


@pytest.mark.parametrize("k", [1, 3, 50, 400])
def test_best_is_the_order_of_ranking_ties_and_all(k: int) -> None:
    scores = np.random.default_rng(0).integers(0, 9, 200).astype(np.float32)
    scores[:20] = -np.inf
    expected = top_k(scores[None], k)[0][0]
    assert best(scores, k).tolist() == [row for row in expected.tolist() if row >= 0]
    assert len(best(np.full(5, -np.inf, np.float32), k)) == 0


def test_cells_find_what_exact_search_finds() -> None:
    items, queries = vectors(4000), vectors(100, seed=0)
    index, exact = ItemIndex(items, queries, 50, approximate=True), ItemIndex(items, queries, 50)
    assert index.approximate
    assert not exact.approximate
    fresh = vectors(60, seed=0) + np.float32(0.05)
    assert recall(index, exact, fresh) >= 0.98
    banned = binary_csr(np.zeros(30, np.int64), exact.search(fresh[:1], 30)[0][0], (1, 4000))
    rows, scores = (found[0] for found in index.search(fresh[:1], 10, seen=banned))
    assert not set(rows) & set(banned.indices)
    np.testing.assert_allclose(scores, items[rows] @ fresh[0], rtol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_vectors_of_very_different_lengths_and_of_a_trained_kind() -> None:
    items, queries = trained(3000, 0), trained(150, 1)
    index, exact = ItemIndex(items, queries[:50], 50, approximate=True), ItemIndex(items, queries, 50)
    assert index.recall >= 0.99
    assert recall(index, exact, queries[50:]) >= 0.98


def trained(n: int, seed: int) -> np.ndarray:
    """Of very different lengths, everywhere in a cone: cells would have to look nearly everywhere."""
    rng = np.random.default_rng(seed)
    return (rng.gamma(2.0, size=(n, 1)) * np.abs(rng.normal(size=(n, 32)))).astype(np.float32)


def test_a_graph_where_cells_are_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textrec.retrieval.index.APPROXIMATE_ABOVE", 1000)
    monkeypatch.setattr("textrec.retrieval.cells.WORTH", 0)
    items, queries = trained(3000, 0), trained(100, 1)
    index, exact = ItemIndex(items, queries[:50], 50), ItemIndex(items, queries, 50, approximate=False)
    assert isinstance(index._index, Graph)
    assert index.recall >= 0.99
    assert recall(index, exact, queries[50:]) >= 0.98
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    assert not ItemIndex(items, queries, 50).approximate


def test_it_stays_exact_where_neither_is_worthwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textrec.retrieval.index.APPROXIMATE_ABOVE", 1000)
    monkeypatch.setattr("textrec.retrieval.graph.RECALL", 1.01)
    noise = np.random.default_rng(0).normal(size=(1500, 100)).astype(np.float32)
    index = ItemIndex(noise, noise[:50], 50)
    assert not index.approximate
    assert index.recall == 1.0
    assert ItemIndex(noise, noise[:50], 50, approximate=True).approximate


def test_above_a_size_cells_are_chosen_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ItemIndex(vectors(3000), vectors(50), 10).approximate
    monkeypatch.setattr("textrec.retrieval.index.APPROXIMATE_ABOVE", 1000)
    assert ItemIndex(vectors(3000), vectors(50), 10).approximate
    assert not ItemIndex(vectors(3000), vectors(50), 10, approximate=False).approximate
    assert not ItemIndex(vectors(3000), vectors(50)[:0], 10).approximate  # nobody to measure it with


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match="vectors must be a matrix of finite numbers, got shape"):
        ItemIndex(np.full((2, 2), np.nan, np.float32), vectors(2), 1)
    with pytest.raises(ArgumentError, match="k must be at least 1, got 0"):
        ItemIndex(vectors(10), vectors(1), 1).search(vectors(1), 0)


def test_it_is_calibrated_on_lists_without_what_was_seen() -> None:
    items, queries = vectors(3000), vectors(100, seed=1)
    exact = ItemIndex(items, queries, 50)
    near = exact.search(queries, 200)[0]
    seen = binary_csr(np.repeat(np.arange(100), 200), near.ravel(), (100, 3000))
    index = ItemIndex(items, queries, 50, seen=seen, approximate=True)
    assert index.recall >= 0.99
    assert recall(index, exact, queries, seen) >= index.recall - 1e-6
    assert recall(ItemIndex(items, queries, 50, approximate=True), exact, queries, seen) < index.recall
