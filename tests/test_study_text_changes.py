from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from textrec.data.sample import sample
from textrec.dataset import Items, binary_csr
from textrec.protocol.splits import split
from textrec.registry import create
from textrec.study.evaluation import evaluate_fold
from textrec.study.text_changes import with_shuffled_words, with_tag_words
from textrec.text import Documents


@pytest.mark.parametrize("ordered", [True, False])
def test_tags_stand_before_the_words(ordered: bool) -> None:
    data = sample()
    documents = Documents.from_texts(["one two", "", "two"])
    if not ordered:
        documents = Documents.from_bags(documents.words, documents.matrix())
    tags = binary_csr([0, 0, 1], [1, 0, 1], (3, 2))
    items = Items.build(["a", "b", "c"], documents=documents, tags=tags, tag_names=["x", "y z"])
    few = type(data)(data.users, items, binary_csr([0], [0], (data.n_users, 3)))
    found = with_tag_words(few).items
    assert [found.documents.row_words(row) for row in range(3)] == [
        ["tag:x", "tag:y z", "one", "two"],
        ["tag:y z"],
        ["two"],
    ]
    assert found.documents.ordered == ordered
    assert found.tags is items.tags


def test_a_model_reads_them_and_held_out_items_have_none() -> None:
    data = sample().filtered()
    fold = split(data, "cold").fold(data, 0)
    model = create("tfidf").fit(with_tag_words(fold.train))
    assert model.vocabulary is None or any(word.startswith("tag:") for word in model.vocabulary)
    plain, _ = evaluate_fold(fold, "tfidf")
    helped, _ = evaluate_fold(fold, "tfidf", prepare=with_tag_words)
    assert plain["recall@10"] != helped["recall@10"]
    assert not any(word.startswith("tag:") for word in fold.candidates.documents.words)


def test_validation_items_show_no_tags() -> None:
    """What is held out of the training part is ranked by its text alone."""
    seen = []

    def prepare(train):  # type: ignore[no-untyped-def]
        seen.append(train.n_items)
        return with_tag_words(train)

    data = sample().filtered()
    fold = split(data, "cold").fold(data, 0)
    config = {"factors": 8, "epochs": 1, "min_count": 1}
    evaluate_fold(fold, "embed", config=config, prepare=prepare)
    assert len(seen) == 2
    assert seen[0] < seen[1] == fold.train.n_items  # the validation part first, without its held-out items
    assert np.diff(fold.train.items.documents.starts).sum() == len(fold.train.items.documents.ids)


def test_shuffled_texts_have_the_same_words_in_another_order() -> None:
    data = sample()
    found = with_shuffled_words(data, 3)
    before, after = data.items.documents, found.items.documents
    assert (before.matrix() != after.matrix()).nnz == 0
    assert not np.array_equal(before.ids, after.ids)
    assert np.array_equal(after.ids, with_shuffled_words(data, 3).items.documents.ids)
    assert not np.array_equal(after.ids, with_shuffled_words(data, 4).items.documents.ids)
    bag = Documents.from_bags(before.words, before.matrix())
    bags = dataclasses.replace(data, items=dataclasses.replace(data.items, documents=bag))
    assert with_shuffled_words(bags, 3) is bags
