"""Documents that carry numbers computed beforehand beside their words, so that training need not compute them again.

Shapes: `n` texts, `N` tokens of the texts together, `D` size of the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from textrec.errors import ArgumentError
from textrec.text import Documents

__all__ = ["FeaturedDocuments", "featured"]


@dataclass(frozen=True, eq=False)
class FeaturedDocuments(Documents):
    """Texts with one row of numbers each, or one a token; they keep their places when rows are taken."""

    features: Tensor | None = None  # [n, D], or [N, D] with `by_token`
    by_token: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = len(self.ids) if self.by_token else len(self)
        if self.features is None or len(self.features) != wanted:
            given = "none" if self.features is None else f"{len(self.features)}"
            raise ArgumentError(f"features must have {wanted} rows, got {given}")

    def take(self, rows: npt.NDArray[np.int64]) -> FeaturedDocuments:
        """The given rows, in the given order, with their numbers."""
        assert self.features is not None
        kept = super().take(rows)
        at = rows
        if self.by_token:
            sizes = np.diff(kept.starts)
            at = np.arange(kept.starts[-1]) + np.repeat(self.starts[:-1][rows] - kept.starts[:-1], sizes)
        numbers = self.features.index_select(0, torch.from_numpy(np.ascontiguousarray(at, np.int64)))
        return FeaturedDocuments(kept.words, kept.ids, kept.starts, kept.counts, numbers, self.by_token)


def featured(documents: Documents, features: Tensor, *, by_token: bool = False) -> FeaturedDocuments:
    """The same texts with these numbers."""
    return FeaturedDocuments(
        documents.words, documents.ids, documents.starts, documents.counts, features, by_token=by_token
    )
