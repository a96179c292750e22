"""`textrec config`."""

from __future__ import annotations

import sys

import typer

from textrec.cli.flags import configuration
from textrec.cli.options import ConfigFile, Model

__all__ = ["config"]


def config(ctx: typer.Context, model: Model = "tfidf", config_file: ConfigFile = None) -> None:
    """Print a model's whole configuration as commented TOML.

    Fields given as flags or in --config stand in it, everything else at its default.
    """
    sys.stdout.write(configuration(ctx, model, config_file).to_toml())
    sys.stdout.flush()
