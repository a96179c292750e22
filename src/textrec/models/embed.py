"""Embed: a text is the mean of its word vectors (paper §3.1, eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass

from textrec.config import bounded
from textrec.learn.encoders import Embed, TextEncoder
from textrec.learn.model import Capability
from textrec.models.neural import READS_TEXT, NeuralModel
from textrec.models.neural_config import NeuralConfig, TagsConfig

__all__ = ["EmbedConfig", "EmbedModel", "EmbedMtlConfig", "EmbedMtlModel"]


@dataclass(frozen=True)
class EmbedConfig(NeuralConfig):
    """Configuration of `embed`."""

    learning_rate: float = bounded(0.001, above=0.0)
    """Of Adam, at its highest."""

    init_scale: float = bounded(0.01, above=0.0)
    """Standard deviation of new word vectors. Small: a word that is hardly ever seen then adds next to nothing
    to the mean, where it would add noise."""

    dropout: float = bounded(0.0, 0.0, 0.95)
    """Probability of dropping a dimension of the mean while training."""


@dataclass(frozen=True)
class EmbedMtlConfig(TagsConfig, EmbedConfig):
    """Configuration of `embed-mtl`."""

    learning_rate: float = bounded(0.0005, above=0.0)
    """Of Adam, at its highest. Lower than Embed's: tags take longer to learn than likes."""

    tag_weight: float = bounded(0.1, 0.0)
    """μ, the weight of a text's tag loss (summed over tags) beside its likes loss."""


class EmbedModel(NeuralModel):
    """Mean of word vectors (paper §3.1)."""

    name = "embed"
    summary = "mean of word vectors trained on likes (paper §3.1)"
    capabilities: frozenset[Capability] = READS_TEXT | {"bag_of_words"}
    config_type = EmbedConfig

    def _new_encoder(self, n_words: int) -> TextEncoder:
        config = self.config
        return Embed(
            n_words,
            config.factors,
            dropout=config.dropout,
            init_scale=config.init_scale,
            word_dropout=config.word_dropout,
        )


class EmbedMtlModel(EmbedModel):
    """Mean of word vectors trained on likes and tags (paper §3.1, §3.3)."""

    name = "embed-mtl"
    summary = "mean of word vectors trained on likes and tags together (paper §3.1, §3.3)"
    capabilities: frozenset[Capability] = READS_TEXT | {"bag_of_words", "tags"}
    config_type = EmbedMtlConfig
