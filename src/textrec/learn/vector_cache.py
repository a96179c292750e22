"""Vectors of texts kept on disk: a folder a model, files of many texts each, found by the hash of the text.

A file is named after the hash of its bytes and appears whole or not at all; one that is damaged is left out and its
texts are computed again. Nothing is ever changed in place, so several processes may share a folder.

Shapes: `n` texts, `D` size of a vector.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from textrec.errors import TextrecWarning

__all__ = ["VectorCache"]

FloatArray = npt.NDArray[np.float32]

_HASH_BYTES = 16


class VectorCache:
    """The vectors of one model.

    Args:
        folder: where they are; made when the first are kept.
        dim: D.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder, self.dim = folder, dim

    def look_up(self, keys: Sequence[bytes]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Vectors [n, D] of texts by their keys, and which of them were found."""
        vectors = np.zeros((len(keys), self.dim), np.float32)
        found = np.zeros(len(keys), np.bool_)
        rows_of: dict[bytes, list[int]] = {}
        for row, key in enumerate(keys):
            rows_of.setdefault(key, []).append(row)
        for path in sorted(self.folder.glob("*.safetensors")) if self.folder.is_dir() else []:
            part = self._read(path)
            for key, vector in zip(*part, strict=True) if part else ():
                for row in rows_of.pop(key, ()):
                    vectors[row], found[row] = vector, True
            if not rows_of:
                break
        return vectors, found

    def keep(self, keys: Sequence[bytes], vectors: FloatArray) -> None:
        """Write one file; a folder that cannot be written costs a warning, not the work."""
        content = save(
            {
                "keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _HASH_BYTES).copy(),
                "vectors": np.ascontiguousarray(vectors, np.float32),
            }
        )
        target = self.folder / f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        part = self.folder / f".{target.name}.{os.getpid()}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(target)
        except OSError as error:
            said = f"{self.folder}: sentence vectors cannot be kept here ({error.strerror}); set TEXTREC_CACHE"
            warnings.warn(said, TextrecWarning, stacklevel=2)
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _read(self, path: Path) -> tuple[list[bytes], FloatArray] | None:
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest()[:32] != path.stem:
                raise ValueError("its hash differs")
            arrays = load(content)
            keys, vectors = arrays["keys"], arrays["vectors"]
            if vectors.shape != (len(keys), self.dim):
                raise ValueError(f"its vectors have the shape {vectors.shape}")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            said = f"{path}: damaged cache file, left out and computed again ({error}); it may be deleted"
            warnings.warn(said, TextrecWarning, stacklevel=2)
            return None
        return [key.tobytes() for key in keys], vectors
