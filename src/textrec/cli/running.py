"""How every command runs: threads, errors to exit codes, warnings counted, problems of the data shown."""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from textrec.errors import ArgumentError, TextrecError, TextrecWarning

if TYPE_CHECKING:
    from textrec.dataset import Dataset
    from textrec.learn.recommender import Recommender

__all__ = ["load_model", "note", "read_data", "run", "set_threads", "shared_by", "show_problems", "warn"]

BAD_INPUT, STOPPED = 2, 130
SHOWN_WARNINGS = 5

_UsageFault: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
"""Base of what the command line parser raises; typer exports only its subclass."""


def run(app: Callable[..., Any], argv: Sequence[str] | None) -> int:
    """Run the command line; the exit code is 0, 2 for bad input, 130 after Ctrl-C, 1 for a bug or a closed pipe."""
    with _counted_warnings():
        code, message = _attempt(app, argv)
    if message:
        first, *others = message.split("\n")
        _stderr("\n".join([f"error: {first}", *(f"       {line}" for line in others)]))
    return code


def _attempt(app: Callable[..., Any], argv: Sequence[str] | None) -> tuple[int, str]:
    try:
        code = app(args=argv, prog_name="textrec", standalone_mode=False)
    except TextrecError as error:
        return BAD_INPUT, str(error)
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        return BAD_INPUT, f"{error.filename or 'file system'}: {error.strerror or error}"
    except _UsageFault as fault:
        return _usage(fault)
    if code == STOPPED:
        _stderr("stopped by Ctrl-C")
    return (code if isinstance(code, int) else 0), ""


def _usage(fault: Any) -> tuple[int, str]:
    if type(fault).__name__ == "NoArgsIsHelpError":
        fault.show()
        return BAD_INPUT, ""
    said = fault.format_message().rstrip(".")
    context = getattr(fault, "ctx", None)
    place = f" (textrec {context.info_name} --help)" if context is not None and context.parent is not None else ""
    return BAD_INPUT, said[:1].lower() + said[1:] + place


def _stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def warn(message: str) -> None:
    """A warning that is known here and now."""
    _stderr(f"warning: {message}")


def note(message: str) -> None:
    """A remark for people, on stderr."""
    _stderr(message)


@contextmanager
def _counted_warnings() -> Iterator[None]:
    """Textrec's warnings, each said once with its count; other libraries' warnings go their own way."""
    counts: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("always", TextrecWarning)
        before = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, TextrecWarning):
                counts[str(message)] += 1
            else:
                before(message, category, *place, **more)

        warnings.showwarning = show
        try:
            yield
        finally:
            for message, count in counts.items():
                warn(f"{message} ({count:,} times)" if count > 1 else message)


def set_threads(threads: int | None) -> None:
    """Limit the threads of every numerical library, the ones imported later too; None leaves them all cores."""
    if threads is None:
        return
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def read_data(
    data: str | None,
    likes: Any,
    items: Any,
    min_rating: float | None,
    strict: bool,
    encoding: str,
    *,
    quiet: bool = False,
) -> Dataset:
    """The data set that the shared options describe; its problems are shown unless `quiet`."""
    from textrec.data.source import read

    if data is None and (likes is None or items is None):
        raise ArgumentError("no data: give the folder or name DATA, or both --likes FILE and --items FILE")
    if data is not None and (likes is not None or items is not None):
        raise ArgumentError("give either DATA, or --likes FILE and --items FILE, not both")
    dataset = read(data, likes=likes, items=items, min_rating=min_rating, strict=strict, encoding=encoding)
    if not quiet:
        show_problems(dataset)
    return dataset


def show_problems(dataset: Dataset, shown: int = SHOWN_WARNINGS) -> None:
    """The warnings of reading: the first few, then how many more."""
    for problem in dataset.problems[:shown]:
        warn(str(problem))
    rest = len(dataset.problems) - shown
    if rest > 0:
        warn(f"… and {rest:,} more; `textrec data info` lists them all")


def shared_by(cluster: str | None, workers: int | None, threads: int | None) -> dict[str, Any] | None:
    """The arguments of what `textrec.cluster` does, None without --cluster.

    Raises:
        ArgumentError: no address of a cluster, or --workers without one.
        MissingExtraError: Ray is not installed.
    """
    if cluster is None:
        if workers is not None:
            raise ArgumentError("--workers needs --cluster, such as --cluster local")
        return None
    from textrec.cluster.session import check_address

    check_address(cluster)
    return {"cluster": cluster, "workers": workers or 2, "threads": threads or 1}


def load_model(folder: Any, *, device: str, threads: int | None) -> Recommender:
    """A trained model."""
    set_threads(threads)
    from textrec.model_folder import load

    return load(folder, device=device)
