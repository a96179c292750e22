"""How a text encoder model learns from likes (and tags); `encoded` says what it does then, a family names its encoder.

Two recipes train it: `exact` (`learn.exact`) and `paper` (`learn.paper`, which adds `b_i + b_j`).

Shapes: `K` factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from textrec.dataset import Dataset
from textrec.learn.averaging import Averaging
from textrec.learn.batches import batch_size
from textrec.learn.checkpoints import REFIT
from textrec.learn.exact import ExactTrainee, encode_documents
from textrec.learn.model import Capability, Checkpoint, Monitor
from textrec.learn.paper import PaperFactors, PaperSettings, PaperTrainee
from textrec.learn.tags import TagHead, fit_tags
from textrec.learn.tensors import resolve_device, to_tensor
from textrec.learn.training import Schedule, Trainee, train
from textrec.learn.word_vectors import WordVectors, named_vectors, read_encoder_weights
from textrec.models.encoded import EncodedModel
from textrec.models.stopping import exact_metric, paper_metric, stopping_k
from textrec.protocol.splits import Fold
from textrec.text import Vocabulary

__all__ = ["READS_TEXT", "NeuralModel"]

REFIT_RATE = 0.5
"""Of the learning rates, when all items are trained on after early stopping."""

READS_TEXT: frozenset[Capability] = frozenset({"cold", "fold_in", "vectors", "gradients"})
"""What every model of this kind can do."""


class NeuralModel(EncodedModel):
    """Base of the text encoder models; a subclass names its encoder."""

    stops_early = True
    word_vectors: WordVectors | None = None  # to start from, in place of those that the configuration names
    _trained_words: int  # of the vocabulary; those that joined after training come behind them
    _factors: PaperFactors  # after training by the recipe `paper`

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        torch.manual_seed(self.seed)
        vectors, norm = self._starting_vectors()
        extra = vectors.words_of(train.items.documents) if vectors else ()
        self.vocabulary = Vocabulary.build(train.items.documents, min_count=self.config.min_count, extra=extra)
        self._trained_words = len(self.vocabulary)
        part = train if validation is None else validation.train
        self._head = None
        with self._reading(train, monitor):
            self._encoder = self._new_encoder(len(self.vocabulary)).to(resolve_device(self.device))
            if vectors:
                self._encoder.start_from(vectors, self.vocabulary, norm)
            if self.config.recipe == "exact":
                self._run_exact(part, validation, monitor, checkpoint)
                if part is not train:
                    self._refit_encoder(train, monitor, checkpoint)
                self._settle(train, vectors, norm)
            else:
                self._run_paper(part, validation, monitor, checkpoint)
                self._widen(vectors, norm)
                self._text = encode_documents(self._encoder, self._documents(train.items))
                rows = part.items.ids.rows(train.items.ids)
                self._users, self._items = self._factors.user_rows(), self._factors.item_rows(self._text, rows)

    def _complete(self, train: Dataset, validation: Fold, monitor: Monitor | None) -> None:
        """Go on with all items, as after early stopping; the recipe `paper` begins anew."""
        if self.config.recipe != "exact":
            super()._complete(train, validation, monitor)
            return
        self.data = train
        if len(self.vocabulary) > self._trained_words:
            self._encoder.narrow(self._trained_words)
            self.vocabulary = Vocabulary.from_words(list(self.vocabulary)[: self._trained_words])
        with self._reading(train, monitor):
            self._refit_encoder(train, monitor, None)
            self._settle(train, *self._starting_vectors())

    def _settle(self, train: Dataset, vectors: WordVectors | None, norm: float | None) -> None:
        """What follows from a trained encoder: vectors of all texts, factors of users and items, tags."""
        self._widen(vectors, norm)
        self._text = encode_documents(self._encoder, self._documents(train.items), group=self.group)
        self._refit_likes()
        self._refit_tags(train)

    @contextmanager
    def _reading(self, train: Dataset, monitor: Monitor | None) -> Iterator[None]:
        """While it trains: an encoder that makes more of a text than its words keeps that for the training texts."""
        del train, monitor
        yield

    def _widen(self, vectors: WordVectors | None, norm: float | None) -> None:
        """Words of the vectors that no training text has join."""
        if vectors:
            self.vocabulary = self._encoder.widen(vectors, self.vocabulary, norm, self.config.widen)

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
