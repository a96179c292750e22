"""The house: imports go down the floors only, modules stay short, and the command line starts without torch."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "textrec"
MAX_LINES = 300

# From the ground up: floor → its rooms from the first to the last. A room that is not named here stands after those
# that are, and does not know the other ones that are not.
FLOORS: dict[str, tuple[str, ...]] = {
    "ground": ("errors", "folders", "config", "text", "dataset", "registry"),
    "data": (
        *("files", "corpus", "columns", "tables", "latex", "index_files", "citeulike", "catalogue"),
        *("sample", "statistics", "columnar", "columnar_writer", "source"),
    ),
    "protocol": ("folds", "dealing", "split_files", "splits", "ranking", "metrics"),
    "learn": (
        *(
            "memory",
            "tensors",
            "group",
            "squared_loss",
            "factors",
            "vector_files",
            "word_vectors",
            "representations",
            "reasons",
            "selection",
            "model",
            "lists",
            "recommender",
        ),
        *("batches", "checkpoints", "packed_gru", "encoders", "losses", "ranking_losses", "neighbours", "tags"),
        *("shared", "alternation", "rates", "averaging", "objective", "exact", "paper", "training", "language_model"),
        *("pretrained", "pieces", "features", "transformer", "vector_cache", "sentence_vectors", "kernel_ridge"),
        *("fine_tuning", "joined", "blending"),
    ),
    "models": (
        *("ngrams", "tfidf", "item_similarity", "topics", "proportions", "solved", "factor_model", "topic_reader"),
        *("neural_config", "stopping", "encoded", "neural", "gru", "members", "text_kernel", "liked_items"),
    ),
    "study": (
        *("evaluation", "cells", "grid", "breakdown", "text_changes", "store", "runner", "workers"),
        *("adoption", "verification", "experiment"),
        *("paper", "results", "figures", "document", "sections", "paper_tables", "report"),
        *("search_space", "search"),
    ),
    "retrieval": ("top_products", "cells", "graph", "index", "everyone"),
    "roof": ("explanation", "heatmap", "model_folder"),
    "cluster": ("session", "processes", "member", "training", "blocks", "using"),
    "serve": (
        *("limits", "problems", "storage", "items", "live", "service", "metrics", "guard", "gate"),
        *("requests", "responses", "routes", "page", "app", "connection", "running"),
    ),
    "cli": ("output", "progress", "flags", "options", "running", "listing", "evaluate", "train", "watching"),
}
FOLDERS = {path.parent.name for path in ROOT.glob("*/__init__.py")}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def place(module: str) -> tuple[int, int, str]:
    """Height of the floor, place of the room on it, and the room's name."""
    parts = module.split(".")[1:]
    if parts[0] in FOLDERS:
        floor, room = parts[0], ".".join(parts[1:])
    else:
        floor, room = "ground" if parts[0] in FLOORS["ground"] else "roof", parts[0]
    assert floor in FLOORS, (
        f"{module}: the floor {floor!r} has no height yet; add it to FLOORS in {Path(__file__).name}"
    )
    rooms = FLOORS[floor]
    # the folder's own __init__ gathers its rooms, so it stands last
    number = len(rooms) + 1 if not room else rooms.index(room) if room in rooms else len(rooms)
    return list(FLOORS).index(floor), number, room


def statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports, inside functions too, but those for the type checker only."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        for node in tree.orelse:
            yield from statements(node)
        return
    if isinstance(tree, ast.Import | ast.ImportFrom):
        yield tree
    for child in ast.iter_child_nodes(tree):
        yield from statements(child)


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each thing of textrec that a module imports: a module, or the package's own name."""
    for statement in statements(ast.parse(source)):
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        else:
            assert statement.level == 0, f"line {statement.lineno}: import by the full name, not relatively"
            base = statement.module or ""
            names = [name if (name := f"{base}.{alias.name}") in MODULES else base for alias in statement.names]
            if base == "textrec":
                names = [f"{base}.{alias.name}" for alias in statement.names]
        yield from ((statement.lineno, name) for name in names if name.split(".")[0] == "textrec")


def faults(module: str, source: str) -> list[str]:
    height, number, room = place(module)
    found = []
    for line, target in imported(source):
        if target == "textrec.__version__":
            continue
        here = f"{module}:{line}"
        if target not in MODULES:
            found.append(f"{here} imports {target}: import it from the module it lives in")
            continue
        target_height, target_number, target_room = place(target)
        floor, target_floor = list(FLOORS)[height], list(FLOORS)[target_height]
        if target_height > height:
            found.append(f"{here} imports {target}, but {floor} stands below {target_floor}")
        elif target_height == height and target_number == number and target_room != room:
            found.append(f"{here} imports {target}: give one of the two a place among the rooms of {floor} in FLOORS")
        elif target_height == height and target_number > number:
            found.append(f"{here} imports {target}, a later room of {floor}; see FLOORS in {Path(__file__).name}")
    return found


@pytest.mark.parametrize("module", [module for module in MODULES if module != "textrec"])
def test_imports_go_down(module: str) -> None:
    found = faults(module, MODULES[module].read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("textrec.text", "from textrec.dataset import Dataset", "a later room of ground"),
        (
            "textrec.data.tables",
            "def f():\n    from textrec.protocol.splits import split",
            "data stands below protocol",
        ),
        ("textrec.data.files", "from textrec.data import tables", "a later room of data"),
        ("textrec.learn.tensors", "import textrec.models.neural", "learn stands below models"),
        ("textrec.models.embed", "from textrec.models.baselines import X", "give one of the two a place"),
        ("textrec.learn.recommender", "from textrec import load", "import it from the module it lives in"),
        ("textrec.study.evaluation", "from textrec.model_folder import load", "study stands below roof"),
        ("textrec.errors", "if TYPE_CHECKING:\n    pass\nelse:\n    import textrec.text", "a later room of ground"),
        ("textrec.text", "from textrec import __version__\nfrom textrec.errors import ArgumentError", None),
        ("textrec.text", "if TYPE_CHECKING:\n    from textrec.models.embed import EmbedModel", None),
        ("textrec.models.baselines", "from textrec.models.ngrams import ngram_counts", None),
        ("textrec.cli", "from textrec.cli.train import train", None),
    ],
)
def test_the_rule_itself(module: str, source: str, said: str | None) -> None:
    found = faults(module, source)
    assert (said in found[0] if found else False) if said else not found


def test_relative_imports_are_refused() -> None:
    with pytest.raises(AssertionError, match="line 1: import by the full name"):
        faults("textrec.text", "from . import errors")


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_short(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{module} has {lines} lines, more than {MAX_LINES}: take out what stands by itself"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8"))), f"{module} has no docstring"


def name_order(name: str) -> tuple[int, str]:
    """Constants, classes, functions, each by alphabet: the order that `ruff check --fix` makes (RUF022)."""
    return (0 if len(name) > 1 and name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_sorted_and_there(module: str) -> None:
    found = importlib.import_module(module)
    source = MODULES[module].read_text(encoding="utf-8")
    public = list(getattr(found, "__all__", []))
    assert public == sorted(set(public), key=name_order), f"{module}.__all__ is not sorted"
    assert public or source.count("\n") < 5, f"{module} has no __all__"
    for name in public:
        assert hasattr(found, name), f"{module}.__all__ names {name!r}, which is not there"


def test_the_package_imports_lazily_and_names_what_it_lacks() -> None:
    package = importlib.import_module("textrec")
    with pytest.raises(AttributeError, match="module 'textrec' has no attribute 'reed'; it has Config, Dataset"):
        package.reed  # noqa: B018
    assert package.Dataset is importlib.import_module("textrec.dataset").Dataset


def loaded_by(code: str, *packages: str) -> list[str]:
    """Those of the packages that a fresh interpreter holds after running the code."""
    script = f"import sys\n{code}\nprint('\\nloaded:', *(name for name in {packages!r} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.rpartition("\nloaded:")[2].split()


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["data", "info", "sample"], ["--version"]])
def test_the_command_line_starts_without_torch(arguments: list[str]) -> None:
    code = (
        "from textrec.cli import main\n"
        f"sys.argv = {['textrec', *arguments]!r}\n"
        "try:\n    code = main()\nexcept SystemExit as stop:\n    code = stop.code\n"
        "assert not code, code"
    )
    assert loaded_by(code, "torch") == []


def test_importing_the_package_costs_nothing() -> None:
    assert loaded_by("import textrec", "torch", "numpy", "polars", "scipy", "sklearn") == []


@pytest.mark.parametrize("floor", ["data", "protocol"])
def test_data_and_protocol_never_import_torch(floor: str) -> None:
    rooms = [module for module in MODULES if module.startswith(f"textrec.{floor}")]
    assert loaded_by(f"import {', '.join(rooms)}", "torch", "sklearn", "matplotlib") == []
