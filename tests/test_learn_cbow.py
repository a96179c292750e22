from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from textrec.errors import DataError, MissingExtraError
from textrec.learn.cbow import CbowConfig, train_cbow
from textrec.text import Documents

pytest.importorskip("gensim")

SMALL = CbowConfig(dim=16, epochs=8, min_count=2, sample=0.0)
ANIMALS = ["dog", "cat", "horse", "cow", "sheep", "goat"]
METALS = ["iron", "gold", "silver", "copper", "tin", "zinc"]


def two_topics(n: int = 400) -> Documents:
    """Texts about animals or about metals, never both, with words of every text between."""
    rng = np.random.default_rng(0)
    texts = []
    for number in range(n):
        topic = (ANIMALS, METALS)[number % 2]
        words = [word for name in rng.permutation(topic) for word in (str(name), "and")]
        texts.append(" ".join(words))
    return Documents.from_texts(texts)


def test_words_of_one_topic_are_near(caplog: pytest.LogCaptureFixture) -> None:
    vectors = train_cbow(two_topics(), SMALL)
    assert caplog.messages == []
    assert vectors.dim == 16
    assert vectors.words[0] == "and"
    for topic in (ANIMALS, METALS):
        near = {word for word, _ in vectors.nearest(topic[0], len(topic) - 1)}
        assert near == set(topic[1:])


def test_a_seed_fixes_the_vectors_and_another_changes_them() -> None:
    first, second, other = (train_cbow(two_topics(100), SMALL, seed=seed) for seed in (1, 1, 2))
    assert list(first.words) == list(second.words)
    np.testing.assert_array_equal(first.matrix, second.matrix)
    assert not np.allclose(first.matrix, other.matrix)


def test_rare_words_get_no_vector_and_frequent_ones_come_first() -> None:
    documents = Documents.from_texts(["b b b a a a a 12 7 rare", "b c c B 9 ."])
    vectors = train_cbow(documents, CbowConfig(dim=4, min_count=2, epochs=1))
    # as often as each other: by alphabet
    assert list(vectors.words) == ["b", "a", "<NUM>", "c"]
    assert vectors.settings["texts"] == 2
    assert vectors.settings["tokens"] == 16
    assert vectors.settings["min_count"] == 2


def test_workers_share_the_work() -> None:
    assert len(train_cbow(two_topics(), SMALL, workers=2)) == 13


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textrec.learn.cbow._SLICE_TOKENS", 300)
    events: list[dict[str, Any]] = []
    train_cbow(two_topics(100), CbowConfig(dim=4, epochs=3), monitor=lambda event: events.append(dict(event)))
    steps = [(event["epoch"], event["done"], event["total"]) for event in events if event["event"] == "step"]
    assert steps == [(epoch, done, 4) for epoch in (1, 2, 3) for done in (1, 2, 3, 4)]
    epochs = [event for event in events if event["event"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [1, 2, 3]
    assert all(event["documents_per_second"] > 0 for event in epochs)


def test_every_token_is_read_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices and the pieces of long texts cover the corpus."""
    from gensim.models import Word2Vec

    seen: list[list[str]] = []
    monkeypatch.setattr("textrec.learn.cbow._SLICE_TOKENS", 7)
    monkeypatch.setattr("textrec.learn.cbow._LONGEST", 4)
    monkeypatch.setattr(Word2Vec, "train", lambda self, sentences, **_: seen.extend(sentences))
    documents = Documents.from_texts(["a b c", "", "d e f g h i j k l", "m", "n o"])
    train_cbow(documents, CbowConfig(dim=2, epochs=1, min_count=1))
    assert seen == [list("abc"), list("defg"), list("hijk"), ["l"], ["m"], list("no")]


def test_the_learning_rate_falls_over_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from gensim.models import Word2Vec

    rates: list[tuple[float, float]] = []
    monkeypatch.setattr("textrec.learn.cbow._SLICE_TOKENS", 300)
    monkeypatch.setattr(
        Word2Vec, "train", lambda self, _, start_alpha, end_alpha, **__: rates.append((start_alpha, end_alpha))
    )
    train_cbow(two_topics(100), CbowConfig(dim=2, epochs=2, learning_rate=0.1))
    assert rates[0][0] == pytest.approx(0.1)
    assert rates[-1][1] == pytest.approx(0.0001)
    assert all(before[1] == pytest.approx(after[0]) for before, after in itertools.pairwise(rates))


@pytest.mark.parametrize(
    "change", [{"dim": 5}, {"epochs": 2}, {"window": 1}, {"negative": 3}, {"sample": 0.01}, {"learning_rate": 0.5}]
)
def test_every_setting_changes_something(change: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"dim": 4, "epochs": 1, "sample": 0.0}
    documents = two_topics(60)
    one, other = (train_cbow(documents, CbowConfig(**settings)) for settings in (plain, plain | change))
    assert one.matrix.shape != other.matrix.shape or not np.allclose(one.matrix, other.matrix)


def test_what_cannot_be_trained() -> None:
    with pytest.raises(
        DataError, match=r"no word of the corpus occurs 5 times or more \(the most frequent one 2 times"
    ):
        train_cbow(Documents.from_texts(["a b a"]))
    with pytest.raises(DataError, match=r"the most frequent one 0 times\); give more text or lower min_count"):
        train_cbow(Documents.from_texts([]))
    with pytest.raises(DataError, match="CBOW reads words in order and the data hold word counts only"):
        train_cbow(Documents.from_bags(["a"], sp.csr_array([[9]])))


def test_gensim_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(MissingExtraError, match=r"this needs the package 'gensim': pip install 'textrec\[pretrain\]'"):
        train_cbow(two_topics(10))
