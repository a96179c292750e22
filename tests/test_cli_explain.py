"""`textrec explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from textrec.cli import main
from textrec.data.sample import sample
from textrec.model_folder import load, save
from textrec.registry import create

TEXT = "Graph networks for protein folding"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = sample().filtered(min_likes=0, min_tag_items=10)
    model = create("embed-mtl", {"epochs": 1, "factors": 8, "min_count": 1})
    return save(model.fit(data), tmp_path_factory.mktemp("models") / "mtl")


def run(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 0) -> tuple[str, str]:
    assert main([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


def test_recommendations_with_reasons(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "explain", folder, "--user", "17", "-k", 2)
    best = load(folder).recommend("17", k=2)
    assert err == ""
    for item in best["item_id"]:
        assert f"item {item} · user 17 · score" in out
    assert out.count("Because of these likes") == 2
    assert out.count("The strongest words, by contribution") == 2
    liked, _ = run(capsys, "explain", folder, "--liked", "3, 18", "-k", 1)
    assert "user new" in liked


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "explain", folder, "--text", TEXT, "--user", "17", "--json")
    found = json.loads(out)
    assert list(found) == ["model", "explanations"]
    (one,) = found["explanations"]
    assert one["text"] == TEXT
    assert len(one["words"]) == 5


def test_files(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tag = load(folder).data.items.tag_names[0]
    run(capsys, "explain", folder, "3", "18", "--tag", tag, "--out", tmp_path / "why.html")
    assert (tmp_path / "why.html").read_text(encoding="utf-8").count("<article>") == 2
    run(capsys, "explain", folder, "3", "--user", "17", "--by", "saliency", "--out", tmp_path / "why.svg")
    assert b"<svg" in (tmp_path / "why.svg").read_bytes()
    run(capsys, "explain", folder, "3", "--user", "17", "--out", tmp_path / "why.json")
    assert json.loads((tmp_path / "why.json").read_text(encoding="utf-8"))["model"] == "embed-mtl"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["3", "--text", TEXT, "--user", "17"], "give either item ids or --text, not both"),
        (["3", "--user", "17", "--by", "magic"], "--by must be saliency or contribution, got 'magic'"),
        (["3", "--user", "17", "--out", "why.gif"], "--out must end in .html, .png, .svg, .json"),
        (["3", "18", "--user", "17", "--out", "why.png"], "a picture shows one item, got 2"),
        (["--tag", "x"], "--tag needs items: their ids, or --text"),
        ([], "why for whom? Give --user ID or --liked IDS"),
        (["3"], "why for whom? Give exactly one of user, liked and tag"),
    ],
)
def test_bad_input(folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = run(capsys, "explain", folder, *arguments, code=2)
    assert said in err
    assert "Traceback" not in err
