"""Explanations for the eye: coloured words in a terminal, as a web page, as a picture (paper §4.3, Figure 2).

A word is the stronger the larger its weight is beside the largest of its text; words that speak against the item
stand in another colour.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from textrec.errors import ArgumentError
from textrec.explanation import Explanation
from textrec.learn.reasons import Measure

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["FIGURE_FORMATS", "SHOWN_LIKES", "Piece", "caption", "pieces", "save_figure", "to_html", "to_text"]

FIGURE_FORMATS = (".png", ".svg")

FOR, AGAINST = (217, 95, 2), (69, 117, 180)
"""Orange and blue: told apart by nearly everybody, in print as well."""


SHOWN_LIKES = 5
"""Likes named under a text; the others' shares are smaller."""


class Piece(NamedTuple):
    """A stretch of the original text."""

    text: str
    strength: float | None  # from −1 to 1; None between words


def pieces(explanation: Explanation, by: Measure | None = None) -> Iterator[Piece]:
    """The whole text in pieces: joined they are the original, character by character.

    Args:
        explanation: of one text; the words of a bag are joined by blanks.
        by: the measure to show; None for the model's best.
    """
    weights = explanation.weights(by)
    largest = max(map(abs, weights), default=0.0) or 1.0
    done = 0
    for place, (word, weight) in enumerate(zip(explanation.words, weights, strict=True)):
        if word.start is None or word.end is None:
            if place:
                yield Piece(" ", None)
            yield Piece(word.word, weight / largest)
            continue
        if word.start > done:
            yield Piece(explanation.text[done : word.start], None)
        yield Piece(explanation.text[word.start : word.end], weight / largest)
        done = word.end
    if done < len(explanation.text):
        yield Piece(explanation.text[done:], None)


def to_text(explanation: Explanation, by: Measure | None = None) -> Text:
    """The text for a terminal, stronger words on a stronger ground."""
    from rich.text import Text

    shown = Text()
    for piece in pieces(explanation, by):
        style = "" if not piece.strength else f"{_ink(piece.strength)} on {_hex(_tint(piece.strength, dark=True))}"
        shown.append(piece.text, style=style)
    return shown


def _ink(strength: float) -> str:
    return "bold white" if abs(strength) > 0.6 else "white"


def to_html(explanations: Sequence[Explanation], *, title: str = "Why?", by: Measure | None = None) -> str:
    """One page that needs nothing else: no script, no font, no picture; for light and dark screens and for print."""
    bodies = "\n".join(_article(explanation, by) for explanation in explanations)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
:root {{ color-scheme: light dark; --for: {_rgb(FOR)}; --against: {_rgb(AGAINST)}; }}
body {{ font: 1.05rem/1.7 Georgia, serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.1rem; margin-bottom: .2rem; }}
.text {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
.word {{ border-radius: .2em; padding: .1em 0; background: rgb(var(--for) / var(--s)); }}
.word.against {{ background: rgb(var(--against) / var(--s)); }}
.facts, li span, footer {{ font: .85rem/1.5 system-ui, sans-serif; opacity: .75; }}
article + article {{ border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); margin-top: 2rem; }}
</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
{bodies}
<footer>{_legend(explanations, by)}</footer>
</body>
</html>
"""


def _article(explanation: Explanation, by: Measure | None) -> str:
    words = "".join(_span(piece) for piece in pieces(explanation, by))
    likes = "".join(
        f"<li>{html.escape(like.title or like.item_id)} <span>{like.share:+.3f}</span></li>"
        for like in explanation.because[:SHOWN_LIKES]
    )
    because = f"<p class=facts>Because of these likes:</p>\n<ol>{likes}</ol>" if likes else ""
    return f"""<article>
<h2>{html.escape(explanation.title)}</h2>
<p class=facts>{html.escape(caption(explanation))}</p>
<p class=text>{words}</p>
{because}
</article>"""


def caption(explanation: Explanation) -> str:
    """One line: for whom or what, the score, and how much of it is read from the text."""
    whom = f"tag {explanation.tag}" if explanation.tag is not None else f"user {explanation.user_id}"
    line = f"item {explanation.item_id} · {whom} · score {explanation.score:.3f}"
    if abs(explanation.score - explanation.text_score) < 5e-4:
        return line
    return f"{line} · {explanation.text_score:.3f} by the text alone"


def _span(piece: Piece) -> str:
    if not piece.strength or abs(piece.strength) < 0.02:
        return html.escape(piece.text)
    kind = "word" if piece.strength > 0 else "word against"
    return f'<span class="{kind}" style="--s:{abs(piece.strength) * 0.75:.2f}">{html.escape(piece.text)}</span>'


def _legend(explanations: Sequence[Explanation], by: Measure | None) -> str:
    measure = by or (explanations[0].by if explanations else "contribution")
    if measure == "saliency":
        return "The stronger a word, the more the score would move if the word did (the norm of its gradient)."
    return "Orange words add to the score, blue ones take away from it."


def save_figure(explanation: Explanation, path: str | Path, *, by: Measure | None = None) -> Path:
    """The text with coloured words as a PNG or SVG picture.

    Raises:
        ArgumentError: another suffix.
    """
    target = Path(path)
    if target.suffix not in FIGURE_FORMATS:
        raise ArgumentError(f"a picture must end in {' or '.join(FIGURE_FORMATS)}, got {str(target)!r}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.0), dpi=150)
    canvas = FigureCanvasAgg(figure)
    bottom = _typeset(figure, canvas.get_renderer(), [*pieces(explanation, by)])
    figure.text(0.02, 0.97, caption(explanation), fontsize=7, va="top", color="#555555", parse_math=False)
    box = figure.get_tightbbox(canvas.get_renderer())
    figure.savefig(target, bbox_inches=box.padded(0.08) if bottom else None, facecolor="white")
    return target


def _typeset(figure: Any, renderer: Any, parts: list[Piece]) -> float:
    """Words from left to right, lines from top to bottom, in figure coordinates; the foot of the last line."""
    width = float(figure.bbox.width)
    line = 27.0 / float(figure.bbox.height)
    left, x, y = 0.02, 0.02, 0.86
    gap = True  # a line is broken at white space only
    for piece in parts:
        for number, chunk in enumerate(piece.text.split("\n")):
            if number:
                x, y = left, y - line
            if not chunk.strip():
                x += 0.009 * len(chunk) if x > left else 0.0
                gap = True
                continue
            label = figure.text(x, y, chunk, fontsize=10, va="baseline", family="DejaVu Serif", parse_math=False)
            extent = float(label.get_window_extent(renderer).width) / width
            if x + extent > 0.98 and x > left and gap:
                x, y = left, y - line
                label.set_position((x, y))
            if piece.strength:
                tint = [channel / 255 for channel in _tint(piece.strength)]
                label.set_bbox({"facecolor": tint, "edgecolor": "none", "pad": 1.2})
            x += extent
            gap = False
    return y


def _tint(strength: float, *, dark: bool = False) -> tuple[int, int, int]:
    """The colour of a word's ground, from nothing (white, or black for dark screens) to the full colour."""
    colour, ground = FOR if strength > 0 else AGAINST, 0 if dark else 255
    share = min(abs(strength), 1.0) * (1.0 if dark else 0.8)
    return tuple(round(ground + (channel - ground) * share) for channel in colour)  # type: ignore[return-value]


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _rgb(colour: tuple[int, int, int]) -> str:
    return " ".join(map(str, colour))
