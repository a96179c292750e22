from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from textrec.data.sample import sample
from textrec.errors import ModelFolderError
from textrec.learn.recommender import Recommender
from textrec.model_folder import FORMAT, load, save
from textrec.registry import create


@pytest.fixture(scope="module")
def model() -> Recommender:
    return create("tfidf").fit(sample())


@pytest.fixture
def folder(model: Recommender, tmp_path: Path) -> Path:
    return save(model, tmp_path / "model")


def edit(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(manifest | changes))


def test_it_holds_plain_files_only(folder: Path) -> None:
    names = {entry.name for entry in folder.iterdir()}
    assert names == {
        *("config.json", "model.safetensors", "vocabulary.json", "items.parquet", "users.parquet", "likes.npz")
    }
    manifest = json.loads((folder / "config.json").read_text())
    assert manifest["format"] == FORMAT
    assert set(manifest["files"]) == names - {"config.json"}


def test_texts_titles_and_tags_come_back(model: Recommender, folder: Path) -> None:
    items, loaded = model.data.items, load(folder).data.items
    assert loaded.titles.equals(items.titles)
    assert loaded.texts.equals(items.texts)
    assert list(loaded.tag_names) == list(items.tag_names)
    assert (loaded.tags != items.tags).nnz == 0


def test_saving_again_replaces_the_old_model(folder: Path) -> None:
    popular = create("popularity").fit(sample())
    save(popular, folder)
    assert load(folder).name == "popularity"
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "name", ["model.safetensors", "vocabulary.json", "items.parquet", "users.parquet", "likes.npz"]
)
def test_damage_is_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / name).write_bytes(content)
    with pytest.raises(ModelFolderError, match=rf"{name}: damaged \(its hash differs\)"):
        load(folder)
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=rf"{name}: missing; the model folder is incomplete"):
        load(folder)


def test_foreign_and_newer_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such model folder; make one with"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFolderError, match=r"not a model folder \(it has no config.json\)"):
        load(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(ModelFolderError, match="was not written by textrec"):
        load(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text("{")
    with pytest.raises(ModelFolderError, match=r"config.json: damaged"):
        load(tmp_path / "empty")
    edit(folder, format=FORMAT + 1, textrec="9.0")
    with pytest.raises(ModelFolderError, match=f"written by textrec 9.0 in format {FORMAT + 1}.*upgrade textrec"):
        load(folder)


def test_a_manifest_that_makes_no_sense(folder: Path) -> None:
    whole = (folder / "config.json").read_text()
    edit(folder, model="oracle")
    with pytest.raises(ModelFolderError, match="unknown model 'oracle'"):
        load(folder)
    (folder / "config.json").write_text(whole)
    edit(folder, config={"ngrams": 7})
    with pytest.raises(ModelFolderError, match="ngrams must be from 1 to 2, got 7"):
        load(folder)
    manifest = json.loads(whole)
    del manifest["users"]
    (folder / "config.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFolderError, match="damaged: it lacks users"):
        load(folder)


def test_it_never_overwrites_what_is_not_a_model(model: Recommender, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(ModelFolderError, match="exists and is not a model folder; choose another place"):
        save(model, tmp_path / "home")
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_a_full_disk_leaves_the_old_model_intact(
    model: Recommender, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load(folder).score(None)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("textrec.model_folder.save_file", full)
    with pytest.raises(ModelFolderError, match=r"could not be written \(No space left on device\); .* unchanged"):
        save(model, folder)
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]
    np.testing.assert_array_equal(load(folder).score(None), before)


def test_a_failed_swap_brings_the_old_model_back(
    model: Recommender, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def broken(self: Path, target: Path) -> Path:
        if ".new-" in self.name:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(ModelFolderError, match="Input/output error"):
        save(model, folder)
    monkeypatch.undo()
    assert load(folder).name == "tfidf"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written(model: Recommender, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ModelFolderError, match="Permission denied"):
        save(model, tmp_path / "model")
