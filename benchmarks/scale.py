"""How far one machine goes: cost and memory of training against likes, of the GRU against tokens; recommending to all.

    python benchmarks/scale.py [train gru recommend report] [--likes N …] [--tokens N …] [--items N …]
                               [--work FOLDER] [--threads N] [--sample USERS] [--again]

- `train`: Embed-MTL, recipe exact, K = 64, users = items = likes / 50; seconds and peak memory of an epoch by part
  (encode, step, solve). The exponent is the slope of log seconds over log likes.
- `gru`: microseconds a token of training the GRU.
- `recommend`: the best 50 items for all users of the models that `train` left, approximately for all of them and
  exactly for some; users a second, recall at 50, peak memory.
- `report`: docs/assets/scale.svg, and the tables of docs/scale.md (`scale_report.py`).

Simulated data (`simulate.py`) and models are kept in --work (5·10^7 likes: 4 GB). Each measurement is a process of its
own and is written to benchmarks/results/scale.json as soon as it is done; what is there is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from textrec.study.evaluation import machine, versions

HERE = Path(__file__).parent
RESULT = HERE / "results" / "scale.json"
PARTS = ("train", "gru", "recommend", "report")
LIKES = (100_000, 500_000, 1_500_000, 5_000_000, 15_000_000, 50_000_000)
TOKENS = (100_000, 1_000_000, 10_000_000)
ITEMS = (10_000, 100_000, 1_000_000)
SHOWN = ("epoch", "microseconds_a_token", "recall_at_50", "users_a_second", "exact_users_a_second", "peak_mb")
TARGETS = {
    "exponent": 1.05,
    "cost_ratio": 1.3,
    "train_peak_gb": 12,
    "gru_spread": 0.15,
    "recommend_peak_gb": 8,
    "recall": 0.98,
}


def measured() -> dict[str, Any]:
    """What is measured so far."""
    found: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    return found


def keep(part: str, size: int, entry: dict[str, Any]) -> None:
    """Add one measurement, and what follows from all of them."""
    found = measured()
    found.setdefault(part, {})[str(size)] = {**entry, "machine": machine(), "versions": versions()}
    found[part] = dict(sorted(found[part].items(), key=lambda one: int(one[0])))
    found["summary"] = summary(found)
    beside = RESULT.with_suffix(".new")
    beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    beside.replace(RESULT)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """The figures that have a target, as far as they are measured."""
    said: dict[str, Any] = {"targets": TARGETS}
    if len(train := list(found.get("train", {}).values())) > 1:
        likes = [entry["likes"] for entry in train]
        for name in ("seconds", "processor"):
            said[f"exponent_{name}"] = slope(likes, [entry["epoch"][name] for entry in train])
        said["exponent_peak_mb"] = slope(likes, [entry["peak_mb"] for entry in train])
        said["train_peak_gb"] = max(entry["peak_mb"] for entry in train) / 1024
        if {"5000000", "50000000"} <= found["train"].keys():
            large, small = (found["train"][likes] for likes in ("50000000", "5000000"))
            ratio = large["epoch"]["processor"] / large["likes"] / (small["epoch"]["processor"] / small["likes"])
            said["cost_ratio"] = ratio
    if gru := list(found.get("gru", {}).values()):
        costs = [entry["microseconds_a_token"] for entry in gru]
        said["gru_microseconds_a_token"] = costs
        said["gru_spread"] = max(abs(cost / np.mean(costs) - 1) for cost in costs)
    if recommend := list(found.get("recommend", {}).values()):
        said["recall_at_50"] = {entry["items"]: entry["recall_at_50"] for entry in recommend}
        said["recommend_peak_gb"] = max(entry["peak_mb"] for entry in recommend) / 1024
    return said


def slope(x: list[float], y: list[float]) -> float:
    """Of log y over log x, by least squares."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def run(part: str, size: int, options: list[str], *, again: bool = False) -> None:
    """One measurement, unless it is there."""
    if not again and str(size) in measured().get(part, {}):
        print(f"{part} {size:,}: measured already", flush=True)
        return
    print(f"{part} {size:,} …", flush=True)
    command = [sys.executable, str(HERE / "scale_parts.py"), part, str(size), *options]
    threads = options[options.index("--threads") + 1]
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS"), threads)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{part} {size:,} failed; what was measured before is kept")
    entry = json.loads(done.stdout.strip().splitlines()[-1])
    keep(part, size, entry)
    shown = {name: entry[name] for name in SHOWN if name in entry}
    print(json.dumps(shown), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--likes", type=int, nargs="+", default=list(LIKES))
    parser.add_argument("--tokens", type=int, nargs="+", default=list(TOKENS))
    parser.add_argument("--items", type=int, nargs="+", default=list(ITEMS), help="of models that `train` has left")
    parser.add_argument("--work", type=Path, default=HERE / "scale", help="data and models are kept here")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sample", type=int, default=100_000, help="users who are ranked exactly as well")
    parser.add_argument("--again", action="store_true", help="measure what is there again")
    arguments = parser.parse_args()
    sizes = {"train": arguments.likes, "gru": arguments.tokens, "recommend": arguments.items}
    options = ["--work", str(arguments.work.absolute()), "--threads", str(arguments.threads)]
    options += ["--sample", str(arguments.sample)]
    for part in arguments.parts:
        for size in sizes.get(part, []):
            run(part, size, options, again=arguments.again)
    if "report" in arguments.parts:
        subprocess.run([sys.executable, str(HERE / "scale_report.py")], check=True)


if __name__ == "__main__":
    main()
