"""A pre-trained transformer as a text encoder: g(X) = P · pool(states of the last layer), P a trained projection.

The lower layers may stay as they came. What they make of a text is then the same in every epoch, so it is computed once
(`Transformer.prepare`) and carried by the documents: training costs the upper layers only.

Shapes: `B` texts, `T` pieces of the longest, `N` pieces of all, `D` size of the states, `K` factors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textrec.dataset import Rows
from textrec.errors import ArgumentError
from textrec.learn.encoders import TextEncoder, TokenBatch
from textrec.learn.features import FeaturedDocuments, featured
from textrec.learn.pretrained import Pretrained
from textrec.learn.tensors import low_precision
from textrec.text import Documents

__all__ = ["Transformer", "by_length", "layered"]

_LAYERED = ("bert", "roberta", "xlm-roberta", "camembert")
"""Kinds of networks whose layers can be run one by one with nothing but states and mask."""

PREPARED_BYTES = 1 << 31
"""Prepared states above this are not kept: the lower layers are run again every time."""

Told = Callable[[int, int], None]
"""Called with the texts done and all of them."""


def layered(pretrained: Pretrained) -> bool:
    """Whether some layers can be trained and others left."""
    return str(pretrained.config["model_type"]) in _LAYERED


class Transformer(TextEncoder):
    """A pre-trained network, pooled, and projected to K numbers.

    Args:
        pretrained: the network.
        dim: K; None leaves the projection out (K = D).
        trained_layers: upper layers that move in training; the lower ones and the word vectors stay.
        dropout: probability of dropping a number while training, in the trained layers and before the projection.

    Raises:
        ArgumentError: the network cannot be trained in part.
    """

    reads_order = True
    backbone: Any  # the network, whose parts have names of their own

    def __init__(
        self, pretrained: Pretrained, dim: int | None, *, trained_layers: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__(1, 1, pretrained.dim if dim is None else dim)
        n_layers = pretrained.n_layers
        if 0 < trained_layers < n_layers and not layered(pretrained):
            kind = pretrained.config["model_type"]
            raise ArgumentError(
                f"trained_layers must be 0 or {n_layers} (all) for a network of the kind {kind!r}, got {trained_layers}"
            )
        self.pretrained = pretrained
        backbone: Any = pretrained.new_backbone()
        self.words = backbone.get_input_embeddings()
        backbone.set_input_embeddings(nn.Embedding(1, self.words.embedding_dim))  # the words are ours to look up
        self.backbone = backbone
        self.lower = n_layers - min(trained_layers, n_layers)  # layers that stay
        self.whole = not layered(pretrained)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Identity() if dim is None else nn.Linear(pretrained.dim, dim, bias=False)
        for module in backbone.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
        backbone.requires_grad_(self.lower == 0)
        self.words.requires_grad_(False)
        if not self.whole:
            backbone.embeddings.requires_grad_(False)
            for layer in backbone.encoder.layer[self.lower :]:
                layer.requires_grad_(True)

    @property
    def frozen(self) -> bool:
        """Whether nothing but the projection is trained."""
        return self.lower == self.pretrained.n_layers

    def _encode(self, batch: TokenBatch, vectors: Tensor | None) -> Tensor:
        if self.frozen and batch.features is not None:
            pooled = batch.features.float()
        else:
            if batch.features is not None:
                states, mask = _padded(batch.features.float(), batch.lengths)  # kept in bfloat16
            else:
                inputs = self.words(batch.ids) if vectors is None else vectors
                states, mask = _padded(inputs, batch.lengths)
                with torch.set_grad_enabled(torch.is_grad_enabled() and (vectors is not None or self.lower == 0)):
                    states = self._lower(states, mask)
            pooled = self._pool(self._upper(states, mask), mask)
        return self._project(pooled, batch.lengths)

    def _project(self, pooled: Tensor, lengths: Tensor) -> Tensor:
        projected: Tensor = self.projection(self.dropout(pooled))
        return projected * (lengths > 0)[:, None]

    def _lower(self, states: Tensor, mask: Tensor) -> Tensor:
        """The part that stays, without dropout; all of a network whose layers cannot be run one by one."""
        if self.whole:
            if self.frozen:
                self.backbone.eval()
            found: Tensor = self.backbone(inputs_embeds=states, attention_mask=mask.long()).last_hidden_state
            return found
        embedded = self.backbone.embeddings.eval()(inputs_embeds=states)
        return self._layers(embedded, mask, slice(0, self.lower), still=True)

    def _upper(self, states: Tensor, mask: Tensor) -> Tensor:
        return states if self.whole else self._layers(states, mask, slice(self.lower, None), still=False)

    def _layers(self, states: Tensor, mask: Tensor, part: slice, *, still: bool) -> Tensor:
        hidden = None if bool(mask.all()) else mask[:, None, None, :]
        for layer in self.backbone.encoder.layer[part]:
            found = (layer.eval() if still else layer)(states, hidden)
            states = found[0] if isinstance(found, tuple) else found
        return states

    def _pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """States [B, T, D] to one vector a text [B, D]."""
        states, pooling = states.float(), self.pretrained.pooling
        if pooling == "cls":
            pooled = states[:, 0]
        elif pooling == "max":
            pooled = states.masked_fill(~mask[..., None], -torch.inf).amax(1).nan_to_num(neginf=0.0)
        else:
            weights = mask[..., None].float()
            pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        return F.normalize(pooled, dim=1) if self.pretrained.normalise else pooled

    # ------------------------------------------------------------------ what stays the same in every epoch

    @torch.inference_mode()
    def pooled(self, documents: Documents, *, precision: torch.dtype, told: Told | None = None) -> Tensor:
        """Pooled states of documents over the pieces, without projection or dropout, float32 [n, D]."""
        device, training = self.words.weight.device, self.training
        self.eval()
        found = torch.zeros(len(documents), self.pretrained.dim)
        done = 0
        for rows in by_length(documents):
            batch = TokenBatch.of(documents, rows, device)
            with low_precision(device, precision):
                states, mask = _padded(self.words(batch.ids), batch.lengths)
                pooled = self._pool(self._upper(self._lower(states, mask), mask), mask)
            found[torch.from_numpy(rows)] = (pooled * (batch.lengths > 0)[:, None]).cpu()
            done += len(rows)
            if told is not None:
                told(done, len(documents))
        self.train(training)
        return found

    @torch.inference_mode()
    def prepare(self, documents: Documents, *, precision: torch.dtype, told: Told | None = None) -> Documents:
        """The documents with the states that the lower layers make of them; as they are when that is too much."""
        size = 2 if precision == torch.bfloat16 else 4
        if self.whole or self.lower == 0 or len(documents.ids) * self.pretrained.dim * size > PREPARED_BYTES:
            return documents
        device, training = self.words.weight.device, self.training
        self.eval()
        found = torch.zeros(len(documents.ids), self.pretrained.dim, dtype=precision)
        done = 0
        for rows in by_length(documents):
            batch = TokenBatch.of(documents, rows, device)
            with low_precision(device, precision):
                states, mask = _padded(self.words(batch.ids), batch.lengths)
                states = self._lower(states, mask)
            found[_tokens(documents, rows)] = states[_real(batch.lengths)].to("cpu", precision)
            done += len(rows)
            if told is not None:
                told(done, len(documents))
        self.train(training)
        return _clear_of_inference(documents, found)


def by_length(documents: Documents, batch_tokens: int = 1 << 12) -> list[Rows]:
    """All rows in batches of about one length, at most about this many tokens each, short ones first."""
    sizes = np.diff(documents.starts)
    rows = np.argsort(sizes, kind="stable")
    parts = np.cumsum(np.maximum(sizes[rows], 1)) // batch_tokens
    return [part for part in np.split(rows, np.flatnonzero(np.diff(parts)) + 1) if len(part)]


def _clear_of_inference(documents: Documents, found: Tensor) -> FeaturedDocuments:
    """A tensor made in inference mode may not enter training; its copy may."""
    with torch.inference_mode(False):
        return featured(documents, found.clone(), by_token=True)


def _tokens(documents: Documents, rows: Rows) -> Tensor:
    """Places of the tokens of these rows, one after the other."""
    sizes = documents.starts[rows + 1] - documents.starts[rows]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    places = np.arange(ends[-1]) + np.repeat(documents.starts[:-1][rows] - ends[:-1], sizes)
    return torch.from_numpy(places.astype(np.int64))


def _padded(flat: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [N, D] of texts one after the other as [B, T, D], and which places may be attended to [B, T].

    An empty text attends to its first place, which is zero: attention to nothing at all is not a number.
    """
    real = _real(lengths)
    padded = flat.new_zeros(*real.shape, flat.shape[1])
    padded[real] = flat
    allowed = real.clone()
    allowed[:, 0] = True
    return padded, allowed


def _real(lengths: Tensor) -> Tensor:
    """Which places of padded texts hold a token [B, T]."""
    return torch.arange(max(int(lengths.max()), 1), device=lengths.device) < lengths[:, None]
