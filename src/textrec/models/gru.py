"""GRU: a text is read in word order (paper §3.2), the centre of "Ask the GRU"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textrec.config import bounded
from textrec.learn.encoders import Gru, Pooling, TextEncoder
from textrec.learn.model import Capability
from textrec.learn.tensors import Precision
from textrec.models.neural import READS_TEXT, NeuralModel
from textrec.models.neural_config import NeuralConfig, TagsConfig

__all__ = ["GruConfig", "GruModel", "GruMtlConfig", "GruMtlModel"]


@dataclass(frozen=True)
class GruConfig(NeuralConfig):
    """Configuration of `gru`."""

    epochs: int = bounded(12, 1)
    """Most passes over the texts."""

    batch_size: int = bounded(128, 1)
    """Texts a step; fewer where an epoch would have fewer than 32 steps."""

    learning_rate: float = bounded(0.002, above=0.0)
    """Of Adam, at its highest."""

    vector_norm: float = bounded(1.0, above=0.0)
    """Norm at which every pre-trained word vector starts; a random one has init_scale·√D."""

    embedding_dim: int = bounded(200, 1)
    """D, the size of word vectors."""

    hidden_dim: int = bounded(400, 1)
    """H, units a direction of the first layer (paper §4.1.2); the second layer has `factors` units."""

    dropout_words: float = bounded(0.1, 0.0, 0.95)
    """Probability of dropping a dimension of a word vector while training (paper §4.1.2, as the two below)."""

    dropout_first: float = bounded(0.5, 0.0, 0.95)
    """The same after the first layer."""

    dropout_second: float = bounded(0.3, 0.0, 0.95)
    """The same after the second layer."""

    encoder_weights: str | None = None
    """Word vectors and first layer to start from, in place of word_vectors: a folder of `textrec pretrain --gru`."""

    pooling: Pooling = "mean"
    """How the second layer's states become one vector: mean (the paper's), last (which it compared) or max (ours)."""

    shortcut: bool = False
    """Add a projection of the mean of the word vectors to the pooled states (ours)."""

    precision: Precision = "auto"
    """Of products while training: bf16, fp32, or auto, which is bf16 where the processor has instructions for it."""

    def layers(self) -> dict[str, Any]:
        """What `encoders.Gru` is told beside the number of words."""
        return {
            "embedding_dim": self.embedding_dim,
            "hidden_dim": self.hidden_dim,
            "dim": self.factors,
            "dropout": (self.dropout_words, self.dropout_first, self.dropout_second),
            "pooling": self.pooling,
            "shortcut": self.shortcut,
            "init_scale": self.init_scale,
            "word_dropout": self.word_dropout,
        }

    def _faults(self) -> list[str]:
        if self.encoder_weights is None or self.word_vectors is None:
            return []
        return ["encoder_weights and word_vectors both name word vectors to start from; leave one of them out"]


@dataclass(frozen=True)
class GruMtlConfig(TagsConfig, GruConfig):
    """Configuration of `gru-mtl`."""


class GruModel(NeuralModel):
    """A bidirectional GRU, a GRU on top of it, and the mean of its states (paper §3.2.1)."""

    name = "gru"
    summary = "words read in order by two layers of GRUs, trained on likes (paper §3.2)"
    capabilities: frozenset[Capability] = READS_TEXT | {"order"}
    config_type = GruConfig

    config: GruConfig

    def _new_encoder(self, n_words: int) -> TextEncoder:
        return Gru(n_words, **self.config.layers())


class GruMtlModel(GruModel):
    """The same, trained on likes and tags (paper §3.3)."""

    name = "gru-mtl"
    summary = "words read in order by two layers of GRUs, trained on likes and tags together (paper §3.2, §3.3)"
    capabilities: frozenset[Capability] = READS_TEXT | {"order", "tags"}
    config_type = GruMtlConfig
