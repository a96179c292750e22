"""`describe`: every number on a data set small enough to count by hand, and on the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from textrec.data.citeulike import read_citeulike
from textrec.data.statistics import describe
from textrec.data.tables import read_tables


def small(**likes: Any) -> dict[str, Any]:
    items = {
        "item_id": [f"i{row}" for row in range(12)],
        "title": ["net net net", "net", "net graph", *[""] * 9],
        "tags": [["a", "b"], *[["a"]] * 10, []],
    }
    columns = {
        "user_id": ["u"] * 6 + ["v"] * 5 + ["w"],
        "item_id": [f"i{row}" for row in [*range(6), *range(5), 0]],
        **likes,
    }
    return describe(read_tables(pl.DataFrame(columns), pl.DataFrame(items), name="small"))


def test_every_number() -> None:
    found = small()
    (problem,) = found.pop("problems")
    assert problem["severity"] == "warning"
    assert problem["count"] == 9
    assert found == {
        "name": "small",
        "users": 3,
        "items": 12,
        "likes": 12,
        "sparsity_percent": round(100 * 24 / 36, 4),
        "items_with_5_likes": 0,
        "tags": 2,
        "tags_used": 2,
        "tags_on_10_items": 1,
        "filtered": {
            "users": 2,
            "items": 12,
            "likes": 11,
            "sparsity_percent": round(100 * 13 / 24, 4),
            "items_with_5_likes": 0,
            "tags": 1,
            "tags_on_10_items": 1,
        },
        "likes_per_user": {"median": 5.0, "max": 6},
        "likes_per_item": {"median": 0.5, "max": 3},
        "text": {"ordered": True, "mean": 0.5, "median": 0.0, "max": 3, "p95": 2.45, "empty": 9},
        "vocabulary": 1,
        "paper_vocabulary": None,
        "timestamps": None,
    }


def test_times_and_json() -> None:
    found = small(timestamp=["2024-05-01T12:00:00Z", *["1970-01-01"] * 11])
    assert found["timestamps"] == {"first": "1970-01-01T00:00:00Z", "last": "2024-05-01T12:00:00Z"}
    assert json.loads(json.dumps(found)) == found


def test_filters_that_leave_nobody() -> None:
    found = small(user_id=[f"u{row}" for row in range(12)])
    assert found["filtered"] is None


@pytest.mark.real
def test_real_folders(real_data: Path) -> None:
    titles = describe(read_citeulike(real_data / "citeulike-a-titles"))
    assert (titles["tags"], titles["tags_used"], titles["tags_on_10_items"]) == (46_391, 46_390, 3_629)
    assert (titles["sparsity_percent"], titles["paper_vocabulary"]) == (99.7825, 21_129)
    bags = describe(read_citeulike(real_data / "citeulike-t"))
    assert (bags["filtered"]["users"], bags["filtered"]["likes"], bags["filtered"]["tags"]) == (5_219, 125_580, 4_222)
    assert (bags["text"]["ordered"], bags["text"]["empty"], bags["paper_vocabulary"]) == (False, 31, 24_697)
