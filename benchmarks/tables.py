"""Results tables: one cell a model, data set and setting; each is a JSON file that is not computed twice.

    python benchmarks/tables.py baselines            # popularity and TF-IDF on the three CiteULike data sets
    python benchmarks/tables.py embed                # Embed and Embed-MTL
    python benchmarks/tables.py gru                  # GRU and GRU-MTL, with and without CBOW vectors
    python benchmarks/tables.py ctr                  # CTR, CTR-MTL, what explains them, and more baselines
    python benchmarks/tables.py past                 # kernel, transformer, joined, blend
    python benchmarks/tables.py explain              # print what moves CTR on citeulike-t
    python benchmarks/tables.py readme               # write the tables of the README from the files

The README's tables come from the run folders in benchmarks/runs (`textrec experiment`) once there are any, else from
the files in benchmarks/results. `textrec experiment table1 --out benchmarks/runs/table1 --adopt benchmarks/results`
turns the one into the other without computing anything again.

A killed run continues with the first missing cell. Data are read from $TEXTREC_DATA (default ../shared/data). Beside
each JSON file a Parquet file keeps the recall of every user, for paired tests.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch

from textrec.data.source import read
from textrec.models.topic_reader import TopicReader
from textrec.protocol.metrics import paired_test
from textrec.study.evaluation import evaluate
from textrec.study.results import load_results

HERE = Path(__file__).parent
RESULTS = HERE / "results"
RUNS = HERE / "runs"
README = HERE.parent / "README.md"
DATA = Path(os.environ.get("TEXTREC_DATA") or HERE.parents[1] / "shared" / "data")
TITLES, ABSTRACTS, BAGS = "citeulike-a-titles", "citeulike-a-abstracts", "citeulike-t"


@dataclass(frozen=True)
class Cell:
    """One row of a table."""

    data: str
    model: str
    setting: str
    variant: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    candidates: str = "eligible"
    transductive: bool = False
    folds: tuple[int, ...] | None = None  # None: all

    @property
    def path(self) -> Path:
        parts = [self.data, self.setting, self.model, self.variant, "all" if self.candidates == "all" else ""]
        return RESULTS / ("_".join(part for part in parts if part) + ".json")


# Tags learnt sooner, at a small cost for likes: chosen on the validation items and tags of fold 0.
TAGGER = {"tag_learning_rate": 0.03}
# Made from the corpus alone: textrec pretrain $TEXTREC_DATA/corpus/abstracts.txt.xz --out benchmarks/vectors
CBOW = {"word_vectors": "benchmarks/vectors"}

VARIANTS = {
    "tagger": "chosen for tags",
    "cbow": "CBOW vectors",
    "cbow_fp32": "CBOW vectors, float32",
    "minilm": "MiniLM",
    "frozen": "MiniLM, frozen",
}
"""How the README names the variants of a model."""

TABLES: dict[str, list[Cell]] = {
    "baselines": [
        Cell(data, model, setting)
        for data in (TITLES, ABSTRACTS, BAGS)
        for model, setting in (("tfidf", "cold"), ("popularity", "warm"), ("tfidf", "warm"))
    ]
    + [Cell(data, "tfidf", "cold", candidates="all") for data in (TITLES, BAGS)],
    "embed": [
        Cell(data, model, setting)
        for data in (TITLES, BAGS)
        for model in ("embed", "embed-mtl")
        for setting in ("cold", "warm")
    ]
    + [Cell(BAGS, "embed-mtl", "cold", "tagger", TAGGER)]
    + [Cell(ABSTRACTS, model, "cold") for model in ("embed", "embed-mtl")]
    + [
        Cell(data, model, setting, "cbow", CBOW)
        for data, setting in ((TITLES, "cold"), (TITLES, "warm"), (ABSTRACTS, "cold"))
        for model in ("embed", "embed-mtl")
    ],
    "gru": [
        Cell(TITLES, "gru-mtl", "cold", "cbow", CBOW),
        Cell(TITLES, "gru", "cold", "cbow", CBOW),
        Cell(TITLES, "gru-mtl", "warm", "cbow", CBOW),
        Cell(TITLES, "gru", "cold"),
        Cell(ABSTRACTS, "gru-mtl", "cold", "cbow", CBOW),
        Cell(ABSTRACTS, "gru", "cold", "cbow", CBOW),
        Cell(TITLES, "gru-mtl", "cold", "cbow_fp32", CBOW | {"precision": "fp32"}),
        Cell(TITLES, "gru-mtl", "cold"),
    ],
}
# Past 2016. Settings chosen on the validation items or likes of fold 0 (docs/log.md). The transformer may have seen
# scientific titles and citation pairs in its own training: its rows say so.
MINILM = {"kernel": "product"}
FROZEN = {"trained_layers": 0, "learning_rate": 0.0005, "dropout": 0.0}
BLENDED = ["kernel kernel=product", "gru-mtl word_vectors=benchmarks/vectors", "transformer-mtl"]
WARM_BLENDED = ["kernel kernel=product collaborative=1", *BLENDED[1:], "ease", "als"]
TABLES["past"] = [
    Cell(TITLES, "kernel", "cold", "minilm", MINILM),
    Cell(TITLES, "kernel", "warm", "minilm", MINILM | {"collaborative": 1.0}),
    *(Cell(TITLES, "kernel", setting) for setting in ("cold", "warm")),
    Cell(BAGS, "kernel", "cold", config={"ridge_users": 3.0}),
    Cell(BAGS, "kernel", "warm", config={"ridge_users": 3.0, "collaborative": 1.0}),
    *(Cell(TITLES, "transformer-mtl", setting) for setting in ("cold", "warm")),
    Cell(TITLES, "transformer", "cold"),
    Cell(TITLES, "transformer-mtl", "cold", "frozen", FROZEN),
    *(Cell(TITLES, "joined-mtl", setting, "cbow", CBOW) for setting in ("cold", "warm")),
    Cell(TITLES, "blend", "cold", config={"members": BLENDED}),
    Cell(TITLES, "blend", "warm", config={"members": WARM_BLENDED}),
]
TOPIC_MODELS = ("lda", "ctr", "ctr-mtl")
# Which reading of the protocol, or which part, explains how much: compare with the same folds of the plain CTR cell.
EXPLAIN: list[tuple[str, dict[str, Any]]] = [
    ("all", {"candidates": "all"}),
    ("transductive", {"transductive": True}),
    ("optimised", {"config": {"proportions": "optimised"}}),
    ("sparse", {"config": {"doc_prior": 0.02, "word_prior": 0.05}}),
    ("ridge-10", {"config": {"ridge_items": 10.0}}),
    ("ridge-1000", {"config": {"ridge_items": 1000.0}}),
]
TABLES["ctr"] = [
    *(Cell(BAGS, model, setting) for model in ("ctr", "ctr-mtl") for setting in ("cold", "warm")),
    *(Cell(BAGS, "ctr", "cold", "" if name == "all" else name, folds=(0, 1), **options) for name, options in EXPLAIN),
    *(Cell(TITLES, model, setting) for model in ("ctr", "ctr-mtl") for setting in ("cold", "warm")),
    *(
        Cell(data, model, setting)
        for data in (BAGS, TITLES)
        for model in ("lda", "tfidf-knn", "text-als")
        for setting in ("cold", "warm")
    ),
    *(Cell(data, model, "warm") for data in (BAGS, TITLES) for model in ("ease", "als")),
]
PAIRS = [
    (Cell(data, better, "cold"), Cell(data, worse, "cold"))
    for data in (TITLES, BAGS, ABSTRACTS)
    for better, worse in (("embed", "tfidf"), ("embed-mtl", "tfidf"), ("embed-mtl", "embed"))
]


def show(row: Mapping[str, Any]) -> None:
    """One line a fold."""
    print(f"  fold {row['fold']}: recall@50 {row['recall@50']:.4f}, {row['seconds']:.0f} s", flush=True)


def run(cell: Cell) -> None:
    """Compute a cell unless its file is there."""
    if cell.path.exists():
        return
    print(f"{cell.path.stem} …", flush=True)
    data = read(DATA / cell.data).filtered()
    found = evaluate(
        data,
        cell.model,
        setting=cell.setting,  # type: ignore[arg-type]
        config=cell.config,
        candidates=cell.candidates,  # type: ignore[arg-type]
        transductive=cell.transductive,
        folds=cell.folds,
        on_fold=show,
    )
    RESULTS.mkdir(exist_ok=True)
    per_user = found.per_user().with_columns(pl.col("^recall.*$|^ndcg.*$|^hr.*$").cast(pl.Float32))
    per_user.write_parquet(cell.path.with_suffix(".parquet"), compression="zstd", compression_level=19)
    staged = cell.path.with_suffix(".tmp")
    about = {"variant": cell.variant} | ({"topics_shared": True} if cell.model in TOPIC_MODELS else {})
    staged.write_text(json.dumps(found.result | about, indent=1), encoding="utf-8")
    staged.rename(cell.path)
    print(f"  mean recall@50 {found.result['mean']['recall@50']:.4f}", flush=True)


def compare() -> None:
    """Paired tests over users, for every pair whose cells are there."""
    rows = []
    for better, worse in PAIRS:
        if not (better.path.exists() and worse.path.exists()):
            continue
        metric = "recall@10" if better.data == ABSTRACTS else "recall@50"
        frames = [pl.read_parquet(cell.path.with_suffix(".parquet")) for cell in (better, worse)]
        # a user stands in several folds; the unit of the test is the user: mean over folds first
        means = [frame.group_by("user").agg(pl.col(metric).mean()).sort("user") for frame in frames]
        assert means[0]["user"].equals(means[1]["user"])
        test = paired_test(means[0][metric], means[1][metric], seed=0)
        rows.append({"data": better.data, "a": better.model, "b": worse.model, "metric": metric, **test})
    (RESULTS / "paired.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


def result_files() -> list[Path]:
    """The run folders that the README's table comes from, or the result files when there are none."""
    runs = sorted(path.parent for path in RUNS.glob("*/run.json"))
    return runs or [path for data in (TITLES, BAGS, ABSTRACTS) for path in sorted(RESULTS.glob(f"{data}_*.json"))]


def results_table() -> str:
    """The README's table, from the result files."""
    lines = [
        "| data | setting | model | Recall@10 | Recall@50 | NDCG@50 | HR@10 | tag Recall@50 | s / fold | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for path in result_files():
        lines += lines_of_run(path) if path.is_dir() else lines_of_file(path)
    return "\n".join(lines)


def lines_of_run(folder: Path) -> list[str]:
    """A line a row of a run, the best first in each panel."""
    lines = []
    for panel in load_results(folder).panels:
        setting = panel.setting + (", all papers" if panel.candidates == "all" else "")
        for row in panel.ranked:
            names = {name for record in row.records for name in record["figures"]}
            mean = {name: value for name in names if (value := row.mean(name)) is not None}
            deviation = row.sd("recall@50") or 0.0
            lines.append(line_of(panel.data, setting, row.label, mean, deviation, max(row.values("peak_mb"))))
    return lines


def lines_of_file(path: Path) -> list[str]:
    """The line of a result file; none when it has a part of the folds and explains another row (`explain`)."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if len(found["folds"]) < 5:
        return []
    setting = found["setting"] + (", all papers" if found["candidates"] == "all" else "")
    variant = next((said for end, said in VARIANTS.items() if path.stem.endswith(f"_{end}")), "")
    model = found["model"] + (f" ({variant})" if variant else "")
    peak = max(fold["peak_mb"] for fold in found["folds"])
    return [line_of(found["data"], setting, model, found["mean"], found["sd"]["recall@50"], peak)]


def line_of(data: str, setting: str, model: str, mean: Mapping[str, float], deviation: float, peak: float) -> str:
    """One line of the table."""
    tags = f"{mean['tag_recall@50']:.3f}" if "tag_recall@50" in mean else "–"
    return (
        f"| {data} | {setting} | {model} | {mean['recall@10']:.3f} | {mean['recall@50']:.3f} ± {deviation:.3f} | "
        f"{mean['ndcg@50']:.3f} | {mean['hr@10']:.3f} | {tags} | {mean['seconds']:.0f} | {peak:.0f} |"
    )


def explain_table() -> str:
    """What moves CTR's cold Recall@50 on citeulike-t: each variant beside plain CTR on the same folds."""
    lines = ["| variant | Recall@50 | plain CTR, same folds | difference |", "|---|---|---|---|"]
    plain = json.loads(Cell(BAGS, "ctr", "cold").path.read_text(encoding="utf-8"))["folds"]
    for cell in TABLES["ctr"]:
        if cell.folds is None or not cell.path.exists():
            continue
        rows = json.loads(cell.path.read_text(encoding="utf-8"))["folds"]
        value = sum(row["recall@50"] for row in rows) / len(rows)
        base = sum(plain[row["fold"]]["recall@50"] for row in rows) / len(rows)
        name = f"candidates {cell.candidates}" if cell.candidates == "all" else cell.variant
        settings = json.dumps(cell.config) if cell.config else ""
        lines.append(f"| {name} {settings} | {value:.3f} | {base:.3f} | {value - base:+.3f} |")
    return "\n".join(lines)


def readme_with_table(text: str) -> str:
    """The README with its table replaced by `results_table`."""
    start, end = "<!-- results: benchmarks/tables.py readme -->\n", "\n<!-- end of results -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}{results_table()}{end}{after}"


def main() -> None:
    """Run the table named on the command line."""
    wanted = sys.argv[1] if len(sys.argv) in (2, 3) else ""
    if wanted == "readme":
        README.write_text(readme_with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
        return
    if wanted == "explain":
        print(explain_table())
        return
    if wanted not in TABLES:
        raise SystemExit(
            f"usage: python benchmarks/tables.py {'|'.join(TABLES)}|explain|readme [part of a cell's name]"
        )
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    # Models of one fold share its topics, so their seconds hold LDA where a fold is met first only.
    TopicReader.topic_cache = {}
    for cell in TABLES[wanted]:
        if len(sys.argv) == 2 or sys.argv[2] in cell.path.stem:
            run(cell)
    compare()


if __name__ == "__main__":
    main()
