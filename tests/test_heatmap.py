"""Coloured words: nothing of the text is lost, markup is harmless, pictures are pictures."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from textrec.errors import ArgumentError
from textrec.explanation import Explanation, LikeReason, WordReason
from textrec.heatmap import caption, pieces, save_figure, to_html, to_text
from textrec.text import tokenize


def explanation(text: str = "Graph Networks, for <b>Folding</b>!", **more: object) -> Explanation:
    words = [
        WordReason(*token, contribution=(-1) ** place * (place + 1) / 10, saliency=float(place))
        for place, token in enumerate(tokenize(text))
    ]
    because = (LikeReason("3", "<script>alert(1)</script>", 0.5),)
    base = Explanation("x1", text.split("\n")[0], text, "17", None, 0.5, 0.4, "contribution", tuple(words), because)
    return replace(base, **more)  # type: ignore[arg-type]


class Reading(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(max_size=80))
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(piece.text for piece in pieces(explanation(text))) == text


def test_strength_is_relative_to_the_strongest() -> None:
    strengths = [piece.strength for piece in pieces(explanation("one two three")) if piece.strength is not None]
    assert strengths == pytest.approx([1 / 3, -2 / 3, 1])
    assert [piece.strength for piece in pieces(explanation("one two"), "saliency")] == [0, None, 1]


def test_words_of_a_bag_are_joined_by_blanks() -> None:
    bag = tuple(WordReason(word, None, None, 0.1, None) for word in ("deep", "learning"))
    assert "".join(piece.text for piece in pieces(explanation("", words=bag))) == "deep learning"


def test_a_terminal_shows_colours() -> None:
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, color_system="truecolor", width=200).print(to_text(explanation()))
    assert "\x1b[" in stream.getvalue()
    assert re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue()).strip() == explanation().text


def test_a_page_stands_alone_and_markup_in_texts_is_text() -> None:
    page = to_html([explanation(), explanation(user_id=None, tag="<i>")], title="Why <this>?")
    read = Reading(page)
    assert not {"script", "b", "i", "link", "img"} & set(read.tags)
    assert "http" not in page
    assert "Graph Networks, for <b>Folding</b>!" in read.text
    assert "<script>alert(1)</script>" in read.text
    assert "Orange words add to the score" in read.text
    assert "norm of its gradient" in Reading(to_html([explanation()], by="saliency")).text
    assert read.tags.count("article") == 2


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_pictures(suffix: str, tmp_path: Path) -> None:
    long = "Graph networks for Protein folding\n" + "We study $x_1$ and many more words, not markets. " * 20
    path = save_figure(explanation(long), tmp_path / f"why{suffix}")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG") if suffix == ".png" else b"<svg" in content
    short = save_figure(explanation("One."), tmp_path / f"short{suffix}").read_bytes()
    assert len(short) < len(content)
    with pytest.raises(ArgumentError, match=r"a picture must end in .png or .svg, got"):
        save_figure(explanation(), tmp_path / "why.gif")


def test_the_caption_says_what_comes_from_the_text() -> None:
    assert caption(explanation()) == "item x1 · user 17 · score 0.500 · 0.400 by the text alone"
    assert caption(explanation(text_score=0.5)) == "item x1 · user 17 · score 0.500"
    assert caption(explanation(user_id=None, tag="t", text_score=0.5)) == "item x1 · tag t · score 0.500"
