"""Base of the models that train a text encoder on likes (and tags); a family names its encoder.

Score `s_ij = u_i · f(X_j)`, `f(X_j) = g(X_j) + o_j` (paper eq. 3, 4). Two recipes train it: `exact` (`learn.exact`) and
`paper` (`learn.paper`, which adds `b_i + b_j`).

Shapes: `K` factors, `U` users, `I` items, `G` tags, `C` items of a call.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from textrec.dataset import Csr, Dataset, Items, Rows
from textrec.learn.averaging import Averaging
from textrec.learn.batches import batch_size
from textrec.learn.checkpoints import REFIT, part_of
from textrec.learn.encoders import TextEncoder
from textrec.learn.exact import ExactTrainee, encode_documents
from textrec.learn.group import ALONE, Group
from textrec.learn.model import Capability, Checkpoint, Monitor
from textrec.learn.neighbours import Neighbours, moved_by_likes, spokesmen
from textrec.learn.objective import Objective, solve_around
from textrec.learn.paper import PaperFactors, PaperSettings, PaperTrainee
from textrec.learn.reasons import WordWeights
from textrec.learn.saliency import word_weights
from textrec.learn.tags import TagHead, fit_tags, tag_scores
from textrec.learn.tensors import resolve_device, resolve_precision, to_tensor
from textrec.learn.training import Schedule, Trainee, train
from textrec.learn.word_vectors import WordVectors, named_vectors, read_encoder_weights
from textrec.models.solved import SolvedModel
from textrec.models.stopping import exact_metric, paper_metric, stopping_k
from textrec.protocol.splits import Fold
from textrec.text import Documents, Vocabulary

__all__ = ["READS_TEXT", "NeuralModel"]

FloatArray = npt.NDArray[np.float32]

REFIT_RATE = 0.5
"""Of the learning rates, when all items are trained on after early stopping."""

READS_TEXT: frozenset[Capability] = frozenset({"cold", "fold_in", "vectors", "gradients"})
"""What every model of this kind can do."""


class NeuralModel(SolvedModel):
    """Base of the text encoder models; a subclass names its encoder."""

    stops_early = True
    vocabulary: Vocabulary
    word_vectors: WordVectors | None = None  # to start from, in place of those that the configuration names
    group: Group = ALONE  # the processes that train it together (recipe `exact`)
    _encoder: TextEncoder
    _head: TagHead | None = None
    _text: FloatArray  # [I, K] g(X) of the catalogue
    _known: Rows  # the liked items that move a new one (recipe `exact`), and how
    _neighbours: Neighbours | None = None
    # `_items` are g(X) + o; the recipe `paper` adds two columns for the biases to them and to `_users`
    _factors: PaperFactors  # after training by the recipe `paper`

    @abstractmethod
    def _new_encoder(self, n_words: int) -> TextEncoder:
        """An untrained encoder over this many words."""

    # ------------------------------------------------------------------ learning

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        torch.manual_seed(self.seed)
        vectors, norm = self._starting_vectors()
        extra = vectors.words_of(train.items.documents) if vectors else ()
        self.vocabulary = Vocabulary.build(train.items.documents, min_count=self.config.min_count, extra=extra)
        self._encoder = self._new_encoder(len(self.vocabulary)).to(resolve_device(self.device))
        if vectors:
            self._encoder.start_from(vectors, self.vocabulary, norm)
        part = train if validation is None else validation.train
        self._head = None
        run = self._run_exact if self.config.recipe == "exact" else self._run_paper
        run(part, validation, monitor, checkpoint)
        if self.config.recipe == "exact" and validation is not None:
            self._refit_encoder(train, monitor, checkpoint)
        if vectors:
            self.vocabulary = self._encoder.widen(vectors, self.vocabulary, norm, self.config.widen)
        self._text = encode_documents(self._encoder, self._documents(train.items), group=self.group)
        if self.config.recipe == "exact":
            self._refit_likes()
            self._refit_tags(train)
        else:
            rows = part.items.ids.rows(train.items.ids)
            self._users, self._items = self._factors.user_rows(), self._factors.item_rows(self._text, rows)

    def _starting_vectors(self) -> tuple[WordVectors | None, float | None]:
        """Word vectors to start from and the norm they are brought to; None: as they are, with the layer over them."""
        if folder := getattr(self.config, "encoder_weights", None):
            return self.word_vectors or read_encoder_weights(folder), None
        return self.word_vectors or named_vectors(self.config.word_vectors), self.config.vector_norm

    def _run_exact(
        self, part: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        if "tags" in self.capabilities and part.items.tags.nnz:
            self._head = TagHead(part.items.tags, self.config.factors)
            self._head.to(resolve_device(self.device))
        self._train_exact(part, validation, self.config.epochs, 1.0, monitor, checkpoint)

    def _refit_encoder(self, train: Dataset, monitor: Monitor | None, checkpoint: Checkpoint | None) -> None:
        """Go on with all items: those held out for early stopping are a tenth of what there is to learn from."""
        chosen = self.report
        if self.config.refit_epochs == 0 or chosen.interrupted:
            return
        last = checkpoint and replace(checkpoint, folder=checkpoint.folder / REFIT)
        told = monitor and (lambda event: monitor({**event, "refit": True}))
        self._train_exact(train, None, self.config.refit_epochs, REFIT_RATE, told, last)
        tokens = chosen.tokens_encoded + self.report.tokens_encoded
        self.report = replace(chosen, tokens_encoded=tokens, interrupted=self.report.interrupted)

    def _refit_tags(self, train: Dataset) -> None:
        if self._head is not None and self.config.tag_weight > 0:
            text = to_tensor(self._text, self._head.bias.device)
            settings = {"epochs": self.config.tag_epochs, "absent_weight": self.config.absent_tag_weight}
            fit_tags(self._head, text, train.items.tags, seed=self.seed, **settings)

    def _train_exact(
        self,
        part: Dataset,
        validation: Fold | None,
        epochs: int,
        rate: float,
        monitor: Monitor | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        config = self.config
        trainee = self._new_trainee(
            self._encoder,
            self._head,
            self._documents(part.items),
            part.likes,
            part.items.tags,
            objective=self._objective(),
            learning_rate=rate * config.learning_rate,
            tag_learning_rate=rate * getattr(config, "tag_learning_rate", config.learning_rate),
            evaluate=None if validation is None else self._stopping_metric(validation),
            precision=self._precision(),
            schedule=config.schedule,
            warmup_steps=config.warmup_steps,
            averaging=Averaging(config.averaging, config.averaging_decay, config.averaging_epochs),
            group=self.group,
        )
        size = batch_size(config.batch_size, trainee.n_examples)
        self._train(trainee, Schedule(epochs, size, config.patience, self.seed), part, validation, monitor, checkpoint)

    def _new_trainee(self, *arguments: Any, **named: Any) -> ExactTrainee:
        return ExactTrainee(*arguments, **named)

    def _run_paper(
        self, part: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        config = self.config
        every = min(config.paper_evaluate_every, config.paper_steps)
        tags = len(part.items.tag_names) if "tags" in self.capabilities else 0
        self._factors = PaperFactors(part.n_users, part.likes_per_item() > 0, tags, config.factors, config.init_scale)
        self._factors.to(resolve_device(self.device))
        trainee = PaperTrainee(
            self._encoder,
            self._factors,
            self._documents(part.items),
            part.likes,
            part.items.tags,
            draws=every * config.paper_users,
            settings=PaperSettings.of(config, self._precision()),
            evaluate=None if validation is None else self._stopping_metric(validation),
        )
        schedule = Schedule(-(-config.paper_steps // every), config.paper_users, config.patience, self.seed)
        self._train(trainee, schedule, part, validation, monitor, checkpoint)
        if tags:
            self._head = TagHead.of(self._factors.tags)

    def _train(
        self,
        trainee: Trainee,
        schedule: Schedule,
        part: Dataset,
        validation: Fold | None,
        monitor: Monitor | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        sizes = f"{part.n_users} users, {part.n_items} items, {part.n_likes} likes, {len(self.vocabulary)} words"
        what = f"{self.name} {self.config.fingerprint()} seed {self.seed} {sizes}"
        metric = "" if validation is None else f"recall@{stopping_k(validation)}"
        self.report = train(
            trainee, schedule, metric=metric, monitor=monitor, checkpoint=checkpoint, identity=what, group=self.group
        )

    def _stopping_metric(self, validation: Fold) -> Any:
        if self.config.recipe == "exact":
            return exact_metric(validation, self._documents, self._objective(), self._precision(), self.group)
        return paper_metric(validation, self._documents, self._precision())

    def _precision(self) -> torch.dtype:
        """Of the encoder's products while training; float32 where there is nothing to choose."""
        return resolve_precision(getattr(self.config, "precision", "fp32"), resolve_device(self.device))

    def _objective(self) -> Objective:
        shared: dict[str, Any] = {spec.name: getattr(self.config, spec.name, 0.0) for spec in fields(Objective)}
        return Objective(**shared)

    def _documents(self, items: Items) -> Documents:
        return self.vocabulary.recode(items.documents).cut(self.config.max_tokens)

    def _refit_likes(self) -> None:
        if self.config.recipe == "exact":
            likes, tags = self.data.likes, self.data.items.tags
            self._users, self._items = solve_around(self._objective(), self._text, likes, tags, group=self.group)
            self._set_neighbours(spokesmen(counts := self.data.likes_per_item()))
            self._items[counts == 0] = self._placed(self._text[counts == 0])
        else:  # items stay as they were trained, and users are solved around them
            self._users = self._fold_in(self.data.likes, self._items)

    # ------------------------------------------------------------------ ranking

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

    def _encode(self, items: Items) -> FloatArray:
        return encode_documents(self._encoder, self._documents(items))

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
