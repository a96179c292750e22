"""Reports: tables from result files, tests between models, drawings, one page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textrec.errors import DataError
from textrec.protocol.metrics import paired_test
from textrec.registry import MODELS
from textrec.study import paper, paper_tables
from textrec.study import report as report_module
from textrec.study.cells import Cell
from textrec.study.document import Figure, Heading, Paragraph, Table, as_html, as_markdown
from textrec.study.experiment import experiment
from textrec.study.figures import forest_drawing, group_drawing, png_of, svg_of
from textrec.study.grid import Spec
from textrec.study.paper_tables import beside_the_paper, top_of_the_list
from textrec.study.report import report
from textrec.study.results import Panel, Row, compare, holm, load_results
from textrec.study.sections import panel_tests
from textrec.study.store import Run

TINY = {"factors": 8, "epochs": 3, "learning_rate": 0.05, "min_count": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    shared = {"name": "mine", "summary": "A & B", "data": ["sample"], "folds": [0, 1], "settings": ["cold", "warm"]}
    blocks = [{"models": ["tfidf", "popularity"]}, {"models": ["embed", "embed-mtl"], "config": TINY}]
    experiment(Spec.from_toml_values({**shared, "grid": blocks}), folder, workers=1)
    return folder


@pytest.fixture(scope="module")
def written(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "deep"
    report(run, out)
    return out


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_values_and_bonferroni(values: list[float]) -> None:
    adjusted = holm(values)
    for before, after in zip(values, adjusted, strict=True):
        assert before <= after <= min(1.0, before * len(values)) + 1e-12
    order = np.argsort(values)
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_results_are_gathered(run: Path) -> None:
    results = load_results(run)
    assert [panel.title for panel in results.panels] == ["sample, cold", "sample, warm"]
    assert [len(panel.rows) for panel in results.panels] == [3, 4]
    assert {"popularity", "tfidf"} <= set(results.baselines) < set(MODELS)
    assert not {"embed", "kernel"} & set(results.baselines)
    assert (results.missing, results.failures) == ((), {})
    row = results.panels[0].rows[0]
    figures = [record["figures"]["recall@10"] for record in row.records]
    assert row.mean("recall@10") == pytest.approx(np.mean(figures))
    assert row.sd("recall@10") == pytest.approx(np.std(figures, ddof=1))
    at, recall = row.curve("recall")
    assert recall[at.index(10)] == pytest.approx(np.mean(figures), abs=1e-6)
    assert row.mean("nothing") is None


def test_seeds_are_averaged_before_folds_are_compared(tmp_path: Path) -> None:
    block = {"models": ["embed"], "data": ["sample"], "folds": [0, 1], "seeds": [0, 1], "config": TINY}
    experiment(Spec.from_toml_values({"grid": [block]}), tmp_path, workers=1)
    (panel,) = load_results(tmp_path).panels
    (row,) = panel.rows
    figures = {(cell.seed, cell.fold): r["figures"]["ndcg@50"] for cell, r in zip(row.cells, row.records, strict=True)}
    folds = [(figures[0, fold] + figures[1, fold]) / 2 for fold in (0, 1)]
    assert row.values("ndcg@50") == pytest.approx(folds)
    assert row.sd("ndcg@50") == pytest.approx(np.std(folds, ddof=1))


def test_rows_are_compared_over_the_users_and_folds_of_both(run: Path) -> None:
    panel = load_results(run).panels[0]
    tfidf, embed, _ = panel.rows
    found = compare(embed, tfidf, "recall@10")
    assert found is not None
    frames = []
    for row in (embed, tfidf):
        values: dict[int, list[float]] = {}
        for cell in row.cells:
            for user, value in Run(run).users(cell.name).select("user", "recall@10").iter_rows():
                values.setdefault(user, []).append(value)
        frames.append([np.mean(values[user]) for user in sorted(values)])
    expected = paired_test(*frames, seed=0)
    assert (found.difference, found.low, found.p) == (expected["difference"], expected["low"], expected["p"])
    other_fold = Row(tfidf.run, tfidf.cells[1:], tfidf.records[1:])
    alone = Row(embed.run, embed.cells[:1], embed.records[:1])
    assert compare(alone, other_fold, "recall@10") is None


def test_every_row_is_tested_against_the_best_baseline(run: Path) -> None:
    panel = load_results(run).panels[1]
    best, tests = panel_tests(panel, ("popularity", "tfidf"))
    assert best is not None
    assert best.label == "tfidf"
    assert set(tests) == {"popularity", "embed", "embed-mtl"}
    plain = {row.label: compare(row, best, "recall@10") for row in panel.rows if row is not best}
    adjusted = holm([test.p for test in plain.values() if test is not None])
    assert sorted(p for _, p in tests.values()) == pytest.approx(sorted(adjusted))
    assert panel_tests(panel, ()) == (None, {})


def test_the_headline_follows_the_pool(run: Path) -> None:
    small, rows = load_results(run).panels[0], load_results(run).panels[0].rows
    assert small.headline == "recall@10"
    big = Row(
        rows[0].run,
        rows[0].cells,
        tuple({**r, "figures": {**r["figures"], "candidates": 3000}} for r in rows[0].records),
    )
    assert Panel("citeulike-t", "cold", "eligible", (big,)).headline == "recall@50"


def test_the_paper_is_set_beside_ours(run: Path) -> None:
    """Results under the paper's name for its data: ours, the paper's, the difference."""
    results = load_results(run)
    renamed = tuple(Panel("citeulike-a-titles", p.setting, p.candidates, p.rows) for p in results.panels)
    blocks = list(beside_the_paper(type(results)(**{**vars(results), "panels": renamed})))
    tables = [block for block in blocks if isinstance(block, Table)]
    line = next(row for row in tables[0].rows if row[0] == "embed-mtl")
    ours = 100 * (renamed[0].rows[2].mean("recall@50") or 0)
    assert line[4].startswith(f"{ours:.2f} ±")
    assert line[5:7] == ["41.71", f"{ours - 41.71:+.2f}"]
    assert line[8] == "60.36"
    assert any("titles only" in block.text for block in blocks if isinstance(block, Paragraph))
    gains = {row[0]: row[1:] for row in tables[1].rows}
    assert gains["cold: embed-mtl over embed"][1] == "+8.3 %"
    assert list(beside_the_paper(results)) == []  # the paper knows nothing of the sample


def test_the_top_of_the_list_compares_the_papers_pair(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = load_results(run)
    assert list(top_of_the_list(results)) == []  # neither gru-mtl nor ctr-mtl
    monkeypatch.setattr(paper_tables, "HIT_RATE", {"tfidf": 0.098, "embed": 0.077})
    (table,) = [block for block in top_of_the_list(results) if isinstance(block, Table)]
    assert [row[0] for row in table.rows] == ["sample, cold", "sample, warm"]
    rows = {row.model: row for row in results.panels[0].rows}
    assert table.rows[0][1:3] == [f"{rows[name].mean('hr@10') or 0:.4f}" for name in ("tfidf", "embed")]
    test = compare(rows["tfidf"], rows["embed"], "hr@10")
    assert test is not None
    assert table.rows[0][3] == f"{test.difference:+.4f}"


def test_the_printed_figures_are_those_of_table_1() -> None:
    assert paper.printed("citeulike-a-titles", "cold", "gru-mtl") == 49.76
    assert paper.printed("citeulike-t", "warm", "ctr-mtl") == 46.82
    assert paper.printed("citeulike-t", "tags", "gru") is None
    assert paper.printed("citeulike-a-abstracts", "cold", "gru") is None
    best = max(paper.printed("citeulike-t", "cold", name) or 0 for name in ("ctr", "embed"))
    gain = 100 * ((paper.printed("citeulike-t", "cold", "gru") or 0) / best - 1)
    assert gain == pytest.approx(32.74, abs=0.01)  # the text's own arithmetic


def test_the_markdown_has_every_section(written: Path) -> None:
    text = (written / "report.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == [
        "Results",
        "Tag prediction",
        "Who benefits from multi-task learning",
        "Recall by user activity, item popularity and text length",
        "Cost",
        "How it was made",
    ]
    assert "**14 of 14 cells**" in text
    assert "Best baseline: **tfidf**" in text
    for link in re.findall(r"\]\((plots/[^)]+)\)", text):
        assert (written / link).is_file()
    assert len(list((written / "plots").glob("*.svg"))) == len(list((written / "plots").glob("*.png"))) == 9
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")


class Page(HTMLParser):
    """What a page needs from elsewhere, its ids, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.ids: list[str] = []
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.opened.append(tag)
        self.ids += [values["id"] or ""] if "id" in values else []
        for name in ("src", "href", "xlink:href"):
            target = values.get(name)
            if target and not target.startswith("#"):
                self.outside.append(target)


def test_the_page_needs_nothing_else(written: Path) -> None:
    source = (written / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(source)
    assert page.outside == []
    assert "script" not in page.opened
    assert "@import" not in source
    assert len(page.ids) == len(set(page.ids))
    assert page.opened.count("svg") == 9
    for target in re.findall(r'(?:href="#|url\(#)([^")]+)', source):
        assert target in page.ids
    assert "A &amp; B" in source


def test_a_report_without_cost_says_nothing_that_changes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "png_of", lambda drawing: b"")
    files = report(run, tmp_path, with_cost=False)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Cost" not in text
    assert "Versions" not in text
    first = {path: path.read_bytes() for path in files}
    report(run, tmp_path, with_cost=False)
    assert {path: path.read_bytes() for path in files} == first


def test_a_run_without_results_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run folder"):
        report(tmp_path, tmp_path / "out")
    spec = Spec.from_toml_values({"grid": [{"models": ["tfidf"], "data": ["sample"]}]})
    Run(tmp_path / "run").open(spec)
    with pytest.raises(DataError, match="no cell is done yet; run `textrec experiment` first"):
        report(tmp_path / "run", tmp_path / "out")


def test_an_unfinished_run_says_what_is_missing(run: Path, tmp_path: Path) -> None:
    spec = Spec.from_toml_values({"grid": [{"models": ["tfidf"], "data": ["sample"], "folds": [0, 1]}]})
    experiment(spec, tmp_path / "run", workers=1)
    wider = Spec.from_toml_values({"grid": [{"models": ["tfidf"], "data": ["sample"]}]})
    Run(tmp_path / "run").open(wider)
    report(tmp_path / "run", tmp_path / "out")
    assert "**2 of 5 cells** are in this report; 3 not run, 0 failed" in (tmp_path / "out" / "report.md").read_text(
        "utf-8"
    )


def test_documents_are_escaped_and_marked() -> None:
    blocks = [
        Heading("Why <b> & `c`"),
        Paragraph("**bold** & `x < y`"),
        Table(["a", "b"], [["<i>", "1"]]),
        Figure("f", 'a "caption"', '<?xml version="1.0"?>\n<svg id="a"><use href="#a" clip-path="url(#a)"/></svg>'),
    ]
    page = as_html("t<t", blocks)
    assert "<title>t&lt;t</title>" in page
    assert "<strong>bold</strong> &amp; <code>x &lt; y</code>" in page
    assert '<td class="left">&lt;i&gt;</td><td>1</td>' in page
    assert (
        '<svg role="img" aria-label="a &quot;caption&quot;" id="f3-a"><use href="#f3-a" clip-path="url(#f3-a)"/>'
        in page
    )
    assert as_markdown(blocks[1:3]) == "**bold** & `x < y`\n\n| a | b |\n| :-- | --: |\n| <i> | 1 |\n"


def test_drawings_name_their_axes_and_are_the_same_each_time() -> None:
    rows = [("a model", 0.4, 0.01, 0.5), ("another", 0.3, None, None)]
    drawings = [forest_drawing(rows, "title", "Recall@50") for _ in range(2)]
    assert svg_of(drawings[0]) == svg_of(drawings[1])
    assert png_of(drawings[0])[:4] == b"\x89PNG"
    (axis,) = drawings[0].axes
    assert axis.get_xlabel() == "Recall@50"
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a model", "another"]
    ET.fromstring(svg_of(drawings[0]).partition("?>")[2])
    series = {f"model {n}": (["0–9", "≥ 10"], [0.1 * n, 0.2]) for n in range(8)}
    axis = group_drawing({"by activity": ("likes", series)}, "t", "Recall").axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("likes", "Recall")
    looks = {(str(line.get_linestyle()), line.get_marker()) for line in axis.get_lines()}
    assert len(looks) == 8  # told apart without colour


def test_groups_are_weighted_by_their_counts(tmp_path: Path) -> None:
    entries = [[{"group": "≥ 9", "count": 1, "recall@10": 1.0}], [{"group": "≥ 9", "count": 3, "recall@10": 0.0}]]
    cells = tuple(Cell("d", "cold", "tfidf", fold) for fold in range(2))
    row = Row(Run(tmp_path), cells, tuple({"groups": {"activity": part}} for part in entries))
    assert row.groups("activity", "recall@10") == {"≥ 9": 0.25}
    assert row.groups("activity", "count") == {"≥ 9": 4}
    assert row.groups("length", "count") == {}
