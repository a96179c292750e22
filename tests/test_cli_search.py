from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from textrec.cli import main
from textrec.model_folder import load
from textrec.study.search import Search

pytest.importorskip("optuna")

QUICK = ("--model", "embed", "--factors", 8, "--epochs", 2, "--batch-size", 128)


def run(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 0) -> tuple[str, str]:
    assert main([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


def test_search_writes_what_train_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best, storage = tmp_path / "best.toml", f"sqlite:///{tmp_path / 'search.db'}"
    place = ("--storage", storage, "--out", best)
    out, err = run(capsys, "search", "sample", *QUICK, "--trials", 2, *place)
    assert "0 of 2 trials are done" in out
    assert "judged by recall@10 of 32 candidates" in out
    assert "embed, the best of 2 done" in out
    assert len(re.findall(r"trial \d/2: recall@10 0\.\d{4}, best 0\.\d{4}, \d+ s: ", err)) == 2
    assert f"next: textrec train sample --model embed --config {best} --out model/" in out
    out, err = run(capsys, "search", "sample", *QUICK, "--trials", 3, *place)
    assert "2 of 3 trials are done" in out
    assert err.startswith("trial 3/3: ")
    values = tomllib.loads(best.read_text(encoding="utf-8"))
    assert (values["factors"], values["epochs"], values["batch_size"]) == (8, 2, 128)
    run(capsys, "train", "sample", "--model", "embed", "--config", best, "--out", tmp_path / "model")
    assert load(tmp_path / "model").config.to_dict() == values | {"word_vectors": None}


def test_it_never_sees_the_test_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--storage", f"sqlite:///{tmp_path / 's.db'}", "--out", tmp_path / "b.toml", "--trials", 1)
    seen: list[int] = []

    class Spy(Search):
        def __init__(self, train: Any, *arguments: Any, **named: Any) -> None:
            seen.append(train.n_items)
            super().__init__(train, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("textrec.study.search.Search", Spy)
        run(capsys, "search", "sample", "--model", "tfidf", *place)
        run(capsys, "search", "sample", "--model", "tfidf", *place[2:], "--storage", tmp_path / "t.db", "--all-data")
    assert seen == [320, 400]  # fold 0 of 5 holds a fifth of the 400 items


def test_what_is_given_is_not_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "given.toml").write_text("min_items = 4\nngrams = 2\n", encoding="utf-8")
    place = ("--storage", tmp_path / "s.db", "--out", tmp_path / "best.toml", "--trials", 1)
    out, _ = run(
        capsys, "search", "sample", "--model", "tfidf", "--sublinear", "--config", tmp_path / "given.toml", *place
    )
    # a flag counts though it is the default; of a file, which may hold every field, what differs from the defaults
    assert "searching ngrams; judged by" in out
    values = tomllib.loads((tmp_path / "best.toml").read_text(encoding="utf-8"))
    assert values == {"ngrams": 2, "min_items": 4, "sublinear": True}


def test_ctrl_c_keeps_the_best_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    value = Search._value

    def stopping(self: Search, *arguments: Any) -> float:
        if self.trials:
            raise KeyboardInterrupt
        return value(self, *arguments)

    monkeypatch.setattr(Search, "_value", stopping)
    place = ("--storage", tmp_path / "s.db", "--out", tmp_path / "best.toml")
    out, err = run(capsys, "search", "sample", *QUICK, "--trials", 9, *place, code=130)
    assert "stopped by Ctrl-C" in err
    assert "the best of 1 done" in out
    assert tomllib.loads((tmp_path / "best.toml").read_text(encoding="utf-8"))["epochs"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--setting", "hot"], "--setting must be cold or warm, got 'hot'"),
        (["--out", "best.json"], "--out must end in .toml, got 'best.json'"),
        (["--model", "popularity", "--setting", "warm"], "model 'popularity' has no field left to search"),
        (["--model", "embd"], "unknown model 'embd'; did you mean 'embed'"),
        (["--storage", "nosuchdb://x"], "storage 'nosuchdb://x' cannot be opened"),
    ],
)
def test_it_refuses(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    _, err = run(capsys, "search", "sample", *arguments, code=2)
    assert message in err
    assert list(tmp_path.iterdir()) == [] or arguments[0] == "--storage"
