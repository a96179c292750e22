"""The recipe `exact`: factors solved in closed form, encoder moved by gradient against all users at once.

    L = Σ_ij c_ij (r_ij − u_i·v_j)² + λ_u Σ‖u_i‖² + λ_v Σ‖v_j − g(X_j)‖² + λ_g Σ‖g(X_j)‖²  (+ μ · tags)

`v` has rows only for items with a training like, `u` only for users with one; every other row is g(X_j), or zero.

Shapes: `B` documents, `K` factors, `U` users, `I` items, `G` tags.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from textrec.dataset import Csr, Rows
from textrec.learn.alternation import Alternation, FactorLoss
from textrec.learn.batches import cut, encoding_batches, length_buckets
from textrec.learn.checkpoints import State, load_optimizer_state, module_state, optimizer_state, part
from textrec.learn.encoders import TextEncoder, TokenBatch
from textrec.learn.group import ALONE, Group
from textrec.learn.losses import Pairs, all_users_loss
from textrec.learn.shared import shared_gram, shared_solve
from textrec.learn.squared_loss import Block
from textrec.learn.tags import TagHead
from textrec.learn.tensors import low_precision, to_tensor
from textrec.text import Documents

__all__ = ["ExactTrainee", "Objective", "encode_documents", "solve_around"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Objective:
    """The constants of the loss L."""

    observed: float  # a
    unobserved: float  # b
    ridge_users: float  # λ_u
    ridge_items: float  # λ_v
    ridge_text: float  # λ_g
    tag_weight: float  # μ
    absent_tag_weight: float  # c'
    offsets: Literal["last", "alternate", "none"]
    sweeps: int  # item and user solves after training
    item_tag_weight: float = 0.0  # η of an item's own tags in those solves
    item_absent_tag_weight: float = 0.0  # its c'
    ridge_tags: float = 1.0  # its λ_t

    def factor_loss(self) -> FactorLoss:
        """The part of L that the factors are solved for, with an item's own tags by squared loss."""
        weights = self.observed, self.unobserved, self.ridge_users, self.ridge_items
        return FactorLoss(*weights, self.item_tag_weight, self.item_absent_tag_weight, self.ridge_tags)

    def solve_users(
        self, likes: Csr, items: FloatArray, in_gram: npt.NDArray[np.bool_], group: Group = ALONE
    ) -> FloatArray:
        """u_i for likes [U, I] and item factors [I, K]; the items of `in_gram` are the ones with a training like."""
        block = Block(likes, to_tensor(items), self.observed, self.unobserved, columns_in=in_gram)
        return np.asarray(shared_solve(group, [block], self.ridge_users).numpy())

    def solve_items(self, likes: Csr, users: FloatArray, prior: FloatArray, group: Group = ALONE) -> FloatArray:
        """v_j around g(X_j) for likes [I, U]; an item without likes keeps g(X_j)."""
        liked = np.flatnonzero(np.diff(likes.indptr) > 0)
        block = Block(likes, to_tensor(users), self.observed, self.unobserved)
        items = prior.copy()
        items[liked] = shared_solve(group, [block], self.ridge_items, prior=to_tensor(prior), rows=liked).numpy()
        return items


def solve_around(
    objective: Objective,
    text: FloatArray,
    likes: Csr,
    tags: Csr = None,
    *,
    sweeps: int | None = None,
    group: Group = ALONE,
) -> tuple[FloatArray, FloatArray]:
    """Users and items under L with the text vectors fixed: users at v = g, then items and users in turn.

    With a weight on them, an item's own tags help to place it (squared loss, as in CTR-MTL): what is known of an item
    beside its text and its likes. A new item stays at its text.

    Args:
        objective: the constants.
        text: g(X) [I, K].
        likes: [U, I].
        tags: [I, G], or None.
        sweeps: in place of the objective's.
        group: shares the rows of each solve.

    Returns:
        Users [U, K] and items [I, K].
    """
    tagged = tags is not None and tags.nnz > 0 and objective.item_tag_weight > 0
    blocks = Alternation(likes, text, objective.factor_loss(), tags=tags if tagged else None, group=group)
    blocks.solve_users()
    if objective.offsets != "none":
        for _ in range(objective.sweeps if sweeps is None else sweeps):
            blocks.solve_tags()
            blocks.solve_items()
            blocks.solve_users()
    return blocks.users.numpy(), blocks.items.numpy()


def encode_documents(
    encoder: TextEncoder,
    documents: Documents,
    batch_tokens: int = 1 << 11,
    batch_texts: int = 64,
    most_tokens: int = 1 << 14,
    *,
    precision: torch.dtype = torch.float32,
    group: Group = ALONE,
) -> FloatArray:
    """g(X) of every row, dropout off, float32 [n, K], in batches as `encoding_batches` cuts them.

    A group shares the rows, and each member gets all of them.
    """
    if group.size > 1:
        own = documents.take(np.arange(len(documents))[group.own])
        part = encode_documents(encoder, own, batch_tokens, batch_texts, most_tokens, precision=precision)
        return np.asarray(group.gather(torch.from_numpy(part), len(documents)).numpy())
    device = encoder.words.weight.device
    was_training = encoder.training
    encoder.eval()
    encoded = np.zeros((len(documents), encoder.dim), np.float32)
    batches = encoding_batches(np.diff(documents.starts), batch_tokens, batch_texts, most_tokens)
    with torch.inference_mode(), low_precision(device, precision):
        for rows in batches:
            encoded[rows] = encoder(TokenBatch.of(documents, rows, device)).float().cpu().numpy()
    encoder.train(was_training)
    return encoded


class ExactTrainee:
    """What `training.train` moves in the recipe `exact`.

    Args:
        encoder: g, on its device.
        head: the tag head, or None to leave tags out.
        documents: the training texts over the encoder's vocabulary.
        likes: training likes [U, I].
        tags: training tags [I, G].
        objective: the constants of the loss.
        learning_rate: of Adam, for the encoder.
        tag_learning_rate: of Adam, for the tag head.
        evaluate: stopping metric of (users [U, K], encoder), or None.
        precision: of the encoder's products while training.
        group: shares each batch, the encoding and the solves.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        head: TagHead | None,
        documents: Documents,
        likes: Csr,
        tags: Csr,
        *,
        objective: Objective,
        learning_rate: float,
        tag_learning_rate: float = 0.01,
        evaluate: Callable[[FloatArray, TextEncoder], float] | None,
        precision: torch.dtype = torch.float32,
        group: Group = ALONE,
    ) -> None:
        self.group = group
        self.encoder, self.head, self.objective = encoder, head, objective
        self.documents, self.likes, self.tags = documents, likes, tags
        self.by_item = sp.csr_array(likes.T)
        self.liked = np.diff(self.by_item.indptr) > 0
        tagged = np.diff(tags.indptr) > 0
        self.examples: Rows = np.flatnonzero(self.liked | tagged if head is not None else self.liked)
        self.n_examples = len(self.examples)
        self.device = encoder.words.weight.device
        groups = [(list(encoder.parameters()), learning_rate)]
        groups += [] if head is None else [(list(head.parameters()), tag_learning_rate)]
        self.optimizer = torch.optim.Adam(
            [{"params": parameters, "lr": rate} for parameters, rate in groups], fused=True
        )
        self.rates = [rate for _, rate in groups]
        self.evaluate, self.precision = evaluate, precision
        self.offsets = np.zeros((len(documents), encoder.dim), np.float32)
        self._solve()

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Lower the learning rates along a cosine, to a tenth at the last epoch."""
        progress = (epoch - 1) / max(epochs - 1, 1)
        factor = 0.55 + 0.45 * float(np.cos(np.pi * progress))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.encoder.train()

    @property
    def learning_rate(self) -> float:
        """The encoder's present one."""
        return float(self.optimizer.param_groups[0]["lr"])

    def batches(self, order: Rows, size: int, rng: np.random.Generator) -> list[Rows]:
        """Batches of texts of about one length when the encoder reads step by step, else as they come."""
        if not self.encoder.reads_order:
            return cut(order, size)
        return length_buckets(order, np.diff(self.documents.starts)[self.examples], size, rng)

    def step(self, examples: Rows) -> tuple[float, int]:
        """One Adam step on the loss of these documents, of which each member of the group reads its share."""
        rows = self.examples[examples[self.group.own]]
        batch = TokenBatch.of(self.documents, rows, self.device)
        with low_precision(self.device, self.precision):
            text = self.encoder(batch)
        loss = self._loss(text.float(), rows)
        self.optimizer.zero_grad(set_to_none=True)
        if self.group.size == 1 or loss.requires_grad:  # a share without a word moves nothing
            (loss / len(examples)).backward()  # type: ignore[no-untyped-call]
        self.group.add_gradients(parameter for group in self.optimizer.param_groups for parameter in group["params"])
        self.optimizer.step()
        done = torch.tensor([float(loss.detach()), batch.n_tokens], dtype=torch.float64)
        self.group.add(done)
        return float(done[0]), int(done[1])

    def _loss(self, text: Tensor, rows: Rows) -> Tensor:
        constants = self.objective
        liked = np.flatnonzero(self.liked[rows])
        vectors = text if len(liked) == len(rows) else text[to_tensor(liked, self.device)]
        scored = vectors
        if constants.offsets == "alternate":
            scored = vectors + to_tensor(self.offsets[rows[liked]], self.device)
        likes = Pairs.of(self.by_item, rows[liked], self.device)
        loss = all_users_loss(scored, self.users, self.gram, likes, constants.observed, constants.unobserved)
        loss = loss + constants.ridge_text * vectors.square().sum()
        if self.head is not None and constants.tag_weight > 0:
            loss = loss + constants.tag_weight * self.head.loss(text, self.tags, rows, constants.absent_tag_weight)
        return loss

    def _solve(self) -> None:
        """Users (and offsets, when they alternate) for the encoder as it stands."""
        text = encode_documents(self.encoder, self.documents, precision=self.precision, group=self.group)
        users = self.objective.solve_users(self.likes, text + self.offsets, self.liked, self.group)
        if self.objective.offsets == "alternate":
            self.offsets = self.objective.solve_items(self.by_item, users, text, self.group) - text
        self.users = to_tensor(users, self.device)
        self.gram = shared_gram(self.group, self.users)

    def validate(self) -> float | None:
        """Solve the users for the moved encoder, then the stopping metric."""
        self._solve()
        return None if self.evaluate is None else self.evaluate(self.users.cpu().numpy(), self.encoder)

    def state(self) -> State:
        """Encoder, tag head, optimiser, and what the last solve gave."""
        kept = {f"optimizer.{name}": value for name, value in optimizer_state(self.optimizer).items()}
        solved = {"users": self.users.clone(), "offsets": torch.from_numpy(self.offsets.copy())}
        return self.snapshot() | kept | solved

    def resume(self, state: State) -> None:
        """Go on from a state."""
        self.restore(state)
        load_optimizer_state(self.optimizer, part(state, "optimizer."))
        self.users, self.offsets = state["users"].to(self.device), state["offsets"].numpy()
        self.gram = shared_gram(self.group, self.users)

    def snapshot(self) -> State:
        """Encoder and tag head, copied."""
        return module_state("encoder.", self.encoder) | module_state("tags.", self.head)

    def restore(self, snapshot: State) -> None:
        """Encoder and tag head as they were."""
        self.encoder.load_state_dict(part(snapshot, "encoder."))
        if self.head is not None:
            self.head.load_state_dict(part(snapshot, "tags."))
