"""What README and documentation say of results, from the run folders in benchmarks/runs; nothing is typed by hand.

    python benchmarks/readme.py           # the overview in README.md and every row in docs/results.md
    python benchmarks/readme.py pairs     # paired tests over users, into benchmarks/results/paired.json

`make bench-table1` and `make bench-ablation` make the runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from textrec.study.results import Panel, compare, load_results

HERE = Path(__file__).parent
RUNS, PAIRED = HERE / "runs", HERE / "results" / "paired.json"
README, LONG = HERE.parent / "README.md", HERE.parent / "docs" / "results.md"
START, END = "<!-- results: benchmarks/readme.py -->\n", "\n<!-- end of results -->"
SHOWN = ("table1", "past")
"""The runs whose rows are shown; ablations stand in the log."""
SHORT = "citeulike-"
"""What the names of the data have in common, left out in the heads of columns."""

PAIRS = (
    ("embed", "tfidf"),
    ("embed-mtl", "tfidf"),
    ("embed-mtl", "embed"),
    ("gru", "embed"),
    ("gru-mtl", "embed-mtl"),
    ("gru-mtl", "gru"),
    ("gru-mtl", "ctr-mtl"),
    ("ctr-mtl", "ctr"),
    ("tfidf", "ctr"),
)
"""What is tested against what, wherever both are in one panel."""


def panels() -> Iterator[Panel]:
    """Every panel of the runs that are shown, with the rows that have all their folds."""
    for name in SHOWN:
        if not (RUNS / name / "run.json").is_file():
            continue
        results = load_results(RUNS / name)
        unfinished = {missing.rpartition("_seed")[0] for missing in [*results.missing, *results.failures]}
        for panel in results.panels:
            rows = tuple(row for row in panel.rows if row.cells[0].row_name not in unfinished)
            if rows:
                yield replace(panel, rows=rows)


def overview() -> str:
    """A line a model: the headline metric on each data set and setting, the best in bold, and tags where they count."""
    columns: dict[tuple[str, str], dict[str, float]] = {}
    for panel in panels():
        if panel.candidates == "all":
            continue
        for row in panel.ranked:
            columns.setdefault((panel.data, panel.setting), {})[row.label] = row.mean(panel.headline) or 0.0
            if (tags := row.mean("tag_recall@50")) is not None:
                columns.setdefault((panel.data, "tags"), {})[row.label] = tags
    data = list(dict.fromkeys(name for name, _ in columns))
    keys = sorted(columns, key=lambda key: (data.index(key[0]), ("cold", "tags", "warm").index(key[1])))
    heads, shown = [f"{name.removeprefix(SHORT)} {part}" for name, part in keys], [columns[key] for key in keys]
    models = {label for column in shown for label in column}
    ranked = sorted(models, key=lambda label: [-column.get(label, 0.0) for column in shown])
    lines = [f"| {' | '.join(['model', *heads])} |", "|" + "---|" * (1 + len(heads))]
    lines += [f"| {' | '.join([label, *(_entry(column, label) for column in shown)])} |" for label in ranked]
    return "\n".join(lines)


def _entry(column: Mapping[str, float], label: str) -> str:
    if label not in column:
        return "–"
    text = f"{column[label]:.3f}"
    return f"**{text}**" if column[label] == max(column.values()) else text


def every_row() -> str:
    """A line a row of a run, the best first in each panel."""
    lines = [
        "| data | setting | model | Recall@10 | Recall@50 | NDCG@50 | HR@10 | tag Recall@50 | s / fold | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for panel in panels():
        setting = panel.setting + (", all papers" if panel.candidates == "all" else "")
        for row in panel.ranked:
            names = {name for record in row.records for name in record["figures"]}
            mean = {name: value for name in names if (value := row.mean(name)) is not None}
            deviation = row.sd("recall@50") or 0.0
            lines.append(line_of(panel.data, setting, row.label, mean, deviation, max(row.values("peak_mb"))))
    return "\n".join(lines)


def line_of(data: str, setting: str, model: str, mean: Mapping[str, float], deviation: float, peak: float) -> str:
    """One line of the table."""
    tags = f"{mean['tag_recall@50']:.3f}" if "tag_recall@50" in mean else "–"
    return (
        f"| {data} | {setting} | {model} | {mean['recall@10']:.3f} | {mean['recall@50']:.3f} ± {deviation:.3f} | "
        f"{mean['ndcg@50']:.3f} | {mean['hr@10']:.3f} | {tags} | {mean['seconds']:.0f} | {peak:.0f} |"
    )


def with_table(text: str, table: str) -> str:
    """A page with its table replaced."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{table}{END}{after}"


def pages() -> dict[Path, str]:
    """README and results as they should be."""
    tables = {README: overview(), LONG: every_row()}
    return {path: with_table(path.read_text(encoding="utf-8"), table) for path, table in tables.items()}


def write_pairs() -> None:
    """Paired bootstrap over users of each pair, by the panel's headline metric and Recall@50."""
    found = []
    for panel in panels():
        rows = {row.label: row for row in panel.rows}
        for a, b in PAIRS:
            for metric in dict.fromkeys((panel.headline, "recall@50", "hr@10")):
                test = compare(rows[a], rows[b], metric) if a in rows and b in rows else None
                if test is not None:
                    figures = {"difference": test.difference, "low": test.low, "high": test.high, "p": test.p}
                    found.append({"panel": panel.title, "a": a, "b": b, "metric": metric, **figures})
    PAIRED.write_text(json.dumps(found, indent=1), encoding="utf-8")


def main() -> None:
    """Write the tables, or the tests."""
    if sys.argv[1:] == ["pairs"]:
        write_pairs()
    elif not sys.argv[1:]:
        for path, text in pages().items():
            path.write_text(text, encoding="utf-8")
    else:
        raise SystemExit("usage: python benchmarks/readme.py [pairs]")


if __name__ == "__main__":
    main()
