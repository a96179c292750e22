from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from textrec.errors import ArgumentError, DataError
from textrec.learn.encoders import Embed, Gru, TextEncoder
from textrec.learn.word_vectors import FORMAT, WordVectors, named_vectors, read_word_vectors
from textrec.text import NUMBER, UNKNOWN, Documents, Vocabulary

WORDS = ["the", "graph", NUMBER, "Graph", "protein", "two words", "node"]
MATRIX = np.array([[3, 4], [1, 0], [0, 2], [5, 5], [1, 1], [7, 7], [2, 0.1]], np.float32)


@pytest.fixture
def vectors() -> WordVectors:
    return WordVectors(WORDS, MATRIX, {"dim": 2, "seed": 3})


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"3 words need a matrix of as many rows, got \(2, 2\)"):
        WordVectors(["a", "b", "c"], MATRIX[:2])
    with pytest.raises(ArgumentError, match="words must be distinct, got 1 repeated ones"):
        WordVectors(["a", "a"], MATRIX[:2])
    with pytest.raises(ArgumentError, match="matrix must hold finite numbers, got NaN or infinity"):
        WordVectors(["a"], np.array([[np.nan]], np.float32))


def test_nearest(vectors: WordVectors) -> None:
    near = vectors.nearest("graph", 3)
    assert [word for word, _ in near] == ["node", "Graph", "protein"]
    assert near[0][1] == pytest.approx(2 / np.sqrt(4.01))
    assert near[1][1] == pytest.approx(np.sqrt(0.5))
    assert len(vectors.nearest("graph", 100)) == len(WORDS) - 1
    with pytest.raises(ArgumentError, match=r"no vector for the word 'nope'; words are lower case"):
        vectors.nearest("nope")


def test_the_folder_comes_back(vectors: WordVectors, tmp_path: Path) -> None:
    place = vectors.save(tmp_path / "vectors")
    assert {entry.name for entry in place.iterdir()} == {"config.json", "vectors.safetensors", "vocabulary.json"}
    again = read_word_vectors(place)
    assert list(again.words) == WORDS
    np.testing.assert_array_equal(again.matrix, MATRIX)
    assert again.settings == {"dim": 2, "seed": 3}
    WordVectors(["other"], MATRIX[:1]).save(place)
    assert list(read_word_vectors(place).words) == ["other"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["vectors"]


def test_files_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("a 1 2\nb 3 4\n", encoding="utf-8")
    found = named_vectors(str(path))
    assert found is not None
    assert (list(found.words), found.dim, "b" in found, "c" in found) == (["a", "b"], 2, True, False)
    assert named_vectors(None) is None


def test_other_folders_are_neither_read_nor_overwritten(vectors: WordVectors, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").touch()
    for path in (tmp_path / "thesis", tmp_path / "thesis" / "thesis.txt"):
        with pytest.raises(DataError, match="exists and is not a folder of word vectors; choose another place"):
            vectors.save(path)
    with pytest.raises(DataError, match="not a folder of word vectors"):
        read_word_vectors(tmp_path / "thesis")
    with pytest.raises(DataError, match=r"no such word vectors; make them with `textrec pretrain CORPUS --out .*none`"):
        read_word_vectors(tmp_path / "none")


def test_a_failed_write_leaves_the_old_folder(
    vectors: WordVectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = vectors.save(tmp_path / "vectors")

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DataError, match=r"could not be written \(No space left on device\)"):
        WordVectors(["other"], MATRIX[:1]).save(place)
    monkeypatch.undo()
    assert list(read_word_vectors(place).words) == WORDS


@pytest.mark.parametrize("name", ["vectors.safetensors", "vocabulary.json"])
def test_damage_is_named(vectors: WordVectors, tmp_path: Path, name: str) -> None:
    place = vectors.save(tmp_path / "vectors")
    content = (place / name).read_bytes()
    (place / name).write_bytes(content[:-1] + b"x")
    with pytest.raises(DataError, match=f"damaged: the hash of {name} differs; train or copy the word vectors again"):
        read_word_vectors(place)
    (place / name).unlink()
    with pytest.raises(DataError, match=r"damaged: .*No such file"):
        read_word_vectors(place)


def test_a_newer_format_is_refused(vectors: WordVectors, tmp_path: Path) -> None:
    place = vectors.save(tmp_path / "vectors")
    manifest = json.loads((place / "config.json").read_text(encoding="utf-8"))
    (place / "config.json").write_text(json.dumps(manifest | {"format": FORMAT + 1, "textrec": "9"}), encoding="utf-8")
    with pytest.raises(DataError, match=f"written by textrec 9 in format 2, .* reads up to format {FORMAT}"):
        read_word_vectors(place)


def test_the_words_of_training_texts_and_those_beyond(vectors: WordVectors) -> None:
    documents = Documents.from_texts(["Protein of the", "the sea"])
    assert vectors.words_of(documents) == ["the", "protein"]
    # the word list of rows that were taken from a larger table holds words that none of them has
    assert vectors.words_of(documents.take(np.array([1]))) == ["the"]
    vocabulary = Vocabulary.from_words(["the", "protein"])
    assert vectors.words_beyond(vocabulary, 9) == ["graph", NUMBER, "node"]
    assert vectors.words_beyond(vocabulary, 1) == ["graph"]
    assert vectors.words_beyond(vocabulary, 0) == []


def test_rows_have_one_norm(vectors: WordVectors) -> None:
    rows = vectors.rows_for(["the", "graph", "the"], 0.5)
    np.testing.assert_allclose(rows, [[0.3, 0.4], [0.5, 0], [0.3, 0.4]], rtol=1e-6)
    assert rows.dtype == np.float32
    zeros = WordVectors(["a"], np.zeros((1, 2), np.float32))
    np.testing.assert_array_equal(zeros.rows_for(["a"], 0.5), [[0, 0]])
    assert vectors.rows_for([], 1.0).shape == (0, 2)


ENCODERS = [lambda: Embed(3, 2), lambda: Gru(3, 2, 4, 3)]


@pytest.mark.parametrize("make", ENCODERS)
def test_an_encoder_starts_from_them_and_is_widened(vectors: WordVectors, make: Callable[[], TextEncoder]) -> None:
    encoder, vocabulary = make(), Vocabulary.from_words(["sea", "protein"])
    before = encoder.words.weight.detach().clone()
    encoder.start_from(vectors, vocabulary, 0.5)
    after = encoder.words.weight.detach().clone()
    assert vocabulary.words[0] == UNKNOWN
    torch.testing.assert_close(after[:2], before[:2])
    torch.testing.assert_close(after[2], torch.tensor([0.5, 0.5]) / 2**0.5)
    assert encoder.words.weight.requires_grad
    wider = encoder.widen(vectors, vocabulary, 0.5, 3)
    assert list(wider.words) == [UNKNOWN, "sea", "protein", "the", "graph", NUMBER]
    torch.testing.assert_close(encoder.words.weight[:3], after)
    wanted = 0.5 * torch.tensor([[0.6, 0.8], [1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(encoder.words.weight[3:].detach(), wanted)
    assert encoder.words.weight.requires_grad
    assert encoder.words.num_embeddings == 6


def test_vectors_of_another_size(vectors: WordVectors) -> None:
    with pytest.raises(ArgumentError, match=r"word_vectors must have 5 dimensions .* got 2; set embedding_dim = 2"):
        Embed(3, 5).start_from(vectors, Vocabulary.from_words(["the"]), 1)


def test_vectors_of_other_words(vectors: WordVectors) -> None:
    with pytest.raises(DataError, match=r"none of the 7 words with a vector \(such as 'the'\) is a word of the train"):
        Embed(2, 2).start_from(vectors, Vocabulary.from_words(["sea"]), 1)
