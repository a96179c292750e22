"""Experiments: each cell once, whatever happens in between."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from textrec.data.sample import sample
from textrec.errors import ArgumentError, DataError
from textrec.study import experiment as module
from textrec.study import report as report_module
from textrec.study.evaluation import evaluate
from textrec.study.experiment import experiment
from textrec.study.grid import Spec, load_spec
from textrec.study.report import report
from textrec.study.store import Run
from textrec.study.verification import verify

TINY = {"factors": 8, "epochs": 2, "min_count": 1}
TINY_TOML = """
data = ["sample"]
folds = [0, 1]
[[grid]]
models = ["tfidf"]
[[grid]]
models = ["embed"]
config = { factors = 8, epochs = 25, patience = 25, batch_size = 32, min_count = 1 }
"""
TEXTREC = [sys.executable, "-c", "import sys; from textrec.cli import main; sys.exit(main())"]


def spec_of(*blocks: Mapping[str, Any], **shared: Any) -> Spec:
    return Spec.from_toml_values({"name": "test", "data": ["sample"], "folds": [0, 1], **shared, "grid": list(blocks)})


QUICK = spec_of({"models": ["tfidf", "popularity"]}, settings=["cold", "warm"])


def test_cells_hold_what_evaluate_finds(tmp_path: Path) -> None:
    spec = spec_of({"models": ["embed-mtl"], "config": TINY})
    outcome = experiment(spec, tmp_path / "run", workers=1)
    assert (outcome.total, outcome.found, outcome.done, outcome.failed) == (2, 0, 2, {})
    found = evaluate(sample().filtered(), "embed-mtl", folds=[0, 1], config=TINY)
    run = Run(tmp_path / "run")
    for cell, row in zip(spec.cells(), found.result["folds"], strict=True):
        record = run.record(cell)
        assert record is not None
        figures = record["figures"]
        volatile = {"seconds", "peak_mb"}
        assert {key: figures[key] for key in row if key not in volatile} == {
            key: row[key] for key in row if key not in volatile
        }
        users = run.users(cell.name)
        expected = found.per_user().filter(fold=cell.fold)
        assert users["recall@50"].to_list() == expected["recall@50"].cast(pl.Float32).to_list()
        assert record["curves"]["recall"][49] == pytest.approx(row["recall@50"], abs=1e-6)
        assert {"versions", "machine", "commit", "config_hash", "groups", "threads"} <= record.keys()


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert experiment(QUICK, folder, workers=1).done == 6
    again = experiment(QUICK, folder, workers=1)
    assert (again.total, again.found, again.done) == (6, 6, 0)
    wider = spec_of({"models": ["tfidf", "popularity"]}, settings=["cold", "warm"], folds=[0, 1, 2])
    extended = experiment(wider, folder, workers=1)
    assert (extended.total, extended.found, extended.done) == (9, 6, 3)
    changed = spec_of({"models": ["tfidf"], "config": {"ngrams": 1}})
    assert experiment(changed, folder, workers=1).done == 2  # same names, another configuration
    sessions = Run(folder).manifest()["sessions"]
    assert len(sessions) == 4
    assert {"started", "versions", "machine", "commit"} == sessions[0].keys()


def test_the_folds_of_the_folder_are_used(tmp_path: Path) -> None:
    spec = spec_of({"models": ["tfidf"]}, folds=[0])
    experiment(spec, tmp_path / "a", workers=1)
    path = Run(tmp_path / "a").split_path(spec.cells()[0])
    folds = json.loads(path.read_text(encoding="utf-8"))
    folds["folds"].reverse()
    other = Run(tmp_path / "b")
    other.open(spec)
    other.split_path(spec.cells()[0]).write_text(json.dumps(folds), encoding="utf-8")
    experiment(spec, tmp_path / "b", workers=1)
    last = evaluate(sample().filtered(), "tfidf", folds=[4]).result["folds"][0]
    record = other.record(spec.cells()[0])
    assert record is not None
    assert record["figures"]["recall@50"] == last["recall@50"]


def test_a_failed_cell_is_kept_with_its_error_and_the_others_go_on(tmp_path: Path) -> None:
    broken = {"models": ["embed"], "config": {**TINY, "learning_rate": 1e30}, "variant": "broken"}
    spec = spec_of(broken, {"models": ["tfidf"]}, folds=[0])
    outcome = experiment(spec, tmp_path / "run", workers=1)
    assert outcome.done == 1
    assert list(outcome.failed) == ["sample_cold_embed_broken_seed0_fold0"]
    assert "the loss is" in outcome.failed["sample_cold_embed_broken_seed0_fold0"]
    record = Run(tmp_path / "run").record(spec.cells()[0])
    assert record is not None
    assert "TrainingError" in record["traceback"]
    again = experiment(spec, tmp_path / "run", workers=1)
    assert (again.found, again.done, len(again.failed)) == (1, 0, 1)  # tried again
    report(tmp_path / "run", tmp_path / "report")
    assert "Failed cells" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_models_that_cannot_read_the_data_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "able", lambda cell, data: cell.model != "popularity")
    outcome = experiment(QUICK, tmp_path / "run", workers=1)
    assert outcome.total == 4
    assert outcome.left_out == ["sample_warm_popularity_seed0_fold0", "sample_warm_popularity_seed0_fold1"]


def test_folders_that_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="exists and is no run folder"):
        experiment(QUICK, tmp_path, workers=1)
    with pytest.raises(DataError, match=r"no run folder \(it has no run.json\)"):
        Run(tmp_path / "nothing").manifest()
    folder = tmp_path / "newer"
    folder.mkdir()
    (folder / "run.json").write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(DataError, match="format 2, and this textrec reads formats up to 1"):
        Run(folder).manifest()
    (folder / "run.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match=r"damaged \(no JSON object\); delete it"):
        Run(folder).manifest()


def test_what_a_killed_session_was_writing_is_swept_away(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.open(QUICK)
    old, young = tmp_path / "cells" / ".old.json.x1", tmp_path / "cells" / ".young.json.x2"
    for path in (old, young):
        path.write_text("half", encoding="utf-8")
    os.utime(old, (0, 0))
    run.open(QUICK)
    assert not old.exists()
    assert young.exists()


def test_a_damaged_result_file_is_named(tmp_path: Path) -> None:
    spec = spec_of({"models": ["tfidf"]}, folds=[0])
    experiment(spec, tmp_path, workers=1)
    path = tmp_path / "cells" / "sample_cold_tfidf_seed0_fold0.json"
    path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    with pytest.raises(DataError, match=r"sample_cold_tfidf_seed0_fold0.json: damaged .*delete it and run"):
        experiment(spec, tmp_path, workers=1)


def test_results_of_evaluate_and_of_other_runs_are_taken_over(tmp_path: Path) -> None:
    source = tmp_path / "results"
    source.mkdir()
    found = evaluate(sample().filtered(), "tfidf", folds=[0, 1])
    (source / "any.json").write_text(json.dumps(found.result), encoding="utf-8")
    (source / "other.json").write_text("[1]", encoding="utf-8")
    found.per_user().write_parquet(source / "any.parquet")
    spec = spec_of({"models": ["tfidf"]}, {"models": ["tfidf"], "variant": "words", "config": {"ngrams": 1}})
    outcome = experiment(spec, tmp_path / "run", workers=1, adopted=source)
    assert outcome.adopted == ["sample_cold_tfidf_seed0_fold0", "sample_cold_tfidf_seed0_fold1"]
    assert (outcome.found, outcome.done) == (2, 2)
    report(tmp_path / "run", tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert f"{found.result['mean']['recall@10']:.4f} ±" in text

    renamed = spec_of({"models": ["tfidf"], "variant": "unigrams", "config": {"ngrams": 1}})
    outcome = experiment(renamed, tmp_path / "next", workers=1, adopted=tmp_path / "run")
    assert (len(outcome.adopted), outcome.done) == (2, 0)
    with pytest.raises(ArgumentError, match="adopt must be a run folder or a folder of"):
        experiment(spec, tmp_path / "run", workers=1, adopted=tmp_path / "report")


def test_verify_recomputes_from_top_lists(tmp_path: Path) -> None:
    spec = spec_of({"models": ["tfidf"]}, settings=["cold", "warm"], folds=[1])
    experiment(spec, tmp_path / "bare", workers=1)
    with pytest.raises(DataError, match="there are no top lists to verify"):
        list(verify(tmp_path / "bare"))
    experiment(spec, tmp_path / "run", workers=1, keep_top=True)
    checks = list(verify(tmp_path / "run"))
    assert [check.wrong for check in checks] == [{}, {}]
    assert {"recall@10", "recall@300", "ndcg@50", "hr@10"} <= checks[0].figures.keys()

    path = tmp_path / "run" / "cells" / f"{checks[0].cell}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["figures"]["recall@50"] += 0.01
    path.write_text(json.dumps(record), encoding="utf-8")
    assert next(iter(verify(tmp_path / "run"))).wrong == {"recall@50": record["figures"]["recall@50"]}

    tops = tmp_path / "run" / "tops" / f"{checks[0].cell}.parquet"
    pl.read_parquet(tops).with_columns(pl.lit("nobody").alias("item")).write_parquet(tops)
    with pytest.raises(DataError, match="item 'nobody' is no candidate of the fold"):
        list(verify(tmp_path / "run"))


def test_workers_find_the_same_and_a_dead_one_costs_one_cell(tmp_path: Path) -> None:
    alone = experiment(QUICK, tmp_path / "alone", workers=1)
    killed = []

    def kill_one(event: Mapping[str, Any]) -> None:
        if event["event"] == "start" and not killed:
            killed.append(event["cell"])
            child = multiprocessing.active_children()[0]
            os.kill(child.pid or 0, signal.SIGKILL)

    outcome = experiment(QUICK, tmp_path / "many", workers=1 + 1, tell=kill_one)
    assert outcome.done == alone.done - 1
    (error,) = outcome.failed.values()
    assert "the worker process was killed by signal SIGKILL; out of memory?" in error
    assert experiment(QUICK, tmp_path / "many", workers=1).done == 1
    for cell in QUICK.cells():
        ours, theirs = (Run(tmp_path / name).record(cell) for name in ("many", "alone"))
        assert ours is not None
        assert theirs is not None
        assert ours["curves"] == theirs["curves"]
        assert ours["groups"] == theirs["groups"]


def test_the_better_plan_is_measured_and_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose cells are slow in two processes at once, quick in one with both cores."""
    ran: list[tuple[str, int]] = []

    def pretend(cells: Any, plan: Any, folder: Path, tell: Any, **_: Any) -> None:
        for cell in cells:
            ran.append((cell.model, plan.workers))
            slow = cell.model == "embed"
            seconds = (100.0 if plan.workers == 2 else 40.0) if slow else 1.0
            tell({"event": "done", "cell": cell.name, "tokens_encoded": 1000, "seconds": seconds})

    monkeypatch.setattr(module, "run_cells", pretend)
    monkeypatch.setattr(module, "cores", lambda: 2)
    spec = spec_of({"models": ["embed", "tfidf"]}, folds=[0, 1, 2, 3, 4])
    events: list[Mapping[str, Any]] = []
    experiment(spec, tmp_path, tell=events.append)
    # two at once: 20 tokens a second; one with both cores: 25
    assert ran == [("embed", 2)] * 2 + [("embed", 1)] + [("tfidf", 2)] * 5 + [("embed", 1)] * 2
    timing = json.loads((tmp_path / "timing.json").read_text(encoding="utf-8"))
    assert timing["embed"]["chosen"] == "1 × 2 threads"
    assert timing["embed"]["measured"]["2 × 1 thread"]["rate"] == pytest.approx(20)
    assert timing["tfidf"]["chosen"] == "2 × 1 thread"
    assert [event["model"] for event in events if event["event"] == "chosen"] == ["embed", "tfidf"]
    ran.clear()
    experiment(spec, tmp_path)  # nothing was written, so all is run again, without measuring
    assert ran == [("tfidf", 2)] * 5 + [("embed", 1)] * 5


def composed(folder: Path) -> dict[str, bytes]:
    """The report of a run, without what differs from run to run."""
    out = folder.parent / f"{folder.name}-report"
    return {path.name: path.read_bytes() for path in report(folder, out, with_cost=False)}


def start(spec: Path, folder: Path, workers: int) -> subprocess.Popen[str]:
    """The command, running its first cell."""
    command = [*TEXTREC, "experiment", str(spec), "--out", str(folder), "--workers", str(workers)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert process.stderr is not None
    assert "cells" in process.stderr.readline()
    return process


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_killed_at_any_moment_and_continued(tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times on a grid of seconds, twenty times on `smoke` with two workers now and then."""
    monkeypatch.setattr(report_module, "png_of", lambda drawing: b"")  # the SVG is of the same drawing
    path = tmp_path / "tiny.toml"
    path.write_text(TINY_TOML, encoding="utf-8")
    spec = load_spec("smoke" if times > 3 else path)
    clean = tmp_path / "clean"
    started = time.perf_counter()
    experiment(spec, clean, workers=1)
    seconds = time.perf_counter() - started
    expected = composed(clean)
    rng = random.Random(times)
    done_before = []
    for number in range(times):
        folder = tmp_path / f"run-{number}"
        process = start(Path("smoke") if times > 3 else path, folder, workers=2 if number % 4 == 3 else 1)
        time.sleep(rng.uniform(0, seconds))
        process.kill()
        process.communicate()
        outcome = experiment(spec, folder, workers=1)
        assert outcome.found + outcome.done == outcome.total == len(spec.cells())
        done_before.append(outcome.found)
        assert composed(folder) == expected
    assert len(set(done_before)) > 1 or times == 3, done_before


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    endless = TINY_TOML.replace("epochs = 25, patience = 25", "epochs = 9000, patience = 9000")
    assert endless != TINY_TOML
    path.write_text(endless, encoding="utf-8")
    process = start(path, tmp_path / "run", workers=2)
    for _ in range(600):  # until a worker has dealt the folds
        if (tmp_path / "run" / "folds").is_dir():
            break
        time.sleep(0.1)
    assert (tmp_path / "run" / "folds").is_dir()
    process.kill()
    process.communicate()
    for _ in range(200):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError("workers outlive their parent")
