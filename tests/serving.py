"""The service as a process, and a browser to look at its page: what several test files need."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from textrec.data.sample import sample
from textrec.model_folder import save
from textrec.registry import create

CHROMIUM = bool(shutil.which("chromium") and shutil.which("chromedriver"))
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="the page needs Debian's chromium and chromium-driver")

COMMAND = [sys.executable, "-c", "import sys; from textrec.cli import main; sys.exit(main())", "serve"]


@contextmanager
def served(folder: Path, database: str) -> Iterator[tuple[str, int, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [*COMMAND, str(folder), "--port", "0", "--db", database], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        url = next(found.group() for line in lines if (found := re.search(r"http://\S+", line)))
        yield url, int(url.split(":")[2].strip("/")), process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        process.stdout.close()


def ask(port: int, method: str, path: str, content: Any = None) -> tuple[int, Any]:
    """Status and content, JSON or text, of one request on a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        body = None if content is None else json.dumps(content)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = answer.read().decode()
        return answer.status, json.loads(found) if "json" in answer.headers["content-type"] else found


def post(port: int, path: str, content: Any) -> int:
    return ask(port, "POST", path, content)[0]


def get(port: int, path: str) -> Any:
    status, found = ask(port, "GET", path)
    assert status == 200, found
    return found


def record(name: str, figures: dict[str, Any]) -> None:
    """Keep the figures of a long test in the file that $TEXTREC_RECORD names (`make soak-serve`)."""
    target = os.environ.get("TEXTREC_RECORD")
    if target:
        there = json.loads(Path(target).read_text()) if Path(target).exists() else {}
        Path(target).write_text(json.dumps(there | {name: figures}, indent=1, sort_keys=True) + "\n")


def saved_model(place: Path) -> Path:
    """The folder of a small model of the built-in sample."""
    data = sample().filtered(min_likes=0, min_tag_items=10)
    model = create("embed-mtl", {"epochs": 1, "factors": 8, "min_count": 1})
    return save(model.fit(data), place / "mtl")


@contextmanager
def browser(width: int = 1100) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={width},1000"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()
