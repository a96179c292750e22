"""The best items by dot product: exactly for small catalogues, by an index that is nearly exact for large ones.

Two indexes, since neither suits all vectors (docs/log.md): items in cells (`cells`), which are made in seconds and
answer thousands of users at once, and a graph of items (`graph`), which answers one user at a time. Nobody needs to
trust them: how far they look is measured when they are made, on users like those to come, what these have seen left
out. Cells are tried first; where neither is worthwhile, search is exact.

Shapes: `I` items, `K` factors, `Q` queries.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from textrec.dataset import Csr, Rows
from textrec.errors import ArgumentError, MissingExtraError
from textrec.retrieval.cells import Cells
from textrec.retrieval.graph import Graph
from textrec.retrieval.top_products import top_products

__all__ = ["APPROXIMATE_ABOVE", "SAMPLE", "ItemIndex"]

FloatArray = npt.NDArray[np.float32]

APPROXIMATE_ABOVE = 200_000
"""Up to here exact lists take a millisecond a user or less, thousands at once (K = 64, one core; docs/scale.md)."""

SAMPLE = 1_000
"""Users whose exact lists say how far to look."""


class ItemIndex:
    """Search by dot product over fixed item vectors.

    Args:
        vectors: float32 [I, K].
        queries: vectors like those to be searched with [Q, K]; `SAMPLE` of them are enough.
        k: how long the lists will be.
        seen: CSR [Q, I], what each of the queries may not find, or None. Where users lie near what they liked, what is
            left is further away and harder to find.
        approximate: True: by an index; False: exactly; None: by an index above `APPROXIMATE_ABOVE` items, if one is
            worthwhile.
        seed: of the cells.

    Attributes:
        recall: at k, of the queries; 1 for exact search.

    Raises:
        ArgumentError: `vectors` is not a matrix of finite numbers.
    """

    def __init__(
        self,
        vectors: FloatArray,
        queries: FloatArray,
        k: int,
        *,
        seen: Csr = None,
        approximate: bool | None = None,
        seed: int = 0,
    ) -> None:
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ArgumentError(f"vectors must be a matrix of finite numbers, got shape {vectors.shape}")
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        self._index: Cells | Graph | None = None
        wanted = len(vectors) > APPROXIMATE_ABOVE if approximate is None else approximate
        if wanted and len(vectors) and len(queries):
            self._index = _best_index(self.vectors, queries, k, seen, seed, forced=approximate is True)
        self.recall = 1.0 if self._index is None else self._index.recall

    @property
    def approximate(self) -> bool:
        """Whether an index is used."""
        return self._index is not None

    def search(self, queries: FloatArray, k: int, *, seen: Csr = None) -> tuple[Rows, FloatArray]:
        """The best items of each query.

        Args:
            queries: float32 [Q, K].
            k: how many, ≥ 1.
            seen: CSR [Q, I] of what may not be returned, or None.

        Returns:
            Rows int64 and scores float32, both [Q, min(k, I)], best first; −1 and −inf where there are no more.
        """
        if self._index is None:
            return top_products(queries, self.vectors, k, seen=seen)
        return self._index.search(queries, k, seen=seen)


def _best_index(
    vectors: FloatArray, queries: FloatArray, k: int, seen: Csr, seed: int, *, forced: bool
) -> Cells | Graph | None:
    """The first index that is worthwhile; if none is, cells where one is forced."""
    cells = Cells(vectors, queries, k, seen=seen, seed=seed)
    if cells.worthwhile:
        return cells
    try:
        graph = Graph(vectors, queries, k, seen=seen)
    except MissingExtraError:
        return cells if forced else None
    if graph.worthwhile:
        return graph
    return cells if forced else None
