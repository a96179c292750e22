"""Memory that was freed goes back to the system, where the C library can be told to (glibc).

Batches of texts have ever new sizes. glibc keeps freed blocks of up to 32 MB for later; few of them fit what comes
next, and after some epochs on abstracts 1.1 GB lay idle beside 0.5 GB in use.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

__all__ = ["free_large_blocks_at_once", "give_back_free_memory"]

M_MMAP_THRESHOLD = -3  # malloc.h
LARGE = 8 << 20
"""Bytes from which on a block is its own mapping, which the system gets back when it is freed: cheap beside what a
tensor of that size is for."""


def free_large_blocks_at_once() -> None:
    """From now on in this process, unless its environment sets the threshold itself."""
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        with contextlib.suppress(OSError, AttributeError):  # another C library has no such call
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


def give_back_free_memory() -> None:
    """What is free now."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
