"""textrec recommends text items to users, and ranks an item nobody has liked yet by reading it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Config": "textrec.config",
    "Dataset": "textrec.dataset",
    "Items": "textrec.dataset",
    "Recommender": "textrec.learn.recommender",
    "create": "textrec.registry",
    "evaluate": "textrec.study.evaluation",
    "explain": "textrec.explanation",
    "load": "textrec.model_folder",
    "read": "textrec.data.source",
    "save": "textrec.model_folder",
    "split": "textrec.protocol.splits",
}
"""Public name → the module it lives in; imported at first use, so that `import textrec` costs nothing."""

__all__ = [
    "Config",
    "Dataset",
    "Items",
    "Recommender",
    "__version__",
    "create",
    "evaluate",
    "explain",
    "load",
    "read",
    "save",
    "split",
]

if TYPE_CHECKING:
    from textrec.config import Config
    from textrec.data.source import read
    from textrec.dataset import Dataset, Items
    from textrec.explanation import explain
    from textrec.learn.recommender import Recommender
    from textrec.model_folder import load, save
    from textrec.protocol.splits import split
    from textrec.registry import create
    from textrec.study.evaluation import evaluate


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'textrec' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
