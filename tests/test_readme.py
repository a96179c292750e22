"""The README's results are those of the committed runs."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from benchmark_scripts import script
from textrec.study.experiment import experiment
from textrec.study.grid import Spec

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    return script("readme")


def test_the_results_table_is_generated_from_the_runs(readme: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == readme.readme_with_table(text), "run `make readme`: the results table is not that of the runs"


def test_a_changed_result_changes_the_table(
    readme: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = {"models": ["tfidf", "popularity"], "data": ["sample"], "folds": [0, 1], "settings": ["cold", "warm"]}
    run = tmp_path / "table1"
    experiment(Spec.from_toml_values({"name": "table1", "grid": [block]}), run, workers=1)
    monkeypatch.setattr(readme, "RUNS", tmp_path)
    monkeypatch.setattr(readme, "PAIRED", tmp_path / "paired.json")
    stale = f"before\n{readme.START}stale{readme.END}\nafter\n"
    first = readme.readme_with_table(stale)
    assert first.count("\n| sample ") == 3
    assert "| sample | warm | popularity |" in first
    assert "stale" not in first
    assert first.startswith("before\n")
    assert first.endswith("\nafter\n")
    path = next((run / "cells").glob("sample_warm_popularity_*fold0.json"))
    record = json.loads(path.read_text(encoding="utf-8"))
    record["figures"]["recall@50"] += 0.1
    path.write_text(json.dumps(record), encoding="utf-8")
    assert readme.readme_with_table(stale) != first


def test_pairs_of_one_panel_are_tested(readme: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = {"models": ["tfidf", "lda", "ctr"], "data": ["sample"], "folds": [0], "config": {}}
    experiment(Spec.from_toml_values({"name": "past", "grid": [block]}), tmp_path / "past", workers=1)
    monkeypatch.setattr(readme, "RUNS", tmp_path)
    monkeypatch.setattr(readme, "PAIRED", tmp_path / "paired.json")
    readme.write_pairs()
    tests = json.loads((tmp_path / "paired.json").read_text(encoding="utf-8"))
    assert {(test["a"], test["b"]) for test in tests} == {("tfidf", "ctr")}
    assert {test["metric"] for test in tests} == {"recall@10", "recall@50", "hr@10"}
    assert all(test["low"] <= test["difference"] <= test["high"] for test in tests)
