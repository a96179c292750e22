from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textrec.config import Config, bounded
from textrec.registry import MODELS, model_class
from textrec.study.search_space import SPACE, Choice, Range, assembled, flat, space_of


@dataclass(frozen=True)
class Wordy(Config):
    embedding_dim: int = bounded(200, 1)
    factors: int = bounded(200, 1)
    dropout: tuple[float, ...] = (0.1, 0.5, 0.3)
    pooling: Literal["mean", "last"] = "mean"
    ridge_items: float = bounded(1.0, above=0.0)
    word_vectors: str | None = None
    vector_norm: float = bounded(0.4, above=0.0)
    epochs: int = bounded(30, 1)


class Drawer:
    """A trial that draws the lowest value of every domain."""

    def suggest_int(self, name: str, low: int, high: int, log: bool) -> int:
        return low

    def suggest_float(self, name: str, low: float, high: float, log: bool) -> float:
        return low + (high - low) / 3

    def suggest_categorical(self, name: str, values: list[Any]) -> Any:
        return values[0]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("setting", ["cold", "warm"])
def test_what_is_searched_can_be_configured(name: str, setting: Literal["cold", "warm"]) -> None:
    kind = model_class(name).config_type
    space = space_of(kind, {}, setting)
    defaults = flat(kind().to_dict(), space)
    assert defaults.keys() == space.keys()
    for parameter, domain in space.items():
        assert defaults[parameter] in domain, f"{parameter}: the default must be among what is searched"
    ends = [
        {name: pick(domain) for name, domain in space.items()}
        for pick in (
            lambda domain: domain.low if isinstance(domain, Range) else domain.values[0],
            lambda domain: domain.high if isinstance(domain, Range) else domain.values[-1],
        )
    ]
    for values in ends:
        kind.from_mapping(assembled(values))
    drawn = {name: domain.suggest(Drawer(), name) for name, domain in space.items()}
    assert all(drawn[name] in space[name] for name in space)


def test_fields_of_a_configuration_decide() -> None:
    space = space_of(Wordy, {}, "warm")
    assert list(space) == [
        *("factors", "embedding_dim", "pooling", "ridge_items"),
        *("dropout.0", "dropout.1", "dropout.2"),
    ]
    assert space["pooling"] == Choice(("mean", "last"))
    assert "ridge_items" not in space_of(Wordy, {}, "cold")
    assert "factors" not in space_of(Wordy, {"factors": 100}, "cold")
    assert not {"dropout.0", "dropout"} & space_of(Wordy, {"dropout": (0.0, 0.0, 0.0)}, "cold").keys()


def test_word_vectors_fix_their_size() -> None:
    space = space_of(Wordy, {"word_vectors": "vectors/"}, "cold")
    assert "embedding_dim" not in space
    assert {"factors", "vector_norm"} <= space.keys()
    embed = space_of(model_class("embed").config_type, {"word_vectors": "vectors/"}, "cold")
    assert "factors" not in embed
    assert "vector_norm" in embed


def test_a_recipe_has_its_own_fields() -> None:
    kind = model_class("gru-mtl").config_type
    exact, paper = space_of(kind, {}, "warm"), space_of(kind, {"recipe": "paper"}, "warm")
    assert {"hidden_dim", "embedding_dim", "pooling", "dropout_first", "learning_rate"} <= exact.keys() & paper.keys()
    assert {"tag_weight", "ridge_users", "ridge_items", "batch_size"} <= exact.keys() - paper.keys()
    assert {"paper_ridge", "paper_likes_share"} == paper.keys() - exact.keys()


@pytest.mark.parametrize(
    ("fixed", "read"),
    [
        ({}, {"ngrams", "min_items", "imputed", "collaborative"}),
        ({"kernel": "vectors"}, {"width", "imputed", "collaborative"}),
        ({"kernel": "product"}, {"ngrams", "min_items", "width", "share", "imputed", "collaborative"}),
        ({"solver": "nystrom"}, {"ngrams", "min_items"}),
    ],
)
def test_a_kernel_is_searched_in_what_it_reads(fixed: dict[str, str], read: set[str]) -> None:
    found = space_of(model_class("kernel").config_type, fixed, "warm").keys()
    assert found == read | {"unobserved", "ridge_users"}


def test_of_a_pretrained_network_what_is_trained_is_searched() -> None:
    kind = model_class("transformer-mtl").config_type
    assert {"trained_layers", "fine_tuning_rate"} <= space_of(kind, {}, "cold").keys()
    assert not {"fine_tuning_rate", "init_scale"} & space_of(kind, {"trained_layers": 0}, "cold").keys()


def test_tuples_are_taken_apart_and_put_together() -> None:
    values = {"dropout": (0.1, 0.5, 0.3), "pooling": "mean", "epochs": 3}
    parameters = {"dropout.0", "dropout.1", "dropout.2", "pooling"}
    parts = flat(values, parameters)
    assert parts == {"dropout.0": 0.1, "dropout.1": 0.5, "dropout.2": 0.3, "pooling": "mean"}
    assert assembled(parts) == {"dropout": (0.1, 0.5, 0.3), "pooling": "mean"}


@given(st.floats(1e-6, 1e6))
def test_numbers_have_three_digits(value: float) -> None:
    class Fixed(Drawer):
        def suggest_float(self, name: str, low: float, high: float, log: bool) -> float:
            return value

    drawn = Range(1e-7, 1e7, log=True).suggest(Fixed(), "x")
    assert math.isclose(drawn, value, rel_tol=0.006)
    assert float(f"{drawn:.2e}") == drawn
    assert Range(0.0, 1.0).suggest(type("Zero", (Drawer,), {"suggest_float": lambda *_, **__: 0.0})(), "x") == 0.0


def test_domains_know_what_they_hold() -> None:
    assert 2 in Range(1, 3)
    assert 0.5 not in Range(1, 3)
    assert "x" not in Range(1, 3)
    assert "last" in Choice(("mean", "last"))
    assert all(isinstance(domain, Range | Choice) for domain in SPACE.values())
