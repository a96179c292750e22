from __future__ import annotations

import numpy as np
import pytest
import torch

from textrec.learn.encoders import Embed, Gru, TextEncoder, TokenBatch
from textrec.learn.exact import encode_documents
from textrec.text import Documents, Vocabulary

TEXTS = ["deep learning , not lda", "", "one", "lda , not deep learning", "a b c d e f g h i j k l m", "deep deep deep"]
DOCUMENTS = Vocabulary.build(Documents.from_texts(TEXTS), min_count=1).recode(Documents.from_texts(TEXTS))
N_WORDS = len(DOCUMENTS.words)


def encoders() -> list[TextEncoder]:
    torch.manual_seed(0)
    made: list[TextEncoder] = [Embed(N_WORDS, 5)]
    made += [Gru(N_WORDS, 6, 7, 5, pooling=pooling) for pooling in ("mean", "last", "max")]  # type: ignore[arg-type]
    made.append(Gru(N_WORDS, 6, 7, 5, shortcut=True))
    return [encoder.eval() for encoder in made]


def name_of(encoder: TextEncoder) -> str:
    shortcut = "-shortcut" if getattr(encoder, "shortcut", None) else ""
    return f"{type(encoder).__name__}-{getattr(encoder, 'pooling', '')}{shortcut}"


def batch_of(*rows: int) -> TokenBatch:
    return TokenBatch.of(DOCUMENTS, np.array(rows))


@pytest.mark.parametrize("encoder", encoders(), ids=name_of)
def test_a_batch_equals_each_text_alone(encoder: TextEncoder) -> None:
    with torch.no_grad():
        together = encoder(batch_of(*range(len(TEXTS))))
        alone = torch.cat([encoder(batch_of(row)) for row in range(len(TEXTS))])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    np.testing.assert_allclose(encode_documents(encoder, DOCUMENTS, batch_tokens=4), together.numpy(), atol=1e-6)


@pytest.mark.parametrize("encoder", encoders(), ids=name_of)
def test_an_empty_text_is_zero(encoder: TextEncoder) -> None:
    assert not encoder(batch_of(1)).any()
    assert not encoder(batch_of(0, 1))[1].any()
    assert encoder(batch_of(2)).any()


@pytest.mark.parametrize("encoder", encoders(), ids=name_of)
def test_order_matters_to_those_that_read_it(encoder: TextEncoder) -> None:
    first, second = encoder(batch_of(0, 3))
    assert torch.allclose(first, second, atol=1e-6) != encoder.reads_order


@pytest.mark.parametrize("encoder", encoders(), ids=name_of)
def test_the_gradient_reaches_every_parameter(encoder: TextEncoder) -> None:
    encoder.zero_grad()
    encoder(batch_of(*range(len(TEXTS)))).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("encoder", encoders(), ids=name_of)
def test_given_word_vectors_stand_for_the_looked_up_ones(encoder: TextEncoder) -> None:
    batch = batch_of(0, 2, 4)
    torch.testing.assert_close(encoder(batch, encoder.words(batch.ids)), encoder(batch), atol=1e-6, rtol=1e-5)


def test_embed_is_the_mean_of_word_vectors() -> None:
    encoder = encoders()[0]
    expected = encoder.words(torch.from_numpy(DOCUMENTS.ids[:5].astype(np.int64))).mean(0)
    torch.testing.assert_close(encoder(batch_of(0))[0], expected)


def test_a_bag_weighs_words_by_their_counts() -> None:
    encoder = encoders()[0]
    bags = Documents.from_bags(DOCUMENTS.words, DOCUMENTS.matrix())
    rows = np.arange(len(TEXTS))
    torch.testing.assert_close(encoder(TokenBatch.of(bags, rows)), encoder(TokenBatch.of(DOCUMENTS, rows)))


def test_the_gru_is_the_papers() -> None:
    """Equations 6 to 8, one direction at a time, against the packed layers."""
    encoder = next(found for found in encoders() if isinstance(found, Gru))

    def run(layer: torch.nn.GRU, inputs: torch.Tensor, suffix: str) -> torch.Tensor:
        weight = {key: getattr(layer, f"{key}_l0{suffix}") for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        state, states = torch.zeros(layer.hidden_size), []
        for vector in inputs:
            read = weight["weight_ih"] @ vector + weight["bias_ih"]
            kept = weight["weight_hh"] @ state + weight["bias_hh"]
            (r1, z1, n1), (r2, z2, n2) = read.chunk(3), kept.chunk(3)
            forget, out = torch.sigmoid(r1 + r2), torch.sigmoid(z1 + z2)
            state = out * state + (1 - out) * torch.tanh(n1 + forget * n2)  # torch has 1 − o_t for o_t
            states.append(state)
        return torch.stack(states)

    vectors = encoder.words(batch_of(4).ids)
    both = torch.cat([run(encoder.first, vectors, ""), run(encoder.first, vectors.flip(0), "_reverse").flip(0)], 1)
    torch.testing.assert_close(encoder(batch_of(4))[0], run(encoder.second, both, "").mean(0), atol=1e-6, rtol=1e-5)


def test_the_shortcut_adds_a_projection_of_the_mean_of_the_words() -> None:
    encoder = Gru(N_WORDS, 6, 7, 5, shortcut=True).eval()
    assert encoder.shortcut is not None
    batch = batch_of(*range(len(TEXTS)))
    with torch.no_grad():
        whole = encoder(batch)
        means = [encoder.words(batch_of(row).ids).sum(0) / max(len(batch_of(row).ids), 1) for row in range(len(TEXTS))]
        direct = torch.stack(means) @ encoder.shortcut.weight.T
        encoder.shortcut = None
        torch.testing.assert_close(whole, encoder(batch) + direct, atol=1e-6, rtol=1e-5)


def test_reversed_text_swaps_the_directions() -> None:
    encoder = next(found for found in encoders() if isinstance(found, Gru))
    layer, words = encoder.first, encoder.words(batch_of(4).ids)[:, None]
    swapped = torch.nn.GRU(6, 7, bidirectional=True)
    state = {
        key.removesuffix("_reverse") + ("" if key.endswith("_reverse") else "_reverse"): value
        for key, value in layer.state_dict().items()
    }
    swapped.load_state_dict(state)
    forward, backward = layer(words)[0].split(7, -1)
    reversed_forward, reversed_backward = swapped(words.flip(0))[0].flip(0).split(7, -1)
    torch.testing.assert_close(forward, reversed_backward)
    torch.testing.assert_close(backward, reversed_forward)


def test_word_dropout_leaves_words_out_and_keeps_the_weights_at_one() -> None:
    torch.manual_seed(1)
    encoder = Embed(N_WORDS, 5, word_dropout=0.5).train()
    torch.nn.init.ones_(encoder.words.weight)
    out = encoder(batch_of(4, 4, 4, 4))
    torch.testing.assert_close(out, torch.ones_like(out))
    torch.nn.init.normal_(encoder.words.weight)
    assert not torch.allclose(*encoder(batch_of(4, 4)))
    encoder.eval()
    torch.testing.assert_close(*encoder(batch_of(4, 4)))
