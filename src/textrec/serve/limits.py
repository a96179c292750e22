"""What a request may ask for. A larger one is refused with a 4xx that names the limit."""

from __future__ import annotations

__all__ = [
    "BATCH",
    "BODY_BYTES",
    "ENCODES",
    "EXPLAINED",
    "ID_LENGTH",
    "LIKED",
    "QUERY_LENGTH",
    "SECONDS",
    "TAGS",
    "TAG_LENGTH",
    "TEXT_LENGTH",
    "TITLE_LENGTH",
    "TOP",
    "WAITING",
]

BODY_BYTES = 4_000_000
"""Bytes of a request body."""

BATCH = 100
"""Items or likes a write."""

TITLE_LENGTH, TEXT_LENGTH = 1_000, 50_000
"""Characters."""

TAGS, TAG_LENGTH = 50, 100
"""Tags an item, characters a tag."""

ID_LENGTH = 200
"""Characters of an item or user id."""

QUERY_LENGTH = 200
"""Characters of a search."""

LIKED = 100
"""Ids and texts that describe a user who was never trained."""

TOP = 500
"""Most items, users or tags of a list (k)."""

EXPLAINED = 20
"""Items explained by one request."""

ENCODES, WAITING = 2, 32
"""Requests that read texts at the same time, and those that may wait for them; one more is told to come back (503)."""

SECONDS = 30.0
"""Time for one request; after that it is answered with 503 and what it would have written is not promised."""
