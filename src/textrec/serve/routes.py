"""The routes of the API; `docs/service.md` describes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from textrec.errors import UnknownItemError
from textrec.serve import limits, requests, responses
from textrec.serve.gate import Gate
from textrec.serve.live import Live, Ranked
from textrec.serve.metrics import Metrics
from textrec.serve.problems import MEDIA_TYPE, Refusal, problem
from textrec.serve.service import Service
from textrec.serve.storage import StoredItem

__all__ = ["api"]

INLINE_ITEMS = 50_000
"""Up to so many items scoring takes a millisecond or two, less than going through another thread costs at load."""

ItemId = Annotated[str, Path(min_length=1, max_length=limits.ID_LENGTH, examples=["18"])]
Search = Annotated[str, Query(max_length=limits.QUERY_LENGTH, examples=["protein folding"])]
K = Annotated[int, Query(ge=1, le=limits.TOP, description="How many.")]

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "model": responses.ProblemOut, "content": {MEDIA_TYPE: {}}}
    for status, what in {
        400: "Not JSON.",
        401: "The API key is missing or wrong.",
        403: "Sent by another web site.",
        404: "No such item, user or tag.",
        405: "The path knows other methods.",
        408: "The body did not arrive in time.",
        409: "At odds with what is there, or with what the model can do.",
        413: "The body is too large.",
        415: "Not sent as JSON.",
        421: "Sent to another host name.",
        422: "A field is missing, unknown or out of range.",
        503: "Too many requests, or one that took too long; try again.",
    }.items()
}


def answer(content: Any, status: int = 200) -> Response:
    """JSON, as fast as it goes; answers are ours and need no second check."""
    return Response(json.dumps(content, ensure_ascii=False), status, media_type="application/json")


def api(service: Service, metrics: Metrics) -> APIRouter:
    """All routes of the API over one service."""
    router = APIRouter(responses=REFUSALS)
    reading, writing = Gate(), Gate(at_once=4)
    _add_reads(router, service, reading)
    _add_texts(router, service, reading)
    _add_items(router, service, reading, writing)
    _add_writes(router, service, writing)
    _add_health(router, service, metrics)
    return router


def _scored(live: Live, ranked: Ranked) -> list[dict[str, Any]]:
    table = live.table
    return [
        {"rank": place + 1, "item_id": table.id_of(row), "title": table.label(row), "score": score}
        for place, (row, score) in enumerate(ranked)
    ]


def _add_reads(router: APIRouter, service: Service, gate: Gate) -> None:
    @router.post("/v1/recommend", response_model=responses.Recommendations, tags=["recommend"])
    async def recommend(body: requests.RecommendRequest) -> Response:
        """The best items for a user, or for somebody who likes these ids and texts."""
        live = service.live
        more: dict[str, Any] = {"k": body.k, "exclude_seen": body.exclude_seen, "tag": body.tag}
        if body.user is not None and len(live.table) <= INLINE_ITEMS:
            found = service.recommend(live, user=body.user, liked=None, **more)
        else:
            found = await gate.run(service.recommend, live, user=body.user, liked=body.liked, **more)
        items = _scored(live, found)
        for item, (row, _) in zip(items, found, strict=True):
            item["tags"] = live.table.tags(row)
        return answer({"user": body.user, "items": items})

    @router.post("/v1/explain", response_model=responses.Explanations, tags=["recommend"])
    async def explain(body: requests.ExplainRequest) -> Response:
        """Why: the weight of every word, and each like's share of the score."""
        found = await gate.run(
            service.explain,
            service.live,
            body.items,
            body.title,
            body.text,
            user=body.user,
            liked=body.liked,
            tag=body.tag,
        )
        return answer({"explanations": [one.to_json() for one in found]})

    @router.get("/v1/users", response_model=responses.Users, tags=["users"])
    async def users(query: Search = "", k: K = 10) -> Response:
        """Users whose id begins with the query."""
        live = service.live
        names = await gate.run(_names, live, query, k)
        return answer({"users": [{"user_id": name, "likes": len(live.liked_rows(name))} for name in names]})

    @router.get("/v1/users/{user_id:path}", response_model=responses.User, tags=["users"])
    async def user(user_id: ItemId) -> Response:
        """What a user likes."""
        live = service.live
        if not live.knows_user(user_id):
            raise Refusal(404, "no such user")
        rows = live.liked_rows(user_id).tolist()
        liked = [{"item_id": live.table.id_of(row), "title": live.table.label(row)} for row in rows]
        return answer({"user_id": user_id, "likes": liked})


def _names(live: Live, query: str, k: int) -> list[str]:
    known = live.model.data.users.values
    new = [name for name in live.solved if name.startswith(query) and name not in live.model.data.users]
    return [*new, *known.filter(known.str.starts_with(query)).head(k).to_list()][:k]


def _add_texts(router: APIRouter, service: Service, gate: Gate) -> None:
    @router.post("/v1/audience", response_model=responses.Audience, tags=["texts"])
    async def audience(body: requests.AudienceRequest) -> Response:
        """The users who would want a text or an item most."""

        def find(live: Live) -> list[tuple[str, float]]:
            return live.audience(*service.item_or_text(live, body.item, body.title, body.text), body.k)

        found = await gate.run(find, service.live)
        users = [{"rank": place + 1, "user_id": user, "score": score} for place, (user, score) in enumerate(found)]
        return answer({"users": users})

    @router.post("/v1/tags", response_model=responses.Tags, tags=["texts"])
    async def tags(body: requests.TextRequest) -> Response:
        """The likeliest tags of a text or an item."""

        def find(live: Live) -> list[tuple[str, float]]:
            if body.item is None:
                return service.tags(live, body.title, body.text, body.k)
            item = _item(live, body.item)
            return service.tags(live, item.title, item.text, body.k)

        found = await gate.run(find, service.live)
        tags = [{"rank": place + 1, "tag": tag, "score": score} for place, (tag, score) in enumerate(found)]
        return answer({"tags": tags})

    @router.post("/v1/similar", response_model=responses.Neighbours, tags=["texts"])
    async def similar(body: requests.TextRequest) -> Response:
        """The items nearest to a text or an item."""
        return await _similar(service, gate, body.item, body.title, body.text, body.k)


async def _similar(service: Service, gate: Gate, item: str | None, title: str, text: str, k: int) -> Response:
    live = service.live

    def find() -> Ranked:
        return live.similar(*service.item_or_text(live, item, title, text), k)

    return answer({"items": _scored(live, await gate.run(find))})


def _add_items(router: APIRouter, service: Service, gate: Gate, writing: Gate) -> None:
    @router.get("/v1/items", response_model=responses.Items, tags=["items"])
    async def search(query: Search = "", k: K = 10) -> Response:
        """Items whose title or text holds every word of the query."""
        table = service.live.table
        rows = await gate.run(table.search, query, k)
        first = len(table.catalogue)
        found = [
            {"item_id": table.id_of(row), "title": table.label(row), "source": "added" if row >= first else "model"}
            for row in rows
        ]
        return answer({"items": found})

    @router.get("/v1/items/{item_id:path}/similar", response_model=responses.Neighbours, tags=["items"])
    async def neighbours(item_id: ItemId, k: K = 10) -> Response:
        """The items nearest to an item."""
        return await _similar(service, gate, item_id, "", "", k)

    @router.get("/v1/items/{item_id:path}", response_model=responses.Item, tags=["items"])
    async def item(item_id: ItemId) -> Response:
        """One item."""
        live = service.live
        found = _item(live, item_id)
        source = "added" if live.table.row(item_id) >= len(live.table.catalogue) else "model"
        return answer(vars(found) | {"tags": list(found.tags), "source": source})

    @router.delete("/v1/items/{item_id:path}", response_model=responses.Done, tags=["items"])
    async def delete(item_id: ItemId) -> Response:
        """Forget an added item."""
        await writing.run(service.delete_item, item_id)
        return answer({"status": "deleted"})


def _item(live: Live, item_id: str) -> StoredItem:
    row = live.table.row(item_id)
    if row < 0:
        raise UnknownItemError(item_id)
    return live.table.item(row)


def _add_writes(router: APIRouter, service: Service, gate: Gate) -> None:
    @router.post("/v1/items", response_model=responses.Stored, tags=["items"])
    async def add(body: requests.ItemOrItems) -> Response:
        """Store one item or a list: read now, recommendable at once, kept. The same item again changes nothing."""
        given: Sequence[requests.ItemIn] = body if isinstance(body, list) else [body]
        items = [StoredItem(item.id, item.title, item.text, tuple(dict.fromkeys(item.tags))) for item in given]
        created = await gate.run(service.add_items, items)
        pairs = zip(items, created, strict=True)
        return answer({"items": [{"item_id": item.item_id, "created": new} for item, new in pairs]})

    @router.post("/v1/likes", response_model=responses.Likes, tags=["users"])
    async def like(body: requests.LikesRequest) -> Response:
        """Store likes of known or new users, who are solved again."""
        likes = list(dict.fromkeys((one.user, one.item) for one in body.likes))
        await gate.run(service.add_likes, likes)
        return answer({"likes": len(likes), "users": list(dict.fromkeys(user for user, _ in likes))})

    @router.post("/v1/reload", response_model=responses.Done, tags=["service"])
    async def reload(body: requests.Nothing) -> Response:
        """Take over the model folder as it is now, without dropping a request."""
        await gate.run(service.reload)
        return answer({"status": "reloaded"})


def _add_health(router: APIRouter, service: Service, metrics: Metrics) -> None:
    checking = Gate()

    @router.get("/healthz", response_model=responses.Health, tags=["service"])
    async def healthz() -> Response:
        """Whether the process answers, and what it serves."""
        live = service.live
        data = live.model.data
        sizes = {"items": data.n_items, "added": len(live.table.added), "users": data.n_users}
        return answer({"status": "ok", "model": live.model.name, **sizes})

    @router.get("/readyz", response_model=responses.Done, tags=["service"])
    async def readyz() -> Response:
        """Whether the database answers as well."""
        if not await checking.run(service.storage.ping):
            return problem(503, "the database does not answer", headers={"Retry-After": "5"})
        return answer({"status": "ready"})

    @router.get("/metrics", tags=["service"], response_class=Response)
    async def counters() -> Response:
        """Counters in Prometheus' text format."""
        return Response(metrics.text(service), media_type="text/plain; version=0.0.4; charset=utf-8")
