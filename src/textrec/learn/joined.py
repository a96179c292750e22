"""Several readings of a text joined into one vector: g(X) = GRU(X) + P · m(s(X)) + Q · tfidf(X), trained together.

s(X) is a sentence vector that stays as it is and is carried by the documents (`learn.features`), m a layer of its own,
tfidf(X) the text's TF-IDF row of length 1 over single words. A sum of projections is a projection of them side by side.

Shapes: `B` texts, `N` tokens, `V` words, `S` size of a sentence vector, `K` factors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textrec.errors import ArgumentError
from textrec.learn.encoders import Gru, TokenBatch
from textrec.learn.word_vectors import WordVectors
from textrec.text import Documents, Vocabulary

__all__ = ["Joined", "inverse_frequencies"]


class Joined(Gru):
    """The three readings.

    Args:
        n_words: V.
        sentence_dim: S.
        hidden: units of m; 0 leaves m out.
        idf: inverse document frequency of each word [V].
        dropout_sentence: probability of dropping a number of s(X) or m while training.
        named: further arguments of `Gru`.
    """

    idf: Tensor

    def __init__(
        self,
        n_words: int,
        *,
        sentence_dim: int,
        hidden: int,
        idf: npt.NDArray[np.float32],
        dropout_sentence: float = 0.0,
        **named: Any,
    ) -> None:
        super().__init__(n_words, **named)
        middle = [nn.Linear(sentence_dim, hidden), nn.GELU(), nn.Dropout(dropout_sentence)] if hidden else []
        last = nn.Linear(hidden or sentence_dim, self.dim, bias=False)
        self.sentence = nn.Sequential(nn.Dropout(dropout_sentence), *middle, last)
        self.bag = nn.Embedding(n_words, self.dim)
        nn.init.normal_(self.bag.weight, std=0.01)
        self.register_buffer("idf", torch.from_numpy(idf.copy()))

    def _encode(self, batch: TokenBatch, vectors: Tensor | None) -> Tensor:
        if batch.features is None:
            raise ArgumentError("a joined encoder reads documents that carry sentence vectors, got none")
        read = self.sentence(batch.features.float()) * (batch.lengths > 0)[:, None]
        joined: Tensor = super()._encode(batch, vectors) + read + self._bag(batch)
        return joined

    def _bag(self, batch: TokenBatch) -> Tensor:
        """Q · tfidf(X): words weighted by idf, each text's weights of length 1 (a word that occurs twice counts so)."""
        weights = self.idf[batch.ids]
        text = batch.text_of_token()
        squares = weights.new_zeros(len(batch)).index_add(0, text, weights.square())
        weights = weights * squares.clamp(min=1e-12).rsqrt()[text]
        starts = F.pad(batch.lengths.cumsum(0), (1, 0))[:-1]
        summed: Tensor = F.embedding_bag(batch.ids, self.bag.weight, starts, mode="sum", per_sample_weights=weights)
        return summed

    def widen(self, vectors: WordVectors, vocabulary: Vocabulary, norm: float | None, most: int) -> Vocabulary:
        """As every encoder does; the TF-IDF reading knows nothing of the words that join."""
        wider = super().widen(vectors, vocabulary, norm, most)
        more = len(wider) - len(self.idf)
        self.bag = nn.Embedding(len(wider), self.dim, _weight=F.pad(self.bag.weight.detach(), (0, 0, 0, more)))
        self.idf = F.pad(self.idf, (0, more))
        return wider

    def narrow(self, n_words: int) -> None:
        """As every encoder does."""
        super().narrow(n_words)
        self.bag = nn.Embedding(n_words, self.dim, _weight=self.bag.weight.detach()[:n_words].clone())
        self.idf = self.idf[:n_words]


def inverse_frequencies(documents: Documents) -> npt.NDArray[np.float32]:
    """log((1 + n) / (1 + texts with the word)) + 1 of every word (scikit-learn's smooth IDF) [V]; 0 for `<UNK>`."""
    n_words = len(documents.words)
    rows = np.repeat(np.arange(len(documents)), np.diff(documents.starts))
    cells = np.unique(rows * n_words + documents.ids)
    found = np.log((1 + len(documents)) / (1 + np.bincount(cells % n_words, minlength=n_words))) + 1
    found[0] = 0
    return found.astype(np.float32)
