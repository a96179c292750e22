"""The README's results are those of the committed runs."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from benchmark_scripts import script
from textrec.study.experiment import experiment
from textrec.study.grid import Spec


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    return script("readme")


def test_the_tables_are_generated_from_the_runs(readme: ModuleType) -> None:
    for path, text in readme.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"run `make readme`: {path.name} is not that of the runs"


def test_a_changed_result_changes_the_table(
    readme: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = {"models": ["tfidf", "popularity"], "data": ["sample"], "folds": [0, 1], "settings": ["cold", "warm"]}
    run = tmp_path / "table1"
    experiment(Spec.from_toml_values({"name": "table1", "grid": [block]}), run, workers=1)
    monkeypatch.setattr(readme, "RUNS", tmp_path)
    monkeypatch.setattr(readme, "PAIRED", tmp_path / "paired.json")
    stale = f"before\n{readme.START}stale{readme.END}\nafter\n"
    first = readme.with_table(stale, readme.every_row())
    overview = readme.overview().splitlines()
    assert overview[0] == "| model | sample cold | sample warm |"
    assert [line.split(" | ")[0] for line in overview[2:]] == ["| tfidf", "| popularity"]
    assert overview[3].startswith("| popularity | – | 0.")
    assert first.count("\n| sample ") == 3
    assert "| sample | warm | popularity |" in first
    assert "stale" not in first
    assert first.startswith("before\n")
    assert first.endswith("\nafter\n")
    path = next((run / "cells").glob("sample_warm_popularity_*fold0.json"))
    record = json.loads(path.read_text(encoding="utf-8"))
    for metric in ("recall@10", "recall@50"):
        record["figures"][metric] += 0.1
    path.write_text(json.dumps(record), encoding="utf-8")
    assert readme.with_table(stale, readme.every_row()) != first
    assert readme.overview().splitlines() != overview


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
