from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from textrec.data.corpus import read_lines
from textrec.errors import DataError

TEXT = "Ein Wörterbuch.\nsecond line\r\n\nlast"
LINES = ["Ein Wörterbuch.", "second line", "", "last"]


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".txt", bytes), (".txt.gz", gzip.compress), (".txt.xz", lzma.compress), ("", bytes)]
)
def test_lines_of_plain_and_packed_files(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"corpus{suffix}"
    path.write_bytes(pack(b"\xef\xbb\xbf" + TEXT.encode()))
    assert list(read_lines(path)) == LINES
    path.write_bytes(pack(TEXT.encode("latin-1")))
    assert list(read_lines(path, encoding="latin-1")) == LINES


def test_progress_is_told_in_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("one line\n" * 5000, encoding="utf-8")
    told: list[tuple[int, int]] = []
    assert len(list(read_lines(path, progress=lambda done, size: told.append((done, size))))) == 5000
    assert {size for _, size in told} == {45_000}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) == 5


def test_it_is_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(b"good\n" * 10 + b"\xff\n")
    lines = read_lines(path)
    assert next(lines) == "good"
    with pytest.raises(DataError, match=r"corpus.txt:11: byte 0xff is not valid utf-8; save the file as UTF-8"):
        list(lines)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.txt: file not found; check the path"):
        list(read_lines(tmp_path / "none.txt"))
    with pytest.raises(DataError, match="cannot read the file: Is a directory"):
        list(read_lines(tmp_path))
    path = tmp_path / "a.txt"
    path.write_text("a", encoding="utf-8")
    with pytest.raises(DataError, match="unknown encoding 'utf-99'; use one such as utf-8"):
        list(read_lines(path, encoding="utf-99"))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_packed_files_that_are_not_whole(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"corpus{suffix}"
    packed = pack("\n".join(f"{number} text" for number in range(3000)).encode())
    for damaged in (packed[:-20], b"plain text\n" * 100):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"not a whole {suffix} file"):
            list(read_lines(path))
