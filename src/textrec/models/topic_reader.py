"""Base of the models that read a text as topic proportions θ: words, LDA, θ of any text.

Shapes: `I` items, `V` words, `K` topics.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import MutableMapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from textrec.config import bounded
from textrec.dataset import Csr, Dataset, Items
from textrec.learn.model import Capability, Checkpoint, FitReport, Monitor
from textrec.models.factor_model import FactorConfig, FactorModel
from textrec.models.topics import TopicModel, random_start, sklearn_start
from textrec.protocol.splits import Fold
from textrec.text import Documents, Vocabulary, count_words

__all__ = ["TopicConfig", "TopicReader", "topic_words", "word_counts"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TopicConfig(FactorConfig):
    """What every topic model has; `factors` is the number of topics."""

    max_words: int = bounded(20_000, 1)
    """Words kept, those of highest summed TF-IDF; stop words, numbers and single characters never are."""

    min_items: int = bounded(2, 1)
    """A word in fewer training texts is left out."""

    topic_passes: int = bounded(10, 0)
    """Passes of variational inference over the training texts."""

    topic_start: Literal["random", "scikit-learn"] = "random"
    """Where the topics start: at random, or at scikit-learn's after as many passes (several times slower)."""

    doc_prior: float = bounded(0.3, above=0.0)
    """α, the Dirichlet prior of a text's topics."""

    word_prior: float = bounded(0.3, above=0.0)
    """η, the Dirichlet prior of a topic's words."""


class TopicReader(FactorModel):
    """Learns topics from the training texts; a subclass learns the factors around θ in `_learn_factors`."""

    capabilities: frozenset[Capability] = frozenset({"cold", "fold_in", "vectors", "bag_of_words"})
    config_type = TopicConfig

    topic_cache: ClassVar[MutableMapping[str, tuple[FloatArray, FloatArray]] | None] = None
    """A study may put a mapping here: models of the same texts, topic settings and seed then share one LDA."""

    vocabulary: Vocabulary
    _topics: FloatArray  # [K, V] Dirichlet parameters λ of the topics
    _theta: FloatArray  # [I, K] θ of the catalogue

    @abstractmethod
    def _learn_factors(self, counts: Csr, monitor: Monitor | None) -> None:
        """Users and items from `self._theta` and `self.data`; after Ctrl-C (`report.interrupted`) at once."""

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        self.report = FitReport()
        config = self.config
        self.vocabulary = topic_words(train.items.documents, most=config.max_words, min_items=config.min_items)
        counts = word_counts(self.vocabulary, train.items.documents)
        self._topics, self._theta = self._learn_topics(counts, monitor)
        self._learn_factors(counts, monitor)

    def _learn_topics(self, counts: Csr, monitor: Monitor | None) -> tuple[FloatArray, FloatArray]:
        """λ [K, V] and θ [I, K], from the cache when they are there."""
        key = self._topic_key(counts)
        if self.topic_cache is not None and key in self.topic_cache:
            return self.topic_cache[key]
        passes = self.config.topic_passes
        model = self._topic_model(self._first_topics(counts))
        try:
            model.fit(counts, passes=passes, on_pass=_told(monitor, passes))
        except KeyboardInterrupt:  # the topics of the last whole pass stand
            self.report.interrupted = True
        found = model.weights, model.proportions(counts)
        if self.topic_cache is not None and not self.report.interrupted:
            self.topic_cache[key] = found
        return found

    def _topic_key(self, counts: Csr) -> str:
        """SHA-256 of everything that topics follow from."""
        settings = [getattr(self.config, field.name) for field in fields(TopicConfig)]
        digest = hashlib.sha256(repr((settings, self.seed, counts.shape)).encode())
        for part in (counts.data, counts.indices, counts.indptr):
            digest.update(part.tobytes())
        return digest.hexdigest()

    def _first_topics(self, counts: Csr) -> FloatArray:
        config = self.config
        if config.topic_start == "random":
            return random_start(config.factors, counts.shape[1], np.random.default_rng(self.seed))
        return sklearn_start(
            counts,
            config.factors,
            passes=max(config.topic_passes, 1),
            seed=self.seed,
            doc_prior=config.doc_prior,
            word_prior=config.word_prior,
        )

    def _topic_model(self, weights: FloatArray) -> TopicModel:
        return TopicModel(weights, self.config.doc_prior, self.config.word_prior)

    def _new_reps(self, items: Items) -> FloatArray:
        return self._encode(items)

    def _encode(self, items: Items) -> FloatArray:
        return self._topic_model(self._topics).proportions(word_counts(self.vocabulary, items.documents))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return super()._arrays() | {"theta": self._theta, "topics": self._topics}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._restore(arrays)
        self._theta, self._topics = arrays["theta"], arrays["topics"]


def topic_words(documents: Documents, *, most: int, min_items: int) -> Vocabulary:
    """The words that topics are made of (paper §4.1.2): no stop words, and those of highest summed TF-IDF.

    Args:
        documents: the training texts.
        most: words kept.
        min_items: fewest texts a word must be in.
    """
    n_texts = np.bincount(np.unique(_cells(documents)) % len(documents.words), minlength=len(documents.words))
    value = count_words(documents) * np.log((1 + len(documents)) / (1 + n_texts))
    telling = np.fromiter(map(_is_telling, documents.words), np.bool_, len(documents.words))
    rows = np.flatnonzero(telling & (n_texts >= min_items))
    ranked = sorted(rows.tolist(), key=lambda row: (-value[row], documents.words[row]))
    return Vocabulary.from_words(documents.words[row] for row in ranked[:most])


def word_counts(vocabulary: Vocabulary, documents: Documents) -> Csr:
    """Counts of the vocabulary's words in each text, without `<UNK>`, float32 CSR [n, V]."""
    return sp.csr_array(vocabulary.recode(documents).matrix()[:, 1:])


def _cells(documents: Documents) -> npt.NDArray[np.int64]:
    """One number a word occurrence, the same for the same word in the same text."""
    rows = np.repeat(np.arange(len(documents)), np.diff(documents.starts))
    return np.asarray(rows * len(documents.words) + documents.ids, np.int64)


def _is_telling(word: str) -> bool:
    return len(word) > 1 and word[0] != "<" and word not in ENGLISH_STOP_WORDS and any(map(str.isalpha, word))


def _told(monitor: Monitor | None, passes: int) -> Any:
    if monitor is None:
        return None
    return lambda number, perplexity: monitor(
        {"event": "topics", "pass": number, "passes": passes, "perplexity": perplexity}
    )
