"""Pre-trained word vectors: kept in a folder, read from files of other programs, handed to an encoder.

    config.json            format version, settings, SHA-256 of the other files
    vectors.safetensors    float32 [V, D]
    vocabulary.json        the words, the most frequent first

Shapes: `V` words, `D` word-vector size, `W` words of a model's vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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

__all__ = ["FORMAT", "WordVectors", "check_vectors_place", "initial_weights", "named_vectors", "read_word_vectors"]

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

    def widening(self, documents: Documents, most: int) -> list[str]:
        """The words to add to a vocabulary: those of the training texts first, then the others in their own order.

        Words of the other texts are what helps with items nobody has liked, whose words training never saw.

        Args:
            documents: the texts that may be read.
            most: how many of the others, ≥ 0; what our tokeniser never makes (capitals, blanks) is left out.
        """
        counts = count_words(documents)
        read = {word for word, count in zip(documents.words, counts.tolist(), strict=True) if count > 0}
        inside = [word for word in self.words if word in read]
        outside = (word for word in self.words if word not in read and _is_token(word))
        return inside + [word for word, _ in zip(outside, range(most), strict=False)]

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


def initial_weights(
    vocabulary: Vocabulary, vectors: WordVectors, *, dim: int, norm: float
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Where an encoder starts: the rows of its vocabulary that have a vector, and these vectors.

    One factor brings the vectors to the mean norm that random word vectors have, so that learning rates and ridges
    mean the same with and without; the differences between the words' norms stay.

    Args:
        vocabulary: of the model, W words.
        vectors: pre-trained.
        dim: D of the encoder.
        norm: the mean norm, `init_scale·√D` in the models.

    Returns:
        Rows of the vocabulary [n], ascending, and float32 [n, D].

    Raises:
        ArgumentError: the vectors have another size than the encoder's.
        DataError: no word of the vocabulary has a vector.
    """
    if vectors.dim != dim:
        raise ArgumentError(
            f"word_vectors must have {dim} dimensions as the model's word vectors do, got {vectors.dim}; set "
            f"embedding_dim = {vectors.dim} (models without that field: factors), or make them with --dim {dim}"
        )
    pairs = [(row, vectors.index[word]) for row, word in enumerate(vocabulary) if word in vectors.index]
    if not pairs:
        raise DataError(
            f"none of the {len(vectors):,} words with a vector (such as {vectors.words[0]!r}) is a word of the model; "
            "words must be lower case, numbers <NUM>"
        )
    rows, places = np.array(pairs, np.int64).T
    matrix = vectors.matrix[places]
    mean = float(np.linalg.norm(matrix, axis=1).mean())
    return rows, np.asarray(matrix * (norm / max(mean, 1e-12)), np.float32)


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
    return WordVectors(words, matrix, manifest["settings"])


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
