"""NumPy arrays to torch tensors, and where tensors live."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from textrec.errors import ArgumentError

__all__ = ["resolve_device", "to_tensor"]


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
