"""What the paper prints: the one place where its figures stand."""

from __future__ import annotations

__all__ = ["HIT_RATE", "TABLE_1", "printed", "remark"]

TABLE_1: dict[str, dict[str, dict[str, float]]] = {
    "citeulike-a": {
        "warm": {
            "gru-mtl": 38.33,
            "gru": 36.87,
            "ctr-mtl": 35.51,
            "ctr": 31.10,
            "embed-mtl": 36.64,
            "embed": 33.95,
        },
        "cold": {
            "gru-mtl": 49.76,
            "gru": 46.16,
            "ctr-mtl": 39.87,
            "ctr": 39.00,
            "embed-mtl": 41.71,
            "embed": 38.53,
        },
        "tags": {"gru-mtl": 60.52, "ctr-mtl": 48.95, "embed-mtl": 60.36},
    },
    "citeulike-t": {
        "warm": {
            "gru-mtl": 45.60,
            "gru": 42.59,
            "ctr-mtl": 46.82,
            "ctr": 40.44,
            "embed-mtl": 43.02,
            "embed": 37.98,
        },
        "cold": {
            "gru-mtl": 51.22,
            "gru": 47.59,
            "ctr-mtl": 34.98,
            "ctr": 33.74,
            "embed-mtl": 38.16,
            "embed": 35.85,
        },
        "tags": {"gru-mtl": 62.32, "ctr-mtl": 46.66, "embed-mtl": 62.29},
    },
}
"""Recall@50 in percent (Table 1): data → setting, or `tags` for cold tag prediction → model."""

HIT_RATE = {"gru-mtl": 0.098, "ctr-mtl": 0.077}
"""HR@10 (§4.2), warm; the paper names no data set."""

_SAME_AS = {
    "citeulike-a": ("citeulike-a", ""),
    "citeulike-a-titles": ("citeulike-a", "titles only here; the paper's models read title and abstract"),
    "citeulike-t": ("citeulike-t", "125,580 likes here, what the paper's own filter leaves; it prints 134,860"),
}


def printed(data: str, column: str, model: str) -> float | None:
    """The paper's Recall@50 in percent, or None where it has none.

    Args:
        data: name of our data; `citeulike-a-titles` stands beside the paper's `citeulike-a`.
        column: cold, warm or tags.
        model: name of our model.
    """
    theirs, _ = _SAME_AS.get(data, ("", ""))
    return TABLE_1.get(theirs, {}).get(column, {}).get(model)


def remark(data: str) -> str:
    """In what our data differ from the paper's; empty for the same, or for data that the paper does not have."""
    return _SAME_AS.get(data, ("", ""))[1]
