"""Training throughput of the GRU encoder beside the dense product of the same machine and precision.

    python benchmarks/encoder_speed.py [--threads N ...] [--repeats 9]

A step (forward, backward, Adam) on batches of real titles, in floating-point operations a second of the GRU's products,
against the product [B·T, 400] × [400, 1200], and against the same encoder on `torch.nn.GRU`. The three take turns; the
median counts. It refuses to report while other work keeps the processor busy. Data are read from $TEXTREC_DATA (default
../shared/data). Writes benchmarks/results/encoder_speed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from textrec.data.source import read
from textrec.learn import encoders
from textrec.learn.batches import length_buckets
from textrec.learn.encoders import Gru, TokenBatch
from textrec.learn.packed_gru import Packing, run_layer
from textrec.learn.tensors import low_precision
from textrec.study.evaluation import machine, versions
from textrec.text import Documents, Vocabulary

DATA = Path(os.environ.get("TEXTREC_DATA") or Path(__file__).parents[2] / "shared" / "data") / "citeulike-a-titles"
RESULT = Path(__file__).parent / "results" / "encoder_speed.json"
WORDS, HIDDEN, FACTORS = 200, 400, 200
BUSY = 0.25
"""Processors that other work may keep busy, at most."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores}), help="each is measured")
    parser.add_argument("--repeats", type=int, default=9, help="turns, at least 7")
    parser.add_argument("--batch", type=int, default=512, help="texts a step")
    options = parser.parse_args()
    check_idle()
    items = read(DATA).items
    documents = Vocabulary.build(items.documents).recode(items.documents)
    found = {}
    for threads in options.threads:
        torch.set_num_threads(threads)
        found[str(threads)] = {name: measure(documents, dtype, options) for name, dtype in PRECISIONS.items()}
    check_idle()
    result = {
        "by_threads": found,
        "batch": options.batch,
        "machine": machine(),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=1), encoding="utf-8")
    for threads, rows in found.items():
        for name, row in rows.items():
            shown = {key: round(value, 3) for key, value in row.items() if isinstance(value, float)}
            print(f"{threads} thread(s), {name}: {shown}")


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def check_idle() -> None:
    """Stop when other processes use the processor."""
    busy = busy_processors(2.0)
    if busy > BUSY:
        raise SystemExit(
            f"other work keeps {busy:.2f} processors busy; a figure made now would be wrong. Try again later"
        )


def busy_processors(seconds: float) -> float:
    def spent() -> int:
        user, nice, system, *_ = (int(part) for part in Path("/proc/stat").read_text().split("\n")[0].split()[1:])
        return user + nice + system

    before = spent()
    time.sleep(seconds)
    return (spent() - before) / os.sysconf("SC_CLK_TCK") / seconds


def measure(documents: Documents, dtype: torch.dtype, options: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    lengths = np.diff(documents.starts)
    batches = length_buckets(rng.permutation(len(documents)), lengths, options.batch, rng)
    dense_left = torch.randn(options.batch * round(lengths.mean()), HIDDEN).to(dtype)
    dense_right = torch.randn(HIDDEN, 3 * HIDDEN).to(dtype)
    trainers = {"ours": trainer(documents, dtype, run_layer), "torch.nn.GRU": trainer(documents, dtype, torch_layer)}
    rates: dict[str, list[float]] = {"dense": [], "ours": [], "torch.nn.GRU": []}
    for turn in range(options.repeats + 1):
        for name, step in trainers.items():
            part = batches[3 * turn : 3 * turn + 3]
            started = time.perf_counter()
            tokens = sum(step(rows) for rows in part)
            rates[name].append(tokens * operations_a_token() / (time.perf_counter() - started))
        started = time.perf_counter()
        for _ in range(20):
            dense_left @ dense_right
        rates["dense"].append(20 * 2 * dense_left.numel() * 3 * HIDDEN / (time.perf_counter() - started))
    medians = {name: statistics.median(values[1:]) / 1e9 for name, values in rates.items()}
    padded = sum(int(lengths[rows].max()) * len(rows) for rows in batches)
    return {
        "gflops_dense": medians["dense"],
        "gflops_step": medians["ours"],
        "gflops_step_torch": medians["torch.nn.GRU"],
        "ratio": medians["ours"] / medians["dense"],
        "faster_than_torch": medians["ours"] / medians["torch.nn.GRU"],
        "tokens_per_second": 1e9 * medians["ours"] / operations_a_token(),
        "padding_computed": 0.0,  # texts are packed
        "padding_if_padded": 1 - int(lengths.sum()) / padded,
        "all_gflops": {name: [round(value / 1e9, 1) for value in values] for name, values in rates.items()},
    }


def operations_a_token() -> int:
    """Multiplications and additions of the layers' products, forward and twice that backward."""
    first = 2 * 3 * HIDDEN * (WORDS + HIDDEN)
    second = 3 * FACTORS * (2 * HIDDEN + FACTORS)
    return 3 * 2 * (first + second)


def trainer(
    documents: Documents, dtype: torch.dtype, layer: Callable[[nn.GRU, Tensor, Packing], Tensor]
) -> Callable[[Any], int]:
    torch.manual_seed(0)
    encoder = Gru(len(documents.words), WORDS, HIDDEN, FACTORS).train()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3, fused=True)

    def step(rows: Any) -> int:
        batch = TokenBatch.of(documents, rows)
        setattr(encoders, "run_layer", layer)  # noqa: B010
        with low_precision(torch.device("cpu"), dtype):
            vectors = encoder(batch)
        setattr(encoders, "run_layer", run_layer)  # noqa: B010
        optimizer.zero_grad(set_to_none=True)
        vectors.float().square().sum().backward()
        optimizer.step()
        return batch.n_tokens

    return step


def torch_layer(layer: nn.GRU, inputs: Tensor, packing: Packing) -> Tensor:
    states: Tensor = layer(PackedSequence(inputs, torch.tensor(packing.sizes)))[0].data
    return states


if __name__ == "__main__":
    main()
