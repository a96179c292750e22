"""The CiteULike layouts: small folders with known content and known faults, and the real ones with known counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from textrec.data.citeulike import clean_latex, read_citeulike
from textrec.errors import DataError

RAW = (
    '"doc.id","title","citeulike.id","raw.title","raw.abstract"\r\n'
    '1,"small worlds",42,"Small Worlds","Two\r\nlines"\r\n'
    '2,"fallback",43,"",""\r\n'
    '3,"",44,"",""\r\n'
)
FILES = {
    "users.dat": "2 0 2\n0\n1 1",
    "item-tag.dat": "2 1 0\n0\n1 1",
    "tags.dat": "net\ngraph\nidle",
    "raw-data.csv": RAW,
}
BAGS = {
    "users.dat": "2 0 2\n0\n1 1\n",
    "tag-item.dat": "1 0\n2 0 2\n0\n",
    "tags.dat": "net\ngraph\nidle\n",
    "mult.dat": "2 2:1 0:3\n0\n1 1:12",
    "vocabulary.dat": "small\nworld\nlarge",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(base: dict[str, str], **changes: str | bytes | None) -> Path:
        folder = tmp_path / "library"
        folder.mkdir()
        renamed = {name.replace("__", "-").replace("_", "."): data for name, data in changes.items()}
        for name, data in {**base, **renamed}.items():
            if data is not None:
                (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return folder

    return make


class TestLayouts:
    def test_raw_data(self, write: Write) -> None:
        data = read_citeulike(write(FILES))
        assert data.name == "library"
        assert (list(data.users), list(data.items.ids)) == (["0", "1", "2"], ["0", "1", "2"])
        assert data.items.titles.to_list() == ["Small Worlds", "fallback", ""]
        assert data.items.texts.to_list() == ["Two\r\nlines", "", ""]
        assert data.likes.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
        assert list(data.items.tag_names) == ["net", "graph", "idle"]
        assert data.items.tags.toarray().tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
        (warning,) = data.problems
        assert (warning.severity, warning.line, warning.message) == ("warning", 5, "the paper has no text")

    def test_bags(self, write: Write) -> None:
        data = read_citeulike(write(BAGS))
        documents = data.items.documents
        assert not documents.ordered
        assert [documents.row_words(row) for row in range(3)] == [["large"] + ["small"] * 3, [], ["world"] * 12]
        assert data.items.tags.toarray().tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
        assert [(problem.line, problem.count) for problem in data.problems] == [(2, 1)]

    @pytest.mark.parametrize("end", ["", "\n"])
    def test_raw_text_is_preferred_to_bags(self, write: Write, end: str) -> None:
        data = read_citeulike(write(BAGS, rawtext_dat=f"## 1\nSmall {{W}}orlds\n## 2\n\n## 3\nLast{end}"))
        assert data.items.texts.to_list() == ["Small Worlds", "", "Last"]
        assert data.items.titles.to_list() == ["", "", ""]
        assert data.items.documents.ordered
        assert [problem.line for problem in data.problems] == [4]

    def test_raw_text_whose_last_text_is_empty(self, write: Write) -> None:
        data = read_citeulike(write(BAGS, rawtext_dat="## 1\na\n## 2\nb\n## 3\n"))
        assert data.items.texts.to_list() == ["a", "b", ""]

    def test_latin_1_and_no_tags(self, write: Write) -> None:
        raw = RAW.replace("Small", "Grün").encode("latin-1")
        data = read_citeulike(write(FILES, raw__data_csv=raw, item__tag_dat=None, tags_dat=None))
        assert data.items.titles[0] == "Grün Worlds"
        assert data.items.tags.shape == (3, 0)

    def test_tags_in_latin_1(self, write: Write) -> None:
        data = read_citeulike(write(FILES, tags_dat="naïf\ngraph\nidle".encode("latin-1")))
        assert data.items.tag_names[0] == "naïf"

    def test_empty_lines_are_empty_rows(self, write: Write) -> None:
        data = read_citeulike(write(FILES, item__tag_dat="1 0\n\n1 1\n", users_dat="1 0\n\n1 2\n"))
        assert data.items.tags.sum(axis=1).tolist() == [1, 0, 1]
        assert data.likes.sum(axis=1).tolist() == [1, 0, 1]

    def test_repeated_items_are_merged(self, write: Write) -> None:
        data = read_citeulike(write(FILES, users_dat="1 0\n4 1 2 1 1\n"))
        assert data.likes.toarray().tolist() == [[1, 0, 0], [0, 1, 1]]
        warning = data.problems[-1]
        assert (warning.severity, warning.line, warning.count) == ("warning", 2, 2)
        assert warning.message == "item 1 stands twice in the line; merged"


FAULTS = [
    ({"users_dat": "3 0 2\n0\n1 1"}, r"users\.dat:1: the line says 3 entries and has 2; it is cut off"),
    ({"users_dat": "2 0 2\n0\n2 1"}, r"users\.dat:3: the line says 2 entries and has 1"),
    ({"users_dat": "1 0\n1 3\n"}, r"users\.dat:2: index 3 is out of range; raw-data\.csv has the rows 0 to 2"),
    ({"users_dat": "1 0\n1 99999999999999999999\n"}, r"users\.dat:2: index \d+ is out of range"),
    ({"users_dat": "1 0\n99999999999 3\n"}, r"users\.dat:2: the line says 99999999999 entries"),
    ({"users_dat": "1 0\n1 x\n"}, r"users\.dat:2: 'x' is wrong here: a line is a count, then whole numbers"),
    ({"users_dat": "1 0\n-1 1\n"}, r"users\.dat:2: '-1' is wrong here"),
    ({"users_dat": "1 1.5\n"}, r"users\.dat:1: '1\.5' is wrong here"),
    ({"users_dat": "0\n0\n"}, r"users\.dat: the file has no likes; fetch it again"),
    ({"users_dat": ""}, r"users\.dat: the file has no likes"),
    ({"users_dat": None}, r"users\.dat: file not found"),
    ({"raw__data_csv": None}, r"library: no text: add raw-data\.csv, rawtext\.dat, or mult\.dat"),
    ({"raw__data_csv": RAW.replace("3,", "4,")}, r"raw-data\.csv:5: doc\.id is '4' where 3 is expected"),
    ({"raw__data_csv": RAW.replace("raw.abstract", "abstract")}, r"no column 'raw\.abstract'; rename 'abstract'"),
    ({"raw__data_csv": 'doc.id,raw.title,raw.abstract\n1,"a\n'}, r"raw-data\.csv:2: malformed row"),
    ({"item__tag_dat": "1 0\n0\n"}, r"item-tag\.dat: 2 lines, but there are 3; it needs one for each paper"),
    ({"item__tag_dat": "1 3\n0\n0\n"}, r"item-tag\.dat:1: index 3 is out of range; tags\.dat has the rows 0 to 2"),
    ({"tags_dat": None}, r"tags\.dat: file not found"),
    ({"tags_dat": "net\ngraph\nnet"}, r"tags\.dat:3: tag 'net' stands in an earlier line"),
]  # fmt: skip
BAG_FAULTS = [
    ({"mult_dat": "2 2:1 0:3\n0\n1 3:1"}, r"mult\.dat:3: index 3 is out of range; vocabulary\.dat has the rows 0 to 2"),
    ({"mult_dat": "1 2:1 0:3\n0\n1 1:1"}, r"mult\.dat:1: the line says 1 entries and has 2"),
    ({"mult_dat": "2 2:1 0\n0\n1 1:1"}, r"mult\.dat:1: '0' is wrong here: a line is a count, then pairs row:count"),
    ({"mult_dat": "2 2 1 0:3\n0\n1 1:1"}, r"mult\.dat:1: '2' is wrong here"),
    ({"mult_dat": "1:2 1\n0\n1 1:1"}, r"mult\.dat:1: '1:2' is wrong here"),
    ({"mult_dat": "1 2: 1\n0\n1 1:1"}, r"mult\.dat:1: '2:' is wrong here"),
    ({"mult_dat": "1 2::1\n0\n1 1:1"}, r"mult\.dat:1: '2::1' is wrong here"),
    ({"mult_dat": "1 2:0\n0\n1 1:1"}, r"mult\.dat:1: a word counts 0 times"),
    ({"vocabulary_dat": None}, r"vocabulary\.dat: file not found"),
    ({"tag__item_dat": "1 3\n0\n0\n"}, r"tag-item\.dat:1: index 3 is out of range; mult\.dat has the rows 0 to 2"),
    ({"tag__item_dat": "1 0\n"}, r"tag-item\.dat: 1 lines, but there are 3; it needs one for each row of tags\.dat"),
    ({"rawtext_dat": "## 1\na\n## 2"}, r"rawtext\.dat:3: 3 lines, but each paper takes two"),
]  # fmt: skip


class TestFaults:
    @pytest.mark.parametrize(("changes", "message"), FAULTS)
    def test_raw_data_layout(self, write: Write, changes: dict[str, str | None], message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_citeulike(write(FILES, **changes))

    @pytest.mark.parametrize(("changes", "message"), BAG_FAULTS)
    def test_bag_layout(self, write: Write, changes: dict[str, str | None], message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_citeulike(write(BAGS, **changes))

    def test_faults_of_all_files_come_together(self, write: Write) -> None:
        with pytest.raises(DataError) as raised:
            read_citeulike(write(FILES, users_dat="1 0\n2 1\n1 y\n", raw__data_csv="doc.id\n", tags_dat=None))
        found = [(Path(problem.path).name, problem.line) for problem in raised.value.problems]
        assert found[:2] == [("users.dat", 2), ("users.dat", 3)]
        assert {name for name, _ in found} == {"users.dat", "raw-data.csv", "tags.dat"}


class TestLatex:
    @pytest.mark.parametrize(
        ("raw", "clean"),
        [
            (r"Barab\'{a}si Barab\{\'a\}si Barab{\'a}si", "Barabási Barabási Barabási"),
            (r'G\"odel, K\"{u}hn, na\"{\i}ve, \c{c}a, \v{S}koda, Erd{\H{o}}s', "Gödel, Kühn, naïve, ça, Škoda, Erdős"),
            ("{C}onvergent {GLIMMER}", "Convergent GLIMMER"),
            (r"social search \& R\&amp;D, 80\%", "social search & R&D, 80%"),
            (r"the $\lambda$-calculus, $q$-gram for $8.00 and $9.00", "the λ-calculus, q-gram for $8.00 and $9.00"),
            (r"The {\TeX}book \emph{is} {\em here} \cite{Knuth}", "The TeXbook is here"),
            (r"{\o}stergaard \ss end {\\textendash}Scott p\\textless}0.05", "østergaard ßend –Scott p<0.05"),
            ("&#034;Gap&#034; AT&T a\nb ", '"Gap" AT&T a\nb'),
            ("nothing to do", "nothing to do"),
            ("", ""),
        ],
    )  # fmt: skip
    def test_cleaned(self, raw: str, clean: str) -> None:
        assert clean_latex(pl.Series("x", [raw, "plain"])).to_list() == [clean, "plain"]

    def test_cleaning_twice_changes_nothing(self) -> None:
        once = clean_latex(pl.Series("x", [r"Barab\{\'a\}si \& {C}o", None]))
        assert clean_latex(once).equals(once)
        assert once.name == "x"


@pytest.mark.real
class TestRealFolders:
    def test_titles(self, real_data: Path) -> None:
        started = time.perf_counter()
        data = read_citeulike(real_data / "citeulike-a-titles")
        assert time.perf_counter() - started < 5  # takes under 1 s; a guard against loops over items
        assert (data.n_users, data.n_items, data.n_likes) == (5551, 16980, 204986)
        assert len(data.items.tag_names) == 46391
        assert (np.bincount(data.items.tags.indices) > 0).sum() == 46390
        filtered = data.filtered()
        assert (filtered.n_users, len(filtered.items.tag_names)) == (5551, 3629)
        assert not data.problems

    def test_abstracts(self, real_data: Path) -> None:
        data = read_citeulike(real_data / "citeulike-a-abstracts")
        assert (data.n_users, data.n_items, data.n_likes) == (4917, 1929, 24640)
        filtered = data.filtered()
        assert (filtered.n_users, filtered.n_likes) == (1648, 17347)
        assert (filtered.likes_per_item() >= 5).sum() == 1412
        assert len(filtered.items.tag_names) == 366
        assert not data.items.texts.str.contains(r"\\['\"^`~]|[{}]").any()

    def test_bags(self, real_data: Path) -> None:
        data = read_citeulike(real_data / "citeulike-t")
        assert (data.n_users, data.n_items, data.n_likes) == (7947, 25975, 134860)
        filtered = data.filtered()
        assert (filtered.n_users, filtered.n_likes, len(filtered.items.tag_names)) == (5219, 125580, 4222)
        (warning,) = data.problems
        assert (warning.count, warning.line) == (31, 1450)
