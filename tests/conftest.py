"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Examples share two cores with other tests: a deadline would fail at random.
settings.register_profile("textrec", deadline=None)
settings.load_profile("textrec")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data named by TEXTREC_DATA; skips, saying so, when it is absent."""
    default = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("TEXTREC_DATA") or default)
    if not (folder / "citeulike-a-titles").is_dir():
        pytest.skip(f"real data is absent: {folder} has no citeulike-a-titles; set TEXTREC_DATA")
    return folder.resolve()
