"""How far one machine goes: cost and memory of training against likes, of the GRU against tokens; recommending to all.

    python benchmarks/scale.py [train gru recommend plot] [--likes N …] [--tokens N …] [--items N …]
                               [--work FOLDER] [--threads N]

- `train`: Embed-MTL, recipe exact, K = 64, users = items = likes / 50; seconds and peak memory of an epoch by part
  (encode, step, solve). The exponent is the slope of log seconds over log likes.
- `gru`: microseconds a token of training the GRU.
- `recommend`: the best 50 items for all users of the models that `train` left, approximately for all of them and
  exactly for some; users a second, recall at 50, peak memory.
- `plot`: docs/assets/scale.svg.

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
RESULT, PLOT = HERE / "results" / "scale.json", HERE.parent / "docs" / "assets" / "scale.svg"
PARTS = ("train", "gru", "recommend", "plot")
LIKES = (100_000, 300_000, 1_000_000, 5_000_000, 15_000_000, 50_000_000)
TOKENS = (100_000, 1_000_000, 10_000_000)
TARGETS = {"exponent": 1.05, "cost_ratio": 1.3, "train_peak_gb": 12, "gru_spread": 0.15, "recommend_peak_gb": 8}


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
        if small := found["train"].get("5000000"):
            costs = [one["epoch"]["processor"] / one["likes"] for one in (train[-1], small)]
            said["cost_ratio"] = costs[0] / costs[1]
    if gru := list(found.get("gru", {}).values()):
        costs = [entry["microseconds_a_token"] for entry in gru]
        said["gru_microseconds_a_token"] = costs
        said["gru_spread"] = max(costs) / min(costs) - 1
    return said


def slope(x: list[float], y: list[float]) -> float:
    """Of log y over log x, by least squares."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def run(part: str, size: int, work: Path, threads: int) -> None:
    """One measurement, unless it is there."""
    if str(size) in measured().get(part, {}):
        print(f"{part} {size:,}: measured already", flush=True)
        return
    print(f"{part} {size:,} …", flush=True)
    command = [sys.executable, str(HERE / "scale_parts.py"), part, str(size), "--work", str(work)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [*command, "--threads", str(threads)], stdout=subprocess.PIPE, text=True, check=False, env=environment
    )
    if done.returncode:
        raise SystemExit(f"{part} {size:,} failed; what was measured before is kept")
    entry = json.loads(done.stdout.strip().splitlines()[-1])
    keep(part, size, entry)
    shown = {name: entry[name] for name in ("epoch", "microseconds_a_token", "peak_mb") if name in entry}
    print(json.dumps(shown), flush=True)


def plot() -> None:
    """Time and memory of an epoch against likes, logarithmic on both axes."""
    from matplotlib import rc_context

    from textrec.study.figures import DASHES, MARKERS, SHADES, STYLE, Drawing, svg_of

    found = measured()
    train = list(found["train"].values())
    likes = [entry["likes"] for entry in train]
    with rc_context(STYLE):
        drawing = Drawing(figsize=(9.2, 3.8), layout="constrained")
        left, right = drawing.subplots(1, 2)
        series = {"epoch": [entry["epoch"]["processor"] for entry in train]}
        for part in ("encode", "step", "solve"):
            series[part] = [entry["parts"][part]["processor"] for entry in train]
        for place, (name, values) in enumerate(series.items()):
            look = {"linestyle": DASHES[place], "marker": MARKERS[place], "color": SHADES[place]}
            left.plot(likes, values, label=name, **look)
        exponent = found["summary"]["exponent_processor"]
        left.set(title=f"Time, exponent {exponent:.2f}", ylabel="processor seconds an epoch")
        left.legend()
        right.plot(likes, [entry["peak_mb"] / 1024 for entry in train], marker=MARKERS[0], color=SHADES[0])
        right.axhline(TARGETS["train_peak_gb"], color=SHADES[2], linestyle=DASHES[1])
        right.set(title="Memory", ylabel="peak resident memory of training, GB")
        for axis in (left, right):
            axis.set(xscale="log", yscale="log", xlabel="likes (users = items = likes / 50)")
    PLOT.write_text(svg_of(drawing), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--likes", type=int, nargs="+", default=list(LIKES))
    parser.add_argument("--tokens", type=int, nargs="+", default=list(TOKENS))
    parser.add_argument("--work", type=Path, default=HERE / "scale", help="data and models are kept here")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    sizes = {"train": arguments.likes, "gru": arguments.tokens}
    for part in arguments.parts or PARTS:
        for size in sizes.get(part, []):
            run(part, size, arguments.work.absolute(), arguments.threads)
    if "plot" in arguments.parts:
        plot()


if __name__ == "__main__":
    main()
