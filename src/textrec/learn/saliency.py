"""The gradient of a score with respect to each word's vector (paper §4.3; Denil et al. 2015, Li et al. 2016).

Shapes: `n` texts, `N` tokens of the texts together, `D` word-vector size, `K` factors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from textrec.learn.encoders import TextEncoder, TokenBatch
from textrec.learn.reasons import WordWeights
from textrec.learn.tensors import to_tensor
from textrec.text import Documents

__all__ = ["word_weights"]


def word_weights(
    encoder: TextEncoder, documents: Documents, direction: npt.NDArray[np.float32], *, max_tokens: int | None = None
) -> WordWeights:
    """Weights of the words for the score `direction · g(X)`, dropout off.

    The saliency of token t is ‖∂s/∂e_t‖₂, its contribution e_t · ∂s/∂e_t (gradient times input). An encoder that
    ignores order and gives every word the same weight, such as `Embed`, has the same gradient at every token: there
    the saliency says nothing, and the contributions, which add up to the score, are the better measure.

    Args:
        encoder: g; any encoder that takes word vectors.
        documents: texts over the encoder's vocabulary.
        direction: what g(X) is multiplied with, a user's or a tag's vector [K].
        max_tokens: where texts are cut; the words beyond, which nobody reads, weigh nothing.
    """
    sizes = np.diff(documents.starts)
    place = np.arange(len(documents.ids)) - np.repeat(documents.starts[:-1], sizes)
    read = place < (max_tokens or len(place))
    contribution, saliency = np.zeros((2, len(read)), np.float32)
    if len(read):
        parts = _gradients(encoder, documents if max_tokens is None else documents.cut(max_tokens), direction)
        contribution[read], saliency[read] = parts
    return WordWeights(contribution, saliency, best="saliency" if encoder.reads_order else "contribution")


def _gradients(
    encoder: TextEncoder, documents: Documents, direction: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """e_t · ∂s/∂e_t and ‖∂s/∂e_t‖₂ of every token."""
    device = encoder.words.weight.device
    batch = TokenBatch.of(documents, np.arange(len(documents)), device)
    was_training = encoder.training
    encoder.eval()
    # cuDNN cannot go backward through a GRU that is not training
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        vectors = encoder.words(batch.ids).detach().requires_grad_()
        score = (encoder(batch, vectors) @ to_tensor(direction, device)).sum()  # texts do not touch each other
        (gradient,) = torch.autograd.grad(score, vectors)
    encoder.train(was_training)
    contribution = (gradient * vectors.detach()).sum(1)
    return contribution.float().cpu().numpy(), gradient.norm(dim=1).float().cpu().numpy()
