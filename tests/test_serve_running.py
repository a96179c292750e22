"""The service as a process: the page in a real browser, and what is left after kill -9."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from textrec.cli import main
from textrec.data.sample import sample
from textrec.model_folder import save
from textrec.registry import create
from textrec.serve.storage import Storage

COMMAND = [sys.executable, "-c", "import sys; from textrec.cli import main; sys.exit(main())", "serve"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = sample().filtered(min_likes=0, min_tag_items=10)
    model = create("embed-mtl", {"epochs": 1, "factors": 8, "min_count": 1})
    return save(model.fit(data), tmp_path_factory.mktemp("models") / "mtl")


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


def post(port: int, path: str, content: Any) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, json.dumps(content), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def databases(tmp_path: Path) -> list[str]:
    named = os.environ.get("TEXTREC_TEST_POSTGRES")
    return [f"sqlite:///{tmp_path / 'kill.db'}", *([named] if named else [])]


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_kill_9_loses_nothing_that_was_acknowledged(times: int, folder: Path, tmp_path: Path) -> None:
    rng, run = random.Random(0), f"{time.time_ns():x}"
    for database in databases(tmp_path):
        items: set[str] = set()
        likes: set[tuple[str, str]] = set()
        for turn in range(times):
            with served(folder, database) as (_, port, process):

                def write(
                    number: int, turn: int = turn, port: int = port, items: Any = items, likes: Any = likes
                ) -> None:
                    for count in range(2_000):
                        pair = [f"{run}-{turn}-{number}-{count}-{part}" for part in "ab"]
                        user = f"{run}-{number}"
                        try:
                            if post(port, "/v1/items", [{"id": one, "title": f"text of {one}"} for one in pair]) == 200:
                                items.update(pair)
                            if post(port, "/v1/likes", {"likes": [{"user": user, "item": pair[0]}]}) == 200:
                                likes.add((user, pair[0]))
                        except (OSError, http.client.HTTPException):
                            return

                writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
                for writer in writers:
                    writer.start()
                time.sleep(0.3 + rng.random())
                process.kill()
                for writer in writers:
                    writer.join()
        storage = Storage(database)
        stored = {item.item_id for item in storage.items() if item.item_id.startswith(run)}
        assert items <= stored
        assert items
        assert likes <= set(storage.likes())
        assert all(one[:-1] + "ab"["ba".index(one[-1])] in stored for one in stored), "half a write is there"
        storage.close()


def test_bad_starts_are_told_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, said in (
        ([str(tmp_path / "none")], "no such model folder"),
        ([str(folder), "--host", "0.0.0.0"], "set TEXTREC_API_KEY"),
        ([str(folder), "--db", "nonsense"], "--db must be sqlite"),
    ):
        monkeypatch.chdir(tmp_path)
        assert main(["serve", *arguments]) == 2
        assert not (tmp_path / "textrec.db").exists()
        err = capsys.readouterr().err
        assert said in err
        assert "Traceback" not in err


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


@pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="the page needs Debian's chromium and chromium-driver",
)
@pytest.mark.filterwarnings("ignore")
def test_the_page(folder: Path, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    database = f"sqlite:///{tmp_path / 'page.db'}"
    markup = "<img src=x onerror=document.title='broken'><b>Zyxwv</b>"

    def wait(driver: Any, selector: str, text: str = "") -> Any:
        def there(driver: Any) -> Any:
            found = driver.find_elements(By.CSS_SELECTOR, selector)
            return found if found and text in driver.find_element(By.TAG_NAME, "main").text else None

        return WebDriverWait(driver, 40, ignored_exceptions=[Exception]).until(there)

    with browser() as driver:
        with served(folder, database) as (url, _, _):
            driver.get(url)
            driver.find_element(By.ID, "user").send_keys("17\n")
            cards = wait(driver, "#reader-results .card")
            assert len(cards) == 10
            assert wait(driver, "#reader-results mark.for")
            assert "Because of what this reader liked" in cards[0].text
            driver.find_element(By.CSS_SELECTOR, "input[value=new]").click()
            driver.find_element(By.ID, "liked").send_keys("Graph networks for protein folding")
            driver.find_element(By.CSS_SELECTOR, "#reader-form .primary").click()
            wait(driver, "#reader-results .because", "Because you liked")
            driver.find_element(By.ID, "tab-text").click()
            driver.find_element(By.ID, "new-title").send_keys(markup)
            driver.find_element(By.ID, "new-text").send_keys("Message passing on protein graphs.")
            wait(driver, "#audience li")
            wait(driver, "#predicted li")
            wait(driver, "#neighbours li")
            driver.find_element(By.ID, "new-id").send_keys("page-1")
            driver.find_element(By.CSS_SELECTOR, "#text-form .primary").click()
            wait(driver, "#search-results .card", "Added. It is recommended from now on.")
        with served(folder, database) as (url, _, _):
            driver.get(url)
            driver.find_element(By.ID, "tab-catalogue").click()
            driver.find_element(By.ID, "query").send_keys("zyxwv")
            wait(driver, "#search-results [data-item=page-1]")[0].click()
            wait(driver, "#search-results article[data-item=page-1]")
            assert markup in driver.find_element(By.TAG_NAME, "main").text
            assert not driver.find_elements(By.CSS_SELECTOR, "main img, main article b")
            assert driver.title.startswith("textrec")
            driver.get(f"{url}#reader=nobody")
            driver.refresh()
            wait(driver, "#failure:not([hidden])", "unknown user 'nobody'")
