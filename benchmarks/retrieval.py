"""The approximate index beside exact search on the vectors of a trained model: recall at 50, time a search.

    python benchmarks/retrieval.py MODEL [--name NAME]

MODEL is a model folder with vectors, such as embed trained on citeulike-a-titles. An index is made whatever the size of
the catalogue and calibrated on one half of the users; recall is that of the other half. What they liked is left out, as
the service does.

Writes benchmarks/results/retrieval.json, one entry a name, beside those that are there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.dataset import Csr
from textrec.model_folder import load
from textrec.retrieval.index import SAMPLE, ItemIndex

RESULT = Path(__file__).parent / "results" / "retrieval.json"
K, QUERIES, TARGET = 50, 2000, 0.98


def searched(index: ItemIndex, queries: npt.NDArray[np.float32], seen: Csr) -> tuple[list[set[int]], float]:
    """The items found for each query, and the median milliseconds of a search."""
    found, times = [], []
    for row in range(len(queries)):
        query, banned = queries[[row]], seen[[row]]
        start = time.perf_counter()
        rows, _ = index.search(query, K, seen=banned)
        times.append(time.perf_counter() - start)
        found.append(set(rows[0].tolist()))
    return found, float(np.median(times) * 1000)


def measure(folder: Path) -> dict[str, Any]:
    model = load(folder)
    items = model._known_reps(np.arange(model.data.n_items))
    shuffled = np.random.default_rng(0).permutation(model.data.n_users)
    known, asking = (half[:size] for half, size in zip(np.array_split(shuffled, 2), (SAMPLE, QUERIES), strict=True))
    likes = model.data.likes
    start = time.perf_counter()
    index = ItemIndex(items, model._user_reps(known), K, seen=likes[known], approximate=True)
    built = time.perf_counter() - start
    asked, seen = model._user_reps(asking), likes[asking]
    near, near_ms = searched(index, asked, seen)
    exact, exact_ms = searched(ItemIndex(items, asked, K, approximate=False), asked, seen)
    recalls = np.array([len(one & other) / K for one, other in zip(near, exact, strict=True)])
    return {
        "model": model.name,
        "data": model.data.name,
        "items": len(items),
        "factors": int(items.shape[1]),
        "queries": len(asked),
        "recall_at_50": float(recalls.mean()),
        "recall_at_50_worst_percent": float(np.quantile(recalls, 0.01)),
        "approximate": index.approximate,
        "build_seconds": built,
        "approximate_ms": near_ms,
        "exact_ms": exact_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--name", help="of the entry; default the model's name")
    arguments = parser.parse_args()
    found = measure(arguments.model)
    for key, value in found.items():
        shown = f"{value:.4f}" if isinstance(value, float) else value
        print(f"{key:28} {shown}{f'   (target {TARGET:g})' if key == 'recall_at_50' else ''}")
    found["machine"] = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    found["versions"] = {name: version(name) for name in ("textrec", "numpy")}
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    results[arguments.name or found["model"]] = found
    RESULT.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
