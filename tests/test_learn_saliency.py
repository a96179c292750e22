"""Word weights by gradient: finite differences, captum, known answers; and what a trained GRU looks at."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from textrec.data.source import read
from textrec.dataset import Dataset
from textrec.explanation import explain_all
from textrec.learn.encoders import Embed, Gru, TextEncoder, TokenBatch
from textrec.learn.recommender import Recommender
from textrec.learn.saliency import word_weights
from textrec.models.embed import EmbedModel
from textrec.registry import create
from textrec.text import Documents, Vocabulary

TEXTS = ["deep learning , not lda", "", "one", "a b c d e f g h", "deep deep deep"]
DOCUMENTS = Vocabulary.build(Documents.from_texts(TEXTS), min_count=1).recode(Documents.from_texts(TEXTS))
N_WORDS = len(DOCUMENTS.words)
DIRECTION = np.random.default_rng(0).normal(size=5).astype(np.float32)


def encoders() -> list[TextEncoder]:
    torch.manual_seed(0)
    made: list[TextEncoder] = [Embed(N_WORDS, 5, init_scale=1.0, dropout=0.5)]
    made += [Gru(N_WORDS, 6, 7, 5, pooling=p, init_scale=1.0) for p in ("mean", "last", "max")]  # type: ignore[arg-type]
    return made


def name_of(encoder: TextEncoder) -> str:
    return f"{type(encoder).__name__}-{getattr(encoder, 'pooling', '')}"


@pytest.mark.parametrize("encoder", encoders(), ids=name_of)
def test_saliency_is_the_norm_of_finite_differences(encoder: TextEncoder) -> None:
    encoder.train()  # dropout is off all the same, and the mode comes back
    found = word_weights(encoder, DOCUMENTS, DIRECTION)
    assert encoder.training
    encoder.eval()
    batch = TokenBatch.of(DOCUMENTS, np.arange(len(TEXTS)))
    direction = torch.from_numpy(DIRECTION).double()
    step = 4e-3  # in float32, which the GRU computes in
    with torch.no_grad():
        vectors = encoder.words(batch.ids)
        slopes = torch.zeros_like(vectors)
        for token, dim in np.ndindex(*vectors.shape):
            moved = [vectors.clone(), vectors.clone()]
            moved[0][token, dim] += step
            moved[1][token, dim] -= step
            up, down = ((encoder(batch, one).double() @ direction).sum() for one in moved)
            slopes[token, dim] = (up - down) / (2 * step)
    np.testing.assert_allclose(found.saliency, slopes.norm(dim=1).numpy(), rtol=5e-3, atol=5e-4)
    np.testing.assert_allclose(found.contribution, (slopes * vectors).sum(1).numpy(), rtol=5e-3, atol=5e-4)


@pytest.mark.parametrize("encoder", encoders(), ids=name_of)
def test_saliency_is_captums(encoder: TextEncoder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captum import attr
    encoder.eval()
    direction = torch.from_numpy(DIRECTION)
    for row in (0, 2, 3, 4):
        document = DOCUMENTS.take(np.array([row]))
        batch = TokenBatch.of(document, np.array([0]))

        def score(vectors: torch.Tensor, batch: TokenBatch = batch) -> torch.Tensor:
            return encoder(batch, vectors[0]) @ direction

        vectors = encoder.words(batch.ids).detach()[None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            slopes = attr.Saliency(score).attribute(vectors, abs=False)[0]
            products = attr.InputXGradient(score).attribute(vectors)[0]
        found = word_weights(encoder, document, DIRECTION)
        np.testing.assert_allclose(found.saliency, slopes.norm(dim=1).detach().numpy(), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.contribution, products.sum(1).detach().numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("encoder", encoders(), ids=name_of)
def test_a_batch_equals_each_text_alone(encoder: TextEncoder) -> None:
    together = word_weights(encoder, DOCUMENTS, DIRECTION)
    alone = [word_weights(encoder, DOCUMENTS.take(np.array([row])), DIRECTION) for row in range(len(TEXTS))]
    np.testing.assert_allclose(together.saliency, np.concatenate([one.saliency for one in alone]), rtol=1e-4, atol=1e-6)


def test_embed_moves_alike_at_every_word_and_its_contributions_add_up() -> None:
    encoder = encoders()[0]
    found = word_weights(encoder, DOCUMENTS.take(np.array([0])), DIRECTION)
    np.testing.assert_allclose(found.saliency, np.linalg.norm(DIRECTION) / 5, rtol=1e-5)
    score = float((encoder.eval()(TokenBatch.of(DOCUMENTS, np.array([0]))) @ torch.from_numpy(DIRECTION)).detach())
    assert found.contribution.sum() == pytest.approx(score, rel=1e-5)
    assert found.best == "contribution"
    assert word_weights(encoders()[1], DOCUMENTS, DIRECTION).best == "saliency"


def test_a_bag_counts_its_words() -> None:
    bag = Documents.from_bags(DOCUMENTS.words, DOCUMENTS.take(np.array([4])).matrix())
    found = word_weights(encoders()[0], bag, DIRECTION)
    whole = word_weights(encoders()[0], DOCUMENTS.take(np.array([4])), DIRECTION)
    assert found.contribution.tolist() == pytest.approx([float(whole.contribution.sum())])


@pytest.mark.parametrize("encoder", encoders()[:2], ids=name_of)
def test_words_beyond_the_cut_weigh_nothing(encoder: TextEncoder) -> None:
    found = word_weights(encoder, DOCUMENTS, DIRECTION, max_tokens=3)
    short = word_weights(encoder, DOCUMENTS.cut(3), DIRECTION)
    place = np.arange(len(DOCUMENTS.ids)) - np.repeat(DOCUMENTS.starts[:-1], np.diff(DOCUMENTS.starts))
    assert not found.saliency[place >= 3].any()
    np.testing.assert_array_equal(found.saliency[place < 3], short.saliency)


def test_no_words_no_weights() -> None:
    nothing = word_weights(encoders()[1], DOCUMENTS.take(np.array([1])), DIRECTION)
    assert len(nothing.saliency) == len(nothing.contribution) == 0


class SmallGru(EmbedModel):
    name = "small-gru"

    def _new_encoder(self, n_words: int) -> TextEncoder:
        return Gru(n_words, 24, 24, self.config.factors, dropout=(0.1, 0.2, 0.2))


def kind(word: str) -> str:
    return "function" if word in ENGLISH_STOP_WORDS or not word[0].isalnum() else "content"


def mean_by_kind(model: Recommender, n_users: int) -> dict[str, float]:
    weights: dict[str, list[float]] = {"function": [], "content": []}
    for user in list(model.data.users)[:n_users]:
        for found in explain_all(model, model.recommend(user, k=3)["item_id"].to_list(), user=user):
            for word, weight in zip(found.words, found.weights(), strict=True):
                if word.word[0] != "<":
                    weights[kind(word.word)].append(abs(weight))
    return {name: float(np.mean(values)) for name, values in weights.items()}


@pytest.mark.real
@pytest.mark.parametrize("name", ["tfidf", "embed"])
def test_on_abstracts_stop_words_and_punctuation_weigh_less(name: str, real_data: Path) -> None:
    found = mean_by_kind(create(name).fit(papers(real_data / "citeulike-a-abstracts")), 30)
    assert found["function"] < 0.95 * found["content"]


@pytest.mark.real
@pytest.mark.soak
def test_a_gru_that_read_titles_looks_at_content_words(real_data: Path) -> None:
    config = SmallGru.config_type(factors=32, epochs=4, learning_rate=0.005, batch_size=128)
    found = mean_by_kind(SmallGru(config).fit(papers(real_data / "citeulike-a-titles")), 30)
    assert found["function"] < 0.95 * found["content"]


def papers(folder: Path) -> Dataset:
    return read(str(folder)).filtered(min_likes=5, min_tag_items=10)
