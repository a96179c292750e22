"""What the ground costs on `citeulike-a-titles`: reading, splitting, indexing, ranking, and starting the command line.

    python benchmarks/ground.py

Each figure is measured in a fresh process, beyond its imports. Data are read from $TEXTREC_DATA (default
../shared/data). Writes benchmarks/results/ground.json.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from textrec.study.evaluation import machine, versions

HERE = Path(__file__).parent
DATA = Path(os.environ.get("TEXTREC_DATA") or HERE.parents[1] / "shared" / "data") / "citeulike-a-titles"
RESULT = HERE / "results" / "ground.json"

LOADING = """
import textrec.data.source, textrec.protocol.splits, textrec.models.tfidf, textrec.registry, textrec.learn.recommender
started, before = time.perf_counter(), peak()
data = textrec.data.source.read(sys.argv[1]).filtered()
fold = textrec.protocol.splits.split(data, "cold").fold(data, 0)
model = textrec.registry.create("tfidf").fit(fold.train)
print(json.dumps({"seconds": time.perf_counter() - started, "mb": peak() - before}))
"""
RANKING = """
import textrec.data.source, textrec.registry
data = textrec.data.source.read(sys.argv[1])
model = textrec.registry.create("tfidf").fit(data)
started = time.perf_counter()
rows = sum(len(frame) for frame in model.recommend_blocks(k=50))
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "users": data.n_users, "items": data.n_items, "rows": rows}))
"""
BEFORE = """
import json, sys, time
def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
"""


def main() -> None:
    result: dict[str, Any] = {
        "load_split_index": median(run(LOADING) for _ in range(5)),
        "score_and_top_50": median(run(RANKING) for _ in range(3)),
        "help": {"seconds": statistics.median(help_seconds() for _ in range(7))},
        "machine": machine(),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("load_split_index", "score_and_top_50", "help")}, indent=1))


def run(script: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + script, str(DATA)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def median(runs: Any) -> dict[str, float]:
    rows = list(runs)
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def help_seconds() -> float:
    started = time.perf_counter()
    command = [sys.executable, "-c", "from textrec.cli import main; main(['--help'])"]
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
