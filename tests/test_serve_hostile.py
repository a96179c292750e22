"""Requests nobody should send: the service refuses them, keeps its memory and shows no foreign markup."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import socket
import struct
import time
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode

from serving import CHROMIUM, browser, needs_chromium, post, record, saved_model, served
from textrec.serve.connection import Connection
from textrec.serve.running import Address, bind

MARKUP = [
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg/onload=window.hacked=1>",
    "\"><iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "{{ 7*7 }}${window.hacked=1}",
    "javascript:window.hacked=1",
]
WORDS = [
    *(
        "",
        " ",
        "17",
        "3",
        "protein folding",
        "n1",
        "a" * 300,
        "word " * 500,
        "ß" * 50,
        "🙂",
        "\u202e",
        "\u0085",
        "\ufeff",
    ),
    *("'; DROP TABLE textrec_items; --", "1' OR '1'='1", "\x00", "\x1b[2J", "\ud800", "../../etc", "%00"),
    *MARKUP,
]
PLAIN: list[Any] = [None, True, -1, 0, 1, 10**30, 1e308, 0.5, float("nan"), float("inf"), *WORDS]
KEYS = [
    "user",
    "liked",
    "k",
    "tag",
    "items",
    "id",
    "title",
    "text",
    "tags",
    "likes",
    "item",
    "exclude_seen",
    "zz",
    "17",
]
PATHS = [f"/v1/{name}" for name in ("recommend", "items", "likes", "audience", "tags", "similar", "explain", "reload")]
TOO_DEEP = (b"[" * 100_000, b'{"user":' * 50_000, b'{"user":"17","k":' + b"9" * 6_000 + b"}")
BODY = json.dumps({"user": "17", "items": ["3"]})
HEAD = f"POST /v1/explain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}"
WHOLE = f"{HEAD}\r\n\r\n{BODY}".encode()
SHARE = 5  # one request in so many is schemathesis' own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("models"))


def strange(rng: random.Random, depth: int = 0) -> Any:
    """JSON that looks a little like a request."""
    if depth > 2 or (depth and rng.random() < 0.6):
        return rng.choice(PLAIN)
    if rng.random() < 0.3:
        return [strange(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): strange(rng, depth + 1) for _ in range(rng.randrange(5))}


def strange_body(rng: random.Random) -> bytes:
    draw = rng.random()
    if draw < 0.08:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
    if draw < 0.10:
        return rng.choice(TOO_DEEP)
    if draw < 0.11:
        return b'{"id":"huge","title":"huge","text":"' + b"x" * rng.choice([60_000, 3_900_000, 4_100_000]) + b'"}'
    body = strange(rng)
    if isinstance(body, dict) and draw < 0.5:
        body |= {"user": "17"}
    elif isinstance(body, dict) and draw < 0.6:  # a text that may be taken in
        body = {"id": f"n{rng.randrange(50)}", "title": rng.choice(MARKUP), "text": rng.choice(WORDS)}
    return json.dumps(body).encode()


def strange_request(rng: random.Random) -> tuple[str, str, bytes | None]:
    if rng.random() < 0.8:
        return "POST", rng.choice(PATHS), strange_body(rng)
    word = urllib.parse.quote(rng.choice(WORDS).encode("utf-8", "replace"), safe=rng.choice(["", "/"]))
    method, path = rng.choice(
        [
            ("GET", f"/v1/items/{word}"),
            ("GET", f"/v1/items/{word}/similar?k={word}"),
            ("GET", f"/v1/items?query={word}&k={rng.choice(['3', '-1', word])}"),
            ("GET", f"/v1/users?query={word}&k=5"),
            ("GET", f"/v1/users/{word}"),
            ("DELETE", f"/v1/items/{word}"),
            ("GET", f"/{word}"),
            ("PUT", "/v1/items"),
            ("PATCH", f"/static/{word}"),
        ]
    )
    return method, path, None


class Sender:
    """One keep-alive connection; what was closed opens again."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def __call__(self, method: str, path: str, body: bytes | None) -> tuple[int, str, bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.headers["content-type"] or "", answer.read()


def cut_short(rng: random.Random, port: int) -> bytes:
    """A request that ends too early, or whose client stops sending or goes away; what came back."""
    sent = WHOLE if rng.random() < 0.2 else WHOLE[: rng.randrange(len(WHOLE))]
    if rng.random() < 0.2:
        sent = bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    return exchange(port, sent, gone=rng.random() < 0.3)


def exchange(port: int, sent: bytes, *, gone: bool = False) -> bytes:
    """Send, close the sending half (`gone`: reset the connection), read to the end."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(sent)
        if gone:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return answer
        with contextlib.suppress(OSError):  # reset, because not all was read
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answer += part
    return answer


def by_schema(operation: Any, mode: GenerationMode, url: str, count: int) -> int:
    """Requests that schemathesis makes from the OpenAPI, answers checked against it; how many were sent."""
    sent = 0

    @seed(0)
    @settings(max_examples=count, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(operation.as_strategy(mode))
    def ask(case: Any) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(base_url=url)

    ask()
    return sent


def resident(pid: int) -> float:
    """MB of memory that a process holds."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("resident memory is read from /proc")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("requests", [300, pytest.param(10_000, marks=pytest.mark.soak)])
@pytest.mark.filterwarnings("ignore")
def test_bad_requests_never_break_it(requests: int, folder: Path, tmp_path: Path) -> None:
    rng, rounds = random.Random(0), 5
    database = f"sqlite:///{tmp_path / 'hostile.db'}"
    with served(folder, database) as (url, port, process), Sender(port) as send:
        schema = schemathesis.openapi.from_url(f"{url}openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        pairs = [(one, mode) for one in operations for mode in GenerationMode if can_be(one, mode)]
        sizes, statuses = [], Counter[int]()
        start, by_openapi = time.perf_counter(), 0
        for turn in range(rounds):
            sent = 0
            for operation, mode in pairs[turn::rounds]:
                sent += by_schema(operation, mode, url, max(2, requests // SHARE // len(pairs)))
            by_openapi += sent
            send.connection.close()  # it was idle, so the service may have closed it
            for _ in range(requests // rounds - sent):
                if rng.random() < 0.08:
                    answer = cut_short(rng, port)
                    assert not answer.startswith(b"HTTP/1.1 5"), answer
                    continue
                method, path, body = strange_request(rng)
                status, kind, content = send(method, path, body)
                assert status < 500, (method, path, body, content)
                assert kind.startswith("application/problem+json") or status < 400, (method, path, status, kind)
                statuses[status] += 1
            sizes.append(resident(process.pid))
        assert post(port, "/v1/recommend", {"user": "17"}) == 200
        growth = max(sizes[1:]) - sizes[0]
        assert growth < 50, sizes
        assert {200, 400, 404, 422} <= set(statuses), statuses
        if CHROMIUM and requests > 1_000:  # `test_no_text_becomes_markup` is the short form
            store_markup(port)
            look_for_markup(url)
    figures = {
        "by_openapi": by_openapi,
        "statuses": statuses,
        "resident_mb": sizes,
        "seconds": time.perf_counter() - start,
    }
    record("bad_requests", {"requests": requests, "growth_mb_after_first_fifth": growth, **figures})


def can_be(operation: Any, mode: GenerationMode) -> bool:
    """Whether such requests exist: one without parameters cannot be wrong."""
    return mode == GenerationMode.POSITIVE or bool(operation.body) or any(True for _ in operation.iter_parameters())


def store_markup(port: int) -> None:
    for number, markup in enumerate(MARKUP):
        item = {"id": f"{markup}{number}", "title": f"{markup} {number}", "text": markup * 2, "tags": [markup]}
        assert post(port, "/v1/items", item) == 200
        assert post(port, "/v1/likes", {"likes": [{"user": markup, "item": item["id"]}]}) == 200


def look_for_markup(url: str) -> None:
    """Open everything the page shows of the hostile texts and see that they stay texts."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    with browser() as driver:

        def wait(selector: str) -> list[Any]:
            return WebDriverWait(driver, 40, ignored_exceptions=[Exception]).until(
                lambda driver: driver.find_elements(By.CSS_SELECTOR, selector)
            )

        def clean() -> None:
            assert driver.execute_script("return window.hacked") is None
            found = "main script, main img, main svg, main iframe, main [onerror], main [onload], main b"
            assert not driver.find_elements(By.CSS_SELECTOR, found)
            assert driver.title.startswith("textrec")

        for query in ("hacked", "onerror", "iframe", "7*7"):
            driver.get(url)
            driver.find_element(By.ID, "tab-catalogue").click()
            driver.find_element(By.ID, "query").send_keys(query)
            found = wait("#search-results [data-item]")
            assert query in driver.find_element(By.ID, "search-results").text
            clean()
            found[0].click()
            wait("#search-results article .facts")
            clean()
        driver.get(url)
        driver.find_element(By.CSS_SELECTOR, "input[value=new]").click()
        driver.find_element(By.ID, "liked").send_keys("window hacked script\n\niframe srcdoc img onerror")
        driver.find_element(By.CSS_SELECTOR, "#reader-form .primary").click()
        wait("#reader-results .card mark")
        clean()


@needs_chromium
@pytest.mark.filterwarnings("ignore")
def test_no_text_becomes_markup(folder: Path, tmp_path: Path) -> None:
    with served(folder, f"sqlite:///{tmp_path / 'markup.db'}") as (url, port, _):
        store_markup(port)
        look_for_markup(url)


def test_a_client_that_stops_sending_still_gets_its_answer(folder: Path, tmp_path: Path) -> None:
    with served(folder, f"sqlite:///{tmp_path / 'half.db'}") as (_, port, _):
        answer = exchange(port, WHOLE)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
        assert b'"because"' in answer
        assert exchange(port, WHOLE[:-5]) == b""
        for sent in (
            b"\x00 what?\r\n\r\n",
            WHOLE.replace(b"Length: ", b"Length: -"),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ):
            head, _, content = exchange(port, sent).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n"), (sent, head)
            assert b"content-type: application/problem+json" in head
            assert json.loads(content)["detail"] == "this is no HTTP/1.1 request that can be read"


def test_a_head_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.4)  # answering may take longer
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(port: int, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()

    async def run() -> None:
        config = uvicorn.Config(app, http=Connection, log_level="critical", lifespan="off", timeout_keep_alive=0)
        listener = bind(Address(port=0))
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        port = listener.getsockname()[1]
        whole = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert [await ask(port, sent) for sent in (b"", whole[:9], whole[:-2])] == [b""] * 3
        assert (await ask(port, whole)).startswith(b"HTTP/1.1 204")
        assert (await ask(port, whole + whole[:9])).count(b"HTTP/1.1 204") == 1
        server.should_exit = True
        await serving

    monkeypatch.setattr(Connection, "seconds", 0.2)
    asyncio.run(run())
