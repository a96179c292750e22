"""One ALS sweep (all users, all items) on CiteULike-a, K = 200: `textrec.learn.factors` against implicit's exact ALS.

    python benchmarks/solver.py [--repeats 7]

Each is timed with one thread and with one per core (implicit with its recommended single BLAS thread), in turn, so a
busy machine slows all of them; the ratio is between the best median of each. Every run starts from the same factors,
and the two results are compared before anything is timed. Writes benchmarks/results/solver.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from implicit.cpu import _als
from threadpoolctl import threadpool_limits

from textrec.dataset import binary_csr
from textrec.learn.factors import solve_factors

FACTORS, OBSERVED, UNOBSERVED, RIDGE_USERS, RIDGE_ITEMS = 200, 1.0, 0.01, 0.1, 1.0
RESULT = Path(__file__).parent / "results" / "solver.json"
DATA = Path(os.environ.get("TEXTREC_DATA") or Path(__file__).parents[2] / "shared" / "data")

Halves = tuple[float, float]
FloatArray = npt.NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="timed sweeps of each")
    repeats = parser.parse_args().repeats
    likes = read_likes(DATA / "citeulike-a-titles" / "users.dat", n_items=16_980)
    items = np.random.default_rng(0).normal(0, 0.1, (likes.shape[1], FACTORS)).astype(np.float32)
    sweeps: dict[str, Callable[[], tuple[Halves, FloatArray]]] = {}
    for library, function in (("textrec", textrec_sweep), ("implicit", implicit_sweep)):
        for threads in sorted({1, len(os.sched_getaffinity(0))}):
            sweeps[f"{library}, {threads} thread{'s' * (threads > 1)}"] = partial(function, likes, items, threads)

    factors = [sweep()[1] for sweep in sweeps.values()]  # also warms them up
    ours, theirs = factors[0], factors[-1]
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    assert difference < 1e-3, difference
    seconds: dict[str, list[Halves]] = {name: [] for name in sweeps}
    for _ in range(repeats):
        for name, sweep in sweeps.items():
            seconds[name].append(sweep()[0])
    report(likes, seconds, difference)


def read_likes(path: Path, n_items: int) -> Any:
    """The likes of a CiteULike `users.dat`, CSR [U, I]."""
    rows = [np.array(line.split()[1:], np.int64) for line in path.read_text().splitlines()]
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return binary_csr(users, np.concatenate(rows), (len(rows), n_items))


def textrec_sweep(likes: Any, items: FloatArray, threads: int) -> tuple[Halves, FloatArray]:
    torch.set_num_threads(threads)
    by_item = sp.csr_array(likes.T)
    start = time.perf_counter()
    users = solve_factors(likes, items, ridge=RIDGE_USERS, observed=OBSERVED, unobserved=UNOBSERVED)
    middle = time.perf_counter()
    solved = solve_factors(by_item, users, ridge=RIDGE_ITEMS, observed=OBSERVED, unobserved=UNOBSERVED)
    return (middle - start, time.perf_counter() - middle), solved


def implicit_sweep(likes: Any, items: FloatArray, threads: int) -> tuple[Halves, FloatArray]:
    """The same step: implicit gives unobserved pairs the weight 1, so the loss is divided by b."""
    confidence = sp.csr_matrix(likes * np.float32(OBSERVED / UNOBSERVED))
    by_item = confidence.T.tocsr()
    users = np.zeros((likes.shape[0], FACTORS), np.float32)
    solved = items.copy()
    with threadpool_limits(1, "blas"):
        start = time.perf_counter()
        _als.least_squares(confidence, users, solved, RIDGE_USERS / UNOBSERVED, num_threads=threads)
        middle = time.perf_counter()
        _als.least_squares(by_item, solved, users, RIDGE_ITEMS / UNOBSERVED, num_threads=threads)
        return (middle - start, time.perf_counter() - middle), solved


def report(likes: Any, seconds: dict[str, list[Halves]], difference: float) -> None:
    """Print the table and write the JSON file."""
    table = {
        name: {
            "users": round(statistics.median(users for users, _ in halves), 3),
            "items": round(statistics.median(items for _, items in halves), 3),
            "sweep": round(statistics.median(map(sum, halves)), 3),
        }
        for name, halves in seconds.items()
    }
    best = {
        library: min((row["sweep"], name) for name, row in table.items() if name.startswith(library))
        for library in ("textrec", "implicit")
    }
    ratio = best["textrec"][0] / best["implicit"][0]
    print(f"{'median seconds':<24}{'users':>8}{'items':>8}{'sweep':>8}")
    for name, row in table.items():
        print(f"{name:<24}{row['users']:8.2f}{row['items']:8.2f}{row['sweep']:8.2f}")
    print(f"{best['textrec'][1]} / {best['implicit'][1]}: {ratio:.2f} (largest relative difference {difference:.1e})")
    result = {
        "data": {"name": "citeulike-a", "users": likes.shape[0], "items": likes.shape[1], "likes": int(likes.nnz)},
        "factors": FACTORS,
        "machine": {
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
            "load": [round(load, 1) for load in os.getloadavg()],
            "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("implicit", "numpy", "scipy", "torch", "threadpoolctl")},
        "median_seconds": table,
        "sweep_seconds": {name: [round(sum(half), 3) for half in halves] for name, halves in seconds.items()},
        "best": {library: name for library, (_, name) in best.items()},
        "ratio": round(ratio, 3),
        "relative_difference": difference,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


def processor() -> str:
    """The processor's name, as Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
