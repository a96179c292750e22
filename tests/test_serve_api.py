"""The HTTP API: answers, writes that last, refusals that say what to do."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from textrec.data.sample import sample
from textrec.errors import ArgumentError, DataError, ModelFolderError
from textrec.model_folder import load, save
from textrec.registry import create
from textrec.serve.app import create_app
from textrec.serve.problems import Refusal
from textrec.serve.running import Address, bind
from textrec.serve.service import Service
from textrec.serve.storage import Storage, StoredItem

TEXT = "Graph networks for protein folding"
MODELS = ["tfidf", "embed-mtl"]
KEY = "a-long-and-random-key"
POSTGRES = os.environ.get("TEXTREC_TEST_POSTGRES", "")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    data = sample().filtered(min_likes=0, min_tag_items=10)
    place = tmp_path_factory.mktemp("models")
    configs: dict[str, dict[str, Any]] = {
        "tfidf": {},
        "embed-mtl": {"epochs": 1, "factors": 8, "min_count": 1},
        "blend": {"members": ["kernel", "tfidf"], "cold_weights": [1, 1]},
    }
    return {name: save(create(name, config).fit(data), place / name) for name, config in configs.items()}


LOOP = asyncio.new_event_loop()  # one for all requests, as a server has


class Client:
    """The app without a network."""

    def __init__(self, app: Any, **headers: str) -> None:
        self.app, self.headers = app, headers
        self.loop = LOOP

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", headers=self.headers
            ) as client:
                return await client.request(method, path, **({"json": body} if body is not None else {}), **more)

        return self.loop.run_until_complete(ask())


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES else ["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database: a file, or a schema of its own in the PostgreSQL that $TEXTREC_TEST_POSTGRES names."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    name = f"textrec_test_{time.time_ns():x}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
        yield f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}options=-csearch_path%3D{name}"
        connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


@pytest.fixture(params=MODELS)
def service(request: pytest.FixtureRequest, folders: dict[str, Path], database: str) -> Iterator[Service]:
    storage = Storage(database)
    yield Service(lambda: load(folders[request.param]), storage)
    storage.close()


@pytest.fixture
def ask(service: Service) -> Client:
    return Client(create_app(service))


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, said: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert {"type", "title", "status", "detail"} <= set(content)
    assert content["status"] == status
    assert said in content["detail"]


def test_recommend_says_what_the_model_says(ask: Client, service: Service) -> None:
    model = service.live.model
    found = ok(ask("POST", "/v1/recommend", {"user": "17", "k": 7}))
    assert [item["item_id"] for item in found["items"]] == model.recommend("17", k=7)["item_id"].to_list()
    assert all(item["tags"] == ok(ask("GET", f"/v1/items/{item['item_id']}"))["tags"] for item in found["items"])
    assert any(item["tags"] for item in found["items"])
    liked = ["3", TEXT]
    found = ok(ask("POST", "/v1/recommend", {"liked": liked, "k": 5}))
    assert [item["item_id"] for item in found["items"]] == model.recommend(liked=liked, k=5)["item_id"].to_list()


def test_a_new_item_is_recommended_at_once_and_after_a_restart(service: Service, ask: Client) -> None:
    new = {"id": "n/1", "title": TEXT, "tags": ["fresh"]}
    assert ok(ask("POST", "/v1/items", new)) == {"items": [{"item_id": "n/1", "created": True}]}
    assert ok(ask("POST", "/v1/items", [new])) == {"items": [{"item_id": "n/1", "created": False}]}
    asked = {"user": "17", "tag": "fresh", "k": 3}
    first = ok(ask("POST", "/v1/recommend", asked))
    assert [item["item_id"] for item in first["items"]] == ["n/1"]
    again = Client(create_app(Service(service._load, service.storage)))
    assert ok(again("POST", "/v1/recommend", asked)) == first
    assert ok(again("GET", "/v1/items/n/1"))["source"] == "added"
    assert ok(again("GET", "/v1/items", params={"query": "protein fold", "k": 1}))["items"][0]["item_id"] == "n/1"
    assert len(ok(again("GET", "/v1/items/n/1/similar", params={"k": 2}))["items"]) == 2
    refused(ask("POST", "/v1/items", {"id": "n/1", "title": "other"}), 409, "delete it first")
    assert ok(again("DELETE", "/v1/items/n/1")) == {"status": "deleted"}
    refused(again("DELETE", "/v1/items/n/1"), 404, "unknown item 'n/1'")
    refused(again("DELETE", "/v1/items/3"), 409, "belongs to the model")


def test_likes_solve_the_user_again(service: Service, ask: Client) -> None:
    ok(ask("POST", "/v1/items", {"id": "n1", "title": TEXT}))
    best = service.live.model.recommend("17", k=1)["item_id"][0]
    likes = [{"user": "17", "item": best}, {"user": "newcomer", "item": "3"}, {"user": "newcomer", "item": "n1"}]
    assert ok(ask("POST", "/v1/likes", {"likes": likes})) == {"likes": 3, "users": ["17", "newcomer"]}
    assert best not in [item["item_id"] for item in ok(ask("POST", "/v1/recommend", {"user": "17"}))["items"]]
    own = ok(ask("POST", "/v1/recommend", {"user": "newcomer"}))["items"]
    assert own == ok(ask("POST", "/v1/recommend", {"liked": ["3", "n1"]}))["items"]
    again = Client(create_app(Service(service._load, service.storage)))
    after = ok(again("POST", "/v1/recommend", {"user": "newcomer"}))["items"]
    assert [item["item_id"] for item in after] == [item["item_id"] for item in own]
    (why,) = ok(ask("POST", "/v1/explain", {"user": "newcomer", "items": [own[0]["item_id"]]}))["explanations"]
    assert {like["item_id"] for like in why["because"]} == {"3", "n1"}
    assert sum(like["share"] for like in why["because"]) == pytest.approx(why["score"], rel=1e-3, abs=1e-5)
    assert "newcomer" not in [
        user["user_id"] for user in ok(ask("POST", "/v1/audience", {"item": "n1", "k": 400}))["users"]
    ]
    refused(ask("POST", "/v1/likes", {"likes": [{"user": "17", "item": "nothing"}]}), 404, "unknown item 'nothing'")


def test_a_blend_finds_readers_among_users_with_new_likes(folders: dict[str, Path], database: str) -> None:
    storage = Storage(database)
    ask = Client(create_app(Service(lambda: load(folders["blend"]), storage)))
    likes = [{"user": "17", "item": "3"}, {"user": "newcomer", "item": "3"}, {"user": "newcomer", "item": "5"}]
    ok(ask("POST", "/v1/likes", {"likes": likes}))
    found = ok(ask("POST", "/v1/audience", {"text": TEXT, "k": 301}))["users"]
    assert {"17", "newcomer"} <= {user["user_id"] for user in found}
    assert len(found) == 301
    storage.close()


def test_texts_find_readers_tags_and_neighbours(service: Service, ask: Client) -> None:
    model = service.live.model
    found = ok(ask("POST", "/v1/audience", {"text": TEXT, "k": 4}))["users"]
    assert [user["user_id"] for user in found] == model.audience([TEXT], k=4)["user_id"].to_list()
    found = ok(ask("POST", "/v1/similar", {"text": TEXT, "k": 4}))["items"]
    assert [item["item_id"] for item in found] == model.similar([TEXT], k=4)["similar_id"].to_list()
    answer = ask("POST", "/v1/tags", {"text": TEXT, "k": 4})
    if "tags" in model.capabilities:
        assert [tag["tag"] for tag in ok(answer)["tags"]] == model.predict_tags([TEXT], k=4)["tag"].to_list()
    else:
        refused(answer, 409, "lacks the capability 'tags'")


def test_two_clients_with_the_same_id_make_one_item(service: Service) -> None:
    made: list[bool] = []
    start = threading.Barrier(8)

    def post() -> None:
        start.wait()
        made.extend(service.add_items([StoredItem("same", TEXT, "")]))

    threads = [threading.Thread(target=post) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(made) == [False] * 7 + [True]
    assert [item.item_id for item in service.storage.items()] == ["same"]
    assert len(service.live.table.added) == 1


def test_reload_keeps_what_was_added(service: Service, ask: Client) -> None:
    ok(ask("POST", "/v1/items", {"id": "n1", "title": TEXT}))
    ok(ask("POST", "/v1/likes", {"likes": [{"user": "17", "item": "n1"}]}))
    before, asked = service.live, {"user": "17", "k": 5}
    expected = ok(ask("POST", "/v1/recommend", asked))
    assert ok(ask("POST", "/v1/reload", {})) == {"status": "reloaded"}
    assert service.live is not before
    assert ok(ask("POST", "/v1/recommend", asked)) == expected
    service._reloading.acquire()
    refused(ask("POST", "/v1/reload", {}), 409, "a reload is under way")
    service._reloading.release()

    def damaged() -> Any:
        raise ModelFolderError("/secret/place: damaged")

    service._load = damaged
    answer = ask("POST", "/v1/reload", {})
    refused(answer, 409, "the model that was there goes on")
    assert "secret" not in answer.text
    assert ok(ask("POST", "/v1/recommend", asked)) == expected


@pytest.mark.parametrize(
    ("path", "content", "status", "said"),
    [
        ("/v1/recommend", {}, 422, "give exactly one of user and liked"),
        ("/v1/recommend", {"user": "17", "k": 0}, 422, "greater than or equal to 1"),
        ("/v1/recommend", {"user": "17", "k": 501}, 422, "less than or equal to 500"),
        ("/v1/recommend", {"user": "nobody"}, 404, "unknown user 'nobody'"),
        ("/v1/recommend", {"user": "17", "surprise": 1}, 422, "Extra inputs are not permitted"),
        ("/v1/recommend", {"user": "17", "tag": "none such"}, 404, "unknown tag 'none such'"),
        ("/v1/recommend", {"liked": ["nothing"]}, 404, "unknown item 'nothing'"),
        ("/v1/items", {"id": "x"}, 422, "give a title or a text"),
        ("/v1/items", {"id": "x\n", "title": "a"}, 422, "control characters"),
        ("/v1/items", [{"id": "x", "title": "a"}, {"id": "x", "title": "b"}], 409, "stands twice in this list"),
        ("/v1/items", {"id": "x", "title": "a" * 1001}, 422, "at most 1000 characters"),
        ("/v1/items", {"id": "x", "title": "\ufeff\x85 "}, 422, "body: Value error, give a title or a text"),
        (
            "/v1/items",
            {"id": "x", "title": "a", "tags": ["b", " "]},
            422,
            "body.tags.1: Value error, must not be blank",
        ),
        ("/v1/items", [{"id": "x", "title": "a"}, {"id": "y"}], 422, "body.1: Value error, give a title or a text"),
        ("/v1/items", [], 422, "body: List should have at least 1 item"),
        ("/v1/items", "x", 422, "body: Input should be a valid dictionary"),
        ("/v1/items", {"id": "3", "title": "a"}, 409, "an id stands for one text"),
        ("/v1/audience", {"item": "3", "text": "a b"}, 422, "give either item, or title and text"),
        ("/v1/explain", {"user": "17", "items": ["3", "3"]}, 422, "items must be distinct"),
        ("/v1/explain", {"user": "17", "tag": "x", "items": ["3"]}, 422, "exactly one of user, liked and tag"),
    ],
)
def test_refusals(ask: Client, path: str, content: Any, status: int, said: str) -> None:
    refused(ask("POST", path, content), status, said)


def test_other_web_pages_are_kept_out(service: Service) -> None:
    app = create_app(service, api_key=KEY)
    ask, new = Client(app), {"id": "n1", "title": TEXT}
    refused(ask("POST", "/v1/recommend", {"user": "17"}, headers={"host": "evil.example"}), 421, "host name")
    refused(ask("POST", "/v1/recommend", {"user": "17"}, headers={"origin": "http://evil.example"}), 403, "web sites")
    refused(ask("POST", "/v1/recommend", content_type_less(), headers={"content-type": "text/plain"}), 415, "send JSON")
    refused(ask("POST", "/v1/items", new), 401, "needs the API key")
    refused(ask("DELETE", "/v1/items/n1"), 401, "needs the API key")
    ok(ask("POST", "/v1/items", new, headers={"authorization": f"Bearer {KEY}"}))
    huge = {"content-type": "application/json", "content-length": "4000001"}
    refused(ask("POST", "/v1/recommend", None, content=b"{}", headers=huge), 413, "at most 4,000,000 bytes")


def content_type_less() -> dict[str, str]:
    return {"user": "17"}


def test_what_is_served_beside(ask: Client) -> None:
    assert ok(ask("GET", "/healthz"))["status"] == "ok"
    assert ok(ask("GET", "/readyz")) == {"status": "ready"}
    ok(ask("POST", "/v1/recommend", {"user": "17"}))
    assert 'textrec_requests_total{method="POST",route="/v1/recommend",status="200"} 1.0' in ask("GET", "/metrics").text
    page = ask("GET", "/")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert ask("GET", "/static/page.js").status_code == ask("GET", "/static/page.css").status_code == 200
    refused(ask("GET", "/nowhere"), 404, "Not Found")
    refused(ask("PUT", "/v1/items", {}), 405, "Method Not Allowed")
    assert ok(ask("GET", "/v1/users", params={"query": "1", "k": 3}))["users"][0]["likes"] > 0
    assert ok(ask("GET", "/v1/users/17"))["likes"]
    assert "/v1/recommend" in ok(ask("GET", "/openapi.json"))["paths"]


def test_what_takes_too_long_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Client(create_app(service, seconds=0.2))
    monkeypatch.setattr(service, "explain", lambda *arguments, **more: time.sleep(1))
    answer = ask("POST", "/v1/explain", {"user": "17", "items": ["3"]})
    refused(answer, 503, "this took longer than 0.2 seconds; ask for less")
    assert answer.headers["retry-after"] == "5"

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"user": '
        await asyncio.sleep(1)

    answer = ask("POST", "/v1/recommend", None, content=slow(), headers={"content-type": "application/json"})
    refused(answer, 408, "the body did not arrive within 0.2 seconds")


def test_a_database_that_goes_away(service: Service, ask: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: Any) -> None:
        raise OperationalError("INSERT INTO textrec_items", {}, Exception("/secret/place is gone"))

    monkeypatch.setattr(service.storage, "add_items", gone)
    before = service.live
    answer = ask("POST", "/v1/items", {"id": "n1", "title": TEXT})
    refused(answer, 503, "the database does not answer; send it again")
    assert not {"INSERT", "secret"} & set(answer.text.replace("/", " ").split())
    assert service.live is before


def test_openapi_says_what_is_accepted_by_example(ask: Client) -> None:
    contract = ok(ask("GET", "/openapi.json"))
    examples = 0
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            names = [part["$ref"] for part in body.get("anyOf", [body]) if "$ref" in part]
            for example in [one for name in names for one in schema_of(contract, name).get("examples", [])]:
                answer = ask(method.upper(), path, example)
                assert answer.status_code in (200, 404, 409), (path, example, answer.text)
                examples += 1
    assert examples >= 10


def schema_of(contract: Any, name: str) -> Any:
    return contract["components"]["schemas"][name.rpartition("/")[2]]


def test_a_bug_shows_nothing_of_the_inside(ask: Client, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "recommend", lambda *arguments, **more: 1 / 0)
    answer = ask("POST", "/v1/recommend", {"user": "17"})
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"host": "0.0.0.0"}, "lets other machines in: set TEXTREC_API_KEY"),
        ({"host": "0.0.0.0", "api_key": KEY}, "name the hosts it goes by with --allow-host"),
        ({"api_key": "short"}, "must have at least 16 characters, got 5"),
    ],
)
def test_addresses(more: dict[str, str], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        Address(**more)  # type: ignore[arg-type]
    assert Address().hosts == ("localhost", "127.0.0.1", "::1")
    wide = Address("0.0.0.0", names=("recs.example.org",), api_key=KEY)
    assert wide.hosts == ("localhost", "127.0.0.1", "::1", "recs.example.org")


def test_a_port_that_is_taken() -> None:
    with bind(Address(port=0)) as taken, pytest.raises(ArgumentError, match=r"cannot listen on 127\.0\.0\.1 port"):
        bind(Address(port=taken.getsockname()[1]))


def test_databases_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="--db must be sqlite:///FILE or postgresql://USER@HOST/DATABASE"):
        Storage("mysql://root@localhost/x")
    with pytest.raises(DataError, match="the database cannot be opened: unable to open database file; check --db"):
        Storage(f"sqlite:///{tmp_path / 'none' / 'x.db'}")


def test_a_model_without_likes(folders: dict[str, Path], tmp_path: Path) -> None:
    bare = save(load(folders["embed-mtl"]), tmp_path / "bare", with_likes=False)
    storage = Storage(f"sqlite:///{tmp_path / 'x.db'}")
    service = Service(lambda: load(bare), storage)
    with pytest.raises(Refusal, match="saved without likes, so this user cannot be solved again"):
        service.add_likes([("17", "3")])
    refused(Client(create_app(service))("POST", "/v1/recommend", {"user": "17"}), 422, "send exclude_seen false")
    storage.close()
