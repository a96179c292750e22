"""CBOW: word vectors from plain text, each word predicted from the mean of its neighbours (paper §4.1.2).

gensim computes the updates; this module brings the paper's tokens, progress and the seed.

Shapes: `V` words, `D` word-vector size, `N` tokens.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from textrec.config import Config, bounded
from textrec.errors import DataError, MissingExtraError
from textrec.learn.model import Monitor
from textrec.learn.word_vectors import WordVectors
from textrec.text import Documents, count_words

__all__ = ["CbowConfig", "train_cbow"]

_SLICE_TOKENS = 400_000  # between two reports of progress: a few seconds of work
_LONGEST = 10_000  # gensim drops what a sentence has beyond this


@dataclass(frozen=True)
class CbowConfig(Config):
    """How word vectors are trained."""

    dim: int = bounded(200, 1)
    """D, the size of a word vector (paper §4.1.2)."""

    epochs: int = bounded(5, 1)
    """Passes over the corpus."""

    window: int = bounded(5, 1)
    """Neighbours on either side, at most; each word draws how many."""

    min_count: int = bounded(5, 1)
    """Words seen less often in the corpus get no vector."""

    negative: int = bounded(10, 1)
    """Words drawn as wrong answers for each right one."""

    sample: float = bounded(1e-4, 0.0)
    """Words more frequent than this share of the corpus are thinned out; 0 keeps all."""

    learning_rate: float = bounded(0.05, above=0.0)
    """Falls in a straight line to a thousandth of it."""


def train_cbow(
    documents: Documents,
    config: CbowConfig | None = None,
    *,
    seed: int = 0,
    workers: int = 1,
    monitor: Monitor | None = None,
) -> WordVectors:
    """Word vectors of the words of a corpus, the most frequent word first.

    Args:
        documents: texts in word order.
        config: None for the defaults.
        seed: with one worker the same seed gives the same vectors; several race for them.
        workers: threads.
        monitor: told after each slice of an epoch and each epoch: `{"event": "epoch", "epoch": 1, "epochs": 5, …}`.

    Raises:
        MissingExtraError: gensim is not installed.
        DataError: the texts are bags of words, or no word is frequent enough.
    """
    config = config or CbowConfig()
    if not documents.ordered:
        raise DataError("CBOW reads words in order and the data hold word counts only; give a corpus of texts")
    counts = count_words(documents).astype(np.int64)
    frequent = np.flatnonzero(counts >= config.min_count).tolist()
    if not frequent:
        most = int(counts.max(initial=0))
        raise DataError(
            f"no word of the corpus occurs {config.min_count} times or more (the most frequent one {most} times); "
            "give more text or lower min_count"
        )
    frequent.sort(key=lambda row: (-counts[row], documents.words[row]))
    model = _new_model(config, seed, workers)
    # gensim numbers the words as it meets them and sorts by falling count, which keeps this order
    model.build_vocab_from_freq({documents.words[row]: int(counts[row]) for row in frequent})
    _run(model, documents, config, monitor)
    matrix = np.ascontiguousarray(model.wv.vectors, np.float32)
    corpus = {"texts": len(documents), "tokens": len(documents.ids)}
    settings = {**asdict(config), "seed": seed, "workers": workers, **corpus}
    return WordVectors(list(model.wv.index_to_key), matrix, settings)


def _new_model(config: CbowConfig, seed: int, workers: int) -> Any:
    try:
        from gensim.models import Word2Vec
    except ImportError:
        raise MissingExtraError("gensim", "pretrain") from None
    return Word2Vec(
        vector_size=config.dim,
        window=config.window,
        min_count=config.min_count,
        negative=config.negative,
        sample=config.sample,
        alpha=config.learning_rate,
        workers=workers,
        seed=seed,
        sg=0,
        cbow_mean=1,
    )


def _run(model: Any, documents: Documents, config: CbowConfig, monitor: Monitor | None) -> None:
    slices, table = _slices(documents), np.array(documents.words, object)
    started, total = time.perf_counter(), len(slices) * config.epochs
    high, low = config.learning_rate, config.learning_rate / 1000
    for done, (epoch, (start, stop)) in enumerate(itertools.product(range(config.epochs), slices)):
        sentences = list(_sentences(documents, table, start, stop))
        rates = [high + (low - high) * place / total for place in (done, done + 1)]
        model.train(sentences, total_examples=len(sentences), epochs=1, start_alpha=rates[0], end_alpha=rates[1])
        if monitor is None:
            continue
        in_epoch = done + 1 - epoch * len(slices)
        monitor({"event": "step", "epoch": epoch + 1, "done": in_epoch, "total": len(slices), "epochs": config.epochs})
        if in_epoch == len(slices):
            seconds = time.perf_counter() - started
            rate = (epoch + 1) * len(documents) / max(seconds, 1e-9)
            event = {"event": "epoch", "epoch": epoch + 1, "epochs": config.epochs, "seconds": seconds}
            monitor(event | {"documents_per_second": rate})


def _slices(documents: Documents) -> list[tuple[int, int]]:
    """Rows from … to … of about `_SLICE_TOKENS` tokens each."""
    part = documents.starts[:-1] // _SLICE_TOKENS
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(documents)]
    return list(itertools.pairwise(edges))


def _sentences(documents: Documents, table: Any, first: int, last: int) -> Iterator[list[str]]:
    """The texts of a slice as words of `table` [V]; what is too long for gensim comes in pieces."""
    bounds = documents.starts[first : last + 1]
    words: list[str] = table[documents.ids[bounds[0] : bounds[-1]]].tolist()
    for start, stop in itertools.pairwise((bounds - bounds[0]).tolist()):
        for piece in range(start, stop, _LONGEST):
            yield words[piece : min(piece + _LONGEST, stop)]
