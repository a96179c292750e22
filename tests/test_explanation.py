"""Explanations: every word at its place, contributions and shares that add up, for users, likes and tags."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import polars as pl
import pytest

import textrec
from textrec.data.sample import sample
from textrec.dataset import Dataset, Items
from textrec.errors import ArgumentError, CapabilityError, UnknownItemError, UnknownUserError
from textrec.explanation import Explanation, explain, explain_all
from textrec.learn.model import Model
from textrec.learn.recommender import Recommender
from textrec.models.neural import NeuralModel
from textrec.registry import MODELS, create, model_class
from textrec.text import Documents, tokenize

TEXT = "Graph networks for Protein folding: we study 12 proteins, NOT markets."
READERS = [name for name in MODELS if "cold" in model_class(name).capabilities]


@cache
def library() -> Dataset:
    return sample().filtered(min_likes=5, min_tag_items=10)


@cache
def trained(name: str) -> Recommender:
    fast = {"epochs": 2, "factors": 16, "min_count": 1}
    known = set(model_class(name).config_type.documentation())
    return create(name, {field: value for field, value in fast.items() if field in known}).fit(library())


@pytest.mark.parametrize("name", READERS)
def test_every_word_stands_where_it_stood(name: str) -> None:
    found = explain(trained(name), TEXT, user="17")
    assert found.text == TEXT
    assert [word.word for word in found.words] == [token.word for token in tokenize(TEXT)]
    assert [TEXT[word.start : word.end] for word in found.words][:4] == ["Graph", "networks", "for", "Protein"]
    assert len(found.weights()) == len(found.words)


@pytest.mark.parametrize("name", READERS)
def test_the_score_is_the_models(name: str) -> None:
    model = trained(name)
    items = [model.data.items.ids[3], TEXT, model.data.items.ids[0]]
    found = explain_all(model, items, user="17")
    assert [one.item_id for one in found] == [items[0], "text-1", items[2]]
    np.testing.assert_allclose([one.score for one in found], model.score(["17"], items)[0], rtol=1e-4, atol=1e-6)
    if not isinstance(model, NeuralModel):  # there the likes of the nearest items say something of a new text
        assert found[1].score == pytest.approx(found[1].text_score, rel=1e-4)
    alone = [explain(model, item, user="17").score for item in items]
    assert [one.score for one in found] == pytest.approx(alone, rel=1e-5, abs=1e-5)  # a blend's scores are differences


@pytest.mark.parametrize("name", ["tfidf", "embed", "embed-mtl"])
def test_contributions_add_up_to_the_score_of_the_text(name: str) -> None:
    model = trained(name)
    for found in explain_all(model, [*list(model.data.items.ids)[:5], TEXT], user="17"):
        total = sum(word.contribution for word in found.words)
        assert total == pytest.approx(found.text_score, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", READERS)
def test_shares_of_the_likes_add_up_to_the_score(name: str) -> None:
    model = trained(name)
    if type(model)._like_shares is Model._like_shares:
        pytest.skip(f"{name}: its scores are no sums over likes")
    liked = ["3", "18", "A text about protein folding"]
    for whom in ({"user": "17"}, {"liked": liked}):
        for found in explain_all(model, ["5", TEXT], **whom):
            assert sum(like.share for like in found.because) == pytest.approx(found.score, rel=1e-3, abs=1e-5)
            shares = [like.share for like in found.because]
            assert shares == sorted(shares, reverse=True)
    assert {like.item_id for like in found.because} == {"3", "18", "text-1"}
    titles = {like.item_id: like.title for like in found.because}
    assert titles["text-1"] == "A text about protein folding"


def test_a_like_carries_the_score_of_its_twin() -> None:
    model = trained("tfidf")
    first = explain(model, "3", liked=["3", "90", "200"]).because[0]
    assert first.item_id == "3"


@pytest.mark.parametrize("name", [name for name in MODELS if "tags" in model_class(name).capabilities])
def test_why_a_tag(name: str) -> None:
    model = trained(name)
    best = model.predict_tags([TEXT], k=1)
    found = explain(model, TEXT, tag=best["tag"][0])
    assert found.score == pytest.approx(best["score"][0], rel=1e-5)
    assert (found.tag, found.user_id, found.because) == (best["tag"][0], None, ())
    assert any(weight != 0 for weight in found.weights())
    with pytest.raises(ArgumentError, match="unknown tag 'nonsense': the model predicts 16 tags"):
        explain(model, TEXT, tag="nonsense")


@pytest.mark.parametrize("name", ["tfidf", "embed"])
def test_leaving_words_out_tells_the_same_words_apart(name: str) -> None:
    model = trained(name)
    items = model.data.items.take(np.arange(6))
    user = model._user_reps(np.array([2]))
    own = model._word_weights(items, user=user).contribution
    left_out = Model._word_weights(model, items, user=user)
    assert np.corrcoef(own, left_out.contribution)[0, 1] > 0.7
    assert left_out.best == "contribution"
    assert left_out.saliency is None


def test_a_bag_of_words_has_words_without_places() -> None:
    items = library().items
    documents = Documents.from_bags(items.documents.words, items.documents.matrix())
    bags = Items.build(items.ids.values, documents=documents, tags=items.tags, tag_names=items.tag_names)
    model = create("tfidf").fit(Dataset(library().users, bags, library().likes))
    found = explain(model, "3", user="17")
    assert found.text == ""
    assert {word.start for word in found.words} == {None}
    assert sum(word.contribution for word in found.words) == pytest.approx(found.score, rel=1e-4)


def test_an_item_from_a_table_and_an_empty_text() -> None:
    table = pl.DataFrame({"item_id": ["n1", "n2"], "title": ["Protein folding", ""], "text": ["", ""]})
    with pytest.warns(textrec.errors.TextrecWarning, match="1 of 2 new items have an empty text"):
        found = explain_all(trained("embed"), table, user="17")
    assert [one.item_id for one in found] == ["n1", "n2"]
    assert found[1].words == ()
    assert found[1].score == 0


def test_json_is_plain() -> None:
    plain = json.loads(json.dumps(explain(trained("embed-mtl"), TEXT, user="17").to_json()))
    assert list(plain) == [*(name for name in Explanation.__dataclass_fields__)]
    assert list(plain["words"][0]) == ["word", "start", "end", "contribution", "saliency"]
    assert list(plain["because"][0]) == ["item_id", "title", "share"]


def test_without_likes_there_is_no_because(tmp_path) -> None:
    model = textrec.load(textrec.save(trained("embed"), tmp_path / "model", with_likes=False))
    assert explain(model, TEXT, user="17").because == ()


def test_what_cannot_be_told() -> None:
    model = trained("embed")
    with pytest.raises(ArgumentError, match="why for whom"):
        explain(model, TEXT)
    with pytest.raises(ArgumentError, match="why for whom"):
        explain(model, TEXT, user="17", tag="x")
    with pytest.raises(ArgumentError, match="liked must name at least one item id or text, got none"):
        explain(model, TEXT, liked=[])
    with pytest.raises(UnknownUserError, match="unknown user 'nobody'"):
        explain(model, TEXT, user="nobody")
    with pytest.raises(UnknownItemError, match="unknown item 'nothing'"):
        explain(model, "nothing", user="17")
    with pytest.raises(CapabilityError, match=r"'popularity' lacks the capability 'cold' \(it reads no text.*tfidf"):
        explain(trained("popularity"), "3", user="17")
    with pytest.raises(CapabilityError, match="lacks the capability 'tags'"):
        explain(model, TEXT, tag="x")
    with pytest.raises(ArgumentError, match="no gradients and so no saliency; models that have: embed"):
        explain(trained("tfidf"), TEXT, user="17").weights("saliency")
    with pytest.raises(ArgumentError, match="by must be saliency or contribution, got 'magic'"):
        explain(model, TEXT, user="17").weights("magic")  # type: ignore[arg-type]


def test_the_package_exports_it() -> None:
    assert textrec.explain is explain
