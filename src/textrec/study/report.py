"""The report of a run: Markdown, one HTML page, and plots as SVG and PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from textrec.errors import DataError, Problem
from textrec.study.document import Block, Figure, Heading, Paragraph, Table, as_html, as_markdown
from textrec.study.figures import (
    Drawing,
    curve_drawing,
    difference_drawing,
    forest_drawing,
    group_drawing,
    png_of,
    svg_of,
)
from textrec.study.paper import printed
from textrec.study.paper_tables import beside_the_paper, top_of_the_list
from textrec.study.results import Comparison, Panel, Results, Row, load_results
from textrec.study.sections import (
    NAMES,
    cost,
    made_how,
    measured,
    multi_task,
    opening,
    panel_tests,
    tag_prediction,
)
from textrec.study.store import write_atomically

__all__ = ["report"]

LINES = 8
"""More lines than this in one drawing cannot be told apart; the tables have them all."""
GROUPS = {
    "activity": ("by user activity", "training likes of the user"),
    "popularity": ("by item popularity", "likes of the item, held-out ones included"),
    "length": ("by text length", "words of the item"),
}


def report(folder: str | Path, out: str | Path, *, with_cost: bool = True) -> list[Path]:
    """Write the report of a run.

    Args:
        folder: the run folder.
        out: where `report.md`, `report.html` and `plots/` go; made if needed.
        with_cost: with times, memory, machines and commits. Without them, two runs of one specification give the same
            report.

    Returns:
        The files written.

    Raises:
        DataError: no run folder, or nothing in it is done.
    """
    results = load_results(folder)
    if not results.panels:
        raise DataError(Problem("no cell is done yet; run `textrec experiment` first", str(folder)))
    blocks, drawings = _composed(results, with_cost)
    place = Path(out)
    (place / "plots").mkdir(parents=True, exist_ok=True)
    files = {"report.md": as_markdown(blocks).encode(), "report.html": as_html(results.name, blocks).encode()}
    for block in blocks:
        if isinstance(block, Figure):
            files[f"plots/{block.name}.svg"] = block.svg.encode()
            files[f"plots/{block.name}.png"] = png_of(drawings[block.name])
    for name, content in files.items():
        _write(place / name, content)
    return [place / name for name in files]


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda place: place.write_bytes(content))


def _composed(results: Results, with_cost: bool) -> tuple[list[Block], dict[str, Drawing]]:
    drawings: dict[str, Drawing] = {}

    def figure(name: str, caption: str, drawing: Drawing) -> Figure:
        drawings[name] = drawing
        return Figure(name, caption, svg_of(drawing))

    blocks: list[Block] = [*opening(results), *beside_the_paper(results), Heading("Results")]
    for panel in results.panels:
        blocks += measured(panel, *panel_tests(panel, results.baselines))
        blocks += [figure(*parts) for parts in _panel_figures(panel)]
    blocks += top_of_the_list(results)
    blocks += tag_prediction(results)
    benefit, differences = multi_task(results)
    blocks += benefit
    if differences:
        blocks.append(figure(*_benefit_figure(differences)))
        blocks += [figure(*parts) for panel in results.panels for parts in _benefit_by_group(panel)]
    blocks += _by_group(results, figure)
    blocks += cost(results) if with_cost else []
    blocks += made_how(results, sessions=with_cost)
    return blocks, drawings


def _panel_figures(panel: Panel) -> Iterator[tuple[str, str, Drawing]]:
    headline = NAMES[panel.headline]
    rows = []
    for row in panel.ranked:
        theirs = printed(panel.data, panel.setting, row.model) if row.label == row.model else None
        shown = theirs / 100 if theirs is not None and panel.headline == "recall@50" else None
        rows.append((row.label, row.mean(panel.headline) or 0.0, row.sd(panel.headline), shown))
    diamonds = "; diamonds: the paper's Table 1" if any(row[3] is not None for row in rows) else ""
    caption = f"{headline} on {panel.title}: mean ± standard deviation over folds{diamonds}."
    yield f"models-{panel.name}", caption, forest_drawing(rows, panel.title, f"{headline} (mean over users)")
    longest = 300 if panel.pool > 1000 else 100
    recall, ndcg = (_curves(panel.ranked[:LINES], kind, longest) for kind in ("recall", "ndcg"))
    if recall:
        more = f" (the best {LINES} of {len(panel.rows)})" if len(panel.rows) > LINES else ""
        caption = f"Recall@M and NDCG@M on {panel.title}{more}; the paper's Figure 3 shows M up to 100."
        yield f"curves-{panel.name}", caption, curve_drawing(recall, ndcg, panel.title)


def _curves(rows: Sequence[Row], kind: str, longest: int) -> dict[str, tuple[list[int], list[float]]]:
    found = {}
    for row in rows:
        at, values = row.curve(kind)
        kept = [(m, value) for m, value in zip(at, values, strict=True) if m <= longest]
        if kept:
            found[row.label] = ([m for m, _ in kept], [value for _, value in kept])
    return found


def _by_group(results: Results, figure: Callable[[str, str, Drawing], Figure]) -> list[Block]:
    blocks: list[Block] = []
    for panel in results.panels:
        parts = {}
        tables: list[Block] = []
        for kind, (heading, unit) in GROUPS.items():
            found = {row.label: row.groups(kind, panel.headline) for row in panel.ranked}
            found = {label: values for label, values in found.items() if values}
            spans = list(dict.fromkeys(span for values in found.values() for span in values))
            if len(spans) < 2:
                continue
            parts[heading] = (unit, {label: _xy(values) for label, values in list(found.items())[:LINES]})
            counts = next(row for row in panel.ranked if row.label in found).groups(kind, "count")
            sizes = ["users, over folds" if kind == "activity" else "test likes, over folds"]
            lines = [[*sizes, *(f"{counts.get(span, 0):,.0f}" for span in spans)]]
            lines += [[label, *(_value(values.get(span)) for span in spans)] for label, values in found.items()]
            tables.append(Table([unit, *spans], lines))
        if parts:
            name = NAMES[panel.headline]
            caption = f"{name} {', '.join(parts)} on {panel.title}."
            drawing = group_drawing(parts, panel.title, f"{name} (share of test likes)")
            blocks += [Heading(panel.title, 3), figure(f"groups-{panel.name}", caption, drawing), *tables]
    if not blocks:
        return []
    intro = (
        "By activity: the mean over the users of the group. By popularity and length: the share of the group's test "
        "likes that stand in the top of their user's list."
    )
    return [Heading("Recall by user activity, item popularity and text length"), Paragraph(intro), *blocks]


def _benefit_figure(differences: Sequence[tuple[str, Comparison]]) -> tuple[str, str, Drawing]:
    rows = [(label, test.difference, test.low, test.high) for label, test in differences]
    caption = "What multi-task learning adds, with the 95 % bootstrap interval over users."
    return "mtl", caption, difference_drawing(rows, "with tags − without", "difference in Recall (headline metric)")


def _benefit_by_group(panel: Panel) -> Iterator[tuple[str, str, Drawing]]:
    rows = {row.model: row for row in panel.rows if row.label == row.model}
    pairs = [(rows[model], rows[f"{model}-mtl"]) for model in rows if f"{model}-mtl" in rows]
    parts: dict[str, tuple[str, Mapping[str, tuple[list[str], list[float]]]]] = {}
    for kind, (heading, unit) in GROUPS.items():
        series = {}
        for single, both in pairs:
            before, after = (row.groups(kind, panel.headline) for row in (single, both))
            shared = {span: after[span] - before[span] for span in before if span in after}
            if len(shared) > 1:
                series[f"{both.label} − {single.label}"] = _xy(shared)
        if series:
            parts[heading] = (unit, series)
    if parts:
        name = NAMES[panel.headline]
        caption = f"What multi-task learning adds to {name} on {panel.title}, {', '.join(parts)}."
        yield f"mtl-{panel.name}", caption, group_drawing(parts, panel.title, f"difference in {name}", zero=True)


def _xy(values: Mapping[str, float]) -> tuple[list[str], list[float]]:
    return list(values), list(values.values())


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
