"""Sentence vectors of a pre-trained transformer that stays as it is, computed once and kept on disk.

Many texts at a time are computed in bfloat16 where the processor has it; a few (`BULK`) in float32, without the cache,
so that one text alone and among others has one vector.

Shapes: `n` texts, `D` size of a vector.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from textrec.data.catalogue import cache_folder
from textrec.learn.model import Monitor
from textrec.learn.pieces import Pieces, WordPieces
from textrec.learn.pretrained import Pretrained, load_pretrained
from textrec.learn.tensors import Precision, resolve_device, resolve_precision, to_tensor
from textrec.learn.transformer import Transformer
from textrec.learn.vector_cache import VectorCache
from textrec.text import Documents

__all__ = ["BULK", "SentenceVectors"]

FloatArray = npt.NDArray[np.float32]

BULK = 512
"""From this many texts on, bfloat16 and the cache are used."""

KEPT_AT_ONCE = 4096
"""Texts a cache file: what a killed run has to compute again at most."""


class SentenceVectors:
    """A frozen reader of texts.

    Args:
        pretrained: the network.
        device: where it computes.
        precision: of many texts at a time.
    """

    def __init__(self, pretrained: Pretrained, *, device: str = "auto", precision: Precision = "auto") -> None:
        self.pretrained = pretrained
        self._pieces = WordPieces(pretrained.tokenizer)
        self._device = resolve_device(device)
        self._precision = resolve_precision(precision, self._device)
        self._encoder = Transformer(pretrained, None).to(self._device).eval()
        self._fingerprint = pretrained.fingerprint() if pretrained.backbone is not None else ""

    @classmethod
    def load(cls, name: str, *, device: str = "auto", precision: Precision = "auto") -> SentenceVectors:
        """By a folder or a name (`learn.pretrained.load_pretrained`)."""
        return cls(load_pretrained(name), device=device, precision=precision)

    @property
    def dim(self) -> int:
        """D."""
        return self.pretrained.dim

    def split(self, documents: Documents) -> Pieces:
        """Texts as the network's pieces."""
        return self._pieces.split(documents, self.pretrained.max_tokens)

    def vectors(self, documents: Documents, monitor: Monitor | None = None) -> FloatArray:
        """Vectors of texts [n, D]; an empty text has zeros.

        Args:
            documents: texts in word order.
            monitor: told `{"event": "sentence_vectors", "done": …, "total": …}` when there are many.
        """
        pieces = self.split(documents).documents
        if len(pieces) < BULK or not self._fingerprint:
            return np.asarray(self._encoder.pooled(pieces, precision=torch.float32).numpy())
        keys = _keys(pieces)
        cache = VectorCache(cache_folder() / "sentence-vectors" / self._name(), self.dim)
        found, known = cache.look_up(keys)
        missing = np.flatnonzero(~known)
        missing = missing[np.argsort(np.diff(pieces.starts)[missing], kind="stable")]
        for start in range(0, len(missing), KEPT_AT_ONCE):
            rows = missing[start : start + KEPT_AT_ONCE]
            found[rows] = self._computed(pieces.take(rows), monitor, start, len(missing))
            cache.keep([keys[row] for row in rows.tolist()], found[rows])
        return found

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The network with its weights, for the model folder."""
        states = {f"sentence.{name}": value.cpu().numpy() for name, value in self._encoder.state_dict().items()}
        return self.pretrained.arrays() | states

    @classmethod
    def restore(cls, arrays: Mapping[str, npt.NDArray[Any]], *, device: str, precision: Precision) -> SentenceVectors:
        """The inverse of `arrays`."""
        reader = cls(Pretrained.of_arrays(arrays), device=device, precision=precision)
        states = {
            name.removeprefix("sentence."): to_tensor(value, reader._device)
            for name, value in arrays.items()
            if name.startswith("sentence.")
        }
        reader._encoder.load_state_dict(states)
        return reader

    def _name(self) -> str:
        return f"{self._fingerprint[:32]}-{'bf16' if self._precision == torch.bfloat16 else 'fp32'}"

    def _computed(self, pieces: Documents, monitor: Monitor | None, before: int, total: int) -> FloatArray:
        def told(done: int, _: int) -> None:
            if monitor is not None:
                monitor({"event": "sentence_vectors", "done": before + done, "total": total})

        return np.asarray(self._encoder.pooled(pieces, precision=self._precision, told=told).numpy())


def _keys(pieces: Documents) -> list[bytes]:
    """A hash of the pieces of each text."""
    content, starts = pieces.ids.astype("<i4").view(np.uint8), (4 * pieces.starts).tolist()
    return [hashlib.sha256(content[start:end].tobytes()).digest()[:16] for start, end in itertools.pairwise(starts)]
