"""Sections of a report that stand beside the paper: Table 1, the gains its text names, the top of the list."""

from __future__ import annotations

from collections.abc import Iterator

from textrec.study.document import Block, Heading, Paragraph, Table
from textrec.study.paper import HIT_RATE, TABLE_1, printed, remark
from textrec.study.results import Panel, Results, Row, compare, holm
from textrec.study.sections import MTL, p_text, plain_rows

__all__ = ["beside_the_paper", "top_of_the_list"]


def beside_the_paper(results: Results) -> Iterator[Block]:
    """Table 1 with the paper's figures and the differences."""
    panels = {(panel.data, panel.setting): panel for panel in results.panels if panel.candidates == "eligible"}
    names = [data for data in dict.fromkeys(panel.data for panel in results.panels) if printed(data, "cold", "embed")]
    blocks = [block for data in names for block in _table_1(data, panels)]
    if blocks:
        yield Heading("Table 1, beside the paper")
        yield from blocks


def _table_1(data: str, panels: dict[tuple[str, str], Panel]) -> Iterator[Block]:
    """The table of one data set; nothing when none of the paper's models was run on it."""
    found = {setting: plain_rows(panels.get((data, setting))) for setting in ("warm", "cold")}
    columns = ["model"]
    for what in ("warm", "cold", "tags"):
        columns += [what, "paper", "Δ"]
    lines = []
    for model in TABLE_1["citeulike-a"]["cold"]:
        line = [model]
        for column in ("warm", "cold", "tags"):
            row = found["warm" if column == "warm" else "cold"].get(model)
            metric = "tag_recall@50" if column == "tags" else "recall@50"
            line += _beside(row, metric, printed(data, column, model))
        if any(cell != "–" for cell in line[1::3]):
            lines.append(line)
    if lines:
        yield Heading(data, 3)
        note = remark(data)
        yield Paragraph(f"Recall@50 in percent{f' ({note})' if note else ''}; Δ = ours − the paper's.")
        yield Table(columns, lines)
        yield from _claims(data, found)


def _claims(data: str, found: dict[str, dict[str, Row]]) -> Iterator[Block]:
    """The relative gains that the paper's text names, from its table and from ours."""
    lines = []
    for setting, rows in found.items():
        ours = {model: row.mean("recall@50") or 0.0 for model, row in rows.items()}
        theirs = {model: value for model in ours if (value := printed(data, setting, model)) is not None}
        for better, worse in (("gru", ("ctr", "embed")), ("gru-mtl", ("ctr", "ctr-mtl", "embed", "embed-mtl"))):
            if better in theirs and all(model in theirs for model in worse):
                gains = [100 * (f[better] / max(f[model] for model in worse) - 1) for f in (ours, theirs)]
                named = f"{better} over the best of {', '.join(worse)}"
                lines.append([f"{setting}: {named}", f"{gains[0]:+.1f} %", f"{gains[1]:+.1f} %"])
        for model in ours:
            if model + MTL in theirs and model in theirs:
                gains = [100 * (f[model + MTL] / f[model] - 1) for f in (ours, theirs)]
                lines.append([f"{setting}: {model}{MTL} over {model}", f"{gains[0]:+.1f} %", f"{gains[1]:+.1f} %"])
    if lines:
        yield Table(["relative gain in Recall@50", "ours", "the paper's"], lines)


def top_of_the_list(results: Results) -> Iterator[Block]:
    """HR@10 of the two multi-task models that the paper compares by it."""
    first, second = HIT_RATE
    pairs = []
    for panel in results.panels:
        rows = plain_rows(panel)
        if first in rows and second in rows and (test := compare(rows[first], rows[second], "hr@10")) is not None:
            pairs.append((panel, rows, test))
    if not pairs:
        return
    yield Heading("The top of the list")
    yield Paragraph(
        f"HR@10 = Σ 1/rank over hits in the top 10 (§4.2). The paper prints {HIT_RATE[first]} for {first} and "
        f"{HIT_RATE[second]} for {second} and names no data set, so its figures stand beside none of these. "
        "Differences are paired over users; p is adjusted over the rows (Holm)."
    )
    lines = []
    for (panel, rows, test), p in zip(pairs, holm([test.p for _, _, test in pairs]), strict=True):
        figures = [f"{rows[model].mean('hr@10'):.4f}" for model in HIT_RATE]
        interval = f"{test.low:+.4f} … {test.high:+.4f}"
        lines.append([panel.title, *figures, f"{test.difference:+.4f}", interval, p_text(p)])
    yield Table(["data", first, second, "Δ", "95 % interval", "p"], lines)


def _beside(row: Row | None, metric: str, theirs: float | None) -> list[str]:
    mean = None if row is None else row.mean(metric)
    paper = "–" if theirs is None else f"{theirs:.2f}"
    if row is None or mean is None:
        return ["–", paper, "–"]
    deviation = row.sd(metric)
    ours = f"{100 * mean:.2f}" + (f" ± {100 * deviation:.2f}" if deviation is not None else "")
    return [ours, paper, "–" if theirs is None else f"{100 * mean - theirs:+.2f}"]
