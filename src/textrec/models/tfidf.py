"""TF-IDF rows of texts: fitted on training texts, applied to any.

Shapes: `n` texts, `F` n-grams.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer

from textrec.dataset import Csr
from textrec.errors import DataError
from textrec.models.ngrams import NgramIndex, ngram_counts
from textrec.text import Documents, Vocabulary

__all__ = ["TfidfRows", "csr_arrays", "csr_from"]


class TfidfRows:
    """Rows of length 1 over the n-grams of the training texts, smooth IDF.

    Args:
        vocabulary: the words of the training texts.
        index: the n-grams.
        weights: the fitted IDF.
    """

    def __init__(self, vocabulary: Vocabulary, index: NgramIndex, weights: TfidfTransformer) -> None:
        self.vocabulary, self.index, self.weights = vocabulary, index, weights

    @classmethod
    def fit(cls, documents: Documents, *, ngrams: int, min_items: int, sublinear: bool) -> tuple[TfidfRows, Csr]:
        """Learn the n-grams and their IDF; also the rows of the documents, float32 CSR [n, F].

        Args:
            documents: the training texts.
            ngrams: longest n-gram; a bag of words has single words only.
            min_items: an n-gram in fewer texts is left out.
            sublinear: 1 + log(count) in place of the count.
        """
        vocabulary = Vocabulary.build(documents, min_count=1)
        known = vocabulary.recode(documents)
        longest = ngrams if known.ordered else 1
        index, counts = NgramIndex.build(known, longest=longest, min_items=min_items)
        if counts.shape[1] == 0:
            raise DataError(
                f"no word is in {min_items} of the {len(documents):,} training texts, so they cannot be compared by "
                "TF-IDF; lower min_items, or check that the items have texts"
            )
        weights = TfidfTransformer(sublinear_tf=sublinear).fit(counts)
        return cls(vocabulary, index, weights), _float32(weights.transform(counts))

    def rows(self, documents: Documents) -> Csr:
        """Rows of any texts, float32 CSR [n, F]; unknown n-grams do not count."""
        return _float32(self.weights.transform(ngram_counts(self.vocabulary.recode(documents), self.index)))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For the model folder, which keeps the vocabulary itself."""
        return {"ngrams": self.index.keys, "idf": self.weights.idf_}

    @classmethod
    def restore(cls, vocabulary: Vocabulary, arrays: dict[str, npt.NDArray[Any]], *, sublinear: bool) -> TfidfRows:
        """The inverse of `arrays`."""
        weights = TfidfTransformer(sublinear_tf=sublinear)
        weights.idf_ = arrays["idf"]
        return cls(vocabulary, NgramIndex(arrays["ngrams"], len(vocabulary)), weights)


def csr_arrays(name: str, matrix: Csr) -> dict[str, npt.NDArray[Any]]:
    """The parts of a CSR matrix, for the model folder."""
    return {f"{name}.{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}


def csr_from(name: str, arrays: dict[str, npt.NDArray[Any]], n_columns: int) -> Csr:
    """The inverse of `csr_arrays`."""
    starts = arrays[f"{name}.indptr"]
    parts = (arrays[f"{name}.data"], arrays[f"{name}.indices"], starts)
    return sp.csr_array(parts, shape=(len(starts) - 1, n_columns))


def _float32(matrix: Any) -> Csr:
    return sp.csr_array(matrix).astype(np.float32)
