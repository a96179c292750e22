"""The sections of a report: each takes results and gives blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textrec.registry import create
from textrec.study.document import Block, Heading, Paragraph, Table
from textrec.study.paper import printed
from textrec.study.results import Comparison, Panel, Results, Row, compare, holm

__all__ = [
    "MTL",
    "NAMES",
    "cost",
    "made_how",
    "measured",
    "multi_task",
    "opening",
    "p_text",
    "panel_tests",
    "plain_rows",
    "tag_prediction",
]

SHOWN = ("recall@10", "recall@50", "ndcg@50", "hr@10", "mrr", "coverage@50")
NAMES = {"recall@10": "Recall@10", "recall@50": "Recall@50", "ndcg@50": "NDCG@50", "hr@10": "HR@10", "mrr": "MRR"}
NAMES |= {"coverage@50": "coverage@50"}
MTL = "-mtl"


def opening(results: Results) -> Iterator[Block]:
    """What this is, and whether it is complete."""
    yield Heading(f"Experiment {results.name}", 1)
    if results.summary:
        yield Paragraph(results.summary)
    done = sum(len(row.cells) for panel in results.panels for row in panel.rows)
    total = len(results.manifest["cells"])
    lacking = f"; {len(results.missing)} not run, {len(results.failures)} failed" if done < total else ""
    yield Paragraph(f"**{done:,} of {total:,} cells** are in this report{lacking}.")
    yield Paragraph(
        "Cold: items nobody has liked, ranked among each other by their text. Warm: known items, minus what the user "
        "has. Means are over folds, ± the sample standard deviation over folds. Cold Recall above warm Recall comes "
        "from the smaller pool, not from an easier task: compare rows within a table only."
    )


def panel_tests(panel: Panel, baselines: Sequence[str]) -> tuple[Row | None, dict[str, tuple[Comparison, float]]]:
    """The best baseline, and every other row against it: label → comparison and the p-value adjusted by Holm."""
    best = next((row for row in panel.ranked if row.model in baselines), None)
    if best is None:
        return None, {}
    found = {row.label: compare(row, best, panel.headline) for row in panel.ranked if row is not best}
    tested = {label: comparison for label, comparison in found.items() if comparison is not None}
    adjusted = holm([comparison.p for comparison in tested.values()])
    return best, {label: (tested[label], p) for label, p in zip(tested, adjusted, strict=True)}


def measured(panel: Panel, best: Row | None, tests: dict[str, tuple[Comparison, float]]) -> Iterator[Block]:
    """The table of one panel."""
    yield Heading(panel.title, 3)
    headline = NAMES[panel.headline]
    users = panel.rows[0].mean("users") or 0.0
    lead = (
        f"{panel.pool:,.0f} candidates and {users:,.0f} users a fold; random order would give {headline} "
        f"{min(1.0, int(panel.headline[7:]) / panel.pool):.3f}."
    )
    if best is not None and tests:
        lead += (
            f" Best baseline: **{best.label}**. Differences in {headline} to it are paired over users, with the 95 % "
            "bootstrap interval; p is adjusted for the number of rows (Holm). There each user counts once, with "
            "the mean of their folds; in the other columns once a fold, so that Δ is not just one row less another."
        )
    yield Paragraph(lead)
    columns = ["model", *(NAMES[name] for name in SHOWN), "folds", f"Δ {headline}", "95 % interval", "p"]
    lines = []
    for row in panel.ranked:
        line = [row.label, *(_figure(row, name, bold=name == panel.headline) for name in SHOWN), f"{len(row.folds)}"]
        if row is best:
            line += ["baseline", "", ""]
        elif row.label in tests:
            test, p = tests[row.label]
            line += [f"{test.difference:+.4f}", f"{test.low:+.4f} … {test.high:+.4f}", p_text(p)]
        else:
            line += ["–", "–", "–"]
        lines.append(line)
    yield Table(columns, lines)


def tag_prediction(results: Results) -> Iterator[Block]:
    """Recall@50 of the tags of held-out items."""
    lines = []
    for panel in results.panels:
        for row in sorted(panel.rows, key=lambda row: -(row.mean("tag_recall@50") or 0.0)):
            if row.mean("tag_recall@50") is not None:
                theirs = printed(panel.data, "tags", row.model)
                known = f"{theirs / 100:.4f}" if theirs is not None and not row.cells[0].variant else "–"
                lines.append([panel.title, row.label, _figure(row, "tag_recall@50"), known])
    if lines:
        yield Heading("Tag prediction")
        yield Paragraph("Recall@50 of the kept tags of each held-out item that has one, cold; the mean over items.")
        yield Table(["data", "model", "tag Recall@50", "the paper's"], lines, left=2)


def multi_task(results: Results) -> tuple[list[Block], list[tuple[str, Comparison]]]:
    """Every `x-mtl` against `x`: the blocks, and the differences with their labels."""
    pairs, found = [], []
    for panel in results.panels:
        rows = plain_rows(panel)
        for model, row in rows.items():
            if model + MTL in rows and (test := compare(rows[model + MTL], row, panel.headline)) is not None:
                pairs.append((panel, model, row, rows[model + MTL]))
                found.append(test)
    if not pairs:
        return [], []
    lines = []
    for (panel, model, single, both), test, p in zip(pairs, found, holm([test.p for test in found]), strict=True):
        low, high = _extremes(single, both, panel.headline)
        figures = [f"{test.difference:+.4f}", f"{test.low:+.4f} … {test.high:+.4f}", p_text(p), low, high]
        lines.append([panel.title, f"{model}{MTL} − {model}", NAMES[panel.headline], *figures])
    blocks: list[Block] = [
        Heading("Who benefits from multi-task learning"),
        Paragraph(
            "Differences are paired over users; p is adjusted over the rows of this table (Holm). The last two columns "
            "are the difference for the users with the fewest and the most training likes."
        ),
        Table(["data", "models", "metric", "Δ", "95 % interval", "p", "least active", "most active"], lines, left=3),
    ]
    labels = [f"{panel.title}: {model}" for panel, model, _, _ in pairs]
    return blocks, list(zip(labels, found, strict=True))


def cost(results: Results) -> Iterator[Block]:
    """Time, tokens and memory."""
    yield Heading("Cost")
    yield Paragraph(
        "Of one fold, training and test together: the mean seconds, the highest resident memory, the words read in "
        "training, the best epoch. They depend on the machine, its load and the threads."
    )
    lines = []
    for panel in results.panels:
        for row in sorted(panel.rows, key=lambda row: row.mean("seconds") or 0.0):
            tokens, epoch = row.mean("tokens_encoded") or 0.0, row.mean("best_epoch") or 0.0
            threads = sorted({str(record["threads"]) for record in row.records if "threads" in record})
            figures = [f"{row.mean('seconds'):,.1f}", f"{max(row.values('peak_mb')):,.0f}"]
            figures += [f"{tokens / 1e6:,.1f}" if tokens else "–", f"{epoch:.0f}" if epoch else "–"]
            lines.append([panel.title, row.label, *figures, ", ".join(threads) or "–"])
    columns = ["data", "model", "s / fold", "peak MB", "million tokens", "best epoch", "threads"]
    yield Table(columns, lines, left=2)


def made_how(results: Results, *, sessions: bool) -> Iterator[Block]:
    """Failures, configurations, and where it was run."""
    if results.failures:
        yield Heading("Failed cells")
        yield Table(["cell", "error"], [[name, said.replace("\n", " ")] for name, said in results.failures.items()], 2)
    yield Heading("How it was made")
    yield Paragraph("Settings that differ from the model's defaults; every other one is in the result files.")
    lines = []
    for panel in results.panels:
        for row in panel.rows:
            seeds = sorted({cell.seed for cell in row.cells})
            lines.append([panel.title, row.label, _changes(row), ", ".join(map(str, seeds))])
    yield Table(["data", "model", "settings", "seeds"], lines, left=3)
    if not sessions:
        return
    records = [record for panel in results.panels for row in panel.rows for record in row.records]
    machines = sorted({f"{r['machine']['processor']}, {r['machine']['cores']} cores" for r in records})
    versions = sorted({", ".join(f"{name} {version}" for name, version in r["versions"].items()) for r in records})
    commits = sorted({r["commit"] for r in records if r.get("commit")})
    yield Paragraph(f"Machine: {'; '.join(machines)}. Versions: {'; '.join(versions)}.")
    if commits:
        yield Paragraph(f"Commits (+: changed since): {', '.join(f'`{name}`' for name in commits)}.")


def plain_rows(panel: Panel | None) -> dict[str, Row]:
    """The rows of a panel that are neither variants nor transductive, by model."""
    return {row.model: row for row in panel.rows if row.label == row.model} if panel is not None else {}


def _figure(row: Row, metric: str, *, bold: bool = False) -> str:
    mean, deviation = row.mean(metric), row.sd(metric)
    if mean is None:
        return "–"
    if not bold and metric not in ("tag_recall@50",):
        return f"{mean:.4f}"
    shown = f"{mean:.4f}" + (f" ± {deviation:.4f}" if deviation is not None else "")
    return f"**{shown}**" if bold else shown


def p_text(value: float) -> str:
    """A p-value as people read it."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _extremes(single: Row, both: Row, metric: str) -> tuple[str, str]:
    before, after = (row.groups("activity", metric) for row in (single, both))
    shared = [group for group in before if group in after]
    if not shared:
        return "–", "–"
    low, high = (f"{after[group] - before[group]:+.4f} ({group})" for group in (shared[0], shared[-1]))
    return low, high


def _changes(row: Row) -> str:
    defaults = create(row.model).config.to_dict()
    config = row.cells[0].config
    changed = [f"{name} = {value}" for name, value in config.items() if value != defaults.get(name)]
    return f"`{', '.join(changed)}`" if changed else "defaults"
