"""The recipe `exact`: factors solved in closed form, encoder moved by gradient against all users at once.

    L = Σ_ij c_ij (r_ij − u_i·v_j)² + λ_u Σ‖u_i‖² + λ_v Σ‖v_j − g(X_j)‖² + λ_g Σ‖g(X_j)‖²  (+ μ · tags)

`v` has rows only for items with a training like, `u` only for users with one; every other row is g(X_j), or zero.

With a ranking loss (`learn.ranking_losses`) the steps of the encoder put (1 − ρ) · squares + ρ · a · ranking in place
of the first term, and the solves stay: g learns to rank under users who are the exact answer to g. What remains of the
squares keeps g on the scale that these users were solved for.

Shapes: `B` documents, `K` factors, `U` users, `I` items, `G` tags.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from textrec.dataset import Csr, Rows
from textrec.errors import ArgumentError
from textrec.learn.alternation import popularity_weights
from textrec.learn.averaging import NO_AVERAGE, Averaging, WeightAverage
from textrec.learn.batches import cut, encoding_batches, length_buckets
from textrec.learn.checkpoints import State, load_optimizer_state, module_state, optimizer_state, part
from textrec.learn.encoders import TextEncoder, TokenBatch
from textrec.learn.group import ALONE, Group
from textrec.learn.losses import Pairs, all_users_loss
from textrec.learn.objective import Objective
from textrec.learn.ranking_losses import ranking_loss
from textrec.learn.rates import Rates, RateSchedule
from textrec.learn.shared import shared_gram
from textrec.learn.tags import TagHead
from textrec.learn.tensors import low_precision, to_tensor
from textrec.text import Documents

__all__ = ["ExactTrainee", "encode_documents"]

FloatArray = npt.NDArray[np.float32]


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
        evaluate: stopping metric of (users [U, K], g of the training texts [I, K], encoder), or None.
        precision: of the encoder's products while training.
        schedule: of the learning rates, by epochs.
        warmup_steps: steps in which they rise.
        averaging: the average of the weights that is solved for, validated and kept in place of them.
        group: shares each batch, the encoding and the solves.

    Raises:
        ArgumentError: a group with a ranking loss, which compares the texts of a batch.
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
        evaluate: Callable[[FloatArray, FloatArray, TextEncoder], float] | None,
        precision: torch.dtype = torch.float32,
        schedule: RateSchedule = "cosine",
        warmup_steps: int = 0,
        averaging: Averaging = NO_AVERAGE,
        group: Group = ALONE,
    ) -> None:
        if objective.loss != "squared" and group.size > 1:
            reason = "compares the texts of a batch, which a group divides; use squared, or train in one process"
            raise ArgumentError(f"loss {objective.loss!r} {reason}")
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
        self.rates = Rates(self.optimizer, schedule, warmup_steps)
        self.average = WeightAverage([each for parameters, _ in groups for each in parameters], averaging)
        self.evaluate, self.precision = evaluate, precision
        self.offsets = np.zeros((len(documents), encoder.dim), np.float32)
        weights = popularity_weights(np.diff(self.by_item.indptr), objective.unobserved_power)
        self.weights = None if weights is None else to_tensor(weights, self.device)
        self._solve()

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Move the learning rates along their schedule; dropout on."""
        self.rates.begin_epoch(epoch, epochs)
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
        self.rates.begin_step()
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
        self.average.after_step()
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
        loss = self._likes_loss(scored, rows[liked])
        loss = loss + constants.ridge_text * vectors.square().sum()
        if self.head is not None and constants.tag_weight > 0:
            loss = loss + constants.tag_weight * self.head.loss(text, self.tags, rows, constants.absent_tag_weight)
        return loss

    def _likes_loss(self, vectors: Tensor, rows: Rows) -> Tensor:
        """Of the documents `rows`, which all have a like."""
        constants = self.objective
        likes = Pairs.of(self.by_item, rows, self.device)
        weights = None if self.weights is None else self.weights[to_tensor(rows, self.device)]
        pair_weights = constants.observed, constants.unobserved
        squares = all_users_loss(vectors, self.users, self.gram, likes, *pair_weights, weights)
        if constants.loss == "squared" or not len(rows):
            return squares
        ranking = ranking_loss(constants.loss, vectors, self.users, likes, constants.ranking_scale)
        return (1 - constants.ranking_share) * squares + constants.ranking_share * constants.observed * ranking

    def _solve(self) -> FloatArray:
        """Users (and offsets, when they alternate) for the encoder as it stands; the texts they were solved for."""
        text = encode_documents(self.encoder, self.documents, precision=self.precision, group=self.group)
        blocks = self.objective.blocks(self.likes, text, group=self.group)
        if self.objective.offsets == "alternate":
            blocks.items = to_tensor(text + self.offsets)
        blocks.solve_users()
        if self.objective.offsets == "alternate":
            blocks.solve_items()
            self.offsets = blocks.items.numpy() - text
        self.users = blocks.users.to(self.device)
        self.gram = shared_gram(self.group, self.users)
        return text

    def validate(self) -> float | None:
        """Solve the users for the moved encoder (or for its average), then the stopping metric."""
        self.average.after_epoch()
        with self.average.in_place():
            text = self._solve()
            return None if self.evaluate is None else self.evaluate(self.users.cpu().numpy(), text, self.encoder)

    def state(self) -> State:
        """Encoder, tag head, optimiser, average, and what the last solve gave."""
        kept = {f"optimizer.{name}": value for name, value in optimizer_state(self.optimizer).items()}
        kept |= {f"average.{name}": value for name, value in self.average.state().items()}
        solved = {"users": self.users.clone(), "offsets": torch.from_numpy(self.offsets.copy())}
        return self._modules() | kept | solved | {"steps": torch.tensor(self.rates.steps)}

    def resume(self, state: State) -> None:
        """Go on from a state."""
        self.restore(state)
        load_optimizer_state(self.optimizer, part(state, "optimizer."))
        self.average.resume(part(state, "average."))
        self.rates.steps = int(state["steps"])
        self.users, self.offsets = state["users"].to(self.device), state["offsets"].numpy()
        self.gram = shared_gram(self.group, self.users)

    def snapshot(self) -> State:
        """Encoder and tag head, or their averages, copied."""
        with self.average.in_place():
            return self._modules()

    def _modules(self) -> State:
        return module_state("encoder.", self.encoder) | module_state("tags.", self.head)

    def restore(self, snapshot: State) -> None:
        """Encoder and tag head as they were."""
        self.encoder.load_state_dict(part(snapshot, "encoder."))
        if self.head is not None:
            self.head.load_state_dict(part(snapshot, "tags."))
