"""Shows the progress of a training: a bar on a terminal, else a line every few seconds; also updates the lease."""

from __future__ import annotations

import sys
import time
from typing import Any

from semiseg.runs.lease import Lease

AFFECTS_RESULTS = False

LINE_SECONDS = 5.0
FIGURES_WIDTH = 64  # columns of bar, iteration, time left, loss and mIoU


def say(message: str) -> None:
    print(message, flush=True)


class Progress:
    def __init__(self, name: str, iterations: int, start: int, lease: Lease) -> None:
        self.name, self.iterations, self.lease = name, iterations, lease
        self.begun, self.start, self.last_line = time.monotonic(), start, 0.0
        self.loss: float | None = None
        self.miou: float | None = None
        self.bar, self.task = _bar(name, iterations, start) if sys.stderr.isatty() else (None, None)
        lease.update(name=name, iterations=iterations, iteration=start)

    def step(self, iteration: int) -> None:
        """Called after each iteration; it is cheap and does not use the device."""
        now = time.monotonic()
        pace = (now - self.begun) / max(iteration - self.start, 1)
        self.lease.update(iteration=iteration, seconds_per_iteration=pace, miou=self.miou, loss=self.loss)
        if self.bar is not None:
            self.bar.update(self.task, completed=iteration, loss=_figure(self.loss, 3), miou=_figure(self.miou, 1))
        elif now - self.last_line >= LINE_SECONDS or iteration == self.iterations:
            self.last_line = now
            left = pace * (self.iterations - iteration)
            say(
                f"{self.name}: {iteration}/{self.iterations}, {duration(left)} left, "
                f"loss {_figure(self.loss, 3)}, mIoU {_figure(self.miou, 1)}"
            )

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()


def _bar(name: str, iterations: int, start: int) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    console = Console(stderr=True)
    # A run's path may be longer than a narrow terminal: the path is shortened, the figures are not.
    narrow = Column(no_wrap=True, overflow="ellipsis", max_width=max(12, console.width - FIGURES_WIDTH))
    bar = Progress(
        TextColumn("{task.description}", table_column=narrow),
        BarColumn(bar_width=None, table_column=Column(min_width=8, ratio=1)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("loss {task.fields[loss]}  mIoU {task.fields[miou]}", table_column=Column(no_wrap=True)),
        console=console,
        expand=True,
    )
    bar.start()
    return bar, bar.add_task(short(name), total=iterations, completed=start, loss="-", miou="-")


def short(name: str) -> str:
    """Method, variant and seed of a run's path, which identify it on the screen."""
    return " ".join(name.split("/")[-3:])


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
