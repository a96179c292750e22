"""Our words to the pieces of a pre-trained tokeniser, word by word.

A transformer then reads what every other model reads: the same words, in the same order, cut at the same places, so
that words shuffled, left out or weighed mean the same for all. Each distinct word is split once; a text is a gather.

Shapes: `N` pieces of the texts together, `n` texts, `V` pieces that there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.dataset import Rows
from textrec.errors import MissingExtraError
from textrec.text import NUMBER, Documents

__all__ = ["Pieces", "WordPieces"]

_READ_AS = {NUMBER: "1", "<UNK>": "thing"}
"""What our own words stand for: a tokeniser would spell them out, sign by sign."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """Texts as pieces."""

    documents: Documents  # over the tokeniser's pieces; special ones at both ends, none in an empty text
    words: Rows  # [N] place of the word that each piece is of, among all words of the texts; −1 for a special one


class WordPieces:
    """Splits documents.

    Args:
        tokenizer: a fast tokeniser as JSON.

    Raises:
        MissingExtraError: the extra `transformers` is not installed.
    """

    def __init__(self, tokenizer: str) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtraError("tokenizers", "transformers") from None
        self._tokenizer: Any = Tokenizer.from_str(tokenizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        whole = self._tokenizer.encode("a")
        special = np.array(whole.special_tokens_mask, bool)
        first = int(np.argmin(special))
        ids = np.array(whole.ids, np.int32)
        self.before, self.after = ids[:first], ids[first:][special[first:]]

    @cached_property
    def names(self) -> list[str]:
        """The pieces [V]."""
        return [self._tokenizer.id_to_token(row) or "" for row in range(self._tokenizer.get_vocab_size())]

    def split(self, documents: Documents, max_tokens: int) -> Pieces:
        """Texts in word order as pieces, at most `max_tokens` a text with the special ones."""
        table, starts = self._table(documents)
        sizes = np.diff(starts)[documents.ids]  # pieces of each word
        word = np.repeat(np.arange(len(sizes)), sizes)
        ends = np.concatenate([[0], np.cumsum(sizes)])
        place = np.arange(len(word)) - ends[word]  # within its word
        ids = table[starts[documents.ids[word]] + place]
        flat = Documents(self.names, ids, ends[documents.starts].astype(np.int64))
        room = max_tokens - len(self.before) - len(self.after)
        kept = np.arange(len(ids)) - np.repeat(flat.starts[:-1], np.diff(flat.starts)) < room
        return self._framed(flat.cut(room), word[kept])

    def _table(self, documents: Documents) -> tuple[npt.NDArray[np.int32], Rows]:
        """Pieces of the words that occur, one after the other, and where those of each word start [V + 1]."""
        used = np.unique(documents.ids)
        texts = [documents.words[row] for row in used.tolist()]
        texts = [f" {_READ_AS.get(text, text)}" for text in texts]
        split = [one.ids for one in self._tokenizer.encode_batch(texts, add_special_tokens=False)]
        sizes = np.zeros(len(documents.words) + 1, np.int64)
        sizes[used + 1] = [len(ids) for ids in split]
        return np.array([row for ids in split for row in ids], np.int32), np.cumsum(sizes)

    def _framed(self, flat: Documents, words: Rows) -> Pieces:
        """The special pieces put around every text that has any."""
        before, after = len(self.before), len(self.after)
        lengths = np.diff(flat.starts)
        sizes = lengths + np.where(lengths > 0, before + after, 0)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        row = np.repeat(np.arange(len(flat)), sizes)
        place = np.arange(starts[-1]) - starts[row] - before  # within the text, from its first real piece
        real = (place >= 0) & (place < lengths[row])
        ids = np.empty(starts[-1], np.int32)
        ids[real] = flat.ids
        ids[place < 0] = np.tile(self.before, int((lengths > 0).sum()))
        ids[place >= lengths[row]] = np.tile(self.after, int((lengths > 0).sum()))
        owners = np.full(len(ids), -1, np.int64)
        owners[real] = words
        return Pieces(Documents(flat.words, ids, starts), owners)
