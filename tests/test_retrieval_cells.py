"""Candidates in cells: nearly the exact lists, nothing that was seen, and full lists whatever happens."""

from __future__ import annotations

import numpy as np
import pytest

from textrec.dataset import Csr, binary_csr
from textrec.errors import ArgumentError
from textrec.retrieval import cells as module
from textrec.retrieval.cells import Cells
from textrec.retrieval.top_products import top_products


def vectors(n: int, seed: int) -> np.ndarray:
    """Around forty directions, of very different lengths."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(40, 16))
    around = centres[rng.integers(40, size=n)] + 0.3 * rng.normal(size=(n, 16))
    return (around * rng.gamma(3.0, size=(n, 1))).astype(np.float32)


def random_seen(n: int, c: int, share: float, seed: int = 5) -> Csr:
    return binary_csr(*np.nonzero(np.random.default_rng(seed).random((n, c)) < share), (n, c))


@pytest.mark.parametrize("share", [None, 0.05])
def test_nearly_the_exact_lists(share: float | None) -> None:
    candidates, sample, queries = vectors(4000, 0), vectors(200, 1), vectors(300, 2)
    known, seen = (None if share is None else random_seen(n, 4000, share) for n in (200, 300))
    cells = Cells(candidates, sample, 20, seen=known)
    assert cells.worthwhile
    assert cells.recall >= 0.99
    rows, scores = cells.search(queries, 20, seen=seen)
    exact, _ = top_products(queries, candidates, 20, seen=seen)
    found = np.mean([len(np.intersect1d(mine, theirs)) / 20 for mine, theirs in zip(rows, exact, strict=True)])
    assert found >= 0.97
    np.testing.assert_allclose(scores, np.einsum("qk,qnk->qn", queries, candidates[rows]), rtol=1e-4)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 20 for row in rows.tolist())
    if seen is not None:
        assert seen[np.repeat(np.arange(300), 20), rows.ravel()].sum() == 0


def test_looking_into_all_cells_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECALL", 1.0)
    candidates, queries = vectors(300, 0), vectors(50, 1)
    seen = random_seen(50, 300, 0.3)
    cells = Cells(candidates, queries, 300, seen=seen)
    assert cells.probes == len(cells.centres)
    assert not cells.worthwhile
    rows, scores = cells.search(queries, 30, seen=seen)
    exact = top_products(queries, candidates, 30, seen=seen)
    np.testing.assert_array_equal(rows, exact[0])
    np.testing.assert_allclose(scores, exact[1], rtol=1e-4)


def test_lists_that_cells_cannot_fill_are_exact() -> None:
    candidates, queries = vectors(400, 0), vectors(20, 1)
    cells = Cells(candidates, queries, 1)
    rows, _ = cells.search(queries, 350)
    np.testing.assert_array_equal(rows, top_products(queries, candidates, 350)[0])
    everything = random_seen(20, 400, 2.0)
    rows, scores = cells.search(queries, 5, seen=everything)
    assert (rows == -1).all()
    assert np.isneginf(scores).all()


def test_the_seed_decides_and_few_candidates_do() -> None:
    candidates, queries = vectors(500, 0), vectors(30, 1)
    first, second = (Cells(candidates, queries, 5, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.centres, second.centres)
    few = Cells(candidates[:3], queries, 5)
    assert few.search(queries, 5)[0].shape == (30, 3)
    same = Cells(np.ones((100, 4), np.float32), np.ones((2, 4), np.float32), 5)  # cells run empty
    assert (same.search(np.ones((2, 4), np.float32), 5)[0] >= 0).all()
    with pytest.raises(ArgumentError, match="cells need at least one candidate and one query"):
        Cells(candidates[:0], queries, 5)
