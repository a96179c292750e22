"""Models inside a model: how a configuration names them, and how a model folder keeps them."""

from __future__ import annotations

import json
import shlex
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from textrec.config import Config, parse_flag
from textrec.dataset import Dataset, Items
from textrec.errors import ConfigError, DataError, TextrecWarning
from textrec.learn.model import Checkpoint, Monitor
from textrec.learn.recommender import Recommender
from textrec.models.encoded import EncodedModel
from textrec.protocol.splits import Fold, hold_out
from textrec.registry import create, model_class
from textrec.text import Documents, Vocabulary

__all__ = ["MemberVectors", "arrays_of", "named", "new", "restored"]

FloatArray = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]


def named(text: str) -> tuple[str, Config]:
    """Name and configuration of a member: `gru-mtl epochs=10`; a value with spaces stands in quotation marks.

    Raises:
        ConfigError: no such model, or no such setting.
        ValueError: a quotation mark too few.
    """
    name, *settings = shlex.split(str(text)) or [""]
    chosen = model_class(name)
    values = {}
    for setting in settings:
        field, sign, value = setting.partition("=")
        if not sign:
            raise ConfigError(f"{setting!r} must be field=value")
        values[field] = parse_flag(chosen.config_type, field, value)
    return name, chosen.config_type.from_mapping(values)


def new(text: str, *, seed: int, device: str) -> Recommender:
    """An untrained member."""
    name, config = named(text)
    return create(name, config, seed=seed, device=device)


def arrays_of(member: Recommender, prefix: str) -> Arrays:
    """All of a trained member, for the folder of the model that it is a member of."""
    own = member._arrays()
    if member.vocabulary is not None:
        words = json.dumps(list(member.vocabulary), ensure_ascii=False).encode()
        own["vocabulary"] = np.frombuffer(words, np.uint8).copy()
    return {prefix + name: value for name, value in own.items()}


def restored(member: Recommender, arrays: Arrays, prefix: str, data: Dataset, likes_known: bool) -> Recommender:
    """The inverse of `arrays_of`, into an untrained member.

    Args:
        member: of the same name and configuration.
        arrays: of the folder.
        prefix: as it was.
        data: what the model was trained on.
        likes_known: whether the folder has likes.
    """
    own = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    words = own.pop("vocabulary", None)
    if words is not None:
        member.vocabulary = Vocabulary.from_words(json.loads(words.tobytes().decode()))
    member.data, member.likes_known = data, likes_known
    member._restore(own)
    return member


class MemberVectors:
    """A trained text encoder as a reader of texts, in place of `SentenceVectors`.

    Args:
        member: trained, with vectors.
    """

    PREFIX = "reader."

    def __init__(self, member: Recommender) -> None:
        self.member = member

    @classmethod
    def trained(
        cls,
        text: str,
        train: Dataset,
        validation: Fold | None,
        *,
        seed: int,
        device: str,
        monitor: Monitor | None,
        checkpoint: Checkpoint | None = None,
    ) -> MemberVectors:
        """Train a member; without a validation fold a tenth of the liked items is held out to see when to stop."""
        member = new(text, seed=seed, device=device)
        if validation is None and member.stops_early:
            try:
                validation = hold_out(train, "cold", seed=seed, fold=0)
            except DataError as error:
                warnings.warn(f"{member.name}: training without validation: {error}", TextrecWarning, stacklevel=4)
        return cls(member.fit(train, validation=validation, monitor=monitor, checkpoint=checkpoint))

    def complete(self, train: Dataset, validation: Fold, monitor: Monitor | None) -> None:
        """Go on with all of the training items, after a part of them."""
        self.member._complete(train, validation, monitor)

    def vectors(self, documents: Documents, monitor: Monitor | None = None) -> FloatArray:
        """Vectors of texts [n, D]; an empty text has zeros."""
        del monitor  # nothing here takes long
        if isinstance(self.member, EncodedModel) and documents is self.member.data.items.documents:
            return self.member._text  # read when it was trained
        return self.member._encode(Items.build(map(str, range(len(documents))), documents=documents))

    def arrays(self) -> Arrays:
        """For the model folder."""
        return arrays_of(self.member, self.PREFIX)

    @classmethod
    def restore(cls, text: str, arrays: Arrays, *, device: str, data: Dataset) -> MemberVectors:
        """The inverse of `arrays`."""
        return cls(restored(new(text, seed=0, device=device), arrays, cls.PREFIX, data, likes_known=True))
