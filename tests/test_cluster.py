"""What a cluster does without Ray: arguments, messages, files. `test_cluster_ray.py` needs the extra `ray`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
import torch
import torch.distributed as dist

from textrec.cli import main
from textrec.cluster.member import Job, Learnt, member
from textrec.cluster.processes import Processes
from textrec.cluster.session import check_address, connected
from textrec.cluster.training import _listening, check_trainable, fit_on_cluster
from textrec.cluster.using import _Encoding, _Ranking, encode_blocks, recommend_blocks
from textrec.data.sample import sample
from textrec.errors import ArgumentError, CapabilityError, CheckpointError, DataError, MissingExtraError, TextrecWarning
from textrec.learn.checkpoints import FILE, REFIT, forget
from textrec.learn.model import Checkpoint
from textrec.learn.recommender import Recommender
from textrec.model_folder import save
from textrec.registry import create


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)


@pytest.mark.parametrize("address", ["lokal", "", "10.0.0.1", "ray://head:10001", "host:port", "a b:1"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ArgumentError, match=r"cluster must be local, auto or HOST:PORT, got '"):
        check_address(address)


@pytest.mark.usefixtures("without_ray")
@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.1:6379", "head.example.org:6379"])
def test_without_ray_the_command_that_installs_it_is_named(address: str) -> None:
    with pytest.raises(MissingExtraError, match=r"the package 'ray': pip install 'textrec\[ray\]'"):
        check_address(address)


@pytest.mark.parametrize(
    ("name", "config", "device", "said"),
    [
        ("tfidf", {}, "cpu", "a cluster trains embed, embed-mtl, gru and gru-mtl, got 'tfidf'"),
        ("embed", {"recipe": "paper"}, "cpu", "a cluster trains by the recipe exact, got 'paper'"),
        ("embed", {}, "cuda", "device must be auto or cpu, got 'cuda'"),
    ],
)
def test_what_a_cluster_cannot_train(name: str, config: dict[str, Any], device: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        check_trainable(create(name, config, device=device))


@pytest.mark.parametrize("name", ["embed", "embed-mtl", "gru", "gru-mtl"])
def test_what_it_can_train(name: str) -> None:
    assert check_trainable(create(name)).name == name


def test_a_number_of_workers_below_one() -> None:
    with pytest.raises(ArgumentError, match="workers and threads must be at least 1, got 0 and 1"):
        fit_on_cluster(create("embed"), sample(), workers=0)


def test_a_cluster_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        raise ConnectionError("There is none.\nMore.")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init))
    monkeypatch.setattr("textrec.cluster.session._head", lambda: "auto")
    said = r"no Ray cluster answers at 'auto' \(There is none.\); start one with `ray start --head`"
    with pytest.raises(ArgumentError, match=said), connected("auto", 2):
        pass
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: it refuses
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ArgumentError, match=rf"at '{address}' \(.*refused\); start one"), connected(address, 2):
            pass
    with pytest.raises(ArgumentError, match=r"at 'localhost:99999' \("), connected("localhost:99999", 2):
        pass


def failing(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    train = ["train", "sample", "--out", tmp_path / "m", "--model", "embed"]
    assert "--workers needs --cluster, such as --cluster local" in failing(capsys, *train, "--workers", 2)
    assert "cluster must be local, auto or HOST:PORT, got 'here'" in failing(capsys, *train, "--cluster", "here")
    folder = save(create("popularity").fit(sample()), tmp_path / "model")
    everyone = ["recommend", folder, "--all-users", "--out", tmp_path / "r.csv", "--cluster", "local"]
    for command in ([*everyone, "--search", "approximate"], ["recommend", folder, "--user", "1", "--cluster", "local"]):
        assert "--cluster shares the exact search of --all-users" in failing(capsys, *command)
    items = tmp_path / "items.csv"
    items.write_text("item_id,title\na,graph networks\n", encoding="utf-8")
    for command in (["recommend", folder, "--user", "1"], ["encode", folder, items, "--out", tmp_path / "v.parquet"]):
        assert "--workers needs --cluster" in failing(capsys, *command, "--workers", 2)


@pytest.mark.usefixtures("without_ray")
def test_every_command_needs_the_extra(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ["train", "sample", "--out", tmp_path / "m"],
        ["recommend", tmp_path, "--all-users", "--out", tmp_path / "r.csv"],
        ["encode", tmp_path, tmp_path / "items.csv", "--out", tmp_path / "v.parquet"],
    ):
        assert "pip install 'textrec[ray]'" in failing(capsys, *command, "--cluster", "local")


def test_checkpoints_are_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / REFIT).mkdir(parents=True)
    kept = [folder / "notes.txt", folder / "other" / FILE]
    for path in (folder / FILE, folder / "checkpoint.new-17", folder / REFIT / FILE, *kept):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x", encoding="utf-8")
    forget(folder)
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == kept
    assert not (folder / REFIT).exists()
    forget(tmp_path / "not there")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / FILE).touch()
    forget(tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


@pytest.fixture(scope="module")
def model() -> Recommender:
    return create("embed", {"epochs": 1, "factors": 8, "min_count": 1, "refit_epochs": 0}).fit(sample())


def test_ranges_of_users_and_items_are_parts_of_the_whole(model: Recommender) -> None:
    n = model.data.n_users
    ranking = _Ranking(model, {"k": 3, "items": None, "exclude_seen": True})
    found = pl.concat([frame for start, stop in ((0, 7), (7, n)) for frame in ranking(start, stop)])
    assert found.drop("score").equals(model.recommend(k=3).drop("score"))
    items = model.data.items
    encoding = _Encoding(model, items, rows=5)
    vectors = pl.concat([frame for start, stop in ((0, 7), (7, len(items))) for frame in encoding(start, stop)])
    assert vectors["item_id"].to_list() == list(items.ids)
    np.testing.assert_allclose(vectors["vector"].to_numpy(), model.encode(items), atol=1e-6)


def test_faults_show_before_anything_starts(model: Recommender) -> None:
    with pytest.raises(ArgumentError, match="k must be a whole number of at least 1, got 0"):
        recommend_blocks(model, cluster="local", k=0)
    with pytest.raises(CapabilityError, match="lacks the capability 'vectors'"):
        encode_blocks(create("popularity").fit(sample()), sample().items, cluster="local")
    with pytest.raises(DataError, match="there are no likes to learn from"):
        fit_on_cluster(create("embed"), replace(sample(), likes=sp.csr_array(sample().likes.shape), timestamps=None))


class Told:
    """Stands for Ray's queue."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = list(events)

    def size(self) -> int:
        return len(self.events)

    def get_nowait_batch(self, n: int) -> list[dict[str, Any]]:
        taken, self.events = self.events[:n], self.events[n:]
        return taken


def test_what_members_tell_reaches_the_monitor_and_a_restart_is_a_warning() -> None:
    heard: list[Any] = []
    start, step = {"event": "workers", "workers": []}, {"event": "step", "epoch": 1}
    with _listening(Told(start, step), heard.append):
        pass
    assert heard == [{**start, "start": 1}, step]
    with (
        pytest.warns(TextrecWarning, match="workers were started 2 times: one died, and training went on from the"),
        _listening(Told(start, step, start), None),
    ):
        pass


def test_an_error_of_the_monitor_is_an_error_of_training() -> None:
    def fail(event: Any) -> None:
        raise ValueError(event["event"])

    with pytest.raises(ValueError, match="step"), _listening(Told({"event": "step"}, {"event": "epoch"}), fail):
        pass


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Processes]:
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    yield Processes()
    dist.destroy_process_group()


def test_a_group_of_one_process(group: Processes) -> None:
    values = torch.arange(6.0).view(3, 2)
    group.add(values)
    torch.testing.assert_close(group.gather(values, 3), values)
    assert group.gather(values[:0], 0).shape == (0, 2)
    assert group.first(lambda: "made") == "made"
    assert (group.rank, group.size, len(group.members())) == (0, 1, 1)

    def fail() -> None:
        raise CheckpointError("damaged")

    with pytest.raises(CheckpointError, match="damaged"):
        group.first(fail)


class Queue(list[dict[str, Any]]):
    put = list.append


@pytest.mark.usefixtures("group")
def test_what_the_first_member_returns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda reference: reference))
    monkeypatch.setattr("textrec.cluster.member.STEP_SECONDS", 1e9)
    config = {"epochs": 1, "factors": 8, "min_count": 1}
    told, place = Queue(), Checkpoint(tmp_path, 0, resume=True)
    learnt = member({"job": Job(create("embed", config), sample(), None, place, 1), "events": told})
    assert isinstance(learnt, Learnt)
    alone = create("embed", config).fit(sample())
    assert learnt.report == alone.report
    for name, array in alone._arrays().items():
        np.testing.assert_array_equal(learnt.arrays[name], array)
    assert [event["event"] for event in told] == ["workers", "epoch"]

    (tmp_path / FILE).write_bytes(b"nothing")
    failed = member({"job": Job(create("embed", config), sample(), None, place, 1), "events": told})
    assert isinstance(failed, CheckpointError)  # raised, it would make Ray start the workers again
