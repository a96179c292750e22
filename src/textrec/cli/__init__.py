"""The command line `textrec`: one file a command; nothing heavy is imported before a command runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from textrec import __version__
from textrec.cli.audience import audience
from textrec.cli.config import config
from textrec.cli.data import convert, fetch, info
from textrec.cli.demo import demo
from textrec.cli.encode import encode
from textrec.cli.evaluate import evaluate
from textrec.cli.experiment import experiment
from textrec.cli.explain import explain
from textrec.cli.flags import ConfigCommand
from textrec.cli.models import models
from textrec.cli.pretrain import pretrain
from textrec.cli.recommend import recommend
from textrec.cli.report import report
from textrec.cli.running import run
from textrec.cli.search import search
from textrec.cli.serve import serve
from textrec.cli.similar import similar
from textrec.cli.split import split
from textrec.cli.tags import tags
from textrec.cli.train import train
from textrec.cli.update import update

__all__ = ["app", "main"]

START, USE, STUDY = "From files to a model", "Use a model", "Measure"

app = typer.Typer(
    name="textrec",
    help="Recommend text items to users, including items nobody has liked yet, by reading them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(
    help="Look at data, convert it, or fetch public data.", no_args_is_help=True, rich_markup_mode="rich"
)
app.add_typer(data_app, name="data", rich_help_panel=START)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options before the command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; None for those of the process.

    Returns:
        The exit code: 0, 1 for failed in part, 2 for bad input, 130 after Ctrl-C.
    """
    return run(app, argv)


def _add(
    command: Callable[..., Any],
    panel: str | None,
    *examples: str,
    name: str | None = None,
    to: typer.Typer = app,
    takes_config: bool = False,
) -> None:
    # Typer prints each paragraph of an epilog on a line of its own.
    epilog = "\n\n".join(["[bold]Examples[/bold]", *(f"  {example}" for example in examples)])
    kinds: dict[str, Any] = {"cls": ConfigCommand} if takes_config else {}
    to.command(name or command.__name__, epilog=epilog, rich_help_panel=panel, **kinds)(command)


_add(info, None, "textrec data info my-data/", "textrec data info --likes l.csv --items i.parquet --json", to=data_app)
_add(
    convert,
    None,
    "textrec data convert my-data/ --out columns/",
    "textrec data convert --likes likes.parquet --items items.parquet --out columns/ --json",
    to=data_app,
)
_add(fetch, None, "textrec data fetch", "textrec data fetch citeulike-a", to=data_app)
_add(
    models,
    START,
    "textrec models",
    "textrec models --json",
)
_add(
    config,
    START,
    "textrec config --model tfidf > my.toml",
    "textrec config --model embed --learning-rate 0.01",
    takes_config=True,
)
_add(
    train,
    START,
    "textrec train my-data/ --out model/",
    "textrec train --likes likes.csv --items items.jsonl --out model/ --model embed-mtl",
    "textrec train citeulike-a --out model/ --model embed --learning-rate 0.01 --threads 2",
    "textrec train citeulike-a --out model/ --model gru-mtl --word-vectors vectors/ --resume",
    "textrec train citeulike-a --out model/ --model gru-mtl --cluster local --workers 2",
    takes_config=True,
)
_add(
    pretrain,
    START,
    "textrec pretrain abstracts.txt.xz --out vectors/ --threads 2",
    "textrec pretrain --data my-data/ --out vectors/ --min-count 3 --word protein --word graph",
)
_add(demo, START, "textrec demo")
_add(
    recommend,
    USE,
    "textrec recommend model/ --user 17",
    "textrec recommend model/ --user 17 --items new.jsonl --only new --json",
    "textrec recommend model/ --liked 3,18 --liked-text 'Graph networks for protein folding'",
    "textrec recommend model/ --all-users --out recs.parquet",
    "textrec recommend model/ --all-users --out recs.parquet --cluster auto --workers 8",
    "textrec recommend model/ --all-users -k 50 --out recs.parquet --search approximate",
)
_add(audience, USE, "textrec audience model/ --text 'Graph networks for protein folding'", "textrec audience model/ 18")
_add(similar, USE, "textrec similar model/ 18", "textrec similar model/ --text 'Graph networks' -k 5 --json")
_add(tags, USE, "textrec tags model/ --text 'Graph networks for protein folding'")
_add(
    explain,
    USE,
    "textrec explain model/ --user 17",
    "textrec explain model/ 18 --user 17 --out why.html",
    "textrec explain model/ --text 'Graph networks for protein folding' --liked 3,18 --json",
    "textrec explain model/ --text 'Graph networks for protein folding' --tag proteins",
)
_add(
    encode,
    USE,
    "textrec encode model/ items.jsonl --out vectors.parquet",
    "textrec encode model/ items.parquet --out vectors.parquet --cluster auto --workers 8",
)
_add(
    serve,
    USE,
    "textrec serve model/",
    "textrec serve model/ --port 9000 --db postgresql://textrec@localhost/textrec",
    "TEXTREC_API_KEY=… textrec serve model/ --host 0.0.0.0 --allow-host recs.example.org",
)
_add(update, USE, "textrec update model/ --likes new.csv", "textrec update model/ --likes new.csv --out newer/")
_add(
    split,
    STUDY,
    "textrec split my-data/ --setting cold --out folds.json",
    "textrec split my-data/ --setting time --cutoff 2016-09-15 --out time.json",
)
_add(
    evaluate,
    STUDY,
    "textrec evaluate my-data/ --model tfidf --setting cold",
    "textrec evaluate my-data/ --model embed --split folds.json --folds 0,1 --json out.json",
    takes_config=True,
)
_add(
    experiment,
    STUDY,
    "textrec experiment smoke --out runs/smoke",
    "textrec experiment my.toml --out runs/mine --workers 2",
    "textrec experiment --verify runs/mine",
)
_add(report, STUDY, "textrec report runs/smoke --out report/")
_add(
    search,
    STUDY,
    "textrec search my-data/ --model embed-mtl --trials 30 --out best.toml",
    "textrec search my-data/ --model embed --ridge-users 1 --storage sqlite:///other.db",
    takes_config=True,
)
