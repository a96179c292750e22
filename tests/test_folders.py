from __future__ import annotations

from pathlib import Path

import pytest

from textrec.folders import sha256_of, staged_folder


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with staged_folder(target) as folder:
        (folder / "file").write_text("new", encoding="utf-8")
        (folder / "file").chmod(0o600)
        assert not target.exists()
    assert (target / "file").read_text(encoding="utf-8") == "new"
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "file").touch()
    for name in (".", "file"):
        assert (target / name).stat().st_mode == (tmp_path / "plain" / name).stat().st_mode
    assert [entry.name for entry in target.parent.iterdir()] == ["b"]


def test_it_replaces_an_older_one(tmp_path: Path) -> None:
    target = tmp_path / "it"
    target.mkdir()
    (target / "old").touch()
    with staged_folder(target) as folder:
        (folder / "new").touch()
    assert [entry.name for entry in target.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["it"]


def test_failing_leaves_the_older_one(tmp_path: Path) -> None:
    target = tmp_path / "it"
    target.mkdir()
    (target / "old").touch()

    def write_half() -> None:
        with staged_folder(target) as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [entry.name for entry in target.iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["it"]


def test_the_older_one_comes_back_when_the_swap_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "it"
    target.mkdir()
    (target / "old").touch()
    rename = Path.rename

    def failing(self: Path, other: Path) -> Path:
        if ".new-" in self.name:
            raise OSError("no")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="no"), staged_folder(target) as folder:
        (folder / "new").touch()
    assert [entry.name for entry in target.iterdir()] == ["old"]


def test_hash(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
