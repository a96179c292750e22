"""A corpus: a text file with one text a line, plain or compressed, read as a stream."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from textrec.errors import DataError, Problem

__all__ = ["read_lines"]

TOLD_EVERY = 1000
"""Lines between two reports of progress."""


def read_lines(
    path: str | Path, *, encoding: str = "utf-8", progress: Callable[[int, int], None] | None = None
) -> Iterator[str]:
    """The lines of a text file, `.gz` and `.xz` too, without their ends; memory does not grow with the file.

    Args:
        path: the file.
        encoding: of its text; a byte order mark is accepted.
        progress: told how many bytes of the file have been read, and its size.

    Raises:
        DataError: the file is missing, unreadable, not whole, or holds a byte that does not belong to the encoding
            (names the line).
    """
    path = Path(path)
    codec = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    number, line = 0, b""
    try:
        with ExitStack() as stack:
            packed = stack.enter_context(path.open("rb"))
            size = path.stat().st_size
            for number, line in enumerate(_unpacked(packed, path, stack), start=1):
                if progress is not None and number % TOLD_EVERY == 0:
                    progress(packed.tell(), size)
                yield line.decode(codec).rstrip("\r\n")
                codec = encoding if number == 1 else codec
    except FileNotFoundError:
        raise DataError(Problem("file not found; check the path", str(path))) from None
    except LookupError:
        raise DataError(f"unknown encoding {encoding!r}; use one such as utf-8, latin-1 or cp1252") from None
    except UnicodeDecodeError as error:
        fault = f"byte 0x{line[error.start]:02x} is not valid {encoding}; save the file as UTF-8 or pass its encoding"
        raise DataError(Problem(fault, str(path), number)) from None
    except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        fault = f"not a whole {path.suffix} file ({error}); compress or copy it again"
        raise DataError(Problem(fault, str(path))) from error
    except OSError as error:
        raise DataError(Problem(f"cannot read the file: {error.strerror or error}", str(path))) from error


def _unpacked(packed: IO[bytes], path: Path, stack: ExitStack) -> Any:
    if path.suffix == ".gz":
        return stack.enter_context(gzip.GzipFile(fileobj=packed))
    if path.suffix == ".xz":
        return stack.enter_context(lzma.LZMAFile(packed))
    return packed
