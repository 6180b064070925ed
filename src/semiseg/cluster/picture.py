"""The live view of a study on a terminal: the number of finished runs, a bar for each training, and failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semiseg.cluster import run_states
from semiseg.cluster.run_states import State
from semiseg.engine.training_progress import duration

AFFECTS_RESULTS = False

STYLES = {"failed": "red", "running": "green", "silent": "yellow", "interrupted": "yellow"}
FEWEST_ROWS = 4
BAR_WIDTH = 24


def picture(
    name: str, states: Sequence[State], seconds_left: float | None = None, below: Sequence[str] = (), rows: int = 24
) -> Any:
    """A renderable for rich; `below`: lines of text, such as steps that are no trainings."""
    from rich.console import Group
    from rich.text import Text

    running = [one for one in states if one.state in ("running", "silent")]
    failed = [one for one in states if one.state in ("failed", "interrupted")]
    room = max(FEWEST_ROWS, rows - 4 - len(below) - min(len(failed), FEWEST_ROWS))
    parts: list[Any] = [_head(name, states, seconds_left), _all(states)]
    if running:
        parts.append(_bars(running[:room]))
    if len(running) > room:
        parts.append(Text(f"  and {len(running) - room} more", "dim"))
    parts += [_failure(one) for one in failed[:FEWEST_ROWS]]
    if len(failed) > FEWEST_ROWS:
        parts.append(Text(f"  and {len(failed) - FEWEST_ROWS} more: `semiseg status` lists them", "dim"))
    return Group(*parts, *(Text(line, "dim", overflow="fold") for line in below))


def _head(name: str, states: Sequence[State], seconds_left: float | None) -> Any:
    from rich.text import Text

    text = Text(f"{name}: {run_states.summary(states)}", "bold")
    return text.append(f", about {duration(seconds_left)} left", "not bold") if seconds_left else text


def _all(states: Sequence[State]) -> Any:
    """One bar for the whole study; a half-finished training counts as half a run."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    parts = [one.done / one.iterations for one in states if one.done and one.iterations and one.state != "failed"]
    finished = sum(one.state == "finished" for one in states)
    line = Table.grid(expand=True)  # a bar alone does not end the line
    line.add_row(ProgressBar(total=max(len(states), 1), completed=finished + sum(parts)))
    return line


def _bars(states: Sequence[State]) -> Any:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(width=BAR_WIDTH)
    for justify in ("right", "right", "right", "right", "left"):
        table.add_column(justify=justify, no_wrap=True, overflow="ellipsis")
    for one in states:
        bar = ProgressBar(total=one.iterations or 1, completed=one.done or 0, width=BAR_WIDTH)
        loss = "" if one.loss is None else f"loss {one.loss:.3f}"
        miou = "" if one.miou is None else f"mIoU {one.miou:.1f}"
        cells = (one.iteration, one.left, loss, miou, one.note or one.where)
        table.add_row("  " + title(one.run), bar, *cells, style=None if one.state == "running" else "yellow")
    return table


def title(run: str) -> str:
    """The name of a run without the data set, which is the same for all runs of a study."""
    return " ".join(run.split("/")[1:])


def _failure(one: State) -> Any:
    from rich.text import Text

    at = f" at iteration {one.done}" if one.done else ""
    text = Text(f"  {title(one.run)} {one.state}{at}", STYLES[one.state], overflow="fold")
    return text.append(f": {one.note}", "not bold") if one.note else text
