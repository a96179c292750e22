"""What clients added: items and likes, in SQLite or PostgreSQL. What a method returned is on the disk.

SQLite runs with a write-ahead log and `synchronous=FULL`: a commit has returned only when the log is on the disk, so
neither `kill -9` nor a power cut loses what was acknowledged, and a transaction is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    delete,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError as UrlError
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from textrec.errors import ArgumentError, DataError

__all__ = ["Storage", "StoredItem"]

_schema = MetaData()
_items = Table(
    "textrec_items",
    _schema,
    Column("place", Integer, primary_key=True, autoincrement=True),
    Column("item_id", String, nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("added", DateTime(timezone=True), nullable=False),
)
_likes = Table(
    "textrec_likes",
    _schema,
    Column("place", Integer, primary_key=True, autoincrement=True),
    Column("user_id", String, nullable=False),
    Column("item_id", String, nullable=False),
    Column("added", DateTime(timezone=True), nullable=False),
    UniqueConstraint("user_id", "item_id"),
)


@dataclass(frozen=True)
class StoredItem:
    """An item that a client added."""

    item_id: str
    title: str
    text: str
    tags: tuple[str, ...] = ()


class Storage:
    """Items and likes that clients added.

    Args:
        url: an SQLAlchemy URL: `sqlite:///file.db` or `postgresql+psycopg://user@host/database`.

    Raises:
        ArgumentError: another kind of URL.
        DataError: the database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = create_engine(_with_driver(url), pool_pre_ping=True)
        except (UrlError, NoSuchModuleError, ImportError, ValueError) as error:
            raise ArgumentError("--db must be sqlite:///FILE or postgresql://USER@HOST/DATABASE") from error
        if self._engine.dialect.name not in ("sqlite", "postgresql"):
            name = self._engine.dialect.name
            raise ArgumentError(f"--db must be sqlite:///FILE or postgresql://USER@HOST/DATABASE, got {name}")
        self._insert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[self._engine.dialect.name]
        if self._engine.dialect.name == "sqlite":
            _durable(self._engine)
        try:
            _schema.create_all(self._engine)
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise DataError(f"the database cannot be opened: {_reason(error)}; check --db") from error

    def items(self) -> list[StoredItem]:
        """All items, in the order they were added."""
        columns = (_items.c.item_id, _items.c.title, _items.c.text, _items.c.tags)
        with self._engine.connect() as connection:
            rows = connection.execute(select(*columns).order_by(_items.c.place)).all()
        return [StoredItem(row[0], row[1], row[2], tuple(row[3])) for row in rows]

    def likes(self, user_id: str | None = None) -> list[tuple[str, str]]:
        """User and item of all likes, in the order they were added, or those of one user."""
        query = select(_likes.c.user_id, _likes.c.item_id).order_by(_likes.c.place)
        if user_id is not None:
            query = query.where(_likes.c.user_id == user_id)
        with self._engine.connect() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def add_items(self, items: Sequence[StoredItem]) -> None:
        """Add items, all or none; an id that is there already stays as it is."""
        now = datetime.now(UTC)
        rows = [vars(item) | {"tags": list(item.tags), "added": now} for item in items]
        with self._engine.begin() as connection:
            connection.execute(self._insert(_items).on_conflict_do_nothing(), rows)

    def delete_item(self, item_id: str) -> None:
        """Remove an item; likes of it stay, and count again when it comes back."""
        with self._engine.begin() as connection:
            connection.execute(delete(_items).where(_items.c.item_id == item_id))

    def add_likes(self, likes: Sequence[tuple[str, str]]) -> None:
        """Add (user, item) pairs, all or none; one that is there already stays."""
        now = datetime.now(UTC)
        rows = [{"user_id": user, "item_id": item, "added": now} for user, item in likes]
        with self._engine.begin() as connection:
            connection.execute(self._insert(_likes).on_conflict_do_nothing(), rows)

    def counts(self) -> tuple[int, int]:
        """Items and likes."""
        with self._engine.connect() as connection:
            tables = (_items, _likes)
            found = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]
        return found[0], found[1]

    def ping(self) -> bool:
        """Whether the database answers."""
        try:
            with self._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _with_driver(url: str) -> str:
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return "postgresql+psycopg://" + url.removeprefix(plain)
    return url


def _durable(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or type(error).__name__).split("\n")[0]
