"""What answers look like, for OpenAPI."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "Audience",
    "Done",
    "Explanations",
    "Health",
    "Item",
    "Items",
    "Likes",
    "Neighbours",
    "ProblemOut",
    "Recommendations",
    "Stored",
    "Tags",
    "User",
    "Users",
]

PAPER: dict[str, Any] = {"item_id": "18", "title": "Graph networks for protein folding", "score": 0.83}


class Scored(BaseModel):
    """An item in a list."""

    rank: int
    item_id: str
    title: str
    score: float


class Recommended(Scored):
    """An item in a list of recommendations."""

    tags: list[str]


class Recommendations(BaseModel):
    """The best items, best first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user": "17", "items": [{"rank": 1, **PAPER, "tags": ["proteins"]}]}]}
    )
    user: str | None
    items: list[Recommended]


class Neighbours(BaseModel):
    """The nearest items by cosine."""

    items: list[Scored]


class Reader(BaseModel):
    """A user in a list."""

    rank: int
    user_id: str
    score: float


class Audience(BaseModel):
    """Who would want it most."""

    users: list[Reader]


class PredictedTag(BaseModel):
    """A tag and its probability."""

    rank: int
    tag: str
    score: float


class Tags(BaseModel):
    """The likeliest tags."""

    tags: list[PredictedTag]


class Item(BaseModel):
    """An item: of the model, or added by a client."""

    item_id: str
    title: str
    text: str
    tags: list[str]
    source: Literal["model", "added"]


class Found(BaseModel):
    """An item found by a search."""

    item_id: str
    title: str
    source: Literal["model", "added"]


class Items(BaseModel):
    """Items found by a search."""

    items: list[Found]


class StoredOne(BaseModel):
    """Whether an item is new; False: it was there already, word for word."""

    item_id: str
    created: bool


class Stored(BaseModel):
    """What became of the items, in their order; on the disk and recommendable."""

    items: list[StoredOne]


class Likes(BaseModel):
    """How many likes were taken in."""

    likes: int
    users: list[str]


class UserFound(BaseModel):
    """A user and how much they like."""

    user_id: str
    likes: int


class Users(BaseModel):
    """Users found by the start of their name."""

    users: list[UserFound]


class LikedItem(BaseModel):
    """Something a user likes."""

    item_id: str
    title: str


class User(BaseModel):
    """A user and what they like, newest last."""

    user_id: str
    likes: list[LikedItem]


class Explanations(BaseModel):
    """Each as `textrec explain --json` writes it (docs/json.md)."""

    explanations: list[dict[str, Any]]


class Done(BaseModel):
    """It is done."""

    status: str


class Health(BaseModel):
    """What runs here."""

    status: str
    model: str
    items: int
    added: int
    users: int


class ProblemOut(BaseModel):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None
