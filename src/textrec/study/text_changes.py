"""Changed texts, for ablations: tags as words (paper §2.4), words in random order (§3.2)."""

from __future__ import annotations

import dataclasses

import numpy as np

from textrec.dataset import Dataset, Items
from textrec.text import Documents

__all__ = ["with_shuffled_words", "with_tag_words"]


def with_tag_words(data: Dataset) -> Dataset:
    """The same data with each visible tag as one more word, `tag:NAME`, at the head of its item's text.

    The paper argues against it: new items have no tags yet. So only training items get them.

    Shapes: `I` items, `T` tags on items, `N` tokens.
    """
    items = data.items
    return dataclasses.replace(data, items=dataclasses.replace(items, documents=_joined(items)))


def with_shuffled_words(data: Dataset, seed: int) -> Dataset:
    """The same data with the words of each text in random order; what a model then loses, it had read from order.

    Bags of words stay as they are.
    """
    documents = data.items.documents
    if not documents.ordered:
        return data
    rows = np.repeat(np.arange(len(documents)), np.diff(documents.starts))
    order = np.lexsort((np.random.default_rng(seed).random(len(rows)), rows))
    shuffled = dataclasses.replace(documents, ids=documents.ids[order])
    return dataclasses.replace(data, items=dataclasses.replace(data.items, documents=shuffled))


def _joined(items: Items) -> Documents:
    documents, tags = items.documents, items.tags
    sizes, added = np.diff(documents.starts), np.diff(tags.indptr).astype(np.int64)
    starts = np.zeros(len(items) + 1, np.int64)
    np.cumsum(sizes + added, out=starts[1:])
    ids = np.empty(starts[-1], np.int32)
    of_tag = np.arange(len(tags.indices)) + np.repeat(starts[:-1] - tags.indptr[:-1], added)  # [T]
    of_word = np.arange(len(documents.ids)) + np.repeat(starts[:-1] + added - documents.starts[:-1], sizes)  # [N]
    ids[of_tag] = tags.indices + len(documents.words)
    ids[of_word] = documents.ids
    counts = None
    if documents.counts is not None:
        counts = np.ones(len(ids), np.float32)
        counts[of_word] = documents.counts
    words = [*documents.words, *(f"tag:{name}" for name in items.tag_names)]
    return Documents(words, ids, starts, counts)
