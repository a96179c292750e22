"""Every model by name, without importing any of them.

A model is added by one line here; the class itself declares its capabilities, configuration and summary.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any

from textrec.errors import ArgumentError, MissingExtraError

if TYPE_CHECKING:
    from textrec.learn.recommender import Recommender

__all__ = ["MODELS", "create", "model_class", "models_with"]

MODELS: dict[str, str] = {
    "popularity": "textrec.models.baselines:Popularity",
    "tfidf": "textrec.models.baselines:TfidfProfile",
    "tfidf-knn": "textrec.models.item_similarity:TfidfKnn",
    "ease": "textrec.models.item_similarity:Ease",
    "als": "textrec.models.factorisation:Als",
    "text-als": "textrec.models.factorisation:TextAls",
    "lda": "textrec.models.ctr:LdaRegression",
    "ctr": "textrec.models.ctr:CtrModel",
    "ctr-mtl": "textrec.models.ctr:CtrMtlModel",
    "embed": "textrec.models.embed:EmbedModel",
    "embed-mtl": "textrec.models.embed:EmbedMtlModel",
    "gru": "textrec.models.gru:GruModel",
    "gru-mtl": "textrec.models.gru:GruMtlModel",
    "transformer": "textrec.models.transformer:TransformerModel",
    "transformer-mtl": "textrec.models.transformer:TransformerMtlModel",
    "joined": "textrec.models.joined:JoinedModel",
    "joined-mtl": "textrec.models.joined:JoinedMtlModel",
    "kernel": "textrec.models.kernel:KernelModel",
    "blend": "textrec.models.blend:BlendModel",
}
"""Model name → `module:class`."""


def model_class(name: str) -> type[Recommender]:
    """The class of a model.

    Raises:
        ArgumentError: no model has this name.
        MissingExtraError: the model needs an optional dependency.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"models: {', '.join(MODELS)}"
        raise ArgumentError(f"unknown model {name!r}; {hint}")
    module, _, attribute = MODELS[name].partition(":")
    found: type[Recommender] = getattr(importlib.import_module(module), attribute)
    return found


def create(name: str, config: Any = None, *, seed: int = 0, device: str = "auto") -> Recommender:
    """A new, untrained model.

    Args:
        name: one of `MODELS`.
        config: the model's configuration, a mapping of its fields, or None for the defaults.
        seed: of every random choice in training.
        device: `auto` (cuda when there is one), `cpu`, `cuda` or `cuda:N`; models without tensors ignore it.
    """
    chosen = model_class(name)
    if config is not None and not isinstance(config, chosen.config_type):
        config = chosen.config_type.from_mapping(config)
    return chosen(config, seed=seed, device=device)


def models_with(capability: str) -> list[str]:
    """Names of the installed models that have a capability."""
    able = []
    for name in MODELS:
        try:
            if capability in model_class(name).capabilities:
                able.append(name)
        except MissingExtraError:
            continue
    return able
