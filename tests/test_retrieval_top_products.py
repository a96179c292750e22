"""Exact top lists of dot products: the lists of `top_k`, whatever the tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textrec.dataset import binary_csr
from textrec.errors import ArgumentError
from textrec.protocol.ranking import top_k
from textrec.retrieval import top_products as module
from textrec.retrieval.top_products import top_products


@given(
    seed=st.integers(0, 1000),
    n=st.integers(0, 9),
    c=st.integers(1, 40),
    k=st.integers(1, 12),
    tiles=st.tuples(st.integers(1, 5), st.integers(1, 13)),
    dense=st.booleans(),
)
def test_lists_equal_those_of_top_k_with_ties_and_seen(
    seed: int, n: int, c: int, k: int, tiles: tuple[int, int], dense: bool
) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.integers(-2, 3, (n, 3)).astype(np.float32)  # whole numbers: many ties
    candidates = rng.integers(-2, 3, (c, 3)).astype(np.float32)
    seen = binary_csr(*np.nonzero(rng.random((n, c)) < (0.9 if dense else 0.2)), (n, c))
    scores = queries @ candidates.T
    scores[seen.toarray() > 0] = -np.inf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TILE_QUERIES", tiles[0])
        patch.setattr(module, "TILE_CANDIDATES", tiles[1])
        rows, values = top_products(queries, candidates, k, seen=seen)
    expected = top_k(scores, k) if n else (rows[:0], values[:0])
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(values, expected[1])


def test_without_seen_and_k_below_one() -> None:
    rng = np.random.default_rng(0)
    queries, candidates = (rng.normal(size=(n, 8)).astype(np.float32) for n in (20, 500))
    rows, values = top_products(queries, candidates, 7)
    expected = top_k(queries @ candidates.T, 7)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_allclose(values, expected[1], rtol=1e-5)
    with pytest.raises(ArgumentError, match="k must be at least 1, got 0"):
        top_products(queries, candidates, 0)
