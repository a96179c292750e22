"""The README's results are those of the committed files."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tables"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_results_table_is_generated_from_the_result_files(tables: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if not tables.result_files():
        pytest.skip("there are no committed results yet (benchmarks/results, benchmarks/runs)")
    assert text == tables.readme_with_table(text), "run `make readme`: the results table is not that of the files"


def test_a_changed_result_changes_the_table(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {"recall@10": 0.1, "recall@50": 0.4, "ndcg@50": 0.2, "hr@10": 0.3, "seconds": 5.0}
    found = {
        "data": tables.TITLES, "model": "tfidf", "setting": "cold", "candidates": "eligible", "config": {},
        "mean": figures, "sd": figures, "folds": [{"peak_mb": 99.0}],
    }  # fmt: skip
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    monkeypatch.setattr(tables, "RUNS", tmp_path / "runs")
    readme = "before\n<!-- results: benchmarks/tables.py readme -->\nstale\n<!-- end of results -->\nafter\n"
    texts = []
    for value in (0.4, 0.41):
        figures["recall@50"] = value
        path = tmp_path / f"{tables.TITLES}_cold_tfidf.json"
        path.write_text(json.dumps(found), encoding="utf-8")
        texts.append(tables.readme_with_table(readme))
    assert "0.400 ± 0.400" in texts[0]
    assert "0.410 ± 0.410" in texts[1]
    assert all("stale" not in text and text.startswith("before\n") and text.endswith("\nafter\n") for text in texts)


def test_runs_take_the_place_of_single_results(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textrec.study.experiment import experiment
    from textrec.study.grid import Spec

    block = {"models": ["tfidf", "popularity"], "data": ["sample"], "folds": [0, 1], "settings": ["cold", "warm"]}
    experiment(Spec.from_toml_values({"name": "mine", "grid": [block]}), tmp_path / "runs" / "mine", workers=1)
    monkeypatch.setattr(tables, "RUNS", tmp_path / "runs")
    table = tables.results_table()
    assert table.count("\n") == 4
    assert "| sample | warm | popularity |" in table
