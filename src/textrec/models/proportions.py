"""Topic proportions as parameters: the θ and β steps of CTR (Wang, Blei 2011, §4), over all documents at once.

For each document θ lowers, on the simplex,

    J(θ) = ½ λ_v ‖v − θ‖² − Σ_w c_w log Σ_k θ_k β_kw − Σ_k log θ_k

by one projected gradient step. The gradient is λ_v (θ − v) − γ/θ with γ_k = 1 + Σ_w c_w φ_wk, φ_wk ∝ θ_k β_kw. Along
the step every word's Σ_k θ_k β_kw is linear in its length, so trying a length costs one logarithm a word.

Shapes: `D` documents, `V` words, `K` topics, `N` stored counts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from textrec.dataset import Csr

__all__ = [
    "map_proportions",
    "negative_log_likelihood",
    "project_to_simplex",
    "reestimate_topics",
    "step_proportions",
]

FloatArray = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

SLICE_FLOATS = 1 << 20
"""Gathered word weights at once: 4 MB."""

ARMIJO, HALVINGS = 0.1, 40
"""The objective must fall by this share of what the gradient promises; the most halvings of a step."""

TOPIC_PRIOR = 0.01
"""Added to the count of every word in every topic (ours)."""


def project_to_simplex(points: FloatArray) -> FloatArray:
    """The nearest point of the simplex {x ≥ 0, Σ x = 1} to each row [D, K] (Duchi et al. 2008)."""
    falling = -np.sort(-points, axis=1)
    excess = (np.cumsum(falling, axis=1, dtype=np.float64) - 1) / np.arange(1, points.shape[1] + 1)
    support = (falling > excess).sum(1)
    shift = excess[np.arange(len(points)), support - 1]
    return np.asarray(np.maximum(points - shift[:, None], 0), np.float32)


def step_proportions(
    theta: FloatArray, items: FloatArray, counts: Csr, topics: FloatArray, *, ridge: float, liked: npt.NDArray[np.bool_]
) -> FloatArray:
    """One descent step of θ for every document; J never rises.

    A document that nobody likes has v = θ, so its J has no first term and the exact EM step is taken.

    Args:
        theta: [D, K], above 0, rows sum to 1.
        items: v [D, K].
        counts: word counts [D, V].
        topics: β [K, V].
        ridge: λ_v.
        liked: mask [D].

    Returns:
        θ [D, K], above 0, rows sum to 1.
    """
    by_word = np.ascontiguousarray(topics.T)
    norms = _word_sums(theta, by_word, counts)
    pull = _scaled(counts, counts.data / norms) @ by_word  # Σ_w c_w β_kw / norm_w: γ = 1 + θ · pull
    stepped = np.asarray(1 + theta * pull, np.float32)
    stepped /= stepped.sum(1, keepdims=True)
    rows = np.flatnonzero(liked)
    if len(rows) == 0:
        return stepped
    here = theta[rows]
    gradient = ridge * (here - items[rows]) - pull[rows] - 1 / here
    gradient /= np.maximum(np.abs(gradient).sum(1, keepdims=True), 1)
    direction = project_to_simplex(here - gradient) - here
    part = sp.csr_array(counts[rows])
    slopes = _word_sums(direction, by_word, part) / _word_sums(here, by_word, part)
    length = _armijo(here, items[rows], direction, slopes, part, ridge)
    stepped[rows] = here + length[:, None] * direction
    return stepped


def _armijo(
    theta: FloatArray, items: FloatArray, direction: FloatArray, slopes: Floats, counts: Csr, ridge: float
) -> FloatArray:
    """Step lengths [D]: the first of 1, ½, ¼, … at which J falls by `ARMIJO` of the slope; 0 when none does."""
    relative = direction / theta  # at least −1
    linear = ridge * (direction * (theta - items)).sum(1, dtype=np.float64)
    square = 0.5 * ridge * np.square(direction).sum(1, dtype=np.float64)
    document = np.repeat(np.arange(len(theta)), np.diff(counts.indptr))
    promised = linear - np.bincount(document, counts.data * slopes, len(theta)) - relative.sum(1, dtype=np.float64)
    lengths, open_rows, length = np.zeros(len(theta), np.float32), np.arange(len(theta)), 1.0
    undecided = np.ones(len(theta), np.bool_)
    for _ in range(HALVINGS):
        entries = undecided[document]
        with np.errstate(divide="ignore"):  # a proportion of 0 makes J infinite: too long a step
            words = counts.data[entries] * np.log1p(length * slopes[entries])
            prior = np.log1p(length * relative[open_rows]).sum(1, dtype=np.float64)
        change = length * linear[open_rows] + length**2 * square[open_rows] - prior
        change -= np.bincount(document[entries], words, len(theta))[open_rows]
        enough = change <= ARMIJO * length * promised[open_rows]
        lengths[open_rows[enough]] = length
        undecided[open_rows[enough]] = False
        open_rows, length = open_rows[~enough], length / 2
        if len(open_rows) == 0:
            break
    return lengths


def reestimate_topics(theta: FloatArray, counts: Csr, topics: FloatArray) -> FloatArray:
    """β [K, V] by one EM step: expected counts under θ and β, plus the prior, normalised."""
    by_word = np.ascontiguousarray(topics.T)
    shares = _scaled(counts, counts.data / _word_sums(theta, by_word, counts))
    expected = (shares.T @ theta) * by_word + TOPIC_PRIOR
    return np.asarray((expected / expected.sum(0, keepdims=True, dtype=np.float64)).T, np.float32)


def map_proportions(counts: Csr, topics: FloatArray, *, iterations: int = 50) -> FloatArray:
    """θ [D, K] of documents nobody likes, β fixed: EM steps θ ∝ 1 + Σ_w c_w φ_w from equal proportions."""
    theta = np.full((counts.shape[0], len(topics)), 1 / len(topics), np.float32)
    nobody = np.zeros(counts.shape[0], np.bool_)
    for _ in range(iterations):
        theta = step_proportions(theta, theta, counts, topics, ridge=1.0, liked=nobody)
    return theta


def negative_log_likelihood(theta: FloatArray, counts: Csr, topics: FloatArray) -> float:
    """−Σ c log Σ_k θ_k β_kw − Σ log θ − 0.01 Σ log β: what θ and β lower, beside the factors' part."""
    words = np.log(_word_sums(theta, np.ascontiguousarray(topics.T), counts))
    priors = np.log(theta, dtype=np.float64).sum() + TOPIC_PRIOR * np.log(topics, dtype=np.float64).sum()
    return -float((counts.data * words).sum() + priors)


def _word_sums(theta: FloatArray, by_word: FloatArray, counts: Csr) -> Floats:
    """Σ_k θ_dk β_kw of each stored count [N]; `by_word` is β transposed [V, K]."""
    document = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    sums = np.empty(counts.nnz)
    step = max(1, SLICE_FLOATS // by_word.shape[1])
    for start in range(0, counts.nnz, step):
        part = slice(start, start + step)
        sums[part] = np.einsum("nk,nk->n", theta[document[part]], by_word[counts.indices[part]])
    return sums


def _scaled(counts: Csr, values: Floats) -> Csr:
    """The same places with other values, float32."""
    return sp.csr_array((values.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)
