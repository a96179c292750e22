"""The documentation: the tutorial runs, the commands of the how-to exist, the site builds strictly and stands alone."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

import textrec
from textrec.cli import app, main
from textrec.registry import MODELS, model_class

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


class Code(NamedTuple):
    language: str
    title: str
    text: str


def code_blocks(path: Path) -> list[Code]:
    fence = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
    return [Code(*found) for found in fence.findall(path.read_text(encoding="utf-8"))]


def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    said = ""
    for block in code_blocks(DOCS / "tutorial.md"):
        if block.title:
            (tmp_path / block.title).parent.mkdir(exist_ok=True)
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "bash":
            capsys.readouterr()
            for line in block.text.splitlines():
                command, *arguments = shlex.split(line, comments=True)
                assert command == "textrec"
                assert main(arguments) == 0, line
            said = capsys.readouterr().out
        elif block.language == "python":
            exec(block.text, names)  # noqa: S102 — our own page
        else:
            assert block.language == "text", f"a block of {block.language} without a title would not be tested"
            assert block.text == said
    assert (tmp_path / "report" / "report.html").is_file()
    assert (tmp_path / "recommendations.parquet").is_file()


def commands() -> dict[str, Any]:
    root: Any = typer.main.get_command(app)
    found = {name: command for name, command in root.commands.items() if name != "data"}
    return found | {f"data {name}": command for name, command in root.commands["data"].commands.items()}


def options_of(command: Any) -> set[str]:
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    fields = {name for model in MODELS for name in typing.get_type_hints(model_class(model).config_type)}
    return own | {f"--{name.replace('_', '-')}" for name in fields}


def test_the_how_to_names_every_command_and_only_options_that_exist() -> None:
    known = commands()
    shown = set()
    for block in code_blocks(DOCS / "howto.md"):
        for line in block.text.splitlines() if not block.language else ():
            _, name, *rest = shlex.split(line, comments=True)
            name = f"{name} {rest.pop(0)}" if name == "data" else name
            shown.add(name)
            wrong = [word for word in rest if word.startswith("-") and word not in options_of(known[name])]
            assert not wrong, line
    undescribed = {"demo", "cluster", "serve", "user"}  # two of them have pages of their own
    assert set(known) - shown <= undescribed, "docs/howto.md lacks a command"


def test_the_reference_has_every_public_name_and_every_model() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    stated = set(re.findall(r"^::: (\S+)", text, re.MULTILINE))
    assert {place.partition(":")[0] for place in MODELS.values()} <= stated
    for name in set(textrec.__all__) - {"__version__"}:
        thing = getattr(textrec, name)
        assert stated & {thing.__module__, f"{thing.__module__}.{thing.__qualname__}"}, name


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = sorted((tmp_path / "site").glob("*.html"))
    assert {"index.html", "tutorial.html", "howto.html", "models.html", "results.html", "api.html", "log.html"} <= {
        page.name for page in pages
    }
    for page in pages:
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"', page.read_text(encoding="utf-8"))
        loaded += re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="([^"]+)"', page.read_text(encoding="utf-8"))
        assert loaded
        assert not [target for target in loaded if re.match(r"(https?:)?//", target)], page.name
    reference = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    for name in ("textrec.data.source.read", "textrec.learn.recommender.Recommender.recommend"):
        assert f'id="{name}"' in reference
