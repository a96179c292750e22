"""Ids, items and likes: the central object."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from textrec.dataset import Csr, Dataset, Ids, Items, binary_csr, full_texts
from textrec.errors import ArgumentError, DataError
from textrec.text import Documents


def csr(matrix: list[list[int]]) -> Csr:
    return sp.csr_array(np.array(matrix, np.float32))


def tiny(**changes: object) -> Dataset:
    items = Items.build(
        ["i", "j", "k"],
        titles=pl.Series(["One", "", "Three"]),
        texts=pl.Series(["", "second text", "third"]),
        tags=csr([[1, 0], [1, 1], [0, 0]]),
        tag_names=["x", "y"],
    )
    likes = csr([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]])
    timestamps = likes.astype(np.int64)
    timestamps.data[:] = np.arange(10, 16)
    return dataclasses.replace(Dataset(Ids("abcd"), items, likes, timestamps, name="tiny"), **changes)  # type: ignore[arg-type]


def test_ids_and_rows() -> None:
    ids = Ids(["b", "a", ""])
    assert list(ids) == ["b", "a", ""]
    assert len(ids) == 3
    assert ids[1] == "a"
    assert ids[np.int64(0)] == "b"
    assert "a" in ids
    assert "z" not in ids
    assert 3 not in ids
    assert ids.rows(["a", "z", "b", "a"]).tolist() == [1, -1, 0, 1]
    assert ids.rows([]).dtype == np.int64
    assert list(ids.take(np.array([2, 0]))) == ["", "b"]
    assert ids.names(np.array([[0, 0], [1, 2]])).to_list() == ["b", "b", "a", ""]


def test_integers_become_text() -> None:
    assert list(Ids(pl.Series([3, 10]))) == ["3", "10"]
    assert Ids(pl.Series([3, 10])).rows(["10", "03"]).tolist() == [1, -1]
    assert len(Ids([])) == 0


def test_ids_are_distinct() -> None:
    with pytest.raises(ArgumentError, match="ids must be distinct, got 'b' more than once"):
        Ids(["a", "b", "c", "b"])
    with pytest.raises(ArgumentError, match="ids must be distinct, got '1' more than once"):
        Ids(["0", "1", "2"]).take(np.array([1, 1]))


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.text(), unique=True, max_size=8))
def test_rows_undo_names(values: list[str]) -> None:
    ids = Ids(values)
    rows = np.arange(len(values))
    assert ids.names(rows).to_list() == values
    np.testing.assert_array_equal(ids.rows(values), rows)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=30))
def test_binary_csr_is_a_set_of_pairs(pairs: list[tuple[int, int]]) -> None:
    matrix = binary_csr([row for row, _ in pairs], [column for _, column in pairs], (4, 5))
    expected = np.zeros((4, 5))
    for row, column in pairs:
        expected[row, column] = 1
    np.testing.assert_array_equal(matrix.toarray(), expected)
    assert matrix.nnz == len(set(pairs))
    assert matrix.dtype == np.float32
    assert matrix.has_sorted_indices
    assert matrix.has_canonical_format
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 3), (2, 2)])
def test_empty_matrices(shape: tuple[int, int]) -> None:
    matrix = binary_csr([], [], shape)
    assert matrix.shape == shape
    assert matrix.nnz == 0


def test_title_and_text_are_joined_by_one_rule() -> None:
    titles = pl.Series("t", ["One", "", "Three", None, None])
    texts = pl.Series("x", ["", "second", "third\n", "fourth", None])
    assert full_texts(titles, texts).to_list() == ["One", "second", "Three\nthird", "fourth", ""]


def test_items_have_blank_defaults() -> None:
    items = Items.build(["i", "j"])
    assert items.titles.to_list() == items.texts.to_list() == ["", ""]
    assert items.documents.lengths.tolist() == [0, 0]
    assert items.tags.shape == (2, 0)
    assert len(items.tag_names) == 0
    read = Items.build(["i"], titles=pl.Series([None], dtype=pl.String), texts=pl.Series(["Big Cats"]))
    assert read.titles.to_list() == [""]
    assert read.documents.row_words(0) == ["big", "cats"]


def test_columns_must_fit() -> None:
    with pytest.raises(ArgumentError, match=r"2 items need as many titles, .* got \(2, 1, 2, 2\)"):
        Items.build(["i", "j"], texts=pl.Series(["one"]), documents=Documents.from_texts(["", ""]))
    with pytest.raises(ArgumentError, match="1 tags need as many columns, got 2"):
        Items.build(["i"], tags=csr([[1, 1]]), tag_names=["x"])


def test_items_of_some_rows() -> None:
    taken = tiny().items.take(np.array([2, 0]))
    assert list(taken.ids) == ["k", "i"]
    assert taken.titles.to_list() == ["Three", "One"]
    assert taken.texts.to_list() == ["third", ""]
    assert taken.documents.row_words(0) == ["three", "third"]
    np.testing.assert_array_equal(taken.tags.toarray(), [[0, 0], [1, 0]])
    bare = tiny().items.without_tags()
    assert bare.tags.shape == (3, 2)
    assert bare.tags.nnz == 0
    assert list(bare.tag_names) == ["x", "y"]


def test_labels_are_titles_or_the_next_best() -> None:
    items = tiny().items
    assert [items.label(row) for row in range(3)] == ["One", "second text", "Three"]
    long = Items.build(["i"], texts=pl.Series(["word \n" * 100]))
    assert long.label(0) == " ".join((["word"] * 33) + ["wo"])
    bag = Documents.from_bags(["b", "a"], csr([[2, 1], [0, 0]]))
    assert Items.build(["i", "j"], documents=bag).label(0) == "b a"
    assert Items.build(["i", "j"], documents=bag).label(1) == ""


def test_a_bag_is_labelled_by_its_commonest_words() -> None:
    bag = Documents.from_bags(["rare", "common", "often"], csr([[1, 9, 3]]))
    assert Items.build(["i"], documents=bag).label(0) == "common often rare"


def test_sizes() -> None:
    data = tiny()
    assert (data.n_users, data.n_items, data.n_likes) == (4, 3, 6)
    assert data.likes_per_user().tolist() == [2, 1, 3, 0]
    assert data.likes_per_item().tolist() == [2, 2, 2]
    assert data.likes_per_user().dtype == data.likes_per_item().dtype == np.int64
    with pytest.raises(ArgumentError, match=r"likes must be 4 users × 3 items, got \(4, 2\)"):
        tiny(likes=csr([[1, 0]] * 4))


def test_taking_users_and_items() -> None:
    data = tiny()
    users = data.take_users(np.array([2, 0]))
    assert list(users.users) == ["c", "a"]
    np.testing.assert_array_equal(users.likes.toarray(), [[1, 1, 1], [1, 0, 1]])
    np.testing.assert_array_equal(users.timestamps.toarray(), [[13, 14, 15], [10, 0, 11]])
    items = data.take_items(np.array([2, 0]))
    assert list(items.items.ids) == ["k", "i"]
    np.testing.assert_array_equal(items.likes.toarray(), [[1, 1], [0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(items.timestamps.toarray(), [[11, 10], [0, 0], [15, 13], [0, 0]])
    assert items.likes.has_sorted_indices
    np.testing.assert_array_equal(items.timestamps.indices, items.likes.indices)
    assert data.with_likes(data.likes).timestamps is None


def test_timestamps_stand_beside_their_likes_after_taking_items() -> None:
    data = tiny().take_items(np.array([2, 1, 0]))
    np.testing.assert_array_equal(data.timestamps.indices, data.likes.indices)
    np.testing.assert_array_equal(data.timestamps.data, [11, 10, 12, 15, 14, 13])


def test_filters_take_users_first_and_count_tags_as_read() -> None:
    kept = tiny().filtered(min_likes=2, min_tag_items=2)
    assert list(kept.users) == ["a", "c"]
    assert list(kept.items.ids) == ["i", "j", "k"]
    assert list(kept.items.tag_names) == ["x"]
    np.testing.assert_array_equal(kept.items.tags.toarray(), [[1], [1], [0]])
    assert kept.timestamps.nnz == 5
    everything = tiny().filtered(min_likes=0, min_tag_items=0)
    assert everything.equals(tiny())
    with pytest.raises(DataError, match="tiny: none of 4 users has 4 likes or more; lower --min-likes"):
        tiny().filtered(min_likes=4)
    with pytest.raises(DataError, match="the data: none of 4 users"):
        tiny(name="").filtered(min_likes=4)


def test_equal_means_every_part() -> None:
    data = tiny()
    assert data.equals(tiny(name="another"))
    items = data.items
    others = {
        "users": tiny(users=Ids("abce")),
        "likes": data.with_likes(csr([[0, 1, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]])),
        "no times": tiny(timestamps=None),
        "times": tiny(timestamps=data.timestamps * 2),
        "item ids": tiny(items=dataclasses.replace(items, ids=Ids("ijx"))),
        "titles": tiny(items=dataclasses.replace(items, titles=pl.Series(["one", "", "Three"]))),
        "texts": tiny(items=dataclasses.replace(items, texts=pl.Series(["", "second text", "4th"]))),
        "tags": tiny(items=items.without_tags()),
        "tag names": tiny(items=dataclasses.replace(items, tag_names=Ids("xz"))),
        "words": tiny(items=dataclasses.replace(items, documents=Documents.from_texts(["one", "two", "three"]))),
        "bags": tiny(
            items=dataclasses.replace(
                items, documents=Documents.from_bags(items.documents.words, items.documents.matrix())
            )
        ),
    }
    for part, other in others.items():
        assert not data.equals(other), part
        assert not other.equals(data), part
    assert tiny(timestamps=None).equals(tiny(timestamps=None))


def test_parts_are_frozen_and_arrays_are_not_copied() -> None:
    likes = tiny().likes
    data = tiny(likes=likes)
    assert data.likes is likes
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "x"  # type: ignore[misc]
