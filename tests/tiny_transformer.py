"""A transformer of two tiny layers with random weights, written as sentence-transformers writes its folders."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from textrec.data.sample import sample
from textrec.learn.pretrained import Pretrained, load_pretrained

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz0123456789.,:;?!-", "graph", "##s", "network")


def write(folder: Path, *, pooling: str = "mean", normalise: bool = True, kind: str = "bert") -> Path:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    known = [word for word in sample().items.documents.words if word.isalpha() and word != "networks"][::2]
    vocabulary = {word: row for row, word in enumerate(dict.fromkeys([*WORDS, *known]))}
    vocabulary |= {f"##{letter}": len(vocabulary) + row for row, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    state = torch.random.get_rng_state()
    torch.manual_seed(5)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32}
    if kind == "distilbert":
        sizes = {"dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 32}
    config = AutoConfig.for_model(
        kind, vocab_size=max(vocabulary.values()) + 1, max_position_embeddings=66, initializer_range=0.3, **sizes
    )
    AutoModel.from_config(config).save_pretrained(folder)
    torch.random.set_rng_state(state)
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalise else [])]
    places = ["", "1_Pooling", "2_Normalize"]
    named = [
        {"idx": row, "name": str(row), "path": places[row], "type": f"sentence_transformers.models.{name}"}
        for row, name in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(named))
    for place in places[1 : len(modules)]:
        (folder / place).mkdir()
    modes = {f"pooling_mode_{name}": name.startswith(pooling) for name in ("cls_token", "mean_tokens", "max_tokens")}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes | {"word_embedding_dimension": 24}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 48}))
    return folder


_KEPT = TemporaryDirectory(prefix="tiny-transformer-")  # removed when the tests end


@cache
def folder() -> str:
    """One for all tests that only read it."""
    return str(write(Path(_KEPT.name)))


@cache
def pretrained() -> Pretrained:
    """The same, loaded."""
    return load_pretrained(folder())
