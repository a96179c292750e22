"""Two worker processes of one thread against one of two threads, on grids of CiteULike-a (titles).

    make bench-workers        # python benchmarks/workers.py [ROUNDS]

Rounds alternate the two, so that other work on the machine falls on both. Data are read from $TEXTREC_DATA (default
../shared/data). The time of a round is that of its cells, from the first start to the last end, without the start of
the processes. On the GRU's grid `textrec experiment` also chooses between the two by itself, from what it measures.
Writes results/workers.json.
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
from textrec.study.experiment import cores, experiment
from textrec.study.grid import Spec
from textrec.study.store import Run
from textrec.study.workers import Plan, run_cells

HERE = Path(__file__).parent
DATA = Path(os.environ.get("TEXTREC_DATA") or HERE.parents[1] / "shared" / "data")
NAME = "citeulike-a-titles"
GRIDS: dict[str, dict[str, Any]] = {
    "embed": {"models": ["embed"], "folds": [0, 1, 2, 3], "config": {"epochs": 4}},
    "gru": {"models": ["gru"], "folds": [0, 1, 2, 3], "config": {"epochs": 1, "refit_epochs": 0}},
}
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


def alternate(spec: Spec, rounds: int) -> dict[str, Any]:
    """The two plans in turn, and how many times as fast the first is."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in PLANS}
    for _ in range(rounds):
        for name, plan in PLANS.items():
            found[name].append(seconds(spec, plan))
            print(spec.name, name, found[name][-1], flush=True)
    best = {name: min(entry["seconds"] for entry in entries) for name, entries in found.items()}
    wide, deep = best.values()
    return {"cells": len(spec.cells()), "rounds": found, "best_seconds": best, "speed_up": deep / wide}


def chosen(spec: Spec, model: str) -> dict[str, Any]:
    """What the experiment takes by itself."""
    with tempfile.TemporaryDirectory() as place:
        experiment(spec, Path(place), workers=None, device="cpu")
        found: dict[str, dict[str, Any]] = json.loads((Path(place) / "timing.json").read_text(encoding="utf-8"))
    return found[model]


def main() -> None:
    """Measure each grid and write what its plans took."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    content: dict[str, Any] = {"data": NAME, "cores": cores(), "versions": versions(), "machine": machine()}
    for model, grid in GRIDS.items():
        spec = Spec.from_toml_values({"name": model, "grid": [{**grid, "data": [str(DATA / NAME)]}]})
        content[model] = {"grid": grid, **alternate(spec, rounds)}
        print(f"{model}: two workers of one thread are {content[model]['speed_up']:.2f} times as fast", flush=True)
    content["gru"]["by_itself"] = chosen(spec, "gru")
    print(f"gru by itself: {content['gru']['by_itself']}")
    (HERE / "results" / "workers.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
