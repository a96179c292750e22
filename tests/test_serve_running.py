"""The service as a process: the page in a real browser, and what is left after kill -9."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from serving import ask, browser, get, needs_chromium, post, record, saved_model, served
from textrec.cli import main
from textrec.data.sample import sample
from textrec.model_folder import save
from textrec.registry import create
from textrec.serve.storage import Storage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("models"))


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
        with served(folder, database) as (_, port, _):
            for item in rng.sample(sorted(items), min(20, len(items))):
                assert get(port, f"/v1/items/{item}")["title"] == f"text of {item}"
            for user, liked in rng.sample(sorted(likes), min(20, len(likes))):
                assert liked in [one["item_id"] for one in get(port, f"/v1/users/{user}")["likes"]]
        figures = {"kills": times, "acknowledged_items": len(items), "acknowledged_likes": len(likes), "lost": 0}
        record(f"kill_9_{database.partition(':')[0]}", figures)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_no_request_is_dropped_while_models_are_taken_over(times: int, folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    text, data = "Graph networks for protein folding", sample().filtered(min_likes=0, min_tag_items=10)
    models = [create("embed-mtl", {"epochs": 1, "factors": size, "min_count": 1}).fit(data) for size in (5, 6, 7)]
    stop, failed, answered = threading.Event(), list[Any](), Counter[str]()

    def keep_asking(number: int, port: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            for count in itertools.count():
                if stop.is_set():
                    return
                path, content = [
                    ("/v1/recommend", {"user": str(number), "k": 5}),
                    ("/v1/audience", {"item": "n1", "k": 5}),
                    ("/v1/items", {"id": f"during-{number}-{count}", "title": f"{text} {count}"}),
                ][count % (3 if count < 60 else 2)]
                try:
                    connection.request("POST", path, json.dumps(content), {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    if answer.status != 200:
                        failed.append((path, answer.status, answer.read()))
                    answer.read()
                except (OSError, http.client.HTTPException) as error:
                    failed.append((path, error))
                    return
                answered[path] += 1

    with served(place, f"sqlite:///{tmp_path / 'reload.db'}") as (_, port, process):
        assert post(port, "/v1/items", {"id": "n1", "title": text}) == 200
        clients = [threading.Thread(target=keep_asking, args=(number, port)) for number in range(4)]
        for client in clients:
            client.start()
        for turn in range(times):
            model = models[turn % len(models)]
            save(model, place)
            if turn % 2 and hasattr(signal, "SIGHUP"):
                process.send_signal(signal.SIGHUP)
            else:
                assert post(port, "/v1/reload", {}) == 200
            expected = model.audience([text], k=5)
            scores = pytest.approx(expected["score"].to_list(), rel=1e-3)
            wait_until(lambda port=port, scores=scores: audience_scores(port) == scores)
        stop.set()
        for client in clients:
            client.join()
        assert not failed, failed[:3]
        assert min(answered.values()) >= times
        added = answered["/v1/items"] + 1
        assert get(port, "/healthz")["added"] == added
        counters = get(port, "/metrics")
        assert f"textrec_reloads_total {times}.0" in counters
    record("reloads", {"reloads": times, "answered": answered.total(), "dropped": 0, "stored_items_read_again": added})


def audience_scores(port: int) -> list[float]:
    return [user["score"] for user in ask(port, "POST", "/v1/audience", {"item": "n1", "k": 5})[1]["users"]]


def wait_until(there: Callable[[], bool], seconds: float = 60.0) -> None:
    last = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < last, "it never happened"
        time.sleep(0.05)


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


@needs_chromium
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


LOOK = """
const nameless = [...document.querySelectorAll("main input, main textarea, main select, button, a")]
  .filter((one) => one.checkVisibility() && !(one.labels?.length || one.ariaLabel || one.textContent.trim()));
const over = document.documentElement.scrollWidth - innerWidth;
return {wide: Math.max(0, over), nameless: nameless.map((one) => one.outerHTML)};
"""


@needs_chromium
@pytest.mark.filterwarnings("ignore")
def test_the_page_in_every_look(folder: Path, tmp_path: Path) -> None:
    """Wide and narrow, light and dark; $TEXTREC_PICTURES keeps the pictures of $TEXTREC_PICTURES_MODEL."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    kept = os.environ.get("TEXTREC_PICTURES")
    shown = Path(os.environ.get("TEXTREC_PICTURES_MODEL") or folder)
    with served(shown, f"sqlite:///{tmp_path / 'look.db'}") as (url, _, _), browser() as driver:

        def wait(selector: str) -> Any:
            return WebDriverWait(driver, 40, ignored_exceptions=[Exception]).until(
                lambda driver: driver.find_elements(By.CSS_SELECTOR, selector)
            )

        def looked_at(name: str) -> None:
            wait("main:not(:has([aria-busy=true]))")
            assert driver.execute_script(LOOK) == {"wide": 0, "nameless": []}, name
            if kept:
                time.sleep(0.4)  # for what fades in
                driver.save_screenshot(str(Path(kept) / f"service-{name}.png"))

        for look, width, height, theme in (
            ("wide-light", 1100, 760, "light"),
            ("wide-dark", 1100, 760, "dark"),
            ("narrow-light", 390, 844, "light"),
            ("narrow-dark", 390, 844, "dark"),
        ):
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            scheme = [{"name": "prefers-color-scheme", "value": theme}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
            driver.get("about:blank")
            driver.get(f"{url}#reader=145")
            wait("#reader-results .card mark")
            looked_at(f"reader-{look}")
            driver.find_element(By.ID, "tab-reader").send_keys(Keys.ARROW_RIGHT)
            assert driver.switch_to.active_element.get_attribute("id") == "tab-text"
            driver.find_element(By.ID, "new-title").send_keys("Message passing for protein folding")
            driver.find_element(By.ID, "new-text").send_keys("Graph networks predict how proteins fold.")
            wait("#audience li")
            wait("#neighbours li")
            looked_at(f"text-{look}")
