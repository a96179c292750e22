"""One measurement of `scale.py`, in a process of its own so that its peak of memory is its own. Prints JSON.

    python benchmarks/scale_parts.py train LIKES --work FOLDER [--threads N]
    python benchmarks/scale_parts.py gru TOKENS --work FOLDER [--threads N]
    python benchmarks/scale_parts.py recommend ITEMS --work FOLDER [--threads N] [--sample USERS]

Seconds are given twice: of the clock and of the processor. On a busy machine only the second means anything.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import torch

from simulate import Library, simulate
from textrec.cli.output import write_frames
from textrec.data.source import read
from textrec.dataset import Dataset
from textrec.learn import exact
from textrec.learn.alternation import Alternation
from textrec.learn.exact import ExactTrainee
from textrec.model_folder import load, save
from textrec.models import encoded, neural
from textrec.registry import create
from textrec.retrieval.everyone import recommend_everyone

LIKES_A_ROW, TOKENS_AN_ITEM, TOP = 50, 20, 50
EMBED = {"factors": 64, "sweeps": 1, "refit_epochs": 0, "tag_epochs": 1}
GRU = {"factors": 64, "embedding_dim": 64, "hidden_dim": 128, "sweeps": 1, "refit_epochs": 0, "batch_size": 128}


@dataclass
class Clock:
    """Seconds and peak memory of named parts; a part that runs several times keeps each."""

    runs: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    peak_mb: float = 0.0  # of everything so far

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self.peak_mb = max(self.peak_mb, peak_mb())
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        wall, processor = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            took = {"seconds": time.perf_counter() - wall, "processor": time.process_time() - processor}
            self.runs.setdefault(name, []).append({**took, "peak_mb": peak_mb()})
            self.peak_mb = max(self.peak_mb, peak_mb())

    def watch(self, stack: ExitStack, owner: Any, function: str, name: str) -> None:
        """Time each call of a function while the stack is open."""
        called: Callable[..., Any] = getattr(owner, function)

        def timed(*arguments: Any, **named: Any) -> Any:
            with self.part(name):
                return called(*arguments, **named)

        stack.enter_context(patch.object(owner, function, timed))

    def median(self, name: str) -> dict[str, float]:
        """Of the runs of a part; the peak is the highest."""
        runs = self.runs[name]
        medians = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "processor")}
        return {**medians, "peak_mb": max(run["peak_mb"] for run in runs), "runs": len(runs)}


def peak_mb() -> float:
    """Peak of resident memory since the last reset; mapped files count as far as they are resident."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def simulated(library: Library, work: Path) -> Path:
    """The folder of this data, made when it is not there."""
    name = f"{library.users}-{library.items}-{library.likes}-{library.tokens}"
    folder = work / "data" / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        simulate(library, folder)
    return folder


def fitted(name: str, config: dict[str, Any], data: Dataset) -> tuple[Any, Clock, dict[str, Any]]:
    """A model trained by its own `fit`, the parts of which are timed."""
    clock, model = Clock(), create(name, config, device="cpu")
    steps: list[dict[str, float]] = []
    started: list[tuple[float, float]] = []

    def monitor(event: Any) -> None:
        now = time.perf_counter(), time.process_time()
        if event["event"] == "step" and event["done"] == event["total"]:
            seconds, processor = (b - a for a, b in zip(started.pop(), now, strict=True))
            steps.append({"seconds": seconds, "processor": processor, "peak_mb": peak_mb()})

    begin = ExactTrainee.begin_epoch

    def begin_epoch(trainee: ExactTrainee, epoch: int, epochs: int) -> None:
        begin(trainee, epoch, epochs)
        started.append((time.perf_counter(), time.process_time()))

    with ExitStack() as stack:
        stack.enter_context(patch.object(ExactTrainee, "begin_epoch", begin_epoch))
        clock.watch(stack, Alternation, "solve_users", "solve")
        clock.watch(stack, encoded, "solve_around", "offsets")
        for module in (neural, encoded, exact):
            clock.watch(stack, module, "encode_documents", "encode")
        with clock.part("fit"):
            model.fit(data, monitor=monitor)
    clock.runs["step"] = steps
    peak = max(clock.peak_mb, max(step["peak_mb"] for step in steps))
    parts = {part: clock.median(part) for part in ("encode", "step", "solve", "offsets")}
    epoch = {key: sum(parts[part][key] for part in ("encode", "step", "solve")) for key in ("seconds", "processor")}
    return model, clock, {"parts": parts, "epoch": epoch, "peak_mb": peak}


def measure_train(likes: int, work: Path) -> dict[str, Any]:
    """Embed-MTL, users = items = likes / 50; the model is kept for `recommend`."""
    rows = likes // LIKES_A_ROW
    folder = simulated(Library(rows, rows, likes, TOKENS_AN_ITEM * rows), work)
    clock = Clock()
    with clock.part("open"):
        data = read(folder)
    epochs = max(1, min(5, 2_000_000 // likes))
    model, _, found = fitted("embed-mtl", {**EMBED, "epochs": epochs}, data)
    save(model, work / "models" / str(likes))
    sizes = {"likes": data.n_likes, "users": data.n_users, "items": data.n_items}
    sizes |= {"tokens": len(data.items.documents.ids), "words": len(model.vocabulary)}
    return {**sizes, "open": clock.median("open"), **found}


def measure_gru(tokens: int, work: Path) -> dict[str, Any]:
    """The GRU, 10 likes an item."""
    items = tokens // TOKENS_AN_ITEM
    folder = simulated(Library(items, items, 10 * items, tokens), work)
    data = read(folder)
    _, _, found = fitted("gru", {**GRU, "epochs": max(1, min(3, 300_000 // tokens))}, data)
    real = len(data.items.documents.ids)
    step = found["parts"]["step"]
    return {"tokens": real, "items": items, "microseconds_a_token": 1e6 * step["processor"] / real, **found}


def measure_recommend(items: int, work: Path, sample: int) -> dict[str, Any]:
    """The best 50 for all users of the model that `train` left, approximately; exactly for a sample of them."""
    clock = Clock()
    with clock.part("load"):
        model = load(work / "models" / str(LIKES_A_ROW * items), device="cpu")
    out, n_users = work / f"recommended-{items}.parquet", model.data.n_users
    with clock.part("index"):
        everyone = recommend_everyone(model, k=TOP, search="approximate")
    schema = {"user_id": pl.String, "rank": pl.Int32, "item_id": pl.String, "score": pl.Float32}
    with clock.part("approximate"):
        write_frames(out, schema, everyone.frames)
    recall, approximate = everyone.recall, everyone.approximate
    del everyone
    gc.collect()
    some = np.sort(np.random.default_rng(1).permutation(n_users)[:sample])
    with clock.part("exact"):
        exact = pl.concat(list(recommend_everyone(model, k=TOP, search="exact", users=some).frames))
    pairs = ["user_id", "item_id"]
    found = pl.scan_parquet(out).select(pairs).join(exact.lazy().select(pairs), on=pairs, how="semi")
    parts = {part: clock.median(part) for part in ("load", "index", "approximate", "exact")}
    return {
        "users": n_users,
        "items": model.data.n_items,
        "k": TOP,
        "approximate": approximate,
        "recall_at_50": found.select(pl.len()).collect(engine="streaming").item() / len(exact),
        "recall_at_50_sample": recall,
        "users_a_second": n_users / parts["approximate"]["seconds"],
        "users_a_processor_second": n_users / parts["approximate"]["processor"],
        "exact_users": len(some),
        "exact_users_a_second": len(some) / parts["exact"]["seconds"],
        "exact_users_a_processor_second": len(some) / parts["exact"]["processor"],
        "row_groups": row_groups(out),
        "file_mb": out.stat().st_size / 1e6,
        "peak_mb": clock.peak_mb,
        "parts": parts,
    }


def row_groups(path: Path) -> int:
    """How many row groups a Parquet file has."""
    from pyarrow.parquet import ParquetFile

    return int(ParquetFile(path).num_row_groups)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "gru", "recommend"])
    parser.add_argument("size", type=int)
    parser.add_argument("--work", type=Path, required=True, help="where data and models are kept")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sample", type=int, default=100_000, help="users who are ranked exactly as well")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    before = os.getloadavg()[0]
    if arguments.what == "recommend":
        found = measure_recommend(arguments.size, arguments.work, arguments.sample)
    else:
        found = {"train": measure_train, "gru": measure_gru}[arguments.what](arguments.size, arguments.work)
    busy = [round(load, 1) for load in (before, os.getloadavg()[0])]
    print(json.dumps({**found, "threads": arguments.threads, "load": busy}))


if __name__ == "__main__":
    main()
