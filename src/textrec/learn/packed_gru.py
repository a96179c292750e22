"""Texts packed by time step, and one GRU layer over them (paper eq. 6 to 8), fast on a CPU.

`torch.nn.GRU` gives the same numbers. On a CPU its backward pass adds up the weight gradients step by step, in products
as thin as the batch; here a step has its one recurrent product, and each weight gradient is one product over all
tokens. That is three to five times faster (`benchmarks/encoder_speed.py`). On a GPU torch's own layer runs.

Shapes: `B` texts, `N` tokens of all texts, `b` texts that reach a step, `D` inputs, `H` hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

__all__ = ["FastDropout", "Packing", "run_layer"]


class FastDropout(nn.Module):
    """Dropout with the probability rounded to 1/65,536, drawn 16 bits at a time: torch's spends a fifth of a step.

    Args:
        probability: of setting a number to zero while training; the others are scaled so that the mean stays.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs, of any shape, with some set to zero while training."""
        dropped = round(self.probability * (1 << 16))
        if not self.training or dropped == 0:
            return inputs
        words = torch.empty((inputs.numel() + 3) // 4, dtype=torch.int64, device=inputs.device)
        bits = words.random_(-(1 << 63), None).view(torch.int16)[: inputs.numel()].view(inputs.shape)
        kept = (bits >= dropped - (1 << 15)).to(inputs.dtype)
        return inputs * kept.mul_((1 << 16) / ((1 << 16) - dropped))


@dataclass(frozen=True, eq=False)
class Packing:
    """Tokens by time step and, within a step, by falling length of their text: no padding anywhere."""

    order: Tensor  # int64 [N] where each packed token stands in the batch
    sizes: list[int]  # texts that reach each step, falling
    text: Tensor  # int64 [N] text of each packed token
    step: Tensor  # int64 [N] its step, from 0
    reverse: Tensor  # int64 [N] the packed token at the mirrored step of the same text; its own inverse

    @classmethod
    def of(cls, lengths: Tensor, text: Tensor) -> Packing:
        """Pack texts of these lengths [B]; `text` [N] is the text of each token as the batch has them."""
        device = lengths.device
        step = torch.arange(len(text), device=device) - (lengths.cumsum(0) - lengths)[text]
        rank = torch.empty_like(lengths)
        rank[torch.argsort(lengths, descending=True, stable=True)] = torch.arange(len(lengths), device=device)
        sizes = torch.bincount(step)
        first = sizes.cumsum(0) - sizes
        place = first[step] + rank[text]
        order = torch.empty_like(place)
        order[place] = torch.arange(len(text), device=device)
        packed_text, packed_step = text[order], step[order]
        reverse = first[lengths[packed_text] - 1 - packed_step] + rank[packed_text]
        return cls(order, sizes.tolist(), packed_text, packed_step, reverse)


def run_layer(layer: nn.GRU, inputs: Tensor, packing: Packing) -> Tensor:
    """States of a GRU of one layer, of one or two directions, [N, H] or [N, 2·H], for packed inputs [N, D].

    Inside `torch.autocast` everything is computed and kept in its lower precision, as torch's own layer does there.
    """
    if inputs.device.type != "cpu":
        states: Tensor = layer(PackedSequence(inputs, torch.tensor(packing.sizes)))[0].data
        return states
    low = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    with torch.autocast("cpu", enabled=False):
        inputs = inputs.to(low)
        forward = _PackedGru.apply(inputs, *_weights(layer, "", low), packing.sizes)  # type: ignore[no-untyped-call]
        if not layer.bidirectional:
            return forward  # type: ignore[no-any-return]
        mirrored = inputs[packing.reverse]
        backward = _PackedGru.apply(mirrored, *_weights(layer, "_reverse", low), packing.sizes)  # type: ignore[no-untyped-call]
        return torch.cat([forward, backward[packing.reverse]], 1)


def _weights(layer: nn.GRU, suffix: str, low: torch.dtype) -> list[Tensor]:
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return [getattr(layer, name + suffix).to(low) for name in names]


STEP_ROWS, TOKEN_ROWS = 16, 64
"""Products have multiples of these many rows (or of a thirty-second of them, if that is more). In low precision torch
compiles a kernel for every shape and keeps the last 1,024, at up to a megabyte each; texts of all lengths would never
stop to bring new shapes."""


def _up_to(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _with_room(rows: Tensor) -> Tensor:
    """Zeros below rows [N, D], such that `STEP_ROWS` can be read from any of them."""
    multiple = max(TOKEN_ROWS, 1 << len(rows).bit_length() >> 5)
    roomy = rows.new_zeros(_up_to(len(rows) + STEP_ROWS, multiple), rows.shape[1])
    roomy[: len(rows)] = rows
    return roomy


class _PackedGru(torch.autograd.Function):
    """h_t = z_t h_{t−1} + (1 − z_t) n_t for packed inputs. The gates are `torch.nn.GRU`'s; its z is the paper's o.

    All that has a row a token has some more of them, which no step writes: products read them, and give what nobody
    reads, or zeros.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, sizes: list[int]
    ) -> Tensor:
        hidden, tokens = w_hh.shape[1], len(inputs)
        inputs = _with_room(inputs)
        bias = b_ih.clone()
        bias[: 2 * hidden] += b_hh[: 2 * hidden]  # r and z add both biases, n keeps its recurrent one apart
        gates = torch.addmm(bias, inputs, w_ih.T)  # becomes r, z, n in place
        states, recalled = inputs.new_zeros(len(inputs), hidden), inputs.new_empty(len(inputs), hidden)
        most = sizes[0] if sizes else 0
        before, product = inputs.new_zeros(most, hidden), inputs.new_empty(_up_to(most, STEP_ROWS), 3 * hidden)
        first = at = 0  # of the step before, and of this one
        for size in sizes:
            span = slice(at, at + size)
            both, new, to_new = gates[span, : 2 * hidden], gates[span, 2 * hidden :], recalled[span]
            if at:
                rows = _up_to(size, STEP_ROWS)
                recurrent = torch.mm(states[first : first + rows], w_hh.T, out=product[:rows])[:size]
                both.add_(recurrent[:, : 2 * hidden])
                torch.add(recurrent[:, 2 * hidden :], b_hh[2 * hidden :], out=to_new)
                before = states[first : first + size]
            else:  # nothing came before
                to_new.copy_(b_hh[2 * hidden :])
            both.sigmoid_()
            new.addcmul_(both[:, :hidden], to_new).tanh_()
            torch.lerp(new, before, both[:, hidden:], out=states[span])
            first, at = at, at + size
        ctx.save_for_backward(inputs, w_ih, w_hh, gates, recalled, states)
        ctx.sizes = sizes
        return states[:tokens]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        inputs, w_ih, w_hh, gates, recalled, states = ctx.saved_tensors
        sizes: list[int] = ctx.sizes
        hidden, tokens = w_hh.shape[1], len(gradients[0])
        gradient = _with_room(gradients[0])
        # towards W_hh h + b_hh: r, z, n side by side; the input's side differs in n, which r has not multiplied
        inner = torch.empty_like(gates)
        outer_new = torch.empty_like(states)
        inner[tokens:], outer_new[tokens:] = 0, 0
        earlier = torch.zeros_like(states)  # h of the step before
        pair = states.new_empty(sizes[0] if sizes else 0, 2 * hidden)
        end = tokens
        for number in range(len(sizes) - 1, -1, -1):
            size = sizes[number]
            span = slice(end - size, end)
            read = slice(span.start, span.start + _up_to(size, STEP_ROWS))
            reset, new = gates[span, :hidden], gates[span, 2 * hidden :]
            passed_on = gradient[read] * gates[read, hidden : 2 * hidden]
            kept = passed_on[:size]
            to_new = torch.ops.aten.tanh_backward.grad_input(gradient[span] - kept, new, grad_input=outer_new[span])
            first = span.start - sizes[number - 1] if number else 0
            to_both = pair[:size]
            torch.mul(to_new, recalled[span], out=to_both[:, :hidden])
            if number:
                earlier[span] = states[first : first + size]
            torch.mul(earlier[span] - new, gradient[span], out=to_both[:, hidden:])
            both = gates[span, : 2 * hidden]
            torch.ops.aten.sigmoid_backward.grad_input(to_both, both, grad_input=inner[span, : 2 * hidden])
            torch.mul(to_new, reset, out=inner[span, 2 * hidden :])
            if number:
                gradient[first : first + size] += passed_on.addmm_(inner[read], w_hh)[:size]
            end = span.start
        outer_both = inner[:, : 2 * hidden]
        to_inputs = None
        if ctx.needs_input_grad[0]:
            to_inputs = torch.addmm(outer_new @ w_ih[2 * hidden :], outer_both, w_ih[: 2 * hidden])[:tokens]
        to_w_ih = torch.cat([outer_both.T @ inputs, outer_new.T @ inputs])
        to_w_hh = inner.T @ earlier
        ones = inputs.new_ones(1, len(inputs))  # a product adds rows up faster than a sum does in low precision
        to_b_hh = (ones @ inner)[0]
        to_b_ih = torch.cat([to_b_hh[: 2 * hidden], (ones @ outer_new)[0]])
        return to_inputs, to_w_ih, to_w_hh, to_b_ih, to_b_hh, None
