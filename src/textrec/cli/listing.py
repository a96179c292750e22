"""Ranked frames as tables with titles and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textrec.cli.output import print_table

if TYPE_CHECKING:
    import polars as pl

    from textrec.dataset import Items
    from textrec.learn.recommender import Recommender

__all__ = ["Labels", "asked_items", "grouped", "print_lists"]


class Labels:
    """What to call items in lists: those of a model's catalogue, and new ones.

    Args:
        model: whose catalogue comes first.
        new: other items.
    """

    def __init__(self, model: Recommender, new: Items | None = None) -> None:
        self._tables = [model.data.items] + ([new] if new is not None else [])

    def __getitem__(self, item_id: str) -> str:
        for table in self._tables:
            row = int(table.ids.rows([item_id])[0])
            if row >= 0:
                return table.label(row)
        return ""

    def is_new(self, item_id: str) -> bool:
        """Whether the catalogue lacks the item."""
        return item_id not in self._tables[0].ids


def asked_items(ids: list[str] | None, texts: list[str] | None) -> tuple[Any, Items | None]:
    """The items a command was asked about, for a `Recommender`, and those of them that are new.

    Raises:
        ArgumentError: neither ids nor texts, or both.
    """
    from textrec.errors import ArgumentError
    from textrec.learn.selection import as_new_items

    if bool(ids) == bool(texts):
        raise ArgumentError("give either item ids or --text, and one of them at least")
    if ids:
        return list(dict.fromkeys(ids)), None
    new = as_new_items(texts)
    return new, new


def grouped(frame: pl.DataFrame, key: str, name: str, labels: Labels) -> list[dict[str, Any]]:
    """A frame `key, rank, …, score` as `[{key, name: [{rank, …, score}]}]`, items with their titles."""
    groups: list[dict[str, Any]] = []
    for row in frame.iter_rows(named=True):
        owner = row.pop(key)
        if not groups or groups[-1][key] != owner:
            title = {"title": labels[owner]} if key == "item_id" else {}
            groups.append({key: owner, **title, name: []})
        groups[-1][name].append(_entry(row, labels))
    return groups


def _entry(row: dict[str, Any], labels: Labels) -> dict[str, Any]:
    item = row.pop("similar_id", None) or row.get("item_id")
    if item is None:
        return row
    score = row.pop("score")
    return {"rank": row["rank"], "item_id": item, "title": labels[item], "score": score, "new": labels.is_new(item)}


def print_lists(groups: list[dict[str, Any]], name: str, heading: str, columns: dict[str, str]) -> None:
    """A table a group.

    Args:
        groups: of `grouped`.
        name: the key of their lists.
        heading: above each table, filled in from the group.
        columns: heading → key of an entry; `title` is cut where there is no room.
    """
    for group in groups:
        rows = [[entry[key] for key in columns.values()] for entry in group[name]]
        print_table(heading.format(**group), list(columns), rows, text=("title",))
