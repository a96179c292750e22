from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from textrec.data.sample import sample
from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.models.ngrams import NgramIndex, ngram_counts
from textrec.registry import create
from textrec.text import Documents, Vocabulary, tokenize

NEW = ["Graph networks for protein folding", "nothing of this is known zzz qqq", "We study enzyme structures"]


@pytest.mark.parametrize("ngrams", [1, 2])
def test_tfidf_rows_are_those_of_scikit_learn(ngrams: int) -> None:
    data = sample()
    texts = [f"{title}\n{text}" for title, text in zip(data.items.titles, data.items.texts, strict=True)]
    oracle = TfidfVectorizer(
        analyzer=lambda text: (
            (words := [token.word for token in tokenize(text)])
            + ([" ".join(pair) for pair in pairwise(words)] if ngrams == 2 else [])
        ),
        min_df=2,
        sublinear_tf=True,
    )
    known = oracle.fit_transform(texts)
    model = create("tfidf", {"ngrams": ngrams}).fit(data)
    assert model.encode(texts).shape == known.shape
    for mine, theirs in ((model.encode(texts), known), (model.encode(NEW), oracle.transform(NEW))):
        # columns stand in another order: compare inner products and sorted rows
        np.testing.assert_allclose(mine @ mine.T, (theirs @ theirs.T).toarray(), atol=1e-5)
        np.testing.assert_allclose(np.sort(mine, 1), np.sort(theirs.toarray(), 1), atol=1e-6)


def test_a_profile_is_the_cosine_with_the_sum_of_liked_rows() -> None:
    data = sample()
    model = create("tfidf").fit(data)
    rows = model.encode(data.items)
    profile = data.likes[[3]].toarray()[0] @ rows
    expected = rows @ (profile / np.linalg.norm(profile))
    np.testing.assert_allclose(model.score([data.users[3]])[0], expected, atol=1e-5)


def test_ngrams_by_hand() -> None:
    texts = Documents.from_texts(["a b a b", "b a", "c"])
    words = Vocabulary.build(texts, min_count=1)  # <UNK> a b c
    documents = words.recode(texts)
    index, counts = NgramIndex.build(documents, longest=2, min_items=1)
    a, b, c, v = words.index["a"], words.index["b"], words.index["c"], len(words)
    keys = {a: 0, b: 0, c: 0, (a + 1) * v + b: 0, (b + 1) * v + a: 0}
    assert index.keys.tolist() == sorted(keys)
    dense = dict(zip(index.keys.tolist(), counts.toarray().T.tolist(), strict=True))
    assert dense[a] == [2, 1, 0]
    assert dense[(a + 1) * v + b] == [2, 0, 0]
    assert dense[(b + 1) * v + a] == [1, 1, 0]
    assert (ngram_counts(documents, index) != counts).nnz == 0
    both, _ = NgramIndex.build(documents, longest=2, min_items=2)
    assert both.keys.tolist() == sorted([a, b, (b + 1) * v + a])


def test_unknown_words_and_empty_indexes() -> None:
    documents = Vocabulary.build(Documents.from_texts(["a b"]), min_count=1).recode(Documents.from_texts(["x y", ""]))
    index, counts = NgramIndex.build(documents, longest=2, min_items=1)
    assert counts.shape == (2, 0)
    assert ngram_counts(documents, index).shape == (2, 0)
    assert index.longest == 1


def test_a_user_without_likes_scores_zero_everywhere() -> None:
    likes = binary_csr([0, 0], [0, 1], (2, 3))
    items = Items.build(["a", "b", "c"], titles=pl.Series(["one two", "two three", "three four"]))
    model = create("tfidf", {"min_items": 1}).fit(Dataset(Ids(["u", "v"]), items, likes))
    assert not model.score(["v"]).any()
    assert model.recommend("v", k=3)["item_id"].to_list() == ["a", "b", "c"]


def test_popularity_counts_likes() -> None:
    data = sample()
    scores = create("popularity").fit(data).score([data.users[0]])[0]
    np.testing.assert_array_equal(scores, data.likes_per_item())
