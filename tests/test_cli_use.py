"""The commands that use a trained model: recommend, audience, similar, tags, encode, update."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from textrec.cli import main
from textrec.cli.recommend import catalogue_and
from textrec.data.sample import sample
from textrec.data.tables import read_items
from textrec.model_folder import load, save
from textrec.registry import create

NEW = [
    {"item_id": "n1", "title": "Progress in message passing", "text": "Graph networks and knowledge graphs."},
    {"item_id": "n2", "title": "City planning", "text": "bicycle lanes and commuter trains"},
    {"item_id": "3", "title": "the model knows this id"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = sample().filtered(min_likes=0, min_tag_items=10)
    return save(create("tfidf").fit(data), tmp_path_factory.mktemp("models") / "tfidf")


@pytest.fixture(scope="module")
def tag_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = sample().filtered(min_likes=0, min_tag_items=10)
    model = create("embed-mtl", {"epochs": 1, "factors": 8, "min_count": 1})
    return save(model.fit(data), tmp_path_factory.mktemp("models") / "mtl")


@pytest.fixture
def new_items(tmp_path: Path) -> Path:
    path = tmp_path / "new.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in NEW), encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: Any, code: int = 0) -> tuple[str, str]:
    assert main([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


def failing(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    out, err = run(capsys, *arguments, code=2)
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err
    return err


def test_recommend_shows_titles(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "recommend", folder, "--user", "17", "-k", 3)
    model = load(folder)
    first = model.recommend("17", k=1)["item_id"][0]
    assert "For user 17" in out
    assert model.data.items.label(int(model.data.items.ids.rows([first])[0])) in out
    assert err == ""
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_recommend_json_says_what_the_model_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "recommend", folder, "--user", "17", "--user", "4", "--user", "17", "-k", 3, "--json")
    found = json.loads(out)
    assert list(found) == ["model", "k", "recommendations"]
    assert (found["model"], found["k"]) == ("tfidf", 3)
    assert [entry["user_id"] for entry in found["recommendations"]] == ["17", "4"]
    expected = load(folder).recommend(["17", "4"], k=3)
    items = [item for entry in found["recommendations"] for item in entry["items"]]
    assert list(items[0]) == ["rank", "item_id", "title", "score", "new"]
    assert [item["item_id"] for item in items] == expected["item_id"].to_list()
    assert [item["rank"] for item in items] == [1, 2, 3] * 2
    assert not any(item["new"] for item in items)


def test_new_items_alone_and_beside_the_known(
    folder: Path, new_items: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ranked(*more: Any) -> list[dict[str, Any]]:
        out, _ = run(capsys, "recommend", folder, "--user", "17", "-k", 400, "--items", new_items, "--json", *more)
        items: list[dict[str, Any]] = json.loads(out)["recommendations"][0]["items"]
        return items

    only_new, only_known, both = ranked("--only", "new"), ranked("--only", "known"), ranked()
    assert {item["item_id"] for item in only_new} == {"n1", "n2"}
    assert all(item["new"] for item in only_new)
    assert only_new[0]["title"] == "Progress in message passing"
    assert not any(item["new"] for item in only_known)
    scores = {item["item_id"]: item["score"] for item in (*only_new, *only_known)}
    assert {item["item_id"]: item["score"] for item in both} == pytest.approx(scores, abs=1e-6)
    assert [item["score"] for item in both] == sorted((item["score"] for item in both), reverse=True)


def test_catalogue_and_new_are_known_items_and_new_texts(folder: Path, new_items: Path) -> None:
    model = load(folder)
    new = read_items(new_items)
    mixed = catalogue_and(model.data.items, new.take(model.data.items.ids.rows(["0", "1"])))
    assert len(mixed) == len(model.data.items) + 2
    assert mixed.documents.row_words(len(mixed) - 2) == new.documents.row_words(0)
    assert mixed.documents.row_words(5) == []


def test_somebody_who_was_never_trained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "New results on gene editing"
    out, _ = run(capsys, "recommend", folder, "--liked", "3, 18", "--liked-text", text, "-k", 4, "--json")
    found = json.loads(out)["recommendations"]
    expected = load(folder).recommend(liked=["3", "18", text], k=4)
    assert [entry["user_id"] for entry in found] == ["new"]
    assert [item["item_id"] for item in found[0]["items"]] == expected["item_id"].to_list()
    out, _ = run(capsys, "recommend", folder, "--liked", "3")
    assert "For somebody with these likes" in out


def test_what_was_seen_can_be_included(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything, _ = run(capsys, "recommend", folder, "--user", "17", "-k", 400, "--include-seen", "--json")
    assert len(json.loads(everything)["recommendations"][0]["items"]) == 400


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl"])
def test_all_users_go_to_a_file(folder: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"recs{suffix}"
    path.write_text("old", encoding="utf-8")
    out, _ = run(capsys, "recommend", folder, "--all-users", "-k", 5, "--out", path)
    assert "1,500" in out
    readers = {
        ".parquet": pl.read_parquet,
        ".csv": lambda file: pl.read_csv(file, schema_overrides={"user_id": pl.String, "item_id": pl.String}),
        ".tsv": lambda file: pl.read_csv(
            file, separator="\t", schema_overrides={"user_id": pl.String, "item_id": pl.String}
        ),
        ".jsonl": pl.read_ndjson,
    }
    found = readers[suffix](path)
    expected = load(folder).recommend(k=5)
    assert found.columns == expected.columns
    assert found["item_id"].to_list() == expected["item_id"].to_list()
    assert found["score"].to_list() == pytest.approx(expected["score"].to_list(), abs=1e-6)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_out_with_json_counts_the_rows(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recs.parquet"
    out, _ = run(capsys, "recommend", folder, "--user", "1", "-k", 5, "--out", path, "--json")
    assert json.loads(out) == {"out": str(path), "rows": 5}


def test_nothing_half_written_when_ranking_fails(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in (".parquet", ".csv"):
        err = failing(capsys, "recommend", folder, "--user", "nobody", "--out", tmp_path / f"recs{suffix}")
        assert "unknown user 'nobody'" in err
    assert list(tmp_path.iterdir()) == []


def test_a_user_with_nothing_left_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load(folder)
    seen = model.data.items.ids[int(model.data.likes[[0]].indices[0])]
    table = tmp_path / "seen.csv"
    table.write_text(f"item_id,title\n{seen},something\n", encoding="utf-8")
    err = failing(capsys, "recommend", folder, "--user", "0", "--items", table, "--only", "new")
    assert "has no new item, the model knows all 1" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "nobody"], "unknown user 'nobody'.*--liked"),
        (["--liked", "nothing"], "unknown item 'nothing'"),
        (["--liked-text", "word"], "--liked-text must have two words at least, got 'word'"),
        ([], "for whom.*--user ID"),
        (["--user", "1", "--liked", "3"], "for whom"),
        (["--all-users"], "--all-users needs --out FILE"),
        (["--all-users", "--out", "recs.xlsx"], r"--out must end in \.parquet, .*got 'recs.xlsx'"),
        (["--all-users", "--out", "nowhere/recs.csv"], "there is no folder"),
        (["--user", "1", "-k", "0"], "k must be a whole number of at least 1, got 0"),
        (["--user", "1", "-k", "many"], "-k.*integer"),
        (["--user", "1", "--only", "old"], "--only must be new or known, got 'old'"),
        (["--user", "1", "--only", "new"], "--only new needs the new items"),
        (["--usr", "1"], "no such option: --usr.*--user"),
        (["--user", "1", "--items", "missing.jsonl"], "missing.jsonl: file not found"),
    ],
)
def test_recommend_refuses(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(message, failing(capsys, "recommend", folder, *arguments))


def test_k_above_the_candidates_is_one_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "recommend", folder, "--user", "1", "-k", 1000, "--json")
    assert err == "warning: k is 1,000 and there are 400 candidates; all of them are returned\n"
    assert len(json.loads(out)["recommendations"][0]["items"]) < 400


def test_missing_and_foreign_model_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such model folder" in failing(capsys, "recommend", tmp_path / "none", "--user", "1")
    assert "not a model folder" in failing(capsys, "audience", tmp_path, "--text", "a b")


def test_a_model_without_likes_needs_include_seen(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private = save(load(folder), tmp_path / "private", with_likes=False)
    assert "--include-seen" in failing(capsys, "recommend", private, "--user", "1")
    run(capsys, "recommend", private, "--user", "1", "--include-seen")
    likes = tmp_path / "likes.csv"
    likes.write_text("user_id,item_id\n0,3\n", encoding="utf-8")
    assert "saved without likes" in failing(capsys, "update", private, "--likes", likes)


def test_audience_of_a_text_and_of_an_item(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "audience", folder, "--text", "markets", "-k", 2, "--json")
    found = json.loads(out)
    assert list(found) == ["model", "k", "audience"]
    entry = found["audience"][0]
    assert (entry["item_id"], entry["title"]) == ("text-1", "markets")
    assert [list(user) for user in entry["users"]] == [["rank", "user_id", "score"]] * 2
    expected = load(folder).audience("18", k=3)["user_id"].to_list()
    out, _ = run(capsys, "audience", folder, "18", "-k", 3)
    assert "Who would want" in out
    assert all(user in out for user in expected)


def test_similar_items(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "similar", folder, "18", "3", "-k", 2, "--json")
    found = json.loads(out)
    assert list(found) == ["model", "k", "similar"]
    assert [entry["item_id"] for entry in found["similar"]] == ["18", "3"]
    expected = load(folder).similar(["18", "3"], k=2)["similar_id"].to_list()
    items = [item for entry in found["similar"] for item in entry["items"]]
    assert [item["item_id"] for item in items] == expected
    assert all(item["title"] for item in items)
    out, _ = run(capsys, "similar", folder, "--text", "protein folding", "-k", 2)
    assert "Similar to 'protein folding'" in out


@pytest.mark.parametrize("command", ["similar", "audience"])
def test_items_or_texts(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give either item ids or --text" in failing(capsys, command, folder)
    assert "give either item ids or --text" in failing(capsys, command, folder, "18", "--text", "a b")
    assert "unknown item '18000'" in failing(capsys, command, folder, "18000")


def test_tags(tag_folder: Path, folder: Path, new_items: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "tags", tag_folder, "--text", "protein folding and enzymes", "-k", 2, "--json")
    found = json.loads(out)
    assert list(found) == ["model", "k", "tags"]
    assert [list(tag) for tag in found["tags"][0]["tags"]] == [["rank", "tag", "score"]] * 2
    out, _ = run(capsys, "tags", tag_folder, "--items", new_items, "-k", 1)
    assert "Tags of 'City planning'" in out
    assert "models that can: ctr-mtl, embed-mtl, gru-mtl" in failing(capsys, "tags", folder, "--text", "a b")
    assert "give either --text TEXT or --items FILE" in failing(capsys, "tags", tag_folder)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_encode(folder: Path, new_items: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"vectors{suffix}"
    out, err = run(capsys, "encode", folder, new_items, "--out", path)
    assert "wrote 3 vectors" in out
    assert err == ""
    found = pl.read_parquet(path) if suffix == ".parquet" else pl.read_ndjson(path)
    expected = load(folder).encode(read_items(new_items))
    assert found["item_id"].to_list() == ["n1", "n2", "3"]
    assert pl.Series(found["vector"].to_list()).to_list() == [pytest.approx(row) for row in expected.tolist()]
    if suffix == ".parquet":
        assert found.schema["vector"] == pl.Array(pl.Float32, expected.shape[1])


def test_encode_counts_empty_texts_and_refuses_other_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "items.csv"
    table.write_text("item_id,title\na,protein folding\nb,\n", encoding="utf-8")
    _, err = run(capsys, "encode", folder, table, "--out", tmp_path / "v.parquet")
    assert err == "warning: 1 of 2 items have an empty text\n"
    assert "must end in .parquet, .jsonl" in failing(capsys, "encode", folder, table, "--out", tmp_path / "v.csv")


def test_update_takes_in_new_users(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    shutil.copytree(folder, model)
    likes = tmp_path / "new.csv"
    likes.write_text("user_id,item_id\nzed,3\nzed,18\nzed,unheard\n", encoding="utf-8")
    out, err = run(capsys, "update", model, "--likes", likes)
    assert "took in 2 new likes and 1 new users" in out
    assert err.startswith(f"warning: {likes}:4: like of an item that the model does not know")
    found, _ = run(capsys, "recommend", model, "--user", "zed", "-k", 3, "--json")
    expected = load(folder).recommend(liked=["3", "18"], k=3)["item_id"].to_list()
    assert [item["item_id"] for item in json.loads(found)["recommendations"][0]["items"]] == expected


def test_update_writes_elsewhere_and_refuses_bad_tables(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    likes = tmp_path / "new.csv"
    likes.write_text("user_id,item_id\nzed,3\n,3\nzed,unheard\n", encoding="utf-8")
    err = failing(capsys, "update", folder, "--likes", likes, "--strict", "--out", tmp_path / "newer")
    assert "empty user_id" in err
    assert "does not know" in err
    likes.write_text("user,item_id\nzed,3\n", encoding="utf-8")
    assert "no column 'user_id'" in failing(capsys, "update", folder, "--likes", likes)
    likes.write_text("user_id,item_id\nzed,unheard\n", encoding="utf-8")
    main(["update", str(folder), "--likes", str(likes)])
    assert "no like names an item that the model knows" in capsys.readouterr().err
    likes.write_text("user_id,item_id\nzed,3\n", encoding="utf-8")
    run(capsys, "update", folder, "--likes", likes, "--out", tmp_path / "newer")
    assert "zed" in load(tmp_path / "newer").data.users
    assert "zed" not in load(folder).data.users
