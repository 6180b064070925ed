"""Progress as a bar on a terminal, and as occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
SECONDS_PER_LINE = 10.0


@contextmanager
def progress(title: str, total: int | None, unit: str = "", done: int = 0) -> Iterator[Advance]:
    """Yield advance(n); `done` is the amount that an earlier attempt has finished."""
    if sys.stderr.isatty():
        with _bar(title, total, unit, done) as advance:
            yield advance
    else:
        with _lines(title, total, unit, done) as advance:
            yield advance


@contextmanager
def _bar(title: str, total: int | None, unit: str, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "B" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda n: bar.advance(task, n)


@contextmanager
def _lines(title: str, total: int | None, unit: str, done: int) -> Iterator[Advance]:
    count, told = done, time.monotonic()

    def advance(n: int) -> None:
        nonlocal count, told
        count += n
        if time.monotonic() - told >= SECONDS_PER_LINE:
            told = time.monotonic()
            print(f"{title}: {_amount(count, total, unit)}", file=sys.stderr, flush=True)

    yield advance
    print(f"{title}: {_amount(count, total, unit)}, done", file=sys.stderr, flush=True)


def _amount(count: int, total: int | None, unit: str) -> str:
    show = (lambda n: f"{n / 1e6:.1f} MB") if unit == "B" else str
    return f"{show(count)} of {show(total)}" if total else show(count)
