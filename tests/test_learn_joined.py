"""The joined encoder: each reading counts, batched == alone, TF-IDF against scikit-learn, words that join later."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from textrec.errors import ArgumentError
from textrec.learn.encoders import TokenBatch
from textrec.learn.exact import encode_documents
from textrec.learn.features import featured
from textrec.learn.joined import Joined, inverse_frequencies
from textrec.learn.word_vectors import WordVectors
from textrec.text import Documents, Vocabulary

TEXTS = ["graph networks fold proteins", "proteins", "", "graph graph markets", "markets fold"]


def documents(seed: int = 0) -> tuple[Documents, Vocabulary]:
    found = Documents.from_texts(TEXTS)
    vocabulary = Vocabulary.build(found, min_count=1)
    vectors = torch.randn(len(TEXTS), 7, generator=torch.Generator().manual_seed(seed))
    return featured(vocabulary.recode(found), vectors), vocabulary


def encoder(n_words: int, hidden: int = 0) -> Joined:
    torch.manual_seed(1)
    idf = inverse_frequencies(documents()[0])
    return Joined(n_words, embedding_dim=5, hidden_dim=4, dim=6, sentence_dim=7, hidden=hidden, idf=idf).eval()


@pytest.mark.parametrize("hidden", [0, 9])
def test_one_by_one_equals_the_batch_and_an_empty_text_is_zero(hidden: int) -> None:
    texts, vocabulary = documents()
    model = encoder(len(vocabulary), hidden)
    together = encode_documents(model, texts)
    alone = [encode_documents(model, texts.take(np.array([row]))) for row in range(len(TEXTS))]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)
    assert not together[2].any()


def test_every_reading_counts_and_learns() -> None:
    texts, vocabulary = documents()
    model = encoder(len(vocabulary), 3)
    base = encode_documents(model, texts)
    assert not np.allclose(encode_documents(model, documents(seed=1)[0]), base)
    model.train()(TokenBatch.of(texts, np.arange(len(TEXTS)))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_bag_is_the_tfidf_row() -> None:
    texts, vocabulary = documents()
    model = encoder(len(vocabulary))
    rows = TfidfVectorizer().fit(TEXTS)
    weights = torch.zeros(len(vocabulary), len(rows.vocabulary_))
    for word, column in rows.vocabulary_.items():
        weights[vocabulary.index[word], column] = 1
    model.bag = torch.nn.Embedding(*weights.shape, _weight=weights)
    found = model._bag(TokenBatch.of(texts, np.arange(len(TEXTS)))).detach().numpy()
    np.testing.assert_allclose(found[[0, 1, 2, 4]], rows.transform(TEXTS).toarray()[[0, 1, 2, 4]], atol=1e-6)
    twice = found[3] / np.linalg.norm(found[3])  # a word that occurs twice is summed after the length is set
    np.testing.assert_allclose(twice, rows.transform(TEXTS).toarray()[3], atol=1e-6)


def test_words_that_join_later_change_nothing_known() -> None:
    texts, vocabulary = documents()
    model = encoder(len(vocabulary))
    before = encode_documents(model, texts)
    more = WordVectors(["graph", "newcomer"], np.ones((2, 5), np.float32))
    wider = model.widen(more, vocabulary, 1.0, 10)
    assert len(wider) == len(model.idf) == len(model.bag.weight) == len(model.words.weight) == len(vocabulary) + 1
    np.testing.assert_allclose(encode_documents(model, texts), before, atol=1e-6)
    model.narrow(len(vocabulary))
    assert len(model.idf) == len(model.bag.weight) == len(model.words.weight) == len(vocabulary)
    np.testing.assert_allclose(encode_documents(model, texts), before, atol=1e-6)


def test_documents_without_sentence_vectors_are_refused() -> None:
    texts, vocabulary = documents()
    bare = Documents(texts.words, texts.ids, texts.starts)
    with pytest.raises(ArgumentError, match="reads documents that carry sentence vectors, got none"):
        encode_documents(encoder(len(vocabulary)), bare)
