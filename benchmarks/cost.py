"""What each model costs beside how well it ranks new items: training seconds, reading seconds, size on disk.

    python benchmarks/cost.py                    # the models whose costs are not measured yet, then table and drawing
    python benchmarks/cost.py --models gru embed # these again
    python benchmarks/cost.py --models           # table and drawing only, from benchmarks/results/cost.json

Recall@50 and training seconds (a fold: fit, rank, predict tags) are those of the committed runs `table1` and `past`, on
new items of citeulike-a-titles. Reading and size do not depend on how long a model was trained, so they are measured on
a short fit of the same configuration: the processor's seconds to read 1,000 new texts and score them for one user on
one thread (best of 3), and the bytes of the model folder without the catalogue's own tables.

Writes benchmarks/results/cost.json, docs/assets/cost.svg and the table in the README.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from textrec.study.figures import MARKERS, STYLE, Drawing, svg_of
from textrec.study.grid import load_spec

HERE = Path(__file__).parent
RUNS, RESULT = HERE / "runs", HERE / "results" / "cost.json"
DRAWING, README = HERE.parent / "docs" / "assets" / "cost.svg", HERE.parent / "README.md"
START, END = "<!-- cost: benchmarks/cost.py -->\n", "\n<!-- end of cost -->"
SPECS, DATA, N_TEXTS = ("table1", "past"), "citeulike-a-titles", 1000
SHORT = {"epochs": 1, "refit_epochs": 0, "tag_epochs": 0, "sweeps": 1, "min_sweeps": 1, "topic_passes": 1}
"""Training at its shortest; sizes and speed of reading stay."""
CATALOGUE_FILES = {"items.parquet", "users.parquet", "likes.npz"}
"""The data's own part of a model folder, which is the same for all."""
FILLINGS = ("white", "#000000", "#aaaaaa")
COLUMNS = {
    "seconds": "training, s a fold",
    "read_seconds": "reading 1,000 new texts, s",
    "megabytes": "size on disk, MB",
}

Entry = dict[str, Any]


def rows(data: str = DATA) -> dict[str, tuple[str, dict[str, Any]]]:
    """Label → model and configuration, of everything that is to rank new items of the data."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in SPECS:
        for cell in load_spec(name).cells():
            if (cell.data_name, cell.setting, cell.candidates, cell.fold) == (data, "cold", "eligible", 0):
                label = f"{cell.model} ({cell.variant})" if cell.variant else cell.model
                found.setdefault(label, (cell.model, dict(cell.config)))
    return found


def quality(data: str = DATA) -> dict[str, dict[str, float]]:
    """Label → Recall@50 and training seconds of the committed runs, means over the folds."""
    from textrec.study.results import load_results

    found: dict[str, dict[str, float]] = {}
    for name in SPECS:
        if not (RUNS / name / "run.json").is_file():
            continue
        for panel in load_results(RUNS / name).panels:
            if (panel.data, panel.setting, panel.candidates) != (data, "cold", "eligible"):
                continue
            for row in panel.rows:
                means = {key: row.mean(key) for key in ("recall@50", "seconds")}
                found.setdefault(row.label, {key: value for key, value in means.items() if value is not None})
    return found


def short(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, trained for as short as it can be."""
    made = {**config, **{name: value for name, value in SHORT.items() if name in config}}
    if members := made.get("members"):
        made["members"] = [_short_member(member) for member in members]
        made["cold_weights"] = [1.0] * len(members)  # nothing is to be learnt
    if encoder := made.get("encoder"):
        made["encoder"] = _short_member(encoder)
    return made


def _short_member(member: str) -> str:
    from textrec.models.members import named

    name, *given = shlex.split(member)
    settings: dict[str, Any] = dict(setting.split("=", 1) for setting in given)
    fields = named(member)[1].to_dict()
    settings |= {field: value for field, value in SHORT.items() if field in fields}
    if "encoder" in settings:
        settings["encoder"] = _short_member(settings["encoder"])
    return " ".join([name, *(f"{field}={shlex.quote(str(value))}" for field, value in settings.items())])


def measure(model: str, config: Mapping[str, Any], data: Any) -> Entry:
    """Reading and size of a model after a short fit on all of the data."""
    import torch

    from textrec.dataset import full_texts
    from textrec.model_folder import save
    from textrec.registry import create

    torch.set_num_threads(1)
    fitted = create(model, short(config)).fit(data)
    rng = np.random.default_rng()  # texts that no measurement before left in the cache of sentence vectors
    texts = full_texts(data.items.titles, data.items.texts).to_list()
    chosen = [texts[row].split() for row in rng.permutation(len(texts))]
    chosen = [words for words in chosen if len(words) > 3] * (N_TEXTS // len(texts) + 1)
    times = []
    for _ in range(3):
        # a number at the end would not do: all numbers are one word
        batch = [" ".join(rng.permutation(words)) for words in chosen[:N_TEXTS]]
        began = time.process_time()  # other work on the machine counts little
        fitted.score([data.users[0]], batch)
        times.append(time.process_time() - began)
    with tempfile.TemporaryDirectory() as folder:
        path = save(fitted, Path(folder) / "model")
        size = sum(file.stat().st_size for file in path.rglob("*") if file.name not in CATALOGUE_FILES)
    return {"model": model, "read_seconds": min(times), "megabytes": size / 1e6, "machine": machine()}


def machine() -> dict[str, Any]:
    """Where it was measured."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"processor": platform.machine(), "cores": os.cpu_count(), "load": load}


def with_quality(entries: Mapping[str, Entry], found: Mapping[str, Mapping[str, float]]) -> dict[str, Entry]:
    """The measured entries with what the runs say, the best first, those without a run last."""
    merged = {label: {**entry, **found.get(label, {})} for label, entry in entries.items()}
    merged |= {label: dict(figures) for label, figures in found.items() if label not in merged}
    return dict(sorted(merged.items(), key=lambda pair: (-pair[1].get("recall@50", -1.0), pair[0])))


def table(entries: Mapping[str, Entry]) -> str:
    """A line a model, the best first."""
    lines = [f"| model | Recall@50 | {' | '.join(COLUMNS.values())} |", "|---|---|---|---|---|"]
    for label, entry in entries.items():
        recall = f"{entry['recall@50']:.3f}" if "recall@50" in entry else "not yet"
        lines.append(f"| {label} | {recall} | {' | '.join(_shown(entry.get(name)) for name in COLUMNS)} |")
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2g}" if value >= 0.01 else f"{value:.1g}"


def drawing(entries: Mapping[str, Entry]) -> Drawing:
    """Recall@50 against each cost, one panel each; models differ by marker and filling, so no colour is needed."""
    known = {label: entry for label, entry in entries.items() if "recall@50" in entry}
    with mpl.rc_context(STYLE):
        made = Drawing(figsize=(11.5, 3.8), layout="constrained")
        FigureCanvasAgg(made)
        axes = made.subplots(1, len(COLUMNS), sharey=True)
        for axis, (name, label) in zip(axes, COLUMNS.items(), strict=True):
            axis.set_xscale("log")
            for place, (key, entry) in enumerate(known.items()):
                filling = FILLINGS[place // len(MARKERS) % len(FILLINGS)]
                look = {"marker": MARKERS[place % len(MARKERS)], "color": "#000000", "markerfacecolor": filling}
                axis.plot([entry.get(name, np.nan)], [entry["recall@50"]], linestyle="none", label=key, **look)
            axis.set_xlabel(label)
            axis.margins(x=0.15, y=0.08)
        axes[0].set_ylabel("Recall@50 of new items")
        made.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
        made.suptitle(f"{DATA}, new items: how well each model ranks, and what it costs", fontsize=10)
    return made


def readme_with_table(text: str, entries: Mapping[str, Entry]) -> str:
    """The README with its cost table replaced."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{table(entries)}{END}{after}"


def main() -> None:
    """Measure what is asked for, then write table and drawing."""
    known = rows()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", metavar="ROW", choices=[*known], help=", ".join(known))
    asked = parser.parse_args().models
    entries: dict[str, Entry] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    chosen = [label for label in known if "megabytes" not in entries.get(label, {})] if asked is None else asked
    data = None
    for label in chosen:
        if data is None:
            from textrec.data.source import read

            data = read(DATA).filtered()
        entries[label] = measure(*known[label], data)
        print(f"{label}: {entries[label]}", flush=True)
        RESULT.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    entries = with_quality(entries, quality())
    RESULT.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    DRAWING.write_text(svg_of(drawing(entries)), encoding="utf-8")
    README.write_text(readme_with_table(README.read_text(encoding="utf-8"), entries), encoding="utf-8")
    print(table(entries))


if __name__ == "__main__":
    main()
