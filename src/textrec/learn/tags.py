"""The tag head of multi-task learning: which tags a text has, from its vector (paper §3.3).

Shapes: `B` texts, `K` factors, `I` items, `G` tags.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from textrec.dataset import Csr, Rows
from textrec.learn.batches import cut
from textrec.learn.losses import Pairs, tag_loss
from textrec.learn.neighbours import Neighbours
from textrec.learn.tensors import to_tensor

FloatArray = npt.NDArray[np.float32]

__all__ = ["TagHead", "fit_tags", "neighbour_shares", "tag_scores"]

VOTE = 1 / 3
"""What the nearest texts' tags count in a tag's score; the head counts the rest."""

SHARPNESS = 4
"""Power of the cosine by which neighbours vote."""


class TagHead(nn.Module):
    """p_jl = σ(g(X_j)·t_l + β_l) (paper §3.3; the bias, which starts at the tag's log-odds, is ours).

    Args:
        tags: training tags [I, G]; items without a tag count as unknown.
        dim: K.
        init_scale: standard deviation of the tag vectors at the start.
    """

    def __init__(self, tags: Csr, dim: int, *, init_scale: float = 0.1) -> None:
        super().__init__()
        n_tags = tags.shape[1]
        tagged = max(int((np.diff(tags.indptr) > 0).sum()), 1)
        frequency = (np.bincount(tags.indices, minlength=n_tags) + 0.5) / (tagged + 1.0)
        self.vectors = nn.Parameter(torch.randn(n_tags, dim) * init_scale)
        self.bias = nn.Parameter(torch.from_numpy(np.log(frequency / (1 - frequency)).astype(np.float32)))

    @classmethod
    def of(cls, vectors: Tensor) -> TagHead:
        """A head with these tag vectors [G, K] and no bias."""
        head = cls(sp.csr_array((0, len(vectors))), vectors.shape[1]).to(vectors.device)
        head.load_state_dict({"vectors": vectors.detach(), "bias": torch.zeros_like(vectors[:, 0])})
        return head

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits [B, G]."""
        return torch.addmm(self.bias, vectors, self.vectors.T)

    def loss(self, vectors: Tensor, tags: Csr, rows: Rows, absent_weight: float) -> Tensor:
        """Summed over the texts `rows` of `tags` [I, G] that have a tag, for their vectors [B, K].

        A text without tags is unknown, not without any.
        """
        tagged = np.flatnonzero(tags.indptr[rows + 1] > tags.indptr[rows])
        present = Pairs.of(tags, rows[tagged], vectors.device)
        known = vectors if len(tagged) == len(rows) else vectors[to_tensor(tagged, vectors.device)]
        return tag_loss(known, self.vectors, self.bias, present, absent_weight)


def fit_tags(
    head: TagHead,
    vectors: Tensor,
    tags: Csr,
    *,
    epochs: int,
    seed: int,
    absent_weight: float = 1.0,
    learning_rate: float = 0.01,
    batch_size: int = 512,
) -> None:
    """Go on with the head alone, the texts' vectors fixed.

    Likes are learnt sooner than tags, and early stopping looks at likes: when it ends training, tags are half learnt.
    The loss is convex in the head, a pass takes half a second on 10,000 texts and 3,600 tags, and no vector moves, so
    recommendations stay as they are.

    Args:
        head: the head, changed in place.
        vectors: g(X) [I, K].
        tags: training tags [I, G].
        epochs: passes over the texts with a tag.
        seed: of their order.
        absent_weight: c'.
        learning_rate: of Adam, for vectors of length 1; a head on shorter ones has further to go.
        batch_size: texts a step; fewer where a pass would have fewer than 16 steps.
    """
    rows = np.flatnonzero(np.diff(tags.indptr) > 0)
    size = min(batch_size, max(1, len(rows) // 16))
    length = float(vectors[to_tensor(rows, vectors.device)].square().sum(1).mean().sqrt()) if len(rows) else 0.0
    optimizer = torch.optim.Adam(head.parameters(), lr=learning_rate / max(length, 1e-3), fused=True)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        for batch in cut(rng.permutation(rows), size):
            loss = head.loss(vectors[to_tensor(batch, vectors.device)], tags, batch, absent_weight)
            optimizer.zero_grad(set_to_none=True)
            (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def tag_scores(head: TagHead, vectors: FloatArray, known: FloatArray, tags: Csr, *, neighbours: int) -> FloatArray:
    """From 0 to 1 [B, G] for texts [B, K]: what the head finds likely, and what the nearest `known` texts [I, K] have.

    Args:
        head: the head.
        vectors: g(X) of the texts.
        known: g(X) of the texts whose tags are known.
        tags: their tags [I, G].
        neighbours: as `neighbour_shares`; 0 for the head alone.
    """
    with torch.inference_mode():
        likely: FloatArray = torch.sigmoid(head(to_tensor(vectors, head.bias.device))).cpu().numpy()
    if neighbours == 0:
        return likely
    return (1 - VOTE) * likely + VOTE * neighbour_shares(vectors, known, tags, neighbours)


def neighbour_shares(vectors: FloatArray, known: FloatArray, tags: Csr, neighbours: int) -> FloatArray:
    """Which share of a text's nearest known texts has a tag, each weighed by its cosine to the power of `SHARPNESS`.

    The head is one direction a tag; a tag that means several things, or stands on few texts, is found better here.

    Args:
        vectors: g(X) of the texts [B, K].
        known: g(X) of the texts whose tags are known [I, K]; those without any do not vote.
        tags: their tags [I, G].
        neighbours: how many vote.

    Returns:
        Shares from 0 to 1 [B, G]; zeros for a text without words.
    """
    rows = np.flatnonzero(np.diff(tags.indptr))
    return Neighbours.of(known[rows], sp.csr_array(tags[rows]), SHARPNESS).mean(vectors, neighbours)
