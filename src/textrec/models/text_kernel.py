"""Kernels over texts: what is computed of a text once, and the kernel of two sets of texts.

    tfidf     cosine of TF-IDF rows
    vectors   exp((cosine of sentence vectors − 1) / width)
    sum       (1 − share) · vectors + share · tfidf
    product   vectors · exp((tfidf − 1) · share)

Shapes: `n` and `m` texts, `D` size of a sentence vector, `F` n-grams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.config import Config, bounded
from textrec.dataset import Csr, Dataset, Rows
from textrec.errors import CapabilityError, ConfigError
from textrec.learn.model import Checkpoint, FitReport, Monitor
from textrec.learn.pretrained import DEFAULT
from textrec.learn.representations import sparse_products, unit_rows
from textrec.learn.sentence_vectors import SentenceVectors
from textrec.learn.tensors import Precision
from textrec.models.members import MemberVectors, named
from textrec.models.tfidf import TfidfRows, csr_arrays, csr_from
from textrec.protocol.splits import Fold
from textrec.registry import model_class, models_with
from textrec.text import Documents, Vocabulary

__all__ = ["KernelName", "TextFeatures", "TextKernel", "TextKernelConfig", "check_order"]

FloatArray = npt.NDArray[np.float32]

KernelName = Literal["tfidf", "vectors", "sum", "product"]


@dataclass(frozen=True)
class TextKernelConfig(Config):
    """What every model over text kernels has."""

    kernel: KernelName = "tfidf"
    """tfidf needs nothing else, and reads bags of words; vectors, sum and product need the extra transformers."""

    width: float = bounded(0.3, above=0.0)
    """Of the exponential over the cosine of sentence vectors; small: near texts only."""

    share: float = bounded(0.3, 0.0, 1.0)
    """Of TF-IDF in sum and product."""

    ngrams: int = bounded(2, 1, 2)
    """Longest word n-gram of TF-IDF; a bag of words has single words only."""

    min_items: int = bounded(2, 1)
    """An n-gram in fewer training items than this is left out."""

    sentence_model: str = DEFAULT
    """Pre-trained transformer of the sentence vectors: a folder, or a name of the Hugging Face hub."""

    encoder: str | None = None
    """In place of it, a text encoder of this library that is trained first, with its settings: "gru-mtl epochs=10"."""

    precision: Precision = "auto"
    """Of the transformer, for many texts at a time: bf16, fp32, or auto: bf16 where the processor has it."""

    def _faults(self) -> list[str]:
        if self.encoder is None:
            return []
        try:
            name, _ = named(self.encoder)
        except (ConfigError, ValueError) as error:
            return [f"encoder: {error}"]
        faults = [] if self.kernel != "tfidf" else ["encoder needs kernel = vectors, sum or product; tfidf has none"]
        able = [model for model in models_with("vectors") if model != "kernel"]
        if name not in able:
            faults.append(f"encoder must be a model with vectors, got {name!r}: {', '.join(able)}")
        return faults

    @property
    def reads_bags(self) -> bool:
        """Whether it can do without the order of words."""
        if self.kernel == "tfidf":
            return True
        return self.encoder is not None and "bag_of_words" in model_class(named(self.encoder)[0]).capabilities


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """What a kernel reads of some texts."""

    vectors: FloatArray | None = None  # [n, D] of length 1
    tfidf: Csr = None  # [n, F] of length 1

    def __len__(self) -> int:
        return int(self.tfidf.shape[0] if self.vectors is None else len(self.vectors))

    def take(self, rows: Rows) -> TextFeatures:
        """The given rows."""
        return TextFeatures(
            None if self.vectors is None else self.vectors[rows],
            None if self.tfidf is None else sp.csr_array(self.tfidf[rows]),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For the model folder."""
        own = {} if self.vectors is None else {"kernel.vectors": self.vectors}
        return own | ({} if self.tfidf is None else csr_arrays("kernel.tfidf", self.tfidf))


@dataclass(frozen=True, eq=False)
class TextKernel:
    """Reads texts and compares them."""

    config: TextKernelConfig
    sentences: SentenceVectors | MemberVectors | None = None
    ngrams: TfidfRows | None = None
    owner: str = field(default="kernel")  # the model, for messages

    @classmethod
    def fit(
        cls,
        config: TextKernelConfig,
        train: Dataset,
        validation: Fold | None = None,
        *,
        owner: str,
        seed: int,
        device: str,
        monitor: Monitor | None,
        checkpoint: Checkpoint | None = None,
    ) -> tuple[TextKernel, TextFeatures]:
        """Learn the n-grams of the training texts, or train the encoder; also what is read of these texts."""
        sentences: SentenceVectors | MemberVectors | None = None
        if config.kernel != "tfidf":
            if config.encoder is not None:
                sentences = MemberVectors.trained(
                    config.encoder,
                    train,
                    validation,
                    seed=seed,
                    device=device,
                    monitor=monitor,
                    checkpoint=checkpoint,
                )
            else:
                sentences = SentenceVectors.load(config.sentence_model, device=device, precision=config.precision)
        return cls(config, sentences, owner=owner).over(train.items.documents, monitor)

    def over(self, documents: Documents, monitor: Monitor | None = None) -> tuple[TextKernel, TextFeatures]:
        """The same reader of sentences with the n-grams of these texts; also what is read of the texts."""
        config, ngrams, tfidf = self.config, None, None
        if config.kernel != "vectors":
            ngrams, tfidf = TfidfRows.fit(documents, ngrams=config.ngrams, min_items=config.min_items, sublinear=True)
        vectors = None if self.sentences is None else unit_rows(self.sentences.vectors(documents, monitor))
        return replace(self, ngrams=ngrams), TextFeatures(vectors, tfidf)

    @property
    def report(self) -> FitReport:
        """What training the encoder cost, if there is one."""
        return self.sentences.member.report if isinstance(self.sentences, MemberVectors) else FitReport()

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words of TF-IDF."""
        return None if self.ngrams is None else self.ngrams.vocabulary

    def read(self, documents: Documents) -> TextFeatures:
        """What the kernel reads of any texts."""
        if self.sentences is not None:
            check_order(documents, self.owner, self.config)
        return TextFeatures(
            None if self.sentences is None else unit_rows(self.sentences.vectors(documents)),
            None if self.ngrams is None else self.ngrams.rows(documents),
        )

    def matrix(self, left: TextFeatures, right: TextFeatures) -> FloatArray:
        """k of all pairs, float32 [n, m]."""
        config = self.config
        if config.kernel == "tfidf":
            return sparse_products(left.tfidf, right.tfidf)
        assert left.vectors is not None
        assert right.vectors is not None
        found = left.vectors @ right.vectors.T
        found -= 1
        found /= config.width
        if config.kernel == "product":
            found += config.share * (sparse_products(left.tfidf, right.tfidf) - 1)
        np.exp(found, out=found)
        if config.kernel == "sum":
            found *= 1 - config.share
            found += config.share * sparse_products(left.tfidf, right.tfidf)
        return np.asarray(found, np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For the model folder."""
        sentences = {} if self.sentences is None else self.sentences.arrays()
        return sentences | ({} if self.ngrams is None else self.ngrams.arrays())

    @classmethod
    def restore(
        cls,
        config: TextKernelConfig,
        vocabulary: Vocabulary | None,
        arrays: Mapping[str, npt.NDArray[Any]],
        *,
        owner: str,
        device: str,
        data: Dataset,
    ) -> tuple[TextKernel, TextFeatures]:
        """The inverse of `arrays` of the kernel and of the features of the training texts."""
        sentences: SentenceVectors | MemberVectors | None = None
        ngrams = None
        if config.kernel != "tfidf" and config.encoder is not None:
            sentences = MemberVectors.restore(config.encoder, dict(arrays), device=device, data=data)
        elif config.kernel != "tfidf":
            sentences = SentenceVectors.restore(arrays, device=device, precision=config.precision)
        if config.kernel != "vectors":
            assert vocabulary is not None
            ngrams = TfidfRows.restore(vocabulary, dict(arrays), sublinear=True)
        found = cls(config, sentences, ngrams, owner)
        return found, found.features_of(arrays)

    def features_of(self, arrays: Mapping[str, npt.NDArray[Any]]) -> TextFeatures:
        """The inverse of `TextFeatures.arrays`."""
        columns = 0 if self.ngrams is None else len(self.ngrams.index.keys)
        tfidf = None if self.ngrams is None else csr_from("kernel.tfidf", dict(arrays), columns)
        return TextFeatures(arrays.get("kernel.vectors"), tfidf)


def check_order(documents: Documents, owner: str, config: TextKernelConfig) -> None:
    """Refuse bags of words where the kernel reads words in order."""
    if not documents.ordered and not config.reads_bags:
        needs = f"kernel = {config.kernel!r} reads words in order and these are word counts only"
        reason = f"{needs}; kernel = 'tfidf' reads them"
        raise CapabilityError(owner, "bag_of_words", models_with("bag_of_words"), reason)
