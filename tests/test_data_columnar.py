"""The columnar folder: what is written is read again, mapped and not copied; damage is named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from textrec.cli import main
from textrec.data import columnar_writer
from textrec.data.columnar import MANIFEST, read_columnar
from textrec.data.columnar_writer import GrowingArray, GrowingRows, write_columnar, writing_columnar
from textrec.data.sample import sample, simulate
from textrec.data.source import read
from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.errors import ArgumentError, DataError
from textrec.registry import create
from textrec.text import Documents


def bags() -> Dataset:
    documents = Documents.from_bags(["a", "b"], np.array([[2, 0], [1, 3], [0, 0]]))
    items = Items.build(["x", "y", "z"], documents=documents)
    return Dataset(Ids(["u"]), items, binary_csr([0], [1], (1, 3)), name="bags")


@pytest.mark.parametrize("make", [sample, lambda: sample().with_likes(sample().likes), bags])
def test_what_is_written_is_read_again(tmp_path: Path, make: Callable[[], Dataset]) -> None:
    data = make()
    sizes = write_columnar(data, tmp_path / "columns")
    again = read(tmp_path / "columns")
    assert again.equals(data)
    assert again.name == "columns"
    assert (sizes.users, sizes.items, sizes.likes) == (data.n_users, data.n_items, data.n_likes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["columns"]


def test_arrays_are_mapped_and_not_copied(tmp_path: Path) -> None:
    write_columnar(sample(), tmp_path / "columns")
    data = read(tmp_path / "columns")
    likes, tags, documents = data.likes, data.items.tags, data.items.documents
    assert data.timestamps is not None
    arrays = [likes.indices, likes.indptr, likes.data, tags.indices, tags.indptr, documents.ids, documents.starts]
    for array in [*arrays, data.timestamps.data]:
        owner: Any = array
        while not isinstance(owner, np.memmap):
            owner = owner.base
            assert owner is not None, "a copy in memory"
        assert not array.flags.writeable


def test_models_learn_the_same_from_it(tmp_path: Path) -> None:
    data = simulate(n_users=60, n_items=80, likes_per_user=8).dataset
    write_columnar(data, tmp_path / "columns")
    settings = {"epochs": 2, "factors": 8, "min_count": 1}
    mine, theirs = (create("embed-mtl", settings).fit(one) for one in (data, read(tmp_path / "columns")))
    assert mine.recommend(k=5).equals(theirs.recommend(k=5))


def test_it_grows_in_pieces_and_nothing_half_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar_writer, "ONES_AT_ONCE", 2)
    target = tmp_path / "columns"
    with writing_columnar(target) as writer:
        for numbers in ([[0, 1], [2]], [[], [1]]):
            lengths = np.array([len(row) for row in numbers])
            flat = np.array([number for row in numbers for number in row], np.int64)
            writer.likes.append(lengths, flat)
            writer.documents.append(lengths, flat)
            writer.tags.append(np.zeros(2, np.int64), flat[:0])
        users = pl.LazyFrame({"user_id": [1, 2, 3, 4]})
        items = pl.LazyFrame({"item_id": list("abcd"), "title": "", "text": ""})
        writer.finish("grown", users=users, items=items, words=["v", "w", "x"], tags=[])
    data = read_columnar(target)
    assert data.likes.toarray().tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert data.items.documents.row_words(0) == ["v", "w"]
    assert list(data.users) == ["1", "2", "3", "4"]
    with pytest.raises(RuntimeError, match="power cut"), writing_columnar(target):
        raise RuntimeError("power cut")
    assert read_columnar(target).equals(data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["columns"]


def test_lengths_must_fit(tmp_path: Path) -> None:
    rows = GrowingRows(tmp_path / "a", tmp_path / "b", np.int32, np.int32)
    with pytest.raises(ArgumentError, match="lengths add up to 3 and there are 2 numbers"):
        rows.append(np.array([1, 2]), np.array([7, 8]))
    rows.close()


def test_a_growing_array_is_a_plain_npy_file(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path / "a.npy", np.int32)
    for size in (0, 3, 1000):
        array.append(np.arange(size))
    array.close()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.concatenate([np.arange(3), np.arange(1000)]))


def change(path: Path, **values: Any) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(manifest | values))


def fill(name: str, value: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        array = np.load(folder / name)
        array[-1] = value
        np.save(folder / name, array)

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / MANIFEST).write_text("{"), r"columnar\.json: damaged \(.*convert or copy"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), r"columnar\.json: not the manifest of columnar data"),
        (lambda folder: change(folder, version=9), r"columnar\.json: version 9, and this textrec reads up to 1"),
        (lambda folder: change(folder, sizes={}), r"columnar\.json: damaged: it needs files and sizes \(users, items"),
        (lambda folder: (folder / "ones.npy").unlink(), r"ones\.npy: missing; convert or copy the folder again"),
        (
            lambda folder: (folder / "likes.indices.npy").write_bytes(b"short"),
            r"likes\.indices\.npy: has 5 bytes where the manifest says [\d,]+;",
        ),
        (
            lambda folder: (folder / "ones.npy").write_bytes(b"x" * (folder / "ones.npy").stat().st_size),
            r"ones\.npy: not a readable \.npy file",
        ),
        (
            lambda folder: (folder / "users.parquet").write_bytes(b"x" * (folder / "users.parquet").stat().st_size),
            r"users\.parquet: not a readable Parquet file with the column 'user_id'",
        ),
        (fill("likes.indices.npy", 400), r"likes\.indices\.npy: damaged: numbers must be from 0 to 399;"),
        (fill("documents.ids.npy", -1), r"documents\.ids\.npy: damaged: numbers must be from 0 to"),
        (fill("likes.indptr.npy", 7), r"likes\.indptr\.npy: damaged: it must rise from 0 to"),
        (
            lambda folder: np.save(folder / "timestamps.npy", np.load(folder / "timestamps.npy").view(np.float64)),
            r"timestamps\.npy: is float64 of shape .* where [\d,]+ numbers of kind 'i' are expected",
        ),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], Any], said: str) -> None:
    write_columnar(sample(), tmp_path / "columns")
    damage(tmp_path / "columns")
    with pytest.raises(DataError, match=said):
        read(tmp_path / "columns")


def test_sizes_that_contradict_the_files(tmp_path: Path) -> None:
    sizes = write_columnar(sample(), tmp_path / "columns")
    wrong = dataclasses.asdict(sizes) | {"tags": 3, "users": sizes.users}
    change(tmp_path / "columns", sizes=wrong)
    with pytest.raises(DataError, match=r"item_tags\.indices\.npy: damaged: numbers must be from 0 to 2"):
        read(tmp_path / "columns")
    change(tmp_path / "columns", sizes=dataclasses.asdict(sizes) | {"words": sizes.words + 1})
    with pytest.raises(DataError, match=r"words\.parquet: 'word' has [\d,]+ rows of String, [\d,]+ strings are"):
        read(tmp_path / "columns")


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ArgumentError, match="mine: exists and is not columnar data; choose another place for --out"):
        write_columnar(sample(), tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_min_rating_is_refused(tmp_path: Path) -> None:
    write_columnar(sample(), tmp_path / "columns")
    with pytest.raises(DataError, match="min_rating needs a likes table with ratings; leave it out"):
        read(tmp_path / "columns", min_rating=3)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "columns"
    assert main(["data", "convert", "sample", "--out", str(out)]) == 0
    assert "wrote 300 users, 400 items, " in capsys.readouterr().out
    assert main(["data", "convert", str(out), "--out", str(tmp_path / "again"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["users"], said["items"], said["timestamps"]) == (300, 400, True)
    assert read(tmp_path / "again").equals(sample())
    assert main(["data", "info", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["likes"] == said["likes"]
