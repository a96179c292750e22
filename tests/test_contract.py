"""One contract, every recommender: what holds for each model in the registry."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import polars as pl
import pytest

import tiny_transformer
from textrec.data.sample import sample
from textrec.dataset import Dataset, Items, binary_csr
from textrec.errors import ArgumentError, CapabilityError, DataError, TextrecWarning, UnknownItemError, UnknownUserError
from textrec.learn.recommender import Recommender
from textrec.model_folder import load, save
from textrec.registry import MODELS, create, model_class, models_with
from textrec.text import Documents

FAST = {"epochs": 2, "factors": 16, "embedding_dim": 12, "hidden_dim": 10, "min_count": 1}
TINY = {"sentence_model": tiny_transformer.folder()}
BLEND = {"members": ("kernel", "embed-mtl epochs=2 factors=16 min_count=1")}
TEXT = "Graph networks for protein folding. We study proteins, not markets."


def small(name: str) -> dict[str, object]:
    """Settings that keep a test short, as far as the model has them."""
    known = set(model_class(name).config_type.documentation())
    return {field: value for field, value in (FAST | TINY | BLEND).items() if field in known}


@cache
def library() -> Dataset:
    return sample().filtered(min_likes=5, min_tag_items=10)


@cache
def trained(name: str) -> Recommender:
    return create(name, small(name), seed=3).fit(library())


def bagged(data: Dataset) -> Dataset:
    """The same data with word counts in place of texts."""
    items = data.items
    documents = Documents.from_bags(items.documents.words, items.documents.matrix())
    bags = Items.build(items.ids.values, documents=documents, tags=items.tags, tag_names=items.tag_names)
    return Dataset(data.users, bags, data.likes, name="bags")


def having(capability: str) -> list[str]:
    return [name for name in MODELS if capability in model_class(name).capabilities]


def lacking(capability: str) -> list[str]:
    return [name for name in MODELS if capability not in model_class(name).capabilities]


@pytest.mark.parametrize("name", MODELS)
def test_it_says_what_it_is(name: str) -> None:
    found = model_class(name)
    assert found.name == name
    assert found.summary
    assert found.capabilities <= {"cold", "fold_in", "tags", "vectors", "gradients", "bag_of_words", "order"}
    assert found.config_type.documentation().keys() == found.config_type().to_dict().keys()


@pytest.mark.parametrize("name", MODELS)
def test_recommend_ranks_by_score_and_leaves_out_what_was_seen(name: str) -> None:
    model = trained(name)
    frame = model.recommend(k=7)
    assert frame.columns == ["user_id", "rank", "item_id", "score"]
    assert frame["rank"].to_list() == list(range(1, 8)) * model.data.n_users
    users = model.data.users.rows(frame["user_id"])
    items = model.data.items.ids.rows(frame["item_id"])
    assert not np.asarray(model.data.likes[users, items]).any()
    falling = frame.group_by("user_id", maintain_order=True).agg(pl.col("score").diff().max())
    assert falling["score"].max() <= 0


@pytest.mark.parametrize("name", MODELS)
def test_recommend_agrees_with_score(name: str) -> None:
    model = trained(name)
    user = model.data.users[4]
    scores = model.score([user])[0]
    scores[model.data.likes[[4]].indices] = -np.inf
    expected = np.lexsort((np.arange(len(scores)), -scores))[:5]
    frame = model.recommend(user, k=5)
    assert frame["item_id"].to_list() == [model.data.items.ids[row] for row in expected]
    np.testing.assert_allclose(frame["score"].to_numpy(), scores[expected], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_one_by_one_equals_the_batch(name: str) -> None:
    model = trained(name)
    users = list(model.data.users)[:6]
    together = model.recommend(users, k=4)
    alone = pl.concat([model.recommend(user, k=4) for user in users])
    assert together.drop("score").equals(alone.drop("score"))
    np.testing.assert_allclose(together["score"], alone["score"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_same_seed_same_scores(name: str) -> None:
    again = create(name, small(name), seed=3).fit(library())
    np.testing.assert_array_equal(again.score(None), trained(name).score(None))


@pytest.mark.parametrize("name", MODELS)
def test_save_and_load_are_inverse(name: str, tmp_path) -> None:
    model = trained(name)
    loaded = load(save(model, tmp_path / "model"))
    np.testing.assert_array_equal(loaded.score(None), model.score(None))
    assert loaded.config == model.config
    assert list(loaded.data.items.tag_names) == list(model.data.items.tag_names)
    assert (loaded.data.items.tags != model.data.items.tags).nnz == 0
    assert loaded.recommend(k=3).equals(model.recommend(k=3))
    if "cold" in model.capabilities:
        np.testing.assert_allclose(loaded.score(None, [TEXT]), model.score(None, [TEXT]), rtol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_without_likes_a_model_still_ranks_but_says_what_it_cannot_do(name: str, tmp_path) -> None:
    model = trained(name)
    if model.ranks_by_likes:
        with pytest.raises(
            ArgumentError, match=f"'{name}' ranks by the likes themselves, so it cannot be saved without"
        ):
            save(model, tmp_path / "model", with_likes=False)
        return
    loaded = load(save(model, tmp_path / "model", with_likes=False))
    assert not (tmp_path / "model" / "likes.npz").exists()
    np.testing.assert_array_equal(loaded.score(None), model.score(None))
    with pytest.raises(ArgumentError, match="saved without likes, so what a user has seen is not known"):
        loaded.recommend(loaded.data.users[0])
    assert len(loaded.recommend(loaded.data.users[0], k=3, exclude_seen=False)) == 3
    with pytest.raises(ArgumentError, match="saved without likes; it cannot be updated"):
        loaded.update({"user_id": ["0"], "item_id": ["0"]})


@pytest.mark.parametrize("name", having("cold"))
def test_new_items_stand_among_known_ones(name: str) -> None:
    model = trained(name)
    known = [model.data.items.ids[row] for row in (5, 2)]
    mixed = model.score(None, [known[0], TEXT, known[1]])
    np.testing.assert_allclose(mixed[:, [0, 2]], model.score(None, known), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mixed[:, [1]], model.score(None, [TEXT]), rtol=1e-5, atol=1e-6)
    table = pl.DataFrame({"item_id": ["brand-new", known[0]], "title": ["Protein folding at scale", ""]})
    ranked = model.recommend(model.data.users[0], items=table, k=2, exclude_seen=False)
    assert set(ranked["item_id"]) == {"brand-new", known[0]}


@pytest.mark.parametrize("name", having("cold"))
def test_an_empty_text_is_ranked_with_a_warning(name: str) -> None:
    table = pl.DataFrame({"item_id": ["empty"], "text": [""]})
    with pytest.warns(TextrecWarning, match="1 of 1 new items have an empty text"):
        scores = trained(name).score(None, table)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", lacking("cold"))
def test_a_model_that_cannot_read_refuses_new_items_and_names_those_that_can(name: str) -> None:
    with pytest.raises(CapabilityError, match=r"lacks the capability 'cold'.*tfidf"):
        trained(name).recommend("0", items=[TEXT])


@pytest.mark.parametrize("name", having("fold_in"))
def test_a_new_user_with_the_likes_of_a_trained_one_gets_the_same_scores(name: str) -> None:
    model = trained(name)
    for row in (0, 7):
        liked = [model.data.items.ids[item] for item in model.data.likes[[row]].indices]
        folded = model.recommend(liked=liked, k=6)
        assert folded["user_id"].unique().to_list() == ["new"]
        own = model.recommend(model.data.users[row], k=6)
        assert folded["item_id"].to_list() == own["item_id"].to_list()
        np.testing.assert_allclose(folded["score"], own["score"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", having("fold_in"))
def test_several_new_users_by_name(name: str) -> None:
    model = trained(name)
    ids = list(model.data.items.ids)
    people = {"ann": ids[:3], "bob": ids[4:9]}
    frame = model.recommend(liked=people, k=4)
    assert frame["user_id"].unique(maintain_order=True).to_list() == ["ann", "bob"]
    alone = model.recommend(liked=ids[4:9], k=4)
    assert frame.filter(user_id="bob")["item_id"].to_list() == alone["item_id"].to_list()
    with pytest.raises(ArgumentError, match="liked must name at least one item id or text for each user"):
        model.recommend(liked=[])
    with pytest.raises(ArgumentError, match="users or liked, not both"):
        model.recommend("0", liked=ids[:2])


@pytest.mark.parametrize("name", sorted(set(having("fold_in")) & set(having("cold"))))
def test_a_new_user_may_like_a_text(name: str) -> None:
    model = trained(name)
    frame = model.recommend(liked=[model.data.items.ids[0], TEXT], k=5)
    assert model.data.items.ids[0] not in frame["item_id"].to_list()
    assert len(frame) == 5


@pytest.mark.parametrize("name", MODELS)
def test_audience_is_recommend_seen_from_the_item(name: str) -> None:
    model = trained(name)
    item = model.data.items.ids[3]
    frame = model.audience([item], k=5)
    assert frame.columns == ["item_id", "rank", "user_id", "score"]
    scores = model.score(None, [item])[:, 0]
    scores[model.data.likes[:, [3]].nonzero()[0]] = -np.inf
    best = np.lexsort((np.arange(len(scores)), -scores))[:5]
    assert frame["user_id"].to_list() == [model.data.users[row] for row in best]


@pytest.mark.parametrize("name", having("vectors"))
def test_similar_and_encode(name: str) -> None:
    model = trained(name)
    item = model.data.items.ids[3]
    frame = model.similar([item, TEXT], k=4)
    assert frame.columns == ["item_id", "rank", "similar_id", "score"]
    assert frame["item_id"].to_list() == [item] * 4 + ["text-1"] * 4
    assert item not in frame.filter(item_id=item)["similar_id"].to_list()
    assert frame["score"].max() <= 1 + 1e-5
    vectors = model.encode([TEXT, "one", "two words"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(model.encode([TEXT])[0], vectors[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", having("tags"))
def test_predict_tags(name: str) -> None:
    model = trained(name)
    frame = model.predict_tags([TEXT], k=3)
    assert frame.columns == ["item_id", "rank", "tag", "score"]
    assert set(frame["tag"]) <= set(model.data.items.tag_names)
    assert frame["score"].is_between(0, 1).all()


@pytest.mark.parametrize(
    ("capability", "call"),
    [
        ("vectors", lambda model: model.similar(["0"])),
        ("vectors", lambda model: model.encode([TEXT])),
        ("tags", lambda model: model.predict_tags([TEXT])),
        ("fold_in", lambda model: model.recommend(liked=["0"])),
    ],
)
def test_a_missing_capability_names_the_models_that_have_it(capability: str, call) -> None:
    for name in lacking(capability):
        refusal = f"model '{name}' lacks the capability '{capability}'; models that can"
        with pytest.raises(CapabilityError, match=refusal):
            call(trained(name))
    assert set(models_with(capability)) == set(having(capability))


@pytest.mark.parametrize("name", MODELS)
def test_update_equals_training_on_the_new_likes(name: str) -> None:
    model = create(name, small(name), seed=3).fit(library())
    ids = model.data.items.ids
    fresh = [ids[row] for row in (1, 2, 3, 30, 31)]
    model.update(pl.DataFrame({"user_id": ["newcomer"] * 5, "item_id": fresh}))
    assert "newcomer" in model.data.users
    own = model.recommend("newcomer", k=5)
    assert not set(own["item_id"]) & set(fresh)
    folded = model.recommend(liked=fresh, k=5)
    assert own["item_id"].to_list() == folded["item_id"].to_list()
    with pytest.raises(UnknownItemError, match="unknown item 'nowhere'"):
        model.update({"user_id": ["x"], "item_id": ["nowhere"]})
    with pytest.raises(DataError, match="new likes lack the column 'item_id'; they have user_id"):
        model.update({"user_id": ["x"]})


@pytest.mark.parametrize("name", MODELS)
def test_bad_arguments(name: str) -> None:
    model = trained(name)
    with pytest.raises(ArgumentError, match="k must be a whole number of at least 1, got 0"):
        model.recommend("0", k=0)
    with pytest.raises(UnknownUserError, match=r"unknown user 'nobody'.*--liked"):
        model.recommend("nobody")
    with pytest.raises(UnknownItemError, match="unknown item 'nothing'"):
        model.recommend("0", items=["nothing"])
    with pytest.raises(ArgumentError, match="ids must be distinct, got '1' more than once"):
        model.recommend("0", items=["1", "1"])
    with pytest.warns(TextrecWarning, match="k is 9 and there are 2 candidates; all of them are returned"):
        assert len(model.recommend("0", items=["1", "2"], k=9, exclude_seen=False)) == 2
    nobody = library().with_likes(binary_csr([], [], library().likes.shape))
    with pytest.raises(DataError, match="there are no likes to learn from"):
        create(name, small(name)).fit(nobody)


@pytest.mark.parametrize("name", MODELS)
def test_bags_of_words_are_read_or_refused_by_name(name: str) -> None:
    model = create(name, small(name))
    if "bag_of_words" not in model.capabilities:
        with pytest.raises(CapabilityError, match="reads words in order and the data hold word counts only"):
            model.fit(bagged(library()))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(model.fit(bagged(library())).recommend("0", k=3)) == 3


def test_unknown_models_and_configs() -> None:
    with pytest.raises(ArgumentError, match="unknown model 'tfdif'; did you mean 'tfidf'"):
        create("tfdif")
    with pytest.raises(ArgumentError, match="config of 'popularity' must be a Config, got int"):
        model_class("popularity")(3)  # type: ignore[arg-type]
