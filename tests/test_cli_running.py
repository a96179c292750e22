"""How every command runs: help, errors, warnings, threads, imports, pipes and Ctrl-C."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from textrec.cli import app, main
from textrec.cli.output import json_text, number, staged, write_frames
from textrec.cli.progress import counted, monitored, spinner
from textrec.cli.running import run, set_threads, show_problems
from textrec.data.sample import sample
from textrec.errors import Problem, TextrecWarning
from textrec.model_folder import save
from textrec.registry import create

NAMES = "models, config, train, demo, recommend, audience, similar, tags, encode, update, split, evaluate"
COMMANDS = [["data", "info"], ["data", "fetch"], *([name] for name in NAMES.split(", "))]
TEXTREC = [sys.executable, "-c", "import sys; from textrec.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(create("tfidf").fit(sample()), tmp_path_factory.mktemp("models") / "m")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_examples(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Examples" in result.output
    assert f"textrec {' '.join(command)}" in result.output


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(f" {command[0]} " in result.output for command in COMMANDS)


def test_no_arguments_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "Commands" in captured.out + captured.err or "recommend" in captured.out + captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from textrec import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_unknown_commands_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recomend"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: no such command 'recomend'")
    assert err.count("\n") == 1


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, textrec.cli\n"
        "textrec.cli.main(['--help'])\n"
        "print(sorted({'torch', 'numpy', 'polars', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stdout.rstrip().endswith("[]")
    assert min(seconds) < 0.5  # processor time: other work on the machine does not count


@pytest.mark.parametrize("arguments", [["data", "info", "sample"], ["data", "fetch"], ["config", "--model", "tfidf"]])
def test_commands_on_data_do_not_import_torch(arguments: list[str]) -> None:
    code = f"import sys, textrec.cli\nassert textrec.cli.main({arguments}) == 0\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_a_model_that_needs_no_torch_does_not_import_it(tmp_path: Path) -> None:
    code = (
        "import sys, textrec.cli\n"
        "from textrec.cli import main\n"
        "assert main(['train', 'sample', '--out', 'm']) == 0\n"
        "assert main(['recommend', 'm', '--user', '3', '--json']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=tmp_path)


def test_json_is_alone_on_the_standard_output(folder: Path) -> None:
    command = [*TEXTREC, "recommend", "m", "--user", "3", "-k", "900", "--json"]
    done = subprocess.run(command, cwd=folder.parent, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["k"] == 900
    assert done.stderr.startswith("warning: k is 900")
    unknown = subprocess.run([*command[:-4], "3x"], cwd=folder.parent, capture_output=True, text=True, check=False)
    assert unknown.returncode == 2


def test_a_closed_pipe_is_quiet(folder: Path) -> None:
    for more in ([], ["--json"]):
        users = [part for user in range(200) for part in ("--user", str(user))]
        with subprocess.Popen(
            [*TEXTREC, "recommend", "m", *users, "-k", "50", *more],
            cwd=folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(10)
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait() in (0, 1)


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    code = (
        "import sys, textrec.cli, textrec.data.source as source\n"
        "def wait(*a, **k):\n    import time; print('waiting', flush=True); time.sleep(60)\n"
        "source.read = wait\n"
        "sys.exit(textrec.cli.main(['data', 'info', 'sample']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"waiting\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"stopped by Ctrl-C\n"
        assert process.wait() == 130


def test_ctrl_c_in_training_keeps_the_best_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from textrec.learn import exact

    steps = 0
    step = exact.ExactTrainee.step

    def interrupted(self: Any, examples: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > len(self.batches(np.arange(self.n_examples), 16, np.random.default_rng(0))) + 1:
            raise KeyboardInterrupt  # in the second epoch
        return step(self, examples)

    monkeypatch.setattr(exact.ExactTrainee, "step", interrupted)
    out = tmp_path / "m"
    assert main(["train", "sample", "--model", "embed", "--factors", "4", "--out", str(out)]) == 0
    assert "stopped by Ctrl-C after 1 epochs; the best so far is kept" in capsys.readouterr().out
    assert main(["recommend", str(out), "--user", "1"]) == 0


def test_a_blend_that_was_stopped_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from textrec.learn import exact

    step = exact.ExactTrainee.step
    steps = 0

    def interrupted(self: Any, examples: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == len(self.batches(np.arange(self.n_examples), 16, np.random.default_rng(0))) + 3:
            raise KeyboardInterrupt  # in the second epoch
        return step(self, examples)

    monkeypatch.setattr(exact.ExactTrainee, "step", interrupted)
    config = tmp_path / "blend.toml"
    config.write_text('members = ["embed factors=4 epochs=2 batch_size=16", "tfidf"]', encoding="utf-8")
    out = tmp_path / "m"
    command = ["train", "sample", "--model", "blend", "--config", str(config), "--out", str(out)]
    assert main(command) == 130
    assert "the same command with --resume goes on" in capsys.readouterr().err
    before, log = steps, tmp_path / "log.jsonl"
    assert main([*command, "--resume", "--json-log", str(log)]) == 0
    epochs = [event for line in log.read_text().splitlines() if (event := json.loads(line))["event"] == "epoch"]
    assert [event["epoch"] for event in epochs if not event.get("refit")] == [2]
    assert steps > before
    assert main(["recommend", str(out), "--user", "1"]) == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device", "model")])
def test_what_the_parser_did_not_catch(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(**_: Any) -> None:
        raise error

    code = run(broken, [])
    err = capsys.readouterr().err
    assert (code, err) in [(130, "stopped by Ctrl-C\n"), (2, "error: model: No space left on device\n")]


def test_warnings_are_said_once_with_their_count(capsys: pytest.CaptureFixture[str]) -> None:
    def warning(**_: Any) -> None:
        for _ in range(3):
            warnings.warn("an odd thing", TextrecWarning, stacklevel=2)
        warnings.warn("another", TextrecWarning, stacklevel=2)

    assert run(warning, []) == 0
    assert capsys.readouterr().err == "warning: an odd thing (3 times)\nwarning: another\n"


def test_other_warnings_go_their_own_way(capsys: pytest.CaptureFixture[str]) -> None:
    def warning(**_: Any) -> None:
        warnings.warn("of a library", UserWarning, stacklevel=2)

    with pytest.warns(UserWarning, match="of a library"):
        assert run(warning, []) == 0
    assert capsys.readouterr().err == ""


def test_many_problems_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    data = replace(sample(), problems=tuple(Problem(f"fault {n}", "f.csv", n + 1) for n in range(8)))
    show_problems(data)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "warning: f.csv:1: fault 0"
    assert lines[-1] == "warning: … and 3 more; `textrec data info` lists them all"
    assert len(lines) == 6


def test_errors_with_many_lines_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--ngrams", "9", "--min-items", "0"]) == 2
    assert capsys.readouterr().err == (
        "error: ngrams must be from 1 to 2, got 9\n       min_items must be at least 1, got 0\n"
    )


def test_threads_reach_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    set_threads(None)
    code = (
        "import os\nfrom textrec.cli.running import set_threads\nset_threads(1)\n"
        "import numpy, threadpoolctl, torch\nnumpy.ones((2, 2)) @ numpy.ones((2, 2))\n"
        "assert all(pool['num_threads'] == 1 for pool in threadpoolctl.threadpool_info())\n"
        "assert torch.get_num_threads() == 1\nset_threads(2)\nassert torch.get_num_threads() == 2"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_bad_threads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "sample", "--threads", "0"]) == 2
    assert "--threads" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234, "1,234"), (0.37712, "0.3771"), (1234.56, "1,234.6"), (None, "–"), (float("nan"), "–"), ("x", "x")],
)
def test_numbers_for_people(value: Any, shown: str) -> None:
    assert number(value) == shown


def test_json_has_no_nan() -> None:
    found = json_text({"a": [float("nan"), (1.0, float("inf"))], "b": "é"})
    assert json.loads(found) == {"a": [None, [1.0, None]], "b": "é"}
    assert "é" in found


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old", encoding="utf-8")

    def fail() -> None:
        with staged(path) as place:
            place.write_text("half", encoding="utf-8")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_stream_keeps_its_error_and_writes_nothing(tmp_path: Path) -> None:
    def frames() -> Any:
        yield pl.DataFrame({"a": [1]})
        raise ValueError("scores went bad")

    with pytest.raises(ValueError, match="scores went bad"):
        write_frames(tmp_path / "x.parquet", {"a": pl.Int64}, frames())
    assert list(tmp_path.iterdir()) == []


def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with spinner("waiting"):
        pass
    assert list(counted("counting", [[1], [2, 3]], 3, len)) == [[1], [2, 3]]
    epoch = {"event": "epoch", "epoch": 1, "epochs": 2, "loss": 3.5, "recall@50": 0.4, "documents_per_second": 10.0}
    with monitored("training", tmp_path / "log.jsonl") as monitor:
        monitor({"event": "step", "epoch": 1, "done": 1, "total": 2})
        monitor(epoch)
        monitor({"event": "step", "epoch": 2, "done": 1, "total": 2})
    assert capsys.readouterr() == ("", "")
    assert json.loads((tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()[1]) == epoch
