"""Text to rows of word ids: tokens with character spans, tokenised documents, the vocabulary of a model.

The preprocessing is the paper's mild one (§4.1.2): lower case, numbers become `<NUM>`, rare words become `<UNK>`,
nothing else is thrown away; punctuation marks are tokens. Numbers are recognised before rare words are counted.

Shapes: `N` tokens in all rows together, `n` rows, `V` words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.errors import ArgumentError

__all__ = ["NUMBER", "UNKNOWN", "Documents", "Token", "Vocabulary", "count_words", "tokenize"]

UNKNOWN = "<UNK>"
NUMBER = "<NUM>"

# A number (12 · 3.5 · 1,000), a run of letters and digits (p53), or a single other visible character.
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*(?![^\W_])|[^\W_]+|[^\w\s]|_")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Token(NamedTuple):
    """A word as the models see it, and where it stands in the original text."""

    word: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """Split a text into words with the character span of each.

    >>> [token.word for token in tokenize("Small worlds: 6 degrees!")]
    ['small', 'worlds', ':', '<NUM>', 'degrees', '!']
    """
    return [Token(_normal(match.group()), match.start(), match.end()) for match in _TOKEN.finditer(text)]


def _normal(raw: str) -> str:
    return NUMBER if _NUMBER.fullmatch(raw) else raw.lower()


class _WordIds(dict[str, int]):
    """Raw token → word id; normalises each distinct raw token once."""

    def __init__(self) -> None:
        self.of_word: dict[str, int] = {}

    def __missing__(self, raw: str) -> int:
        self[raw] = index = self.of_word.setdefault(_normal(raw), len(self.of_word))
        return index


@dataclass(frozen=True, eq=False)
class Documents:
    """Tokenised texts as flat arrays, 4 bytes a token (memory-mapped arrays are used as they are).

    Row j holds `ids[starts[j]:starts[j + 1]]`, in the order of the text. A bag of words has `counts` beside the ids
    (each distinct word once) and no order.
    """

    words: Sequence[str]  # V distinct words; `ids` point into them
    ids: npt.NDArray[np.int32]  # [N]
    starts: npt.NDArray[np.int64]  # [n + 1]
    counts: npt.NDArray[np.float32] | None = None  # [N], how often each word stands in its row; None: in word order

    def __post_init__(self) -> None:
        if self.starts[0] != 0 or self.starts[-1] != len(self.ids):
            raise ArgumentError(f"starts must run from 0 to {len(self.ids)}, got {self.starts[0]} to {self.starts[-1]}")

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Documents:
        """Tokenise texts; the word list is made from them, in order of appearance."""
        word_ids = _WordIds()
        rows = [np.fromiter(map(word_ids.__getitem__, _TOKEN.findall(text)), np.int32) for text in texts]
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        return cls(list(word_ids.of_word), np.concatenate(rows) if rows else np.zeros(0, np.int32), starts)

    @classmethod
    def from_bags(cls, words: Sequence[str], matrix: Any) -> Documents:
        """Documents from a sparse count matrix [n, V]."""
        bags = sp.csr_array(matrix)
        ids, counts = bags.indices.astype(np.int32), bags.data.astype(np.float32)
        return cls(words, ids, bags.indptr.astype(np.int64), counts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def ordered(self) -> bool:
        """Whether the rows keep the order of the words (False for a bag of words)."""
        return self.counts is None

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens a row [n]; for a bag of words the sum of its counts."""
        if self.counts is None:
            return np.diff(self.starts)
        totals = np.concatenate([[0.0], np.cumsum(self.counts, dtype=np.float64)])
        return np.rint(np.diff(totals[self.starts])).astype(np.int64)

    def take(self, rows: npt.NDArray[np.int64]) -> Documents:
        """The given rows, in the given order."""
        sizes = self.starts[rows + 1] - self.starts[rows]  # of these rows alone: a batch costs no pass over all
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(sizes, out=starts[1:])
        flat = np.arange(starts[-1]) + np.repeat(self.starts[:-1][rows] - starts[:-1], sizes)
        return Documents(self.words, self.ids[flat], starts, None if self.counts is None else self.counts[flat])

    def cut(self, max_tokens: int) -> Documents:
        """The first `max_tokens` words of each row (distinct words for a bag)."""
        sizes = np.diff(self.starts)
        if not (sizes > max_tokens).any():
            return self
        keep = np.arange(len(self.ids)) - np.repeat(self.starts[:-1], sizes) < max_tokens
        starts = np.zeros(len(self) + 1, np.int64)
        np.cumsum(np.minimum(sizes, max_tokens), out=starts[1:])
        return Documents(self.words, self.ids[keep], starts, None if self.counts is None else self.counts[keep])

    def row_words(self, row: int) -> list[str]:
        """The words of one row, in order; a bag's words stand as often as they count."""
        span = slice(self.starts[row], self.starts[row + 1])
        words = [self.words[index] for index in self.ids[span]]
        if self.counts is None:
            return words
        return [word for word, count in zip(words, self.counts[span], strict=True) for _ in range(int(count))]

    def matrix(self) -> Any:
        """Word counts as float32 CSR [n, V]; repeated words of ordered rows are summed."""
        data = np.ones(len(self.ids), np.float32) if self.counts is None else self.counts
        counts = sp.csr_array((data, self.ids, self.starts), shape=(len(self), len(self.words)), copy=True)
        counts.sum_duplicates()
        return counts

    @staticmethod
    def concatenate(parts: Sequence[Documents]) -> Documents:
        """Rows of several documents over one and the same word list."""
        starts, end = [parts[0].starts], len(parts[0].ids)
        for part in parts[1:]:
            starts.append(part.starts[1:] + end)
            end += len(part.ids)
        counts = [part.counts for part in parts if part.counts is not None]
        ids = np.concatenate([part.ids for part in parts])
        return Documents(parts[0].words, ids, np.concatenate(starts), np.concatenate(counts) if counts else None)


def count_words(documents: Documents) -> npt.NDArray[np.float64]:
    """How often each word of `documents.words` occurs in its rows [V]."""
    return np.bincount(documents.ids, weights=documents.counts, minlength=len(documents.words)).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words a model knows; row 0 is `<UNK>`, the rest stands by falling frequency, equal ones by alphabet."""

    words: Sequence[str]
    index: dict[str, int] = field(repr=False)

    @classmethod
    def from_words(cls, words: Iterable[str]) -> Vocabulary:
        """A vocabulary of these words, in this order, `<UNK>` put first when it is missing."""
        kept = [UNKNOWN, *(word for word in words if word != UNKNOWN)]
        index = {word: row for row, word in enumerate(kept)}
        if len(index) != len(kept):
            raise ArgumentError(f"vocabulary words must be distinct, got {len(kept) - len(index)} repeated ones")
        return cls(kept, index)

    @classmethod
    def build(cls, documents: Documents, *, min_count: int = 5, extra: Iterable[str] = ()) -> Vocabulary:
        """The words that occur at least `min_count` times in `documents`, then those of `extra` (paper §4.1.2).

        Args:
            documents: the texts that may be read (training items only, unless transductive).
            min_count: fewest occurrences over all rows, ≥ 1.
            extra: words kept whatever their count, such as those with a pre-trained vector.
        """
        counts = count_words(documents)
        frequent = np.flatnonzero(counts >= max(min_count, 1)).tolist()
        ranked = sorted(frequent, key=lambda row: (-counts[row], documents.words[row]))
        kept = dict.fromkeys(documents.words[row] for row in ranked)
        kept.update(dict.fromkeys(extra))
        return cls.from_words(kept)

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def recode(self, documents: Documents) -> Documents:
        """The same rows over this vocabulary; words it lacks become `<UNK>` (row 0)."""
        if documents.words is self.words:
            return documents
        lookup = np.fromiter((self.index.get(word, 0) for word in documents.words), np.int32, len(documents.words))
        return Documents(self.words, lookup[documents.ids], documents.starts, documents.counts)
