"""The language model that a GRU layer starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from textrec.errors import ArgumentError, ConfigError, DataError
from textrec.learn.encoders import Gru, TokenBatch
from textrec.learn.language_model import (
    LanguageModel,
    LanguageModelConfig,
    pieces_of,
    sampled_softmax,
    train_language_model,
)
from textrec.learn.word_vectors import WordVectors, read_encoder_weights, read_word_vectors
from textrec.registry import create
from textrec.text import Documents, Vocabulary

SMALL = LanguageModelConfig(
    dim=8, hidden=12, min_count=1, sampled=6, batch_size=16, learning_rate=0.02, epochs=6, dropout=0.0, precision="fp32"
)


def chains(n: int = 300) -> Documents:
    """Every word is followed by the one word that comes after it in its alphabet: order can be learnt to the end."""
    rng = np.random.default_rng(0)
    lines = []
    for start in rng.integers(0, 20, n):
        alphabet = "xy"[rng.integers(2)]
        lines.append(" ".join(f"{alphabet}{(start + step) % 20}" for step in range(6)))
    return Documents.from_texts(lines)


@pytest.fixture(scope="module")
def trained() -> WordVectors:
    return train_language_model(chains(), SMALL, seed=1)


def test_pieces_are_sentences_and_parts_of_long_ones() -> None:
    documents = Documents.from_texts(["a b . c d e", "", "f . g h", ". i"])
    pieces = pieces_of(documents, 64)
    assert [pieces.row_words(row) for row in range(len(pieces))] == [
        ["a", "b", "."],
        ["c", "d", "e"],
        ["f", "."],
        ["g", "h"],
    ]
    pieces = pieces_of(Documents.from_texts(["a b c d e", "f g"]), 2)
    assert [pieces.row_words(row) for row in range(len(pieces))] == [["a", "b"], ["c", "d"], ["f", "g"]]


def test_with_all_words_sampled_it_is_the_whole_softmax() -> None:
    torch.manual_seed(0)
    queries, vectors, bias = torch.randn(5, 3), torch.randn(7, 3), torch.randn(7)
    targets = torch.tensor([0, 6, 3, 3, 1])
    found = sampled_softmax(queries, targets, vectors, bias, torch.arange(7), torch.zeros(7))
    expected = F.cross_entropy(queries @ vectors.T + bias, targets, reduction="sum")
    torch.testing.assert_close(found, expected)


def test_samples_estimate_the_whole_softmax() -> None:
    """The mean over many draws of exp(loss) is near: the estimate of the denominator has no bias but for its target."""
    torch.manual_seed(0)
    queries, vectors, bias = torch.randn(1, 3), torch.randn(30, 3), torch.zeros(30)
    chance = torch.rand(30) + 0.1
    chance /= chance.sum()
    n_sampled, target = 400, torch.tensor([4])
    log_expected = torch.log(n_sampled * chance)
    logits = queries @ vectors.T
    found = []
    for _ in range(200):
        samples = torch.multinomial(chance, n_sampled, replacement=True)
        # the target's own draws are masked, and it is put in once with log(S q) subtracted as the others have
        others = logits[0, samples] - log_expected[samples]
        others = others[samples != 4]
        own = logits[0, 4] - log_expected[4]
        by_hand = torch.log(own.exp() + others.exp().sum()) - own
        loss = sampled_softmax(queries, target, vectors, bias, samples, log_expected)
        torch.testing.assert_close(loss, by_hand)
        found.append(others.exp().sum())
    whole = logits[0].exp().sum() - logits[0, 4].exp()
    torch.testing.assert_close(torch.stack(found).mean(), whole, rtol=0.02, atol=0.0)


def test_a_direction_never_reads_the_word_it_predicts() -> None:
    documents = Vocabulary.build(Documents.from_texts(["a b c d e f"]), min_count=1)
    texts = documents.recode(Documents.from_texts(["a b c d", "e f"]))
    model = LanguageModel(torch.ones(len(documents)), SMALL).eval()
    batch = TokenBatch.of(texts, np.arange(2))
    queries, targets = model(batch)
    by_word = [documents.words[word] for word in targets.tolist()]
    assert sorted(by_word[:4]) == ["b", "c", "d", "f"]  # the next word
    assert sorted(by_word[4:]) == ["a", "b", "c", "e"]  # the one before
    for place, word in enumerate(by_word):
        changed = batch.ids.clone()
        changed[batch.ids == documents.index[word]] = documents.index["e" if word != "e" else "a"]
        again, _ = model(TokenBatch(changed, batch.lengths, batch.weights))
        torch.testing.assert_close(again[place], queries[place])  # its own word and nothing else has moved
    assert not torch.allclose(model(TokenBatch(batch.ids.flip(0), batch.lengths, batch.weights))[0], queries)


def test_it_learns_the_order_of_words(trained: WordVectors) -> None:
    """One of 40 words follows: a perplexity of 40 is chance, of 1 certainty."""
    assert trained.settings["perplexity"] < 3
    assert trained.dim == 8
    assert set(trained.words) == {f"{alphabet}{number}" for alphabet in "xy" for number in range(20)}


def test_a_seed_fixes_it(trained: WordVectors) -> None:
    again = train_language_model(chains(), SMALL, seed=1)
    np.testing.assert_array_equal(again.matrix, trained.matrix)
    np.testing.assert_array_equal(again.layer["weight_hh_l0"], trained.layer["weight_hh_l0"])
    assert not np.allclose(train_language_model(chains(), SMALL, seed=2).matrix, trained.matrix)


def test_it_starts_from_word_vectors(trained: WordVectors) -> None:
    given = WordVectors(["x1", "x2"], np.eye(2, 8, dtype=np.float32))
    still = LanguageModelConfig(**vars(SMALL) | {"learning_rate": 1e-12, "vector_norm": 0.5})
    found = train_language_model(chains(), still, start=given)
    np.testing.assert_allclose(found.matrix[found.index["x2"]], 0.5 * np.eye(8)[1], atol=1e-6)
    with pytest.raises(ArgumentError, match="word vectors to start from must have 8 dimensions, got 3"):
        train_language_model(chains(), SMALL, start=WordVectors(["x1"], np.ones((1, 3), np.float32)))


def test_a_corpus_without_words_or_order_is_refused() -> None:
    with pytest.raises(DataError, match="no word of the corpus occurs 5 times or more"):
        train_language_model(Documents.from_texts(["a b c"]), LanguageModelConfig())
    with pytest.raises(DataError, match="no text of the corpus has two words or more"):
        train_language_model(Documents.from_texts(["a"] * 9), SMALL)


# ---------------------------------------------------------------------- encoders that start from it


@pytest.fixture(scope="module")
def folder(trained: WordVectors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.save(tmp_path_factory.mktemp("pretrained") / "gru")


def test_the_folder_keeps_the_layer(trained: WordVectors, folder: Path) -> None:
    again = read_encoder_weights(folder)
    assert again.layer.keys() == trained.layer.keys()
    for name, value in trained.layer.items():
        np.testing.assert_array_equal(again.layer[name], value)
    assert read_word_vectors(folder).words == trained.words  # its word vectors serve other models
    (folder.parent / "copy").mkdir()
    WordVectors(trained.words, trained.matrix).save(folder.parent / "copy")
    with pytest.raises(DataError, match=r"copy: word vectors without a GRU layer; make one with `textrec pretrain"):
        read_encoder_weights(folder.parent / "copy")


def test_an_encoder_reads_as_the_layer_does(trained: WordVectors) -> None:
    documents = chains(5)
    vocabulary = Vocabulary.build(documents, min_count=1)
    encoder = Gru(len(vocabulary), 8, 12, 5).eval()
    encoder.start_from(trained, vocabulary, None)
    row = vocabulary.index[documents.row_words(0)[0]]
    np.testing.assert_array_equal(
        encoder.words.weight[row].detach(), trained.matrix[trained.index[documents.row_words(0)[0]]]
    )
    for name, value in encoder.first.state_dict().items():
        np.testing.assert_array_equal(value, trained.layer[name])
    brought = Gru(len(vocabulary), 8, 12, 5)
    before = brought.first.weight_hh_l0.detach().clone()
    brought.start_from(trained, vocabulary, 1.0)  # other norms than the layer knows: it stays as it was
    torch.testing.assert_close(brought.first.weight_hh_l0.detach(), before)
    with pytest.raises(ArgumentError, match="encoder_weights has hidden_dim 12, the model 9; set hidden_dim = 12"):
        Gru(len(vocabulary), 8, 9, 5).start_from(trained, vocabulary, None)


@pytest.mark.parametrize("name", ["gru", "gru-mtl"])
def test_models_start_from_the_folder(name: str, tmp_path: Path) -> None:
    from textrec.data.sample import sample

    data: Any = sample()
    weights = train_language_model(data.items.documents, LanguageModelConfig(**vars(SMALL) | {"epochs": 1}))
    path = str(weights.save(tmp_path / "gru"))
    config = {"embedding_dim": 8, "hidden_dim": 12, "factors": 6, "min_count": 1, "epochs": 1, "learning_rate": 1e-9}
    model: Any = create(name, config | {"encoder_weights": path}).fit(data)
    np.testing.assert_allclose(model._encoder.first.weight_hh_l0.detach(), weights.layer["weight_hh_l0"], atol=1e-5)
    plain: Any = create(name, config).fit(data)
    assert not np.allclose(plain.encode(["graph networks"]), model.encode(["graph networks"]))


def test_two_places_to_start_from_are_refused() -> None:
    with pytest.raises(ConfigError, match="encoder_weights and word_vectors both name word vectors to start from"):
        create("gru", {"encoder_weights": "a", "word_vectors": "b"})
