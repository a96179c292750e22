"""The encoder step of the recipe `exact` against the number of users: its time must not depend on it.

    python benchmarks/step.py [--repeats 15]

Simulated likes, 12 a document in expectation whatever the number of users; Embed-MTL's step on batches of 256 documents
(forward, loss against all users, backward, Adam). UᵀU, which is made once an epoch, is timed apart. The sizes take
turns, so a busy machine slows all of them. Writes benchmarks/results/step.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textrec.dataset import binary_csr
from textrec.learn.encoders import Embed
from textrec.learn.exact import ExactTrainee
from textrec.learn.objective import Objective
from textrec.learn.tags import TagHead
from textrec.study.evaluation import machine, versions
from textrec.text import Documents

USERS = (1_000, 10_000, 100_000)
DOCUMENTS, WORDS, TOKENS, LIKES, TAGS, FACTORS, BATCH = 8_192, 5_000, 12, 12, 300, 200, 256
OBJECTIVE = Objective(1.0, 0.01, 0.1, 5.0, 0.01, 0.05, 1.0, "last", 1)
RESULT = Path(__file__).parent / "results" / "step.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="passes over the documents for each size")
    repeats = parser.parse_args().repeats
    trainees = {n_users: trainee_of(n_users) for n_users in USERS}
    batches = np.random.default_rng(1).permutation(DOCUMENTS).reshape(-1, BATCH)
    seconds: dict[int, list[float]] = {n_users: [] for n_users in USERS}
    gram: dict[int, list[float]] = {n_users: [] for n_users in USERS}
    for trainee in trainees.values():
        pass_over(trainee, batches)  # warms up
    for _ in range(repeats):
        for n_users, trainee in trainees.items():
            seconds[n_users].append(pass_over(trainee, batches))
            started = time.perf_counter()
            trainee.gram = trainee.users.T @ trainee.users
            gram[n_users].append(time.perf_counter() - started)
    steps = {str(n_users): 1e3 * statistics.median(values) for n_users, values in seconds.items()}
    result: dict[str, Any] = {
        "milliseconds_a_step": steps,
        "milliseconds_gram": {str(n_users): 1e3 * statistics.median(values) for n_users, values in gram.items()},
        # paired: each size against the smallest one in the same turn
        "ratio": {
            str(n_users): statistics.median(np.divide(values, seconds[USERS[0]]).tolist())
            for n_users, values in seconds.items()
        },
        "sizes": {"documents": DOCUMENTS, "likes_a_document": LIKES, "factors": FACTORS, "batch": BATCH, "tags": TAGS},
        "threads": torch.get_num_threads(),
        "machine": machine(),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("milliseconds_a_step", "milliseconds_gram", "ratio")}, indent=1))


def trainee_of(n_users: int) -> ExactTrainee:
    rng = np.random.default_rng(0)
    documents = Documents(
        [str(word) for word in range(WORDS)],
        rng.integers(0, WORDS, DOCUMENTS * TOKENS).astype(np.int32),
        np.arange(DOCUMENTS + 1, dtype=np.int64) * TOKENS,
        None,
    )
    item = np.repeat(np.arange(DOCUMENTS), LIKES)
    likes = binary_csr(rng.integers(0, n_users, len(item)), item, (n_users, DOCUMENTS))
    tagged = np.repeat(np.arange(DOCUMENTS), 4)
    tags = binary_csr(tagged, rng.integers(0, TAGS, len(tagged)), (DOCUMENTS, TAGS))
    encoder = Embed(WORDS, FACTORS)
    head = TagHead(tags, FACTORS)
    return ExactTrainee(encoder, head, documents, likes, tags, objective=OBJECTIVE, learning_rate=0.001, evaluate=None)


def pass_over(trainee: ExactTrainee, batches: Any) -> float:
    """Seconds a step."""
    started = time.perf_counter()
    for batch in batches:
        trainee.step(batch)
    return (time.perf_counter() - started) / len(batches)


if __name__ == "__main__":
    main()
