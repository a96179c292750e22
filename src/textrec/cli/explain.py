"""`textrec explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textrec.cli.options import Device, ItemIds, Json, ModelFolder, Texts, Threads
from textrec.cli.output import check_format, console, print_json, print_table, say, staged
from textrec.cli.running import load_model
from textrec.errors import ArgumentError

if TYPE_CHECKING:
    from textrec.explanation import Explanation
    from textrec.learn.recommender import Recommender

__all__ = ["explain"]

FORMATS = (".html", ".png", ".svg", ".json")
SHOWN_WORDS = 10


def explain(
    model: ModelFolder,
    item: ItemIds = None,
    text: Texts = None,
    user: Annotated[str | None, typer.Option("--user", "-u", metavar="ID", help="For this user.")] = None,
    liked: Annotated[
        str | None, typer.Option("--liked", metavar="IDS", help="For somebody who likes these items: 3,18.")
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Why this tag is predicted.")] = None,
    k: Annotated[
        int, typer.Option("-k", "--top", min=1, metavar="N", help="Without items: the user's N best recommendations.")
    ] = 3,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="saliency|contribution",
            show_default="the model's best",
            help="saliency: how far the score moves with the word; contribution: what the word adds to it.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write .html, .png, .svg (one item) or .json.")
    ] = None,
    as_json: Json = False,
    threads: Threads = None,
    device: Device = "auto",
) -> None:
    """Show why: the words of a text that carry the score, and the likes that do."""
    if item and text:
        raise ArgumentError("give either item ids or --text, not both")
    if by not in (None, "saliency", "contribution"):
        raise ArgumentError(f"--by must be saliency or contribution, got {by!r}")
    if out is not None:
        check_format(out, FORMATS)
    recommender = load_model(model, device=device, threads=threads)
    whom = {"user": user, "liked": _ids(liked), "tag": tag}
    found = _explanations(recommender, item, text, whom, k)
    content = {"model": recommender.name, "explanations": [explanation.to_json() for explanation in found]}
    if out is not None:
        _write(out, found, content, by)
        say(f"wrote {out}")
    elif as_json:
        print_json(content)
    else:
        for explanation in found:
            _show(explanation, by)


def _ids(liked: str | None) -> list[str] | None:
    return None if liked is None else [name.strip() for name in liked.split(",") if name.strip()]


def _explanations(
    model: Recommender, ids: list[str] | None, texts: list[str] | None, whom: dict[str, Any], k: int
) -> list[Explanation]:
    from textrec.explanation import explain_all
    from textrec.learn.selection import as_new_items

    items: Any = as_new_items(texts) if texts else list(dict.fromkeys(ids or []))
    if not texts and not ids:
        if whom["tag"] is not None:
            raise ArgumentError("--tag needs items: their ids, or --text")
        if whom["user"] is None and whom["liked"] is None:
            raise ArgumentError("why for whom? Give --user ID or --liked IDS, or items with --tag TAG")
        seen_known = model.likes_known or whom["user"] is None
        best = model.recommend(whom["user"], liked=whom["liked"], k=k, exclude_seen=seen_known)
        items = best["item_id"].to_list()
    return explain_all(model, items, **whom)


def _show(explanation: Explanation, by: Any) -> None:
    from textrec.heatmap import SHOWN_LIKES, caption, to_text

    screen = console()
    screen.print(caption(explanation), style="bold", markup=False, soft_wrap=True)
    screen.print(to_text(explanation, by))
    say()
    likes = explanation.because[:SHOWN_LIKES]
    if likes:
        rows = [[like.item_id, like.title, like.share] for like in likes]
        rest = len(explanation.because) - len(likes)
        heading = "Because of these likes" + (f" (and {rest:,} with smaller shares)" if rest else "")
        print_table(heading, ["item_id", "title", "share"], rows, text=("title",))
    if not screen.is_terminal:  # no colours there: the strongest words as a table
        weights: dict[str, float] = {}
        for word, weight in zip(explanation.words, explanation.weights(by), strict=True):
            weights[word.word] = weights.get(word.word, 0.0) + weight
        strongest = sorted(weights.items(), key=lambda pair: -abs(pair[1]))[:SHOWN_WORDS]
        print_table(f"The strongest words, by {by or explanation.by}", ["word", "weight"], strongest)


def _write(out: Path, found: list[Explanation], content: dict[str, Any], by: Any) -> None:
    from textrec.cli.output import json_text
    from textrec.heatmap import save_figure, to_html

    if out.suffix in (".png", ".svg") and len(found) != 1:
        raise ArgumentError(f"a picture shows one item, got {len(found)}; name one, or write .html")
    with staged(out) as place:
        if out.suffix == ".html":
            place.write_text(to_html(found, by=by), encoding="utf-8")
        elif out.suffix == ".json":
            place.write_text(json_text(content), encoding="utf-8")
        else:
            save_figure(found[0], place, by=by)
