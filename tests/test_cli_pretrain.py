from __future__ import annotations

import lzma
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textrec.cli import main
from textrec.data.sample import sample
from textrec.dataset import full_texts
from textrec.learn.word_vectors import read_encoder_weights, read_word_vectors
from textrec.model_folder import load
from textrec.text import Documents

pytest.importorskip("gensim")


def run(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 0) -> tuple[str, str]:
    assert main([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt.xz"
    lines = ["zebras graze on plains", "lions hunt zebras on plains"] * 40
    path.write_bytes(lzma.compress("\n".join(lines).encode()))
    return path


def test_from_a_corpus_to_a_model(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "vectors"
    quick = ("--dim", 6, "--epochs", 2, "--threads", 1, "--word", "zebras", "--word", "Tiger")
    shown, err = run(capsys, "pretrain", corpus, "--data", "sample", "--out", out, *quick)
    n_items = sample().n_items
    assert f"{n_items + 80} texts" in shown
    assert "trained 2 epochs in" in shown
    assert re.search(r"  zebras: \S+ -?\d\.\d\d, ", shown)
    assert err.splitlines() == [
        "warning: that is little text for word vectors; give a larger CORPUS or more --epochs",
        "warning: --word Tiger: it has no vector; words are lower case and occur 5 times or more",
    ]
    follow = next(line for line in shown.splitlines() if line.startswith("next: textrec "))
    assert follow == f"next: textrec train sample --out model/ --model embed-mtl --word-vectors {out}"
    vectors = read_word_vectors(out)
    assert vectors.dim == 6
    assert "zebras" in vectors
    small = ("--model", "embed", "--word-vectors", out, "--factors", 6, "--epochs", 1)
    run(capsys, "train", "sample", "--out", tmp_path / "model", *small)
    model = load(tmp_path / "model")
    assert model.vocabulary is not None
    assert "zebras" in set(model.vocabulary)


def test_the_words_are_those_of_the_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "pretrain", "--data", "sample", "--out", tmp_path / "v", "--dim", 2, "--epochs", 1, "--min-count", 1)
    items = sample().items
    documents = Documents.from_texts(full_texts(items.titles, items.texts).to_list())
    assert set(read_word_vectors(tmp_path / "v").words) == set(documents.words)


def test_a_seed_fixes_the_vectors(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matrices = []
    for place, seed in enumerate((4, 4, 5)):
        run(capsys, "pretrain", corpus, "--out", tmp_path / str(place), "--dim", 4, "--epochs", 1, "--seed", seed)
        matrices.append(read_word_vectors(tmp_path / str(place)).matrix)
    np.testing.assert_array_equal(matrices[0], matrices[1])
    assert not np.allclose(matrices[0], matrices[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to read: give a text file CORPUS, or --data DATA, or both"),
        (["none.txt"], "none.txt: file not found; check the path"),
        (["{corpus}", "--min-count", "99"], "no word of the corpus occurs 99 times or more"),
        (["{corpus}", "--out", "{folder}"], "exists and is not a folder of word vectors"),
        (["--data", "nowhere-to-be-found"], "found no data 'nowhere-to-be-found'"),
    ],
)
def test_it_refuses(
    arguments: list[str], message: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.format(corpus=corpus, folder=tmp_path) for argument in arguments]
    _, err = run(capsys, "pretrain", "--dim", 2, "--epochs", 1, "--out", tmp_path / "v", *given, code=2)
    assert message in err
    assert not (tmp_path / "v").exists()


def test_bags_of_words_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "items.jsonl").write_text('{"item_id": "a", "bag": {"x": 3}}\n', encoding="utf-8")
    (tmp_path / "likes.jsonl").write_text('{"user_id": "u", "item_id": "a"}\n', encoding="utf-8")
    _, err = run(capsys, "pretrain", "--data", tmp_path, "--out", tmp_path / "v", code=2)
    assert "it holds word counts only, and CBOW reads words in order; leave it out" in err


def test_a_gru_layer_is_trained_and_started_from(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors, out = tmp_path / "vectors", tmp_path / "gru"
    run(capsys, "pretrain", corpus, "--out", vectors, "--dim", 6, "--epochs", 1)
    quick = ("--dim", 6, "--hidden", 5, "--gru", "--word-vectors", vectors)
    shown, _ = run(capsys, "pretrain", corpus, "--data", "sample", "--out", out, *quick)
    assert "trained 1 epoch in" in shown
    assert re.search(r"words of sentences held out are predicted with perplexity \d", shown)
    follow = next(line for line in shown.splitlines() if line.startswith("next: textrec "))
    assert follow == f"next: textrec train sample --out model/ --model gru-mtl --encoder-weights {out}"
    assert read_encoder_weights(out).layer["weight_hh_l0"].shape == (15, 5)
    small = ("--embedding-dim", 6, "--hidden-dim", 5, "--factors", 4, "--epochs", 1)
    run(capsys, "train", "sample", "--out", tmp_path / "model", "--model", "gru", "--encoder-weights", out, *small)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gru", "--window", "3"], "--window belongs to word vectors alone; leave it out with --gru"),
        (["--hidden", "3"], "--hidden belongs to the GRU layer; give --gru with it, or leave it out"),
        (["--word-vectors", "v"], "--word-vectors belongs to the GRU layer; give --gru with it, or leave it out"),
    ],
)
def test_options_of_the_other_kind_are_refused(
    arguments: list[str], message: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = run(capsys, "pretrain", corpus, "--out", tmp_path / "v", *arguments, code=2)
    assert message in err
