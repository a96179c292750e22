"""Two worker processes of one thread against one of two threads, on the Embed grid of CiteULike-a (titles).

    python benchmarks/workers.py [ROUNDS]

Rounds alternate the two, so that other work on the machine falls on both. Data are read from $TEXTREC_DATA (default
../shared/data). The time of a round is that of its cells, from the first start to the last end, without the start of
the processes. Writes results/workers.json.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textrec.study.evaluation import machine, versions
from textrec.study.experiment import cores
from textrec.study.grid import Spec
from textrec.study.store import Run
from textrec.study.workers import Plan, run_cells

HERE = Path(__file__).parent
DATA = Path(os.environ.get("TEXTREC_DATA") or HERE.parents[1] / "shared" / "data")
GRID = {"models": ["embed"], "data": [str(DATA / "citeulike-a-titles")], "folds": [0, 1, 2, 3], "config": {"epochs": 4}}
PLANS = {"2 workers × 1 thread": Plan(2, 1), "1 worker × 2 threads": Plan(1, 2)}


def seconds(spec: Spec, plan: Plan) -> dict[str, float]:
    """Run the grid once."""
    starts: list[float] = []
    ends: list[float] = []

    def tell(event: Mapping[str, Any]) -> None:
        if event["event"] == "start":
            starts.append(time.perf_counter())
        elif event["event"] == "done":
            ends.append(time.perf_counter())
        elif event["event"] == "failed":
            raise SystemExit(event["error"])

    with tempfile.TemporaryDirectory() as place:
        run = Run(Path(place) / "run")
        run.open(spec)
        run_cells(spec.cells(), plan, run.folder, tell, keep_top=False, device="cpu")
        tokens = sum(record["figures"]["tokens_encoded"] for record in run.records())
    return {"seconds": max(ends) - min(starts), "tokens": tokens, "load": os.getloadavg()[0]}


def main() -> None:
    """Alternate the plans and write what they took."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    spec = Spec.from_toml_values({"name": "workers", "grid": [GRID]})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in PLANS}
    for _ in range(rounds):
        for name, plan in PLANS.items():
            found[name].append(seconds(spec, plan))
            print(name, found[name][-1], flush=True)
    best = {name: min(entry["seconds"] for entry in entries) for name, entries in found.items()}
    wide, deep = best.values()
    content = {
        "grid": {**GRID, "data": ["citeulike-a-titles"]},
        "cells": len(spec.cells()),
        "cores": cores(),
        "rounds": found,
        "best_seconds": best,
        "speed_up": deep / wide,
        "versions": versions(),
        "machine": machine(),
    }
    (HERE / "results" / "workers.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"two workers of one thread are {deep / wide:.2f} times as fast as one of two threads")


if __name__ == "__main__":
    main()
