"""Embed and its kin: a text encoder trained on likes (and tags) with the factors solved exactly around it.

Score `s_ij = u_i · f(X_j)`, `f(X_j) = g(X_j) + o_j` (paper eq. 3, 4); the recipe is `learn.exact`.

Shapes: `K` factors, `U` users, `I` items, `G` tags, `C` items of a call.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch

from textrec.config import Config, bounded
from textrec.dataset import Dataset, Items
from textrec.learn.encoders import Embed, TextEncoder
from textrec.learn.exact import ExactTrainee, Objective, TagHead, encode_documents, solve_around
from textrec.learn.model import Capability, Checkpoint, Monitor
from textrec.learn.reasons import WordWeights
from textrec.learn.saliency import word_weights
from textrec.learn.tensors import resolve_device, to_tensor
from textrec.learn.training import Schedule, train
from textrec.models.solved import SolvedModel
from textrec.protocol.metrics import fold_recall
from textrec.protocol.splits import Fold
from textrec.text import Documents, Vocabulary

__all__ = ["EmbedConfig", "EmbedModel", "EmbedMtlConfig", "EmbedMtlModel", "NeuralConfig", "NeuralModel"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NeuralConfig(Config):
    """What every text encoder model has."""

    factors: int = bounded(200, 1)
    """K, the size of user, item and tag vectors (paper §4.1.2)."""

    observed: float = bounded(1.0, above=0.0)
    """a, the weight of a like."""

    unobserved: float = bounded(0.01, 0.0)
    """b, the weight of every pair that is not a like."""

    ridge_users: float = bounded(0.1, above=0.0)
    """λ_u, the ridge on user vectors."""

    ridge_items: float = bounded(1.0, above=0.0)
    """λ_v, how strongly an item vector is held to its text vector."""

    ridge_text: float = bounded(0.01, 0.0)
    """λ_g, the ridge on text vectors; without it a large g and a small u would evade the other ridges."""

    offsets: Literal["last", "alternate", "none"] = "last"
    """When items get their own offset o_j: after training, in turn with it (then ridge_items near 100), or never."""

    sweeps: int = bounded(1, 1)
    """Item and user solves after training."""

    epochs: int = bounded(30, 1)
    """Most passes over the texts."""

    patience: int = bounded(5, 1)
    """Stop after this many epochs without a better validation metric."""

    batch_size: int = bounded(256, 1)
    """Texts a step."""

    learning_rate: float = bounded(0.003, above=0.0)
    """Of Adam; it falls along a cosine to a tenth."""

    min_count: int = bounded(5, 1)
    """Words seen less often in the training texts become <UNK> (paper §4.1.2)."""

    max_tokens: int = bounded(1000, 1)
    """Longer texts are cut, with a warning."""

    init_scale: float = bounded(0.1, above=0.0)
    """Standard deviation of new word and tag vectors."""

    word_dropout: float = bounded(0.0, 0.0, 0.95)
    """Probability that a word is left out of its text while training."""


@dataclass(frozen=True)
class TagsConfig(Config):
    """What multi-task learning adds."""

    tag_weight: float = bounded(0.05, 0.0)
    """μ, the weight of a text's tag loss (summed over tags) beside its likes loss."""

    absent_tag_weight: float = bounded(1.0, 0.0)
    """c', the weight of a tag that is absent (paper §3.3, which gives no value)."""


@dataclass(frozen=True)
class EmbedConfig(NeuralConfig):
    """Configuration of `embed`."""

    dropout: float = bounded(0.0, 0.0, 0.95)
    """Probability of dropping a dimension of the mean while training."""


@dataclass(frozen=True)
class EmbedMtlConfig(TagsConfig, EmbedConfig):
    """Configuration of `embed-mtl`."""


class NeuralModel(SolvedModel):
    """Base of the text encoder models; a subclass names its encoder."""

    stops_early = True
    vocabulary: Vocabulary
    _encoder: TextEncoder
    _head: TagHead | None = None
    _text: FloatArray  # [I, K] g(X) of the catalogue; `_items` are g(X) + o

    @abstractmethod
    def _new_encoder(self, n_words: int) -> TextEncoder:
        """An untrained encoder over this many words."""

    # ------------------------------------------------------------------ learning

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        torch.manual_seed(self.seed)
        self.vocabulary = Vocabulary.build(train.items.documents, min_count=self.config.min_count)
        self._encoder = self._new_encoder(len(self.vocabulary)).to(resolve_device(self.device))
        part = train if validation is None else validation.train
        self._head = None
        if "tags" in self.capabilities and part.items.tags.nnz:
            self._head = TagHead(part.items.tags, self.config.factors, init_scale=self.config.init_scale)
            self._head.to(resolve_device(self.device))
        self._run(part, validation, monitor)
        self._text = encode_documents(self._encoder, self._documents(train.items))
        self._refit_likes()

    def _run(self, part: Dataset, validation: Fold | None, monitor: Monitor | None) -> None:
        config = self.config
        trainee = ExactTrainee(
            self._encoder,
            self._head,
            self._documents(part.items),
            part.likes,
            part.items.tags,
            objective=self._objective(),
            learning_rate=config.learning_rate,
            evaluate=None if validation is None else self._stopping_metric(validation),
        )
        schedule = Schedule(config.epochs, config.batch_size, config.patience, self.seed)
        metric = "" if validation is None else f"recall@{_stopping_k(validation)}"
        self.report = train(trainee, schedule, metric=metric, monitor=monitor)

    def _stopping_metric(self, validation: Fold) -> Any:
        """Recall of the held-out likes for users solved at v = g."""
        k = _stopping_k(validation)
        documents = self._documents(validation.candidates)

        def recall(users: FloatArray, encoder: TextEncoder) -> float:
            items = encode_documents(encoder, documents)
            if validation.setting == "warm":
                text = encode_documents(encoder, self._documents(validation.train.items))
                users, solved = solve_around(self._objective(), text, validation.train.likes)
                items = solved[validation.train.items.ids.rows(validation.candidates.ids)]
            return fold_recall(validation, lambda block: users[block] @ items.T, k)

        return recall

    def _objective(self) -> Objective:
        shared: dict[str, Any] = {spec.name: getattr(self.config, spec.name, 0.0) for spec in fields(Objective)}
        return Objective(**shared)

    def _documents(self, items: Items) -> Documents:
        return self.vocabulary.recode(items.documents).cut(self.config.max_tokens)

    def _refit_likes(self) -> None:
        self._users, self._items = solve_around(self._objective(), self._text, self.data.likes)

    # ------------------------------------------------------------------ ranking

    def _new_reps(self, items: Items) -> FloatArray:
        return self._encode(items)

    def _encode(self, items: Items) -> FloatArray:
        return encode_documents(self._encoder, self._documents(items))

    def _tag_scores(self, items: Items) -> FloatArray:
        if self._head is None:
            return np.zeros((len(items), 0), np.float32)
        with torch.inference_mode():
            logits = self._head(to_tensor(self._encode(items), self._head.bias.device))
        probabilities: FloatArray = torch.sigmoid(logits).cpu().numpy()
        return probabilities

    def _word_weights(self, items: Items, *, user: Any = None, tag: int | None = None) -> WordWeights:
        """By gradient; the score of a tag is its log-odds."""
        if tag is None:
            direction = user[0]
        else:
            assert self._head is not None
            direction = self._head.vectors[tag].detach().cpu().numpy()
        documents = self.vocabulary.recode(items.documents)
        return word_weights(self._encoder, documents, direction, max_tokens=self.config.max_tokens)

    # ------------------------------------------------------------------ saving

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {"text": self._text, "items": self._items, "users": self._users}
        arrays |= {f"encoder.{name}": value.cpu().numpy() for name, value in self._encoder.state_dict().items()}
        if self._head is not None:
            arrays |= {f"tags.{name}": value.cpu().numpy() for name, value in self._head.state_dict().items()}
        return arrays

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        device = resolve_device(self.device)
        self._text, self._items, self._users = arrays["text"], arrays["items"], arrays["users"]
        self._encoder = self._new_encoder(len(self.vocabulary)).to(device)
        self._encoder.load_state_dict(_states(arrays, "encoder.", device))
        self._encoder.eval()
        if "tags.bias" in arrays:
            self._head = TagHead(self.data.items.tags, self.config.factors).to(device)
            self._head.load_state_dict(_states(arrays, "tags.", device))


def _states(arrays: dict[str, npt.NDArray[Any]], prefix: str, device: torch.device) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): to_tensor(value, device) for name, value in arrays.items() if name.startswith(prefix)
    }


def _stopping_k(validation: Fold) -> int:
    """Recall@50, or Recall@10 where 50 would be a large part of the pool."""
    return 50 if len(validation.candidates) >= 250 else 10


_CAPABLE: frozenset[Capability] = frozenset({"cold", "fold_in", "vectors", "gradients", "bag_of_words"})


class EmbedModel(NeuralModel):
    """Mean of word vectors (paper §3.1)."""

    name = "embed"
    summary = "mean of word vectors trained on likes (paper §3.1)"
    capabilities: ClassVar[frozenset[Capability]] = _CAPABLE
    config_type = EmbedConfig

    def _new_encoder(self, n_words: int) -> TextEncoder:
        config = self.config
        return Embed(
            n_words,
            config.factors,
            dropout=config.dropout,
            init_scale=config.init_scale,
            word_dropout=config.word_dropout,
        )


class EmbedMtlModel(EmbedModel):
    """Mean of word vectors trained on likes and tags (paper §3.1, §3.3)."""

    name = "embed-mtl"
    summary = "mean of word vectors trained on likes and tags together (paper §3.1, §3.3)"
    capabilities: ClassVar[frozenset[Capability]] = _CAPABLE | {"tags"}
    config_type = EmbedMtlConfig
