"""The blend: one member is the member, fixed weights, what is learnt where, members that cannot read, folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import tiny_transformer
from textrec.data.sample import sample
from textrec.dataset import Dataset, Ids, Items
from textrec.errors import CapabilityError, ConfigError, TextrecWarning
from textrec.learn.model import Checkpoint
from textrec.learn.pretrained import load_pretrained
from textrec.learn.transformer import Transformer
from textrec.model_folder import load, save
from textrec.models.blend import BlendConfig, BlendModel
from textrec.protocol.metrics import fold_recall
from textrec.protocol.splits import Fold, hold_out, split
from textrec.registry import create
from textrec.text import Documents

TEXT = "Graph networks for protein folding. We study proteins, not markets."
EMBED = "embed epochs=2 factors=8 min_count=1"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return sample().filtered(min_likes=5, min_tag_items=10)


@pytest.fixture(scope="module")
def fold(data: Dataset) -> Fold:
    return split(data, "cold", seed=0).fold(data, 0)


def test_one_member_ranks_as_it_does_alone(fold: Fold) -> None:
    alone = create("kernel").fit(fold.train)
    blend = create("blend", {"members": ["kernel"], "cold_weights": [3.0]}).fit(fold.train)
    users = list(fold.train.users)[:20]
    ranked = [model.recommend(users, items=fold.candidates, k=5) for model in (alone, blend)]
    assert ranked[0]["item_id"].to_list() == ranked[1]["item_id"].to_list()


def test_known_and_new_items_have_their_own_weights(data: Dataset) -> None:
    settings = {"members": ["kernel", "tfidf"], "cold_weights": [1.0, 0.0], "warm_weights": [0.0, 1.0]}
    blend = create("blend", settings).fit(data)
    kernel, tfidf = create("kernel").fit(data), create("tfidf").fit(data)
    known = list(data.items.ids)[:30]
    users = list(data.users)[:8]
    for other, items in ((kernel, [TEXT, "battery materials and solar cells", "sleep research"]), (tfidf, known)):
        order = np.argsort(-blend.score(users, items), axis=1, kind="stable")
        np.testing.assert_array_equal(order, np.argsort(-other.score(users, items), axis=1, kind="stable"))


@pytest.mark.parametrize("setting", ["cold", "warm"])
def test_learnt_weights_are_at_least_as_good_as_the_best_member(data: Dataset, setting: str) -> None:
    validation = hold_out(data, setting, seed=0, fold=0)
    events: list[dict] = []
    blend = create("blend", {"members": ["kernel", "tfidf", EMBED]})
    blend.fit(data, validation=validation, monitor=events.append)
    found = next(event for event in events if event["event"] == "weights")
    assert found["setting"] == setting
    assert sum(found["weights"].values()) == pytest.approx(1, abs=0.01)
    assert {event["member"] for event in events if event["event"] == "epoch"} == {"embed"}
    for name in ("kernel", "tfidf"):
        score, _ = create(name).fit(validation.train).scorer(validation.candidates)
        assert blend.report.validation >= fold_recall(validation, score, 10) - 1e-9
    other = "warm" if setting == "cold" else "cold"
    np.testing.assert_array_equal(blend._weights[setting], blend._weights[other])


def test_both_kinds_of_weights(data: Dataset) -> None:
    events: list[dict] = []
    create("blend", {"members": ["kernel", "tfidf"], "learn": "both"}).fit(data, monitor=events.append)
    assert [event["setting"] for event in events if event["event"] == "weights"] == ["warm", "cold"]


def test_an_encoder_is_trained_once_and_completed(data: Dataset) -> None:
    validation = hold_out(data, "warm", seed=0, fold=0)  # no text is held out, so both know the same words
    events: list[dict] = []
    blend = create("blend", {"members": [EMBED, "tfidf"]}, seed=4)
    blend.fit(data, validation=validation, monitor=events.append)
    alone = create("embed", {"epochs": 2, "factors": 8, "min_count": 1}, seed=4).fit(data, validation=validation)
    np.testing.assert_allclose(blend._members[0].encode([TEXT]), alone.encode([TEXT]), rtol=1e-5)
    np.testing.assert_allclose(blend._members[0].score(None), alone.score(None), rtol=1e-4, atol=1e-6)
    assert len([event for event in events if event["event"] == "epoch" and not event.get("refit")]) == 2


def test_a_kernel_inside_a_blend_has_an_encoder_of_its_own_trained_once(data: Dataset) -> None:
    validation = hold_out(data, "cold", seed=0, fold=0)
    events: list[dict] = []
    member = f"kernel kernel=vectors encoder='{EMBED}'"
    blend = create("blend", {"members": [member, "tfidf"]}, seed=4)
    blend.fit(data, validation=validation, monitor=events.append)
    assert len([event for event in events if event["event"] == "epoch" and not event.get("refit")]) == 2
    assert [len(member._features) for member in blend._members[:1]] == [data.n_items]
    assert len(blend.recommend("0", items=[TEXT, "sleep research"], k=2)) == 2


@pytest.mark.parametrize("settings", ["trained_layers=1", "trained_layers=0"])
def test_a_transformer_goes_on_with_all_of_its_pieces(data: Dataset, settings: str) -> None:
    validation = hold_out(data, "cold", seed=0, fold=0)
    member = f"transformer-mtl sentence_model={tiny_transformer.folder()} epochs=1 factors=8 {settings}"
    blend = create("blend", {"members": [member, f"kernel kernel=vectors encoder='{member}'"]})
    blend.fit(data, validation=validation)
    pieces = Transformer(load_pretrained(tiny_transformer.folder()), 8, trained_layers=1, dropout=0.0).words.weight
    assert [each._encoder.words.weight.shape for each in _encoders(blend)] == [pieces.shape, pieces.shape]
    assert len(blend.recommend("0", items=[TEXT, "sleep research"], k=2)) == 2


def _encoders(blend: BlendModel) -> list[Any]:
    """The transformer itself, and the one within the kernel."""
    return [blend._members[0], blend._members[1]._kernel.sentences.member]


def test_a_member_that_cannot_read_is_for_known_items(data: Dataset) -> None:
    validation = hold_out(data, "warm", seed=0, fold=0)
    blend = create("blend", {"members": ["als factors=8 sweeps=2", "kernel"]}).fit(data, validation=validation)
    assert len(blend.recommend("0", k=3)) == 3
    with pytest.raises(CapabilityError, match=r"'als' lacks the capability 'cold' \(it is a member of the blend\)"):
        blend.recommend("0", items=[TEXT], k=1)


def test_with_a_member_that_cannot_read_known_items_decide_the_weights(data: Dataset) -> None:
    events: list[dict] = []
    settings = {"members": ["als factors=8 sweeps=2", "kernel"], "learn": "both"}
    blend = create("blend", settings)
    assert "cold" not in blend.capabilities
    blend.fit(data, monitor=events.append)
    assert [event["setting"] for event in events if event["event"] == "weights"] == ["warm"]


def test_without_enough_likes_to_hold_out_members_have_equal_weights(data: Dataset) -> None:
    few = data.take_items(np.arange(5)).filtered(min_likes=0)
    few = dataclasses.replace(few, users=Ids(few.users.values[:3]), likes=few.likes[:3], timestamps=None)
    with pytest.warns(TextrecWarning, match="blend: no weights are learnt for cold items: "):
        blend = create("blend", {"members": ["kernel", EMBED], "warm_weights": [3, 1], "learn": "both"}).fit(few)
    assert {setting: list(weights) for setting, weights in blend._weights.items()} == {
        "cold": [0.75, 0.25],
        "warm": [0.75, 0.25],
    }
    with pytest.warns(TextrecWarning):
        even = create("blend", {"members": ["kernel", EMBED]}).fit(few)
    assert list(even._weights["cold"]) == list(even._weights["warm"]) == [0.5, 0.5]
    with pytest.warns(TextrecWarning, match="embed: training without validation: "):
        create("kernel", {"kernel": "vectors", "encoder": EMBED}).fit(few)


def test_given_weights_are_not_looked_for(data: Dataset) -> None:
    events: list[dict] = []
    settings = {"members": ["kernel", "tfidf"], "cold_weights": [3.0, 1.0]}
    blend = create("blend", settings).fit(data, monitor=events.append)
    assert [event for event in events if event["event"] == "weights"] == []
    np.testing.assert_allclose([blend._weights["cold"], blend._weights["warm"]], [[0.75, 0.25]] * 2)


@pytest.mark.parametrize("during", ["training", "completing"])
def test_ctrl_c_in_a_member_ends_the_blend(data: Dataset, during: str) -> None:
    def monitor(event: Mapping[str, Any]) -> None:
        if event["event"] == "step" and bool(event.get("refit")) == (during == "completing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create("blend", {"members": [EMBED, "kernel"]}).fit(data, monitor=monitor)


def test_what_members_encoded_is_counted(data: Dataset) -> None:
    blend = create("blend", {"members": [f"kernel kernel=vectors encoder='{EMBED}'", EMBED]}).fit(data)
    kernel, embed = blend._members
    assert kernel.report.tokens_encoded == embed.report.tokens_encoded > 0
    assert blend.report.tokens_encoded == 2 * embed.report.tokens_encoded


def test_a_member_that_needs_word_order_refuses_bags_before_any_is_trained(data: Dataset) -> None:
    blend = create("blend", {"members": ["kernel", "gru-mtl epochs=1 factors=8"]})
    items = data.items
    bags = Documents.from_bags(items.documents.words, items.documents.matrix())
    bagged = Items.build(items.ids.values, documents=bags, tags=items.tags, tag_names=items.tag_names)
    events: list[dict] = []
    with pytest.raises(CapabilityError, match="word counts only"):
        blend.fit(dataclasses.replace(data, items=bagged), monitor=events.append)
    assert events == []
    with pytest.raises(CapabilityError, match="word counts only"):
        create("blend", {"members": ["kernel", "gru-mtl epochs=1 factors=8"], "cold_weights": [1, 1]}).fit(
            data
        ).recommend("0", items=dataclasses.replace(bagged.take(np.arange(3)), ids=Ids(["a", "b", "c"])), k=1)


def test_a_folder_keeps_members_vocabularies_and_weights(data: Dataset, tmp_path) -> None:
    blend = create("blend", {"members": ["kernel", "tfidf", EMBED]}).fit(data)
    loaded = load(save(blend, tmp_path / "model"))
    np.testing.assert_allclose(loaded.score(None), blend.score(None), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loaded.score(None, [TEXT]), blend.score(None, [TEXT]), rtol=1e-4, atol=1e-5)


def test_members_have_their_own_checkpoints(data: Dataset, tmp_path) -> None:
    create("blend", {"members": ["kernel", EMBED]}).fit(data, checkpoint=Checkpoint(tmp_path))
    assert (tmp_path / "member-1" / "checkpoint.safetensors").is_file()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"members": []}, "members must name at least one model, got none"),
        ({"members": ["kernle"]}, r"members: 'kernle': unknown model 'kernle'; did you mean 'kernel'"),
        ({"members": ["kernel width"]}, "'width' must be field=value"),
        ({"members": ["kernel encoder='embed"]}, "No closing quotation"),
        ({"members": ["kernel width=0"]}, "width must be above 0"),
        ({"members": ["kernel wdth=1"]}, "unknown field 'wdth'; did you mean 'width'"),
        ({"members": ["blend"]}, "a blend cannot be a member of a blend"),
        ({"members": ["tfidf"], "cold_weights": [1, 2]}, r"cold_weights must be 1 numbers of at least 0, got \[1, 2\]"),
        ({"members": ["tfidf"], "warm_weights": [-1]}, "warm_weights must be 1 numbers of at least 0"),
    ],
)
def test_faults_are_named(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        BlendConfig.from_mapping(settings)
