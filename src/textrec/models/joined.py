"""Features side by side: a GRU, a frozen sentence vector and a TF-IDF projection joined before the factors.

Shapes: `n` items of a call, `V` words, `S` size of a sentence vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from textrec.config import bounded
from textrec.dataset import Dataset, Items
from textrec.learn.encoders import TextEncoder
from textrec.learn.features import featured
from textrec.learn.joined import Joined, inverse_frequencies
from textrec.learn.model import Capability, Checkpoint, Model, Monitor
from textrec.learn.pretrained import DEFAULT
from textrec.learn.reasons import WordWeights
from textrec.learn.sentence_vectors import SentenceVectors
from textrec.learn.tensors import to_tensor
from textrec.models.gru import GruConfig
from textrec.models.neural import READS_TEXT, NeuralModel
from textrec.models.neural_config import TagsConfig
from textrec.protocol.splits import Fold
from textrec.text import Documents

__all__ = ["JoinedConfig", "JoinedModel", "JoinedMtlConfig", "JoinedMtlModel"]

FloatArray = npt.NDArray[np.float32]

_READS: frozenset[Capability] = (READS_TEXT - {"gradients"}) | {"order"}
"""No gradient reaches the words through a sentence vector that was computed beforehand."""


@dataclass(frozen=True)
class JoinedConfig(GruConfig):
    """Configuration of `joined`."""

    sentence_model: str = DEFAULT
    """Pre-trained transformer of the sentence vectors: a folder, or a name of the Hugging Face hub."""

    sentence_hidden: int = bounded(0, 0)
    """Units of a layer between sentence vector and factors; 0: none."""

    dropout_sentence: float = bounded(0.1, 0.0, 0.95)
    """Probability of dropping a number of the sentence vector (or of that layer) while training."""


@dataclass(frozen=True)
class JoinedMtlConfig(TagsConfig, JoinedConfig):
    """Configuration of `joined-mtl`."""


class JoinedModel(NeuralModel):
    """GRU, sentence vector and TF-IDF, trained together."""

    name = "joined"
    summary = "GRU, frozen sentence vector and TF-IDF side by side, trained on likes (extra transformers)"
    capabilities: frozenset[Capability] = _READS
    config_type = JoinedConfig

    _reader: SentenceVectors
    _training: tuple[Items, FloatArray] | None = None  # all texts of a training and their sentence vectors

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        config = self.config
        self._reader = SentenceVectors.load(config.sentence_model, device=self.device, precision=config.precision)
        super()._fit(train, validation, monitor, checkpoint)

    @contextmanager
    def _reading(self, train: Dataset, monitor: Monitor | None) -> Iterator[None]:
        self._training = train.items, self._reader.vectors(train.items.documents, monitor)
        try:
            yield
        finally:
            self._training = None

    def _new_encoder(self, n_words: int) -> TextEncoder:
        config = self.config
        idf = np.ones(n_words, np.float32)
        if self._training is not None:
            idf = inverse_frequencies(self.vocabulary.recode(self._training[0].documents))
        torch.manual_seed(self.seed)  # loading a network draws numbers, how many depends on its files
        return Joined(
            n_words,
            sentence_dim=self._reader.dim,
            hidden=config.sentence_hidden,
            idf=idf,
            dropout_sentence=config.dropout_sentence,
            **config.layers(),
        )

    def _documents(self, items: Items) -> Documents:
        return featured(super()._documents(items), to_tensor(self._sentence_vectors(items)))

    def _sentence_vectors(self, items: Items) -> FloatArray:
        if self._training is not None:
            known, vectors = self._training
            rows = known.ids.rows(items.ids)
            if (rows >= 0).all():
                return vectors[rows]
        return self._reader.vectors(items.documents)

    def _word_weights(self, items: Items, *, user: Any = None, tag: int | None = None) -> WordWeights:
        """What the score loses without each word: that holds for all three readings."""
        return Model._word_weights(self, items, user=user, tag=tag)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return super()._arrays() | self._reader.arrays()

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._reader = SentenceVectors.restore(arrays, device=self.device, precision=self.config.precision)
        super()._restore(arrays)


class JoinedMtlModel(JoinedModel):
    """The same, trained on likes and tags (paper §3.3)."""

    name = "joined-mtl"
    summary = "GRU, frozen sentence vector and TF-IDF side by side, trained on likes and tags (extra transformers)"
    capabilities: frozenset[Capability] = _READS | {"tags"}
    config_type = JoinedMtlConfig
