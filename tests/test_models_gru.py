"""What is special about the models that read words in order."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from textrec.cli.train import checkpoint_folder
from textrec.data.sample import sample, simulate_order_only
from textrec.dataset import Dataset, Items
from textrec.errors import CapabilityError, TrainingError
from textrec.learn.encoders import Embed
from textrec.learn.paper import PaperFactors, PaperSettings, PaperTrainee
from textrec.learn.tensors import low_precision, resolve_precision
from textrec.protocol.splits import hold_out, split
from textrec.registry import create
from textrec.study.evaluation import evaluate
from textrec.text import Documents, Vocabulary

SMALL = {"embedding_dim": 16, "hidden_dim": 16, "factors": 16, "min_count": 1}


def test_order_matters() -> None:
    """The GRU tells "x, not y" from "y, not x"; Embed cannot, whatever it learns."""
    data = simulate_order_only(n_users=100, n_items=320).dataset
    sizes = {"factors": 8, "min_count": 1, "epochs": 60}
    gru: dict[str, Any] = {"embedding_dim": 32, "hidden_dim": 64, "batch_size": 16, "learning_rate": 0.01}
    gru |= {"dropout_words": 0.0, "dropout_first": 0.0, "dropout_second": 0.0, "init_scale": 0.5}
    found = {}
    for name, config in (("gru", sizes | gru), ("embed", sizes)):
        fold = split(data, "cold", folds=2, seed=0, min_item_likes=1).fold(data, 0)
        model = create(name, config, seed=1).fit(fold.train)
        likes = fold.test_likes.toarray() > 0
        score = model.score(None, fold.candidates)
        # Every second user likes one kind of text. Of a list as long as that kind: how much is of the user's kind?
        first_kind = likes[::2].any(0)
        kinds = np.where(np.arange(len(likes))[:, None] % 2 == 0, first_kind, ~first_kind)
        assert (likes <= kinds).all()
        ranked = np.argsort(-score, axis=1, kind="stable")
        of_kind = np.take_along_axis(kinds, ranked, 1)
        sizes_of_kind = kinds.sum(1, keepdims=True)
        inside = np.arange(of_kind.shape[1]) < sizes_of_kind
        of_kind = (of_kind & inside).sum(1) / sizes_of_kind[:, 0]
        found[name] = of_kind.mean()
    assert found["gru"] >= 0.9, found
    assert abs(found["embed"] - 0.5) < 0.1, found


def test_a_bag_of_words_is_refused_with_the_reason() -> None:
    items = sample().items
    bags = Items.build(items.ids.values, documents=Documents.from_bags(items.documents.words, items.documents.matrix()))
    with pytest.raises(CapabilityError, match="it reads words in order and the data hold word counts only"):
        create("gru").fit(dataclasses.replace(sample(), items=bags))


def test_every_field_of_the_encoder_changes_something() -> None:
    data = sample()
    base = SMALL | {"epochs": 1}
    plain = create("gru", base).fit(data).score(None)
    changes: list[dict[str, Any]] = [{"embedding_dim": 8}, {"hidden_dim": 8}, {"pooling": "last"}, {"pooling": "max"}]
    changes += [{f"dropout_{place}": 0.0} for place in ("words", "first", "second")]
    changes += [{"word_dropout": 0.2}, {"shortcut": True}]
    for change in changes:
        assert not np.allclose(create("gru", base | change).fit(data).score(None), plain), change


def test_bfloat16_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sample()
    exact, low = (create("gru", SMALL | {"epochs": 2, "precision": name}).fit(data) for name in ("fp32", "bf16"))
    assert not np.array_equal(exact.encode(["graph networks"]), low.encode(["graph networks"]))
    assert np.corrcoef(exact.score(None).ravel(), low.score(None).ravel())[0, 1] > 0.98


def test_the_precision_is_asked_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for capabilities, expected in (({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False)
        assert resolve_precision("auto", cpu) == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert resolve_precision("auto", cpu) == torch.float32
    assert resolve_precision("bf16", cpu) == torch.bfloat16
    with low_precision(cpu, torch.float32):
        assert not torch.is_autocast_enabled("cpu")


def test_a_loss_that_is_not_a_number_names_step_batch_and_learning_rate() -> None:
    config = SMALL | {"learning_rate": 1e18, "epochs": 3, "batch_size": 64}
    with pytest.raises(TrainingError, match=r"in epoch 1, step \d+ of \d+ \(a batch of \d+, learning rate 1e\+18\)"):
        create("gru", config).fit(sample())


# ---------------------------------------------------------------------- the recipe `paper`

PAPER = SMALL | {"recipe": "paper", "paper_steps": 6, "paper_evaluate_every": 3, "paper_users": 64}


def test_the_papers_recipe_learns() -> None:
    config = {"recipe": "paper", "factors": 32, "min_count": 1, "learning_rate": 0.01, "paper_users": 128}
    data = sample().filtered()
    found = [
        evaluate(data, "embed-mtl", folds=[0], config=config | {"paper_steps": steps}).result["folds"][0]
        for steps in (1, 600)
    ]
    assert found[1]["recall@10"] > found[0]["recall@10"] + 0.08
    assert found[1]["tag_recall@50"] == 1  # the sample has fewer tags than that
    assert 0 < found[1]["tokens_encoded"] < 600 * 256 * data.items.documents.lengths.mean()  # each text once a step


def test_the_papers_scores_are_equation_3() -> None:
    data = sample()
    model: Any = create("gru-mtl", PAPER).fit(data)
    factors = model._factors
    text = model.encode(data.items)
    offsets, bias = factors.offsets.detach().numpy(), factors.item_bias.detach().numpy()
    expected = factors.users.detach().numpy() @ (text + offsets).T
    expected += factors.user_bias.detach().numpy()[:, None] + bias
    np.testing.assert_allclose(model.score(None), expected, atol=1e-4)
    cold = model.score(None, ["Graph networks for protein folding"])
    vector = model.encode(["Graph networks for protein folding"])
    expected = factors.users.detach().numpy() @ vector.T + factors.user_bias.detach().numpy()[:, None] + bias.mean()
    np.testing.assert_allclose(cold, expected, atol=1e-4)


def test_the_papers_draws_are_one_like_and_one_other_training_item() -> None:
    data: Dataset = sample()
    vocabulary = Vocabulary.build(data.items.documents, min_count=1)
    trainee = PaperTrainee(
        Embed(len(vocabulary), 8),
        PaperFactors(data.n_users, data.likes_per_item() > 0, 0, 8, 0.1),
        vocabulary.recode(data.items.documents),
        data.likes,
        data.items.tags,
        draws=1000,
        settings=PaperSettings(1e-3, 0.01, 10.0, 1e-8, 0.5, 1.0),
        evaluate=None,
    )
    users = np.repeat(np.arange(data.n_users), 20)
    liked, other = trainee._draw(users)
    assert data.likes[users, liked].all()
    assert not data.likes[users, other].any()
    assert set(other) <= set(data.likes.indices.tolist())
    assert len(np.unique(liked[:20])) > 3
    rng = np.random.default_rng(0)
    drawn = np.concatenate(trainee.batches(np.arange(1000), 64, rng))
    counts = np.bincount(drawn, minlength=data.n_users)
    assert (len(drawn), counts.min(), counts.max()) == (1000, 3, 4)
    np.testing.assert_allclose(trainee.weights[0], 1 + 10 * np.log(1 + np.diff(data.likes.indptr)[0] / 1e-8), rtol=1e-5)


def test_fold_in_and_update_work_after_the_papers_recipe() -> None:
    data = sample()
    model = create("gru-mtl", PAPER).fit(data)
    frame = model.recommend(liked=list(data.items.ids)[:4], k=5)
    assert len(frame) == 5
    before = model.score([data.users[1]])
    model.update({"user_id": ["new"], "item_id": [data.items.ids[3]]})
    assert len(model.recommend("new", k=3)) == 3
    assert model.score([data.users[1]]).shape == before.shape


# ---------------------------------------------------------------------- all items after early stopping


def test_held_out_items_are_trained_on_after_early_stopping() -> None:
    fold = split(sample(), "cold", seed=0).fold(sample(), 0)
    validation = hold_out(fold.train, "cold", seed=0, fold=0)
    config = SMALL | {"epochs": 2, "precision": "fp32"}
    without, with_all = (
        create("gru-mtl", config | {"refit_epochs": epochs}).fit(fold.train, validation=validation) for epochs in (0, 3)
    )
    assert without.report.best_epoch == with_all.report.best_epoch
    assert without.report.validation == with_all.report.validation
    more = with_all.report.tokens_encoded - without.report.tokens_encoded
    trained = (fold.train.likes_per_item() > 0) | (np.diff(fold.train.items.tags.indptr) > 0)
    assert more == 3 * np.diff(fold.train.items.documents.starts)[trained].sum()
    assert not np.array_equal(without.encode(["a text"]), with_all.encode(["a text"]))


# ---------------------------------------------------------------------- survives

TRAIN = "import sys; from textrec.cli import main; sys.exit(main())"


def train_command(out: Path, *more: str) -> list[str]:
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    options = ["--epochs=4", "--patience=9", "--batch-size=32", "--threads=1", "--checkpoint-every=0", "--seed=4"]
    arguments = ["train", "sample", "--out", str(out), "--model", "gru-mtl", *sizes, *options, *more]
    return [sys.executable, "-c", TRAIN, *arguments]


def last_saved(out: Path) -> int:
    """When training saved its progress last, also while all items are trained on; 0 before it did."""
    files = checkpoint_folder(out).rglob("checkpoint.safetensors")
    return max((file.stat().st_mtime_ns for file in files), default=0)


def killed_until_done(out: Path, kills: int, seed: int) -> int:
    """Train with `kill -9` at random moments, resuming each time; how many kills hit a running training."""
    rng, hits = random.Random(seed), 0
    for _ in range(kills):
        process = subprocess.Popen(train_command(out, "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started = time.monotonic()
        before = last_saved(out)
        while time.monotonic() - started < 60 and process.poll() is None:  # wait until it has gone on
            if last_saved(out) != before:
                time.sleep(rng.uniform(0, 0.15))
                process.send_signal(signal.SIGKILL)
                hits += 1
                break
            time.sleep(0.005)
        if process.wait() == 0:
            break
    done = subprocess.run(train_command(out, "--resume"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return hits


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_kill_and_resume_gives_the_same_model_bit_by_bit(kills: int, tmp_path: Path) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    subprocess.run(train_command(tmp_path / "whole"), check=True, capture_output=True)
    assert killed_until_done(tmp_path / "killed", kills, seed=kills) >= min(kills, 2)
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(killed[name], array, err_msg=name)
    assert not checkpoint_folder(tmp_path / "killed").exists()
