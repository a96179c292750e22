from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import textrec
from textrec.data.sample import sample, simulate
from textrec.errors import ArgumentError, CapabilityError
from textrec.protocol.splits import split
from textrec.study.evaluation import evaluate

METRICS = {
    *("recall@10", "recall@50", "recall@100", "recall@200", "recall@300", "ndcg@50", "hr@10", "mrr", "map"),
    *("coverage@50", "novelty@50", "users", "candidates", "seconds", "peak_mb", "tokens_encoded", "best_epoch"),
}


def test_the_result_is_json_with_fixed_keys() -> None:
    found = evaluate(sample().filtered(), "tfidf", folds=[1, 3])
    result = json.loads(json.dumps(found.result))
    assert result.keys() == {
        *("data", "model", "setting", "candidates", "transductive", "seed", "config", "versions", "machine"),
        *("folds", "mean", "sd"),
    }
    assert [row["fold"] for row in result["folds"]] == [1, 3]
    assert result["folds"][0].keys() == METRICS | {"fold"}
    assert result["mean"].keys() == METRICS
    assert result["config"] == {"ngrams": 2, "min_items": 2, "sublinear": True}
    values = [row["recall@10"] for row in result["folds"]]
    assert result["mean"]["recall@10"] == pytest.approx(sum(values) / 2)
    assert result["sd"]["recall@10"] == pytest.approx(np.std(values, ddof=1))


def test_same_seed_same_figures_and_a_given_split_is_used() -> None:
    data = sample().filtered()
    first = evaluate(data, "tfidf", folds=[2]).result["folds"][0]
    again = evaluate(data, "tfidf", folds=[2], split_by=split(data, "cold", seed=0)).result["folds"][0]
    other = evaluate(data, "tfidf", folds=[2], seed=1).result["folds"][0]
    for row in (first, again):
        del row["seconds"], row["peak_mb"]
    assert first == again
    assert first["recall@10"] != other["recall@10"]


def test_per_user_frames_average_to_the_fold() -> None:
    found = evaluate(sample().filtered(), "tfidf", setting="warm", folds=[0, 1])
    frame = found.per_user()
    for row in found.result["folds"]:
        part = frame.filter(fold=row["fold"])
        assert part["recall@50"].mean() == pytest.approx(row["recall@50"])
        assert len(part) == row["users"]


def test_tag_recall_and_training_cost_of_a_model_that_predicts_tags() -> None:
    config = {"epochs": 3, "factors": 16, "min_count": 1}
    row = evaluate(sample().filtered(), "embed-mtl", folds=[0], config=config).result["folds"][0]
    assert 0 < row["tag_recall@50"] <= 1
    assert row["tokens_encoded"] > 0
    assert 1 <= row["best_epoch"] <= 3
    warm = evaluate(sample().filtered(), "embed-mtl", folds=[0], config=config, setting="warm").result["folds"][0]
    assert "tag_recall@50" not in warm  # tags are seen in the warm setting


def test_reading_beats_chance_and_stays_below_the_best_there_is() -> None:
    simulation = simulate(noise=0.0, order=0.0)
    data = simulation.dataset.filtered()
    mean = evaluate(data, "tfidf", folds=[0]).result["mean"]
    assert 10 / mean["candidates"] < mean["recall@10"]


def test_what_cannot_be_evaluated_is_refused() -> None:
    data = sample().filtered()
    with pytest.raises(CapabilityError, match="model 'popularity' lacks the capability 'cold'"):
        evaluate(data, "popularity")
    with pytest.raises(ArgumentError, match="folds must be from 0 to 4, got 5"):
        evaluate(data, "tfidf", folds=[5])


def test_five_lines(tmp_path: Path) -> None:
    data = textrec.read("sample")
    model = textrec.create("tfidf").fit(data)
    textrec.save(model, tmp_path / "model")
    loaded = textrec.load(tmp_path / "model")
    assert loaded.recommend(data.users[0], k=3).equals(model.recommend(data.users[0], k=3))
    assert set(textrec.__all__) <= {*dir(textrec), *textrec._HOMES}
    with pytest.raises(AttributeError, match="module 'textrec' has no attribute 'nonsense'; it has"):
        _ = textrec.nonsense


@pytest.mark.real
def test_tfidf_on_citeulike_titles(real_data: Path) -> None:
    data = textrec.read(real_data / "citeulike-a-titles").filtered()
    mean = evaluate(data, "tfidf", folds=[0]).result["mean"]
    assert mean["candidates"] == 3088
    assert 0.36 < mean["recall@50"] < 0.39
    assert 0.18 < mean["recall@10"] < 0.21
