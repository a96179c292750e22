"""`read`: what a source may be, where names are looked for, and what is said when nothing is found."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from textrec.data import source
from textrec.data.catalogue import CATALOGUE
from textrec.data.source import read
from textrec.errors import ArgumentError, DataError

LIKES = pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "rating": [3]})
ITEMS = pl.DataFrame({"item_id": ["i"], "title": ["One"]})


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the machine's own data."""
    monkeypatch.delenv("TEXTREC_DATA", raising=False)
    monkeypatch.setenv("TEXTREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def tables(folder: Path) -> Path:
    folder.mkdir(parents=True)
    LIKES.write_csv(folder / "likes.csv")
    ITEMS.write_parquet(folder / "items.parquet")
    return folder


def layout(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "users.dat").write_text("1 0\n")
    (folder / "raw-data.csv").write_text("doc.id,raw.title,raw.abstract\n1,One,\n")
    return folder


class TestWhatIsRead:
    def test_a_folder_of_tables(self, tmp_path: Path) -> None:
        data = read(tables(tmp_path / "shop"))
        assert (data.name, list(data.users), data.items.titles.to_list()) == ("shop", ["u"], ["One"])

    def test_a_folder_in_the_layout_of_citeulike(self, tmp_path: Path) -> None:
        data = read(str(layout(tmp_path / "library")))
        assert (data.name, list(data.users)) == ("library", ["0"])

    def test_paths_and_frames(self, tmp_path: Path) -> None:
        folder = tables(tmp_path / "shop")
        for likes in (LIKES, folder / "likes.csv", str(folder / "likes.csv")):
            assert read(likes=likes, items=ITEMS).n_likes == 1

    def test_options_reach_the_tables(self, tmp_path: Path) -> None:
        folder = tables(tmp_path / "shop")
        with pytest.raises(DataError, match="min_rating drops every like"):
            read(folder, min_rating=4)
        (folder / "likes.csv").write_bytes("user_id,item_id\né,i\né,j\n".encode("latin-1"))
        assert list(read(folder, encoding="latin-1").users) == ["é"]
        with pytest.raises(DataError, match=r"likes\.csv:3: like of item 'j'"):
            read(folder, encoding="latin-1", strict=True)

    @pytest.mark.skipif(importlib.util.find_spec("textrec.data.sample") is None, reason="no sample module")
    def test_the_sample(self) -> None:
        assert read("sample").n_likes > 0

    def test_min_rating_without_ratings(self, tmp_path: Path) -> None:
        for place in (layout(tmp_path / "library"), "sample"):
            with pytest.raises(DataError, match="min_rating needs a likes table with ratings; leave it out"):
                read(place, min_rating=1)


class TestNames:
    def test_a_path_comes_before_textrec_data_before_the_cache(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tables(tmp_path / "cache" / "shop")
        assert list(read("shop").users) == ["u"]
        layout(tmp_path / "home" / "shop")
        monkeypatch.setenv("TEXTREC_DATA", str(tmp_path / "home"))
        assert list(read("shop").users) == ["0"]
        tables(tmp_path / "shop")
        assert list(read("shop").users) == ["u"]

    def test_catalogue_names_are_fetched_unless_they_are_in_textrec_data(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetched = layout(tmp_path / "cache" / "citeulike-a")
        asked: list[str] = []

        def fake(name: str) -> Path:
            asked.append(name)
            return fetched

        monkeypatch.setattr(source, "fetch", fake)
        assert read("citeulike-a").name == "citeulike-a"
        assert asked == ["citeulike-a"]
        layout(tmp_path / "home" / "citeulike-a")
        monkeypatch.setenv("TEXTREC_DATA", str(tmp_path / "home"))
        read("citeulike-a")
        assert asked == ["citeulike-a"]

    def test_nothing_found_says_where_it_looked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(DataError) as raised:
            read("shop")
        places = f"shop, {tmp_path / 'cache' / 'shop'} (and TEXTREC_DATA is not set)"
        assert str(raised.value) == (
            f"found no data 'shop': looked for the folders {places}; "
            f"pass a folder or one of {', '.join(CATALOGUE)}, sample"
        )
        monkeypatch.setenv("TEXTREC_DATA", str(tmp_path / "home"))
        with pytest.raises(DataError, match=f"shop, {tmp_path / 'home' / 'shop'}, {tmp_path / 'cache' / 'shop'};"):
            read("shop")


class TestFaults:
    def test_arguments(self, tmp_path: Path) -> None:
        with pytest.raises(ArgumentError, match="read needs a source, or both likes= and items="):
            read(likes=LIKES)
        with pytest.raises(ArgumentError, match="read takes a source or likes= and items=, not both"):
            read(tmp_path, items=ITEMS)

    def test_a_file_as_source(self, tmp_path: Path) -> None:
        folder = tables(tmp_path / "shop")
        with pytest.raises(DataError, match=r"likes\.csv: this is a file; pass a folder, or the two tables"):
            read(folder / "likes.csv")

    def test_a_folder_without_tables(self, tmp_path: Path) -> None:
        (tmp_path / "likes.xlsx").touch()
        with pytest.raises(
            DataError, match=r"no likes table \(found likes\.xlsx, an unknown format\); add one of likes\.csv"
        ):
            read(tmp_path)
        (tmp_path / "likes.csv").touch()
        with pytest.raises(DataError, match=r"no users\.dat and no items table; add one of items\.csv"):
            read(tmp_path)

    def test_two_likes_tables(self, tmp_path: Path) -> None:
        folder = tables(tmp_path / "shop")
        (folder / "likes.jsonl.gz").touch()
        with pytest.raises(DataError, match=r"several likes tables: likes\.csv, likes\.jsonl\.gz; keep one"):
            read(folder)
