"""Any models blended: each model's scores on the scale of the user, with weights learnt on held-out likes.

Shapes: `U` users, `I` items, `C` candidates, `M` models.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from textrec.config import Config
from textrec.dataset import Csr, Dataset, Items, Rows
from textrec.errors import CapabilityError, ConfigError, DataError, TextrecWarning
from textrec.learn.blending import best_weights, scale_of
from textrec.learn.model import Capability, Checkpoint, FitReport, Monitor
from textrec.learn.recommender import Recommender
from textrec.learn.representations import Parts
from textrec.models import members
from textrec.protocol.splits import Fold, hold_out
from textrec.registry import models_with

__all__ = ["BlendConfig", "BlendModel"]

FloatArray = npt.NDArray[np.float32]
Setting = Literal["cold", "warm"]

REFERENCE = 1000
"""Items of the catalogue that a user's scale is taken from."""

USERS_AT_ONCE = 1024


@dataclass(frozen=True)
class BlendConfig(Config):
    """Configuration of `blend`."""

    members: tuple[str, ...] = ("kernel", "embed-mtl")
    """The models, each a name and its settings: ["kernel kernel=vectors", "gru-mtl epochs=10"]."""

    cold_weights: tuple[float, ...] = ()
    """Weights for items nobody has liked yet, one a member; empty: learnt."""

    warm_weights: tuple[float, ...] = ()
    """Weights for items with likes, one a member; empty: learnt."""

    learn: Literal["given", "both"] = "given"
    """Which weights are learnt: those for the kind of validation at hand (new items or new likes), the other kind
    taking the same; or both, which fits every member once more."""

    def _faults(self) -> list[str]:
        faults = [] if self.members else ["members must name at least one model, got none"]
        for name in ("cold_weights", "warm_weights"):
            weights = getattr(self, name)
            good = all(isinstance(weight, (int, float)) and weight >= 0 for weight in weights) and sum(weights) > 0
            if weights and (len(weights) != len(self.members) or not good):
                faults.append(f"{name} must be {len(self.members)} numbers of at least 0, got {list(weights)}")
        for member in self.members:
            try:
                if members.named(member)[0] == BlendModel.name:
                    raise ConfigError("a blend cannot be a member of a blend")
            except (ConfigError, ValueError) as error:
                faults.append(f"members: {member!r}: {error}")
        return faults


class BlendModel(Recommender):
    """Score = Σ_m w_m (s_m − mean_m) / sd_m: mean and deviation over `REFERENCE` items, one pair a user and model.

    Items with training likes have the warm weights and the scale of known items, all others the cold ones and the scale
    of texts. Weights are learnt on likes held out of the training part: members are fitted without them, the weights
    chosen, and the members completed with all of the training part (an encoder goes on, as it does after early stopping
    when it is trained alone; every other model is fitted again).
    """

    name = "blend"
    summary = "several models blended, weights learnt on held-out likes"
    capabilities: frozenset[Capability] = frozenset({"cold", "fold_in", "bag_of_words"})
    config_type = BlendConfig
    stops_early = True
    ranks_by_likes = True

    config: BlendConfig
    _members: list[Recommender]
    _weights: dict[Setting, npt.NDArray[np.float64]]  # [M] each
    _scales: dict[Setting, FloatArray]  # [U, M, 2]
    _reference: dict[Setting, tuple[Any, ...]]  # representations of the reference items, one a member
    _warm: npt.NDArray[np.bool_]  # [I] items with a training like

    def __init__(self, config: Config | None = None, *, seed: int = 0, device: str = "auto") -> None:
        super().__init__(config, seed=seed, device=device)
        self._members = self._new_members()
        self.capabilities = self.capabilities.intersection(*(member.capabilities for member in self._members))

    def check_data(self, train: Dataset) -> None:
        """Every member is asked before the first is trained."""
        super().check_data(train)
        for member in self._members:
            member.check_data(train)

    # ------------------------------------------------------------------ learning

    def _fit(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        self.report = FitReport()
        held_out = validation or self._held_out(train, "cold" if self._reads_texts else "warm")
        weights = self._given_weights()
        if held_out is None:
            self._fit_members(train, None, monitor, checkpoint)
            fallback = next(iter(weights.values()), np.full(len(self._members), 1 / len(self._members)))
            self._weights = {"cold": fallback, "warm": fallback, **weights}
        else:
            first: Setting = "warm" if held_out.setting == "warm" else "cold"
            other: Setting = "cold" if first == "warm" else "warm"
            both = self.config.learn == "both" and other not in weights and (other == "warm" or self._reads_texts)
            if both and (another := self._held_out(train, other)):
                self._fit_members(another.train, another, monitor, _within(checkpoint, other))
                weights[other] = self._learnt(another, monitor)
                self._count_tokens()  # the members are made anew
            self._fit_members(held_out.train, held_out, monitor, checkpoint)
            if first not in weights:
                weights[first] = self._learnt(held_out, monitor)
            self._weights = {other: weights[first], **weights}
            for member in self._members:
                member._complete(train, held_out, _labelled(monitor, member))
                _stop_if_stopped(member)
        self._count_tokens()
        self._set_reference()

    @property
    def _reads_texts(self) -> bool:
        return "cold" in self.capabilities

    def _held_out(self, train: Dataset, setting: Setting) -> Fold | None:
        """What weights are learnt on; None, with a warning, where the data are too few to hold anything out."""
        try:
            return hold_out(train, setting, seed=self.seed, fold=0)
        except DataError as error:
            warnings.warn(f"blend: no weights are learnt for {setting} items: {error}", TextrecWarning, stacklevel=4)
            return None

    def _given_weights(self) -> dict[Setting, npt.NDArray[np.float64]]:
        given: dict[Setting, tuple[float, ...]] = {"cold": self.config.cold_weights, "warm": self.config.warm_weights}
        return {setting: np.array(those) / sum(those) for setting, those in given.items() if those}

    def _fit_members(
        self, train: Dataset, validation: Fold | None, monitor: Monitor | None, checkpoint: Checkpoint | None
    ) -> None:
        self._members = self._new_members()
        for number, member in enumerate(self._members):
            where = _within(checkpoint, f"member-{number}")
            member.fit(train, validation=validation, monitor=_labelled(monitor, member), checkpoint=where)
            _stop_if_stopped(member)

    def _count_tokens(self) -> None:
        self.report.tokens_encoded += sum(member.report.tokens_encoded for member in self._members)

    def _learnt(self, fold: Fold, monitor: Monitor | None) -> npt.NDArray[np.float64]:
        """The weights that rank best what was held out of the members' training."""
        setting: Setting = "warm" if fold.setting == "warm" else "cold"
        scores = [_scaled(member, fold, self._rows_of_reference(fold.train), setting) for member in self._members]
        weights, value = best_weights(fold, scores)
        self.report.validation = value
        if monitor is not None:
            named = dict(zip(self.config.members, weights.round(3).tolist(), strict=True))
            monitor({"event": "weights", "setting": setting, "weights": named, "recall": value})
        return weights

    def _new_members(self) -> list[Recommender]:
        return [members.new(text, seed=self.seed, device=self.device) for text in self.config.members]

    def _refit_likes(self) -> None:
        for member in self._members:
            member.data = self.data
            member._refit_likes()
        self._set_reference()

    def _rows_of_reference(self, data: Dataset) -> Rows:
        liked = np.flatnonzero(data.likes_per_item() > 0)
        return np.sort(np.random.default_rng(self.seed).permutation(liked)[:REFERENCE])

    def _set_reference(self) -> None:
        """Scales of all users, from the same items for all."""
        self._warm = self.data.likes_per_item() > 0
        rows = self._rows_of_reference(self.data)
        self._reference = {"warm": tuple(member._known_reps(rows) for member in self._members)}
        if self._reads_texts:
            items = self.data.items.take(rows)
            self._reference["cold"] = tuple(member._text_reps(items) for member in self._members)
        blocks = [  # a kernel's users are as wide as its pool
            self._scales_of([member._user_reps(block) for member in self._members])
            for block in _blocks_of(self.data.n_users)
        ]
        self._scales = {setting: np.concatenate([block[setting] for block in blocks]) for setting in self._reference}

    def _scales_of(self, user_reps: list[Any]) -> dict[Setting, FloatArray]:
        return {
            setting: np.stack(
                [
                    scale_of(member._score(users, items))
                    for member, users, items in zip(self._members, user_reps, reference, strict=True)
                ],
                1,
            )
            for setting, reference in self._reference.items()
        }

    # ------------------------------------------------------------------ ranking

    def _user_reps(self, users: Rows) -> Parts:
        own = [member._user_reps(users) for member in self._members]
        return Parts((*own, *(self._scales[setting][users] for setting in self._reference)))

    def _fold_in(self, likes: Csr, item_reps: Any) -> Parts:
        own = [member._fold_in(likes, part) for member, part in zip(self._members, item_reps.parts[:-1], strict=True)]
        return Parts((*own, *self._scales_of(own).values()))

    def _known_reps(self, rows: Rows) -> Parts:
        return Parts((*(member._known_reps(rows) for member in self._members), self._warm[rows]))

    def _new_reps(self, items: Items) -> Parts:
        return Parts((*(member._new_reps(items) for member in self._members), np.zeros(len(items), np.bool_)))

    def _score(self, user_reps: Any, item_reps: Any) -> FloatArray:
        warm = item_reps.parts[-1]
        scales = dict(zip(self._reference, user_reps.parts[len(self._members) :], strict=True))
        total = np.zeros((len(user_reps), len(item_reps)), np.float32)
        for number, member in enumerate(self._members):
            scores = member._score(user_reps.parts[number], item_reps.parts[number])
            kinds: tuple[tuple[Setting, npt.NDArray[np.bool_]], ...] = (("warm", warm), ("cold", ~warm))
            for setting, of_kind in kinds:
                columns = np.flatnonzero(of_kind)
                if len(columns):
                    scale = scales[setting if setting in scales else "warm"][:, number]
                    weight = np.float32(self._weights[setting][number])
                    total[:, columns] += weight * (scores[:, columns] - scale[:, :1]) / scale[:, 1:]
        return total

    def _require(self, capability: Capability) -> None:
        for member in self._members:
            if capability in type(self).capabilities and capability not in member.capabilities:
                raise CapabilityError(member.name, capability, models_with(capability), "it is a member of the blend")
        super()._require(capability)

    # ------------------------------------------------------------------ saving

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays: dict[str, npt.NDArray[Any]] = {f"weights.{name}": value for name, value in self._weights.items()}
        for number, member in enumerate(self._members):
            arrays |= members.arrays_of(member, f"member-{number}.")
        return arrays

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._weights = {"cold": arrays["weights.cold"], "warm": arrays["weights.warm"]}
        self._members = [
            members.restored(member, arrays, f"member-{number}.", self.data, self.likes_known)
            for number, member in enumerate(self._members)
        ]
        self._set_reference()


def _scaled(member: Recommender, fold: Fold, reference: Rows, setting: Setting) -> FloatArray:
    """A member's scores of the fold's candidates, on the scale of each user [U, C]."""
    candidates = member._item_reps(member.select(fold.candidates))
    if setting == "cold":
        items = member._text_reps(fold.train.items.take(reference))
    else:
        items = member._known_reps(reference)
    scores = np.empty((fold.train.n_users, len(fold.candidates)), np.float32)
    for block in _blocks_of(len(scores)):
        users = member._user_reps(block)
        scale = scale_of(member._score(users, items))
        scores[block] = (member._score(users, candidates) - scale[:, :1]) / scale[:, 1:]
    return scores


def _within(checkpoint: Checkpoint | None, folder: str) -> Checkpoint | None:
    return checkpoint and dataclasses.replace(checkpoint, folder=checkpoint.folder / folder)


def _stop_if_stopped(member: Recommender) -> None:
    """Ctrl-C in a member ends all: a blend needs every member, and training goes on from their checkpoints."""
    if member.report.interrupted:
        raise KeyboardInterrupt


def _blocks_of(n_users: int) -> Iterator[Rows]:
    """Rows of users, a block at a time."""
    for start in range(0, n_users, USERS_AT_ONCE):
        yield np.arange(start, min(start + USERS_AT_ONCE, n_users))


def _labelled(monitor: Monitor | None, member: Recommender) -> Monitor | None:
    return None if monitor is None else lambda event: monitor({**event, "member": member.name})
