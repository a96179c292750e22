"""What `scale.py` measured, as a plot and as the tables of docs/scale.md; and what follows for 10^10 likes.

    python benchmarks/scale_report.py

The projection multiplies counts with constants of the largest measurement; nothing in it is typed by hand but the
sizes, and the assumptions below.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg

from scale import TARGETS, measured, slope
from textrec.study.figures import DASHES, MARKERS, SHADES, STYLE, Drawing, svg_of

HERE = Path(__file__).parent
DOC, PLOT = HERE.parent / "docs" / "scale.md", HERE.parent / "docs" / "assets" / "scale.svg"
START, END = "<!-- {}: benchmarks/scale_report.py -->\n", "<!-- end of {} -->"
PARTS = ("encode", "step", "solve")

USERS = ITEMS = 10**8
LIKES, TOKENS = 10**10, 2 * 10**9
FACTORS, WORDS, BATCH = 64, 10**6, 1 << 16
WORKERS, CORES, NETWORK = 16, 32, 1.25e9  # machines, cores of each, bytes a second into each (10 Gbit/s)


def training_table(found: dict[str, Any]) -> str:
    """A line a size: seconds by part, cost a like, memory."""
    lines = [
        "| likes | users = items | encode, s | step, s | solve, s | epoch, s | µs a like | peak, GB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for entry in found["train"].values():
        parts = " | ".join(f"{entry['parts'][part]['processor']:.2f}" for part in PARTS)
        epoch, likes = entry["epoch"]["processor"], entry["likes"]
        cost, peak = 1e6 * epoch / likes, entry["peak_mb"] / 1024
        lines.append(f"| {likes:,} | {entry['users']:,} | {parts} | {epoch:.2f} | {cost:.2f} | {peak:.2f} |")
    said = found["summary"]
    ratio = f"{said['cost_ratio']:.2f}" if "cost_ratio" in said else "not measured yet"
    return "\n".join(
        [
            *lines,
            "",
            f"Exponent of processor seconds over likes: **{said['exponent_processor']:.2f}** (target ≤ "
            f"{TARGETS['exponent']}). Cost of a like at 5·10⁷ over that at 5·10⁶: **{ratio}** (target ≤ "
            f"{TARGETS['cost_ratio']}). Highest peak: **{said['train_peak_gb']:.1f} GB** (target < "
            f"{TARGETS['train_peak_gb']}).",
        ]
    )


def gru_table(found: dict[str, Any]) -> str:
    """A line a number of tokens."""
    entries = list(found.get("gru", {}).values())
    if not entries:
        return "Not measured yet."
    lines = ["| tokens | items | µs a token |", "|---:|---:|---:|"]
    lines += [f"| {one['tokens']:,} | {one['items']:,} | {one['microseconds_a_token']:.1f} |" for one in entries]
    spread = found["summary"]["gru_spread"]
    costs = found["summary"]["gru_microseconds_a_token"]
    said = f"Furthest from the mean: **{spread:.0%}** (target ≤ {TARGETS['gru_spread']:.0%})"
    return "\n".join([*lines, "", f"{said}; dearest over cheapest {max(costs) / min(costs):.2f}."])


def recommend_table(found: dict[str, Any]) -> str:
    """A line a catalogue."""
    entries = list(found.get("recommend", {}).values())
    if not entries:
        return "Not measured yet."
    lines = [
        "| users × items | cells made, s | users / s | exact, users / s (of how many) | recall@50 | peak, GB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for one in entries:
        exact = f"{one['exact_users_a_processor_second']:,.0f} ({one['exact_users']:,})"
        lines.append(
            f"| {one['users']:,} × {one['items']:,} | {one['parts']['index']['processor']:,.0f} | "
            f"{one['users_a_processor_second']:,.0f} | {exact} | {one['recall_at_50']:.3f} | "
            f"{one['peak_mb'] / 1024:.2f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            "Seconds are of one processor core; recall is that of the users who were ranked exactly as well.",
        ]
    )


def constants(found: dict[str, Any]) -> dict[str, float]:
    """Of the largest training: seconds of one core a token or a like, and bytes a like."""
    entries = list(found["train"].values())
    largest, parts = entries[-1], entries[-1]["parts"]
    grown = (largest["peak_mb"] - entries[0]["peak_mb"]) * 2**20 / (largest["likes"] - entries[0]["likes"])
    return {
        "encode": parts["encode"]["processor"] / largest["tokens"],
        "step": parts["step"]["processor"] / largest["likes"],
        "solve": parts["solve"]["processor"] / largest["likes"],
        "bytes": grown,
    }


def projection(found: dict[str, Any]) -> str:
    """An epoch of 10^8 users, 10^8 items, 10^10 likes on a cluster."""
    known = constants(found)
    cores = WORKERS * CORES
    counts = {"encode": TOKENS, "step": LIKES, "solve": LIKES}
    unit = {"encode": "token", "step": "like", "solve": "like"}
    matrix, words = 4 * FACTORS * ITEMS, 4 * FACTORS * WORDS
    steps = -(-ITEMS // BATCH)
    network = {"encode": matrix, "step": 2 * words * steps + matrix, "solve": matrix}
    what = {
        "encode": "all-gather of item vectors",
        "step": f"all-reduce of word gradients, {steps:,} steps; users' vectors",
        "solve": "all-gather of users' vectors",
    }
    lines = [
        f"| part | measured | core seconds | on {cores} cores | bytes into each machine | at 10 Gbit/s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for part in PARTS:
        seconds = known[part] * counts[part]
        lines.append(
            f"| {part} | {1e6 * known[part]:.2f} µs a {unit[part]} | {seconds:,.0f} | {seconds / cores:,.0f} s | "
            f"{network[part] / 1e9:,.0f} GB ({what[part]}) | {network[part] / NETWORK:,.0f} s |"
        )
    total = sum(known[part] * counts[part] for part in PARTS)
    wires = sum(network.values()) / NETWORK
    largest = list(found["train"].values())[-1]
    said = (
        f"Together {total / cores / 60:.1f} minutes of computing and {wires / 60:.1f} of network an epoch, with the "
        f"constants of {largest['likes']:,} likes. On one machine memory grew by {known['bytes']:.0f} bytes a like: "
        f"5·10⁷ likes take about {known['bytes'] * 5e7 / 2**30 + 0.4:.1f} GB, and 10¹⁰ would take "
        f"{known['bytes'] * LIKES / 1e9:,.0f} GB."
    )
    return "\n".join([*lines, "", said])


BLOCKS = {"training": training_table, "gru": gru_table, "recommending": recommend_table, "projection": projection}


def with_figures(text: str, found: dict[str, Any]) -> str:
    """The page with its generated blocks made anew."""
    for name, block in BLOCKS.items():
        start, end = START.format(name), END.format(name)
        before, _, rest = text.partition(start)
        _, found_end, after = rest.partition(end)
        if not found_end:
            raise SystemExit(f"{DOC.name} lacks the lines {start.strip()} and {end}")
        text = f"{before}{start}\n{block(found)}\n\n{end}{after}"
    return text


def drawing_of(found: dict[str, Any]) -> str:
    """Time and memory of an epoch against likes, logarithmic on both axes, as SVG."""
    train = list(found["train"].values())
    likes = [entry["likes"] for entry in train]
    series = {"epoch": [entry["epoch"]["processor"] for entry in train]}
    series |= {part: [entry["parts"][part]["processor"] for entry in train] for part in PARTS}
    with rc_context(STYLE):
        drawing = Drawing(figsize=(9.2, 3.8), layout="constrained")
        FigureCanvasAgg(drawing)
        left, right = drawing.subplots(1, 2)
        for place, (name, values) in enumerate(series.items()):
            look = {"linestyle": DASHES[place], "marker": MARKERS[place], "color": SHADES[place]}
            left.plot(likes, values, label=name, **look)
        left.set(title=f"Time, exponent {slope(likes, series['epoch']):.2f}", ylabel="processor seconds an epoch")
        left.legend()
        right.plot(likes, [entry["peak_mb"] / 1024 for entry in train], marker=MARKERS[0], color=SHADES[0])
        right.axhline(TARGETS["train_peak_gb"], color=SHADES[2], linestyle=DASHES[1])
        right.set(title="Memory", ylabel="peak resident memory of training, GB")
        for axis in (left, right):
            axis.set(xscale="log", yscale="log", xlabel="likes (users = items = likes / 50)")
    return svg_of(drawing)


def main() -> None:
    found = measured()
    PLOT.write_text(drawing_of(found), encoding="utf-8")
    DOC.write_text(with_figures(DOC.read_text(encoding="utf-8"), found), encoding="utf-8")
    print(json.dumps(found["summary"], indent=1))


if __name__ == "__main__":
    main()
