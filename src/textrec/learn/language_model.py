"""A bidirectional GRU layer learns from plain text to predict words, before it reads for anybody (paper §3.2 names it).

The state of the forward direction at a word predicts the word after it, that of the backward direction the word before
it; neither has read the word it predicts. Both share their word vectors e with the input (tied):

    z_w = e_w · (P h) + β_w,   loss = Σ −log softmax(z)[word]

over a sample of words: log(S q_w), q the chance of being drawn, is subtracted from every score, which makes the sampled
softmax an estimate of the whole one (Jean et al. 2015). What is kept are word vectors and layer; P and β are dropped.

Shapes: `N` tokens of a batch, `M` predictions of a batch, `V` words, `D` word-vector size, `H` units a direction,
`S` sampled words.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textrec.config import Config, bounded
from textrec.dataset import Rows
from textrec.errors import ArgumentError, DataError
from textrec.learn.batches import cut, length_buckets
from textrec.learn.checkpoints import State, load_optimizer_state, module_state, optimizer_state, part
from textrec.learn.encoders import TokenBatch
from textrec.learn.model import Monitor
from textrec.learn.packed_gru import FastDropout, Packing, run_layer
from textrec.learn.ranking_losses import NEVER
from textrec.learn.rates import Rates
from textrec.learn.tensors import Precision, low_precision, resolve_device, resolve_precision, to_tensor
from textrec.learn.training import Schedule, train
from textrec.learn.word_vectors import WordVectors
from textrec.text import Documents, Vocabulary, count_words

__all__ = ["LanguageModel", "LanguageModelConfig", "pieces_of", "sampled_softmax", "train_language_model"]

END = "."
"""The word that ends a sentence."""

HELD_OUT = 500
"""Pieces at most that are not trained on: how well their words are predicted is told."""


@dataclass(frozen=True)
class LanguageModelConfig(Config):
    """How the layer is trained."""

    dim: int = bounded(200, 1)
    """D, the size of a word vector."""

    hidden: int = bounded(400, 1)
    """H, units a direction (paper §4.1.2)."""

    epochs: int = bounded(1, 1)
    """Passes over the corpus."""

    min_count: int = bounded(5, 1)
    """Words seen less often in the corpus are <UNK> and get no vector."""

    longest: int = bounded(64, 2)
    """Tokens of a piece: a sentence, or a part of one that is longer."""

    sampled: int = bounded(1024, 1)
    """S, words that each prediction is compared with; drawn once a step by frequency^0.75."""

    batch_size: int = bounded(128, 1)
    """Pieces a step."""

    dropout: float = bounded(0.1, 0.0, 0.95)
    """Probability of dropping a number of a word vector or of a state."""

    learning_rate: float = bounded(0.002, above=0.0)
    """Of Adam, at its highest; after a warm-up it falls along a cosine, step by step."""

    vector_norm: float = bounded(1.0, above=0.0)
    """Norm at which word vectors start."""

    precision: Precision = "auto"
    """Of products: bf16, fp32, or auto, which is bf16 where the processor has instructions for it."""


def pieces_of(documents: Documents, longest: int) -> Documents:
    """Sentences as texts of their own, in parts of at most `longest` tokens; a piece of one token says nothing."""
    n_tokens = len(documents.ids)
    begins = np.zeros(n_tokens + 1, np.bool_)
    begins[documents.starts] = True
    if END in documents.words:
        begins[1:] |= documents.ids == list(documents.words).index(END)
    first = np.flatnonzero(begins[:-1])
    inside = np.arange(n_tokens) - np.repeat(first, np.diff(np.append(first, n_tokens)))
    starts = np.append(np.flatnonzero(inside % longest == 0), n_tokens).astype(np.int64)
    pieces = Documents(documents.words, documents.ids, starts)
    return pieces.take(np.flatnonzero(np.diff(starts) > 1))


def sampled_softmax(
    queries: Tensor, targets: Tensor, vectors: Tensor, bias: Tensor, samples: Tensor, log_expected: Tensor
) -> Tensor:
    """−log of the probability of each target among itself and the sampled words, summed.

    Args:
        queries: P h [M, D].
        targets: the words to predict [M].
        vectors: e [V, D].
        bias: β [V].
        samples: sampled words [S]; where one is the target it does not count twice.
        log_expected: log(S q) [V].
    """
    corrected = bias - log_expected
    own = (queries * F.embedding(targets, vectors)).sum(1).float() + corrected[targets]
    others = (queries @ F.embedding(samples, vectors).T).float() + corrected[samples]
    others = others.masked_fill(targets[:, None] == samples, NEVER)
    return (torch.logaddexp(own, others.logsumexp(1)) - own).sum()


class LanguageModel(nn.Module):
    """Word vectors, one bidirectional GRU layer, and what turns its states into predictions.

    Args:
        counts: how often each word stands in the corpus [V].
        config: sizes and dropout.
    """

    def __init__(self, counts: Tensor, config: LanguageModelConfig) -> None:
        super().__init__()
        dim, hidden = config.dim, config.hidden
        self.words = nn.Embedding(len(counts), dim)
        nn.init.normal_(self.words.weight, std=config.vector_norm / dim**0.5)
        self.first = nn.GRU(dim, hidden, bidirectional=True)
        self.ahead, self.back = nn.Linear(hidden, dim), nn.Linear(hidden, dim)
        self.bias = nn.Parameter(torch.log((counts + 1) / (counts + 1).sum()).float())
        self.dropout = FastDropout(config.dropout)

    def forward(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        """Queries [M, D] and their words [M]: first those of the next word, then those of the one before."""
        packing = Packing.of(batch.lengths, batch.text_of_token())
        inputs = self.dropout(self.words(batch.ids[packing.order]))
        ahead, back = self.dropout(run_layer(self.first, inputs, packing)).chunk(2, 1)
        has_next = packing.step < batch.lengths[packing.text] - 1
        has_previous = packing.step > 0
        queries = torch.cat([self.ahead(ahead[has_next]), self.back(back[has_previous])])
        targets = torch.cat([packing.order[has_next] + 1, packing.order[has_previous] - 1])
        return queries, batch.ids[targets]


class _Trainee:
    """What `training.train` moves; an example is a piece of text."""

    def __init__(self, model: LanguageModel, pieces: Documents, counts: Tensor, config: LanguageModelConfig) -> None:
        self.model, self.pieces, self.config = model, pieces, config
        self.device = model.bias.device
        self.precision = resolve_precision(config.precision, self.device)
        every = max(100, len(pieces) // HELD_OUT)
        self.held_out = np.arange(every - 1, len(pieces), every)
        self.examples: Rows = np.setdiff1d(np.arange(len(pieces)), self.held_out)
        self.n_examples = len(self.examples)
        self.chance = counts.double() ** 0.75
        self.log_expected = torch.log(config.sampled * self.chance / self.chance.sum()).clamp(min=-30).float()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
        self.steps = config.epochs * -(-self.n_examples // config.batch_size)
        self.rates = Rates(self.optimizer, "cosine", warmup_steps=min(100, self.steps // 10))

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        self.model.train()

    def batches(self, order: Rows, size: int, rng: np.random.Generator) -> list[Rows]:
        return length_buckets(order, np.diff(self.pieces.starts)[self.examples], size, rng)

    def step(self, examples: Rows) -> tuple[float, int]:
        self.rates.begin_epoch(self.rates.steps + 1, self.steps)
        self.rates.begin_step()
        batch = TokenBatch.of(self.pieces, self.examples[examples], self.device)
        samples = torch.multinomial(self.chance, self.config.sampled, replacement=True)
        model = self.model
        with low_precision(self.device, self.precision):
            queries, targets = model(batch)
            loss = sampled_softmax(queries, targets, model.words.weight, model.bias, samples, self.log_expected)
        self.optimizer.zero_grad(set_to_none=True)
        (loss / max(len(targets), 1)).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach()), batch.n_tokens

    @torch.inference_mode()
    def validate(self) -> float | None:
        """Minus the mean log-loss over all words, of the pieces that were held out."""
        if not len(self.held_out):
            return None
        self.model.eval()
        total, count = 0.0, 0
        for rows in cut(self.held_out, 16):
            queries, targets = self.model(TokenBatch.of(self.pieces, rows, self.device))
            logits = torch.addmm(self.model.bias, queries, self.model.words.weight.T)
            total, count = total + float(F.cross_entropy(logits, targets, reduction="sum")), count + len(targets)
        return -total / max(count, 1)

    def state(self) -> State:
        kept = {f"optimizer.{name}": value for name, value in optimizer_state(self.optimizer).items()}
        return self.snapshot() | kept | {"steps": torch.tensor(self.rates.steps)}

    def resume(self, state: State) -> None:
        self.restore(state)
        load_optimizer_state(self.optimizer, part(state, "optimizer."))
        self.rates.steps = int(state["steps"])

    def snapshot(self) -> State:
        return module_state("model.", self.model)

    def restore(self, snapshot: State) -> None:
        self.model.load_state_dict(part(snapshot, "model."))


def train_language_model(
    documents: Documents,
    config: LanguageModelConfig | None = None,
    *,
    start: WordVectors | None = None,
    seed: int = 0,
    device: str = "auto",
    monitor: Monitor | None = None,
) -> WordVectors:
    """Word vectors of a corpus with the GRU layer that reads them (`WordVectors.layer`), the most frequent word first.

    Args:
        documents: texts in word order.
        config: None for the defaults.
        start: word vectors to start from, of size D; words that have none start at random.
        seed: fixes order, samples and start.
        device: `auto`, `cpu` or `cuda`.
        monitor: told of every step and epoch.

    Returns:
        `settings` hold the configuration and, when a part was held out, the `perplexity` of its words.

    Raises:
        DataError: no word is frequent enough, or no text has two words.
        ArgumentError: `start` has another size.
    """
    config = config or LanguageModelConfig()
    torch.manual_seed(seed)
    vocabulary = Vocabulary.build(documents, min_count=config.min_count)
    if len(vocabulary) == 1:
        raise DataError(
            f"no word of the corpus occurs {config.min_count} times or more; give more text or lower min_count"
        )
    pieces = pieces_of(vocabulary.recode(documents), config.longest)
    if not len(pieces):
        raise DataError("no text of the corpus has two words or more: there is nothing to predict")
    found = to_tensor(count_words(pieces))
    model = LanguageModel(found, config)
    if start is not None:
        _start_from(model, start, vocabulary, config)
    target = resolve_device(device)
    trainee = _Trainee(model.to(target), pieces, found.to(target), config)
    schedule = Schedule(config.epochs, config.batch_size, config.epochs, seed)
    report = train(trainee, schedule, metric="log_likelihood", monitor=monitor)
    settings = asdict(config) | {"kind": "gru", "seed": seed, "texts": len(documents), "tokens": len(documents.ids)}
    if report.validation is not None:
        settings["perplexity"] = round(float(np.exp(-report.validation)), 2)
    layer = {name: value.detach().cpu().numpy() for name, value in model.first.state_dict().items()}
    unknown = 1  # Vocabulary's first word is <UNK>, which is no word to have a vector
    matrix = model.words.weight.detach().cpu().numpy()[unknown:]
    return WordVectors(list(vocabulary.words[unknown:]), matrix, settings, layer)


def _start_from(model: LanguageModel, start: WordVectors, vocabulary: Vocabulary, config: LanguageModelConfig) -> None:
    if start.dim != config.dim:
        raise ArgumentError(
            f"word vectors to start from must have {config.dim} dimensions, got {start.dim}; change dim"
        )
    known = [row for row, word in enumerate(vocabulary) if word in start]
    with torch.no_grad():
        vectors = start.rows_for([vocabulary.words[row] for row in known], config.vector_norm)
        model.words.weight[known] = to_tensor(vectors)
