"""The configuration that all text encoder models share, and what multi-task learning adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textrec.config import Config, bounded

__all__ = ["NeuralConfig", "TagsConfig"]


@dataclass(frozen=True)
class NeuralConfig(Config):
    """What every text encoder model has."""

    factors: int = bounded(200, 1)
    """K, the size of user, item and tag vectors (paper §4.1.2)."""

    observed: float = bounded(1.0, above=0.0)
    """a, the weight of a like."""

    unobserved: float = bounded(0.01, 0.0)
    """b, the weight of every pair that is not a like."""

    unobserved_power: float = bounded(0.0, -2.0, 2.0)
    """p: an item's share of b grows as its likes^p, the mean kept. Above 0, not to like what many like says more."""

    loss: Literal["squared", "softmax", "bpr", "warp"] = "squared"
    """What the encoder's steps minimise for likes: squares over all users, or beside them a loss of ranking each like
    above the other texts of its batch."""

    ranking_share: float = bounded(0.5, 0.0, 1.0)
    """ρ, the share of the ranking loss; the rest are squares."""

    ranking_scale: float = bounded(10.0, above=0.0)
    """κ, what scores are multiplied with in the ranking loss; a like's score is about 1, others' about 0."""

    ridge_users: float = bounded(0.1, above=0.0)
    """λ_u, the ridge on user vectors."""

    ridge_items: float = bounded(5.0, above=0.0)
    """λ_v, how strongly an item vector is held to its text vector."""

    ridge_text: float = bounded(0.01, 0.0)
    """λ_g, the ridge on text vectors; without it a large g and a small u would evade the other ridges."""

    offsets: Literal["last", "alternate", "none"] = "last"
    """When items get their own offset o_j: after training, in turn with it (then ridge_items near 100), or never."""

    sweeps: int = bounded(4, 1)
    """Item and user solves after training."""

    neighbours: int = bounded(20, 0)
    """How many of the nearest liked items move a new one from its text, as their own likes moved them; 0 for none."""

    epochs: int = bounded(30, 1)
    """Most passes over the texts."""

    patience: int = bounded(5, 1)
    """Stop after this many epochs without a better validation metric."""

    refit_epochs: int = bounded(4, 0)
    """After early stopping, passes over all items, also those that were held out for it, at half the rate."""

    batch_size: int = bounded(256, 1)
    """Texts a step; fewer where an epoch would have fewer than 32 steps."""

    learning_rate: float = bounded(0.003, above=0.0)
    """Of Adam, at its highest."""

    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How learning rates fall over the epochs, to a tenth: along a cosine, along a line, or not."""

    warmup_steps: int = bounded(0, 0)
    """Steps in which learning rates rise from zero."""

    averaging: Literal["none", "exponential", "epochs"] = "none"
    """The weights that users are solved for, that are validated and kept: as they are, their exponential average over
    steps, or the mean of the last epochs' ends."""

    averaging_decay: float = bounded(0.99, 0.0, 0.99999)
    """Of the exponential average, a step."""

    averaging_epochs: int = bounded(3, 1)
    """Epochs whose ends are averaged."""

    min_count: int = bounded(5, 1)
    """Words seen less often in the training texts become <UNK> (paper §4.1.2)."""

    max_tokens: int = bounded(1000, 1)
    """Longer texts are cut, with a warning."""

    init_scale: float = bounded(0.1, above=0.0)
    """Standard deviation of new word vectors."""

    word_dropout: float = bounded(0.0, 0.0, 0.95)
    """Probability that a word is left out of its text while training."""

    word_vectors: str | None = None
    """Pre-trained word vectors to start from: a folder of `textrec pretrain`, or a word2vec or GloVe file."""

    vector_norm: float = bounded(0.4, above=0.0)
    """Norm at which every pre-trained word vector starts; a random one has init_scale·√D."""

    widen: int = bounded(100_000, 0)
    """Most words with a pre-trained vector that join the vocabulary though no training text has them."""

    recipe: Literal["exact", "paper"] = "exact"
    """How it is trained: `exact` solves the factors in closed form, `paper` follows §4.1.2. The fields that begin with
    paper_ belong to it, and sweeps, offsets, neighbours, epochs, batch_size and the weights above to `exact`."""

    paper_steps: int = bounded(20_000, 1)
    """Most steps."""

    paper_users: int = bounded(512, 1)
    """Users drawn a step, each with one like and one other item."""

    paper_evaluate_every: int = bounded(200, 1)
    """Steps between two validations."""

    paper_ridge: float = bounded(0.01, 0.0)
    """λ_u on the users of a step."""

    paper_alpha: float = bounded(10.0, 0.0)
    """α of c_i = 1 + α log(1 + |R_i| / ε)."""

    paper_epsilon: float = bounded(1e-8, above=0.0)
    """ε of the same."""

    paper_likes_share: float = bounded(0.5, 0.0, 1.0)
    """λ of C = λ C_R + (1 − λ) C_T."""


@dataclass(frozen=True)
class TagsConfig(Config):
    """What multi-task learning adds."""

    tag_weight: float = bounded(0.05, 0.0)
    """μ, the weight of a text's tag loss (summed over tags) beside its likes loss."""

    absent_tag_weight: float = bounded(1.0, 0.0)
    """c', the weight of a tag that is absent (paper §3.3, which gives no value)."""

    item_tag_weight: float = bounded(1.0, 0.0)
    """η, the weight of an item's own tags where it is solved around its text (as in CTR-MTL, paper §4.1.2); a new
    item has no part in that."""

    item_absent_tag_weight: float = bounded(0.03, 0.0, 0.99)
    """c' of the same."""

    ridge_tags: float = bounded(1.0, above=0.0)
    """λ_t of the same."""

    tag_learning_rate: float = bounded(0.01, above=0.0)
    """Of Adam, for tag vectors; higher learns tags sooner, at a small cost for likes."""

    tag_epochs: int = bounded(10, 0)
    """After training, passes over the tags with the texts' vectors fixed; recommendations stay as they are."""

    tag_neighbours: int = bounded(50, 0)
    """How many of the nearest training texts vote on a text's tags, for a third of a tag's score; 0 for none."""
