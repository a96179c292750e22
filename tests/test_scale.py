"""`benchmarks/scale.py` and its report: measurements are kept one by one, the page says what was measured."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def scale(benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("scale")
    monkeypatch.setattr(module, "RESULT", tmp_path / "scale.json")
    return module


def test_the_page_and_the_plot_are_made_from_the_measurements(benchmarks: None) -> None:
    report = importlib.import_module("scale_report")
    found, text = report.measured(), (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert text == report.with_figures(text, found), "run `python benchmarks/scale_report.py`"
    assert report.PLOT.read_text(encoding="utf-8").startswith("<?xml")
    with pytest.raises(SystemExit, match=r"scale\.md lacks the lines"):
        report.with_figures("no markers", found)


def entry(likes: int, seconds: float, peak: float) -> dict[str, Any]:
    part = {"seconds": seconds, "processor": seconds}
    return {"likes": likes, "epoch": part, "peak_mb": peak}


def test_the_exponent_and_the_ratio(scale: ModuleType) -> None:
    for likes in (50_000_000, 5_000_000, 500_000):
        scale.keep("train", likes, entry(likes, likes**1.1, 1024.0))
    found = json.loads(scale.RESULT.read_text())
    assert list(found["train"]) == ["500000", "5000000", "50000000"]
    assert found["summary"]["exponent_processor"] == pytest.approx(1.1)
    assert found["summary"]["exponent_peak_mb"] == pytest.approx(0, abs=1e-9)
    assert found["summary"]["cost_ratio"] == pytest.approx(10**0.1)
    assert found["summary"]["train_peak_gb"] == 1


def test_what_is_measured_is_not_measured_again(
    scale: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--work", str(tmp_path), "--threads", "1", "--sample", "50"]
    scale.run("train", 50_000, options)
    scale.run("train", 50_000, options)
    assert "train 50,000: measured already" in capsys.readouterr().out
    train = scale.measured()["train"]["50000"]
    assert set(train["parts"]) == {"encode", "step", "solve", "offsets"}
    assert train["epoch"]["processor"] == pytest.approx(
        sum(train["parts"][part]["processor"] for part in ("encode", "step", "solve"))
    )
    with pytest.raises(SystemExit, match="recommend 7 failed; what was measured before is kept"):
        scale.run("recommend", 7, options)


@pytest.mark.soak
def test_recommending_and_the_gru_are_measured(scale: ModuleType, tmp_path: Path) -> None:
    options = ["--work", str(tmp_path), "--threads", "1", "--sample", "50"]
    scale.run("train", 50_000, options)
    scale.run("recommend", 1000, options)
    recommend = scale.measured()["recommend"]["1000"]
    assert recommend["exact_users"] == 50
    assert recommend["recall_at_50"] >= 0.95
    scale.run("gru", 12_000, options)
    assert scale.measured()["summary"]["gru_spread"] == 0
