"""What README and documentation say of results, from the run folders in benchmarks/runs; nothing is typed by hand.

    python benchmarks/readme.py           # the overview in README.md and the tables in docs/results.md
    python benchmarks/readme.py pairs     # before them paired tests over users, into benchmarks/results/paired.json

`make bench-table1` and `make bench-ablation` make the runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from textrec.study.document import Heading, as_markdown
from textrec.study.paper_tables import beside_the_paper, top_of_the_list
from textrec.study.results import Panel, compare, load_results
from textrec.study.sections import NAMES, p_text

HERE = Path(__file__).parent
RUNS, PAIRED = HERE / "runs", HERE / "results" / "paired.json"
README, LONG = HERE.parent / "README.md", HERE.parent / "docs" / "results.md"
START, END = "<!-- results: benchmarks/readme.py -->\n", "\n<!-- end of results -->"
SHOWN = ("table1", "past")
"""The runs whose rows are shown; the ablation has a table of its own."""
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


def beside() -> str:
    """Table 1 and the top of the list, ours beside the paper's."""
    results = load_results(RUNS / "table1")
    blocks = [*beside_the_paper(results), *top_of_the_list(results)]
    lowered = [Heading(block.text, block.level + 1) if isinstance(block, Heading) else block for block in blocks]
    return as_markdown(lowered[1:]).strip()  # its heading stands on the page


def tested() -> str:
    """A line a test of `PAIRED`."""
    lines = ["| data, setting | models | metric | Δ | 95 % interval | p |", "|---|---|---|---|---|---|"]
    for test in json.loads(PAIRED.read_text(encoding="utf-8")):
        figures = f"{test['difference']:+.4f} | {test['low']:+.4f} … {test['high']:+.4f} | {p_text(test['p'])}"
        lines.append(f"| {test['panel']} | {test['a']} − {test['b']} | {NAMES[test['metric']]} | {figures} |")
    return "\n".join(lines)


def ablation() -> str:
    """A line a row of the ablation, beside the plain row of its model on the same folds."""
    results = load_results(RUNS / "ablation")
    lines = [
        "| data | model | Recall@10 | Δ | Recall@50 | Δ | tag Recall@50 | s / fold |",
        "|---|---|---|---|---|---|---|---|",
    ]
    plain = {
        (panel.data, row.label): row
        for panel in results.panels
        if panel.candidates != "all"
        for row in panel.rows
        if row.label == row.model
    }
    for panel in results.panels:
        for row in sorted(panel.rows, key=lambda row: (row.model, row.label != row.model, row.label)):
            label = row.label + (", all papers" if panel.candidates == "all" else "")
            base = plain.get((panel.data, row.model), row)
            parts = [f"| {panel.data} | {label}"]
            for metric in ("recall@10", "recall@50"):
                value, usual = row.mean(metric) or 0.0, base.mean(metric) or 0.0
                parts.append(f"{value:.3f} | {'' if base is row else f'{value - usual:+.3f}'}")
            tags = row.mean("tag_recall@50")
            parts += ["–" if tags is None else f"{tags:.3f}", f"{row.mean('seconds') or 0.0:.0f} |"]
            lines.append(" | ".join(parts))
    return "\n".join(lines)


def with_table(text: str, table: str, name: str = "") -> str:
    """A page with one of its tables replaced."""
    mark = f" {name} -->" if name else " -->"
    start, end = START.replace(" -->", mark), END.replace(" -->", mark)
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}{table}{end}{after}"


def pages() -> dict[Path, str]:
    """README and results as they should be."""
    readme, long = README.read_text(encoding="utf-8"), LONG.read_text(encoding="utf-8")
    for name, table in {"": every_row(), "paper": beside(), "pairs": tested(), "ablation": ablation()}.items():
        long = with_table(long, table, name)
    return {README: with_table(readme, overview()), LONG: long}


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
    if sys.argv[1:] in ([], ["pairs"]):
        for path, text in pages().items():
            path.write_text(text, encoding="utf-8")
    else:
        raise SystemExit("usage: python benchmarks/readme.py [pairs]")


if __name__ == "__main__":
    main()
