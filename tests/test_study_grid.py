from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textrec.dataset import Dataset, Ids, Items, binary_csr
from textrec.errors import ConfigError
from textrec.registry import create
from textrec.study.cells import Cell
from textrec.study.grid import Spec, load_spec, shipped_specs
from textrec.study.runner import able
from textrec.text import Documents


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_grid_is_every_combination_that_the_models_can_do(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        summary = "two blocks"
        data = ["sample", "other"]
        settings = ["cold", "warm"]
        folds = [0, 2]
        [[grid]]
        models = ["tfidf", "popularity"]
        seeds = [0, 1]
        [[grid]]
        data = ["sample"]
        settings = ["cold"]
        models = ["tfidf"]
        variant = "words"
        config = { ngrams = 1 }
        transductive = true
        """,
    )
    spec = load_spec(path)
    cells = spec.cells()
    assert (spec.name, spec.summary) == ("mine", "two blocks")
    # tfidf: 2 data × 2 settings × 2 seeds × 2 folds; popularity cannot rank new items, so warm only
    assert len(cells) == 16 + 8 + 2
    assert {cell.fold for cell in cells} == {0, 2}
    assert not [cell for cell in cells if cell.model == "popularity" and cell.setting == "cold"]
    last = cells[-1]
    assert last.config == {"ngrams": 1, "min_items": 2, "sublinear": True}
    assert last.name == "sample_cold_tfidf_words_transductive_seed0_fold2"
    assert last.split_name == "sample_cold_seed0"


def test_a_blend_can_what_its_members_can(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        data = ["sample"]
        settings = ["cold", "warm"]
        folds = [0]
        [[grid]]
        models = ["blend"]
        config = { members = ["kernel", "als"] }
        [[grid]]
        models = ["blend"]
        variant = "ordered"
        config = { members = ["kernel kernel=vectors", "tfidf"] }
        """,
    )
    cells = load_spec(path).cells()
    assert [(cell.variant, cell.setting) for cell in cells] == [("", "warm"), ("ordered", "cold"), ("ordered", "warm")]
    items = Items.build(["a"], documents=Documents.from_bags(["word"], np.ones((1, 1))))
    bags = Dataset(Ids(["u"]), items, binary_csr(np.array([0]), np.array([0]), (1, 1)))
    assert [able(cell, bags) for cell in cells] == [True, False, False]


def test_settings_that_do_not_matter_are_not_kept() -> None:
    block = {
        "data": ["sample"], "models": ["tfidf"], "settings": ["warm", "time"], "cutoff": "2025-09-01",
        "candidates": "all", "transductive": True,
    }  # fmt: skip
    warm, *rest = Spec.from_toml_values({"grid": [block], "folds": [3]}).cells()
    assert (warm.cutoff, warm.candidates, warm.transductive) == (None, "eligible", False)
    assert [(cell.fold, cell.cutoff) for cell in rest] == [(0, "2025-09-01")]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"\[\[grid\]\] 1: data must name at least one"),
        (
            {"grid": [{"models": ["tfidf"], "data": ["a"], "setting": ["cold"]}]},
            "unknown field 'setting'; did you mean",
        ),
        ({"grid": [{"models": ["tfdf"], "data": ["a"]}]}, "unknown model 'tfdf'; did you mean 'tfidf'"),
        ({"grid": [{"models": ["tfidf"], "data": ["a"], "settings": ["hot"]}]}, "cold, warm or time, got 'hot'"),
        ({"grid": [{"models": ["tfidf"], "data": ["a"], "folds": [5]}]}, "folds must be from 0 to 4, got 5"),
        ({"grid": [{"models": ["tfidf"], "data": ["a"], "seeds": [-1]}]}, "whole numbers of at least 0, got -1"),
        ({"grid": [{"models": ["tfidf"], "data": ["a"], "variant": "a b"}]}, "letters, digits, dots and dashes"),
        (
            {"grid": [{"models": ["tfidf"], "data": ["a"], "config": {"ngram": 1}}]},
            "model 'tfidf': unknown field 'ngram'",
        ),
        ({"grid": [{"models": ["popularity"], "data": ["a"]}]}, "the grid has no cells"),
        ({"grid": [{"models": ["tfidf"], "data": ["a"]}] * 2}, "two cells are called 'a_cold_tfidf_seed0_fold0'"),
        ({"grid": 3}, r"grid must be written as \[\[grid\]\] blocks"),
        ({"baselines": ["x"], "grid": [{"models": ["tfidf"], "data": ["a"]}]}, "baselines: unknown model 'x'"),
    ],
)
def test_bad_grids_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Spec.from_toml_values(values)


def test_files_and_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no experiment 'smok': give a TOML file or one of .*smoke"):
        load_spec("smok")
    with pytest.raises(ConfigError, match=r"mine\.toml: not valid TOML"):
        load_spec(written(tmp_path, "data = ["))
    with pytest.raises(ConfigError, match=r"mine\.toml: \[\[grid\]\] 1: models must name at least one"):
        load_spec(written(tmp_path, "data = ['sample']"))


@pytest.mark.parametrize("name", shipped_specs())
def test_shipped_specs_are_sound(name: str) -> None:
    spec = load_spec(name)
    assert spec.name == name
    assert spec.summary
    assert spec.cells()


def test_a_stored_cell_is_the_same_when_it_ran_the_same() -> None:
    config = create("embed").config.to_dict()
    cell = Cell("somewhere/sample", "cold", "embed", 1, config=config)
    stored = cell.to_dict()
    assert cell.same_as(stored)
    assert cell.same_as({**stored, "data": "sample", "variant": "other"})
    without = {name: value for name, value in config.items() if name != "word_dropout"}
    assert cell.same_as({**stored, "config": without})  # a field that came later had its default
    assert not cell.same_as({**stored, "config": {**config, "factors": 7}})
    assert not cell.same_as({**stored, "fold": 2})
    assert not cell.same_as({**stored, "seed": 2})


def test_a_field_that_came_later_and_changed_results_tells_cells_apart() -> None:
    config = create("embed-mtl").config.to_dict()
    old = {name: value for name, value in config.items() if name != "neighbours"}
    cold, warm = (Cell("sample", setting, "embed-mtl", 0, config=config) for setting in ("cold", "warm"))
    assert not cold.same_as({**cold.to_dict(), "config": old})
    assert warm.same_as({**warm.to_dict(), "config": old})  # known items are where they were
    at_text = Cell("sample", "cold", "embed-mtl", 0, variant="at-text", config={**config, "neighbours": 0})
    assert at_text.same_as({**cold.to_dict(), "config": old})


def test_paths_count_by_their_last_part_and_nothing_else_is_cut_off() -> None:
    kernel = create("kernel").config.to_dict()

    def cell(encoder: str) -> Cell:
        return Cell("sample", "cold", "kernel", 0, config={**kernel, "encoder": encoder})

    gru = cell("gru-mtl word_vectors=a/vectors epochs=3")
    assert gru.same_as(cell("gru-mtl word_vectors=/b/c/vectors epochs=3").to_dict())
    assert not gru.same_as(cell("embed-mtl word_vectors=a/vectors epochs=3").to_dict())
    assert not gru.same_as(cell("gru-mtl word_vectors=a/vectors epochs=4").to_dict())
    plain = cell("embed").to_dict()
    assert Cell(**{**plain, "data": "my data/sample/"}).same_as({**plain, "data": "/else where/sample"})
    assert not Cell(**{**plain, "data": "a/sample/"}).same_as({**plain, "data": "a/other/"})
    blends = [[f"kernel encoder='gru word_vectors={folder}/v'", "tfidf"] for folder in ("a", "b/c")]
    settings = create("blend").config.to_dict()
    first, second = (Cell("sample", "cold", "blend", 0, config={**settings, "members": one}) for one in blends)
    assert first.same_as(second.to_dict())
    assert not first.same_as({**second.to_dict(), "config": {**settings, "members": blends[1][:1]}})


def test_cells_that_are_split_otherwise_have_folds_of_their_own() -> None:
    plain = Cell("sample", "time", "tfidf", 0)
    others = [Cell("sample", "time", "tfidf", 0, cutoff=cutoff) for cutoff in ("2010-01-01", "2011-01-01")]
    others += [Cell("sample", "time", "tfidf", 0, n_folds=10), Cell("sample", "time", "tfidf", 0, min_likes=9)]
    assert len({cell.split_name for cell in [plain, *others]}) == 5
