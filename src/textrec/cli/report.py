"""`textrec report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textrec.cli.output import say
from textrec.cli.progress import spinner

__all__ = ["report"]


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", show_default=False, help="A run folder, made by textrec experiment.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where report.md, report.html and plots/ go.")
    ] = Path("report"),
    cost: Annotated[
        bool, typer.Option("--cost/--no-cost", help="Times, memory and machines, which differ from run to run.")
    ] = True,
) -> None:
    """Write what an experiment found as Markdown, as one HTML page, and as plots (SVG and PNG).

    Every table is made from the result files: means and deviations over folds, paired tests over users, the paper's
    figures beside ours, curves, groups, cost. A run that is not finished can be reported too.
    """
    from textrec.study.report import report as write

    with spinner("writing"):
        files = write(run, out, with_cost=cost)
    plots = sum(path.suffix == ".svg" for path in files)
    say(f"wrote {out / 'report.md'}, {out / 'report.html'} and {plots} plots")
