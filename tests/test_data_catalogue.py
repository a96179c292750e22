"""The catalogue: fetching from a server on loopback, verifying, caching, and failing usefully."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from textrec.data import catalogue
from textrec.data.catalogue import CATALOGUE, Entry, blob_id, cache_folder, fetch
from textrec.errors import ArgumentError, DataError

CONTENT = {"users.dat": b"1 0\n", "tags.dat": b"net"}


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, *_: object) -> None:
        """Silent: the test looks at `asked`."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve the data set "tiny"; yields the paths that were asked for."""
    root = tmp_path / "served" / "me" / "tiny" / "c0ffee"
    root.mkdir(parents=True)
    for name, content in CONTENT.items():
        (root / name).write_bytes(content)
    paths: list[str] = []
    handler = type("Recording", (Handler,), {"asked": paths})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=tmp_path / "served")) as server:
        monkeypatch.setattr(
            catalogue, "URL", f"http://127.0.0.1:{server.server_port}/{{repository}}/{{commit}}/{{file}}"
        )
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        entry = Entry("me/tiny", "c0ffee", {name: git_id(content) for name, content in CONTENT.items()})
        monkeypatch.setitem(CATALOGUE, "tiny", entry)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield paths
        server.shutdown()
        thread.join()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_blob_id_is_gits(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"test content\n")
    assert blob_id(tmp_path / "f") == "d670460b4b4aece5915caf5c68d12f560a9fe3e4"  # from the Git book


def test_fetch_then_cached(tmp_path: Path, asked: list[str]) -> None:
    told: list[str] = []
    folder = fetch("tiny", cache_dir=tmp_path / "cache", progress=told.append)
    assert folder == tmp_path / "cache" / "tiny"
    assert files(folder) == CONTENT
    assert told == ["users.dat", "tags.dat"]
    assert asked == ["/me/tiny/c0ffee/users.dat", "/me/tiny/c0ffee/tags.dat"]
    fetch("tiny", cache_dir=tmp_path / "cache")
    assert len(asked) == 2


def test_only_what_is_damaged_is_fetched_again(tmp_path: Path, asked: list[str]) -> None:
    folder = fetch("tiny", cache_dir=tmp_path)
    (folder / "tags.dat").write_bytes(b"ne")
    del asked[:]
    fetch("tiny", cache_dir=tmp_path)
    assert asked == ["/me/tiny/c0ffee/tags.dat"]
    assert files(folder) == CONTENT


def test_wrong_content_is_not_kept(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "served" / "me" / "tiny" / "c0ffee" / "tags.dat").write_bytes(b"forged")
    pattern = (
        rf"tags\.dat: fetched a file with git blob id {git_id(b'forged')}, expected {git_id(b'net')}; it was not kept"
    )
    with pytest.raises(DataError, match=pattern):
        fetch("tiny", cache_dir=tmp_path / "cache")
    assert files(tmp_path / "cache" / "tiny") == {"users.dat": CONTENT["users.dat"]}
    assert len(asked) == 2


def test_a_file_the_server_lacks(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "served" / "me" / "tiny" / "c0ffee" / "users.dat").unlink()
    with pytest.raises(DataError, match=r"could not fetch http.*users\.dat \(HTTPError\)"):
        fetch("tiny", cache_dir=tmp_path / "cache")
    assert files(tmp_path / "cache" / "tiny") == {}
    assert len(asked) == 1


def test_offline_says_which_files_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(catalogue, "URL", "http://127.0.0.1:9/{repository}/{commit}/{file}")
    with pytest.raises(DataError) as raised:
        fetch("citeulike-t", cache_dir=tmp_path)
    said = str(raised.value)
    assert "could not fetch http://127.0.0.1:9/js05212/citeulike-t/4f103c6e" in said
    assert f"into {tmp_path / 'citeulike-t'}: rawtext.dat, mult.dat, users.dat" in said
    assert "or set TEXTREC_DATA to a folder that has them in a subfolder citeulike-t" in said


def test_unknown_name() -> None:
    with pytest.raises(ArgumentError, match="unknown data set 'movies'; the catalogue has citeulike-a, citeulike-t"):
        fetch("movies")


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot make the cache folder .*; set TEXTREC_CACHE"):
        fetch("citeulike-a", cache_dir=tmp_path / "file")


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTREC_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert cache_folder("elsewhere") == Path("elsewhere")
    monkeypatch.delenv("TEXTREC_CACHE")
    assert cache_folder().name == "textrec"


def test_entries_are_pinned() -> None:
    for entry in CATALOGUE.values():
        assert len(entry.commit) == 40
        assert {len(identity) for identity in entry.files.values()} == {40}
    url = CATALOGUE["citeulike-a"].url("users.dat")
    assert url.startswith("https://raw.githubusercontent.com/js05212/citeulike-a/91b60392")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "folder", "same"),
    [
        ("citeulike-a", "citeulike-a-titles", ["users.dat", "item-tag.dat", "tags.dat", "citations.dat"]),
        ("citeulike-t", "citeulike-t", ["mult.dat", "users.dat", "tag-item.dat", "tags.dat", "vocabulary.dat"]),
    ],
)
def test_blob_ids_of_the_real_files(real_data: Path, name: str, folder: str, same: list[str]) -> None:
    for file in same:
        assert blob_id(real_data / folder / file) == CATALOGUE[name].files[file]
