"""Freed memory goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, sys
from textrec.learn.memory import free_large_blocks_at_once
if sys.argv[1] == "told":
    free_large_blocks_at_once()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
blocks = []
for size in [*range(4 << 20, 30 << 20, 1 << 20), *range(4 << 20, 30 << 20, 1 << 20)]:
    large = libc.malloc(size)
    ctypes.memset(large, 1, size)
    blocks.append(libc.malloc(64))  # stays, on top of the large one
    libc.free(large)
with open("/proc/self/status") as file:
    print(next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmRSS")))
"""


def resident(told: str) -> int:
    command = [sys.executable, "-c", PROGRAM, told]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_freed_blocks_are_not_kept() -> None:
    assert resident("told") + 10 < resident("untold")
