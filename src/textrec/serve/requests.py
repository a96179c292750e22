"""What requests look like: every field checked on the way in, documented with examples in OpenAPI."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    model_validator,
)
from pydantic import Tag as UnionTag

from textrec.serve import limits

__all__ = [
    "AudienceRequest",
    "ExplainRequest",
    "ItemIn",
    "ItemOrItems",
    "Like",
    "LikesRequest",
    "Nothing",
    "RecommendRequest",
    "TextRequest",
    "TopK",
]


# OpenAPI says what the validators of this file check, so that clients made from it send what is accepted.
BLANKS = r"\s\x1c-\x1f\x85\ufeff"
"""Python and ECMAScript differ in what \\s is; this is what either takes for a blank."""

SOMETHING = f"[^{BLANKS}]"
CLEAN: dict[str, Any] = {"pattern": r"^[^\x00]*$"}
PLAIN: dict[str, Any] = {"pattern": rf"^[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f{BLANKS}][^\x00-\x1f\x7f]*$"}
NULL, BLANK = {"type": "null"}, {"pattern": f"^[{BLANKS}]*$"}
HAS_WORDS: list[JsonValue] = [
    {"required": [name], "properties": {name: {"pattern": SOMETHING}}} for name in ("title", "text")
]


def _clean(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the character NUL")
    return value


def _plain(value: str) -> str:
    if not _has_words(value) or any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("must not be blank or contain control characters")
    return value


def _has_words(*values: str) -> bool:
    return any(re.search(SOMETHING, value) for value in values)


def _whole(value: Any) -> Any:
    """JSON does not tell 10.0 from 10."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _exactly_one(**types: str) -> dict[str, Any]:
    """One of these fields, for OpenAPI."""
    return {
        "oneOf": [
            {"required": [name], "properties": dict.fromkeys(types, NULL) | {name: {"type": kind}}}
            for name, kind in types.items()
        ]
    }


def _named_or_words(name: str, kind: str) -> dict[str, Any]:
    """Either this field, or a title or a text, for OpenAPI."""
    named = {"required": [name], "properties": {name: {"type": kind}, "title": BLANK, "text": BLANK}}
    return {"oneOf": [named, {"properties": {name: NULL}, "anyOf": HAS_WORDS}]}


Id = Annotated[str, Field(min_length=1, max_length=limits.ID_LENGTH, json_schema_extra=PLAIN), AfterValidator(_plain)]
Tag = Annotated[str, Field(min_length=1, max_length=limits.TAG_LENGTH, json_schema_extra=PLAIN), AfterValidator(_plain)]
Title = Annotated[str, Field(max_length=limits.TITLE_LENGTH, json_schema_extra=CLEAN), AfterValidator(_clean)]
Text = Annotated[str, Field(max_length=limits.TEXT_LENGTH, json_schema_extra=CLEAN), AfterValidator(_clean)]
TopK = Annotated[int, Field(ge=1, le=limits.TOP, strict=True, description="How many."), BeforeValidator(_whole)]
Liked = Annotated[
    list[
        Annotated[
            str, Field(min_length=1, max_length=limits.TEXT_LENGTH, json_schema_extra=CLEAN), AfterValidator(_clean)
        ]
    ],
    Field(min_length=1, max_length=limits.LIKED, description="Ids of items, or texts of two words or more."),
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(_In):
    """An empty object."""


class _Person(_In):
    """Exactly one of `user` and `liked`."""

    user: Id | None = None
    liked: Liked | None = None

    @model_validator(mode="after")
    def _one_person(self) -> Self:
        if (self.user is None) == (self.liked is None):
            raise ValueError("give exactly one of user and liked")
        return self


class RecommendRequest(_Person):
    """For whom, how many, and from where."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user": "17", "k": 10}, {"liked": ["3", "Graph networks for protein folding"], "k": 5}],
            **_exactly_one(user="string", liked="array"),
        }
    )
    k: TopK = 10
    exclude_seen: bool = True
    tag: Tag | None = Field(None, description="Only items that carry this tag.")


class ItemIn(_In):
    """A text to store, read and recommend."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "new-1",
                    "title": "Graph networks for protein folding",
                    "text": "We fold …",
                    "tags": ["proteins"],
                }
            ],
            "anyOf": HAS_WORDS,
        }
    )
    id: Id
    title: Title = ""
    text: Text = ""
    tags: Annotated[list[Tag], Field(max_length=limits.TAGS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not _has_words(self.title, self.text):
            raise ValueError("give a title or a text")
        return self


ItemOrItems = Annotated[
    Annotated[ItemIn, UnionTag("[item]")]
    | Annotated[list[ItemIn], Field(min_length=1, max_length=limits.BATCH), UnionTag("[list]")],
    Discriminator(lambda body: "[list]" if isinstance(body, list) else "[item]"),
]
"""One or a list; a fault is told of what it is meant to be."""


class Like(_In):
    """Who likes what."""

    user: Id
    item: Id


class LikesRequest(_In):
    """Likes to store; their users are solved again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"likes": [{"user": "17", "item": "18"}]}]})
    likes: Annotated[list[Like], Field(min_length=1, max_length=limits.BATCH)]


class TextRequest(_In):
    """A text, or the id of an item."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "Graph networks for protein folding", "k": 5}, {"item": "18", "k": 5}],
            **_named_or_words("item", "string"),
        }
    )
    item: Id | None = None
    title: Title = ""
    text: Text = ""
    k: TopK = 10

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if (self.item is None) != _has_words(self.title, self.text):
            raise ValueError("give either item, or title and text")
        return self


class AudienceRequest(TextRequest):
    """A text, or the id of an item, whose readers are asked for."""


class ExplainRequest(_In):
    """Why items, or a text, have their scores: for a user, somebody with these likes, or a tag."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user": "17", "items": ["18"]}, {"tag": "proteins", "text": "Graph networks for proteins"}],
            "allOf": [
                _exactly_one(user="string", liked="array", tag="string"),
                _named_or_words("items", "array"),
            ],
        }
    )
    user: Id | None = None
    liked: Liked | None = None
    tag: Tag | None = None
    items: (
        Annotated[list[Id], Field(min_length=1, max_length=limits.EXPLAINED, json_schema_extra={"uniqueItems": True})]
        | None
    ) = None
    title: Title = ""
    text: Text = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sum(given is not None for given in (self.user, self.liked, self.tag)) != 1:
            raise ValueError("give exactly one of user, liked and tag")
        if (self.items is None) != _has_words(self.title, self.text):
            raise ValueError("give either items, or title and text")
        if self.items is not None and len(set(self.items)) != len(self.items):
            raise ValueError("items must be distinct")
        return self
