"""Configurations check themselves, survive TOML, and carry their documentation."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textrec.config import Config, bounded, parse_flag
from textrec.errors import ConfigError
from textrec.registry import MODELS, model_class


@dataclass(frozen=True)
class Base(Config):
    factors: int = bounded(50, 1)
    """Size of the item and user vectors."""
    ridge: float = bounded(0.1, 0, 10)
    """Weight of the squared norms.
    Larger values mean smaller vectors."""


@dataclass(frozen=True)
class Small(Base):
    rate: float = bounded(0.003, above=0)
    """Step size."""
    offsets: Literal["last", "alternate"] = "last"
    """When the offsets are solved."""
    name: str = ""
    dropout: tuple[float, ...] = (0.1, 0.5)
    """After each layer."""
    steps: int | None = bounded(None, 1)  # type: ignore[arg-type]
    """At most; no limit when absent."""
    pool: Literal["mean", "max"] | None = None
    tags: bool = False
    """Whether tags are read."""

    def _faults(self) -> list[str]:
        return ["steps must be below factors"] if self.steps and self.steps >= self.factors else []


@dataclass(frozen=True)
class Empty(Config):
    pass


def test_defaults_and_coercion() -> None:
    made = Small(ridge=1, dropout=[0.5], rate=1)  # type: ignore[arg-type]
    assert isinstance(made.ridge, float)
    assert isinstance(made.rate, float)
    assert made.dropout == (0.5,)
    assert hash(made) == hash(Small(ridge=1.0, dropout=(0.5,), rate=1.0))
    assert made == Small.from_mapping({"ridge": 1, "dropout": [0.5], "rate": 1})
    with pytest.raises(FrozenInstanceError):
        made.factors = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("factors", 0, "factors must be at least 1, got 0"),
        ("factors", 2.5, "factors must be int, got 2.5"),
        ("factors", True, "factors must be int, got True"),
        ("factors", "50", "factors must be int, got '50'"),
        ("factors", None, "factors must be int, got None"),
        ("ridge", -0.1, "ridge must be from 0 to 10, got -0.1"),
        ("ridge", 10.5, "ridge must be from 0 to 10, got 10.5"),
        ("ridge", math.nan, "ridge must be from 0 to 10, got nan"),
        ("ridge", "much", "ridge must be float, got 'much'"),
        ("rate", 0, "rate must be above 0, got 0.0"),
        ("rate", math.nan, "rate must be above 0, got nan"),
        ("offsets", "first", "offsets must be one of 'last', 'alternate', got 'first'"),
        ("offsets", None, "offsets must be one of 'last', 'alternate', got None"),
        ("pool", "sum", "pool must be one of 'mean', 'max', got 'sum'"),
        ("name", 3, "name must be str, got 3"),
        ("dropout", 0.5, "dropout must be tuple, got 0.5"),
        ("steps", 0, "steps must be at least 1, got 0"),
        ("steps", "all", "steps must be int or NoneType, got 'all'"),
        ("tags", 1, "tags must be bool, got 1"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(field: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}$"):
        Small.from_mapping({field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("factors", 1), ("ridge", 0), ("ridge", 10), ("steps", None), ("steps", 1)]
)
def test_bounds_are_allowed_values(field: str, value: Any) -> None:
    assert getattr(Small.from_mapping({field: value}), field) == value


def test_all_faults_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        Small(factors=0, ridge=-1, offsets="never")  # type: ignore[arg-type]
    assert [fault.split()[0] for fault in raised.value.faults] == ["factors", "ridge", "offsets"]


def test_faults_between_fields_come_after_those_of_fields() -> None:
    with pytest.raises(ConfigError, match=r"^steps must be below factors$"):
        Small(factors=3, steps=3)
    with pytest.raises(ConfigError, match=r"^factors must be int, got '3'$"):
        Small.from_mapping({"factors": "3", "steps": 3})


def test_unknown_fields_are_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as raised:
        Small.from_mapping({"factor": 3, "zzz": 1, "ridge": 1})
    assert raised.value.faults[0] == "unknown field 'factor'; did you mean 'factors'?"
    assert raised.value.faults[1].startswith("unknown field 'zzz'; known fields: dropout, factors, name")
    with pytest.raises(ConfigError, match="unknown field 'factors'; known fields: none"):
        Empty.from_mapping({"factors": 3})


configs = st.builds(
    Small,
    factors=st.integers(10, 10**6),
    ridge=st.floats(0, 10),
    rate=st.floats(0, exclude_min=True, allow_infinity=False),
    offsets=st.sampled_from(["last", "alternate"]),
    name=st.text(),
    dropout=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple),
    steps=st.none() | st.integers(1, 9),
    pool=st.sampled_from([None, "mean", "max"]),
    tags=st.booleans(),
)


@settings(deadline=None)  # the machine may be busy
@given(configs)
def test_toml_round_trip(config: Small) -> None:
    assert Small.from_mapping(tomllib.loads(config.to_toml())) == config
    assert Small.from_mapping(config.to_dict()) == config
    assert Small.from_mapping(config.to_dict()).fingerprint() == config.fingerprint()


@pytest.mark.parametrize("sign", ["\x7f", '"', "\\", "\n", "\x00", "\x85", "😀", "#", "'"])
def test_toml_carries_any_character(sign: str) -> None:
    assert Small.from_mapping(tomllib.loads(Small(name=sign).to_toml())).name == sign


def test_fingerprints_tell_configurations_apart() -> None:
    assert Small().fingerprint() != Small(factors=51).fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", Small().fingerprint())


def test_toml_carries_the_documentation() -> None:
    printed = Small(name="a").to_toml()
    assert printed.startswith("# Size of the item and user vectors.\nfactors = 50\n\n# Weight of the squared norms.")
    assert '\n\nname = "a"\n\n# After each layer.\ndropout = [0.1, 0.5]\n' in printed
    assert "# At most; no limit when absent.\n# steps =\n" in printed
    assert Empty().to_toml() == "# This model has nothing to configure.\n"
    assert Empty.from_mapping(tomllib.loads(Empty().to_toml())) == Empty()


def test_documentation_is_the_literal_under_each_field() -> None:
    docs = Small.documentation()
    assert list(docs) == ["factors", "ridge", "rate", "offsets", "dropout", "steps", "tags"]
    assert docs["ridge"] == "Weight of the squared norms. Larger values mean smaller vectors."
    assert "name" not in docs
    assert Empty.documentation() == {}


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("factors = 7\nridge = 2\n", encoding="utf-8")
    assert Small.from_toml(path, ridge=3) == Small(factors=7, ridge=3.0)
    path.write_text("factors = \n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"my\.toml: not valid TOML: Invalid value \(at line 1"):
        Small.from_toml(path)
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match=r"my\.toml: not valid TOML: 'utf-8' codec"):
        Small.from_toml(path)
    with pytest.raises(ConfigError, match=r"none\.toml: no such configuration file; `textrec config --model NAME`"):
        Small.from_toml(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("factors", "7", 7),
        ("ridge", "1e-3", 0.001),
        ("tags", "true", True),
        ("dropout", "[0.1, 0.2]", [0.1, 0.2]),
        ("offsets", "alternate", "alternate"),
        ("pool", "max", "max"),
        ("name", "7", "7"),
        ("name", "[a]", "[a]"),
        ("name", "", ""),
        ("factors", "many", "many"),
        ("factors", "7\nridge = 1", "7\nridge = 1"),
    ],
)
def test_flags_are_toml_or_bare_text(field: str, text: str, value: Any) -> None:
    assert parse_flag(Small, field, text) == value


def test_bad_flags_are_explained() -> None:
    with pytest.raises(ConfigError, match="unknown field 'ridges'; did you mean 'ridge'"):
        parse_flag(Small, "ridges", "1")
    with pytest.raises(ConfigError, match="factors must be int, got 'many'"):
        Small.from_mapping({"factors": parse_flag(Small, "factors", "many")})


@pytest.mark.parametrize("name", MODELS)
def test_every_model_documents_every_field(name: str) -> None:
    kind = model_class(name).config_type
    assert list(kind.documentation()) == list(kind().to_dict())
    assert kind.from_mapping(tomllib.loads(kind().to_toml())) == kind()
