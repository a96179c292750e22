"""A pre-trained transformer in place of the GRU: frozen with a trained projection, or fine-tuned on likes (and tags).

Shapes: `n` items of a call, `N` pieces of their texts, `K` factors.
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
from textrec.learn.exact import ExactTrainee
from textrec.learn.features import featured
from textrec.learn.fine_tuning import FineTuningTrainee
from textrec.learn.model import Capability, Checkpoint, Monitor
from textrec.learn.pieces import Pieces, WordPieces
from textrec.learn.pretrained import DEFAULT, Pretrained, load_pretrained
from textrec.learn.reasons import WordWeights
from textrec.learn.saliency import word_weights
from textrec.learn.sentence_vectors import BULK, SentenceVectors
from textrec.learn.tensors import Precision, to_tensor
from textrec.learn.transformer import Transformer
from textrec.models.neural import READS_TEXT, NeuralModel
from textrec.models.neural_config import NeuralConfig, TagsConfig
from textrec.protocol.splits import Fold
from textrec.text import Documents

__all__ = ["TransformerConfig", "TransformerModel", "TransformerMtlConfig", "TransformerMtlModel"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TransformerConfig(NeuralConfig):
    """Configuration of `transformer`. Words are the network's own: the settings of word vectors have no effect."""

    sentence_model: str = DEFAULT
    """Pre-trained transformer: a folder, or a name of the Hugging Face hub."""

    trained_layers: int = bounded(3, 0)
    """Upper layers that are fine-tuned; 0 leaves the network as it is and trains the projection only."""

    epochs: int = bounded(4, 1)
    """Most passes over the texts."""

    patience: int = bounded(3, 1)
    """Stop after this many epochs without a better validation metric."""

    refit_epochs: int = bounded(2, 0)
    """After early stopping, passes over all items, also those that were held out for it, at half the rates."""

    batch_size: int = bounded(128, 1)
    """Texts a step; fewer where an epoch would have fewer than 32 steps."""

    learning_rate: float = bounded(0.001, above=0.0)
    """Of Adam, for the projection, at its highest."""

    fine_tuning_rate: float = bounded(0.0003, above=0.0)
    """The same for the trained layers of the network."""

    warmup_steps: int = bounded(100, 0)
    """Steps in which both rates rise from zero."""

    dropout: float = bounded(0.1, 0.0, 0.95)
    """Probability of dropping a number while training, in the trained layers and before the projection."""

    word_dropout: float = bounded(0.0, 0.0, 0.0)
    """Words are pieces here, and none is left out."""

    max_tokens: int = bounded(256, 4)
    """Pieces read of a text, and never more than the network was made for."""

    min_count: int = bounded(1, 1)
    """Words seen less often in the training texts are kept as <UNK> in the model folder."""

    precision: Precision = "auto"
    """Of products while training: bf16, fp32, or auto, which is bf16 where the processor has instructions for it."""

    def _faults(self) -> list[str]:
        faults = super()._faults()
        if self.word_vectors is not None:
            faults.append(f"word_vectors must be left out: the network has its own, got {self.word_vectors!r}")
        if self.recipe == "paper":
            faults.append(
                "recipe must be exact: the paper's has one learning rate, too high for a network that is trained"
            )
        return faults


@dataclass(frozen=True)
class TransformerMtlConfig(TagsConfig, TransformerConfig):
    """Configuration of `transformer-mtl`."""


class TransformerModel(NeuralModel):
    """A pre-trained transformer, pooled and projected to K factors."""

    name = "transformer"
    summary = "pre-trained transformer, frozen or fine-tuned on likes (extra transformers)"
    capabilities: frozenset[Capability] = READS_TEXT | {"order"}
    config_type = TransformerConfig

    _pretrained: Pretrained
    _pieces: WordPieces
    _whole: tuple[Items, Documents] | None = None  # all texts of a training, prepared once

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        self._take(load_pretrained(self.config.sentence_model))
        super()._fit(train, validation, monitor, checkpoint)

    @contextmanager
    def _reading(self, train: Dataset, monitor: Monitor | None) -> Iterator[None]:
        self._monitor, self._training_items = monitor, train.items
        try:
            yield
        finally:
            self._monitor = self._training_items = self._whole = None

    _monitor: Monitor | None = None
    _training_items: Items | None = None

    def _take(self, pretrained: Pretrained) -> None:
        self._pretrained, self._pieces = pretrained, WordPieces(pretrained.tokenizer)

    def _new_encoder(self, n_words: int) -> TextEncoder:
        config = self.config
        torch.manual_seed(self.seed)  # loading a network draws numbers, how many depends on its files
        return Transformer(
            self._pretrained, config.factors, trained_layers=config.trained_layers, dropout=config.dropout
        )

    def _new_trainee(self, *arguments: Any, **named: Any) -> ExactTrainee:
        config = self.config
        encoder = self._transformer()
        share = named["learning_rate"] / config.learning_rate  # less than 1 when all items are trained on at the end
        rate = share * config.fine_tuning_rate
        return FineTuningTrainee(*arguments, pretrained=encoder.backbone, pretrained_rate=rate, **named)

    # ------------------------------------------------------------------ reading

    def _transformer(self) -> Transformer:
        """The pre-trained part of the encoder."""
        assert isinstance(self._encoder, Transformer)
        return self._encoder

    def _split(self, documents: Documents) -> Pieces:
        return self._pieces.split(documents, min(self.config.max_tokens, self._pretrained.max_tokens))

    def _documents(self, items: Items) -> Documents:
        """Texts as pieces, with what the layers that stay make of them; in training that is computed once."""
        if self._training_items is None:
            return self._read(items.documents)
        if self._whole is None:
            self._whole = self._training_items, self._read(self._training_items.documents)
        known, prepared = self._whole
        rows = known.ids.rows(items.ids)
        return prepared.take(rows) if (rows >= 0).all() else self._read(items.documents)

    def _read(self, documents: Documents) -> Documents:
        encoder = self._transformer()
        pieces = self._split(documents).documents
        precision = self._precision() if len(pieces) >= BULK else torch.float32
        if not encoder.frozen:
            return encoder.prepare(pieces, precision=precision, told=self._told)
        if self._training_items is not None:
            reader = SentenceVectors(self._pretrained, device=self.device, precision=self.config.precision)
            vectors = to_tensor(reader.vectors(documents, self._monitor))
            return featured(pieces, vectors)
        return featured(pieces, encoder.pooled(pieces, precision=precision))

    def _told(self, done: int, total: int) -> None:
        if self._monitor is not None and total >= BULK:
            self._monitor({"event": "sentence_vectors", "done": done, "total": total})

    def _word_weights(self, items: Items, *, user: Any = None, tag: int | None = None) -> WordWeights:
        """By gradient: a word's contribution is the sum of its pieces', its saliency the root of their squares'."""
        pieces = self._split(items.documents)
        found = word_weights(self._encoder, pieces.documents, self._direction(user, tag))
        real = pieces.words >= 0
        places, size = pieces.words[real], len(items.documents.ids)
        contribution = np.bincount(places, found.contribution[real], size).astype(np.float32)
        assert found.saliency is not None
        squares = np.bincount(places, np.square(found.saliency[real]), size)
        return WordWeights(contribution, np.sqrt(squares).astype(np.float32), best="saliency")

    # ------------------------------------------------------------------ saving

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return super()._arrays() | self._pretrained.arrays()

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._take(Pretrained.of_arrays(arrays))
        super()._restore(arrays)


class TransformerMtlModel(TransformerModel):
    """The same, trained on likes and tags (paper §3.3)."""

    name = "transformer-mtl"
    summary = "pre-trained transformer, frozen or fine-tuned on likes and tags together (extra transformers)"
    capabilities: frozenset[Capability] = READS_TEXT | {"order", "tags"}
    config_type = TransformerMtlConfig
