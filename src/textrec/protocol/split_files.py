"""Split files: folds as external ids in JSON, readable by and from other programs.

Cold and time: `{"setting": "cold", "folds": [{"test_items": [item id, …]}, …]}`; warm:
`{"setting": "warm", "folds": [{"test_likes": [[user id, item id], …]}, …]}`. Other keys are how the split was made;
a file without them is as good.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from textrec.dataset import Csr, Dataset, Ids, Rows, binary_csr
from textrec.errors import DataError, Problem

__all__ = ["read_split_file", "write_split_file"]

SETTINGS = ("cold", "warm", "time")


def write_split_file(
    path: Path, dataset: Dataset, setting: str, test: Iterable[Any], facts: dict[str, Any], cutoff: int | None = None
) -> None:
    """Write a split, atomically: a reader sees the old file or the new one.

    Args:
        path: where.
        dataset: the data the split was made of; rows become its ids.
        setting: cold, warm or time.
        test: a fold each: item rows, or (warm) a CSR of test likes [U, I].
        facts: how the split was made; extra keys.
        cutoff: seconds since 1970, for `time`.

    Raises:
        DataError: the file cannot be written.
    """
    if setting == "warm":
        folds: list[dict[str, Any]] = [{"test_likes": _like_ids(dataset, likes)} for likes in test]
    else:
        folds = [{"test_items": dataset.items.ids.values.gather(rows).to_list()} for rows in test]
    when = {} if cutoff is None else {"cutoff": datetime.fromtimestamp(cutoff, UTC).isoformat()}
    text = json.dumps({"setting": setting, **facts, **when, "folds": folds}, ensure_ascii=False)
    staged = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=".split-", delete=False
        ) as file:
            staged = file.name
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(staged).chmod(0o644)  # temporary files are private, a split is not
        Path(staged).replace(path)
    except OSError as error:
        if staged is not None:
            with contextlib.suppress(OSError):
                Path(staged).unlink()
        raise DataError(
            Problem(f"cannot write the split file: {error.strerror}; check the folder", str(path))
        ) from error


def read_split_file(path: Path, dataset: Dataset) -> tuple[dict[str, Any], list[Any]]:
    """Read a split file and check it against the data.

    Returns:
        Its keys besides the folds, and a fold each: item rows ascending, or (warm) a CSR of test likes [U, I].

    Raises:
        DataError: the file is missing or malformed, an id is unknown, a like is not in the data, or an item (warm: a
            like) stands twice; every such id is listed.
    """
    content = _read_json(path)
    setting = content.get("setting")
    if setting not in SETTINGS:
        _fail(path, f"setting must be one of {', '.join(SETTINGS)}, got {setting!r}")
    folds = content.get("folds")
    if not isinstance(folds, list) or not folds:
        _fail(path, "folds must be a list of at least one fold")
    key = "test_likes" if setting == "warm" else "test_items"
    for number, fold in enumerate(folds):
        if not isinstance(fold, dict) or not isinstance(fold.get(key), list):
            _fail(path, f"fold {number} must be an object with the list {key!r} (setting {setting!r})")
    entries = [fold[key] for fold in folds]
    facts = {name: value for name, value in content.items() if name != "folds"}
    read = _read_likes if setting == "warm" else _read_items
    return facts, read(path, dataset, entries)


def _read_items(path: Path, dataset: Dataset, folds: list[list[Any]]) -> list[Any]:
    ids = [[_id(path, value) for value in fold] for fold in folds]
    rows = [dataset.items.ids.rows(fold) for fold in ids]
    faults = _unknown(ids, rows, "item")
    repeated = [value for value, count in Counter(value for fold in ids for value in fold).items() if count > 1]
    faults += [f"item {value!r} is a test item more than once; keep it in one fold" for value in repeated]
    _raise_all(path, faults)
    return [np.sort(fold) for fold in rows]


def _read_likes(path: Path, dataset: Dataset, folds: list[list[Any]]) -> list[Any]:
    for number, fold in enumerate(folds):
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in fold):
            _fail(path, f"test_likes of fold {number} must be pairs [user id, item id]")
    users = [[_id(path, user) for user, _ in fold] for fold in folds]
    items = [[_id(path, item) for _, item in fold] for fold in folds]
    user_rows = [dataset.users.rows(fold) for fold in users]
    item_rows = [dataset.items.ids.rows(fold) for fold in items]
    _raise_all(path, _unknown(users, user_rows, "user") + _unknown(items, item_rows, "item"))
    return _checked_likes(path, dataset, user_rows, item_rows)


def _checked_likes(path: Path, dataset: Dataset, users: list[Rows], items: list[Rows]) -> list[Any]:
    likes, n_items = dataset.likes, dataset.n_items
    known = np.repeat(np.arange(dataset.n_users), np.diff(likes.indptr)) * n_items + likes.indices
    pairs = np.concatenate(users) * n_items + np.concatenate(items)
    distinct, counts = np.unique(pairs, return_counts=True)
    faults = [
        f"user {dataset.users[pair // n_items]!r} does not like item {dataset.items.ids[pair % n_items]!r} in the data"
        for pair in np.setdiff1d(distinct, known).tolist()
    ]
    faults += [
        f"the like of item {dataset.items.ids[pair % n_items]!r} by user {dataset.users[pair // n_items]!r} "
        "is a test like more than once; keep it in one fold"
        for pair in distinct[counts > 1].tolist()
    ]
    _raise_all(path, faults)
    return [binary_csr(user, item, likes.shape) for user, item in zip(users, items, strict=True)]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        _fail(path, "file not found; check the path")
    except OSError as error:
        _fail(path, f"cannot read the file: {error.strerror}")
    except ValueError as error:  # malformed JSON, or bytes that are not UTF-8
        raise DataError(Problem(f"not a split file in JSON ({error})", str(path))) from error
    if not isinstance(content, dict):
        _fail(path, f"a JSON object is expected, found {type(content).__name__}")
    return content


def _id(path: Path, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        _fail(path, f"ids must be strings or whole numbers, got {value!r}")
    return str(value)


def _unknown(ids: list[list[str]], rows: list[Rows], what: str) -> list[str]:
    pairs = zip(ids, rows, strict=True)
    names = dict.fromkeys(fold[place] for fold, row in pairs for place in np.flatnonzero(row < 0).tolist())
    return [f"unknown {what} {name!r}: it is not in the data; the filters must be those of the split" for name in names]


def _like_ids(dataset: Dataset, likes: Csr) -> list[list[str]]:
    users, items = likes.nonzero()
    names = (_names(dataset.users, users), _names(dataset.items.ids, items))
    return [list(pair) for pair in zip(*names, strict=True)]


def _names(ids: Ids, rows: Any) -> list[str]:
    names: list[str] = ids.values.gather(rows).to_list()
    return names


def _raise_all(path: Path, faults: list[str]) -> None:
    if faults:
        raise DataError([Problem(fault, str(path)) for fault in faults])


def _fail(path: Path, fault: str) -> NoReturn:
    raise DataError(Problem(fault, str(path)))
