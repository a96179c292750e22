"""A trained text encoder with factors: what it reads, how it ranks, explains and is kept. `neural` says how it learns.

Score `s_ij = u_i · f(X_j)`, `f(X_j) = g(X_j) + o_j` (paper eq. 3, 4); a model of the recipe `paper` adds `b_i + b_j`.

Shapes: `K` factors, `U` users, `I` items, `G` tags, `n` items of a call.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from textrec.dataset import Csr, Items, Rows
from textrec.learn.checkpoints import part_of
from textrec.learn.encoders import TextEncoder
from textrec.learn.exact import encode_documents
from textrec.learn.group import ALONE, Group
from textrec.learn.neighbours import Neighbours, moved_by_likes, spokesmen
from textrec.learn.objective import Objective, solve_around
from textrec.learn.reasons import WordWeights
from textrec.learn.saliency import word_weights
from textrec.learn.tags import TagHead, tag_scores
from textrec.learn.tensors import resolve_device, resolve_precision
from textrec.models.solved import SolvedModel
from textrec.text import Documents, Vocabulary

__all__ = ["EncodedModel"]

FloatArray = npt.NDArray[np.float32]


class EncodedModel(SolvedModel):
    """Base of the text encoder models, once they are trained; a subclass names its encoder."""

    vocabulary: Vocabulary
    group: Group = ALONE  # the processes that train it together (recipe `exact`)
    _encoder: TextEncoder
    _head: TagHead | None = None
    _text: FloatArray  # [I, K] g(X) of the catalogue
    _known: Rows  # the liked items that move a new one (recipe `exact`), and how
    _neighbours: Neighbours | None = None
    # `_items` are g(X) + o; the recipe `paper` adds two columns for the biases to them and to `_users`

    @abstractmethod
    def _new_encoder(self, n_words: int) -> TextEncoder:
        """An untrained encoder over this many words."""

    # ------------------------------------------------------------------ reading

    def _documents(self, items: Items) -> Documents:
        return self.vocabulary.recode(items.documents).cut(self.config.max_tokens)

    def _encode(self, items: Items) -> FloatArray:
        return encode_documents(self._encoder, self._documents(items))

    def _precision(self) -> torch.dtype:
        """Of the encoder's products while training; float32 where there is nothing to choose."""
        return resolve_precision(getattr(self.config, "precision", "fp32"), resolve_device(self.device))

    def _objective(self) -> Objective:
        shared: dict[str, Any] = {spec.name: getattr(self.config, spec.name, 0.0) for spec in fields(Objective)}
        return Objective(**shared)

    # ------------------------------------------------------------------ ranking

    def _refit_likes(self) -> None:
        if self.config.recipe == "exact":
            likes, tags = self.data.likes, self.data.items.tags
            self._users, self._items = solve_around(self._objective(), self._text, likes, tags, group=self.group)
            self._set_neighbours(spokesmen(counts := self.data.likes_per_item()))
            self._items[counts == 0] = self._placed(self._text[counts == 0])
        else:  # items stay as they were trained, and users are solved around them
            self._users = self._fold_in(self.data.likes, self._items)

    def _new_reps(self, items: Items) -> FloatArray:
        return self._placed(self._text_reps(items))

    def _text_reps(self, items: Items) -> FloatArray:
        text = self._encode(items)
        if self.config.recipe == "exact":
            return text
        # the mean bias of the training items orders mixed lists fairly and changes nothing among new items
        bias = self._items[self.data.likes_per_item() > 0, -1].mean()
        return np.concatenate([text, np.ones((len(text), 1)), np.full((len(text), 1), bias)], 1, dtype=np.float32)

    def _set_neighbours(self, known: Rows) -> None:
        self._known, self._neighbours = known, moved_by_likes(self._text, self._items, known)

    def _placed(self, text: FloatArray) -> FloatArray:
        """Where items stand that nobody has liked [n, K]: at their text, moved as the nearest liked ones are."""
        return text if self._neighbours is None else text + self._neighbours.mean(text, self.config.neighbours)

    def _directions(self, item_reps: Any) -> FloatArray:
        return np.asarray(item_reps[:, : self.config.factors])

    def _fold_in(self, likes: Csr, item_reps: Any) -> FloatArray:
        """The exact user solve with the training items as the pool, without biases."""
        users = super()._fold_in(likes, item_reps)
        if self.config.recipe == "exact":
            return users
        return np.concatenate([users, np.zeros((len(users), 1)), np.ones((len(users), 1))], 1, dtype=np.float32)

    def _like_shares(self, liked: Any, targets: Any) -> FloatArray | None:
        """With biases a score is no sum over likes."""
        return super()._like_shares(liked, targets) if self.config.recipe == "exact" else None

    def _word_weights(self, items: Items, *, user: Any = None, tag: int | None = None) -> WordWeights:
        """By gradient; the score of a tag is its log-odds."""
        documents = self.vocabulary.recode(items.documents)
        return word_weights(self._encoder, documents, self._direction(user, tag), max_tokens=self.config.max_tokens)

    def _direction(self, user: Any, tag: int | None) -> FloatArray:
        """What g(X) is multiplied with for the score of one user or of one tag [K]."""
        if tag is None:
            return np.asarray(user[0, : self.config.factors])
        assert self._head is not None
        return np.asarray(self._head.vectors[tag].detach().cpu().numpy())

    def _tag_scores(self, items: Items) -> FloatArray:
        if self._head is None:
            return np.zeros((len(items), 0), np.float32)
        neighbours = self.config.tag_neighbours
        return tag_scores(self._head, self._encode(items), self._text, self.data.items.tags, neighbours=neighbours)

    # ------------------------------------------------------------------ saving

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays: dict[str, npt.NDArray[Any]] = {"text": self._text, "items": self._items, "users": self._users}
        arrays |= {} if self._neighbours is None else {"known": self._known}
        arrays |= {f"encoder.{name}": value.cpu().numpy() for name, value in self._encoder.state_dict().items()}
        if self._head is not None:
            arrays |= {f"tags.{name}": value.cpu().numpy() for name, value in self._head.state_dict().items()}
        return arrays

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        device = resolve_device(self.device)
        self._text, self._items, self._users = arrays["text"], arrays["items"], arrays["users"]
        if "known" in arrays:
            self._set_neighbours(arrays["known"])
        self._encoder = self._new_encoder(len(self.vocabulary)).to(device).eval()
        self._encoder.load_state_dict(part_of(arrays, "encoder.", device))
        if "tags.bias" in arrays:
            self._head = TagHead(self.data.items.tags, self.config.factors).to(device)
            self._head.load_state_dict(part_of(arrays, "tags.", device))
