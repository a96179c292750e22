"""NumPy arrays to torch tensors, and where tensors live."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from textrec.errors import ArgumentError

__all__ = ["Precision", "low_precision", "resolve_device", "resolve_precision", "to_tensor"]

Precision = Literal["auto", "bf16", "fp32"]
"""What the products of a text encoder are computed in; `auto` is bf16 where the processor has instructions for it."""


def to_tensor(array: npt.NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
    """The array as a tensor on `device`, any shape and dtype that torch knows.

    On the CPU a writable array shares its memory with the tensor. A read-only one (frozen, memory-mapped for reading)
    is copied: torch cannot protect it from in-place operations, and warns. Of a large file take the rows first.
    """
    on_cpu = np.asarray(array, order="C")  # torch takes no negative strides
    if not on_cpu.flags.writeable:
        on_cpu = on_cpu.copy()
    return torch.from_numpy(on_cpu).to(device)


def resolve_device(name: str) -> torch.device:
    """`auto` is cuda when there is one and the CPU otherwise; anything else is torch's own name.

    Raises:
        ArgumentError: no such device, or cuda where there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ArgumentError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ArgumentError(f"device {name!r} is not available: torch sees no GPU; use --device cpu")
    return device


def resolve_precision(name: Precision, device: torch.device) -> torch.dtype:
    """bfloat16 or float32, asked of the processor at run time when `name` is `auto`."""
    low = name == "bf16" or (name == "auto" and _has_bf16(device))
    if low and device.type == "cpu":
        # oneDNN keeps what it prepared for each shape of a product; batches of texts have ever new shapes, and a
        # thousand of them take a gigabyte for nothing. It reads this once, at its first product.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
    return torch.bfloat16 if low else torch.float32


def low_precision(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Autocast to `dtype`; nothing happens when it is float32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.10 cannot be asked
        return False
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
