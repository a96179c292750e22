"""Collaborative topic regression, with tags and without, and plain LDA regression.

The factors of `learn.alternation` around θ, the topic proportions of `models.topics`; cold items have v = θ.

Shapes: `U` users, `I` items, `G` tags, `V` words, `K` factors = topics, `n` texts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from textrec.config import bounded
from textrec.dataset import Csr, Items
from textrec.learn.alternation import Alternation, FactorLoss
from textrec.learn.factors import solve_factors
from textrec.learn.model import Capability, Monitor
from textrec.learn.tensors import resolve_device, to_tensor
from textrec.models.proportions import (
    map_proportions,
    negative_log_likelihood,
    reestimate_topics,
    step_proportions,
)
from textrec.models.topic_reader import TopicConfig, TopicReader, word_counts

__all__ = ["CtrConfig", "CtrModel", "CtrMtlConfig", "CtrMtlModel", "LdaRegression"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CtrConfig(TopicConfig):
    """Configuration of `ctr`."""

    ridge_items: float = bounded(100.0, above=0.0)
    """λ_v, how strongly an item vector is held to its topic proportions (paper §4.1.2)."""

    proportions: Literal["fixed", "optimised"] = "fixed"
    """Whether θ stays as LDA gave it (the reference code's default) or moves with the factors, and β with it."""

    sweeps: int = bounded(200, 1)
    """Most rounds of user, item (and tag) solves."""

    min_sweeps: int = bounded(15, 1)
    """Fewest rounds."""

    tolerance: float = bounded(1e-4, 0.0)
    """Stop when a round lowers the objective by less than this share."""


@dataclass(frozen=True)
class CtrMtlConfig(CtrConfig):
    """Configuration of `ctr-mtl`."""

    tag_weight: float = bounded(1.0, above=0.0)
    """η, the weight of tags beside likes."""

    absent_tag_weight: float = bounded(0.03, 0.0, 0.99)
    """c' of a tag that is absent; a present one has 1."""

    ridge_tags: float = bounded(0.1, above=0.0)
    """λ_t, the ridge on tag vectors."""


class LdaRegression(TopicReader):
    """Topic proportions as they are (Blei, Ng, Jordan 2003), users by ridge regression on them; no item offsets."""

    name = "lda"
    summary = "LDA topic proportions, users by ridge regression; items never learn an offset"

    def _learn_factors(self, counts: Csr, monitor: Monitor | None) -> None:
        self._items = self._theta
        self._refit_likes()

    def _refit_likes(self) -> None:
        config = self.config
        self._users = solve_factors(
            self.data.likes,
            self._items,
            ridge=config.ridge_users,
            observed=config.observed,
            unobserved=config.unobserved,
            in_gram=self.data.likes_per_item() > 0,
        )


class CtrModel(TopicReader):
    """Collaborative topic regression (Wang, Blei 2011; paper §2.3, §4.1.2)."""

    name = "ctr"
    summary = "collaborative topic regression: factors around LDA topic proportions (paper §2.3)"
    config_type = CtrConfig

    _tag_vectors: FloatArray | None = None  # [G, K]

    def _learn_factors(self, counts: Csr, monitor: Monitor | None) -> None:
        moving = self.config.proportions == "optimised" and not self.report.interrupted
        beta = self._topic_model(self._topics).topics()
        self._alternate(counts if moving else None, beta, monitor)

    def _refit_likes(self) -> None:
        self._alternate(None, self._topics, None)

    def _alternate(self, counts: Csr, beta: FloatArray, monitor: Monitor | None) -> None:
        """Sweep until L stands still, then solve the users once more; θ and β move when `counts` are given."""
        blocks = self._blocks()
        try:
            if not self.report.interrupted:
                beta = self._sweep(blocks, counts, beta, monitor)
        except KeyboardInterrupt:  # what the last whole block made stands
            self.report.interrupted = True
        if counts is not None:
            self._topics = beta
        blocks.solve_users()
        self._theta, self._items = blocks.theta.cpu().numpy(), blocks.items.cpu().numpy()
        self._users = blocks.users.cpu().numpy()
        self._tag_vectors = None if blocks.tags is None else blocks.tag_vectors.cpu().numpy()

    def _sweep(self, blocks: Alternation, counts: Csr, beta: FloatArray, monitor: Monitor | None) -> FloatArray:
        config, last = self.config, np.inf
        for number in range(1, config.sweeps + 1):
            started = time.perf_counter()
            blocks.sweep()
            if counts is not None:
                beta = self._move_topics(blocks, counts, beta)
            objective = np.nan
            if monitor is not None or number >= config.min_sweeps - 1:  # nobody asks for the others
                objective = self._objective(blocks, counts, beta)
            self.report.epochs = self.report.best_epoch = number
            if monitor is not None:
                seconds = time.perf_counter() - started
                event = {"event": "epoch", "epoch": number, "epochs": config.sweeps, "loss": objective}
                monitor(event | {"best": True, "seconds": seconds})
            if number >= config.min_sweeps and last - objective < config.tolerance * abs(objective):
                break
            last = objective
        return beta

    def _objective(self, blocks: Alternation, counts: Csr, beta: FloatArray) -> float:
        """½ L, and what θ and β lower when they move."""
        value = blocks.objective() / 2
        if counts is not None:
            value += negative_log_likelihood(blocks.theta.cpu().numpy(), counts, beta)
        return value

    def _move_topics(self, blocks: Alternation, counts: Csr, beta: FloatArray) -> FloatArray:
        """One θ step for every text, then β; items nobody likes follow their θ."""
        theta = step_proportions(
            blocks.theta.cpu().numpy(),
            blocks.items.cpu().numpy(),
            counts,
            beta,
            ridge=self.config.ridge_items,
            liked=blocks.liked,
        )
        blocks.theta = to_tensor(theta, blocks.device)
        nobody = np.flatnonzero(~blocks.liked)
        blocks.items[to_tensor(nobody, blocks.device)] = blocks.theta[to_tensor(nobody, blocks.device)]
        return reestimate_topics(theta, counts, beta)

    def _blocks(self) -> Alternation:
        config, tags = self.config, self.data.items.tags
        with_tags = "tags" in self.capabilities and tags.nnz > 0
        loss = FactorLoss(
            config.observed,
            config.unobserved,
            config.ridge_users,
            config.ridge_items,
            *((config.tag_weight, config.absent_tag_weight, config.ridge_tags) if with_tags else ()),
        )
        device = resolve_device(self.device)
        return Alternation(self.data.likes, self._theta, loss, tags=tags if with_tags else None, device=device)

    def _encode(self, items: Items) -> FloatArray:
        if self.config.proportions == "fixed":
            return super()._encode(items)
        return map_proportions(word_counts(self.vocabulary, items.documents), self._topics)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        tags = {} if self._tag_vectors is None else {"tags": self._tag_vectors}
        return super()._arrays() | tags

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        super()._restore(arrays)
        self._tag_vectors = arrays.get("tags")


class CtrMtlModel(CtrModel):
    """CTR with tags by weighted squared loss, the third block of the rotation (paper §4.1.1)."""

    name = "ctr-mtl"
    summary = "collaborative topic regression that also predicts tags (paper §4.1.1)"
    capabilities: frozenset[Capability] = CtrModel.capabilities | {"tags"}
    config_type = CtrMtlConfig

    def _tag_scores(self, items: Items) -> FloatArray:
        """θ·τ squashed into (0, 1) with the slope of the identity at ½: a regression value, not a probability."""
        if self._tag_vectors is None:
            return np.zeros((len(items), len(self.data.items.tag_names)), np.float32)
        values = self._encode(items) @ self._tag_vectors.T
        return np.asarray(1 / (1 + np.exp(2 - 4 * values)), np.float32)
