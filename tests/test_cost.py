"""What models cost: the README's table and the drawing are those of the committed figures."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmark_scripts import script
from textrec.data.sample import sample
from textrec.registry import MODELS

ROOT = Path(__file__).parents[1]
ENTRIES: dict[str, Any] = {
    "gru": {"recall@50": 0.5, "seconds": 400.0, "read_seconds": 0.3, "megabytes": 30.0},
    "tfidf": {"recall@50": 0.4, "seconds": 1.2, "read_seconds": 0.04, "megabytes": 3.0},
    "blend": {"read_seconds": 2.0, "megabytes": 90.0},
}


@pytest.fixture(scope="module")
def cost() -> ModuleType:
    return script("cost")


def committed(cost: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cost.RESULT.read_text(encoding="utf-8"))
    return found


def test_table_and_drawing_are_those_of_the_figures(cost: ModuleType) -> None:
    entries = committed(cost)
    text = cost.README.read_text(encoding="utf-8")
    assert text == cost.readme_with_table(text, entries), (
        "run `make bench-cost`: the cost table is not that of the figures"
    )
    assert cost.DRAWING.read_text(encoding="utf-8") == cost.svg_of(cost.drawing(entries)), "run `make bench-cost`"


def test_figures_are_those_of_the_runs(cost: ModuleType) -> None:
    entries = committed(cost)
    assert entries == cost.with_quality(entries, cost.quality()), "run `make readme` after a new run"


def test_every_model_that_ranks_new_items_is_a_row(cost: ModuleType) -> None:
    models = {model for model, _ in cost.rows().values()}
    assert set(MODELS) - models <= {"popularity", "ease", "als", "joined"}  # the first three know no new items


def test_the_best_comes_first_and_what_has_no_run_last(cost: ModuleType) -> None:
    merged = cost.with_quality(ENTRIES, {"tfidf": {"recall@50": 0.6, "seconds": 2.0}})
    assert list(merged) == ["tfidf", "gru", "blend"]
    assert merged["tfidf"]["seconds"] == 2.0
    assert cost.table(merged).splitlines()[2:] == [
        "| tfidf | 0.600 | 2 | 0.04 | 3 |",
        "| gru | 0.500 | 400 | 0.3 | 30 |",
        "| blend | not yet | – | 2 | 90 |",
    ]


def test_the_drawing_is_the_same_for_the_same_figures(cost: ModuleType) -> None:
    assert cost.svg_of(cost.drawing(ENTRIES)) == cost.svg_of(cost.drawing(ENTRIES))


@pytest.mark.parametrize(("model", "config"), [("embed-mtl", {"epochs": 9, "factors": 8}), ("tfidf", {})])
def test_a_model_is_measured_after_a_short_fit(cost: ModuleType, model: str, config: dict[str, Any]) -> None:
    entry = cost.measure(model, config, sample())
    assert 0 < entry["read_seconds"] < 60
    assert 0.001 < entry["megabytes"] < 50
    assert entry["model"] == model


def test_members_of_a_blend_are_trained_shortly_too(cost: ModuleType) -> None:
    made = cost.short({"members": ("kernel kernel=product", "embed-mtl word_vectors=v"), "cold_weights": ()})
    assert made["members"] == [
        "kernel kernel=product",
        "embed-mtl word_vectors=v epochs=1 refit_epochs=0 tag_epochs=0 sweeps=1",
    ]
    assert made["cold_weights"] == [1.0, 1.0]


def test_the_encoder_of_a_kernel_is_trained_shortly_too(cost: ModuleType) -> None:
    short = "embed word_vectors=v epochs=1 refit_epochs=0 sweeps=1"
    assert cost.short({"kernel": "vectors", "encoder": "embed word_vectors=v"})["encoder"] == short
    made = cost.short({"members": ["kernel kernel=vectors encoder='embed word_vectors=v'"], "cold_weights": ()})
    assert made["members"] == [f"kernel kernel=vectors encoder='{short}'"]
