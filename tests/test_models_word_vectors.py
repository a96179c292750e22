"""Models that start from pre-trained word vectors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textrec.data.sample import sample
from textrec.dataset import Dataset
from textrec.errors import ArgumentError, DataError
from textrec.learn.recommender import Recommender
from textrec.learn.word_vectors import WordVectors
from textrec.model_folder import load, save
from textrec.registry import create

SMALL: dict[str, Any] = {"factors": 8, "epochs": 2, "min_count": 1}
SMALL_GRU: dict[str, Any] = SMALL | {"embedding_dim": 8, "hidden_dim": 4, "factors": 6}
UNSEEN = ["zebra", "zither"]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return sample()


@pytest.fixture(scope="module")
def folder(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of half of the sample's words and of two words that no text of it has."""
    words = [*UNSEEN, *list(data.items.documents.words)[::2]]
    matrix = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    return WordVectors(words, matrix).save(tmp_path_factory.mktemp("vectors") / "vectors")


@pytest.fixture(scope="module")
def model(data: Dataset, folder: Path) -> Recommender:
    return create("embed", SMALL | {"word_vectors": str(folder)}).fit(data)


def test_words_that_no_training_text_has_mean_something(data: Dataset, model: Recommender, folder: Path) -> None:
    assert model.vocabulary is not None
    assert list(model.vocabulary.words[-2:]) == UNSEEN
    zebra, zither, unknown = model.encode(["zebra zebra", "zither zither", "qwerty qwerty"])
    assert not np.allclose(zebra, zither)
    assert not np.allclose(zebra, unknown)
    narrow = create("embed", SMALL | {"word_vectors": str(folder), "widen": 0}).fit(data)
    assert narrow.vocabulary is not None
    assert len(narrow.vocabulary) == len(model.vocabulary) - 2
    zebra, zither, unknown = narrow.encode(["zebra zebra", "zither zither", "qwerty qwerty"])
    np.testing.assert_array_equal(zebra, unknown)
    # words beyond the training texts join after training: they change nothing for those that were trained
    np.testing.assert_array_equal(narrow.score(["3"]), model.score(["3"]))


def test_they_change_the_model_and_the_seed_fixes_it(data: Dataset, model: Recommender, folder: Path) -> None:
    plain = create("embed", SMALL).fit(data)
    longer = create("embed", SMALL | {"word_vectors": str(folder), "vector_norm": 2.0}).fit(data)
    assert not np.allclose(longer.score(["3"]), model.score(["3"]))
    again = create("embed", SMALL | {"word_vectors": str(folder)}).fit(data)
    np.testing.assert_array_equal(again.score(["3"]), model.score(["3"]))
    assert not np.allclose(plain.score(["3"]), model.score(["3"]))


def test_rare_training_words_with_a_vector_are_kept(data: Dataset, folder: Path) -> None:
    few = create("embed", SMALL | {"word_vectors": str(folder), "min_count": 10**6}).fit(data)
    assert few.vocabulary is not None
    assert set(few.vocabulary) == {"<UNK>", *UNSEEN, *list(data.items.documents.words)[::2]}


def test_vectors_in_memory_win(data: Dataset, model: Recommender, folder: Path) -> None:
    given = create("embed", SMALL | {"word_vectors": "nowhere"})
    given.word_vectors = WordVectors(["zebra", "of"], np.eye(2, 8, dtype=np.float32))  # type: ignore[attr-defined]
    given.fit(data)
    assert given.vocabulary is not None
    assert given.vocabulary.words[-1] == "zebra"


def test_a_saved_model_does_not_need_them(data: Dataset, folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "vectors")
    model = create("embed-mtl", SMALL | {"word_vectors": str(moved)}).fit(data)
    save(model, tmp_path / "model")
    shutil.rmtree(moved)
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.encode(["a zebra model"]), model.encode(["a zebra model"]))
    np.testing.assert_array_equal(again.score(["3"]), model.score(["3"]))


@pytest.mark.parametrize("recipe", ["exact", "paper"])
def test_a_gru_starts_from_them_too(data: Dataset, folder: Path, tmp_path: Path, recipe: str) -> None:
    config = SMALL_GRU | {"word_vectors": str(folder), "recipe": recipe, "paper_steps": 2, "paper_users": 8}
    model = create("gru-mtl", config).fit(data)
    zebra, zither = model.encode(["zebra zebra", "zither zither"])
    assert not np.allclose(zebra, zither)
    save(model, tmp_path / "model")
    np.testing.assert_allclose(load(tmp_path / "model").encode(["zebra zebra"])[0], zebra, rtol=1e-5)
    with pytest.raises(ArgumentError, match=r"word_vectors must have 7 dimensions .* got 8; set embedding_dim = 8"):
        create("gru-mtl", config | {"embedding_dim": 7}).fit(data)


def test_what_cannot_be_used(data: Dataset, folder: Path) -> None:
    with pytest.raises(ArgumentError, match=r"word_vectors must have 9 dimensions .* got 8; set embedding_dim = 8"):
        create("embed", SMALL | {"word_vectors": str(folder), "factors": 9}).fit(data)
    with pytest.raises(DataError, match="nowhere: no such word vectors; make them with"):
        create("embed", SMALL | {"word_vectors": "nowhere"}).fit(data)
