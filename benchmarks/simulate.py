"""Data of any size with the long tails of real ones, written straight into a columnar folder.

    python benchmarks/simulate.py --out FOLDER [--users 100000 --items 100000 --likes 5000000 --tokens 2000000
                                               --tags 1000 --words 50000 --seed 0]

Users and items belong to topics. Activity of users and lengths of texts are log-normal; popularity of items within
their topic follows a power law that is cut off at its end, frequencies of words and tags follow Zipf's. Three of a
user's topics get 95 % of the likes, an item's topic gives it 70 % of its words: text says who will like an item.

Everything follows from the seed by formula, block by block, so that memory does not grow with users, items, likes or
tokens; no text exists but its words. The numbers of likes and tokens are met in expectation.

Shapes: `U` users, `I` items, `P` topics, `n` users or items of a block, `m` likes, tokens or tags of a block.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from textrec.data.columnar import Sizes
from textrec.data.columnar_writer import ColumnarWriter, writing_columnar

BLOCK = 1 << 15
"""Users or items drawn at once."""

INTERESTS = (0.6, 0.85, 0.95)
"""Cumulative shares of a user's first, second and third topic; the rest goes to any topic."""

TOPIC_WORDS, TOPIC_TAGS, TAGGED, TAGS_AN_ITEM = 0.7, 0.7, 0.85, 3.0
COMMON_WORDS = 0.1  # of all words; the others belong to topics
LIKES_KIND, ITEMS_KIND = 0, 1  # streams of random numbers
REDRAWS = 6

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Library:
    """What is simulated; the counts are those of the whole data set."""

    users: int = 100_000
    items: int = 100_000
    likes: int = 5_000_000
    tokens: int = 2_000_000
    tags: int = 1_000
    words: int = 50_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.users < 1 or self.items < 40 or self.words < 100 or self.tags < 1:
            raise SystemExit("at least 1 user, 40 items, 100 words and 1 tag are needed")
        if not self.users <= self.likes <= self.users * self.items // 20:
            raise SystemExit("likes must be from one a user to a twentieth of all pairs")
        if self.tokens < self.items:
            raise SystemExit("tokens must be at least one an item")

    @cached_property
    def topics(self) -> int:
        """P."""
        return max(2, min(256, self.items // 200, self.words // 50))

    @cached_property
    def _stride(self) -> int:
        """Coprime with I: multiplying by it scatters the items of a topic, and popular ones, over all rows."""
        stride = int(self.items * 0.618) | 1
        while math.gcd(stride, self.items) != 1:
            stride += 2
        return stride

    def rows_of(self, topics: Ints, ranks: Ints) -> Ints:
        """Item rows [m] of the items at these places of their topics, the most popular one first."""
        return (ranks * self.topics + topics) * self._stride % self.items

    def topics_of(self, rows: Ints) -> Ints:
        """Topics of item rows [m]."""
        return rows * pow(self._stride, -1, self.items) % self.items % self.topics

    def generator(self, kind: int, block: int) -> np.random.Generator:
        """A stream of random numbers for each block."""
        return np.random.default_rng([self.seed, kind, block])


def simulate(library: Library, target: Path) -> Sizes:
    """Write a columnar folder."""
    most = max(2 * library.likes, 2 * int(TAGS_AN_ITEM * library.items))
    with writing_columnar(target, most_entries=most) as writer:
        for block, start in enumerate(range(0, library.users, BLOCK)):
            write_users(library, writer, block, min(BLOCK, library.users - start))
        for block, start in enumerate(range(0, library.items, BLOCK)):
            write_items(library, writer, block, np.arange(start, min(start + BLOCK, library.items)))
        items = numbered(library.items, "item_id").with_columns(title=pl.lit(""), text=pl.lit(""))
        words, tags = (names(letter, n) for letter, n in (("w", library.words), ("t", library.tags)))
        users = numbered(library.users, "user_id")
        return writer.finish("simulated", users=users, items=items, words=words, tags=tags)


def write_users(library: Library, writer: ColumnarWriter, block: int, n_users: int) -> None:
    """The likes of a block of users: drawn, drawn again where an item came twice, sorted."""
    rng = library.generator(LIKES_KIND, block)
    wanted = np.minimum(tailed(rng, library.likes / library.users, n_users, least=5), library.items // 10 + 1)
    interests = rng.integers(library.topics, size=(n_users, len(INTERESTS)))
    pairs, counts = np.zeros(0, np.int64), np.zeros(n_users, np.int64)
    for draw in range(REDRAWS):
        users = np.repeat(np.arange(n_users), wanted - counts)
        chosen = np.searchsorted(INTERESTS, rng.random(len(users)), side="right")
        anywhere = rng.integers(library.topics, size=len(users))
        own = interests[users, np.minimum(chosen, len(INTERESTS) - 1)]
        topics = np.where((chosen < len(INTERESTS)) & (draw < REDRAWS // 2), own, anywhere)
        items = library.rows_of(topics, popular(library, rng, topics))
        pairs = distinct(np.concatenate([pairs, users * library.items + items]))
        counts = np.bincount(pairs // library.items, minlength=n_users)
        if (counts == wanted).all():
            break
    writer.likes.append(counts, pairs % library.items)


def popular(library: Library, rng: np.random.Generator, topics: Ints) -> Ints:
    """Places of liked items within their topics [m]: F(x) = 1 − (1 − x^⅓)^1.5 (Kumaraswamy), inverted."""
    sizes = (library.items - topics + library.topics - 1) // library.topics
    root = 1 - (1 - rng.random(len(topics))) ** (2 / 3)
    return np.minimum((root * root * root * sizes).astype(np.int64), sizes - 1)


def write_items(library: Library, writer: ColumnarWriter, block: int, rows: Ints) -> None:
    """Words and tags of a block of items."""
    rng = library.generator(ITEMS_KIND, block)
    topics = library.topics_of(rows)
    lengths = tailed(rng, library.tokens / library.items, len(rows), least=1)
    common = max(1, int(COMMON_WORDS * library.words))
    of_topic = np.repeat(topics, lengths)
    frequent = zipf(rng, common, len(of_topic))
    special = common + zipf(rng, (library.words - common) // library.topics, len(of_topic)) * library.topics + of_topic
    words = np.where(rng.random(len(of_topic)) < TOPIC_WORDS, special, frequent)
    writer.documents.append(lengths, words)
    counts = rng.poisson(TAGS_AN_ITEM, len(rows)) * (rng.random(len(rows)) < TAGGED)
    items = np.repeat(np.arange(len(rows)), counts)
    anything = zipf(rng, library.tags, len(items))
    own = (
        topics[items] + zipf(rng, max(1, library.tags // library.topics), len(items)) * library.topics
    ) % library.tags
    tags = np.where(rng.random(len(items)) < TOPIC_TAGS, own, anything)
    pairs = distinct(items * library.tags + tags)
    writer.tags.append(np.bincount(pairs // library.tags, minlength=len(rows)), pairs % library.tags)


def tailed(rng: np.random.Generator, mean: float, n: int, *, least: int) -> Ints:
    """Whole numbers [n] of log-normal spread with this mean, from `least` (or half of the mean) on."""
    low = max(1, min(least, int(mean / 2)))
    rest = max(mean - low, 0.0)
    spread = rng.lognormal(math.log(rest + 1e-12) - 0.5, 1.0, n)
    return low + np.floor(spread + rng.random(n)).astype(np.int64)


def zipf(rng: np.random.Generator, n: int, size: int) -> Ints:
    """Numbers [size] from 0 to n − 1, the r-th about as often as 1 / r."""
    drawn = np.exp(rng.random(size) * math.log(n + 1)).astype(np.int64) - 1
    return np.minimum(drawn, n - 1)


def distinct(pairs: Ints) -> Ints:
    """Sorted, each once."""
    ordered = np.sort(pairs)
    once: Ints = ordered[np.diff(ordered, prepend=-1) != 0]
    return once


def numbered(n: int, name: str) -> pl.LazyFrame:
    """A column of ids, made as it is written."""
    return pl.LazyFrame().select(pl.int_range(n, dtype=pl.Int64).cast(pl.String).alias(name))


def names(letter: str, n: int) -> pl.Series:
    return letter + pl.int_range(n, eager=True).cast(pl.String)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the columnar folder")
    for name, value in asdict(Library()).items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value:,}")
    arguments = vars(parser.parse_args())
    target = arguments.pop("out")
    started = time.perf_counter()
    sizes = simulate(Library(**arguments), target)
    print(json.dumps({**asdict(sizes), "seconds": round(time.perf_counter() - started, 2)}, indent=1))


if __name__ == "__main__":
    main()
