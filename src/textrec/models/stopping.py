"""When training stops: Recall of the held-out likes, for each recipe.

Shapes: `K` factors, `U` users.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from textrec.dataset import Items
from textrec.learn.encoders import TextEncoder
from textrec.learn.exact import encode_documents
from textrec.learn.group import ALONE, Group
from textrec.learn.objective import Objective, solve_around
from textrec.learn.paper import PaperFactors
from textrec.protocol.metrics import fold_recall
from textrec.protocol.ranking import Scorer
from textrec.protocol.splits import Fold
from textrec.text import Documents

__all__ = ["exact_metric", "paper_metric", "stopping_k"]

FloatArray = npt.NDArray[np.float32]


SWEEPS = 2
"""Item and user solves for a metric of known items: enough to tell epochs apart."""


def stopping_k(validation: Fold) -> int:
    """Recall@50, or Recall@10 where 50 would be a large part of the pool."""
    return 50 if len(validation.candidates) >= 250 else 10


def exact_metric(
    validation: Fold,
    documents_of: Callable[[Items], Documents],
    objective: Objective,
    precision: torch.dtype,
    group: Group = ALONE,
) -> Callable[[FloatArray, FloatArray, TextEncoder], float]:
    """Recall of (users [U, K], g of the training items [I, K], encoder).

    New items stand at v = g, known ones are solved around it.

    A group shares texts, solves and users.
    """
    k, known = stopping_k(validation), validation.setting != "cold"
    items, likes = validation.train.items, validation.train.likes
    documents = None if known else documents_of(validation.candidates)

    def recall(users: FloatArray, text: FloatArray, encoder: TextEncoder) -> float:
        if documents is None:
            users, solved = solve_around(objective, text, likes, items.tags, sweeps=SWEEPS, group=group)
            vectors = solved[items.ids.rows(validation.candidates.ids)]
        else:
            vectors = encode_documents(encoder, documents, precision=precision, group=group)
        return _shared_recall(group, validation, lambda block: users[block] @ vectors.T, k)

    return recall


def _shared_recall(group: Group, validation: Fold, score: Scorer, k: int) -> float:
    """`fold_recall`, each member ranking for its share of the users."""
    if group.size == 1:
        return fold_recall(validation, score, k)
    own = validation.test_users[group.own]
    sums = torch.tensor([len(own) * fold_recall(validation, score, k, users=own), len(own)], dtype=torch.float64)
    group.add(sums)
    return float(sums[0] / sums[1].clamp(min=1))


def paper_metric(
    validation: Fold, documents_of: Callable[[Items], Documents], precision: torch.dtype
) -> Callable[[PaperFactors, TextEncoder], float]:
    """Recall of (factors, encoder)."""
    k, documents = stopping_k(validation), documents_of(validation.candidates)
    known = validation.setting == "warm"
    rows = validation.train.items.ids.rows(validation.candidates.ids) if known else None

    def recall(factors: PaperFactors, encoder: TextEncoder) -> float:
        text = encode_documents(encoder, documents, precision=precision)
        users, items = factors.user_rows(), factors.item_rows(text, rows)
        return fold_recall(validation, lambda block: users[block] @ items.T, k)

    return recall
