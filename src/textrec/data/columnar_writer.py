"""Writing the folder of `data.columnar`, piece by piece: no more of the data need be in memory than one piece.

Shapes: `n` rows of a piece, `m` entries of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from textrec.data.columnar import MANIFEST, Sizes, is_columnar, manifest_text
from textrec.dataset import Dataset
from textrec.errors import ArgumentError
from textrec.folders import staged_folder

__all__ = ["ColumnarWriter", "GrowingArray", "GrowingRows", "write_columnar", "writing_columnar"]

ONES_AT_ONCE = 1 << 22


class GrowingArray:
    """A `.npy` file of one dimension that grows at its end; the header is written last, when its length is known.

    Args:
        path: the file.
        dtype: of the numbers.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.dtype, self.length = np.dtype(dtype), 0
        self._file = path.open("w+b")
        self._write_header()

    def append(self, numbers: npt.NDArray[Any]) -> None:
        """Add numbers [m] at the end."""
        np.ascontiguousarray(numbers, self.dtype).tofile(self._file)
        self.length += len(numbers)

    def close(self) -> None:
        """The file is whole after this."""
        if not self._file.closed:
            self._file.seek(0)
            self._write_header()
            self._file.close()

    def _write_header(self) -> None:
        # NumPy leaves room in the header for the first axis to grow, so that its size stays the same.
        parts = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._file, parts)


class GrowingRows:
    """Rows of numbers, CSR without values: where each row begins, and the numbers of all rows.

    Args:
        starts: the file of the beginnings.
        numbers: the file of the numbers.
        starts_dtype: of the beginnings.
        dtype: of the numbers.
    """

    def __init__(self, starts: Path, numbers: Path, starts_dtype: npt.DTypeLike, dtype: npt.DTypeLike) -> None:
        self._starts, self._numbers = GrowingArray(starts, starts_dtype), GrowingArray(numbers, dtype)
        self._starts.append(np.zeros(1, np.int64))

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return self._starts.length - 1

    @property
    def n_entries(self) -> int:
        """Numbers so far."""
        return self._numbers.length

    def append(self, lengths: npt.NDArray[Any], numbers: npt.NDArray[Any]) -> None:
        """Add rows.

        Args:
            lengths: numbers of each row [n].
            numbers: those of all these rows [m], one row after the other.
        """
        ends = self.n_entries + np.cumsum(lengths, dtype=np.int64)
        if len(ends) and ends[-1] - self.n_entries != len(numbers):
            raise ArgumentError(
                f"lengths add up to {ends[-1] - self.n_entries:,} and there are {len(numbers):,} numbers"
            )
        self._starts.append(ends)
        self._numbers.append(numbers)

    def close(self) -> None:
        """The files are whole after this."""
        self._starts.close()
        self._numbers.close()


class ColumnarWriter:
    """The files of one folder.

    Args:
        folder: an empty one.
        most_entries: no fewer than the likes, and than the tags of all items together; it decides the width of row
            numbers (scipy wants one width for a whole matrix).
        timestamps: whether likes have times.
        counts: whether texts are bags of words.
    """

    def __init__(self, folder: Path, *, most_entries: int = 0, timestamps: bool = False, counts: bool = False) -> None:
        self.folder = folder
        index = np.int32 if most_entries < 2**31 else np.int64
        self.likes = GrowingRows(folder / "likes.indptr.npy", folder / "likes.indices.npy", index, index)
        self.tags = GrowingRows(folder / "item_tags.indptr.npy", folder / "item_tags.indices.npy", index, index)
        texts = folder / "documents.starts.npy", folder / "documents.ids.npy"
        self.documents = GrowingRows(*texts, np.int64, np.int32)
        self.timestamps = GrowingArray(folder / "timestamps.npy", np.int64) if timestamps else None
        self.counts = GrowingArray(folder / "documents.counts.npy", np.float32) if counts else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        for part in (self.likes, self.tags, self.documents, self.timestamps, self.counts):
            if part is not None:
                part.close()

    def finish(
        self,
        name: str,
        *,
        users: pl.LazyFrame,
        items: pl.LazyFrame,
        words: Sequence[str] | pl.Series,
        tags: Sequence[str] | pl.Series,
    ) -> Sizes:
        """Write ids, texts and the manifest.

        Args:
            name: of the data set.
            users: `user_id`, one row a row of likes; written as it streams.
            items: `item_id`, `title`, `text`, one row a row of documents and tags; the same.
            words: that token ids point into.
            tags: the tags' names.
        """
        self.__exit__()
        users.select(pl.col("user_id").cast(pl.String)).sink_parquet(self.folder / "users.parquet")
        texts = [pl.col(column).cast(pl.String) for column in ("item_id", "title", "text")]
        items.select(texts).sink_parquet(self.folder / "items.parquet")
        for column, values in (("word", words), ("tag", tags)):
            pl.Series(column, values, dtype=pl.String).to_frame().write_parquet(self.folder / f"{column}s.parquet")
        entries = max(self.likes.n_entries, self.tags.n_entries)
        ones, some = GrowingArray(self.folder / "ones.npy", np.float32), np.ones(ONES_AT_ONCE, np.float32)
        for start in range(0, entries, ONES_AT_ONCE):
            ones.append(some[: entries - start])
        ones.close()
        sizes = Sizes(
            users=self.likes.n_rows,
            items=self.documents.n_rows,
            likes=self.likes.n_entries,
            tags=len(tags),
            item_tags=self.tags.n_entries,
            words=len(words),
            tokens=self.documents.n_entries,
            ordered=self.counts is None,
            timestamps=self.timestamps is not None,
        )
        (self.folder / MANIFEST).write_text(manifest_text(name, sizes, self.folder), encoding="utf-8")
        return sizes


@contextmanager
def writing_columnar(target: Path, **options: Any) -> Iterator[ColumnarWriter]:
    """A writer whose folder takes the name `target` once the block has ended without an error.

    Args:
        target: an older columnar folder there is replaced.
        options: of `ColumnarWriter`.

    Raises:
        ArgumentError: the target holds something else.
    """
    place = target.absolute()
    if place.exists() and not (place.is_dir() and (is_columnar(place) or not any(place.iterdir()))):
        raise ArgumentError(f"{target}: exists and is not columnar data; choose another place for --out")
    with staged_folder(place) as folder, ColumnarWriter(folder, **options) as writer:
        yield writer


def write_columnar(dataset: Dataset, target: Path) -> Sizes:
    """Write a data set as a folder of columns.

    Raises:
        ArgumentError: the target holds something else.
        OSError: writing failed; what was there before is unchanged.
    """
    likes, items = dataset.likes, dataset.items
    documents, times = items.documents, dataset.timestamps
    entries = max(dataset.n_likes, int(items.tags.nnz))
    options = {"timestamps": times is not None, "counts": documents.counts is not None}
    with writing_columnar(target, most_entries=entries, **options) as writer:
        writer.likes.append(np.diff(likes.indptr), likes.indices)
        writer.tags.append(np.diff(items.tags.indptr), items.tags.indices)
        writer.documents.append(np.diff(documents.starts), documents.ids)
        if writer.timestamps is not None:
            writer.timestamps.append(times.data)
        if writer.counts is not None and documents.counts is not None:
            writer.counts.append(documents.counts)
        users = dataset.users.values.alias("user_id").to_frame()
        columns = {"item_id": items.ids.values, "title": items.titles, "text": items.texts}
        texts = pl.DataFrame(columns)
        words, tags = list(documents.words), items.tag_names.values
        return writer.finish(dataset.name, users=users.lazy(), items=texts.lazy(), words=words, tags=tags)
