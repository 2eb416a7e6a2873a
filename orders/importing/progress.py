"""How far a long piece of work is: a bar where somebody watches, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_SECONDS = 10.0


@contextmanager
def progress(what: str, total: int | None, stream: TextIO | None = None) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of pieces done since the last call; total None is "nobody knows"."""
    stream = stream or sys.stderr
    if stream.isatty():
        with _bar(stream) as bar:
            task = bar.add_task(what, total=total)
            yield lambda pieces: bar.update(task, advance=pieces)
    else:
        yield _lines(what, total, stream)


def _bar(stream: TextIO) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
        refresh_per_second=5,
    )


def _lines(what: str, total: int | None, stream: TextIO) -> Callable[[int], None]:
    done = 0
    last_line_at = time.monotonic()

    def advance(pieces: int) -> None:
        nonlocal done, last_line_at
        done += pieces
        if time.monotonic() - last_line_at >= LINE_EVERY_SECONDS:
            last_line_at = time.monotonic()
            print(f"{what}: {done}" + (f" of {total}" if total is not None else ""), file=stream, flush=True)

    return advance
