"""The error tree, and what its members say."""

from __future__ import annotations

import inspect
import re

import pytest

from textrec import errors
from textrec.errors import (
    ArgumentError,
    CapabilityError,
    ConfigError,
    DataError,
    MissingExtraError,
    Problem,
    TextrecError,
    TextrecWarning,
    UnknownItemError,
    UnknownUserError,
)


def test_every_error_hangs_on_the_tree() -> None:
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    for kind in found:
        assert issubclass(kind, TextrecError) or kind is TextrecWarning
        assert kind.__name__ in errors.__all__
    for kind in (UnknownUserError, UnknownItemError):
        assert issubclass(kind, ArgumentError)
    assert issubclass(ArgumentError, ValueError)
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(TextrecWarning, UserWarning)


def test_the_drawing_shows_every_error() -> None:
    drawn = re.findall(r"\b\w+(?:Error|Warning)\b", errors.__doc__ or "")
    kinds = [name for name in errors.__all__ if name.endswith(("Error", "Warning"))]
    assert sorted(set(drawn) - {"ValueError"}) == sorted(kinds)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Problem("the id is empty"), "the id is empty"),
        (Problem("the id is empty", "likes.csv"), "likes.csv: the id is empty"),
        (Problem("the id is empty", "likes.csv", 7), "likes.csv:7: the id is empty"),
        (
            Problem("the id is empty", "likes.csv", 7, count=1234),
            "likes.csv:7: the id is empty (1,234 such rows, this is the first)",
        ),
    ],
)
def test_a_problem_names_its_place(problem: Problem, said: str) -> None:
    assert str(problem) == said


def test_data_errors_keep_their_problems() -> None:
    one = Problem("broken", "a.csv", 1)
    assert DataError("no data").problems == [Problem("no data")]
    assert DataError(one).problems == [one]
    assert DataError(iter([one, one])).problems == [one, one]
    with pytest.raises(DataError, match=r"^a\.csv:1: broken\nno data$"):
        raise DataError([one, Problem("no data")])


@pytest.mark.parametrize(("n", "last"), [(20, "fault 19"), (21, "… and 1 more"), (1520, "… and 1,500 more")])
def test_twenty_faults_are_shown_and_the_rest_counted(n: int, last: str) -> None:
    faults = [f"fault {number}" for number in range(n)]
    for error in (DataError([Problem(fault) for fault in faults]), ConfigError(faults)):
        lines = str(error).split("\n")
        assert lines[:20] == faults[:20]
        assert lines[-1] == last
        assert len(lines) == min(n, 21)
    assert ConfigError(faults).faults == faults
    assert ConfigError("one").faults == ["one"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnknownUserError("ann"), "unknown user 'ann': the model was not trained on this user; pass what they like"),
        (UnknownItemError("7"), "unknown item '7': it is not in the model's catalogue; pass its text as well"),
        (
            CapabilityError("popularity", "cold", ["tfidf", "gru"]),
            "model 'popularity' lacks the capability 'cold'; models that can: tfidf, gru",
        ),
        (
            CapabilityError("popularity", "cold", [], "it does not read"),
            "model 'popularity' lacks the capability 'cold' (it does not read); no installed model can",
        ),
        (MissingExtraError("gensim", "pretrain"), "this needs the package 'gensim': pip install 'textrec[pretrain]'"),
    ],
)
def test_errors_say_what_to_do(error: TextrecError, said: str) -> None:
    with pytest.raises(type(error), match=f"^{re.escape(said)}"):
        raise error
