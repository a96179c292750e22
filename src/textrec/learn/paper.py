"""The recipe `paper` (§4.1.2): Adam on sampled users, one like and one other training item each, with biases.

    s_ij = b_i + b_j + u_i·f(X_j),   f(X_j) = g(X_j) + o_j                                     (eq. 3, 4)
    C = λ C_R + (1 − λ) C_T
    C_R = mean over the step's pairs of c_i (s_ij − r_ij)² + λ_u · mean over its users of ‖u_i‖²     (eq. 2)
    C_T = −1/|T| Σ_jl [t_jl log p_jl + c' (1 − t_jl) log(1 − p_jl)],  p_jl = σ(f(X_j)·t_l)      (§3.3)
    c_i = 1 + α log(1 + |R_i| / ε)

The means estimate the paper's sums over all users and items; |T| counts the tags of the step's items. The paper prints
C_T without the minus. c_i runs from about 185 to 261 only, so it rescales C_R more than it weighs users.

Shapes: `B` users of a step, `d` distinct items of a step, `K` factors, `U` users, `I` items, `G` tags.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from textrec.dataset import Csr, Rows
from textrec.learn.batches import cut
from textrec.learn.checkpoints import State, load_optimizer_state, module_state, optimizer_state, part
from textrec.learn.encoders import TextEncoder, TokenBatch
from textrec.learn.losses import Pairs, tag_loss
from textrec.learn.tensors import low_precision, to_tensor
from textrec.text import Documents

__all__ = ["PaperFactors", "PaperSettings", "PaperTrainee"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PaperSettings:
    """The constants of the recipe."""

    learning_rate: float
    ridge_users: float  # λ_u, on the users of a step only
    alpha: float
    epsilon: float
    likes_share: float  # λ
    absent_tag_weight: float  # c'
    precision: torch.dtype = torch.float32

    @classmethod
    def of(cls, config: Any, precision: torch.dtype) -> PaperSettings:
        """From a model's configuration."""
        return cls(
            learning_rate=config.learning_rate,
            ridge_users=config.paper_ridge,
            alpha=config.paper_alpha,
            epsilon=config.paper_epsilon,
            likes_share=config.paper_likes_share,
            absent_tag_weight=getattr(config, "absent_tag_weight", 1.0),
            precision=precision,
        )


class PaperFactors(nn.Module):
    """Everything but the encoder: users, offsets, biases, tags.

    Args:
        n_users: U.
        trained: mask [I] of the items with a training like.
        n_tags: G; 0 leaves tags out.
        dim: K.
        init_scale: standard deviation of user and tag vectors at the start; offsets and biases start at zero.
    """

    def __init__(self, n_users: int, trained: npt.NDArray[np.bool_], n_tags: int, dim: int, init_scale: float) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.randn(n_users, dim) * init_scale)
        self.offsets = nn.Parameter(torch.zeros(len(trained), dim))
        self.user_bias = nn.Parameter(torch.zeros(n_users))
        self.item_bias = nn.Parameter(torch.zeros(len(trained)))
        self.tags = nn.Parameter(torch.randn(n_tags, dim) * init_scale)
        self.trained = trained

    def user_rows(self) -> FloatArray:
        """[u_i, b_i, 1] of every user, float32 [U, K + 2]."""
        rows = torch.cat([self.users, self.user_bias[:, None], torch.ones_like(self.user_bias)[:, None]], 1)
        return rows.detach().cpu().numpy()

    def item_rows(self, text: FloatArray, rows: Rows | None) -> FloatArray:
        """[f(X_j), 1, b_j] for text vectors g(X) [n, K]; row −1 (or None for all) is an item nobody has liked.

        Such an item has no offset; its bias is the mean of the training items', which orders mixed lists fairly and
        changes nothing among new items.
        """
        offsets, bias = self.offsets.detach().cpu().numpy(), self.item_bias.detach().cpu().numpy()
        known = np.full(len(text), -1) if rows is None else rows
        new = known < 0
        vectors = text + np.where(new[:, None], np.float32(0), offsets[known])
        biases = np.where(new, bias[self.trained].mean(), bias[known])
        return np.concatenate([vectors, np.ones_like(biases)[:, None], biases[:, None]], 1).astype(np.float32)


class PaperTrainee:
    """What `training.train` moves in the recipe `paper`. An "example" is a drawn user.

    Args:
        encoder: g, on its device.
        factors: users, offsets, biases and tags, on the same device.
        documents: the training texts over the encoder's vocabulary.
        likes: training likes [U, I].
        tags: training tags [I, G].
        draws: users drawn between two validations.
        settings: the constants.
        evaluate: stopping metric of (factors, encoder), or None.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        factors: PaperFactors,
        documents: Documents,
        likes: Csr,
        tags: Csr,
        *,
        draws: int,
        settings: PaperSettings,
        evaluate: Callable[[PaperFactors, TextEncoder], float] | None,
    ) -> None:
        self.encoder, self.factors, self.settings, self.evaluate = encoder, factors, settings, evaluate
        self.documents, self.likes, self.tags = documents, likes, tags
        self.device = encoder.words.weight.device
        counts = np.diff(likes.indptr)
        self.drawable = np.flatnonzero(counts > 0)
        self.pool = np.unique(likes.indices).astype(np.int64)  # items with a training like: the possible non-likes
        weights = 1 + settings.alpha * np.log1p(counts / settings.epsilon)
        self.weights = to_tensor(weights.astype(np.float32), self.device)
        self.n_examples = draws
        self.optimizer = torch.optim.Adam(
            [*encoder.parameters(), *factors.parameters()], lr=settings.learning_rate, fused=True
        )

    @property
    def learning_rate(self) -> float:
        """The same all the time."""
        return self.settings.learning_rate

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Dropout on."""
        self.encoder.train()

    def batches(self, order: Rows, size: int, rng: np.random.Generator) -> list[Rows]:
        """Users are drawn without replacement while they last, then anew."""
        rounds = -(-len(order) // len(self.drawable))
        drawn = np.concatenate([rng.permutation(self.drawable) for _ in range(rounds)])[: len(order)]
        return cut(drawn, size)

    def step(self, examples: Rows) -> tuple[float, int]:
        """One Adam step on these users; returns the summed cost and the tokens of the distinct items."""
        users = to_tensor(examples, self.device)
        liked, other = self._draw(examples)
        items, place = np.unique(np.concatenate([liked, other]), return_inverse=True)
        batch = TokenBatch.of(self.documents, items, self.device)
        with low_precision(self.device, self.settings.precision):
            text = self.encoder(batch)
        rows = to_tensor(items, self.device)
        vectors = text.float() + self.factors.offsets[rows]
        cost = self._likes_cost(users, vectors, self.factors.item_bias[rows], to_tensor(place, self.device))
        if len(self.factors.tags):
            share = self.settings.likes_share
            cost = share * cost + (1 - share) * self._tags_cost(vectors, items)
        self.optimizer.zero_grad(set_to_none=True)
        cost.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(cost.detach()) * len(examples), batch.n_tokens

    def _draw(self, users: Rows) -> tuple[Rows, Rows]:
        """One like and one other training item of each user, by torch's generator (a checkpoint keeps its state)."""
        chance = torch.rand(len(users), dtype=torch.float64).numpy()
        starts, sizes = self.likes.indptr[users], np.diff(self.likes.indptr)[users]
        liked = self.likes.indices[starts + np.minimum(chance * sizes, sizes - 1).astype(np.int64)]
        other = self.pool[torch.randint(len(self.pool), (len(users),)).numpy()]
        for _ in range(100):  # a user who likes nearly everything may keep a like as the other item
            clash = np.flatnonzero(np.asarray(self.likes[users, other]).ravel() > 0)
            if not len(clash):
                break
            other[clash] = self.pool[torch.randint(len(self.pool), (len(clash),)).numpy()]
        return liked.astype(np.int64), other

    def _likes_cost(self, users: Tensor, vectors: Tensor, bias: Tensor, place: Tensor) -> Tensor:
        both = users.repeat(2)
        vector = self.factors.users[both]
        score = (vector * vectors[place]).sum(1) + self.factors.user_bias[both] + bias[place]
        target = torch.cat([torch.ones(len(users)), torch.zeros(len(users))]).to(score.device)
        squares = self.weights[both] * (score - target).square()
        return squares.mean() + self.settings.ridge_users * vector[: len(users)].square().sum(1).mean()

    def _tags_cost(self, vectors: Tensor, items: Rows) -> Tensor:
        tagged = np.flatnonzero(np.diff(self.tags.indptr)[items] > 0)
        present = Pairs.of(self.tags, items[tagged], self.device)
        if not len(present.rows):
            return vectors.new_zeros(())
        no_bias = vectors.new_zeros(len(self.factors.tags))
        chosen = vectors[to_tensor(tagged, self.device)]
        total = tag_loss(chosen, self.factors.tags, no_bias, present, self.settings.absent_tag_weight)
        return total / len(present.rows)

    def validate(self) -> float | None:
        """The stopping metric."""
        return None if self.evaluate is None else self.evaluate(self.factors, self.encoder)

    def state(self) -> State:
        """Encoder, factors, optimiser."""
        kept = {f"optimizer.{name}": value for name, value in optimizer_state(self.optimizer).items()}
        return self.snapshot() | kept

    def resume(self, state: State) -> None:
        """Go on from a state."""
        self.restore(state)
        load_optimizer_state(self.optimizer, part(state, "optimizer."))

    def snapshot(self) -> State:
        """Encoder and factors, copied."""
        return module_state("encoder.", self.encoder) | module_state("factors.", self.factors)

    def restore(self, snapshot: State) -> None:
        """Encoder and factors as they were."""
        self.encoder.load_state_dict(part(snapshot, "encoder."))
        self.factors.load_state_dict(part(snapshot, "factors."))
