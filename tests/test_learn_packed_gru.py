"""The GRU layer over packed texts: torch's own numbers, and few shapes of products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils._python_dispatch import TorchDispatchMode

from textrec.learn.packed_gru import Packing, run_layer


def packed(lengths: list[int]) -> Packing:
    sizes = torch.tensor(lengths)
    return Packing.of(sizes, torch.repeat_interleave(torch.arange(len(lengths)), sizes))


@pytest.mark.parametrize("lengths", [[1], [3, 0, 5, 1], [20] * 17 + [2], list(range(40)), [1] * 70])
def test_states_and_gradients_are_those_of_torch(lengths: list[int]) -> None:
    torch.manual_seed(0)
    layer, packing = nn.GRU(6, 5, bidirectional=True), packed(lengths)
    inputs = torch.randn(sum(lengths), 6, requires_grad=True)
    weights = torch.randn(sum(lengths), 10)

    def run(states: torch.Tensor) -> list[torch.Tensor]:
        found = torch.autograd.grad((states * weights).sum(), [inputs, *layer.parameters()])
        return [states, *found]

    ours = run(run_layer(layer, inputs, packing))
    theirs = run(layer(PackedSequence(inputs, torch.tensor(packing.sizes)))[0].data)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


class Shapes(TorchDispatchMode):
    """Notes the shapes of all matrix products."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[tuple[tuple[int, ...], ...]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "mm" in str(func):
            self.seen.add(tuple(tuple(each.shape) for each in args if isinstance(each, torch.Tensor)))
        return func(*args, **(kwargs or {}))


def test_texts_of_all_lengths_bring_few_shapes_of_products() -> None:
    """Torch compiles and keeps a kernel for each: epochs on titles took 2 GB where 0.9 do."""
    rng, layer = np.random.default_rng(0), nn.GRU(4, 3)
    with Shapes() as shapes:
        for _ in range(60):
            packing = packed(rng.integers(1, 12, size=rng.integers(1, 33)).tolist())
            run_layer(layer, torch.randn(len(packing.text), 4), packing).sum().backward()  # type: ignore[no-untyped-call]
    # at most 32 texts: two heights of a step, there and back; at most 352 tokens: six lengths of five products
    assert len(shapes.seen) <= 2 * 2 + 6 * 8
