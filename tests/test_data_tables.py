"""Likes and items from tables: the same data in every format, and a named place for every fault."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textrec.data.columns import seconds
from textrec.data.tables import Format, read_items, read_tables, write_tables
from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.errors import ArgumentError, DataError, Problem
from textrec.text import Documents

FORMATS: tuple[Format, ...] = ("parquet", "csv", "tsv", "jsonl")
ITEMS = {"item_id": ["i", "j", "k"], "title": ["One", "Two", "Three"]}
LIKES = {"user_id": ["v", "u", "u"], "item_id": ["j", "i", "k"]}


def frames(likes: dict[str, Any] | None = None, items: dict[str, Any] | None = None, **options: Any) -> Dataset:
    return read_tables(pl.DataFrame(likes or LIKES), pl.DataFrame(items or ITEMS), **options)


def csv_problems(tmp_path: Path, likes: str, items: str, **options: Any) -> list[Problem]:
    (tmp_path / "likes.csv").write_text(likes)
    (tmp_path / "items.csv").write_text(items)
    with pytest.raises(DataError) as raised:
        read_tables(tmp_path / "likes.csv", tmp_path / "items.csv", **options)
    return raised.value.problems


# one line break convention and no control characters: what a text table is made for
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")) | st.sampled_from('\n\t",;|\\'), max_size=12
)
ids = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=5).filter(str.strip)
tag_names = st.text("abcé \"'\\[]{}", min_size=1, max_size=4).filter(lambda tag: tag.strip() == tag)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Data sets as tables can hold them: every user has a like, tags stand in the order of their first appearance."""
    item_ids = draw(st.lists(ids, min_size=1, max_size=5, unique=True))
    user_ids = draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    n = len(item_ids)
    rows = st.sets(st.integers(0, n - 1), min_size=1)
    liked = [sorted(draw(rows)) for _ in user_ids]
    likes = binary_csr(
        np.repeat(np.arange(len(user_ids)), [len(row) for row in liked]), np.concatenate(liked), (len(user_ids), n)
    )
    times = None
    if draw(st.booleans()):
        data = draw(st.lists(st.integers(-(10**9), 4 * 10**9), min_size=likes.nnz, max_size=likes.nnz))
        times = sp.csr_array((np.array(data, np.int64), likes.indices, likes.indptr), shape=likes.shape)
    tagged = [draw(st.lists(tag_names, max_size=3, unique=True)) for _ in item_ids]
    names = list(dict.fromkeys(tag for row in tagged for tag in row))
    of_item = np.repeat(np.arange(n), [len(row) for row in tagged])
    tags = binary_csr(of_item, [names.index(tag) for row in tagged for tag in row], (n, len(names)))
    column = st.lists(texts, min_size=n, max_size=n)
    documents = None
    if draw(st.booleans()):
        words = draw(st.lists(texts.filter(bool), min_size=1, max_size=4, unique=True))
        counts = draw(st.lists(st.integers(0, 3), min_size=n * len(words), max_size=n * len(words)))
        documents = Documents.from_bags(words, sp.csr_array(np.array(counts, float).reshape(n, len(words))))
    items = Items.build(
        item_ids,
        titles=pl.Series(draw(column), dtype=pl.String),
        texts=pl.Series(draw(column), dtype=pl.String),
        documents=documents,
        tags=tags,
        tag_names=names,
    )
    return Dataset(Ids(user_ids), items, likes, times)


class TestRoundTrip:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(datasets())
    def test_every_format_gives_the_data_set_back(
        self, tmp_path_factory: pytest.TempPathFactory, data: Dataset
    ) -> None:
        folder = tmp_path_factory.mktemp("tables")
        for form in FORMATS:
            write_tables(data, folder, form)
            found = read_tables(folder / f"likes.{form}", folder / f"items.{form}")
            assert found.equals(data), form

    def test_tags_that_text_cannot_keep(self, tmp_path: Path) -> None:
        data = frames(items={**ITEMS, "tags": [["a|b"], [" c"], []]})
        write_tables(data, tmp_path, "jsonl")
        assert read_tables(tmp_path / "likes.jsonl", tmp_path / "items.jsonl").equals(data)
        with pytest.raises(ArgumentError, match=r"tag 'a\|b' holds a tag separator.*write parquet or jsonl"):
            write_tables(data, tmp_path, "csv")

    def test_unused_tags_and_users_without_likes_are_not_written(self, tmp_path: Path) -> None:
        data = frames(items={**ITEMS, "tags": [["a"], ["b"], []]})
        padded = dataclasses.replace(
            data,
            users=Ids([*data.users, "idle"]),
            likes=sp.csr_array(sp.vstack([data.likes, sp.csr_array((1, 3), dtype=np.float32)])),
        )
        write_tables(padded, tmp_path)
        assert read_tables(tmp_path / "likes.parquet", tmp_path / "items.parquet").equals(data)

    def test_unknown_format(self, tmp_path: Path) -> None:
        with pytest.raises(ArgumentError, match="format must be 'parquet', 'csv', 'tsv' or 'jsonl', got 'xls'"):
            write_tables(frames(), tmp_path, "xls")  # type: ignore[arg-type]


class TestLikes:
    def test_orders(self) -> None:
        data = frames()
        assert list(data.users) == ["v", "u"]
        assert list(data.items.ids) == ["i", "j", "k"]
        assert data.likes.toarray().tolist() == [[0, 1, 0], [1, 0, 1]]

    def test_ids_become_text(self, tmp_path: Path) -> None:
        data = frames({"user_id": [7, 8], "item_id": [1.0, 2.0]}, {"item_id": [1, 2], "title": ["a", "b"]})
        assert (list(data.users), list(data.items.ids)) == (["7", "8"], ["1", "2"])
        (tmp_path / "likes.csv").write_text("user_id,item_id\n007,01\n")
        (tmp_path / "items.csv").write_text("item_id,title\n01,a\n")
        data = read_tables(tmp_path / "likes.csv", tmp_path / "items.csv")
        assert (list(data.users), list(data.items.ids)) == (["007"], ["01"])

    def test_repeated_likes_are_merged_and_keep_the_latest_time(self) -> None:
        likes = {"user_id": ["u", "u", "v", "u"], "item_id": ["k", "i", "i", "k"], "timestamp": [5, 9, 1, 3]}
        data = frames(likes)
        assert data.timestamps.toarray().tolist() == [[9, 0, 5], [1, 0, 0]]
        assert data.timestamps.data.dtype == np.int64
        (problem,) = data.problems
        assert (problem.severity, problem.count) == ("warning", 1)
        assert problem.message == "row 4: user 'u' likes item 'k' twice; merged"

    def test_unknown_items_warn_or_fail(self) -> None:
        likes = {"user_id": ["u", "u", "w"], "item_id": ["i", "x", "y"]}
        data = frames(likes)
        (problem,) = data.problems
        assert (list(data.users), problem.severity, problem.count) == (["u"], "warning", 2)
        with pytest.raises(DataError, match="row 2: like of item 'x', which the items table does not have") as raised:
            frames(likes, strict=True)
        assert len(raised.value.problems) == 2

    def test_ratings(self) -> None:
        likes = {**LIKES, "rating": [1.0, 4.0, 5.0]}
        assert frames(likes).n_likes == 3
        assert frames(likes, min_rating=4).likes.toarray().tolist() == [[1, 0, 1]]
        with pytest.raises(DataError, match="no likes are left: min_rating drops every like"):
            frames(likes, min_rating=6)

    def test_min_rating_needs_ratings(self) -> None:
        with pytest.raises(DataError, match="likes: no column 'rating'; add a column 'rating'"):
            frames(min_rating=3)
        with pytest.raises(ArgumentError, match="min_rating must be a finite number, got nan"):
            frames(min_rating=float("nan"))

    @pytest.mark.parametrize("rating", [float("nan"), None])
    def test_a_rating_that_is_none(self, rating: float | None) -> None:
        with pytest.raises(DataError, match=r"row 2: rating (nan|None) is not a number; correct it or drop the row"):
            frames({**LIKES, "rating": [1.0, rating, 5.0]})

    def test_no_likes(self) -> None:
        with pytest.raises(DataError, match="the likes table has no rows"):
            read_tables(pl.DataFrame(LIKES).clear(), pl.DataFrame(ITEMS))
        with pytest.raises(DataError, match="no likes are left: no like names an item of the items table"):
            frames({"user_id": ["u"], "item_id": ["zz"]})


class TestTimes:
    def test_forms(self) -> None:
        noon = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp())
        forms = [
            str(noon), f"{noon}.75", "2024-05-01T12:00:00Z", "2024-05-01 12:00", "2024-05-01T14:00:00+02:00",
            "2024-05-01T12:00:00.5", "2024-05-01T14:00+0200", "2024-05-01",
        ]  # fmt: skip
        assert seconds(pl.Series(forms)).to_list() == [noon] * 7 + [noon - 12 * 3600]
        assert seconds(pl.Series([datetime(2024, 5, 1, 12)])).to_list() == [noon]
        assert seconds(pl.Series([datetime(2024, 5, 1, 12, tzinfo=UTC)])).to_list() == [noon]
        assert seconds(pl.Series([datetime(2024, 5, 1).date()])).to_list() == [noon - 12 * 3600]
        assert seconds(pl.Series([noon + 0.9])).to_list() == [noon]

    @pytest.mark.parametrize("time", ["soon", "", "2024-13-01", "1714564800000", "nan"])
    def test_what_is_no_time(self, tmp_path: Path, time: str) -> None:
        likes = f'user_id,item_id,timestamp\n"u\nu",i,5\nu,i,{time}\n'
        (fault,) = csv_problems(tmp_path, likes, "item_id,title\ni,t\n")
        assert fault.line == 4
        assert "is neither unix seconds nor an ISO date or time such as 2024-05-01T12:00:00Z" in fault.message
        assert "divide milliseconds by 1000" in fault.message


class TestItems:
    def test_tags_as_lists_or_text(self, tmp_path: Path) -> None:
        as_list = read_items(pl.DataFrame({**ITEMS, "tags": [["b", "a"], [], ["a"]]}))
        as_text = read_items(pl.DataFrame({**ITEMS, "tags": ["b|a", "", " a ;"]}))
        (tmp_path / "items.jsonl").write_text(
            '{"item_id": "i", "title": "One", "tags": ["b", "a"]}\n'
            '{"item_id": "j", "title": "Two"}\n'
            '{"item_id": "k", "title": "Three", "tags": "a"}\n'
        )
        for items in (as_list, as_text, read_items(tmp_path / "items.jsonl")):
            assert list(items.tag_names) == ["b", "a"]
            assert items.tags.toarray().tolist() == [[1, 1], [0, 0], [0, 1]]

    def test_bags_in_every_form(self, tmp_path: Path) -> None:
        bags = [{"net": 2, 'a"b': 1}, {}, {"net": 1}]
        pairs = [[{"word": word, "count": count} for word, count in bag.items()] for bag in bags]
        (tmp_path / "objects.jsonl").write_text(
            "".join(json.dumps({"item_id": row, "bag": bag}) + "\n" for row, bag in enumerate(bags))
        )
        (tmp_path / "pairs.jsonl").write_text(
            "".join(json.dumps({"item_id": row, "bag": bag}) + "\n" for row, bag in enumerate(pairs))
        )
        sources = [
            pl.DataFrame({"item_id": range(3), "bag": pairs}),
            pl.DataFrame({"item_id": range(3), "bag": [json.dumps(bag) for bag in bags]}),
            pl.DataFrame({"item_id": range(3), "bag": bags}),
            tmp_path / "objects.jsonl",
            tmp_path / "pairs.jsonl",
        ]
        for source in sources:
            documents = read_items(source).documents
            assert [documents.row_words(row) for row in range(3)] == [["net", "net", 'a"b'], [], ["net"]]
            assert not documents.ordered

    @pytest.mark.parametrize("bag", ['{"a": 0}', '{"a": 1.5}', '{"a": "x"}', "[1]", "{", '"a"'])
    def test_what_is_no_bag(self, bag: str) -> None:
        frame = pl.DataFrame({"item_id": ["i", "j"], "bag": ['{"a": 1}', bag]})
        with pytest.raises(DataError, match="items: row 2: not a bag of words; write"):
            read_items(frame)

    def test_columns_of_the_wrong_type(self) -> None:
        wrong = {"item_id": [[1]], "title": [["x"]], "tags": [1.5], "bag": [7]}
        with pytest.raises(DataError) as raised:
            read_items(pl.DataFrame(wrong))
        assert [problem.message.split(";")[0] for problem in raised.value.problems] == [
            "column 'item_id' has the type List(Int64)",
            "column 'title' has the type List(String)",
            "column 'bag' has the type Int64",
            "column 'tags' has the type Float64",
        ]
        with pytest.raises(DataError, match="each needs the fields 'word' and 'count'"):
            read_items(pl.DataFrame({"item_id": ["i"], "bag": [[{"w": "a"}]]}))

    def test_a_tag_cell_that_is_no_list(self, tmp_path: Path) -> None:
        (tmp_path / "items.jsonl").write_text('{"item_id": "i", "title": "t", "tags": "[x"}\n')
        with pytest.raises(DataError, match="a cell of 'tags' is not a list of texts"):
            read_items(tmp_path / "items.jsonl")

    def test_items_without_text_warn(self) -> None:
        data = frames(items={"item_id": ["i", "j", "k"], "title": ["", "Two", None], "text": ["", "", " "]})
        (problem,) = data.problems
        assert (problem.severity, problem.count, problem.message[:6]) == ("warning", 2, "row 1:")

    def test_no_items(self) -> None:
        with pytest.raises(DataError, match="the items table has no rows"):
            read_items(pl.DataFrame(ITEMS).clear())


class TestFaults:
    def test_missing_columns_name_the_nearest(self, tmp_path: Path) -> None:
        found = csv_problems(tmp_path, "userId,item_id\nu,i\n", "id,titel\ni,t\n")
        said = [str(problem) for problem in found]
        assert len(said) == 3
        assert said[0].endswith("items.csv: no column 'item_id'; add a column 'item_id' (columns found: 'id', 'titel')")
        assert "an items table needs one of the columns 'title', 'text' and 'bag'" in said[1]
        assert "no column 'user_id'; rename 'userId' to 'user_id'" in said[2]

    def test_faults_of_both_files_come_together_with_their_lines(self, tmp_path: Path) -> None:
        likes = "user_id,item_id,rating\nu,i,1\n,i,1\nu,,\n"
        items = 'item_id,text\ni,"two\nlines"\n\ni,again\n,none\n'
        found = csv_problems(tmp_path, likes, items)
        assert [(Path(problem.path).name, problem.line) for problem in found] == [
            ("items.csv", 6),
            ("items.csv", 5),
            ("likes.csv", 3),
            ("likes.csv", 4),
            ("likes.csv", 4),
        ]
        assert "empty item_id; fill it in or drop the row" in found[0].message
        assert "item id 'i' stands in an earlier row; item ids must be distinct" in found[1].message

    def test_both_files_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError) as raised:
            read_tables(tmp_path / "likes.csv", tmp_path / "items.csv")
        assert [Path(problem.path).name for problem in raised.value.problems] == ["items.csv", "likes.csv"]

    def test_float_ids(self) -> None:
        with pytest.raises(DataError, match="column 'user_id' has the type Float64; ids must be text or whole numbers"):
            frames({"user_id": [1.5], "item_id": ["i"]})
        with pytest.raises(DataError, match="row 2: empty user_id"):
            frames({"user_id": [1.0, None], "item_id": ["i", "j"]})
