"""The commands experiment and report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from textrec.cli import main
from textrec.cli.watching import Watch, duration
from textrec.study.grid import load_spec, shipped_specs

SPEC = """
data = ["sample"]
folds = [0, 1]
[[grid]]
models = ["tfidf"]
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 0) -> tuple[str, str]:
    assert main([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def test_from_a_grid_to_a_report(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    out, err = run(capsys, "experiment", spec, "--workers", 1, "--keep-top")
    assert "runs/mine: 2 cells, 0 were there, 2 done now, 0 failed" in out
    assert "next: textrec report runs/mine" in out
    assert "2 cells, 0 of them done before" in err
    assert "[2/2] sample_cold_tfidf_seed0_fold1: recall@50" in err
    out, _ = run(capsys, "experiment", spec, "--workers", 1, "--json")
    assert json.loads(out) == {"out": "runs/mine", "cells": 2, "found": 2, "done": 0, "failed": {}, "left_out": []}
    out, _ = run(capsys, "experiment", "--verify", "runs/mine")
    assert "2 cells recomputed from their top lists, 2 agree, 0 do not" in out
    out, _ = run(capsys, "report", "runs/mine")
    assert "wrote report/report.md, report/report.html and 3 plots" in out
    out, _ = run(capsys, "experiment", spec, "--workers", 1, "--out", "runs/b", "--adopt", "runs/mine")
    assert "2 were there (2 taken over), 0 done now" in out


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "experiment", "--list")
    for name in shipped_specs():
        assert re.search(rf"^{name} +{len(load_spec(name).cells())} ", out, re.MULTILINE)


def test_failures_have_their_own_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        'data = ["sample"]\nfolds = [0]\n[[grid]]\nmodels = ["embed"]\n'
        "config = { factors = 4, epochs = 1, learning_rate = 1e30 }\n",
        encoding="utf-8",
    )
    out, err = run(capsys, "experiment", path, "--workers", 1, "--out", tmp_path / "run", code=1)
    assert "1 failed" in out
    assert "warning: sample_cold_embed_seed0_fold0 failed: the loss is" in err


def test_a_wrong_figure_is_told(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "experiment", spec, "--workers", 1, "--keep-top", "--out", tmp_path / "run")
    path = tmp_path / "run" / "cells" / "sample_cold_tfidf_seed0_fold0.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["figures"]["hr@10"] = 0.5
    path.write_text(json.dumps(record), encoding="utf-8")
    out, err = run(capsys, "experiment", "--verify", tmp_path / "run", code=1)
    assert "1 agree, 1 do not" in out
    assert re.search(r"fold0: hr@10 is 0\.\d+ by the top lists, 0.500000 in the file", err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment"], "no experiment: give a TOML file or a shipped name"),
        (["experiment", "smoke", "--workers", "many"], "--workers must be auto or a number of at least 1, got 'many'"),
        (["experiment", "smoke", "--workers", "0"], "--workers must be auto or a number of at least 1, got '0'"),
        (["experiment", "nope"], "no experiment 'nope'"),
        (["experiment", "--verify", "nowhere"], r"nowhere: no run folder"),
        (["report", "nowhere"], r"nowhere: no run folder"),
    ],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, *arguments, code=2)
    assert out == ""
    assert re.search(message, err)


def test_the_live_table_counts_and_estimates() -> None:
    now = [0.0]
    rows = {"slow0": "slow", "slow1": "slow", "quick0": "quick", "quick1": "quick"}
    watch = Watch(rows, clock=lambda: now[0])
    watch.note({"event": "plan", "total": 5, "found": 1, "todo": list(rows)})
    assert watch.seconds_left() is None
    watch.note({"event": "start", "cell": "slow0"})
    watch.note({"event": "epoch", "cell": "slow0", "epoch": 2, "epochs": 9, "recall@50": 0.25})
    assert watch.running["slow0"][1] == "epoch 2/9, recall@50 0.2500"
    now[0] = 100.0
    line = watch.note({"event": "done", "cell": "slow0", "recall@50": 0.5})
    assert line == "[2/5] slow0: recall@50 0.5000, 100.0 s, about 5 min left"
    watch.note({"event": "start", "cell": "quick0"})
    now[0] = 110.0
    watch.note({"event": "failed", "cell": "quick0", "error": "no memory"})
    assert watch.failed == 1
    watch.note({"event": "start", "cell": "slow1"})
    now[0] = 140.0
    assert watch.seconds_left() == 100 - 30 + 100  # slow1 has 70 s to go; of quick nothing is known but the mean
    from rich.console import Console

    screen = Console(width=100, record=True, file=None, quiet=False, force_terminal=False)
    with screen.capture() as captured:
        screen.print(watch.table())
    assert "2 of 5 cells done, 1 failed, 1 running, about 3 min left" in captured.get()
    assert "slow1" in captured.get()
    chosen = {"event": "chosen", "model": "gru", "chosen": "1 × 2", "measured": {"1 × 2": {}, "2 × 1": {}}}
    assert watch.note(chosen) == "gru: 1 × 2, which does more than the alternative"
    assert watch.note({**chosen, "measured": {"1 × 2": {}}}) == "gru: 1 × 2, as it is quick either way"


def test_durations() -> None:
    assert [duration(seconds) for seconds in (3.2, 89, 100, 3600, 7500)] == [
        "3 s",
        "89 s",
        "2 min",
        "60 min",
        "2 h 05 min",
    ]
