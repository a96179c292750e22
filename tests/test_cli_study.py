"""The commands from files to a model and to figures: data, models, config, train, split, evaluate, demo."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from textrec.cli import main
from textrec.data.sample import sample
from textrec.data.tables import write_tables
from textrec.model_folder import load
from textrec.protocol.splits import Split
from textrec.registry import MODELS


def run(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 0) -> tuple[str, str]:
    assert main([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


def failing(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    out, err = run(capsys, *arguments, code=2)
    assert out == ""
    assert "error: " in err
    assert "Traceback" not in err
    return err


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_tables(sample(), folder, "csv")
    return folder


def test_data_info(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "data", "info", tables)
    assert "5,655" in out
    assert "after the filters" in out
    assert "texts in word order" in out
    assert err == ""
    out, _ = run(capsys, "data", "info", "--likes", tables / "likes.csv", "--items", tables / "items.csv", "--json")
    facts = json.loads(out)
    assert list(facts) == [
        "name",
        "users",
        "items",
        "likes",
        "sparsity_percent",
        "items_with_5_likes",
        "tags",
        "tags_on_10_items",
        "tags_used",
        "filtered",
        "likes_per_user",
        "likes_per_item",
        "text",
        "vocabulary",
        "paper_vocabulary",
        "timestamps",
        "problems",
    ]
    assert (facts["users"], facts["items"], facts["likes"]) == (300, 400, 5655)
    documented = (Path(__file__).parents[1] / "docs" / "json.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in documented for key in facts)


def test_data_info_lists_every_problem_and_other_commands_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\na,one two\nb,\nc,three\n", encoding="utf-8")
    (tmp_path / "likes.csv").write_text("user_id,item_id\nu,a\nu,a\nu,zzz\nv,b\n", encoding="utf-8")
    out, err = run(capsys, "data", "info", tmp_path)
    assert "* no user is left" in out
    assert err.count("warning: ") == 3
    assert "likes.csv:4" in err
    assert "like of item 'zzz'" in failing(capsys, "data", "info", tmp_path, "--strict")
    assert "none of 2 users has 5 likes or more" in failing(capsys, "split", tmp_path, "--out", tmp_path / "f.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no data: give the folder or name DATA"),
        (["sample", "--likes", "l.csv"], "give either DATA, or --likes FILE and --items FILE"),
        (["--likes", "l.csv"], "both --likes FILE and --items FILE"),
        (["nowhere-to-be-found"], "found no data 'nowhere-to-be-found'"),
        (["sample", "--min-rating", "3"], "min_rating needs a likes table"),
        (["sample", "--encodng", "x"], "no such option: --encodng.*--encoding"),
    ],
)
def test_bad_data_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(message, failing(capsys, "data", "info", *arguments))


def test_data_fetch_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "data", "fetch")
    assert "citeulike-a" in out
    assert "unknown data set 'nope'; the catalogue has" in failing(capsys, "data", "fetch", "nope")


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "models")
    assert "defaults: ngrams=2 min_items=2 sublinear=true" in out
    out, _ = run(capsys, "models", "--json")
    entries = json.loads(out)["models"]
    assert [entry["name"] for entry in entries] == list(MODELS)
    assert all(list(entry) == ["name", "summary", "capabilities", "config", "needs"] for entry in entries)
    assert next(entry for entry in entries if entry["name"] == "tfidf")["config"] == {
        "ngrams": 2,
        "min_items": 2,
        "sublinear": True,
    }


def test_config_prints_toml_that_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "config", "--model", "tfidf")
    assert "# Longest word n-gram" in out
    assert tomllib.loads(out) == {"ngrams": 2, "min_items": 2, "sublinear": True}
    path = tmp_path / "my.toml"
    path.write_text("ngrams = 1\nmin_items = 3\n", encoding="utf-8")
    out, _ = run(capsys, "config", "--config", path, "--min-items=4", "--no-sublinear")
    assert tomllib.loads(out) == {"ngrams": 1, "min_items": 4, "sublinear": False}
    out, _ = run(capsys, "config", "--sublinear", "false", "-m", "tfidf", "--ngrams", "1")
    assert tomllib.loads(out) == {"ngrams": 1, "min_items": 2, "sublinear": False}
    out, _ = run(capsys, "config", "--sublinear")
    assert tomllib.loads(out)["sublinear"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "tfdf"], "unknown model 'tfdf'; did you mean 'tfidf'"),
        (["--ngram", "1"], "no option --ngram for the model 'tfidf'; did you mean --ngrams"),
        (["--zzzzzz", "1"], "no option --zzzzzz .*textrec config --model tfidf"),
        (["--ngrams"], "--ngrams needs a value"),
        (["--ngrams", "many"], "ngrams must be int, got 'many'"),
        (["--ngrams", "7"], "ngrams must be from 1 to 2, got 7"),
        (["--config", "none.toml"], "none.toml: no such configuration file"),
    ],
)
def test_bad_configuration(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(message, failing(capsys, "config", *arguments))


def test_train_from_tables_to_a_folder(tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "train", "--ngrams", "1", tables, "--out", tmp_path / "model", "--seed", 3)
    assert "300 users, 400 items, 5,655 likes" in out
    assert "model tfidf: ngrams=1, seed 3" in out
    assert f"next: textrec recommend {tmp_path / 'model'} --user 0" in out
    assert err == ""
    model = load(tmp_path / "model")
    assert (model.config.ngrams, model.seed, model.data.n_likes) == (1, 3, 5655)


def test_train_filters_and_leaves_likes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--min-likes", 20, "--min-tag-items", 30, "--without-likes", "--out", tmp_path / "model")
    out, _ = run(capsys, "train", "sample", "--model", "popularity", *arguments)
    assert "without likes" in out
    assert "--include-seen" in out
    model = load(tmp_path / "model")
    expected = sample().filtered(min_likes=20, min_tag_items=30)
    assert not model.likes_known
    assert model.data.n_users == expected.n_users
    assert len(model.data.items.tag_names) == len(expected.items.tag_names)


def test_train_stops_early_and_writes_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ("--model", "embed", "--epochs", 2, "--factors", 8, "--min-count", 1)
    log = tmp_path / "log.jsonl"
    out, _ = run(capsys, "train", "sample", *quick, "--out", tmp_path / "a", "--json-log", log)
    assert "cold validation" in out
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    assert [event["epoch"] for event in epochs if "refit" not in event] == [1, 2]
    assert [event["epoch"] for event in epochs if "refit" in event] == [1, 2, 3, 4]
    assert {"done", "total"} <= events[0].keys()
    out, _ = run(capsys, "train", "sample", *quick, "--out", tmp_path / "b", "--validate", "none")
    assert "validation" not in out
    out, _ = run(capsys, "train", "sample", *quick, "--out", tmp_path / "b", "--validate", "warm")
    assert "warm validation" in out


def test_train_without_enough_for_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\na,one two\nb,two three\n", encoding="utf-8")
    (tmp_path / "likes.csv").write_text("user_id,item_id\nu,a\nv,b\n", encoding="utf-8")
    quick = ("train", tmp_path, "--model", "embed", "--epochs", 1, "--factors", 4, "--out", tmp_path / "model")
    _, err = run(capsys, *quick)
    assert "warning: training without validation: no validation part" in err
    assert main([*map(str, quick), "--validate", "cold"]) == 2
    assert "no validation part" in capsys.readouterr().err


def test_train_refuses_before_it_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    assert "exists and is not a model folder" in failing(capsys, "train", "sample", "--out", tmp_path)
    assert "exists and is not a model folder" in failing(capsys, "train", "sample", "--out", tmp_path / "thesis.txt")
    message = "--validate must be one of cold, warm, none, got 'hot'"
    assert message in failing(capsys, "train", "sample", "--out", tmp_path / "m", "--validate", "hot")
    _, err = run(capsys, "train", "sample", "--out", tmp_path / "m", "--validate", "warm")
    assert "--validate warm changes nothing: the model 'tfidf' does not stop early" in err


def test_split_writes_what_evaluate_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folds, figures = tmp_path / "folds.json", tmp_path / "out.json"
    out, _ = run(capsys, "split", "sample", "--setting", "warm", "--folds", 4, "--seed", 5, "--out", folds)
    assert "test likes" in out
    data = sample().filtered(min_likes=5, min_tag_items=10)
    assert len(Split.load(folds, data)) == 4
    out, err = run(
        capsys, "evaluate", "sample", "--split", folds, "--folds", "0,2", "--seed", 5, "--ngrams", 1, "--json", figures
    )
    assert "setting warm" in out
    assert "recall@50" in err
    found = json.loads(figures.read_text(encoding="utf-8"))
    documented = (Path(__file__).parents[1] / "docs" / "json.md").read_text(encoding="utf-8")
    assert {"data", "model", "setting", "seed", "config", "versions", "machine", "folds", "mean", "sd"} <= found.keys()
    assert all(f"`{key}`" in documented for key in (*found, *found["folds"][0]))
    assert [fold["fold"] for fold in found["folds"]] == [0, 2]
    assert found["config"]["ngrams"] == 1
    again, _ = run(
        capsys, "evaluate", "sample", "--setting", "warm", "--n-folds", 4, "--folds", "0,2", "--seed", 5,
        "--ngrams", 1, "--json", "-",
    )  # fmt: skip
    volatile = {"seconds", "peak_mb"}
    for ours, theirs in zip(json.loads(again)["folds"], found["folds"], strict=True):
        assert {key: ours[key] for key in ours if key not in volatile} == {
            key: theirs[key] for key in theirs if key not in volatile
        }


def test_evaluate_by_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "evaluate", "sample", "--setting", "time", "--cutoff", "2025-09-01")
    assert "setting time" in out
    run(capsys, "split", "sample", "--setting", "time", "--cutoff", "2025-09-01", "--out", tmp_path / "time.json")
    assert json.loads((tmp_path / "time.json").read_text(encoding="utf-8"))["setting"] == "time"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--setting", "hot"], "setting must be one of cold, warm, time, got 'hot'"),
        (["--folds", "a,b"], "--folds must be fold numbers such as 0,1,2, got 'a,b'"),
        (["--folds", "9"], "folds must be from 0 to 4, got 9"),
        (["--candidates", "some"], "candidates must be one of eligible, all, got 'some'"),
        (["--model", "popularity"], "lacks the capability 'cold'.*models that can: tfidf"),
        (["--split", "none.json"], "none.json: file not found"),
        (["--json", "nowhere/out.json"], "--json: there is no folder"),
    ],
)
def test_evaluate_refuses(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(message, failing(capsys, "evaluate", "sample", *arguments))


def test_evaluate_refuses_two_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folds = tmp_path / "folds.json"
    run(capsys, "split", "sample", "--out", folds)
    err = failing(capsys, "evaluate", "sample", "--split", folds, "--setting", "warm")
    assert "--setting warm and the setting of" in err


def test_demo_is_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first, err = run(capsys, "demo")
    second, _ = run(capsys, "demo")
    assert first == second
    assert err == ""
    assert load(tmp_path / "demo-model").name == "tfidf"
    commands = [line for line in first.splitlines() if line.startswith("$ ")]
    assert [line.split()[2] for line in commands] == ["data", "evaluate", "evaluate", "train", "recommend", "audience"]
    assert "popularity" in first
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("<!-- demo: make demo -->\n```\n")[2].partition("\n```\n<!-- end of demo -->")[0]
    assert first.rstrip() == shown, "the README shows another output: paste what `make demo` prints"


def test_the_commands_that_the_demo_names_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown, _ = run(capsys, "demo")
    for line in shown.splitlines():
        if line.startswith("$ textrec"):
            out, _ = run(capsys, *shlex.split(line[len("$ textrec ") :], comments=True))
            assert out
