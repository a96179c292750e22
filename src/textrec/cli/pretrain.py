"""`textrec pretrain`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textrec.cli.options import Encoding, Seed
from textrec.cli.output import say
from textrec.cli.progress import bar
from textrec.cli.running import read_data, set_threads, warn
from textrec.errors import ArgumentError

if TYPE_CHECKING:
    from textrec.learn.word_vectors import WordVectors
    from textrec.text import Documents

__all__ = ["pretrain"]

CBOW_EPOCHS, GRU_EPOCHS = 5, 1
CBOW_WINDOW, GRU_UNITS = 5, 400
SHOWN_WORDS = 5
NEIGHBOURS = 6
LITTLE = 5_000_000
"""Words read over all epochs, below which word vectors have hardly moved from where they started."""


def pretrain(
    corpus: Annotated[
        Path | None,
        typer.Argument(metavar="[CORPUS]", show_default=False, help="A text file, one text a line; also .gz and .xz."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DATA", help="Read the item texts of a data set too (as textrec train DATA)."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write; older word vectors are replaced.")
    ] = Path("vectors"),
    dim: Annotated[int, typer.Option("--dim", min=1, metavar="D", help="Size of a word vector.")] = 200,
    gru: Annotated[
        bool, typer.Option("--gru", help="Train the first GRU layer as well: it learns to predict words from text.")
    ] = False,
    hidden: Annotated[
        int | None,
        typer.Option("--hidden", min=1, metavar="H", help=f"With --gru: units a direction [default: {GRU_UNITS}]."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--word-vectors", metavar="PATH", help="With --gru: word vectors to start from."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            min=1,
            metavar="N",
            help=f"Passes over the corpus [default: {CBOW_EPOCHS}, with --gru {GRU_EPOCHS}].",
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            min=1,
            metavar="N",
            help=f"Most neighbours on either side, without --gru [default: {CBOW_WINDOW}].",
        ),
    ] = None,
    min_count: Annotated[
        int, typer.Option("--min-count", min=1, metavar="N", help="Words seen less often get no vector.")
    ] = 5,
    word: Annotated[
        list[str] | None, typer.Option("--word", metavar="WORD", help="Show this word's neighbours; may be repeated.")
    ] = None,
    seed: Seed = 0,
    threads: Annotated[
        int, typer.Option("--threads", min=1, metavar="N", help="More are faster; with 1 a seed fixes the vectors.")
    ] = 1,
    encoding: Encoding = "utf-8",
) -> None:
    """Train word vectors (CBOW) on plain text, for --word-vectors of textrec train and evaluate.

    With --gru, word vectors and the first layer of a GRU, which learns to predict each word from those before it and
    from those after it; for --encoder-weights of gru, gru-mtl, joined and joined-mtl.

    Only what is named here is read. With --data DATA every text of the data set is, those that evaluate holds out
    too: figures made with such vectors are transductive.
    """
    if corpus is None and data is None:
        raise ArgumentError("nothing to read: give a text file CORPUS, or --data DATA, or both")
    _check_options(gru, hidden, start, window)
    set_threads(threads if gru else 1)  # CBOW's threads are the trainer's own
    from textrec.learn.word_vectors import check_vectors_place

    check_vectors_place(out)
    passes = epochs or (GRU_EPOCHS if gru else CBOW_EPOCHS)
    documents = _read(corpus, data, encoding)
    say(f"{len(documents):,} texts, {len(documents.ids):,} words, {len(documents.words):,} distinct ones")
    if len(documents.ids) * passes < LITTLE:
        warn("that is little text for word vectors; give a larger CORPUS or more --epochs")
    started = time.perf_counter()
    sizes = {"dim": dim, "epochs": passes, "min_count": min_count}
    if gru:
        vectors = _gru(documents, sizes | {"hidden": hidden or GRU_UNITS}, start, seed)
    else:
        vectors = _cbow(documents, sizes | {"window": window or CBOW_WINDOW}, seed, threads)
    trained = "1 epoch" if passes == 1 else f"{passes} epochs"
    say(f"trained {trained} in {time.perf_counter() - started:.0f} s; {len(vectors):,} words have a vector")
    if "perplexity" in vectors.settings:
        say(f"words of sentences held out are predicted with perplexity {vectors.settings['perplexity']:,}")
    place = vectors.save(out)
    for shown in word or _examples(vectors):
        if shown not in vectors:
            warn(f"--word {shown}: it has no vector; words are lower case and occur {min_count} times or more")
            continue
        near = ", ".join(f"{other} {cosine:.2f}" for other, cosine in vectors.nearest(shown, NEIGHBOURS))
        say(f"  {shown}: {near}")
    size = sum(entry.stat().st_size for entry in place.iterdir()) / 1e6
    say(f"saved {out} ({size:,.1f} MB)")
    follow = f"gru-mtl --encoder-weights {out}" if gru else f"embed-mtl --word-vectors {out}"
    say(f"next: textrec train {data or 'DATA'} --out model/ --model {follow}")


def _check_options(gru: bool, hidden: int | None, start: Path | None, window: int | None) -> None:
    if gru and window is not None:
        raise ArgumentError("--window belongs to word vectors alone; leave it out with --gru")
    if not gru and (hidden is not None or start is not None):
        option = "--hidden" if hidden is not None else "--word-vectors"
        raise ArgumentError(f"{option} belongs to the GRU layer; give --gru with it, or leave it out")


def _cbow(documents: Documents, config: dict[str, Any], seed: int, threads: int) -> WordVectors:
    from textrec.learn.cbow import CbowConfig, train_cbow

    with _epochs_bar("word vectors") as monitor:
        return train_cbow(documents, CbowConfig(**config), seed=seed, workers=threads, monitor=monitor)


def _gru(documents: Documents, config: dict[str, Any], start: Path | None, seed: int) -> WordVectors:
    from textrec.learn.language_model import LanguageModelConfig, train_language_model
    from textrec.learn.word_vectors import read_word_vectors

    vectors = None if start is None else read_word_vectors(start)
    with _epochs_bar("a GRU layer", config["epochs"]) as monitor:
        return train_language_model(documents, LanguageModelConfig(**config), start=vectors, seed=seed, monitor=monitor)


def _read(corpus: Path | None, data: str | None, encoding: str) -> Documents:
    """The tokens of the corpus and of the data set's items, as the models see them."""
    from textrec.text import Documents

    texts = [] if data is None else _item_texts(data, encoding)
    with bar() as progress:
        task = progress.add_task("reading", total=None, figures="")

        def moved(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return Documents.from_texts(chain(_lines(corpus, encoding, moved), texts))


def _lines(corpus: Path | None, encoding: str, moved: Callable[[int, int], None]) -> Iterator[str]:
    from textrec.data.corpus import read_lines

    return iter(()) if corpus is None else read_lines(corpus, encoding=encoding, progress=moved)


def _item_texts(data: str, encoding: str) -> list[str]:
    from textrec.dataset import full_texts
    from textrec.errors import DataError

    items = read_data(data, None, None, None, False, encoding).items
    if not items.documents.ordered:
        raise DataError(f"--data {data}: it holds word counts only, and CBOW reads words in order; leave it out")
    texts: list[str] = full_texts(items.titles, items.texts).to_list()
    return texts


@contextmanager
def _epochs_bar(what: str, epochs: int | None = None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    with bar() as progress:
        task = progress.add_task(f"training {what}", total=None, figures="")

        def monitor(event: Mapping[str, Any]) -> None:
            if event["event"] == "step":
                done = event["epoch"] - 1 + event["done"] / event["total"]
                total = epochs or event["epochs"]
                label = f"training {what}, epoch {event['epoch']}/{total}"
                progress.update(task, completed=done, total=total, description=label)

        yield monitor


def _examples(vectors: WordVectors) -> list[str]:
    """Frequent words of some length: short ones are mostly function words, whose neighbours say little."""
    long = [word for word in vectors.words if len(word) > 6 and word.isalpha()] or list(vectors.words)
    return long[:: max(1, len(long) // (20 * SHOWN_WORDS))][:SHOWN_WORDS]
