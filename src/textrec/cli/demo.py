"""`textrec demo`: the whole way on the built-in sample, each step under the command that does the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textrec.cli.listing import Labels, grouped, print_lists
from textrec.cli.output import console, print_table, say
from textrec.cli.running import set_threads
from textrec.cli.train import check_place

if TYPE_CHECKING:
    from textrec.dataset import Dataset
    from textrec.learn.recommender import Recommender

__all__ = ["demo"]

NEW_TEXT = "Graph networks for protein folding. We study enzyme structures, not markets."
METRICS = ("recall@10", "recall@50", "ndcg@50", "mrr")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The model folder to write.")] = Path(
        "demo-model"
    ),
) -> None:
    """Show everything on a small simulated library: train, measure, recommend, and place a brand-new text."""
    set_threads(None)
    check_place(out)
    from textrec.data.sample import sample

    data = sample()
    _show_data(data)
    _show_metrics(data)
    model = _train(data, out)
    _recommend(model, out)
    _place(model, out)


def _step(command: str) -> None:
    console().print(f"$ {command}", style="bold", markup=False, soft_wrap=True)


def _show_data(data: Dataset) -> None:
    _step("textrec data info sample")
    tags = len(data.items.tag_names)
    say(f"{data.n_users:,} users, {data.n_items:,} items with texts, {data.n_likes:,} likes, {tags:,} tags, simulated")
    say()


def _show_metrics(data: Dataset) -> None:
    from textrec.study.evaluation import evaluate

    filtered = data.filtered(min_likes=5, min_tag_items=10)
    cold = {"tfidf": evaluate(filtered, "tfidf", setting="cold").result["mean"]}
    _step("textrec evaluate sample --model tfidf --setting cold")
    _metrics_table("New items, which nobody has liked yet (mean of 5 folds)", cold)
    warm = {name: evaluate(filtered, name, setting="warm").result["mean"] for name in ("tfidf", "popularity")}
    _step("textrec evaluate sample --model tfidf --setting warm   # and --model popularity")
    _metrics_table("Known items (mean of 5 folds)", warm)


def _metrics_table(title: str, found: dict[str, dict[str, Any]]) -> None:
    shown = [name for name in METRICS if all(name in means for means in found.values())]
    rows = [[name, *(float(means[metric]) for metric in shown)] for name, means in found.items()]
    print_table(title, ["model", *shown], rows)


def _train(data: Dataset, out: Path) -> Recommender:
    from textrec.model_folder import load, save
    from textrec.registry import create

    _step(f"textrec train sample --model tfidf --out {out}")
    save(create("tfidf").fit(data.filtered(min_likes=0, min_tag_items=10)), out)
    model = load(out)
    say(f"saved {out}: {', '.join(sorted(entry.name for entry in out.iterdir()))}")
    say()
    return model


def _recommend(model: Recommender, out: Path) -> None:
    user = model.data.users[0]
    _step(f"textrec recommend {out} --user {user} -k 5")
    labels = Labels(model)
    liked = model.data.likes[[0]].indices[:3]
    say(f"user {user} liked, among others:")
    for row in liked.tolist():
        say(f"  {model.data.items.label(row)}")
    say()
    groups = grouped(model.recommend(user, k=5), "user_id", "items", labels)
    columns = {"rank": "rank", "item": "item_id", "title": "title", "score": "score"}
    print_lists(groups, "items", "For user {user_id}", columns)


def _place(model: Recommender, out: Path) -> None:
    from textrec.learn.selection import as_new_items

    _step(f"textrec audience {out} -k 5 --text '{NEW_TEXT}'")
    new = as_new_items(NEW_TEXT)
    nearest = model.similar(new, k=model.data.n_items)["similar_id"].to_list()
    rows = []
    for user, score in model.audience(new, k=5).select("user_id", "score").iter_rows():
        row = int(model.data.users.rows([user])[0])
        liked = {model.data.items.ids[item] for item in model.data.likes[[row]].indices.tolist()}
        rows.append([user, score, Labels(model)[next(item for item in nearest if item in liked)]])
    closest = "the nearest title they liked"
    print_table("Who would want this new text", ["user", "score", closest], rows, text=(closest,))
