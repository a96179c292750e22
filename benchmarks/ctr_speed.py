"""One CTR sweep on citeulike-t, K = 200, against Cornac's CTR; and seconds to equal Recall.

    python benchmarks/ctr_speed.py --cornac .venv-cornac/bin/python [--repeats 3] [--sweeps 8]

Cornac lives in an environment of its own (cornac-requirements.txt) and runs in two processes, one with a single BLAS
thread, one with a thread per core, which take turns with us, so a busy machine slows all of them; processor seconds,
which a busy machine hardly moves, stand beside. Everybody starts from the same θ and β with the same K, a, b and λ, and
the factors after one sweep are compared before anything is timed. A Cornac sweep always moves θ and β; so ours is timed
whole, and its factor part alone as well.
Writes benchmarks/results/ctr_speed.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FACTORS, OBSERVED, UNOBSERVED, RIDGE_USERS, RIDGE_ITEMS = 200, 1.0, 0.01, 0.01, 100.0
HERE = Path(__file__).parent
RESULT = HERE / "results" / "ctr_speed.json"
DATA = Path(os.environ.get("TEXTREC_DATA") or HERE.parents[1] / "shared" / "data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cornac", help="the Python that has Cornac")
    parser.add_argument("--repeats", type=int, default=3, help="timed sweeps of each")
    parser.add_argument("--sweeps", type=int, default=8, help="sweeps of the race to equal Recall")
    parser.add_argument("--threads", type=int, nargs="+", help="BLAS threads to try (1 and one a core)")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        serve(CornacRunner(arguments.worker))
    else:
        measure(
            arguments.cornac or parser.error("--cornac is missing"),
            arguments.repeats,
            arguments.sweeps,
            arguments.threads,
        )


# ---------------------------------------------------------------- Cornac's side: no textrec, no torch


class CornacRunner:
    """Cornac's CTR in the state of the input file, fed through its own data classes."""

    def __init__(self, folder: Path) -> None:
        from cornac.data import Dataset, TextModality  # type: ignore[import-not-found]
        from cornac.data.text import BaseTokenizer  # type: ignore[import-not-found]
        from cornac.models.ctr.ctr import Model  # type: ignore[import-not-found]
        from cornac.models.ctr.recom_ctr import CTR  # type: ignore[import-not-found]

        parts = np.load(folder / "start.npz")
        users, items = parts["users"], parts["items"]
        n_items, n_words = len(parts["theta"]), parts["beta"].shape[1]
        # its tokeniser drops digits, so a word's number is spelt in letters
        names = ["w" + str(word).translate(str.maketrans("0123456789", "abcdefghij")) for word in range(n_words)]
        number_of = {name: number for number, name in enumerate(names)}
        starts, words, counts = parts["starts"], parts["words"], parts["counts"].astype(int)
        corpus = [
            " ".join(" ".join([names[word]] * count) for word, count in zip(words[a:b], counts[a:b], strict=True))
            for a, b in itertools.pairwise(starts)
        ]
        text = TextModality(corpus=corpus, ids=list(range(n_items)), tokenizer=BaseTokenizer(), max_vocab=n_words)
        ratings = zip(users.tolist(), items.tolist(), np.ones(len(users)).tolist(), strict=True)
        data = Dataset.from_uir(list(ratings), seed=0)
        text.build(id_map=data.iid_map)
        self.item_of = np.array(list(data.iid_map), np.int64)  # their row → ours
        self.user_of = np.array(list(data.uid_map), np.int64)
        self.by_user, self.by_item = CTR._build_data(data.matrix), CTR._build_data(data.matrix.T.tocsr())
        self.bags = CTR._build_data(text.batch_bow(np.arange(n_items), keep_sparse=True))
        word_of = np.array([number_of[word] for word in text.vocab.idx2tok if word in number_of], np.int64)
        extra = text.vocab.size - len(word_of)  # special tokens come first
        theta, beta = parts["theta"][self.item_of].astype(float), np.full((text.vocab.size, FACTORS), 1e-12)
        beta[extra:] = parts["beta"].T[word_of]
        self.model = Model(
            U=np.zeros((len(self.user_of), FACTORS)),
            V=theta.copy(),
            n_user=len(self.user_of),
            n_item=n_items,
            n_vocab=text.vocab.size,
            k=FACTORS,
            lambda_u=RIDGE_USERS,
            lambda_v=RIDGE_ITEMS,
            a=OBSERVED,
            b=UNOBSERVED,
        )
        self.model.theta, self.model.beta = theta, beta

    def sweep(self) -> dict[str, float]:
        """One sweep as Cornac's `fit` runs it; the seconds of its parts."""
        start, spent = time.perf_counter(), time.process_time()
        self.model.update_cf(user_data=self.by_user, item_data=self.by_item)
        middle = time.perf_counter()
        self.model.update_theta(doc_ids=self.bags[0], doc_cnt=self.bags[1])
        self.model.update_beta()
        end = time.perf_counter()
        return {"factors": middle - start, "topics": end - middle, "processor": time.process_time() - spent}

    def factors(self) -> tuple[Any, Any]:
        """Users and items in our order."""
        return self.model.U[np.argsort(self.user_of)], self.model.V[np.argsort(self.item_of)]


def serve(runner: CornacRunner) -> None:
    """A sweep for every line on the standard input; `save PATH` writes the factors."""
    print("ready", flush=True)
    for line in sys.stdin:
        command, _, path = line.strip().partition(" ")
        if command == "save":
            users, items = runner.factors()
            np.savez(path, users=users, items=items)
            print("saved", flush=True)
        else:
            print(json.dumps(runner.sweep()), flush=True)


class Worker:
    """A Cornac process with a number of BLAS threads."""

    def __init__(self, python: str, folder: Path, threads: int) -> None:
        limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | limits
        command = [python, str(Path(__file__)), "--worker", str(folder)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer("ready")

    def _answer(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line
        raise SystemExit("the Cornac process ended early")

    def ask(self, line: str, start: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer(start)

    def sweep(self) -> dict[str, float]:
        found: dict[str, float] = json.loads(self.ask("sweep", "{"))
        return found

    def factors(self, path: Path) -> tuple[Any, Any]:
        self.ask(f"save {path}", "saved")
        with np.load(path) as parts:
            return parts["users"], parts["items"]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


# ---------------------------------------------------------------- our side


def measure(python: str, repeats: int, n_sweeps: int, wanted: list[int] | None) -> None:
    import torch

    from textrec.data.source import read
    from textrec.learn.alternation import Alternation, FactorLoss
    from textrec.models.proportions import reestimate_topics, step_proportions
    from textrec.models.topic_reader import topic_words, word_counts
    from textrec.models.topics import TopicModel, random_start
    from textrec.protocol.metrics import fold_recall
    from textrec.protocol.splits import split
    from textrec.study.evaluation import machine, versions

    data = read(DATA / "citeulike-t").filtered()
    fold = split(data, "warm").fold(data, 0)
    liked = np.flatnonzero(fold.train.likes_per_item() > 0)  # Cornac knows no other items
    active = np.flatnonzero(fold.train.likes_per_user() > 0)
    train = fold.train.take_users(active).take_items(liked)
    documents = train.items.documents
    counts = word_counts(topic_words(documents, most=20_000, min_items=1), documents)
    topics = TopicModel(random_start(FACTORS, counts.shape[1], np.random.default_rng(0)), 0.3, 0.1)
    topics.fit(counts, passes=5)
    theta, beta = topics.proportions(counts), topics.topics()
    places = train.items.ids.rows(fold.candidates.ids)

    class Ours:
        """Our sweep in the same state."""

        def __init__(self, threads: int) -> None:
            loss = FactorLoss(OBSERVED, UNOBSERVED, RIDGE_USERS, RIDGE_ITEMS)
            self.threads, self.beta = threads, beta
            self.blocks = Alternation(train.likes, theta, loss)

        def sweep(self) -> dict[str, float]:
            torch.set_num_threads(self.threads)
            blocks, start, spent = self.blocks, time.perf_counter(), time.process_time()
            blocks.sweep()
            blocks.objective()
            middle = time.perf_counter()
            moved = step_proportions(
                blocks.theta.numpy(), blocks.items.numpy(), counts, self.beta, ridge=RIDGE_ITEMS, liked=blocks.liked
            )
            blocks.theta = torch.from_numpy(moved)
            self.beta = reestimate_topics(moved, counts, self.beta)
            end = time.perf_counter()
            return {"factors": middle - start, "topics": end - middle, "processor": time.process_time() - spent}

        def factors(self, path: Path) -> tuple[Any, Any]:
            return self.blocks.users.numpy(), self.blocks.items.numpy()

    def recall(users: Any, items: Any) -> float:
        everyone = np.zeros((data.n_users, FACTORS), np.float32)
        everyone[active] = users
        chosen = items[places].astype(np.float32)
        return fold_recall(fold, lambda block: everyone[block] @ chosen.T, 50)

    rows, columns = train.likes.nonzero()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bags = {"starts": counts.indptr, "words": counts.indices, "counts": counts.data}
        np.savez(folder / "start.npz", users=rows, items=columns, theta=theta, beta=beta, **bags)
        threads = sorted(set(wanted or [1, len(os.sched_getaffinity(0))]))
        runners: dict[str, Any] = {f"cornac, {n} BLAS threads": Worker(python, folder, n) for n in threads}
        runners |= {f"textrec, {n} threads": Ours(n) for n in threads}
        seconds: dict[str, list[dict[str, float]]] = {}
        for name, runner in runners.items():
            seconds[name] = [runner.sweep()]
            print(name, seconds[name][0], flush=True)
        first = [runner.factors(folder / "factors.npz") for runner in runners.values()]
        difference = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(first[0], first[-1], strict=True))
        print(f"largest relative difference after one sweep: {difference:.1e}", flush=True)
        assert difference < 1e-3, difference
        curves = {name: [recall(*factors)] for name, factors in zip(runners, first, strict=True)}
        for number in range(1, max(repeats, n_sweeps)):
            for name, runner in runners.items():
                # the race is run by the faster Cornac and by us; the others stop after the timed sweeps
                if number >= repeats and name not in (_best(seconds, "cornac"), _best(seconds, "textrec")):
                    continue
                seconds[name].append(runner.sweep())
                curves[name].append(recall(*runner.factors(folder / "factors.npz")))
                print(name, seconds[name][-1], f"recall@50 {curves[name][-1]:.4f}", flush=True)
        for runner in runners.values():
            if isinstance(runner, Worker):
                runner.close()
    report(seconds, curves, difference, {"machine": machine(), "versions": versions()})


def _total(sweep: dict[str, float]) -> float:
    return sweep["factors"] + sweep["topics"]


def _best(seconds: dict[str, list[dict[str, float]]], library: str) -> str:
    return min((statistics.median(map(_total, rows)), name) for name, rows in seconds.items() if library in name)[1]


def report(
    seconds: dict[str, list[dict[str, float]]], curves: dict[str, list[float]], difference: float, about: dict[str, Any]
) -> None:
    """Print the table and write the JSON file."""
    table = {
        name: {
            "factors": round(statistics.median(row["factors"] for row in rows), 2),
            "topics": round(statistics.median(row["topics"] for row in rows), 2),
            "sweep": round(statistics.median(map(_total, rows)), 2),
            "processor": round(statistics.median(row["processor"] for row in rows), 2),
        }
        for name, rows in seconds.items()
    }
    ours, theirs = _best(seconds, "textrec"), _best(seconds, "cornac")
    ratios = {part: round(table[theirs][part] / table[ours][part], 2) for part in ("factors", "sweep", "processor")}
    goal = 0.995 * max(curves[theirs])
    reached = {name: _seconds_to(goal, curves[name], seconds[name]) for name in (ours, theirs)}
    print(f"{'median seconds':<26}{'factors':>9}{'topics':>9}{'sweep':>9}{'processor':>11}")
    for name, row in table.items():
        print(f"{name:<26}" + "".join(f"{value:9.2f}" for value in row.values()))
    print(f"{theirs} / {ours}: " + ", ".join(f"{part} {ratio}" for part, ratio in ratios.items()))
    print(f"seconds to warm recall@50 {goal:.4f} (99.5 % of Cornac's best): {reached}")
    result = {
        "data": "citeulike-t, warm fold 0",
        "constants": {"K": FACTORS, "a": OBSERVED, "b": UNOBSERVED, "ridge": [RIDGE_USERS, RIDGE_ITEMS]},
        **about,
        "cornac": (HERE / "cornac-requirements.txt").read_text().split("cornac==")[1].split()[0],
        "load": [round(load, 1) for load in os.getloadavg()],
        "median_seconds": table,
        "ratio": ratios,
        "recall@50": curves,
        "equal_recall": {"recall@50": goal, "seconds": reached},
        "relative_difference": difference,
        "sweeps": seconds,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def _seconds_to(goal: float, curve: list[float], rows: list[dict[str, float]]) -> float | None:
    spent = np.cumsum([_total(row) for row in rows])
    reached = [float(at) for at, value in zip(spent, curve, strict=True) if value >= goal]
    return round(reached[0], 1) if reached else None


if __name__ == "__main__":
    main()
