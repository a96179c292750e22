"""Why a text was recommended: the words that carry the score, and the likes that do.

The weights are the model's own (`learn.reasons`, `learn.saliency`; paper §4.3); here users, items and texts are
resolved and the weights are put back on the original text, casing and punctuation included.

Shapes: `n` items, `N` tokens of the items together, `L` likes of a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from textrec.dataset import Items, binary_csr, full_texts
from textrec.errors import ArgumentError, CapabilityError
from textrec.learn.reasons import Measure, WordWeights
from textrec.learn.recommender import Recommender
from textrec.learn.selection import Selection
from textrec.registry import models_with
from textrec.text import tokenize

__all__ = ["Explanation", "LikeReason", "Reader", "WordReason", "explain", "explain_all", "explain_for"]


@dataclass(frozen=True)
class WordReason:
    """One word of a text and its weights."""

    word: str  # as the model sees it: lower case, numbers as <NUM>
    start: int | None  # where it stands in `Explanation.text`; None for a bag of words
    end: int | None
    contribution: float  # what it adds to the score
    saliency: float | None  # ‖∂s/∂e‖ (paper §4.3); None where the model has no gradient


@dataclass(frozen=True)
class LikeReason:
    """One like and its share of the score."""

    item_id: str
    title: str
    share: float


@dataclass(frozen=True)
class Explanation:
    """Why one item has its score for one user or one tag."""

    item_id: str
    title: str
    text: str  # title and text; "" for a bag of words
    user_id: str | None
    tag: str | None
    score: float
    text_score: float  # of the words alone; the rest is what likes say, of the item or of those near a new one
    by: Measure  # the measure that tells this model's words apart
    words: tuple[WordReason, ...]
    because: tuple[LikeReason, ...]  # by falling share; all shares add up to `score`. Empty: no sum over likes

    def weights(self, by: Measure | None = None) -> list[float]:
        """The weight of each word.

        Raises:
            ArgumentError: the model has no such measure.
        """
        measure = by or self.by
        if measure not in ("saliency", "contribution"):
            raise ArgumentError(f"by must be saliency or contribution, got {measure!r}")
        if measure == "contribution":
            return [word.contribution for word in self.words]
        if any(word.saliency is None for word in self.words):
            able = ", ".join(models_with("gradients"))
            raise ArgumentError(f"this model has no gradients and so no saliency; models that have: {able}")
        return [word.saliency or 0.0 for word in self.words]

    def to_json(self) -> dict[str, Any]:
        """The explanation as plain values; `docs/json.md` fixes the keys."""
        plain = {name: value for name, value in vars(self).items() if name not in ("words", "because")}
        return plain | {"words": [vars(word) for word in self.words], "because": [vars(like) for like in self.because]}


@dataclass(frozen=True, eq=False)
class Reader:
    """A user as far as reasons need to know."""

    name: str
    rep: Any  # one row of user representations
    liked_ids: Sequence[str] = ()
    liked_titles: Sequence[str] = ()
    liked_reps: Any = None  # [L, …] item representations of the likes


def explain(
    model: Recommender,
    item: str,
    *,
    user: str | None = None,
    liked: Sequence[str] | str | None = None,
    tag: str | None = None,
) -> Explanation:
    """Why an item has its score.

    Args:
        model: a fitted model.
        item: an id of the catalogue, or a text.
        user: an id of the model's users.
        liked: in place of `user`: ids or texts that somebody who was never trained likes.
        tag: in place of a user: a tag that the model predicts.

    Raises:
        ArgumentError: none or several of `user`, `liked` and `tag`.
        UnknownUserError, UnknownItemError, CapabilityError
    """
    return explain_all(model, [item], user=user, liked=liked, tag=tag)[0]


def explain_all(
    model: Recommender,
    items: Any,
    *,
    user: str | None = None,
    liked: Sequence[str] | str | None = None,
    tag: str | None = None,
) -> list[Explanation]:
    """`explain` for several items at once: ids, texts, a table or `Items`."""
    if sum(given is not None for given in (user, liked, tag)) != 1:
        raise ArgumentError("why for whom? Give exactly one of user, liked and tag")
    selection = model.select(items)
    table = _items_of(model, selection)
    if tag is not None:
        return explain_for(model, table, None, tag=tag)
    reader = _trained(model, user) if user is not None else _newcomer(model, liked or [])
    return explain_for(model, table, reader, reps=model._item_reps(selection))


def explain_for(
    model: Recommender, items: Items, reader: Reader | None, *, reps: Any = None, tag: str | None = None
) -> list[Explanation]:
    """Explanations from representations that are there already: what a service calls.

    Args:
        model: a fitted model that reads text.
        items: the items [n], with their texts.
        reader: the user, unless `tag` is given.
        reps: item representations [n, …], for a reader.
        tag: a tag that the model predicts.
    """
    if "cold" not in model.capabilities:
        reason = "it reads no text, so no word has a weight"
        raise CapabilityError(model.name, "cold", models_with("cold"), reason)
    if tag is not None:
        column = _tag_column(model, tag)
        scores = text_scores = model._tag_scores(items)[:, column]
        weights = model._word_weights(items, tag=column)
        shares = None
    else:
        assert reader is not None
        scores = model._score(reader.rep, reps)[0]
        text_scores = model._score(reader.rep, model._text_reps(items))[0]
        weights = model._word_weights(items, user=reader.rep)
        shares = model._like_shares(reader.liked_reps, reps) if len(reader.liked_ids) else None
    words = _words(items, weights)
    texts = full_texts(items.titles, items.texts).to_list()
    return [
        Explanation(
            item_id=items.ids[row],
            title=items.label(row),
            text=texts[row],
            user_id=None if reader is None else reader.name,
            tag=tag,
            score=float(scores[row]),
            text_score=float(text_scores[row]),
            by=weights.best,
            words=words[row],
            because=() if shares is None or reader is None else _because(reader, shares[:, row]),
        )
        for row in range(len(items))
    ]


def _words(items: Items, weights: WordWeights) -> list[tuple[WordReason, ...]]:
    """Every text's words with their weights."""
    documents = items.documents
    texts = full_texts(items.titles, items.texts).to_list()
    contribution = weights.contribution.tolist()
    saliency = [None] * len(contribution) if weights.saliency is None else weights.saliency.tolist()
    found = []
    for text, start, end in zip(texts, documents.starts[:-1].tolist(), documents.starts[1:].tolist(), strict=True):
        tokens: list[tuple[str, int | None, int | None]] = [*tokenize(text)] if documents.ordered else []
        if len(tokens) != end - start:  # a bag of words, or words without their text
            tokens = [(documents.words[index], None, None) for index in documents.ids[start:end].tolist()]
        rows = zip(tokens, contribution[start:end], saliency[start:end], strict=True)
        found.append(tuple(WordReason(*token, weight, gradient) for token, weight, gradient in rows))
    return found


def _because(reader: Reader, shares: Any) -> tuple[LikeReason, ...]:
    order = np.argsort(-shares, kind="stable").tolist()
    return tuple(
        LikeReason(reader.liked_ids[place], reader.liked_titles[place], float(shares[place])) for place in order
    )


def _items_of(model: Recommender, selection: Selection) -> Items:
    """The texts of a selection, in its order, over one word list."""
    if selection.new is None:
        return model.data.items.take(selection.rows)
    if len(selection.new) == len(selection):
        return selection.new
    known = model.data.items
    rows = selection.rows[selection.rows >= 0]
    texts = Items.build(
        pl.concat([known.ids.values.gather(rows), selection.new.ids.values]),
        titles=pl.concat([known.titles.gather(rows), selection.new.titles]),
        texts=pl.concat([known.texts.gather(rows), selection.new.texts]),
    )
    return texts.take(texts.ids.rows(selection.ids))


def _tag_column(model: Recommender, tag: str) -> int:
    model._require("tags")
    column = int(model.data.items.tag_names.rows([tag])[0])
    if column < 0:
        raise ArgumentError(f"unknown tag {tag!r}: the model predicts {len(model.data.items.tag_names):,} tags")
    return column


def _trained(model: Recommender, user: str) -> Reader:
    row = model._user_rows([user])
    liked = model.data.likes[row].indices.astype(np.int64)
    items = model.data.items
    return Reader(
        user,
        model._user_reps(row),
        items.ids.values.gather(liked).to_list(),
        [items.label(place) for place in liked.tolist()],
        model._known_reps(liked),
    )


def _newcomer(model: Recommender, liked: Sequence[str] | str) -> Reader:
    strings = [liked] if isinstance(liked, str) else list(dict.fromkeys(liked))
    if not strings:
        raise ArgumentError("liked must name at least one item id or text, got none")
    model._require("fold_in")
    selection = model.select(strings)
    reps = model._item_reps(selection)
    rep = model._fold_in(binary_csr([0] * len(strings), range(len(strings)), (1, len(strings))), reps)
    table = _items_of(model, selection)
    return Reader("new", rep, table.ids.values.to_list(), [table.label(row) for row in range(len(table))], reps)
