"""The HTTP service under load on loopback: recommendations a second, its own overhead, a cold text on its way in.

    python benchmarks/serve_load.py MODEL [--cold MODEL] [--seconds 15] [--name embed]

MODEL is a model folder, served by one worker in a process of its own; this process is the only client.

1. `recommend`: 8 keep-alive connections ask for users at random, for so many seconds.
2. `overhead`: one connection; the median request minus the median of the bare function in this process.
3. `cold text`: one connection posts new texts of 152 words, then asks a user for 1 item among them by tag; a text's
   time is from its POST to the answer that holds it. `--cold` names another model for this.

Writes benchmarks/results/serve.json, one entry a name, beside those that are there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from textrec.model_folder import load
from textrec.serve.service import Service
from textrec.serve.storage import Storage

RESULT = Path(__file__).parent / "results" / "serve.json"
CONNECTIONS, WORDS, COLD_TEXTS, BARE = 8, 152, 200, 400
TARGETS = {"recommend_per_second": 300, "p99_ms": 50.0, "overhead_ms": 2.0, "cold_p99_ms": 100.0}


class Connection:
    """One keep-alive HTTP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def post(self, path: str, content: Any) -> Any:
        body = json.dumps(content).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        self.writer.write(head.encode() + b"\r\n\r\n" + body)
        await self.writer.drain()
        answer = await self.reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
        assert size is not None, answer
        payload = await self.reader.readexactly(int(size.group(1)))
        assert answer.startswith(b"HTTP/1.1 200"), (answer, payload)
        return json.loads(payload)


@contextmanager
def served(folder: Path, place: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The port of a service in a process of its own."""
    command = [sys.executable, "-c", "import sys; from textrec.cli import main; sys.exit(main())", "serve", str(folder)]
    command += ["--port", "0", "--db", f"sqlite:///{place / 'bench.db'}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert process.stdout is not None
        port = next(int(found.group(1)) for line in process.stdout if (found := re.search(r":(\d+)/", line)))
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


async def recommend_load(port: int, users: list[str], seconds: float) -> dict[str, float]:
    """Requests a second and latencies over 8 connections."""
    times: list[float] = []
    stop = time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection, rng = await Connection.open(port), np.random.default_rng(number)
        while time.perf_counter() < stop:
            user = users[int(rng.integers(len(users)))]
            start = time.perf_counter()
            found = await connection.post("/v1/recommend", {"user": user, "k": 10})
            times.append(time.perf_counter() - start)
            assert len(found["items"]) == 10

    await asyncio.gather(*(client(number) for number in range(CONNECTIONS)))
    return {"requests": len(times), "recommend_per_second": len(times) / seconds, **latencies(times)}


async def one_by_one(port: int, users: list[str]) -> list[float]:
    """Latencies of single requests, one connection."""
    connection, times = await Connection.open(port), []
    for user in users:
        start = time.perf_counter()
        await connection.post("/v1/recommend", {"user": user, "k": 10})
        times.append(time.perf_counter() - start)
    return times


async def cold_texts(port: int, user: str, vocabulary: list[str]) -> dict[str, float]:
    """From POST to recommendable."""
    connection, rng, times, posts = await Connection.open(port), np.random.default_rng(0), [], []
    for number in range(COLD_TEXTS):
        text = " ".join(vocabulary[word] for word in rng.integers(len(vocabulary), size=WORDS))
        tag = f"benchmark {number}"
        start = time.perf_counter()
        await connection.post("/v1/items", {"id": f"cold-{number}", "title": "", "text": text, "tags": [tag]})
        posts.append(time.perf_counter() - start)
        found = await connection.post("/v1/recommend", {"user": user, "k": 1, "tag": tag})
        times.append(time.perf_counter() - start)
        assert found["items"][0]["item_id"] == f"cold-{number}", found
    return {
        **{f"cold_{key}": value for key, value in latencies(times).items()},
        "post_p99_ms": latencies(posts)["p99_ms"],
    }


def latencies(times: list[float]) -> dict[str, float]:
    values = np.array(times) * 1000
    return {
        "median_ms": float(np.median(values)),
        "p99_ms": float(np.quantile(values, 0.99)),
        "max_ms": float(values.max()),
    }


def bare(service: Service, users: list[str]) -> list[float]:
    """What the request computes, without the request."""
    times = []
    for user in users:
        start = time.perf_counter()
        live = service.live
        found = service.recommend(live, user=user, liked=None, k=10)
        [(live.table.id_of(row), live.table.label(row), score) for row, score in found]
        times.append(time.perf_counter() - start)
    return times


def measure(folder: Path, cold: Path, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        service = Service(lambda: load(folder), Storage(f"sqlite:///{place / 'bare.db'}"))
        data = service.live.model.data
        users = list(data.users)
        asked = [users[row] for row in np.random.default_rng(1).integers(len(users), size=BARE)]
        with served(folder, place) as (port, _):
            asyncio.run(recommend_load(port, users, min(2.0, seconds)))  # warm
            load_figures = asyncio.run(recommend_load(port, users, seconds))
            requests = asyncio.run(one_by_one(port, asked))
        functions = bare(service, asked)
        reader = load(cold)
        words = [word for word in reader.vocabulary or () if word.isalpha()][:5000]
        (place / "bench.db").unlink()
        with served(cold, place) as (port, _):
            cold_figures = asyncio.run(cold_texts(port, reader.data.users[0], words))
    overhead = float((np.median(requests) - np.median(functions)) * 1000)
    return {
        "model": service.live.model.name,
        "data": data.name,
        "users": data.n_users,
        "items": data.n_items,
        **load_figures,
        "function_ms": float(np.median(functions) * 1000),
        "overhead_ms": overhead,
        "cold_model": reader.name,
        "cold_data": reader.data.name,
        **cold_figures,
        "connections": CONNECTIONS,
        "workers": 1,
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder to recommend from")
    parser.add_argument("--cold", type=Path, help="model folder that reads the cold texts; default MODEL")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of the load")
    parser.add_argument("--name", help="of the entry; default the model's name")
    arguments = parser.parse_args()
    found = measure(arguments.model, arguments.cold or arguments.model, min(arguments.seconds, 120.0))
    for key, value in found.items():
        target = TARGETS.get(key)
        shown = f"{value:.2f}" if isinstance(value, float) else value
        print(f"{key:22} {shown}{'' if target is None else f'   (target {target:g})'}")
    packages = ("textrec", "fastapi", "uvicorn", "torch", "numpy")
    found["machine"] = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    found["versions"] = {name: version(name) for name in packages}
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    results[arguments.name or found["model"]] = found
    RESULT.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
