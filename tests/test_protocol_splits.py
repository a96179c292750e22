from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.errors import ArgumentError, DataError, LeakError
from textrec.protocol.splits import Fold, Split, check_leaks, hold_out, split


def make_data(likes: np.ndarray, *, seed: int = 0, times: np.ndarray | None = None) -> Dataset:
    """Ids `u0`, `i0`, …; every item has a title of its own and some of four tags."""
    users, items = likes.shape
    tags = np.random.default_rng(seed + 1).random((items, 4)) < 0.5
    table = Items.build(
        [f"i{row}" for row in range(items)],
        titles=pl.Series([f"title word{row}" for row in range(items)], dtype=pl.String),
        tags=binary_csr(*np.nonzero(tags), tags.shape),
        tag_names=["a", "b", "c", "d"],
    )
    matrix = binary_csr(*np.nonzero(likes), likes.shape)
    stamps = None
    if times is not None:
        stamps = sp.csr_array((times[np.nonzero(likes)], matrix.indices, matrix.indptr), shape=matrix.shape)
    return Dataset(Ids(f"u{row}" for row in range(users)), table, matrix, stamps)


def random_data(seed: int = 0, users: int = 30, items: int = 40, density: float = 0.2) -> Dataset:
    return make_data(np.random.default_rng(seed).random((users, items)) < density, seed=seed)


def timed_data() -> Dataset:
    """Items 0 and 1 are liked from second 10 and 20 on, item 2 from 100 on, item 3 never."""
    likes = np.array([[1, 1, 1, 0], [1, 0, 1, 0]])
    return make_data(likes, times=np.array([[10, 20, 100, 0], [150, 0, 120, 0]]))


def like_ids(fold: Fold, part: str) -> set[tuple[str, str]]:
    """(user id, item id) of the training or test likes."""
    likes, items = (fold.train.likes, fold.train.items) if part == "train" else (fold.test_likes, fold.candidates)
    return {(fold.train.users[u], items.ids[i]) for u, i in zip(*likes.nonzero(), strict=True)}


def all_like_ids(data: Dataset) -> set[tuple[str, str]]:
    return {(data.users[u], data.items.ids[i]) for u, i in zip(*data.likes.nonzero(), strict=True)}


def popular(data: Dataset) -> list[str]:
    return [data.items.ids[row] for row in np.flatnonzero(data.likes_per_item() >= 5)]


# ---------------------------------------------------------------------- cold


def test_cold_folds_are_those_of_the_protocol():
    data = random_data()
    rows = np.flatnonzero(data.likes_per_item() >= 5)
    wanted = np.array_split(np.random.default_rng(3).permutation(rows), 5)
    made = split(data, "cold", seed=3)
    assert len(made) == 5
    for part, expected in zip(made.test, wanted, strict=True):
        assert part.tolist() == sorted(expected.tolist())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.booleans(), st.sampled_from(["eligible", "all"]))
def test_cold_folds_are_disjoint_and_whole(seed, folds, transductive, candidates):
    data = random_data(seed)
    made = split(data, "cold", folds=folds, seed=seed, candidates=candidates)
    parts = [made.fold(data, number, transductive=transductive) for number in range(folds)]
    ranked = [item for fold in parts for item in fold.candidates.ids]
    assert len(ranked) == len(set(ranked))
    assert set(ranked) == set(data.items.ids if candidates == "all" else popular(data))
    everything = all_like_ids(data)
    for fold in parts:
        train, test = like_ids(fold, "train"), like_ids(fold, "test")
        assert train | test == everything
        assert not train & test
        assert {item for _, item in test} == set(popular(data)) & set(fold.candidates.ids)
        assert fold.train.users.values.equals(data.users.values)
        assert list(fold.candidates.ids) == sorted(fold.candidates.ids, key=lambda name: int(name[1:]))


def test_cold_items_leave_the_item_table():
    data = random_data()
    fold = split(data, "cold").fold(data, 1)
    cold = set(fold.candidates.ids)
    assert set(fold.train.items.ids) == set(data.items.ids) - cold
    assert not any(name in cold for name in fold.train.items.ids)
    row = int(data.items.ids.rows([fold.train.items.ids[7]])[0])
    assert fold.train.items.titles[7] == data.items.titles[row]
    assert fold.train.likes[:, [7]].toarray().tolist() == data.likes[:, [row]].toarray().tolist()
    assert fold.train.items.tags[[7]].toarray().tolist() == data.items.tags[[row]].toarray().tolist()


def test_transductive_items_stay_without_likes_and_tags():
    data = random_data()
    fold = split(data, "cold").fold(data, 1, transductive=True)
    rows = data.items.ids.rows(fold.candidates.ids)
    assert fold.train.items.ids.values.equals(data.items.ids.values)
    assert fold.train.likes_per_item()[rows].sum() == 0
    assert fold.train.items.tags[rows].nnz == 0
    others = np.setdiff1d(np.arange(data.n_items), rows)
    assert (fold.train.items.tags[others] != data.items.tags[others]).nnz == 0


@pytest.mark.parametrize("transductive", [False, True])
def test_tags_of_cold_candidates_are_test_tags(transductive):
    data = random_data()
    fold = split(data, "cold").fold(data, 0, transductive=transductive)
    rows = data.items.ids.rows(fold.candidates.ids)
    assert fold.candidates.tags.nnz == 0
    assert fold.test_tags.toarray().tolist() == data.items.tags[rows].toarray().tolist()


def test_distractors_keep_training_likes_and_tags():
    data = random_data(density=0.15)
    fold = split(data, "cold", candidates="all").fold(data, 0)
    distractors = set(fold.candidates.ids) - set(popular(data))
    assert distractors
    assert distractors <= set(fold.train.items.ids)
    assert not distractors & {item for _, item in like_ids(fold, "test")}
    columns = fold.candidates.ids.rows(sorted(distractors))
    rows = data.items.ids.rows(sorted(distractors))
    assert fold.seen.nnz == data.likes[:, rows].nnz == fold.seen[:, columns].nnz > 0
    assert fold.test_tags[columns].nnz == 0
    assert fold.candidates.tags[columns].toarray().tolist() == data.items.tags[rows].toarray().tolist()


# ---------------------------------------------------------------------- warm


def slow_warm(data: Dataset, folds: int, seed: int) -> list[set[tuple[int, int]]]:
    """The protocol's words, one like at a time."""
    rng = np.random.default_rng(seed)
    likes = data.likes.toarray() > 0
    parts: list[set[tuple[int, int]]] = [set() for _ in range(folds)]
    for user in range(data.n_users):
        items = [item for item in np.flatnonzero(likes[user]) if likes[:, item].sum() >= 5]
        for place, item in enumerate(rng.permutation(items)):
            parts[(place + user) % folds].add((user, int(item)))
    for part in parts:
        for item in range(data.n_items):
            fans = {user for user in range(data.n_users) if likes[user, item]}
            if fans and all((user, item) in part for user in fans):
                part.remove((min(fans), item))
    return parts


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_warm_folds_equal_a_slow_twin(seed, folds):
    data = random_data(seed, users=14, items=20, density=0.4)
    made = split(data, "warm", folds=folds, seed=seed)
    for test, wanted in zip(made.test, slow_warm(data, folds, seed), strict=True):
        assert set(zip(*(axis.tolist() for axis in test.nonzero()), strict=True)) == wanted


def test_an_items_only_likes_return_to_training_in_that_fold_only():
    likes = np.zeros((40, 6), int)
    likes[:, 0] = 1
    likes[[0, 5, 10, 15, 20], 1] = 1  # often in one fold: every fifth user starts at the same one
    data = make_data(likes)
    found = 0
    for seed in range(60):
        made = split(data, "warm", seed=seed)
        per_fold = [test[:, [1]].nnz for test in made.test]
        if max(per_fold) == 4 and sum(per_fold) == 4:  # all five fell into one fold, the first one went back
            found += 1
            fold = made.fold(data, int(np.argmax(per_fold)))
            assert fold.train.likes[[0], :].toarray()[0, 1] == 1
            assert fold.train.likes[:, [1]].nnz == 1
    assert found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_warm_folds_are_disjoint_and_whole(seed):
    data = random_data(seed)
    made = split(data, "warm", seed=seed)
    everything, tested = all_like_ids(data), []
    for number in range(5):
        fold = made.fold(data, number)
        train, test = like_ids(fold, "train"), like_ids(fold, "test")
        assert train | test == everything
        assert not train & test
        assert {item for _, item in test} == set(fold.candidates.ids) <= set(popular(data))
        assert set(fold.candidates.ids) <= {item for _, item in train}
        assert fold.train.items is data.items
        tested += test
    assert len(tested) == len(set(tested))


def test_seen_are_the_training_likes_on_candidates():
    data = random_data()
    fold = split(data, "warm").fold(data, 2)
    rows = data.items.ids.rows(fold.candidates.ids)
    assert fold.seen.toarray().tolist() == fold.train.likes[:, rows].toarray().tolist()
    assert fold.test_users.tolist() == np.flatnonzero(fold.test_likes.sum(axis=1)).tolist()


def test_same_seed_same_folds_other_seed_other_folds():
    data = random_data()
    for setting in ("cold", "warm"):
        parts = [like_ids(split(data, setting, seed=seed).fold(data, 0), "test") for seed in (1, 1, 2)]
        assert parts[0] == parts[1] != parts[2]


# ---------------------------------------------------------------------- time


@pytest.mark.parametrize(
    "cutoff",
    ["1970-01-01T00:01:40", "1970-01-01T00:01:40+00:00", datetime.fromtimestamp(100, UTC), "1970-01-01T02:01:40+02:00"],
)
def test_time_splits_off_items_that_are_new(cutoff):
    data = timed_data()
    made = split(data, "time", cutoff=cutoff)
    assert len(made) == 1
    fold = made.fold(data, 0)
    assert list(fold.candidates.ids) == ["i2"]
    assert like_ids(fold, "test") == {("u0", "i2"), ("u1", "i2")}
    assert like_ids(fold, "train") == {("u0", "i0"), ("u0", "i1")}  # the late like of i0 is in neither part
    assert list(fold.train.items.ids) == ["i0", "i1", "i3"]


def test_time_needs_timestamps_and_likes_on_both_sides():
    with pytest.raises(ArgumentError, match="setting 'time' needs likes with timestamps, and this data has none"):
        split(random_data(), "time", cutoff="2016-01-01")
    with pytest.raises(ArgumentError, match="cutoff must leave items that are first liked at or after it, got 2016-"):
        split(timed_data(), "time", cutoff="2016-01-01")
    with pytest.raises(ArgumentError, match="cutoff must leave likes before it to train on, got 1970-"):
        split(timed_data(), "time", cutoff="1970-01-01")
    with pytest.raises(ArgumentError, match="cutoff must be an ISO date such as 2016-09-15, got 'soon'"):
        split(timed_data(), "time", cutoff="soon")


# ---------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"setting": "hot"}, "setting must be one of cold, warm, time, got 'hot'"),
        ({"setting": "cold", "candidates": "some"}, "candidates must be one of eligible, all, got 'some'"),
        ({"setting": "warm", "candidates": "all"}, "candidates 'all' belongs to the setting cold, got the setting 'wa"),
        ({"setting": "cold", "cutoff": "2016-01-01"}, "cutoff belongs to the setting time and it needs one, got '2016"),
        ({"setting": "time"}, "cutoff belongs to the setting time and it needs one, got None with 'time'"),
        ({"setting": "cold", "folds": 1}, "folds must be at least 2, got 1"),
        ({"setting": "cold", "min_item_likes": 0}, "min_item_likes must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        split(random_data(), **arguments)


def test_too_little_data_is_an_error():
    data = make_data(np.eye(6, dtype=int))
    with pytest.raises(DataError, match="0 items have 5 likes or more, too few for 5 folds; use fewer folds or lower"):
        split(data, "cold")
    with pytest.raises(DataError, match="0 likes are on items with 5 likes or more, too few for 5 folds"):
        split(data, "warm")


def test_a_fold_without_test_likes_is_an_error():
    data = random_data()
    empty = dataclasses.replace(split(data, "cold"), test=(np.zeros(0, np.int64),))
    with pytest.raises(DataError, match="fold 0 has no test likes; use fewer folds, or another seed"):
        empty.fold(data, 0)


def test_fold_number_and_data_are_checked():
    data = random_data()
    made = split(data, "cold")
    for number in (-1, 5):
        with pytest.raises(ArgumentError, match=f"number must be from 0 to 4, got {number}"):
            made.fold(data, number)
    with pytest.raises(
        ArgumentError, match=r"the one the split was made of \(30 users × 40 items\), got 30 users × 41"
    ):
        made.fold(random_data(items=41), 0)


# ---------------------------------------------------------------------- validation


def test_cold_validation_is_that_of_the_protocol():
    data = random_data(items=80)
    train = split(data, "cold", seed=4).fold(data, 2).train
    part = hold_out(train, "cold", seed=4, fold=2)
    rows = np.flatnonzero(train.likes_per_item() >= 5)
    wanted = np.random.default_rng(4 + 1000 + 2).permutation(rows)[: round(0.1 * len(rows))]
    assert list(part.candidates.ids) == [train.items.ids[row] for row in np.sort(wanted)]
    assert set(part.train.items.ids) == set(train.items.ids) - set(part.candidates.ids)
    assert like_ids(part, "train") | like_ids(part, "test") == all_like_ids(train)
    assert part.number == 2
    kept = hold_out(train, "cold", seed=4, fold=2, transductive=True)
    assert kept.train.n_items == train.n_items
    assert list(kept.candidates.ids) == list(part.candidates.ids)


def test_warm_validation_takes_a_share_of_each_users_likes():
    data = random_data(users=200, items=60, density=0.4)
    part = hold_out(data, "warm", seed=0, fold=0)
    assert part.test_likes.nnz / data.n_likes == pytest.approx(0.1, abs=0.01)
    taken = np.diff(part.test_likes.indptr)
    share = 0.1 * data.likes_per_user()
    assert (np.floor(share) <= taken).all()
    assert (taken <= np.ceil(share)).all()
    assert like_ids(part, "train") | like_ids(part, "test") == all_like_ids(data)
    assert like_ids(hold_out(data, "warm", seed=0, fold=0), "test") == like_ids(part, "test")
    assert like_ids(hold_out(data, "warm", seed=0, fold=1), "test") != like_ids(part, "test")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_warm_validation_never_takes_an_items_last_like(seed):
    data = random_data(seed, users=12, items=10, density=0.5)
    part = hold_out(data, "warm", seed=seed, fold=0, fraction=0.9)
    assert ((part.train.likes_per_item() > 0) == (data.likes_per_item() > 0)).all()


def test_validation_arguments_are_checked():
    with pytest.raises(ArgumentError, match="setting must be cold or warm, got 'time'"):
        hold_out(random_data(), "time", seed=0, fold=0)
    for fraction in (0, 1):
        with pytest.raises(ArgumentError, match=f"fraction must be above 0 and below 1, got {fraction}"):
            hold_out(random_data(), "cold", seed=0, fold=0, fraction=fraction)
    tiny = make_data(np.ones((5, 1), int))
    with pytest.raises(DataError, match="no validation part: 1 training items have 5 likes or more"):
        hold_out(tiny, "cold", seed=0, fold=0)
    with pytest.raises(DataError, match="no validation part: too few likes to hold some out; raise fraction"):
        hold_out(make_data(np.eye(5, dtype=int)), "warm", seed=0, fold=0)


# ---------------------------------------------------------------------- leaks


def with_train(fold: Fold, likes: sp.csr_array | None = None, items: Items | None = None) -> Fold:
    train = fold.train.with_likes(fold.train.likes if likes is None else likes)
    return dataclasses.replace(fold, train=train if items is None else dataclasses.replace(train, items=items))


@pytest.mark.parametrize("setting", ["cold", "warm"])
def test_training_on_all_likes_is_a_leak(setting):
    data = random_data()
    fold = split(data, setting).fold(data, 0, transductive=True)
    check_leaks(fold)
    with pytest.raises(LeakError, match=r"test likes are training likes, such as user 'u\d+', item 'i\d+'"):
        check_leaks(with_train(fold, data.likes))


def test_any_like_or_tag_on_a_cold_item_is_a_leak():
    data = random_data()
    fold = split(data, "cold").fold(data, 0, transductive=True)
    name = fold.candidates.ids[0]
    row = data.items.ids.rows([name])[0]
    user = int(np.flatnonzero(fold.test_likes[:, [0]].toarray()[:, 0] == 0)[0])  # no test like, but a like
    liked = sp.csr_array(fold.train.likes + binary_csr([user], [row], data.likes.shape))
    with pytest.raises(LeakError, match=f"1 cold test items have training likes, such as item '{name}'"):
        check_leaks(with_train(fold, liked))
    tagged = dataclasses.replace(
        fold.train.items, tags=sp.csr_array(fold.train.items.tags + binary_csr([row], [0], data.items.tags.shape))
    )
    with pytest.raises(LeakError, match=f"1 cold test items have training tags, such as item '{name}'"):
        check_leaks(with_train(fold, items=tagged))


def test_visible_tags_and_readable_texts_are_leaks():
    data = random_data()
    fold = split(data, "cold").fold(data, 0, transductive=True)
    shown = dataclasses.replace(fold.candidates, tags=fold.test_tags)
    with pytest.raises(LeakError, match="cold test items show their tags, such as item"):
        check_leaks(dataclasses.replace(fold, candidates=shown))
    with pytest.raises(LeakError, match="cold test items can be read in training, which only transductive allows"):
        check_leaks(dataclasses.replace(fold, transductive=False))


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("setting", ["cold", "warm"])
def test_a_saved_split_is_read_back(setting, tmp_path):
    data = random_data()
    made = split(data, setting, seed=7, min_item_likes=4)
    made.save(tmp_path / "folds.json", data)
    read = Split.load(tmp_path / "folds.json", data)
    assert (read.setting, read.seed, read.candidates, read.min_item_likes) == (setting, 7, "eligible", 4)
    for number in range(5):
        assert like_ids(read.fold(data, number), "test") == like_ids(made.fold(data, number), "test")
    assert [path.name for path in tmp_path.iterdir()] == ["folds.json"]


def test_saved_distractors_and_cutoff_are_read_back(tmp_path):
    data = random_data(density=0.15)
    made = split(data, "cold", candidates="all")
    made.save(tmp_path / "all.json", data)
    read = Split.load(tmp_path / "all.json", data)
    assert like_ids(read.fold(data, 3), "test") == like_ids(made.fold(data, 3), "test")
    timed = timed_data()
    split(timed, "time", cutoff="1970-01-01T00:01:40").save(tmp_path / "time.json", timed)
    assert json.loads((tmp_path / "time.json").read_text())["cutoff"] == "1970-01-01T00:01:40+00:00"
    read = Split.load(tmp_path / "time.json", timed)
    assert read.cutoff == 100
    assert like_ids(read.fold(timed, 0), "train") == {("u0", "i0"), ("u0", "i1")}


def test_the_layout_is_ids_by_fold(tmp_path):
    data = random_data()
    split(data, "cold").save(tmp_path / "cold.json", data)
    content = json.loads((tmp_path / "cold.json").read_text())
    assert content["setting"] == "cold"
    assert sorted(item for fold in content["folds"] for item in fold["test_items"]) == sorted(popular(data))
    made = split(data, "warm")
    made.save(tmp_path / "warm.json", data)
    content = json.loads((tmp_path / "warm.json").read_text())
    pairs = {tuple(pair) for pair in content["folds"][2]["test_likes"]}
    assert pairs == like_ids(made.fold(data, 2), "test")


def write(folder: Path, content: object) -> Path:
    path = folder / "folds.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_file_made_elsewhere_is_used_as_it_is(tmp_path):
    likes = np.zeros((3, 5), int)
    likes[0, [4, 2]] = likes[1, [2, 3]] = 1  # far below five likes an item; whole numbers as ids
    data = dataclasses.replace(make_data(likes), users=Ids(["10", "11", "12"]))
    data = dataclasses.replace(data, items=dataclasses.replace(data.items, ids=Ids(map(str, range(5)))))
    cold = Split.load(write(tmp_path, {"setting": "cold", "folds": [{"test_items": [4, "2"]}]}), data)
    assert (cold.seed, cold.candidates) == (None, "eligible")
    fold = cold.fold(data, 0)
    assert list(fold.candidates.ids) == ["2", "4"]
    assert like_ids(fold, "test") == {("10", "4"), ("10", "2"), ("11", "2")}
    warm = Split.load(write(tmp_path, {"setting": "warm", "folds": [{"test_likes": [[11, 3], ["10", 4]]}]}), data)
    assert like_ids(warm.fold(data, 0), "test") == {("11", "3"), ("10", "4")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a split file in JSON"),
        ([], "a JSON object is expected, found list"),
        ({"folds": []}, "setting must be one of cold, warm, time, got None"),
        ({"setting": "cold", "folds": []}, "folds must be a list of at least one fold"),
        ({"setting": "cold", "folds": [{"test_likes": []}]}, "fold 0 must be an object with the list 'test_items'"),
        ({"setting": "warm", "folds": [{"test_likes": [["u0"]]}]}, "test_likes of fold 0 must be pairs"),
        ({"setting": "cold", "folds": [{"test_items": [1.5]}]}, "ids must be strings or whole numbers, got 1.5"),
        ({"setting": "cold", "folds": [{"test_items": ["i0", "x", "y"]}]}, "unknown item 'x'.*\n.*unknown item 'y'"),
        (
            {"setting": "cold", "folds": [{"test_items": ["i0"]}, {"test_items": ["i0"]}]},
            "item 'i0' is a test item more than once; keep it in one fold",
        ),
        (
            {"setting": "warm", "folds": [{"test_likes": [["x", "i0"], ["u0", "y"]]}]},
            "unknown user 'x'.*\n.*unknown item 'y'",
        ),
        (
            {"setting": "warm", "folds": [{"test_likes": [["u0", "i3"]]}]},
            "user 'u0' does not like item 'i3' in the data",
        ),
        (
            {"setting": "warm", "folds": [{"test_likes": [["u0", "i0"]]}, {"test_likes": [["u0", "i0"]]}]},
            "the like of item 'i0' by user 'u0' is a test like more than once",
        ),
        (
            {"setting": "cold", "candidates": "few", "seed": "x", "min_item_likes": 0, "folds": [{"test_items": []}]},
            "candidates must be one of eligible, all, got 'few'\n.*seed must be a whole number of at least 0, got 'x'"
            "\n.*min_item_likes must be a whole number of at least 1, got 0",
        ),
        ({"setting": "time", "folds": [{"test_items": ["i2"]}]}, "cutoff must be an ISO date such as 2016-09-15"),
        (
            {"setting": "time", "cutoff": "1970-01-01T00:01:40", "folds": [{"test_items": ["i0"]}]},
            "item 'i0' was liked before the cutoff",
        ),
    ],
)
def test_bad_files_are_explained(content, message, tmp_path):
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        Split.load(path, timed_data())
    assert str(caught.value).startswith(str(path))


def test_missing_and_unwritable_files_are_explained(tmp_path):
    data = random_data()
    with pytest.raises(DataError, match="file not found; check the path"):
        Split.load(tmp_path / "none.json", data)
    with pytest.raises(DataError, match="cannot read the file"):
        Split.load(tmp_path, data)
    with pytest.raises(DataError, match="cannot write the split file: No such file or directory; check the folder"):
        split(data, "cold").save(tmp_path / "none" / "folds.json", data)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DataError, match="cannot write the split file"):
        split(data, "cold").save(tmp_path / "folder.json", data)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


# ---------------------------------------------------------------------- real data


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "cold", "pool", "warm", "warm_users", "validation"),
    [
        ("citeulike-a-titles", 3088, 3396, 13_500, 5544, 1235),
        ("citeulike-t", 1406, 5195, 5830, 4503, 562),
        ("citeulike-a-abstracts", 282, 386, 1200, 1600, 113),
    ],
)
def test_fold_sizes_of_the_public_data(real_data, name, cold, pool, warm, warm_users, validation):
    from textrec.data.citeulike import read_citeulike

    data = read_citeulike(real_data / name).filtered()
    fold = split(data, "cold").fold(data, 0)
    assert len(fold.candidates) == pytest.approx(cold, abs=1)
    assert len(split(data, "cold", candidates="all").fold(data, 0).candidates) == pool
    assert len(hold_out(fold.train, "cold", seed=0, fold=0).candidates) == validation
    made = split(data, "warm")
    folds = [made.fold(data, number) for number in range(5)]
    assert np.mean([len(fold.candidates) for fold in folds]) == pytest.approx(warm, rel=0.01)
    assert np.mean([len(fold.test_users) for fold in folds]) == pytest.approx(warm_users, rel=0.01)
