"""Files to frames: cells as text, and the right line for every row."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textrec.data.files import Table, decode, read_table, suffix_of
from textrec.errors import ArgumentError, DataError, Problem

A_B = ("a", "b")


def table(tmp_path: Path, name: str, data: str | bytes) -> Table:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_table(path, A_B, name="test")


def faults(tmp_path: Path, name: str, data: str | bytes) -> list[Problem]:
    with pytest.raises(DataError) as raised:
        table(tmp_path, name, data)
    return raised.value.problems


class TestCsv:
    def test_cells_stay_text(self, tmp_path: Path) -> None:
        found = table(tmp_path, "t.csv", 'a,b\n007,1.50\n"x ""y""",\n')
        assert found.frame.rows() == [("007", "1.50"), ('x "y"', None)]

    def test_lines_after_cells_with_line_breaks_and_blank_lines(self, tmp_path: Path) -> None:
        found = table(tmp_path, "t.csv", 'a,b\r\n1,"x\r\ny\r\nz"\r\n\r\n2,"p\r\nq"\r\n3,c\r\n\r\n')
        assert found.lines is not None
        assert found.frame["a"].to_list() == ["1", "2", "3"]
        assert found.lines().tolist() == [2, 6, 8]

    @given(st.lists(st.tuples(st.sampled_from("123"), st.text('ab\n",', max_size=6)), min_size=1, max_size=8))
    def test_lines_are_where_the_rows_start(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
    ) -> None:
        quoted = [f'{a},"{b.replace(chr(34), chr(34) * 2)}"' for a, b in rows]
        found = table(tmp_path_factory.mktemp("csv"), "t.csv", "a,b\n" + "\n".join(quoted) + "\n")
        assert found.lines is not None
        assert found.frame.fill_null("").rows() == rows
        expected = [2 + sum(row.count("\n") + 1 for row in quoted[:at]) for at in range(len(rows))]
        assert found.lines().tolist() == expected

    def test_loose_quotes_are_read_as_they_are(self, tmp_path: Path) -> None:
        found = table(tmp_path, "t.csv", 'a,b\n1,5" disk\n2,3" disk\n\n4\n')
        assert found.lines is not None
        assert found.frame.rows() == [("1", '5" disk'), ("2", '3" disk'), ("4", "")]
        assert found.lines().tolist() == [2, 3, 5]

    def test_too_many_cells_name_each_line(self, tmp_path: Path) -> None:
        found = faults(tmp_path, "t.csv", "a,b\n1,2\n3,4,5\n6,7\n8,9,0,1\n")
        assert [fault.line for fault in found] == [3, 5]
        assert "3 cells where the header has 2; quote cells that hold ','" in found[0].message

    def test_open_quote_names_the_row_it_opens_in(self, tmp_path: Path) -> None:
        (fault,) = faults(tmp_path, "t.csv", 'a,b\n1,2\n3,"4\n5,6\n')
        assert fault.line == 3
        assert "malformed row that starts here" in fault.message

    def test_empty_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"t\.csv: the file is empty; its first line must name the columns"):
            table(tmp_path, "t.csv", "\n")

    def test_repeated_column_with_loose_quotes(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="two columns have the same name"):
            table(tmp_path, "t.csv", 'a,a\n1,5"\n')

    def test_tabs_and_gzip(self, tmp_path: Path) -> None:
        found = table(tmp_path, "t.tsv.gz", gzip.compress(b"a\tb\n1\tx, y\n"))
        assert found.frame.rows() == [("1", "x, y")]


class TestJsonl:
    def test_cells_become_text_and_lines_skip_blank_ones(self, tmp_path: Path) -> None:
        found = table(tmp_path, "t.jsonl", '{"a": 7, "b": "x\\ny"}\n\n  \n{"a": "007", "c": 1}\n')
        assert found.lines is not None
        assert found.frame.rows() == [("7", "x\ny"), ("007", None)]
        assert found.lines().tolist() == [1, 4]

    def test_every_bad_line_is_named(self, tmp_path: Path) -> None:
        found = faults(tmp_path, "t.ndjson", '{"a": 1}\n{"a": 2\n[1]\n{"a": 3}\n')
        assert [fault.line for fault in found] == [2, 3]
        assert "not JSON" in found[0].message
        assert "a JSON object is expected, found list" in found[1].message

    def test_missing_column_lists_what_is_there(self, tmp_path: Path) -> None:
        found = table(tmp_path, "t.jsonl", '{"A": 1, "z": 2}\n').require(["a"])
        assert "no column 'a'; rename 'A' to 'a' (columns found: 'A', 'z')" in str(found[0])


class TestBytes:
    def test_byte_order_mark(self, tmp_path: Path) -> None:
        assert table(tmp_path, "t.csv", b"\xef\xbb\xbfa,b\n1,\xc3\xa9\n").frame.rows() == [("1", "é")]

    def test_bad_byte_names_line_and_way_out(self, tmp_path: Path) -> None:
        pattern = (
            r"t\.csv:3: byte 0xe9 at offset 11 is not valid utf-8; save the file as UTF-8 or pass --encoding latin-1"
        )
        with pytest.raises(DataError, match=pattern):
            table(tmp_path, "t.csv", b"a,b\n1,x\n2,y\xe9z\n")

    def test_other_encodings(self) -> None:
        assert decode("é".encode("latin-1"), "f", "latin-1") == "é".encode()
        assert decode("é".encode("utf-16"), "f", "utf-16") == "é".encode()

    def test_cut_multibyte_file(self) -> None:
        with pytest.raises(DataError, match="is not valid utf-16"):
            decode(b"\xff\xfea", "f", "utf-16")

    def test_unknown_encoding(self) -> None:
        with pytest.raises(DataError, match="unknown encoding 'klingon'; use one such as utf-8"):
            decode(b"", "f", "klingon")

    def test_broken_gzip(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="not a whole gzip file"):
            table(tmp_path, "t.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99)[:-9])

    def test_broken_parquet(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"t\.parquet: not a readable Parquet file"):
            table(tmp_path, "t.parquet", "nothing of the kind")

    @pytest.mark.parametrize("name", ["no.csv", "no.parquet"])
    def test_missing_file(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(DataError, match="file not found; check the path"):
            read_table(tmp_path / name, A_B, name="test")

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "d.csv").mkdir()
        with pytest.raises(DataError, match="cannot read the file"):
            read_table(tmp_path / "d.csv", A_B, name="test")

    def test_unknown_format(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"unknown file format; use one of \.csv, \.tsv"):
            read_table(tmp_path / "t.xlsx", A_B, name="test")

    def test_suffixes(self) -> None:
        assert [suffix_of(Path(name)) for name in ("A.CSV", "a.jsonl.gz", "a.parquet.gz", "a", "a.txt")] == [
            ".csv", ".jsonl", "", "", "",
        ]  # fmt: skip


class TestFrames:
    def test_frames_of_three_libraries(self) -> None:
        pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
        columns = {"a": [1, 2], "b": ["x", "y"]}
        frames = [pl.DataFrame(columns), pl.LazyFrame(columns), pandas.DataFrame(columns), pyarrow.table(columns)]
        for frame in frames:
            assert read_table(frame, A_B, name="likes").frame.rows() == [(1, "x"), (2, "y")]

    def test_something_else(self) -> None:
        with pytest.raises(ArgumentError, match="likes must be a path or a polars, pandas or Arrow table, got int"):
            read_table(5, A_B, name="likes")


class TestProblems:
    def test_many_errors_are_counted(self) -> None:
        found = Table(pl.DataFrame({"a": range(30)}), "likes").errors(pl.Series([True] * 30), "bad")
        assert len(found) == 21
        assert str(found[0]) == "likes: row 1: bad"
        assert found[-1].count == 10

    def test_a_warning_counts_its_rows(self) -> None:
        (found,) = Table(pl.DataFrame({"a": range(3)}), "likes").warning(pl.Series([False, True, True]), "odd")
        assert (found.severity, found.count, found.message) == ("warning", 2, "row 2: odd")
