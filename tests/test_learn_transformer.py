"""The transformer encoder: batched == alone, layers that stay stay, what is prepared equals what is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import tiny_transformer
from textrec.errors import ArgumentError
from textrec.learn.encoders import TokenBatch
from textrec.learn.exact import encode_documents
from textrec.learn.features import FeaturedDocuments, featured
from textrec.learn.pieces import WordPieces
from textrec.learn.pretrained import load_pretrained
from textrec.learn.transformer import Transformer, by_length
from textrec.text import Documents

TEXTS = ["graph networks for protein folding .", "graphs", "", "a short text , with signs : zyx", "graph " * 30, "x y"]


def pieces() -> Documents:
    return WordPieces(tiny_transformer.pretrained().tokenizer).split(Documents.from_texts(TEXTS), 48).documents


def encoder(trained_layers: int = 1, **settings: float) -> Transformer:
    torch.manual_seed(1)
    return Transformer(tiny_transformer.pretrained(), 6, trained_layers=trained_layers, **settings).eval()


@pytest.mark.parametrize("trained_layers", [0, 1, 2])
def test_one_by_one_equals_the_batch_and_an_empty_text_is_zero(trained_layers: int) -> None:
    documents, model = pieces(), encoder(trained_layers)
    together = encode_documents(model, documents)
    alone = [encode_documents(model, documents.take(np.array([row]))) for row in range(len(TEXTS))]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)
    assert not together[2].any()
    assert together[[0, 1, 3, 4, 5]].any(axis=1).all()


def test_prepared_texts_encode_and_train_alike() -> None:
    documents, model = pieces(), encoder(1)
    prepared = model.prepare(documents, precision=torch.float32)
    assert isinstance(prepared, FeaturedDocuments)
    np.testing.assert_allclose(encode_documents(model, prepared), encode_documents(model, documents), atol=1e-6)
    rows = np.array([4, 2, 0])
    gradients = []
    for source in (prepared, documents):
        model.zero_grad()
        model(TokenBatch.of(source, rows)).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-4)


def test_texts_prepared_in_low_precision_are_encoded_in_full() -> None:
    documents, model = pieces(), encoder(1)
    prepared = model.prepare(documents, precision=torch.bfloat16)
    assert prepared.features.dtype == torch.bfloat16
    for precision in (torch.float32, torch.bfloat16):
        found = encode_documents(model, prepared, precision=precision)
        np.testing.assert_allclose(found, encode_documents(model, documents), atol=0.1)


def test_frozen_texts_carry_their_pooled_states() -> None:
    documents, model = pieces(), encoder(0)
    carried = featured(documents, model.pooled(documents, precision=torch.float32))
    np.testing.assert_allclose(encode_documents(model, carried), encode_documents(model, documents), atol=1e-6)


@pytest.mark.parametrize("trained_layers", [0, 1, 2])
def test_only_the_upper_layers_and_the_projection_move(trained_layers: int) -> None:
    model = encoder(trained_layers).train()
    model(TokenBatch.of(pieces(), np.arange(len(TEXTS)))).square().sum().backward()
    moved = {name.split(".")[3] for name, p in model.named_parameters() if p.grad is not None and "layer." in name}
    assert moved == {str(layer) for layer in range(2 - trained_layers, 2)}
    others = [name for name, p in model.named_parameters() if p.grad is not None and "layer." not in name]
    assert others == ["projection.weight"]


def test_states_too_large_to_keep_are_computed_again(monkeypatch) -> None:
    monkeypatch.setattr("textrec.learn.transformer.PREPARED_BYTES", 100)
    documents = pieces()
    assert encoder(1).prepare(documents, precision=torch.float32) is documents


def test_a_network_of_another_kind_is_frozen_or_trained_whole(tmp_path) -> None:
    found = load_pretrained(str(tiny_transformer.write(tmp_path, kind="distilbert")))
    documents = WordPieces(found.tokenizer).split(Documents.from_texts(TEXTS), 48).documents
    for trained in (0, 2):
        model = Transformer(found, 6, trained_layers=trained).train()
        model(TokenBatch.of(documents, np.arange(len(TEXTS)))).square().sum().backward()
        assert any(p.grad is not None for p in model.backbone.parameters()) == bool(trained)
    with pytest.raises(ArgumentError, match=r"trained_layers must be 0 or 2 \(all\) for a network of the kind 'distil"):
        Transformer(found, 6, trained_layers=1)


def test_dropout_works_while_training_only() -> None:
    documents, model = pieces(), encoder(1, dropout=0.5)
    batch = TokenBatch.of(documents, np.arange(len(TEXTS)))
    assert torch.equal(model(batch), model(batch))
    assert not torch.equal(model.train()(batch), model(batch))


def test_batches_hold_texts_of_about_one_length() -> None:
    documents = pieces()
    parts = by_length(documents, batch_tokens=20)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(TEXTS)))
    sizes = [np.diff(documents.starts)[part] for part in parts]
    assert all(left.max() <= right.min() for left, right in itertools.pairwise(sizes))


def test_features_must_fit() -> None:
    documents = pieces()
    with pytest.raises(ArgumentError, match=r"features must have 6 rows, got 5"):
        featured(documents, torch.zeros(5, 2))
    by_token = featured(documents, torch.arange(len(documents.ids))[:, None], by_token=True)
    taken = by_token.take(np.array([3, 0]))
    assert taken.features is not None
    starts = documents.starts
    expected = [*range(starts[3], starts[4]), *range(starts[0], starts[1])]
    assert taken.features[:, 0].tolist() == expected
