"""A simulated library: readable texts, likes, tags and times, with the true like probabilities beside them.

Half of the texts name two topics and only the order of the words tells which one they are about ("Graph networks for
protein folding" is about protein folding), so reading order pays; ranking by the true probabilities gives the best
score anyone can reach in the mean.

Shapes: `U` users, `I` items, `P` topics, `G` tags.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from textrec.dataset import Csr, Dataset, Ids, Items, Rows, binary_csr
from textrec.errors import ArgumentError

__all__ = ["Simulation", "sample", "simulate", "simulate_order_only"]

Floats = npt.NDArray[np.float64]

# The first phrase of a topic is its tag as well; three topics in a row share the field's tag.
_FIELDS = ("computer science", "life sciences", "physical sciences", "society")
_TOPICS = (
    ("graph networks", "message passing", "link prediction", "knowledge graphs", "node embeddings"),
    ("language models", "machine translation", "text generation", "speech recognition", "question answering"),
    ("image recognition", "object detection", "video understanding", "depth estimation", "face recognition"),
    ("protein folding", "protein design", "enzyme structures", "molecular docking", "proteins"),
    ("gene editing", "genome sequencing", "gene regulation", "inherited diseases", "cell therapy"),
    ("brain imaging", "neural recordings", "sleep research", "the visual cortex", "working memory"),
    ("dark matter", "galaxy surveys", "exoplanets", "gravitational waves", "star formation"),
    ("climate models", "ocean currents", "sea level rise", "extreme weather", "carbon budgets"),
    ("battery materials", "solar cells", "superconductors", "crystal growth", "hydrogen storage"),
    ("financial markets", "portfolio selection", "price forecasts", "credit risk", "markets"),
    ("public health", "vaccine trials", "disease outbreaks", "hospital care", "drug safety"),
    ("urban traffic", "city planning", "bicycle lanes", "housing policy", "commuter trains"),
)

# In a plain text {a} and {b} are phrases of its topic. In the others {a} is of the topic and {x} of another one, and
# exchanging the two moves the text to the other topic: each stands once, so the words alone do not tell which it is.
_PLAIN_TITLES = (
    "A survey of {a}", "New results on {a}", "Progress in {a}", "{a} at scale", "{a} in practice", "{a} and {b}",
    "A short history of {a}", "{a}: ten open questions", "An open data set on {a}", "Better {a}, better {b}?",
)  # fmt: skip
_PLAIN_SENTENCES = (
    "We report new measurements of {a} and compare them with {b}.",
    "This article reviews {a} and {b}.",
    "Experts on {a} discuss what comes next.",
    "A team of {n} researchers takes a fresh look at {a}.",
    "After {n} years of work on {a}, we know more about {b}.",
)
_ORDER_TITLES = (
    "{x} for {a}", "From {x} to {a}", "What {a} can learn from {x}", "Lessons from {x} for {a}", "{a}, not {x}",
    "{a} without {x}", "Ideas from {x} applied to {a}",
)  # fmt: skip
_ORDER_SENTENCES = (
    "We study {a}, not {x}.",
    "We apply {x} to {a}.",
    "Tools made for {x} now serve {a}.",
    "The paper is about {a} rather than {x}.",
    "Readers who know {x} will learn about {a}.",
)
_CLOSINGS = (
    "Code and data are public.",
    "The results hold on {n} data sets.",
    "We discuss limits and next steps.",
    "An interview with the authors follows.",
)

_FIRST_DAY = 1_704_067_200  # 2024-01-01, in seconds since 1970
_DAY = 86_400


@dataclass(frozen=True, eq=False)
class Simulation:
    """Simulated data and the truth behind them."""

    dataset: Dataset
    affinity: npt.NDArray[np.float32]
    """[U, I] the probability that the user likes the item; a row sums to the user's number of likes."""
    topics: Rows
    """[I] the topic each text is about, which alone decides who likes it."""


def sample() -> Dataset:
    """The built-in data set: 300 users, 400 items, 16 tags, likes from 2024 to 2026; always the same."""
    return dataclasses.replace(simulate().dataset, name="sample")


def simulate(
    *,
    n_users: int = 300,
    n_items: int = 400,
    n_topics: int = 12,
    likes_per_user: int = 20,
    noise: float = 0.1,
    order: float = 0.5,
    seed: int = 0,
) -> Simulation:
    """Simulate users with a few interests each and texts about one topic each.

    Args:
        n_users: users, ≥ 1.
        n_items: items, at least 20 and more than twice `likes_per_user`.
        n_topics: topics, from 2 to 12; the items are spread evenly over them.
        likes_per_user: mean number of likes, ≥ 5; every user has at least 5 and at most half of the items.
        noise: share of the likes drawn at random from all items, from 0 (interests decide) to 1 (nothing does).
        order: share of the texts in which the topic follows from word order alone, from 0 to 1.
        seed: same seed, same data.

    Raises:
        ArgumentError: a value out of its range.
    """
    _check("n_users", n_users, 1)
    _check("n_items", n_items, max(20, 2 * likes_per_user + 1))
    _check("n_topics", n_topics, 2, len(_TOPICS))
    _check("likes_per_user", likes_per_user, 5)
    _check("noise", noise, 0, 1)
    _check("order", order, 0, 1)
    rng = np.random.default_rng(seed)
    topics = rng.permutation(np.arange(n_items) % n_topics)
    titles, texts = _write(rng, topics, n_topics, round(order * n_items))
    tags, tag_names = _tag(rng, topics, n_topics)
    counts = np.minimum(5 + rng.exponential(likes_per_user - 4.5, n_users).astype(np.int64), n_items // 2)
    interests = rng.dirichlet(np.full(n_topics, 0.3), n_users) + 0.01
    wanted = _like_probabilities(interests, np.bincount(topics, minlength=n_topics), counts)
    affinity = (1 - noise) * wanted[:, topics] + noise * counts[:, None] / n_items
    items = Items.build(_numbered(n_items), titles=titles, texts=texts, tags=tags, tag_names=tag_names)
    return _simulation(rng, items, affinity, topics)


def simulate_order_only(n_users: int = 200, n_items: int = 200, seed: int = 0) -> Simulation:
    """Likes that depend on word order alone: "A story about cats, not trains." against "… about trains, not cats.".

    Half of the users like stories about animals, half those about machines. Every word is equally frequent in both
    kinds, and so is every pair of subjects: a model of the bag of words is at chance, one that reads the order can put
    all liked items first. A user likes 40 % of the items of their kind.

    Args:
        n_users: users, ≥ 2.
        n_items: items, ≥ 32, a multiple of 32 for exact balance of the pairs (words are balanced when it is even).
        seed: same seed, same data.

    Raises:
        ArgumentError: a value out of its range, or an odd number of items.
    """
    _check("n_users", n_users, 2)
    _check("n_items", n_items, 32)
    if n_items % 2:
        raise ArgumentError(f"n_items must be even so that both kinds have the same words, got {n_items}")
    rng = np.random.default_rng(seed)
    half = n_items // 2
    animals = np.array(["cats", "horses", "birds", "whales"])[np.arange(half) % 4]
    machines = np.array(["trains", "engines", "cranes", "ships"])[np.arange(half) // 4 % 4]
    extras = np.array(["Maps", "Letters", "Photographs", "Songs", "Recipes"])[np.arange(half) % 5]
    about_animals = zip(animals, machines, rng.permutation(extras), strict=True)
    about_machines = zip(machines, animals, rng.permutation(extras), strict=True)
    texts = [f"A story about {x}, not {y}. {extra} included." for x, y, extra in (*about_animals, *about_machines)]
    topics = np.repeat(np.arange(2), half)
    shuffled = rng.permutation(n_items)
    column = pl.Series("text", texts, dtype=pl.String).gather(shuffled)
    topics = topics[shuffled]
    likes = max(round(0.4 * half), 5)
    affinity = np.where(np.arange(n_users)[:, None] % 2 == topics, likes / half, 0.0)
    return _simulation(rng, Items.build(_numbered(n_items), texts=column), affinity, topics)


def _simulation(rng: np.random.Generator, items: Items, affinity: Floats, topics: Rows) -> Simulation:
    liked = _draw(rng, affinity)
    users, columns = np.nonzero(liked)
    likes = binary_csr(users, columns, affinity.shape)
    published = rng.uniform(0, 700, len(items))
    days = published[columns] + rng.exponential(30, len(columns))
    seconds = _FIRST_DAY + (days * _DAY).astype(np.int64)
    timestamps = sp.csr_array((seconds, likes.indices.copy(), likes.indptr.copy()), shape=likes.shape)
    dataset = Dataset(Ids(_numbered(len(affinity))), items, likes, timestamps, name="simulated")
    return Simulation(dataset, affinity.astype(np.float32), topics)


def _like_probabilities(interests: Floats, sizes: Rows, counts: Rows) -> Floats:
    """Probability [U, P] of liking an item of a topic, `1 − exp(−s_u · interest)`, summing to `counts` over the items.

    The scale `s_u` is found by bisection of its logarithm.
    """
    low, high = np.full(len(counts), -20.0), np.full(len(counts), 20.0)
    for _ in range(60):
        middle = (low + high) / 2
        short = -np.expm1(-np.exp(middle)[:, None] * interests) @ sizes < counts
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    found: Floats = -np.expm1(-np.exp(high)[:, None] * interests)
    return found


def _draw(rng: np.random.Generator, affinity: Floats) -> npt.NDArray[np.bool_]:
    """Draw likes [U, I] with exactly these probabilities and as many a user as their sum (systematic sampling).

    Each user's items are laid end to end in random order, each as long as its probability; a comb of teeth one apart
    is dropped on the line at random, and the items it touches are liked.
    """
    shuffled = np.argsort(rng.random(affinity.shape), axis=1)
    ends = np.cumsum(np.take_along_axis(affinity, shuffled, axis=1), axis=1)
    ends[:, -1] = np.rint(ends[:, -1])
    teeth = np.floor(ends + rng.random((len(affinity), 1)))
    liked = np.zeros(affinity.shape, bool)
    np.put_along_axis(liked, shuffled, np.diff(teeth, axis=1, prepend=0) > 0, axis=1)
    return liked


def _write(rng: np.random.Generator, topics: Rows, n_topics: int, n_ordered: int) -> tuple[pl.Series, pl.Series]:
    """Titles and texts; the texts of `n_ordered` items, drawn at random, name a second topic as well."""
    n = len(topics)
    ordered = np.isin(np.arange(n), rng.permutation(n)[:n_ordered])
    others = (topics + rng.integers(1, n_topics, n)) % n_topics
    titles, texts = [], []
    for topic, other, two in zip(topics.tolist(), others.tolist(), ordered.tolist(), strict=True):
        first, sentences = (_ORDER_TITLES, _ORDER_SENTENCES) if two else (_PLAIN_TITLES, _PLAIN_SENTENCES)
        chosen = [sentences[row] for row in rng.permutation(len(sentences))[: rng.integers(1, 3)]]
        if rng.random() < 0.5:
            chosen.append(_pick(rng, _CLOSINGS))
        titles.append(_fill(rng, _pick(rng, first), topic, other))
        texts.append(" ".join(_fill(rng, sentence, topic, other) for sentence in chosen))
    return pl.Series("title", titles, dtype=pl.String), pl.Series("text", texts, dtype=pl.String)


def _fill(rng: np.random.Generator, template: str, topic: int, other: int) -> str:
    first, second = rng.permutation(len(_TOPICS[topic]))[:2]
    phrases = {"a": _TOPICS[topic][first], "b": _TOPICS[topic][second], "x": _pick(rng, _TOPICS[other])}
    sentence = template.format(n=rng.integers(3, 31), **phrases)
    return sentence[0].upper() + sentence[1:]


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _tag(rng: np.random.Generator, topics: Rows, n_topics: int) -> tuple[Csr, list[str]]:
    """Tags [I, G]: the topic (on 80 % of the items that have tags) and its field (60 %); 15 % have no tags at all."""
    n_fields = math.ceil(n_topics / 3)
    tagged = rng.random(len(topics)) < 0.85
    by_topic = np.flatnonzero(tagged & (rng.random(len(topics)) < 0.8))
    by_field = np.flatnonzero(tagged & (rng.random(len(topics)) < 0.6))
    rows = np.concatenate([by_topic, by_field])
    columns = np.concatenate([topics[by_topic], n_topics + topics[by_field] // 3])
    names = [*(phrases[0] for phrases in _TOPICS[:n_topics]), *_FIELDS[:n_fields]]
    return binary_csr(rows, columns, (len(topics), len(names))), names


def _numbered(n: int) -> pl.Series:
    return pl.int_range(n, eager=True).cast(pl.String)


def _check(name: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high:
        allowed = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise ArgumentError(f"{name} must be {allowed}, got {value!r}")
