from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textrec.errors import DataError
from textrec.learn.vector_files import read_vector_file

GLOVE = "the 1 0.5 -2\n, 1e-3 +4 .5\n<unk> 0 0 0\n"
WORDS = ["the", ",", "<unk>"]
MATRIX = np.array([[1, 0.5, -2], [1e-3, 4, 0.5], [0, 0, 0]], np.float32)


def written(tmp_path: Path, content: str | bytes, name: str = "vectors.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("header", ["", "3 3\n"])
@pytest.mark.parametrize("ends", ["\n", " \n", "\r\n"])
def test_text_files_with_and_without_a_header(tmp_path: Path, header: str, ends: str) -> None:
    content = (header + GLOVE).replace("\n", ends)
    packed = written(tmp_path, gzip.compress(content.encode()), "vectors.txt.gz")
    for path in (written(tmp_path, content), packed):
        words, matrix = read_vector_file(path)
        assert words == WORDS
        np.testing.assert_array_equal(matrix, MATRIX)


def test_words_with_blanks_inside_are_read(tmp_path: Path) -> None:
    words, matrix = read_vector_file(written(tmp_path, "a 1 2\n. . . 3 4\nat name@domain.com 5 6\n"))
    assert words == ["a", ". . .", "at name@domain.com"]
    np.testing.assert_array_equal(matrix, [[1, 2], [3, 4], [5, 6]])


def test_gensim_writes_what_we_read(tmp_path: Path) -> None:
    keyed = pytest.importorskip("gensim.models").KeyedVectors(3)
    keyed.add_vectors(WORDS, MATRIX)
    for binary, name in ((False, "v.txt"), (True, "v.bin"), (True, "v.bin.gz"), (False, "v.txt.gz")):
        keyed.save_word2vec_format(str(tmp_path / name), binary=binary)
        words, matrix = read_vector_file(tmp_path / name)
        assert words == WORDS
        np.testing.assert_array_equal(matrix, MATRIX)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GLOVE + "short 1 2\n", r"vectors.txt:4: a word and 3 numbers are expected, found 2 after the word"),
        (GLOVE + "long 1 2 3 4\n", r"vectors.txt:4: a word and 3 numbers are expected, found 4 after the word"),
        (GLOVE + "\nword 1 x 3\n", r"vectors.txt:5: 'x' is not a number; a word and 3 numbers are expected"),
        (GLOVE + "word 1 nan 3\n", r"vectors.txt:4: 'nan' in the vector of 'word': only finite numbers are allowed"),
        (GLOVE + "word 1 -inf 3\n", r"vectors.txt:4: '-inf' in the vector of 'word': only finite"),
        (GLOVE + "word 1 1e99 3\n", r"vectors.txt:4: '1e99' in the vector of 'word': only finite"),
        (GLOVE + "the 1 2 3\n", r"vectors.txt:4: 'the' stands on line 1 already; remove one of the two"),
        ("4 3\n" + GLOVE, r"vectors.txt:1: the first line promises 4 words and 3 follow; the file is not whole"),
        ("", r"vectors.txt:1: word vectors are expected: a word and its numbers a line"),
        ("justaword\n", r"vectors.txt:1: word vectors are expected: a word and its numbers a line"),
        ("0 3\n", r"vectors.txt: the file holds no word vectors"),
    ],
)
def test_damaged_text_files(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_vector_file(written(tmp_path, content))


def test_every_fault_is_listed_up_to_a_limit(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_vector_file(written(tmp_path, GLOVE + "a 1 2\nb 1 x 2\nc 1 2 3\nd\n"))
    assert [problem.line for problem in caught.value.problems] == [4, 5, 7]
    with pytest.raises(DataError) as caught:
        read_vector_file(written(tmp_path, "".join(f"w{row} 1 2\n" for row in range(3000)) + "x 1\n" * 5000))
    assert [problem.line for problem in caught.value.problems] == list(range(3001, 3021))


def test_faults_behind_the_first_block_of_lines(tmp_path: Path) -> None:
    good = "".join(f"w{row} {row} 2\n" for row in range(4500))
    words, matrix = read_vector_file(written(tmp_path, good))
    assert words[-1] == "w4499"
    np.testing.assert_array_equal(matrix[:, 0], np.arange(4500))
    with pytest.raises(DataError, match=r"vectors.txt:4501: 'w7' stands on line 8 already"):
        read_vector_file(written(tmp_path, good + "w7 1 2\n"))


def binary(words: list[str], matrix: np.ndarray, end: bytes = b"\n") -> bytes:
    rows = [word.encode() + b" " + row.astype("<f4").tobytes() + end for word, row in zip(words, matrix, strict=True)]
    return f"{len(words)} {matrix.shape[1]}\n".encode() + b"".join(rows)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_binary_files(tmp_path: Path, end: bytes) -> None:
    words, matrix = read_vector_file(written(tmp_path, binary(WORDS, MATRIX, end), "v.bin"))
    assert words == WORDS
    np.testing.assert_array_equal(matrix, MATRIX)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"v.bin: not a binary word2vec file: it must begin with the numbers of words and of dimensions"),
        (b"the 1 2 3\n", r"v.bin: not a binary word2vec file"),
        (binary(WORDS, MATRIX)[:-9], r"v.bin: word 3 of 3 is cut off; the file is not whole"),
        (b"9000 300\nabc", r"v.bin: the first line promises 9,000 words and the file is too short"),
        (binary(["a", "b"], np.array([[1.0], [np.nan]])), r"v.bin: word 2, 'b': its vector holds NaN or infinity"),
        (binary(["a", "a"], np.array([[1.0], [2.0]])), r"v.bin: 1 words stand twice; the file is damaged"),
    ],
)
def test_damaged_binary_files(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_vector_file(written(tmp_path, content, "v.bin"))


def test_missing_and_badly_packed_files(tmp_path: Path) -> None:
    for name in ("none.bin", "none.txt"):
        with pytest.raises(DataError, match=f"{name}: file not found; check the path"):
            read_vector_file(tmp_path / name)
    with pytest.raises(DataError, match=r"v.bin.gz: cannot read the file: Not a gzipped file"):
        read_vector_file(written(tmp_path, b"plain", "v.bin.gz"))


@given(
    st.dictionaries(
        st.text("abcäß.<>", min_size=1, max_size=5),
        st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 3),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, vectors: dict[str, tuple[float, ...]], header: bool
) -> None:
    lines = [f"{word} {' '.join(map(repr, row))}\n" for word, row in vectors.items()]
    content = (f"{len(vectors)} 3\n" if header else "") + "".join(lines)
    found, matrix = read_vector_file(written(tmp_path_factory.mktemp("files"), content))
    assert found == list(vectors)
    np.testing.assert_array_equal(matrix, np.array(list(vectors.values()), np.float32))
