"""Tokens and their spans, documents as flat arrays, vocabularies."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from textrec.errors import ArgumentError
from textrec.text import NUMBER, UNKNOWN, Documents, Vocabulary, count_words, tokenize

TEXTS = ["Small worlds, small nets.", "", "Nets of 12 cells", "worlds"]

few_words = st.lists(st.sampled_from(["a", "b", "c", "dd", "7"]), max_size=6).map(" ".join)
corpora = st.lists(few_words, max_size=6)


def rows(documents: Documents) -> list[list[str]]:
    return [documents.row_words(row) for row in range(len(documents))]


def bags(texts: list[str]) -> Documents:
    ordered = Documents.from_texts(texts)
    return Documents.from_bags(ordered.words, ordered.matrix())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t", []),
        ("Small worlds: 6 degrees!", ["small", "worlds", ":", NUMBER, "degrees", "!"]),
        ("1,000 or 3.5 or 2.", [NUMBER, "or", NUMBER, "or", NUMBER, "."]),
        ("p53 and 3D", ["p53", "and", "3d"]),
        ("state-of-the-art", ["state", "-", "of", "-", "the", "-", "art"]),
        ("don't", ["don", "'", "t"]),
        ("snake_case", ["snake", "_", "case"]),
        ("Grüße ΣΟΦΌΣ 図書", ["grüße", "σοφός", "図書"]),
        ("٣٤", [NUMBER]),
        ("(a)…", ["(", "a", ")", "…"]),
        ("12.5.2016", [NUMBER]),
        ("1.5x", [NUMBER, ".", "5x"]),
    ],
)
def test_tokens(text: str, words: list[str]) -> None:
    assert [token.word for token in tokenize(text)] == words


@settings(deadline=None)  # the machine may be busy
@given(st.text())
def test_spans_give_the_original_back(text: str) -> None:
    tokens = tokenize(text)
    end = 0
    for token in tokens:
        assert end <= token.start < token.end
        assert not text[end : token.start].strip()  # between tokens there is white space only
        raw = text[token.start : token.end]
        assert token.word == (NUMBER if raw[0].isdigit() and token.word == NUMBER else raw.lower())
        end = token.end
    assert not text[end:].strip()


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet=st.characters(categories=["Nd", "Nl", "No", "L", "P"]), max_size=12))
def test_only_decimal_digits_make_numbers(text: str) -> None:
    for token in tokenize(text):
        if token.word == NUMBER:
            raw = text[token.start : token.end]
            assert all(unicodedata.category(sign) == "Nd" or sign in ".," for sign in raw)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.text(), max_size=5))
def test_documents_hold_the_tokens_of_each_text(texts: list[str]) -> None:
    documents = Documents.from_texts(texts)
    assert documents.ordered
    assert rows(documents) == [[token.word for token in tokenize(text)] for text in texts]
    assert documents.lengths.tolist() == [len(tokenize(text)) for text in texts]
    assert len(set(documents.words)) == len(documents.words)
    assert documents.ids.dtype == np.int32
    assert documents.starts.dtype == np.int64


def test_words_stand_in_the_order_of_appearance() -> None:
    assert Documents.from_texts(TEXTS).words == ["small", "worlds", ",", "nets", ".", "of", NUMBER, "cells"]
    assert len(Documents.from_texts([])) == 0


@pytest.mark.parametrize("make", [Documents.from_texts, bags])
@settings(deadline=None)  # the machine may be busy
@given(corpora, st.data())
def test_take_gives_rows_in_any_order(make, texts: list[str], data: st.DataObject) -> None:
    documents = make(texts)
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=8) if texts else st.just([]))
    taken = documents.take(np.array(chosen, np.int64))
    assert rows(taken) == [documents.row_words(row) for row in chosen]
    assert taken.ordered == documents.ordered
    assert taken.lengths.tolist() == [len(documents.row_words(row)) for row in chosen]


@pytest.mark.parametrize("make", [Documents.from_texts, bags])
@settings(deadline=None)  # the machine may be busy
@given(corpora, st.integers(0, 4))
def test_cut_keeps_the_first_words(make, texts: list[str], most: int) -> None:
    documents = make(texts)
    short = documents.cut(most)
    for row in range(len(texts)):
        kept = slice(documents.starts[row], min(documents.starts[row + 1], documents.starts[row] + most))
        got = slice(short.starts[row], short.starts[row + 1])
        np.testing.assert_array_equal(short.ids[got], documents.ids[kept])
        if documents.counts is not None and short.counts is not None:
            np.testing.assert_array_equal(short.counts[got], documents.counts[kept])
    assert (np.diff(short.starts) <= most).all()


def test_cut_of_short_rows_is_the_same_object() -> None:
    documents = Documents.from_texts(TEXTS)
    assert documents.cut(6) is documents
    assert documents.cut(5) is not documents


@settings(deadline=None)  # the machine may be busy
@given(corpora)
def test_matrix_counts_words(texts: list[str]) -> None:
    documents = Documents.from_texts(texts)
    matrix = documents.matrix()
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(texts), len(documents.words))
    assert matrix.has_canonical_format
    expected = [[row.count(word) for word in documents.words] for row in rows(documents)]
    np.testing.assert_array_equal(matrix.toarray(), np.array(expected).reshape(matrix.shape))
    assert (bags(texts).matrix() != matrix).nnz == 0
    np.testing.assert_array_equal(count_words(documents), matrix.sum(axis=0))
    np.testing.assert_array_equal(count_words(bags(texts)), matrix.sum(axis=0))


def test_matrix_leaves_the_documents_alone() -> None:
    documents = Documents.from_texts(TEXTS)
    before = documents.ids.copy()
    documents.matrix().data[:] = 9
    np.testing.assert_array_equal(documents.ids, before)
    counted = bags(TEXTS)
    counted.matrix().data[:] = 9
    assert counted.lengths.tolist() == documents.lengths.tolist()


def test_bags_have_counts_and_no_order() -> None:
    documents = Documents.from_bags(["b", "a"], sp.csr_array(np.array([[2.0, 1.0], [0.0, 0.0], [0.0, 3.0]])))
    assert not documents.ordered
    assert rows(documents) == [["b", "b", "a"], [], ["a", "a", "a"]]
    assert documents.lengths.tolist() == [3, 0, 3]


@pytest.mark.parametrize("make", [Documents.from_texts, bags])
def test_concatenate_joins_rows(make) -> None:
    documents = make(TEXTS)
    parts = [documents.take(np.array(chosen, np.int64)) for chosen in ([2, 0], [], [1, 3])]
    joined = Documents.concatenate(parts)
    assert rows(joined) == [documents.row_words(row) for row in (2, 0, 1, 3)]
    assert joined.ordered == documents.ordered


def test_starts_must_fit() -> None:
    with pytest.raises(ArgumentError, match="starts must run from 0 to 2, got 0 to 3"):
        Documents(["a"], np.zeros(2, np.int32), np.array([0, 3]))
    with pytest.raises(ArgumentError, match="starts must run from 0 to 2, got 1 to 2"):
        Documents(["a"], np.zeros(2, np.int32), np.array([1, 2]))


def test_memory_mapped_arrays_are_used_as_they_are(tmp_path) -> None:
    documents = Documents.from_texts(TEXTS)
    np.save(tmp_path / "ids.npy", documents.ids)
    mapped = np.load(tmp_path / "ids.npy", mmap_mode="r")
    assert Documents(documents.words, mapped, documents.starts).ids is mapped


def test_vocabularies_stand_by_frequency_then_alphabet() -> None:
    documents = Documents.from_texts(["b a b", "c a b", "d"])
    vocabulary = Vocabulary.build(documents, min_count=1)
    assert list(vocabulary) == [UNKNOWN, "b", "a", "c", "d"]
    assert list(Vocabulary.build(documents, min_count=2)) == [UNKNOWN, "b", "a"]
    assert list(Vocabulary.build(documents, min_count=3, extra=["z", "b", "d"])) == [UNKNOWN, "b", "z", "d"]
    assert list(Vocabulary.build(documents.take(np.array([2])), min_count=1)) == [UNKNOWN, "d"]
    assert list(Vocabulary.build(documents.take(np.array([2])), min_count=0)) == [UNKNOWN, "d"]
    assert vocabulary.index["a"] == 2
    assert len(vocabulary) == 5


def test_vocabularies_of_given_words() -> None:
    assert list(Vocabulary.from_words(["b", "a"])) == [UNKNOWN, "b", "a"]
    assert list(Vocabulary.from_words(["b", UNKNOWN])) == [UNKNOWN, "b"]
    with pytest.raises(ArgumentError, match="vocabulary words must be distinct, got 1 repeated ones"):
        Vocabulary.from_words(["a", "b", "a"])


@pytest.mark.parametrize("make", [Documents.from_texts, bags])
@settings(deadline=None)  # the machine may be busy
@given(corpora)
def test_recode_replaces_unknown_words(make, texts: list[str]) -> None:
    documents = make(texts)
    vocabulary = Vocabulary.from_words(["b", "a", "never"])
    recoded = vocabulary.recode(documents)
    assert recoded.words is vocabulary.words
    assert rows(recoded) == [[word if word in ("a", "b") else UNKNOWN for word in row] for row in rows(documents)]
    assert vocabulary.recode(recoded) is recoded
    assert recoded.ids.dtype == np.int32


def test_a_text_that_spells_a_special_word_does_not_become_one() -> None:
    words = [token.word for token in tokenize("<UNK> <NUM>")]
    assert words == ["<", "unk", ">", "<", "num", ">"]
    assert not re.search("<UNK>|<NUM>", " ".join(words))
