"""Drawings of a report: readable in black and white, the same bytes for the same figures.

Lines differ by dash and marker, not by colour alone; axes carry names and units.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

__all__ = ["Drawing", "curve_drawing", "difference_drawing", "forest_drawing", "group_drawing", "png_of", "svg_of"]

Series = Mapping[str, tuple[Sequence[Any], Sequence[float]]]
"""Label → x and y."""

DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
MARKERS = "osD^vPX*"
SHADES = ("#000000", "#1b5e8c", "#b04a00", "#4d7c2a", "#6a3d9a", "#8c6d1f", "#555555", "#9b1c4b")
"""Of about the same darkness, so that a grey print keeps every line."""
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "svg.hashsalt": "textrec",
    "svg.fonttype": "path",
}


def curve_drawing(recall: Series, ndcg: Series, title: str) -> Drawing:
    """Recall@M and, where there is any, NDCG@M against M (Figure 3)."""
    panels = [("Recall@M (share of the user's test likes)", recall)] + ([("NDCG@M", ndcg)] if ndcg else [])
    with mpl.rc_context(STYLE):
        drawing, axes = _axes(len(panels), 4.6, 3.6)
        for axis, (label, series) in zip(axes, panels, strict=True):
            for place, (name, (at, values)) in enumerate(series.items()):
                axis.plot(at, values, label=name, markevery=_every(at, place), **_look(place))
            axis.yaxis.set_major_locator(MaxNLocator(6))
            axis.set(xlabel="M (length of the list, items)", ylabel=label, ylim=(0, None), xlim=(0, None))
        _finish(drawing, axes, title)
    return drawing


def group_drawing(parts: Mapping[str, tuple[str, Series]], title: str, ylabel: str, *, zero: bool = False) -> Drawing:
    """A figure by group, side by side: activity, popularity, length.

    Args:
        parts: heading → name of the x axis with its unit, and a line a model.
        title: above all.
        ylabel: of the first.
        zero: draw the line of no difference.
    """
    with mpl.rc_context(STYLE):
        drawing, axes = _axes(len(parts), 3.5, 3.4)
        for axis, (heading, (unit, series)) in zip(axes, parts.items(), strict=True):
            for place, (name, (spans, values)) in enumerate(series.items()):
                axis.plot(spans, values, label=name, **_look(place))
            axis.set_title(heading, fontsize=9)
            axis.set_xlabel(unit)
            axis.tick_params(axis="x", labelrotation=30)
            axis.margins(x=0.08)
            axis.yaxis.set_major_locator(MaxNLocator(6))
            if zero:
                axis.axhline(0, color="#000000", linewidth=0.8)
            else:
                axis.set_ylim(0, None)
        axes[0].set_ylabel(ylabel)
        _finish(drawing, axes, title)
    return drawing


def forest_drawing(rows: Sequence[tuple[str, float, float | None, float | None]], title: str, xlabel: str) -> Drawing:
    """A line a model: mean, standard deviation, and the paper's figure where it has one.

    Args:
        rows: label, mean, sd, paper; best first.
        title: above.
        xlabel: what is measured.
    """
    with mpl.rc_context(STYLE):
        drawing, (axis,) = _axes(1, 7.0, 0.9 + 0.28 * len(rows))
        heights = np.arange(len(rows))[::-1]
        means, deviations = [row[1] for row in rows], [row[2] or 0.0 for row in rows]
        axis.errorbar(
            means, heights, xerr=deviations, fmt="o", color="#000000", capsize=3, label="here, mean ± sd over folds"
        )
        theirs = [(paper, height) for (_, _, _, paper), height in zip(rows, heights, strict=True) if paper is not None]
        if theirs:
            axis.plot(*zip(*theirs, strict=True), "D", mfc="none", mec="#000000", label="the paper")
        axis.set_yticks(heights, [row[0] for row in rows])
        axis.margins(x=0.08)  # the furthest mark stays whole
        axis.set(xlabel=xlabel, ylim=(-0.7, len(rows) - 0.3))
        axis.set_xlim(0, None)
        axis.grid(axis="y", visible=False)
        _finish(drawing, [axis], title, "outside lower center")
    return drawing


def difference_drawing(rows: Sequence[tuple[str, float, float, float]], title: str, xlabel: str) -> Drawing:
    """A line a comparison: difference and its 95 % interval, around zero.

    Args:
        rows: label, difference, low, high.
        title: above.
        xlabel: what differs.
    """
    with mpl.rc_context(STYLE):
        drawing, (axis,) = _axes(1, 7.0, 0.9 + 0.28 * len(rows))
        heights = np.arange(len(rows))[::-1]
        for (_, difference, low, high), height in zip(rows, heights, strict=True):
            axis.plot([low, high], [height, height], color="#000000", linewidth=1.2)
            axis.plot([difference], [height], "o", color="#000000")
        axis.axvline(0, color="#000000", linewidth=0.8, linestyle="--")
        axis.set_yticks(heights, [row[0] for row in rows])
        axis.set(xlabel=xlabel, ylim=(-0.7, len(rows) - 0.3))
        axis.grid(axis="y", visible=False)
        _finish(drawing, [axis], title)
    return drawing


def svg_of(drawing: Drawing) -> str:
    """As SVG text, without a date."""
    with mpl.rc_context(STYLE):
        stream = io.StringIO()
        drawing.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def png_of(drawing: Drawing) -> bytes:
    """As PNG."""
    with mpl.rc_context(STYLE):
        stream = io.BytesIO()
        drawing.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()


def _axes(count: int, width: float, height: float) -> tuple[Drawing, list[Any]]:
    drawing = Drawing(figsize=(width * count, height), layout="constrained")
    FigureCanvasAgg(drawing)
    return drawing, list(np.atleast_1d(drawing.subplots(1, count)))


def _finish(drawing: Drawing, axes: Sequence[Any], title: str, legend: str = "outside right upper") -> None:
    drawing.suptitle(title, fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    if labels:
        drawing.legend(handles, labels, loc=legend, handlelength=3.5, ncols=2 if "lower" in legend else 1)


def _look(place: int) -> dict[str, Any]:
    kind = place % len(MARKERS)
    return {"linestyle": DASHES[kind], "marker": MARKERS[kind], "color": SHADES[kind], "markerfacecolor": "white"}


def _every(at: Sequence[Any], place: int) -> tuple[int, int]:
    """First marker and step: about ten markers a line, shifted so that lines on top of each other stay visible."""
    step = max(1, len(at) // 10)
    return (place * step // 4) % step, step
