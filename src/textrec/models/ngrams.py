"""Word n-grams as columns of a sparse matrix, made from rows of word ids without a loop.

A single word w has the key w, the pair (v, w) the key (v + 1)·V + w. Shapes: `n` rows, `V` words, `F` n-grams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.dataset import Csr
from textrec.text import Documents

__all__ = ["NgramIndex", "Places", "entries", "ngram_counts", "ngram_places"]

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NgramIndex:
    """The n-grams that are columns, by rising key."""

    keys: Keys  # [F]
    n_words: int  # V

    @classmethod
    def build(cls, documents: Documents, *, longest: int, min_items: int) -> tuple[NgramIndex, Csr]:
        """N-grams of at most `longest` words (1 or 2) in at least `min_items` rows, and their counts [n, F].

        Row 0 of the vocabulary, `<UNK>`, is in no n-gram.
        """
        rows, keys, counts, _ = _row_keys(documents, longest)
        found, column = np.unique(keys, return_inverse=True)
        matrix = sp.csr_array((counts, (rows, column)), shape=(len(documents), len(found)))
        matrix.sum_duplicates()
        kept = np.flatnonzero(np.bincount(matrix.indices, minlength=len(found)) >= min_items)
        return cls(found[kept], len(documents.words)), sp.csr_array(matrix[:, kept])

    @property
    def longest(self) -> int:
        """Words in the longest n-gram."""
        return 2 if len(self.keys) and self.keys[-1] >= self.n_words else 1


@dataclass(frozen=True, eq=False)
class Places:
    """Where the words of indexed n-grams stand, one entry a word of an occurrence."""

    token: npt.NDArray[np.int64]  # place among all tokens of the documents
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    part: npt.NDArray[np.float64]  # of the n-gram's weight in its row; the parts of an n-gram and row add up to 1


def ngram_places(documents: Documents, index: NgramIndex) -> Places:
    """Every word of every occurrence of the indexed n-grams."""
    rows, keys, counts, tokens = _row_keys(documents, index.longest if documents.ordered else 1)
    column, known = _columns(keys, index)
    rows, column, tokens, pair = rows[known], column[known], tokens[known], keys[known] >= index.n_words
    part = counts[known] / entries(ngram_counts(documents, index), rows, column) / np.where(pair, 2, 1)
    return Places(
        np.concatenate([tokens, tokens[pair] + 1]),
        np.concatenate([rows, rows[pair]]),
        np.concatenate([column, column[pair]]),
        np.concatenate([part, part[pair]]).astype(np.float64),
    )


def entries(matrix: Csr, rows: Keys, columns: Keys) -> npt.NDArray[np.float32]:
    """Entries of a sparse matrix."""
    return np.asarray(matrix[rows, columns], np.float32).ravel()


def _columns(keys: Keys, index: NgramIndex) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """The column of each key, and whether it has one."""
    column = np.minimum(np.searchsorted(index.keys, keys), max(len(index.keys) - 1, 0))
    return column, index.keys[column] == keys if len(index.keys) else np.zeros(len(keys), bool)


def ngram_counts(documents: Documents, index: NgramIndex) -> Csr:
    """Counts of the indexed n-grams in rows over the same vocabulary, float32 CSR [n, F]."""
    rows, keys, counts, _ = _row_keys(documents, index.longest if documents.ordered else 1)
    column, known = _columns(keys, index)
    shape = (len(documents), len(index.keys))
    matrix = sp.csr_array((counts[known], (rows[known], column[known])), shape=shape)
    matrix.sum_duplicates()
    return matrix


def _row_keys(documents: Documents, longest: int) -> tuple[Keys, Keys, npt.NDArray[np.float32], Keys]:
    """Row, key, count and first token of every n-gram occurrence."""
    words = documents.ids.astype(np.int64)
    rows = np.repeat(np.arange(len(documents)), np.diff(documents.starts))
    counts = np.ones(len(words), np.float32) if documents.counts is None else documents.counts
    single = words > 0
    tokens = np.arange(len(words))
    parts = [(rows[single], words[single], counts[single], tokens[single])]
    if longest == 2 and len(words) > 1:
        pair = (rows[1:] == rows[:-1]) & single[1:] & single[:-1]
        keys = (words[:-1] + 1) * len(documents.words) + words[1:]
        parts.append((rows[1:][pair], keys[pair], np.ones(int(pair.sum()), np.float32), tokens[:-1][pair]))
    row, key, count, token = (np.concatenate(column) for column in zip(*parts, strict=True))
    return row, key, count, token
