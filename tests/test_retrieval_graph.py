"""The graph: nearly the exact lists, nothing that was seen, and full lists whatever happens."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from textrec.dataset import binary_csr
from textrec.errors import MissingExtraError
from textrec.retrieval import graph as module
from textrec.retrieval.graph import Graph
from textrec.retrieval.top_products import top_products


def vectors(n: int, k: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 4)) @ rng.normal(size=(4, k)) + 0.1 * rng.normal(size=(n, k))).astype(np.float32)


def recall(graph: Graph, candidates: np.ndarray, queries: np.ndarray) -> float:
    pairs = zip(graph.search(queries, 50)[0], top_products(queries, candidates, 50)[0], strict=True)
    return float(np.mean([len(np.intersect1d(mine, theirs)) / 50 for mine, theirs in pairs]))


def test_nearly_the_exact_lists() -> None:
    candidates, queries = vectors(4000), vectors(160)
    graph = Graph(candidates, queries[:100], 50)
    assert graph.worthwhile
    assert graph.recall >= 0.99
    assert recall(graph, candidates, queries[100:] + np.float32(0.05)) >= 0.98
    seen = binary_csr(np.zeros(30, np.int64), top_products(queries[:1], candidates, 30)[0][0], (1, 4000))
    rows, scores = graph.search(queries[:1], 10, seen=seen)
    assert rows.shape == scores.shape == (1, 10)
    assert not set(rows[0]) & set(seen.indices)
    np.testing.assert_allclose(scores[0], candidates[rows[0]] @ queries[0], rtol=1e-5)
    assert (np.diff(scores) <= 0).all()
    assert graph.search(queries[:0], 10)[0].shape == (0, 10)


def test_lists_that_take_half_of_all_are_exact() -> None:
    candidates, queries = vectors(300), vectors(5)
    graph = Graph(candidates, queries, 10)
    seen = binary_csr(np.repeat(np.arange(5), 290), np.tile(np.arange(290), 5), (5, 300))
    rows, scores = graph.search(queries, 20, seen=seen)
    exact = top_products(queries, candidates, 20, seen=seen)
    np.testing.assert_array_equal(rows, exact[0])
    np.testing.assert_allclose(scores, exact[1], rtol=1e-4)


def test_built_by_several_threads_it_never_falls_into_parts() -> None:
    rng = np.random.default_rng(0)
    candidates = (rng.gamma(2.0, size=(3000, 1)) * np.abs(rng.normal(size=(3000, 32)))).astype(np.float32)
    queries = np.abs(rng.normal(size=(50, 32))).astype(np.float32)
    assert all(Graph(candidates, queries, 50).worthwhile for _ in range(4))


def test_recall_that_is_not_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECALL", 1.01)
    noise = np.random.default_rng(0).normal(size=(1500, 100)).astype(np.float32)
    assert not Graph(noise, noise[:50], 50).worthwhile


def test_it_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(MissingExtraError, match="usearch"):
        Graph(vectors(10), vectors(2), 1)
