"""Save and load trained models: a folder of plain files, no pickle.

    config.json         format version, model, configuration, seed, training report, SHA-256 of every other file
    model.safetensors   the learnt arrays and the catalogue's word rows
    vocabulary.json     the words and the tag names
    items.parquet       item_id, title, text, tags
    users.parquet       user_id
    likes.npz           the likes as CSR parts; absent after `--without-likes`

A folder is written beside its place and renamed, so that a reader sees the old model or the new one, never half of one.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from textrec import __version__
from textrec.dataset import Csr, Dataset, Ids, Items, binary_csr
from textrec.errors import ArgumentError, ConfigError, ModelFolderError
from textrec.folders import sha256_of, staged_folder
from textrec.learn.model import FitReport
from textrec.learn.recommender import Recommender
from textrec.registry import create
from textrec.text import Documents, Vocabulary

__all__ = ["FORMAT", "check_likes_may_go", "load", "save"]

FORMAT = 1
"""Version of the folder's layout; a reader refuses a higher one."""

_MAKER = "textrec model folder"


def save(model: Recommender, path: str | Path, *, with_likes: bool = True) -> Path:
    """Write a trained model.

    Args:
        model: a fitted model.
        path: the folder; an older model folder there is replaced once the new one is complete.
        with_likes: False leaves out who liked what. Such a model still recommends, but it cannot leave out what a
            user has seen, be updated, or say which likes carry a score.

    Raises:
        ModelFolderError: the path holds something else, or writing failed (an older model stays as it was).
        ArgumentError: `with_likes` is False and the model ranks by the likes themselves.
    """
    check_likes_may_go(model, with_likes)
    target = Path(path).absolute()
    if target.exists() and not _is_ours(target) and (not target.is_dir() or any(target.iterdir())):
        raise ModelFolderError(f"{path}: exists and is not a model folder; choose another place for --out")
    try:
        with staged_folder(target) as folder:
            _write(model, folder, with_likes)
    except OSError as error:
        raise ModelFolderError(
            f"{path}: the model could not be written ({error.strerror or error}); what was there before is unchanged"
        ) from error
    return target


def check_likes_may_go(model: Recommender, with_likes: bool) -> None:
    """Refuse to leave the likes out of a model whose users are their likes.

    Raises:
        ArgumentError: such a model, and `with_likes` is False.
    """
    if model.ranks_by_likes and not with_likes:
        raise ArgumentError(
            f"the model {model.name!r} ranks by the likes themselves, so it cannot be saved without them; "
            "save it with likes, or train als or tfidf instead"
        )


def load(path: str | Path, *, device: str = "auto") -> Recommender:
    """Read a model folder and check every file against its hash.

    Raises:
        ModelFolderError: missing, foreign, damaged, or written by a newer textrec.
    """
    folder = Path(path)
    manifest = _manifest(folder)
    for name, expected in manifest["files"].items():
        if not (folder / name).is_file():
            raise ModelFolderError(f"{folder / name}: missing; the model folder is incomplete, train or copy it again")
        if sha256_of(folder / name) != expected:
            raise ModelFolderError(f"{folder / name}: damaged (its hash differs); train or copy the model again")
    try:
        return _read(folder, manifest, device)
    except (KeyError, ValueError, TypeError, SafetensorError, pl.exceptions.PolarsError, ConfigError) as error:
        raise ModelFolderError(f"{folder}: cannot be used by textrec {__version__}: {error}") from error


def _write(model: Recommender, folder: Path, with_likes: bool) -> None:
    items = model.data.items
    documents = items.documents if model.vocabulary is None else model.vocabulary.recode(items.documents)
    arrays = {name: np.ascontiguousarray(array) for name, array in model._arrays().items()}
    arrays |= {"documents.ids": documents.ids, "documents.starts": documents.starts}
    if documents.counts is not None:
        arrays["documents.counts"] = documents.counts
    save_file(arrays, folder / "model.safetensors")
    _write_json(folder / "vocabulary.json", {"words": list(documents.words), "tags": list(items.tag_names)})
    columns = {"item_id": items.ids.values, "title": items.titles, "text": items.texts, "tags": _tag_lists(items)}
    pl.DataFrame(columns).write_parquet(folder / "items.parquet")
    pl.DataFrame({"user_id": model.data.users.values}).write_parquet(folder / "users.parquet")
    kept = with_likes and model.likes_known
    if kept:
        likes = model.data.likes
        np.savez_compressed(folder / "likes.npz", indptr=likes.indptr, indices=likes.indices)
    files = {entry.name: sha256_of(entry) for entry in sorted(folder.iterdir())}
    manifest = {
        "what": _MAKER,
        "format": FORMAT,
        "textrec": __version__,
        "model": model.name,
        "config": model.config.to_dict(),
        "config_hash": model.config.fingerprint(),
        "seed": model.seed,
        "data": model.data.name,
        "users": model.data.n_users,
        "items": model.data.n_items,
        "has_vocabulary": model.vocabulary is not None,
        "has_likes": kept,
        "report": dataclasses.asdict(model.report),
        "files": files,
    }
    _write_json(folder / "config.json", manifest)


def _read(folder: Path, manifest: dict[str, Any], device: str) -> Recommender:
    try:
        model = create(manifest["model"], manifest["config"], seed=manifest["seed"], device=device)
    except ArgumentError as error:
        raise ModelFolderError(f"{folder}: {error}") from None
    arrays: dict[str, npt.NDArray[Any]] = load_file(folder / "model.safetensors")
    names = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    vocabulary = Vocabulary.from_words(names["words"]) if manifest["has_vocabulary"] else None
    words = names["words"] if vocabulary is None else vocabulary.words
    rows = [arrays.pop(f"documents.{part}") for part in ("ids", "starts")]
    documents = Documents(words, rows[0], rows[1], arrays.pop("documents.counts", None))
    table = pl.read_parquet(folder / "items.parquet")
    tag_names = Ids(names["tags"])
    tags = _tag_matrix(table["tags"], tag_names)
    items = Items(Ids(table["item_id"]), table["title"], table["text"], documents, tags, tag_names)
    users = Ids(pl.read_parquet(folder / "users.parquet")["user_id"])
    model.data = Dataset(users, items, _read_likes(folder, manifest), name=manifest["data"])
    model.vocabulary = vocabulary
    model.likes_known = manifest["has_likes"]
    model.report = FitReport(**manifest["report"])
    model._restore(arrays)
    return model


def _read_likes(folder: Path, manifest: dict[str, Any]) -> Csr:
    shape = (manifest["users"], manifest["items"])
    if not manifest["has_likes"]:
        return binary_csr([], [], shape)
    with np.load(folder / "likes.npz", allow_pickle=False) as parts:
        indices, starts = parts["indices"], parts["indptr"]
    return sp.csr_array((np.ones(len(indices), np.float32), indices, starts), shape=shape)


def _manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder; make one with `textrec train DATA --out {folder}`")
    try:
        manifest = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFolderError(f"{folder}: not a model folder (it has no config.json)") from None
    except (ValueError, OSError) as error:
        raise ModelFolderError(f"{folder / 'config.json'}: damaged: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("what") != _MAKER:
        raise ModelFolderError(f"{folder}: not a model folder (its config.json was not written by textrec)")
    if manifest.get("format", 0) > FORMAT:
        raise ModelFolderError(
            f"{folder}: written by textrec {manifest.get('textrec')} in format {manifest['format']}, and this is "
            f"textrec {__version__}, which reads up to format {FORMAT}; upgrade textrec"
        )
    missing = {"model", "config", "seed", "files", "users", "items", "has_likes", "has_vocabulary"} - set(manifest)
    if missing:
        raise ModelFolderError(f"{folder / 'config.json'}: damaged: it lacks {', '.join(sorted(missing))}")
    return manifest


def _is_ours(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "config.json").read_text(encoding="utf-8"))["what"] == _MAKER)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _tag_lists(items: Items) -> pl.Series:
    names = items.tag_names.names(items.tags.indices)
    starts = items.tags.indptr
    rows = np.repeat(np.arange(len(items)), np.diff(starts))
    tagged = pl.DataFrame({"row": rows, "tag": names}).group_by("row", maintain_order=True).agg("tag")
    everything = pl.DataFrame({"row": np.arange(len(items))}).join(tagged, on="row", how="left", maintain_order="left")
    return everything["tag"].fill_null(pl.lit([], dtype=pl.List(pl.String))).alias("tags")


def _tag_matrix(lists: pl.Series, names: Ids) -> Csr:
    sizes = lists.list.len().to_numpy()
    rows = np.repeat(np.arange(len(lists)), sizes)
    columns = names.rows(lists.explode(empty_as_null=False).to_list())
    return binary_csr(rows, columns, (len(lists), len(names)))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
