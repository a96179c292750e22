"""Text encoders g(X): rows of word ids to vectors. They know nothing of users, tags or training.

Shapes: `B` texts of a batch, `N` tokens of the batch together, `T` tokens of one text, `D` word-vector size,
`H` hidden units a direction, `K` factors, `V` words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textrec.errors import ArgumentError, DataError
from textrec.learn.packed_gru import FastDropout, Packing, run_layer
from textrec.learn.tensors import to_tensor
from textrec.learn.word_vectors import WordVectors
from textrec.text import Documents, Vocabulary

__all__ = ["Embed", "Gru", "Pooling", "TextEncoder", "TokenBatch"]

Pooling = Literal["mean", "last", "max"]


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Texts as flat word ids, without padding."""

    ids: Tensor  # int64 [N]
    lengths: Tensor  # int64 [B] ids of each text
    weights: Tensor  # float32 [N] 1 / length of the text in words, times the count in a bag: each text sums to 1
    features: Tensor | None = None  # [B, …] or [N, …] numbers that the documents carry (`learn.features`)

    @classmethod
    def of(cls, documents: Documents, rows: npt.NDArray[np.int64], device: torch.device | str = "cpu") -> TokenBatch:
        """The given rows of documents over the encoder's vocabulary."""
        part = documents.take(rows)
        sizes = np.diff(part.starts)
        counts = np.ones(len(part.ids), np.float32) if part.counts is None else part.counts
        totals = np.repeat(np.maximum(part.lengths, 1), sizes)
        weights = (counts / totals).astype(np.float32)
        ids = part.ids.astype(np.int64)
        features: Tensor | None = getattr(part, "features", None)
        carried = None if features is None else features.to(device)
        return cls(to_tensor(ids, device), to_tensor(sizes, device), to_tensor(weights, device), carried)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_tokens(self) -> int:
        """Real tokens (no padding)."""
        return len(self.ids)

    def text_of_token(self) -> Tensor:
        """The text each token belongs to, int64 [N]."""
        texts = torch.arange(len(self.lengths), device=self.lengths.device)
        return torch.repeat_interleave(texts, self.lengths, output_size=len(self.ids))


class TextEncoder(nn.Module, ABC):
    """Base of the encoders.

    Args:
        n_words: V.
        embedding_dim: D.
        dim: K, the size of g(X).
        init_scale: standard deviation of new word vectors.
        word_dropout: probability that a token is left out of its text while training.
    """

    reads_order: bool = False

    def __init__(
        self, n_words: int, embedding_dim: int, dim: int, *, init_scale: float = 0.1, word_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(n_words, embedding_dim)
        nn.init.normal_(self.words.weight, std=init_scale)
        self.dim = dim
        self.word_dropout = word_dropout

    def start_from(self, vectors: WordVectors, vocabulary: Vocabulary, norm: float | None) -> None:
        """Set the words of the vocabulary that have a pre-trained vector to it, brought to a norm (None: as it is).

        Raises:
            ArgumentError: the vectors have another size than D.
            DataError: no word of the vocabulary has a vector.
        """
        dim = self.words.embedding_dim
        if vectors.dim != dim:
            raise ArgumentError(
                f"word_vectors must have {dim} dimensions as the model's word vectors do, got {vectors.dim}; set "
                f"embedding_dim = {vectors.dim} (a model without that field: factors), or make them with --dim {dim}"
            )
        rows = [row for row, word in enumerate(vocabulary) if word in vectors]
        if not rows:
            raise DataError(
                f"none of the {len(vectors):,} words with a vector (such as {vectors.words[0]!r}) is a word of the "
                "training texts; words must be lower case, numbers <NUM>"
            )
        with torch.no_grad():
            scaled = vectors.rows_for([vocabulary.words[row] for row in rows], norm)
            self.words.weight[rows] = to_tensor(scaled, self.words.weight.device)

    def widen(self, vectors: WordVectors, vocabulary: Vocabulary, norm: float | None, most: int) -> Vocabulary:
        """Add up to `most` words with a pre-trained vector that the vocabulary lacks; the wider vocabulary.

        No training text has them, so no gradient would reach them: they join after training, which costs nothing.
        """
        words = vectors.words_beyond(vocabulary, most)
        weight = self.words.weight.detach()
        weight = torch.cat([weight, to_tensor(vectors.rows_for(words, norm), weight.device)])
        self.words = nn.Embedding(len(weight), self.words.embedding_dim, _weight=weight)
        return Vocabulary.from_words([*vocabulary, *words])

    def narrow(self, n_words: int) -> None:
        """Leave out all words behind the first `n_words`, which undoes `widen`."""
        self.words = nn.Embedding(
            n_words, self.words.embedding_dim, _weight=self.words.weight.detach()[:n_words].clone()
        )

    def forward(self, batch: TokenBatch, vectors: Tensor | None = None) -> Tensor:
        """g(X) of each text, [B, K]; an empty text gives zeros.

        Args:
            batch: the texts.
            vectors: word vectors [N, D] to use in place of the looked-up ones (saliency differentiates them).
        """
        if batch.n_tokens == 0:
            return torch.zeros(len(batch), self.dim, device=self.words.weight.device)
        if self.training and self.word_dropout > 0:
            batch = _drop_words(batch, self.word_dropout)
        return self._encode(batch, vectors)

    @abstractmethod
    def _encode(self, batch: TokenBatch, vectors: Tensor | None) -> Tensor: ...


class Embed(TextEncoder):
    """Mean of word vectors (paper eq. 5); bags of words are weighted by their counts.

    Args:
        dropout: probability of dropping a dimension of the mean while training.
    """

    def __init__(
        self, n_words: int, dim: int, *, dropout: float = 0.0, init_scale: float = 0.1, word_dropout: float = 0.0
    ) -> None:
        super().__init__(n_words, dim, dim, init_scale=init_scale, word_dropout=word_dropout)
        self.dropout = nn.Dropout(dropout)

    def _encode(self, batch: TokenBatch, vectors: Tensor | None) -> Tensor:
        if vectors is None:
            starts = F.pad(batch.lengths.cumsum(0), (1, 0))[:-1]
            weight = self.words.weight
            mean = F.embedding_bag(batch.ids, weight, starts, mode="sum", per_sample_weights=batch.weights)
        else:
            mean = vectors.new_zeros(len(batch), self.dim)
            mean = mean.index_add(0, batch.text_of_token(), vectors * batch.weights[:, None])
        dropped: Tensor = self.dropout(mean)
        return dropped


class Gru(TextEncoder):
    """Word vectors → bidirectional GRU → GRU → pooling over the real tokens (paper §3.2.1, Figure 1, eq. 6 to 8).

    Texts are packed by time step without any padding, so a batch equals each text alone.

    Args:
        n_words: V.
        embedding_dim: D.
        hidden_dim: H, units a direction of the first layer.
        dim: K, units of the second layer.
        dropout: probabilities of dropping a dimension after word vectors, first and second layer (paper §4.1.2).
        pooling: over the second layer's states: `mean` (the paper's), `last` (the paper compared it) or `max` (ours).
        shortcut: add a projection of the mean of the word vectors: what order does not carry need not pass the layers.
        init_scale: standard deviation of new word vectors.
        word_dropout: probability that a token is left out of its text while training.
    """

    reads_order = True

    def __init__(
        self,
        n_words: int,
        embedding_dim: int,
        hidden_dim: int,
        dim: int,
        *,
        dropout: tuple[float, float, float] = (0.1, 0.5, 0.3),
        pooling: Pooling = "mean",
        shortcut: bool = False,
        init_scale: float = 0.1,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__(n_words, embedding_dim, dim, init_scale=init_scale, word_dropout=word_dropout)
        self.first = nn.GRU(embedding_dim, hidden_dim, bidirectional=True)
        self.second = nn.GRU(2 * hidden_dim, dim)
        self.dropouts = nn.ModuleList(FastDropout(probability) for probability in dropout)
        self.pooling = pooling
        self.shortcut = nn.Linear(embedding_dim, dim, bias=False) if shortcut else None

    def start_from(self, vectors: WordVectors, vocabulary: Vocabulary, norm: float | None) -> None:
        """As every encoder does; vectors that stay as they are bring the first layer that was trained with them.

        Raises:
            ArgumentError: that layer has another size.
        """
        super().start_from(vectors, vocabulary, norm)
        if norm is not None or not vectors.layer:
            return
        hidden, given = self.first.hidden_size, vectors.layer["weight_hh_l0"].shape[1]
        if hidden != given:
            raise ArgumentError(f"encoder_weights has hidden_dim {given}, the model {hidden}; set hidden_dim = {given}")
        self.first.load_state_dict({name: to_tensor(value) for name, value in vectors.layer.items()})

    def _encode(self, batch: TokenBatch, vectors: Tensor | None) -> Tensor:
        packing = Packing.of(batch.lengths, batch.text_of_token())
        inputs = self.words(batch.ids[packing.order]) if vectors is None else vectors[packing.order]
        inputs = self.dropouts[0](inputs)
        hidden = run_layer(self.first, inputs, packing)
        hidden = run_layer(self.second, self.dropouts[1](hidden), packing)
        pooled = self._pool(self.dropouts[2](hidden), packing, batch.lengths)
        return pooled if self.shortcut is None else pooled + self.shortcut(_mean(inputs, packing, batch.lengths))

    def _pool(self, states: Tensor, packing: Packing, lengths: Tensor) -> Tensor:
        """States [N, K] by time step, one vector a text [B, K]; a text without tokens stays zero."""
        if self.pooling == "mean":
            return _mean(states, packing, lengths)
        text = packing.text
        pooled = states.new_zeros(len(lengths), self.dim)
        if self.pooling == "max":
            return pooled.scatter_reduce(0, text[:, None].expand_as(states), states, "amax", include_self=False)
        last = packing.step == lengths[text] - 1
        return pooled.index_add(0, text[last], states[last])


def _mean(states: Tensor, packing: Packing, lengths: Tensor) -> Tensor:
    """Mean over the tokens of each text [B, …] of what they carry [N, …], in the order of the packing."""
    sums = states.new_zeros(len(lengths), states.shape[1]).index_add(0, packing.text, states)
    return sums / lengths.clamp(min=1)[:, None]


def _drop_words(batch: TokenBatch, probability: float) -> TokenBatch:
    """Leave tokens out at random; the weights of what stays sum to 1 again."""
    kept = torch.rand(batch.n_tokens, device=batch.ids.device) >= probability
    text = batch.text_of_token()[kept]
    weights = batch.weights[kept]
    total = weights.new_zeros(len(batch)).index_add(0, text, weights)
    lengths = torch.bincount(text, minlength=len(batch))
    return TokenBatch(batch.ids[kept], lengths, weights / total[text], batch.features)
