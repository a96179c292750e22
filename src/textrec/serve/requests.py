"""What requests look like: every field checked on the way in, documented with examples in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from textrec.serve import limits

__all__ = [
    "AudienceRequest",
    "ExplainRequest",
    "ItemIn",
    "Like",
    "LikesRequest",
    "RecommendRequest",
    "TextRequest",
    "TopK",
]


def _clean(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the character NUL")
    return value


def _plain(value: str) -> str:
    if not value.strip() or any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("must not be blank or contain control characters")
    return value


Id = Annotated[str, Field(min_length=1, max_length=limits.ID_LENGTH), AfterValidator(_plain)]
Tag = Annotated[str, Field(min_length=1, max_length=limits.TAG_LENGTH), AfterValidator(_plain)]
Title = Annotated[str, Field(max_length=limits.TITLE_LENGTH), AfterValidator(_clean)]
Text = Annotated[str, Field(max_length=limits.TEXT_LENGTH), AfterValidator(_clean)]
TopK = Annotated[int, Field(ge=1, le=limits.TOP, strict=True, description="How many.")]
Liked = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=limits.TEXT_LENGTH), AfterValidator(_clean)]],
    Field(min_length=1, max_length=limits.LIKED, description="Ids of items, or texts of two words or more."),
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


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
            "examples": [{"user": "17", "k": 10}, {"liked": ["3", "Graph networks for protein folding"], "k": 5}]
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
            ]
        }
    )
    id: Id
    title: Title = ""
    text: Text = ""
    tags: Annotated[list[Tag], Field(max_length=limits.TAGS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if not (self.title.strip() or self.text.strip()):
            raise ValueError("give a title or a text")
        return self


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
        json_schema_extra={"examples": [{"text": "Graph networks for protein folding", "k": 5}, {"item": "18", "k": 5}]}
    )
    item: Id | None = None
    title: Title = ""
    text: Text = ""
    k: TopK = 10

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if (self.item is None) != bool(self.title.strip() or self.text.strip()):
            raise ValueError("give either item, or title and text")
        return self


class AudienceRequest(TextRequest):
    """A text, or the id of an item, whose readers are asked for."""


class ExplainRequest(_In):
    """Why items, or a text, have their scores: for a user, somebody with these likes, or a tag."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user": "17", "items": ["18"]}, {"tag": "proteins", "text": "Graph networks for proteins"}]
        }
    )
    user: Id | None = None
    liked: Liked | None = None
    tag: Tag | None = None
    items: Annotated[list[Id], Field(min_length=1, max_length=limits.EXPLAINED)] | None = None
    title: Title = ""
    text: Text = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sum(given is not None for given in (self.user, self.liked, self.tag)) != 1:
            raise ValueError("give exactly one of user, liked and tag")
        if (self.items is None) != bool(self.title.strip() or self.text.strip()):
            raise ValueError("give either items, or title and text")
        if self.items is not None and len(set(self.items)) != len(self.items):
            raise ValueError("items must be distinct")
        return self
