"""Pre-trained word vectors: kept in a folder, read from files of other programs, handed to an encoder.

    config.json            format version, settings, SHA-256 of the other files
    vectors.safetensors    float32 [V, D]
    vocabulary.json        the words, the most frequent first
    layer.safetensors      a GRU layer that reads them, when they were trained with one (`learn.language_model`)

Shapes: `V` words, `D` word-vector size, `W` words of a model's vocabulary.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from textrec import __version__
from textrec.errors import ArgumentError, DataError, Problem
from textrec.folders import sha256_of, staged_folder
from textrec.learn.vector_files import read_vector_file
from textrec.text import NUMBER, Documents, Vocabulary, count_words, tokenize

__all__ = [
    "FORMAT",
    "WordVectors",
    "check_vectors_place",
    "named_vectors",
    "read_encoder_weights",
    "read_word_vectors",
]

FORMAT = 1
"""Version of the folder's layout; a reader refuses a higher one."""

_MAKER = "textrec word vectors"

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and a vector for each.

    Raises:
        ArgumentError: as many words as rows are needed, each word once, and finite numbers.
    """

    words: Sequence[str]  # V distinct words, the most frequent first where that is known
    matrix: FloatArray  # [V, D]
    settings: Mapping[str, Any] = field(default_factory=dict)  # how they were made
    layer: Mapping[str, FloatArray] = field(default_factory=dict)  # weights of a bidirectional GRU layer over them

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or len(self.matrix) != len(self.words):
            raise ArgumentError(f"{len(self.words)} words need a matrix of as many rows, got {self.matrix.shape}")
        if len(self.index) != len(self.words):
            raise ArgumentError(f"words must be distinct, got {len(self.words) - len(self.index)} repeated ones")
        if not np.isfinite(self.matrix).all():
            raise ArgumentError("matrix must hold finite numbers, got NaN or infinity")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index

    @property
    def dim(self) -> int:
        """D."""
        return int(self.matrix.shape[1])

    @cached_property
    def index(self) -> dict[str, int]:
        """Word → row."""
        return {word: row for row, word in enumerate(self.words)}

    def nearest(self, word: str, k: int = 10) -> list[tuple[str, float]]:
        """The k words with the highest cosine to a word, the best first, itself left out.

        Raises:
            ArgumentError: the word has no vector.
        """
        if word not in self.index:
            raise ArgumentError(f"no vector for the word {word!r}; words are lower case, numbers are <NUM>")
        norms = np.linalg.norm(self.matrix, axis=1)
        row = self.index[word]
        cosines = self.matrix @ self.matrix[row] / np.maximum(norms * norms[row], 1e-12)
        cosines[row] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: min(k, len(self) - 1)]
        return [(self.words[place], float(cosines[place])) for place in best.tolist()]

    def words_of(self, documents: Documents) -> list[str]:
        """The words of these texts that have a vector, in the order of the vectors."""
        counts = count_words(documents)
        read = {word for word, count in zip(documents.words, counts.tolist(), strict=True) if count > 0}
        return [word for word in self.words if word in read]

    def words_beyond(self, vocabulary: Vocabulary, most: int) -> list[str]:
        """The first `most` words that a vocabulary lacks; what our tokeniser never makes (capitals) is left out."""
        lacking = (word for word in self.words if word not in vocabulary.index and _is_token(word))
        return list(itertools.islice(lacking, most))

    def rows_for(self, words: Iterable[str], norm: float | None) -> FloatArray:
        """The vectors of these words [n, D], each brought to one norm (a vector of zeros stays), or as they are.

        Word vectors of frequent and of rare words differ in norm, which says how much they were trained rather than
        what they mean: with norms kept, Recall@50 of Embed on cold validation items was lower (docs/models.md).
        """
        rows = self.matrix[[self.index[word] for word in words]]
        if norm is None:
            return np.asarray(rows, np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows * (norm / np.maximum(norms, 1e-12)), np.float32)

    def save(self, path: str | Path) -> Path:
        """Write the folder; older word vectors there are replaced once the new ones are complete.

        Raises:
            DataError: the path holds something else, or writing failed (what was there stays as it was).
        """
        target = Path(path).absolute()
        check_vectors_place(target)
        try:
            with staged_folder(target) as folder:
                self._write(folder)
        except OSError as error:
            reason = error.strerror or error
            raise DataError(Problem(f"the word vectors could not be written ({reason})", str(path))) from error
        return target

    def _write(self, folder: Path) -> None:
        save_file({"vectors": np.ascontiguousarray(self.matrix, np.float32)}, folder / "vectors.safetensors")
        _write_json(folder / "vocabulary.json", {"words": list(self.words)})
        if self.layer:
            weights = {name: np.ascontiguousarray(value, np.float32) for name, value in self.layer.items()}
            save_file(weights, folder / "layer.safetensors")
        manifest = {
            "what": _MAKER,
            "format": FORMAT,
            "textrec": __version__,
            "words": len(self),
            "dim": self.dim,
            "settings": dict(self.settings),
            "files": {entry.name: sha256_of(entry) for entry in sorted(folder.iterdir())},
        }
        _write_json(folder / "config.json", manifest)


def check_vectors_place(path: Path) -> None:
    """Refuse before training what saving would refuse after it.

    Raises:
        DataError: the path holds something that is not a folder of word vectors.
    """
    if path.exists() and not (path.is_dir() and (_is_ours(path) or not any(path.iterdir()))):
        raise DataError(Problem("exists and is not a folder of word vectors; choose another place", str(path)))


def read_word_vectors(path: str | Path) -> WordVectors:
    """Read a folder that `WordVectors.save` wrote, or a word2vec or GloVe file (`learn.vector_files`).

    Raises:
        DataError: missing, damaged, foreign, or written by a newer textrec.
    """
    folder = Path(path)
    if not folder.exists():
        fault = f"no such word vectors; make them with `textrec pretrain CORPUS --out {path}`"
        raise DataError(Problem(fault, str(path)))
    if not folder.is_dir():
        words, matrix = read_vector_file(folder)
        return WordVectors(words, matrix, {"file": folder.name})
    if not _is_ours(folder):
        raise DataError(Problem("not a folder of word vectors (no config.json of theirs)", str(path)))
    try:
        return _read_folder(folder)
    except (KeyError, ValueError, TypeError, OSError, SafetensorError) as error:
        raise DataError(Problem(f"damaged: {error}; train or copy the word vectors again", str(path))) from error


def named_vectors(path: str | None) -> WordVectors | None:
    """The word vectors that a configuration names, if it names any (`read_word_vectors`)."""
    return None if path is None else read_word_vectors(path)


def read_encoder_weights(path: str | Path) -> WordVectors:
    """Read a folder that has a GRU layer beside its word vectors.

    Raises:
        DataError: as `read_word_vectors`, or there is no such layer in it.
    """
    found = read_word_vectors(path)
    if not found.layer:
        fault = f"word vectors without a GRU layer; make one with `textrec pretrain CORPUS --gru --out {path}`"
        raise DataError(Problem(fault, str(path)))
    return found


def _read_folder(folder: Path) -> WordVectors:
    manifest = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if manifest["format"] > FORMAT:
        raise ValueError(
            f"written by textrec {manifest['textrec']} in format {manifest['format']}, "
            f"textrec {__version__} reads up to format {FORMAT}"
        )
    for name, expected in manifest["files"].items():
        if sha256_of(folder / name) != expected:
            raise ValueError(f"the hash of {name} differs")
    matrix = load_file(folder / "vectors.safetensors")["vectors"]
    words = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))["words"]
    layer = load_file(folder / "layer.safetensors") if "layer.safetensors" in manifest["files"] else {}
    return WordVectors(words, matrix, manifest["settings"], layer)


def _is_ours(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "config.json").read_text(encoding="utf-8"))["what"] == _MAKER)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_token(word: str) -> bool:
    """Whether the tokeniser can make this word."""
    tokens = tokenize(word)
    return word == NUMBER or (len(tokens) == 1 and tokens[0].word == word)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
